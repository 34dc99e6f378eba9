"""The one reader of image files: pixels by window, which of them mean something, georeference.

Arrays are (bands, height, width). TIFF and the other formats of GDAL are read by window; JPEG and
PNG cannot be, so they are decoded once, when first read, and kept until the raster is closed. Of a
slide one level is read, by window. What a file is its content says, not its name.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import rasterio

from glnet import photo
from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.georeference import Resolution
from glnet.limits import check_claim, check_scene
from glnet.raster.addresses import Address, place_of
from glnet.raster.datasets import DatasetPixels, by_gdal
from glnet.raster.levels import Level, SlideWish
from glnet.raster.photos import PhotoPixels
from glnet.raster.pixels import Pixels, explained, finite, refuse_infinite
from glnet.raster.remote import RemotePixels
from glnet.raster.slides import SlidePixels, is_slide
from glnet.reach import DRIVERS, GDAL_OPTIONS, check_sources
from glnet.recipe import ModelSettings
from glnet.resample import shrink

#: The input scale of 8-bit images.
_BYTES = 255

_FINEST = SlideWish()


class Raster:
    """An open image file. Use as a context manager; closing frees a decoded image.

    Attributes:
        path: The file, or the address.
        size: Height and width, as seen (EXIF orientation applied).
        dtype: Of the stored values.
        georeference: None for photos and for rasters without one.
        palette: The colour of every value, shape (values, 3), where the file has a palette.
        orientation: EXIF's, of a photo; its size and pixels are upright whatever it says.
    """

    def __init__(
        self, path: str | Path, *, virtual: bool = False, slide: SlideWish = _FINEST,
        remote: bool = False,
    ) -> None:  # fmt: skip
        """Open the file and read its header.

        Args:
            path: The file, or the address.
            virtual: Take a VRT too, which leads to image files that it names.
            slide: Which level is read, where it is a slide.
            remote: Take an address too, of a TIFF on a server.

        Raises:
            RasterError: not a file, or not an image.
        """
        self.path = place_of(path, remote=remote)
        self._drivers = [*DRIVERS, "VRT"] if virtual else list(DRIVERS)
        self._decoded: tuple[np.ndarray, np.ndarray | None] | None = None
        self._selected, self._sources = False, list[Path]()
        with explained(self.path, "cannot be opened as an image"):
            self._pixels = self._opened(slide, virtual=virtual)
        self.size, self.dtype = self._pixels.size, self._pixels.dtype
        self.georeference, self.palette = self._pixels.georeference, self._pixels.palette
        self.orientation = self._pixels.orientation

    def _opened(self, wish: SlideWish, *, virtual: bool) -> Pixels:
        if isinstance(self.path, Address):
            return RemotePixels(self.path)
        if virtual:
            self._sources = check_sources(self.path.absolute())
        if is_slide(self.path, wish):
            return SlidePixels(self.path, wish)
        if photo.is_photo(self.path):
            return PhotoPixels(self.path)
        return DatasetPixels(by_gdal(self.path, self._drivers))

    @property
    def is_photo(self) -> bool:
        """Is it decoded by Pillow, and turned upright?"""
        return isinstance(self._pixels, PhotoPixels)

    @property
    def slide(self) -> SlidePixels | None:
        """What is known of it as a slide."""
        return self._pixels if isinstance(self._pixels, SlidePixels) else None

    @property
    def file(self) -> Path:
        """On this disk; raises RasterError where it lies on a server."""
        if isinstance(self.path, Address):
            msg = f"{self.path}: would be fetched whole; download it first, or make it a tiled TIFF"
            raise RasterError(msg)
        return self.path

    @property
    def files(self) -> list[Path]:
        """On this disk: it, and those beside it, or named by it, that its pixels depend on too."""
        beside = self._pixels.files if isinstance(self._pixels, DatasetPixels) else []
        others = {path.resolve() for path in (*beside, *self._sources) if path.is_file()}
        return [self.file, *sorted(others - {self.file.resolve()})]

    @property
    def remote(self) -> RemotePixels | None:
        """What is known of it on a server."""
        return self._pixels if isinstance(self._pixels, RemotePixels) else None

    @property
    def levels(self) -> tuple[Level, ...]:
        """All sizes of a slide, the finest first; of other rasters none."""
        return self.slide.levels if self.slide else ()

    @property
    def resolution(self) -> Resolution | None:
        """Metres that a pixel is high and wide, on the ground or the glass; None: not known."""
        if self.slide:
            return self.slide.level.resolution
        return self.georeference.resolution(self.size) if self.georeference else None

    @property
    def downsample(self) -> float:
        """How many pixels of a slide's finest level one is, along a side; of other rasters 1."""
        return self.slide.level.downsample if self.slide else 1.0

    @property
    def bands(self) -> int:
        """How many are read, alpha left out."""
        return self._pixels.bands

    def by_gdal(self) -> Any:  # noqa: ANN401  rasterio has no types
        """The file opened once more, as GDAL sees it; raises RasterError of a slide or a server."""
        if self.slide:
            msg = f"{self.path}: is a slide; GDAL cannot read its levels"
            raise RasterError(msg)
        return by_gdal(self.file, self._drivers)

    def read(self, window: Window | None = None) -> np.ndarray:
        """Pixels of a window (default: all), shape (bands, height, width), in the file's dtype.

        Raises:
            RasterError: the file is damaged there, or holds a value that is not finite.
        """
        window = window or Window(0, 0, *self.size)
        pixels = self._read(window)
        refuse_infinite(self.path, pixels, window)
        return pixels

    def read_valid(self, window: Window | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Pixels of a window as stored, and where they mean something: boolean (height, width).

        What does not: nodata, transparent by alpha or mask, a value that is not finite. None: all
        pixels do.

        Raises:
            RasterError: the file is damaged there.
        """
        window = window or Window(0, 0, *self.size)
        pixels = self._read(window)
        valid = self._mask(window, pixels)
        if pixels.dtype.kind == "f":
            numbers = np.asarray(finite(pixels).all(axis=0))
            valid = numbers if valid is None else valid & numbers
        return pixels, None if valid is None or valid.all() else valid

    def _read(self, window: Window) -> np.ndarray:
        # Within GDAL's environment, or its warnings go to stderr.
        with explained(self.path, "cannot be decoded"), rasterio.Env(**GDAL_OPTIONS):
            if self._pixels.whole and self._decoded is None:
                self._decode()
            if self._decoded is not None:
                return np.ascontiguousarray(self._decoded[0][:, *window.slices])
            return self._pixels.read(window)

    def _decode(self) -> None:
        check_scene(self.path, self.size, "cut it into parts, or make it a tiled TIFF")
        self.check_claim()
        self._decoded = self._pixels.decode()

    def _mask(self, window: Window, pixels: np.ndarray) -> np.ndarray | None:
        with explained(self.path, "cannot be decoded"), rasterio.Env(**GDAL_OPTIONS):
            if not self._pixels.masks:
                return None
            if self._decoded is not None and self._decoded[1] is not None:
                return self._decoded[1][window.slices]
            return self._pixels.valid(window, pixels)

    @property
    def may_miss(self) -> bool:
        """Can pixels mean nothing: by nodata, alpha or a mask, or by not being numbers?"""
        return self._pixels.masks or self.dtype.kind == "f"

    def expect(self, settings: ModelSettings) -> None:
        """Refuse a raster that a model cannot take: other bands, or values of another range.

        A band that the file calls alpha counts where that makes the number fit: GDAL calls the
        fourth band of any 8-bit image so, near infrared too.

        Raises:
            RasterError: wanted and found, in one line.
        """
        bands = settings.bands
        if self.bands != bands == self._pixels.count and not self._selected:
            self._pixels.take(list(range(1, bands + 1)))
        if self.bands != bands:
            msg = f"{self.path}: wanted {bands} bands, as the model takes, found {self.bands}"
            if self.palette is not None:
                msg += ": it is a palette image, gdal_translate -expand rgb makes colours of it"
            raise RasterError(msg)
        if self.dtype != np.uint8 and settings.input.scale == _BYTES:
            msg = (
                f"{self.path}: holds {self.dtype}, the model's input.scale {_BYTES} is for bytes; "
                "set model.input.scale (and mean, deviation) and train with it"
            )
            raise RasterError(msg)

    def select(self, bands: Sequence[int]) -> None:
        """Read these bands of the file, counted from 1, in this order; named alpha is data.

        Raises:
            RasterError: the file has no such bands, or is a photo.
        """
        count = self._pixels.count
        if not bands or not all(1 <= band <= count for band in bands):
            asked = ", ".join(map(str, bands))
            msg = f"{self.path}: wanted bands {asked}; found {count or self.bands}"
            raise RasterError(msg + ("" if count else ", and of a photo none can be chosen"))
        self._pixels.take(list(bands))
        self._selected = True

    @property
    def alpha(self) -> int | None:
        """The band, counted from 1, whose zeros say where pixels mean nothing."""
        return self._pixels.alpha if isinstance(self._pixels, DatasetPixels) else None

    @property
    def nodata(self) -> list[float | None]:
        """What every band declares to mean nothing; also told beside the file, by GDAL's notes."""
        return self._pixels.nodata if isinstance(self._pixels, DatasetPixels) else []

    @property
    def control_points(self) -> bool:
        """Is its place on the ground given by control points alone? They make no georeference."""
        return isinstance(self._pixels, DatasetPixels) and self._pixels.control_points

    @property
    def left_out(self) -> int:
        """How many bands count as alpha: GDAL calls the fourth of any 8-bit image so."""
        return self._pixels.count - self.bands if self._pixels.count else 0

    def check_claim(self) -> None:
        """Refuse a file too small for what its header claims; see `limits.check_claim`."""
        if self.decoded_whole:
            check_claim(self.file, self.size, self.bands * self._pixels.bits)

    @property
    def decoded_whole(self) -> bool:
        """Can the file not be read by window?"""
        return self._pixels.whole

    @property
    def blocks(self) -> Size:
        """What is decoded at a time, at the least."""
        return self._pixels.blocks or self.size

    @property
    def has_overviews(self) -> bool:
        """Does the file hold smaller copies of itself?"""
        return self._pixels.overviews

    @property
    def pixel_bytes(self) -> int:
        """Of a pixel, the bands that are read."""
        return self.bands * self.dtype.itemsize

    @property
    def block_bytes(self) -> int:
        """Of a block, all bands."""
        return self.blocks.area * (self.bands + self.left_out) * self.dtype.itemsize

    def thumbnail(self, size: Size) -> np.ndarray:
        """The whole raster resampled to `size`; see `shrink`."""
        return shrink(self.read(), size)

    def close(self) -> None:
        """Give the file and a decoded image back."""
        self._decoded = None
        self._pixels.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
