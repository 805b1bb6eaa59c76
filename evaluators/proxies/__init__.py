"""Training-free proxies."""
