"""A slide as the viewer reads rasters: windows at any size, from the level that is just as fine."""

from pathlib import Path

import numpy as np
from PIL import Image
from rasterio.enums import Resampling

from glnet.geometry import Size, Window
from glnet.raster import Raster, SlideWish

#: That a level's step is told with.
_NEARLY = 1.01


class SlideTiles:
    """What of rasterio's dataset a pyramid asks for. Not to be shared between threads."""

    count = 3

    def __init__(self, path: Path, number: int) -> None:
        """Take level `number` of a slide for the raster."""
        self._path, self._number = path, number
        self._rasters: dict[int, Raster] = {}
        self._levels = self._raster(number).levels
        self._last: tuple[object, np.ndarray, np.ndarray] | None = None

    def read(
        self,
        bands: list[int],
        *,
        window: tuple[tuple[int, int], tuple[int, int]],
        out_shape: tuple[int, int, int],
        resampling: Resampling,  # noqa: ARG002  means, as of all pictures
    ) -> np.ndarray:
        """Pixels of a window of the raster, as so many."""
        pixels, _ = self._seen(window, Size(*out_shape[1:]))
        return pixels[[band - 1 for band in bands]]

    def dataset_mask(
        self, *, window: tuple[tuple[int, int], tuple[int, int]], out_shape: tuple[int, int]
    ) -> np.ndarray:
        """Where the scanner looked: above 0."""
        return self._seen(window, Size(*out_shape))[1]

    def _seen(
        self, place: tuple[tuple[int, int], tuple[int, int]], size: Size
    ) -> tuple[np.ndarray, np.ndarray]:
        if self._last is None or self._last[0] != (place, size):
            self._last = ((place, size), *self._read(place, size))
        return self._last[1], self._last[2]

    def _read(
        self, place: tuple[tuple[int, int], tuple[int, int]], size: Size
    ) -> tuple[np.ndarray, np.ndarray]:
        own = self._levels[self._number].downsample
        scale = min(
            (end - start) / length for (start, end), length in zip(place, size, strict=True)
        )
        fine = [
            number
            for number, level in enumerate(self._levels)
            if number >= self._number and level.downsample <= max(scale, 1) * own * _NEARLY
        ]
        number = max(fine)
        step, whole = self._levels[number].downsample / own, self._levels[number].size
        spans = []
        for (start, end), most in zip(place, whole, strict=True):
            first = min(int(start / step), most - 1)
            spans.append((first, max(1, min(-int(-end // step), most) - first)))
        (top, height), (left, width) = spans
        pixels, valid = self._raster(number).read_valid(Window(top, left, height, width))
        known = np.full((height, width), 255, np.uint8) if valid is None else valid * np.uint8(255)
        shape = size[::-1]
        seen = [
            np.asarray(Image.fromarray(band).resize(shape, Image.Resampling.BOX))
            for band in (*pixels, known)
        ]
        return np.stack(seen[:-1]), seen[-1]

    def _raster(self, number: int) -> Raster:
        if number not in self._rasters:
            wish = SlideWish(level=number, generic=True)
            self._rasters[number] = Raster(self._path, slide=wish)
        return self._rasters[number]
