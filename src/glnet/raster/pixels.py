"""What a reader of one kind of image file gives; `raster.Raster` asks, and explains its errors."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.georeference import Georeference


class Pixels(Protocol):
    """An open image file. Readers raise what their libraries do.

    Attributes:
        size: Height and width, as seen.
        bands: How many are read: all but alpha, or those chosen.
        count: How many there are to choose from; none, of a photo.
        dtype: Of the stored values.
        bits: Of a value as stored.
        georeference, palette, orientation: See `Raster`.
        whole: Can the file not be read by window?
        blocks: What is decoded at a time, at the least; None: all of it.
        masks: Does the file say of pixels that they mean nothing: nodata, alpha, a mask?
        overviews: Does the file hold smaller copies of itself?
    """

    size: Size
    bands: int
    count: int
    dtype: np.dtype
    georeference: Georeference | None
    palette: np.ndarray | None
    orientation: int
    whole: bool

    @property
    def bits(self) -> int: ...  # noqa: D102  told above

    @property
    def blocks(self) -> Size | None: ...  # noqa: D102

    @property
    def masks(self) -> bool: ...  # noqa: D102

    @property
    def overviews(self) -> bool: ...  # noqa: D102

    def take(self, bands: list[int]) -> None:
        """Read these bands from now on, counted from 1; alpha that is among them is data."""

    def decode(self) -> tuple[np.ndarray, np.ndarray | None]:
        """All pixels (bands, height, width) and where they mean something, if `masks`."""

    def read(self, window: Window) -> np.ndarray:
        """Pixels of a window, shape (bands, height, width)."""

    def valid(self, window: Window, pixels: np.ndarray) -> np.ndarray | None:
        """Where those pixels mean something, boolean (height, width); None: everywhere."""

    def close(self) -> None:
        """Give the file back."""


def area(window: Window) -> tuple[tuple[int, int], tuple[int, int]]:
    """A window as rasterio takes it."""
    return (window.top, window.bottom), (window.left, window.right)


def finite(pixels: np.ndarray) -> np.ndarray:
    """Which values are numbers in single precision, in which networks compute."""
    if pixels.dtype == np.float64:
        return np.abs(pixels) <= np.finfo(np.float32).max
    return np.isfinite(pixels)


def means(pixels: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Every band's mean over the pixels that mean something, float64; 0 where none does."""
    known = [band if valid is None else band[valid] for band in pixels]
    return np.array([band.mean(dtype=np.float64) if band.size else 0.0 for band in known])


def filled(pixels: np.ndarray, valid: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Missing ground in one value per band: of means a network sees the least."""
    filled = pixels.copy()
    whole = pixels.dtype.kind in "iu"
    for band, value in zip(filled, values, strict=True):
        band[~valid] = np.rint(value) if whole else value
    return filled


@contextlib.contextmanager
def explained(path: object, what: str) -> Iterator[None]:
    """Turn the readers' many exceptions into one line that names the file."""
    try:
        yield
    except (RasterError, MemoryError):
        raise
    except Exception as error:  # whatever a damaged file makes of a reader
        # GDAL's own words are one level down.
        detail = " ".join(str(error.__cause__ or error).split())
        msg = f"{path}: {what}; is it damaged or of another format? ({detail})"
        raise RasterError(msg) from error


def refuse_infinite(path: object, pixels: np.ndarray, window: Window) -> None:
    """One NaN would spread over the whole thumbnail, and from there over the mask.

    Raises:
        RasterError: where it is.
    """
    if pixels.dtype.kind == "f" and not finite(pixels).all():
        _, row, column = np.argwhere(~finite(pixels))[0]
        msg = (
            f"{path}: the value at row {window.top + row}, column {window.left + column} "
            "is not finite; fill missing ground first"
        )
        raise RasterError(msg)
