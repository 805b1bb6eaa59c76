"""The metric `ntk`: condition number of the empirical neural tangent kernel (As-ViT, arXiv 2202.11921)."""

from __future__ import annotations

import math

from pydantic import Field

from evaluators.metric import Metric, MetricFailure, register_metric
from evaluators.proxies.settings import ProxySettings, looked_at
from searchspaces import Architecture


class NtkSettings(ProxySettings):
    """The images of the kernel."""

    batch_size: int = Field(
        default=16, ge=2, le=4096, description="standard normal images, the same ones for all repeats"
    )
    keep_norms: bool = Field(default=True, description="whether LayerNorm stays; otherwise it becomes the identity")


@register_metric
class Ntk(Metric):
    """Largest over smallest eigenvalue of the kernel of the summed pooled features.

    Costs one forward and one backward pass over the batch per repeat, and the gradients of every image.
    """

    name = "ntk"
    direction = "minimize"
    Settings = NtkSettings

    def measure(self, architecture: Architecture, repeat: int) -> float:
        """Return the condition number of one random network.

        Raises:
            MetricFailure: if the space cannot follow the settings, or the kernel is not finite or singular.
        """
        import torch

        from evaluators.proxies.initialise import draw_network, generator
        from evaluators.proxies.kernel import ntk_gram

        settings = self.settings
        architecture = looked_at(architecture, settings)
        network = draw_network(architecture, settings, "ntk", repeat)
        shape = (architecture.in_channels, architecture.image_size, architecture.image_size)
        draws = generator(settings.seed, "ntk images", 0)
        images = torch.randn(settings.batch_size, *shape, generator=draws)
        gram = ntk_gram(network, images)
        if not bool(torch.isfinite(gram).all()):
            raise MetricFailure(f"the tangent kernel of repeat {repeat} is not finite")
        eigenvalues = torch.linalg.eigvalsh(gram)
        smallest, largest = eigenvalues[0].item(), eigenvalues[-1].item()
        # The gradients are single precision: a smaller eigenvalue is rounding, and its quotient would be made up.
        if not smallest > largest * settings.batch_size * torch.finfo(images.dtype).eps:
            span = f"eigenvalues {smallest:.3g} to {largest:.3g}"
            raise MetricFailure(f"the tangent kernel of repeat {repeat} is singular to rounding: {span}")
        condition = largest / smallest
        if not math.isfinite(condition):
            raise MetricFailure(f"the condition number of repeat {repeat} is not finite")
        return condition
