"""What a part is computed from: the pixels of its scene at the model's resolution."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from glnet.engines.engine import Needed
from glnet.geometry import Size, Window
from glnet.georeference import Resolution
from glnet.prediction.parts import Part
from glnet.prediction.tiled import read_upright
from glnet.raster import Raster, filled, means
from glnet.resample import shrink
from glnet.scenes import TURNS, Decoded, Turn

#: One pixel of the raster is one of the network's input.
AS_IT_IS = Resolution(1, 1)


@dataclass(frozen=True, slots=True)
class ReadPart:
    """A part, read.

    Attributes:
        part: Which.
        scene: Its pixels at the model's resolution, and its thumbnail; None: nothing of it is to be
            segmented.
        kept: Of the core on the raster's grid, what is to be segmented: boolean; None: all of it.
        needed: Which patches of the scene meet ground that is to be segmented.
    """

    part: Part
    scene: Decoded | None
    kept: np.ndarray | None
    needed: Needed


@dataclass(frozen=True, slots=True)
class Source:
    """A raster as parts are read from it.

    Attributes:
        raster: Open, its bands chosen.
        thumbnail: What a scene is shrunk to.
        scale: The network's pixels per pixel of the raster.
        inside: Of a window, which pixels are to be segmented; None: all.
        turn: From the raster's pixels to upright ones.
    """

    raster: Raster
    thumbnail: Size
    scale: Resolution = AS_IT_IS
    inside: Callable[[Window], np.ndarray] | None = None
    turn: Turn = TURNS[0]

    @property
    def size(self) -> Size:
        """Height and width in pixels, upright."""
        return self.turn.size(self.raster.size)

    def scaled(self, size: Size) -> Size:
        """A size in the network's pixels."""
        rows, columns = self.scale
        return Size(max(1, round(size.height * rows)), max(1, round(size.width * columns)))

    def read(self, part: Part) -> ReadPart:
        """Pixels, resampled where the model's resolution is another one, missing ground filled.

        Raises:
            RasterError: the file is damaged there.
        """
        inside = None if self.inside is None else self.inside(part.scene)
        if inside is not None and not inside[part.inner.slices].any():
            return ReadPart(part, None, inside[part.inner.slices], _never)
        pixels, valid = read_upright(self.raster, self.turn, part.scene)
        wanted = _both(valid, inside)
        kept = None if wanted is None else wanted[part.inner.slices]
        if kept is not None and not kept.any():
            return ReadPart(part, None, kept, _never)
        if valid is not None:
            pixels = filled(pixels, valid, means(pixels, valid))
        size = self.scaled(part.scene.size)
        scene = Decoded(_resized(pixels, size), shrink(pixels, self.thumbnail))
        if wanted is None:
            return ReadPart(part, scene, None, _always)
        marks = wanted if size == part.scene.size else _resized(wanted[None] * 1.0, size)[0] > 0
        return ReadPart(part, scene, kept, lambda patch: bool(marks[patch.slices].any()))


def _both(valid: np.ndarray | None, inside: np.ndarray | None) -> np.ndarray | None:
    if valid is None or inside is None:
        return valid if inside is None else inside
    return inside & valid


def _always(_: Window) -> bool:
    return True


def _never(_: Window) -> bool:
    return False


def _resized(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Pixels (bands, height, width) by the thumbnails' filter; integers stay integers."""
    if pixels.shape[1:] == size:
        return pixels
    if pixels.dtype == np.uint8:
        return shrink(pixels, size)
    out = np.empty((len(pixels), *size), pixels.dtype)
    for band, target in zip(pixels, out, strict=True):
        image = Image.fromarray(band.astype(np.float32))
        values = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR))
        target[:] = np.rint(values) if pixels.dtype.kind in "iu" else values
    return out
