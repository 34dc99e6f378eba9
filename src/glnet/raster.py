"""The one reader of image files: pixels by window, thumbnails, georeference.

Arrays are (bands, height, width). TIFF and the other formats of GDAL are read by window; JPEG and
PNG cannot be, so they are decoded once, when first read, and kept until the raster is closed.
"""

import contextlib
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import rasterio
from PIL import ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.recipe import ModelSettings
from glnet.resample import shrink

#: Larger scenes are refused, from the header, before anything is decoded.
MAX_MEGAPIXELS = 100

#: The input scale of 8-bit images.
_BYTES = 255

_PHOTOS = {".jpg", ".jpeg"}
_DECODED_WHOLE = {".png"}

#: GDAL's fast path gives garbage for a truncated PNG, and no error.
_GDAL = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO"}

#: Filters of warnings belong to the process: two threads that change them at once mix them up.
_OPENING = threading.Lock()

#: The EXIF tag, and its values that exchange height and width.
_ORIENTATION, _SIDES_EXCHANGED = 0x0112, range(5, 9)


@dataclass(frozen=True, slots=True)
class Georeference:
    """Where a raster lies on the ground: coordinate system and affine transform, as rasterio's."""

    crs: Any
    transform: Any


class Raster:
    """An open image file. Use as a context manager; closing frees a decoded image.

    Attributes:
        path: The file.
        size: Height and width, as seen (EXIF orientation applied).
        bands: How many, alpha left out.
        dtype: Of the stored values.
        georeference: None for photos and for rasters without one.
        palette: The colour of every value, shape (values, 3), where the file has a palette.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file and read its header.

        Raises:
            RasterError: not a file, not an image, or too large a JPEG or PNG to decode.
        """
        self.path = Path(path)
        if not self.path.exists():
            msg = f"{self.path}: no such file"
            raise RasterError(msg)
        if self.path.is_dir():
            msg = f"{self.path}: is a folder; name one image file"
            raise RasterError(msg)
        self.georeference: Georeference | None = None
        self.palette: np.ndarray | None = None
        self._dataset: Any = None
        self._pixels: np.ndarray | None = None
        with self._explained("cannot be opened as an image"):
            if self.path.suffix.lower() in _PHOTOS:
                self._open_photo()
            else:
                self._open_dataset()
        if self.path.suffix.lower() in _PHOTOS | _DECODED_WHOLE:
            try:
                check_scene(self.path, self.size, "cut it into parts, or make it a tiled TIFF")
            except RasterError:
                self.close()
                raise

    def _open_photo(self) -> None:
        # Not Image.open, which has a limit and a warning of its own on the size.
        with JpegImageFile(self.path) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in _SIDES_EXCHANGED
            self.size = Size(*(image.size if turned else image.size[::-1]))
            self.bands = len(image.getbands())
            self.dtype = np.dtype(np.uint8)

    def _open_dataset(self) -> None:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            # Absolute, or a file named like a URL would be taken for one.
            with rasterio.Env(**_GDAL):
                self._dataset = rasterio.open(self.path.absolute())
        kinds = self._dataset.colorinterp
        self._indexes = [i + 1 for i, kind in enumerate(kinds) if kind != ColorInterp.alpha]
        self.bands = len(self._indexes)
        self.dtype = np.dtype(self._dataset.dtypes[0])
        self.size = Size(self._dataset.height, self._dataset.width)
        if kinds[0] == ColorInterp.palette:
            colours = self._dataset.colormap(1)
            self.palette = np.zeros((max(colours) + 1, 3), np.uint8)
            self.palette[list(colours)] = [colour[:3] for colour in colours.values()]
        if self._dataset.crs is not None or not self._dataset.transform.is_identity:
            self.georeference = Georeference(self._dataset.crs, self._dataset.transform)

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn the readers' many exceptions into one line that names the file."""
        try:
            yield
        except (RasterioError, OSError, SyntaxError, ValueError) as error:
            # GDAL's own words are one level down.
            detail = " ".join(str(error.__cause__ or error).split())
            msg = f"{self.path}: {what}; is it damaged or of another format? ({detail})"
            raise RasterError(msg) from error

    def read(self, window: Window | None = None) -> np.ndarray:
        """Pixels of a window (default: all), shape (bands, height, width), in the file's dtype.

        Raises:
            RasterError: the file is damaged there.
        """
        window = window or Window(0, 0, *self.size)
        # Within GDAL's environment, or its warnings go to stderr.
        with self._explained("cannot be decoded"), rasterio.Env(**_GDAL):
            if self._pixels is None and self.path.suffix.lower() in _PHOTOS:
                with JpegImageFile(self.path) as image:
                    pixels = np.asarray(ImageOps.exif_transpose(image))
                self._pixels = np.moveaxis(np.atleast_3d(pixels), -1, 0)
            if self._pixels is None and self.path.suffix.lower() in _DECODED_WHOLE:
                self._pixels = self._dataset.read(self._indexes)
            if self._pixels is not None:
                return np.ascontiguousarray(self._pixels[:, *window.slices])
            rows, columns = window.slices
            area = ((rows.start, rows.stop), (columns.start, columns.stop))
            pixels = self._dataset.read(self._indexes, window=area)
        self._refuse_infinite(pixels, window)
        return np.asarray(pixels)

    def _refuse_infinite(self, pixels: np.ndarray, window: Window) -> None:
        """One NaN would spread over the whole thumbnail, and from there over the mask."""
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            _, row, column = np.argwhere(~np.isfinite(pixels))[0]
            msg = (
                f"{self.path}: the value at row {window.top + row}, column {window.left + column} "
                "is not finite; fill missing ground first, nodata is not handled yet"
            )
            raise RasterError(msg)

    def expect(self, settings: ModelSettings) -> None:
        """Refuse a raster that a model cannot take: other bands, or values of another range.

        A band that the file calls alpha counts where that makes the number fit: GDAL calls the
        fourth band of any 8-bit image so, near infrared too.

        Raises:
            RasterError: wanted and found, in one line.
        """
        bands = settings.bands
        if self._dataset is not None and self._dataset.count == bands:
            self._indexes = list(range(1, bands + 1))
            self.bands = bands
        if self.bands != bands:
            msg = f"{self.path}: wanted {bands} bands, as the model takes, found {self.bands}"
            raise RasterError(msg)
        if self.dtype != np.uint8 and settings.input.scale == _BYTES:
            msg = (
                f"{self.path}: holds {self.dtype}, the model's input.scale {_BYTES} is for bytes; "
                "set model.input.scale (and mean, deviation) and train with it"
            )
            raise RasterError(msg)

    @property
    def left_out(self) -> int:
        """How many bands count as alpha: GDAL calls the fourth of any 8-bit image so."""
        return 0 if self._dataset is None else int(self._dataset.count) - self.bands

    @property
    def decoded_whole(self) -> bool:
        """Can the file not be read by window?"""
        return self.path.suffix.lower() in _PHOTOS | _DECODED_WHOLE

    @property
    def reading_bytes(self) -> int:
        """What reading takes at the most: a thumbnail is made of all pixels."""
        copies = 2.4 if self.decoded_whole else 1.4  # decoded, turned, and a band at a time
        return int(copies * self._bytes)

    @property
    def kept_bytes(self) -> int:
        """What is held until the raster is closed."""
        return self._bytes if self.decoded_whole else 0

    @property
    def _bytes(self) -> int:
        return self.size.height * self.size.width * self.bands * self.dtype.itemsize

    def thumbnail(self, size: Size) -> np.ndarray:
        """The whole raster resampled to `size`; see `shrink`."""
        return shrink(self.read(), size)

    def close(self) -> None:
        """Give the file and a decoded image back."""
        self._pixels = None
        if self._dataset is not None:
            self._dataset.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_scene(path: Path, size: Size, advice: str) -> None:
    """Refuse what is too large for one scene.

    Raises:
        RasterError: the size, the limit, and the advice, in one line that begins with the path.
    """
    megapixels = size.height * size.width / 1e6
    if megapixels > MAX_MEGAPIXELS:
        msg = (
            f"{path}: {size.height} x {size.width} is {megapixels:.0f} megapixels; "
            f"at most {MAX_MEGAPIXELS} fit into one scene, {advice}"
        )
        raise RasterError(msg)
