"""Whole-slide images, by OpenSlide: one level of a slide, read by window.

Levels are smaller copies that the scanner made. Places in polygons are pixels of the finest level,
however coarse the level is that is read.
"""

import threading
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from glnet.errors import RasterError
from glnet.extras import install
from glnet.geometry import Size, Window
from glnet.georeference import Georeference
from glnet.raster.levels import SlideWish, chosen, levels_of, microns_of
from glnet.raster.tiff_header import may_be_slide

#: Of formats that nothing else uses.
SLIDE_SUFFIXES = (
    ".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".vmu", ".bif", ".czi", ".svslide",
)  # fmt: skip

#: Where DICOM says that it is, and what.
_DICOM_AT, _DICOM = 128, b"DICM"

#: A TIFF of no vendor whose pixels are larger, in microns, tells how it is to be printed.
_WIDEST = 20

#: Bytes of decoded tiles, of all slides that a process has open.
_CACHE = 64 << 20

#: A slide whose coarsest level has longer sides in pixels is not shown whole in no time.
_SMALL = 4096

#: OpenSlide is told a place in pixels of the finest level. Where these are no whole number of
#: pixels of the level that is read, it reads between pixels. So a window is read in blocks that do
#: not depend on it, each from a near pixel whose place can be told.
_BLOCK, _NEAR, _EXACT = 1024, 256, 1 / 1024


def is_slide(path: Path, wish: SlideWish) -> bool:
    """Does OpenSlide know it, as a slide?

    Raises:
        RasterError: its name says so, but OpenSlide is not installed.
    """
    named = path.suffix.lower() in SLIDE_SUFFIXES
    if not named and not may_be_slide(path) and not _is_dicom(path):
        return False
    try:
        slides_extra(path)
    except RasterError:
        if named:
            raise
        return False
    at = path.stat()
    return _is_known(path.absolute(), wish.generic, (at.st_mtime_ns, at.st_size))


@lru_cache(maxsize=4096)
def _is_known(path: Path, generic: bool, _state: tuple[int, int]) -> bool:
    """Asked once while a file stays as it is: training opens its images step after step."""
    openslide = slides_extra(path)
    try:
        vendor = openslide.OpenSlide.detect_format(path)
        if vendor != "generic-tiff" or generic:
            return vendor is not None
        with openslide.OpenSlide(path) as slide:
            _, microns = microns_of(slide.properties)
            return slide.level_count > 1 and microns is not None and max(microns) <= _WIDEST
    except openslide.OpenSlideError:
        return False


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_DICOM_AT)
        return file.read(len(_DICOM)) == _DICOM


class SlidePixels:
    """A level of a slide; see `Pixels`."""

    georeference: Georeference | None = None
    palette: np.ndarray | None = None
    count, bits, dtype, orientation = 3, 8, np.dtype(np.uint8), 1
    whole, masks = False, True

    def __init__(self, path: Path, wish: SlideWish) -> None:
        """Open it, and choose the level."""
        self._path, self._openslide = path, slides_extra(path)
        self._lock, self._slide = threading.Lock(), self._opened()
        told = self._slide.properties
        self.vendor = told[self._openslide.PROPERTY_NAME_VENDOR]
        self.identity = told.get(self._openslide.PROPERTY_NAME_QUICKHASH1)
        self.power, microns = microns_of(told)
        self._steps = self._slide.level_downsamples
        sizes = [Size(height, width) for width, height in self._slide.level_dimensions]
        self.levels = levels_of(sizes, self._steps, microns)
        self._number = chosen(self.levels, wish)
        self.level = self.levels[self._number]
        self.size, self.bands, self._indexes = self.level.size, self.count, [0, 1, 2]
        self.blocks: Size | None = _blocks(told, len(sizes))
        self._last: tuple[Window, np.ndarray] | None = None

    def _opened(self) -> Any:  # noqa: ANN401  OpenSlide is an extra
        slide = self._openslide.OpenSlide(self._path)
        slide.set_cache(_tiles())
        return slide

    @property
    def overviews(self) -> bool:
        """See `Pixels`."""
        return max(self.levels[-1].size) <= _SMALL

    def take(self, bands: list[int]) -> None:
        """See `Pixels`."""
        self._indexes, self.bands = [band - 1 for band in bands], len(bands)

    def decode(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Never asked: it is not `whole`."""
        raise NotImplementedError

    def read(self, window: Window) -> np.ndarray:
        """See `Pixels`."""
        pixels = self._rgba(window)
        self._last = window, pixels[..., 3] > 0
        return np.ascontiguousarray(np.moveaxis(pixels[..., self._indexes], -1, 0))

    def valid(self, window: Window, pixels: np.ndarray) -> np.ndarray | None:  # noqa: ARG002
        """Where the scanner looked."""
        if self._last is None or self._last[0] != window:
            self._last = window, self._rgba(window)[..., 3] > 0
        return self._last[1]

    def close(self) -> None:
        """See `Pixels`."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._slide is not None:
            self._slide.close()
        self._slide = None

    def _rgba(self, window: Window) -> np.ndarray:
        """Of a window of the level, uint8 (height, width, 4)."""
        out = np.empty((*window.size, 4), np.uint8)
        with self._lock:
            if self._slide is None:
                self._slide = self._opened()
            try:
                for top, height in _blocks_of(*window.rows):
                    for left, width in _blocks_of(*window.columns):
                        block = Window(top, left, height, width)
                        out[block.seen_from(window).slices] = self._block(block)
            except self._openslide.OpenSlideError:
                self._drop()  # after an error it would refuse whatever is asked
                raise
        return out

    def _block(self, window: Window) -> np.ndarray:
        step = self._steps[self._number]
        (top, y), (left, x) = (_anchor(start, step) for start in (window.top, window.left))
        size = window.right - left, window.bottom - top
        read = np.asarray(self._slide.read_region((x, y), self._number, size))
        return read[window.top - top :, window.left - left :]


def slides_extra(path: Path) -> ModuleType:
    """The library that slides take: openslide.

    Raises:
        RasterError: it is not installed.
    """
    try:
        import openslide  # noqa: PLC0415  an extra
    except (ImportError, OSError) as error:  # the latter: its library in C is not there
        msg = f"{path}: this needs: {install('slides')} ({error})"
        raise RasterError(" ".join(msg.split())) from error
    return openslide


@cache
def _tiles() -> Any:  # noqa: ANN401  OpenSlide is an extra
    import openslide  # noqa: PLC0415  a slide is open

    return openslide.OpenSlideCache(_CACHE)


def _blocks(told: Any, levels: int) -> Size:  # noqa: ANN401  OpenSlide's
    """The largest tile of any level."""
    sides = [
        max(int(told.get(f"openslide.level[{n}].tile-{side}", 1)) for n in range(levels))
        for side in ("height", "width")
    ]
    return Size(*sides)


def _blocks_of(start: int, length: int) -> list[tuple[int, int]]:
    """Where blocks begin, and how long they are."""
    end = start + length
    cuts = [start, *range((start // _BLOCK + 1) * _BLOCK, end, _BLOCK), end]
    return [(a, b - a) for a, b in pairwise(cuts)]


def _anchor(start: int, step: float) -> tuple[int, int]:
    """A pixel at or before `start` whose place can be told, and that place.

    Where not all can be told, it is searched from where the block begins, whatever of it is read.
    """
    if step == round(step):
        return start, start * round(step)
    begin = start // _BLOCK * _BLOCK
    best, place, least = 0, 0, float("inf")
    for pixel in range(begin, begin - _NEAR, -1):  # none before 0, whose place is told
        told = round(pixel * step)
        missed = abs(told / step - pixel)
        if missed < least:
            best, place, least = pixel, told, missed
        if least < _EXACT:
            break
    return best, place
