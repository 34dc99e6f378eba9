"""Small slides for the tests, and what must be read of them."""

import numpy as np

from slide_files import aperio, write_slide

#: Pixels of three levels; the sides of the finest are no multiples of the coarser ones'.
SIZES = [(1201, 2003), (300, 500), (75, 125)]

#: Glass as scanners see it, and stained tissue.
GLASS, TISSUE = (243, 242, 244), (200, 120, 170)


def tiles_of(pixels, side=256):
    """Of a level's pixels, (height, width, 3)."""
    height, width = pixels.shape[:2]
    padded = np.pad(pixels, ((0, -height % side), (0, -width % side), (0, 0)))
    return lambda row, column: padded[
        row * side : (row + 1) * side, column * side : (column + 1) * side
    ]


def make_slide(path, levels, *, microns=0.5, power=None, generic=False):
    """A slide of levels, (height, width, 3) each."""
    told = {"microns": microns} if generic else {"description": aperio(microns, power)}
    sizes = [level.shape[:2] for level in levels]
    return write_slide(path, sizes, [tiles_of(level) for level in levels], **told)


def noisy(sizes=SIZES):
    """Levels of noise: each is told from the others, and each pixel from its neighbours."""
    return [
        np.random.default_rng(n).integers(0, 256, (*size, 3), np.uint8)
        for n, size in enumerate(sizes)
    ]


def halved(finest, count, by=4):
    """A slide's levels, of means, from its finest."""
    levels = [finest]
    for _ in range(count - 1):
        height, width = (side // by for side in levels[-1].shape[:2])
        cut = levels[-1][: height * by, : width * by].reshape(height, by, width, by, 3)
        levels.append(np.rint(cut.mean(axis=(1, 3))).astype(np.uint8))
    return levels


def with_islands(size, *boxes):
    """Glass with a little noise, and tissue in boxes of rows and columns."""
    rng = np.random.default_rng(7)
    pixels = np.array(GLASS, np.uint8) + rng.integers(-2, 3, (*size, 1)).astype(np.int8)
    for top, bottom, left, right in boxes:
        pixels[top:bottom, left:right] = TISSUE + rng.integers(
            -40, 40, (bottom - top, right - left, 3)
        )
    return pixels.astype(np.uint8)
