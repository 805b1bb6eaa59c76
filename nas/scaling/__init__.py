"""From a seed topology to a family of networks: As-ViT's growth without training."""
