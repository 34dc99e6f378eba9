"""Semantic segmentation of images too large for the memory at hand, by global-local networks."""

__version__ = "0.1.0"
