"""Where a slide holds tissue: told on a small copy of it, by colour and by darkness.

Glass is bright and grey. Tissue is stained, so its colours differ; stains that are grey are dark.
Whatever is near tissue counts as it, and where glass and tissue cannot be told apart, all of it is.
"""

from collections.abc import Callable

import numpy as np

from glnet.geometry import Window, tiles
from glnet.raster import Raster, SlideWish
from glnet.resample import block_means

#: The copy's longest side in pixels at the most, and that of a level that is too small for one.
_MOST, _LEAST = 2048, 1024

#: Side of what is read of a level at a time, in pixels.
_BLOCK = 1024

#: Chroma is the largest minus the smallest of red, green and blue, of 8 bit. Glass has no more than
#: this, or than this beyond the least that there is, however strong the stain is elsewhere.
_GLASS, _LEAST_CHROMA = 8, 5

#: Grey of so much of the glass's brightness is dark; glass is what this share of grey is not above.
_DARK, _BRIGHTEST = 0.85, 95


def tissue_of(raster: Raster) -> Callable[[Window], np.ndarray] | None:
    """Of a window of a slide, which pixels may be tissue: boolean; None: all may be.

    Raises:
        RasterError: the slide is damaged.
    """
    number = _level(raster)
    with Raster(raster.file, slide=SlideWish(level=number, generic=True)) as level:
        by = -(-max(level.size) // _MOST)
        colours, known = _reduced(level, by)
        cell = by * level.downsample / raster.downsample
    found = stained(colours, known)
    if not found.any() or found[known].all():
        return None
    cells = _grown(found)

    def inside(window: Window) -> np.ndarray:
        rows, columns = (
            np.minimum(((start + np.arange(length) + 0.5) / cell).astype(int), most - 1)
            for (start, length), most in zip(
                (window.rows, window.columns), cells.shape, strict=True
            )
        )
        return cells[rows[:, None], columns]

    return inside


def stained(colours: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which pixels are tissue, boolean (height, width).

    Args:
        colours: Of a small copy, uint8 (3, height, width).
        known: Which of its pixels were scanned.
    """
    chroma = colours.max(axis=0) - colours.min(axis=0)
    tinted = np.percentile(chroma[known], _LEAST_CHROMA) if known.any() else 0
    coloured = chroma > max(_GLASS, min(_otsu(chroma[known]), tinted + _GLASS))
    brightness = colours.mean(axis=0)
    grey = brightness[known & ~coloured]
    glass = np.percentile(grey, _BRIGHTEST) if grey.size else 0
    return known & (coloured | (brightness < _DARK * glass))


def _otsu(values: np.ndarray) -> int:
    """The value up to which bytes are one kind, so that the two kinds' means lie furthest apart."""
    counts = np.bincount(values, minlength=256).astype(float)
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * np.arange(256))
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return int(np.argmax(np.nan_to_num(apart)))


def _level(raster: Raster) -> int:
    """The finest that is small enough, or, where it is far too small, the one before."""
    longest = [max(level.size) for level in raster.levels]
    fitting = [n for n, side in enumerate(longest) if side <= _MOST]
    if not fitting:
        return len(longest) - 1
    finest = fitting[0]
    return finest - 1 if finest and longest[finest] < _LEAST else finest


def _reduced(level: Raster, by: int) -> tuple[np.ndarray, np.ndarray]:
    """A level's means over squares of pixels, of what was scanned; and where anything was."""
    size = level.size.cells(by)
    colours, known = np.zeros((3, *size), np.uint8), np.zeros(size, bool)
    step = by * max(1, _BLOCK // by)
    for window in tiles(level.size, step, step):
        pixels, valid = level.read_valid(window)
        means, found = block_means(
            pixels, np.ones(window.size, bool) if valid is None else valid, by
        )
        place = Window(window.top // by, window.left // by, *found.shape).slices
        colours[:, *place], known[place] = means, found
    return colours, known


def _grown(cells: np.ndarray) -> np.ndarray:
    """With all that touch one, at a corner too."""
    padded = np.pad(cells, 1)
    height, width = cells.shape
    moved = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.asarray(np.logical_or.reduce(moved))
