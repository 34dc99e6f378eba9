"""The network: trunk, pyramid, branch, sharing, aggregation, and GLNet, which joins them."""

from glnet.model.glnet import GLNet, build_glnet

__all__ = ["GLNet", "build_glnet"]
