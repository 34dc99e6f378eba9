"""How much of a mask every class has, and how much differs from the truth; while one looks."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from glnet.geometry import Window
from glnet.georeference import Georeference
from glnet.viewer.pyramid import Pyramid

#: Side of what is read at a time.
_SIDE = 1024


@dataclass(slots=True)
class Shares:
    """Counts that grow.

    Attributes:
        done: Share of the mask that was counted.
        pixels: Of every value, shape (256,).
        area: The same in square metres; zero where nobody knows.
        compared, wrong: Pixels whose truth is known, and those of them that differ from it.
    """

    done: float = 0.0
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    area: np.ndarray = field(default_factory=lambda: np.zeros(256))
    compared: int = 0
    wrong: int = 0


def count(
    mask: Pyramid, differ: Callable[[Window], np.ndarray] | None, ground: Georeference | None,
    shares: Shares, stop: threading.Event,
) -> None:  # fmt: skip
    """Count all of a mask, strip by strip, until told to stop.

    Args:
        mask: Whose values are counted.
        differ: Of a window: -1 unknown, 0 as the truth, 1 wrong; None without truth.
        ground: Where it lies.
        shares: What is added to.
        stop: Set by whoever wants no more of it.
    """
    for window in _windows(mask):
        if stop.is_set():
            return
        values, known = mask.read(window)
        counts = np.bincount(values[0][known], minlength=256)
        shares.pixels += counts
        shares.area += counts * _pixel_area(ground, window)
        if differ is not None:
            found = differ(window)
            shares.compared += int((found >= 0).sum())
            shares.wrong += int((found > 0).sum())
        seen = window.top * mask.size.width + window.height * window.right
        shares.done = seen / (mask.size.height * mask.size.width)


def _windows(mask: Pyramid) -> Iterator[Window]:
    for top in range(0, mask.size.height, _SIDE):
        height = min(_SIDE, mask.size.height - top)
        for left in range(0, mask.size.width, _SIDE):
            yield Window(top, left, height, min(_SIDE, mask.size.width - left))


def _pixel_area(ground: Georeference | None, window: Window) -> float:
    """Square metres of a pixel at a window's middle: degrees are narrower further north."""
    if ground is None:
        return 0.0
    affine = ground.transform
    corner = affine @ type(affine).translation(window.left, window.top)
    resolution = Georeference(ground.crs, corner).resolution(window.size)
    return 0.0 if resolution is None else resolution.rows * resolution.columns
