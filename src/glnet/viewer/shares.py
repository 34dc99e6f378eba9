"""How much of a mask every class has, and how much differs from the truth; while one looks."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from glnet.geometry import Window, tiles
from glnet.georeference import Georeference, Resolution
from glnet.viewer.pyramid import Pyramid

#: Side of what is read at a time.
_SIDE = 1024

#: What a pyramid gives: values (bands, rows, columns), and which are known (rows, columns).
Read = tuple[np.ndarray, np.ndarray]


@dataclass(slots=True)
class Shares:
    """Counts that grow.

    Attributes:
        done: Share of the mask that was counted.
        pixels: Of every value, shape (256,).
        area: The same in square metres; zero where nobody knows.
        found: Values that mask or truth hold, boolean (256,).
        compared, wrong: Pixels whose truth is known, and those of them that differ from it.
    """

    done: float = 0.0
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    area: np.ndarray = field(default_factory=lambda: np.zeros(256))
    found: np.ndarray = field(default_factory=lambda: np.zeros(256, bool))
    compared: int = 0
    wrong: int = 0


def count(
    labels: Sequence[Pyramid], differ: Callable[[Sequence[Read]], np.ndarray],
    pixel_area: Callable[[Window], float], shares: Shares, stop: threading.Event,
) -> None:  # fmt: skip
    """Count all of a mask, strip by strip, until told to stop.

    Args:
        labels: The mask, whose values are counted; and the truth, where there is one.
        differ: Of what both hold: -1 unknown, 0 as the truth, 1 wrong.
        pixel_area: Square metres of a pixel of a window; 0: nobody knows.
        shares: What is added to.
        stop: Set by whoever wants no more of it.
    """
    mask = labels[0]
    for window in tiles(mask.size, _SIDE, _SIDE):
        if stop.is_set():
            return
        seen = [each.read(window) for each in labels]
        held = [np.bincount(values[0][known], minlength=256) for values, known in seen]
        shares.found |= np.any(held, axis=0)
        shares.pixels += held[0]
        shares.area += held[0] * pixel_area(window)
        if len(seen) > 1:
            found = differ(seen)
            shares.compared += int((found >= 0).sum())
            shares.wrong += int((found > 0).sum())
        done = window.top * mask.size.width + window.height * window.right
        shares.done = done / mask.size.area


def area_of_pixels(
    ground: Georeference | None, resolution: Resolution | None
) -> Callable[[Window], float]:
    """Square metres of a pixel by the window that it is in.

    Args:
        ground: Where a raster lies; degrees are narrower further north, so each window's middle
            counts.
        resolution: Of its pixels, where all are alike: a slide's.
    """

    def area(window: Window) -> float:
        here = resolution
        if ground is not None:
            affine = ground.transform
            corner = affine @ type(affine).translation(window.left, window.top)
            here = Georeference(ground.crs, corner).resolution(window.size)
        return here.rows * here.columns if here else 0.0

    return area
