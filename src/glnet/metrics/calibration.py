"""Whether a confidence is what it says: calibration (Guo et al., ICML 2017), image by image."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from glnet.metrics.protocol import IGNORE, ratio
from glnet.probability import STEPS

#: Bins of equal width between 0 and 1.
BINS = 10

#: Pixels counted at a time: NumPy counts 8-byte integers.
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Bin:
    """Counted ground of which the confidence lies between `low` and `high`.

    Attributes:
        low, high: In [0, 1]; the low end belongs to it, of the last bin the high one too.
        pixels: How many.
        confidence: Their mean.
        right: Share of them whose class is right; what the confidence should be.
    """

    low: float
    high: float
    pixels: int
    confidence: float
    right: float


class Calibration:
    """How often every confidence is right, over a set of images.

    Attributes:
        pixels: Counted ground by its confidence in 254th parts, shape (255,).
        right: As many of it as have the right class.
    """

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.pixels, self.right = np.zeros((2, STEPS + 1), np.int64)

    def add(self, labels: np.ndarray, prediction: np.ndarray, confidence: np.ndarray) -> None:
        """Count one image or a part of one; all uint8, of one shape.

        Args:
            labels: With `IGNORE` where nothing is counted.
            prediction: Classes.
            confidence: Their probability in 254th parts; where it is 255 nothing is counted.
        """
        truth, found, sure = labels.ravel(), prediction.ravel(), confidence.ravel()
        for start in range(0, truth.size, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            counted = (truth[chunk] != IGNORE) & (sure[chunk] <= STEPS)
            right = counted & (truth[chunk] == found[chunk])
            self.pixels += np.bincount(sure[chunk][counted], minlength=STEPS + 1)
            self.right += np.bincount(sure[chunk][right], minlength=STEPS + 1)

    def bins(self) -> Iterator[Bin]:
        """The bins that hold any pixel, the most confident first."""
        steps = np.arange(STEPS + 1)
        of = np.minimum(steps * BINS // STEPS, BINS - 1)
        for number in reversed(range(BINS)):
            own = of == number
            pixels = int(self.pixels[own].sum())
            if pixels:
                yield Bin(
                    number / BINS,
                    (number + 1) / BINS,
                    pixels,
                    float(self.pixels[own] @ steps[own]) / STEPS / pixels,
                    float(self.right[own].sum()) / pixels,
                )

    def as_dicts(self) -> list[dict[str, float]]:
        """The bins as plain numbers."""
        return [asdict(each) for each in self.bins()]

    def error(self) -> float:
        """Expected calibration error: how far the bins' confidence is from their share of right.

        The mean over pixels, in [0, 1]; NaN where nothing is counted.
        """
        off = sum(each.pixels * abs(each.confidence - each.right) for each in self.bins())
        return float(ratio(np.array(off), self.pixels.sum()))
