"""Scores of a set of images: counts that add up image by image, and what is read off them."""

from glnet.metrics.bootstrap import DRAWS, LEVEL, SEED, Interval
from glnet.metrics.boundary import BoundaryCounts
from glnet.metrics.calibration import Calibration
from glnet.metrics.confusion import ConfusionMatrix, Scores
from glnet.metrics.protocol import IGNORE, PROTOCOLS, Protocol, ProtocolName

__all__ = [
    "DRAWS",
    "IGNORE",
    "LEVEL",
    "PROTOCOLS",
    "SEED",
    "BoundaryCounts",
    "Calibration",
    "ConfusionMatrix",
    "Interval",
    "Protocol",
    "ProtocolName",
    "Scores",
]
