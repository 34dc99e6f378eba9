"""JPEG photos: what their header tells, and their pixels as a viewer shows them."""

import contextlib
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from glnet.geometry import Size

#: The EXIF tag of how the camera was held, and those of its values that exchange height and width.
_ORIENTATION, _SIDES_EXCHANGED = 0x0112, range(5, 9)

#: How pixels become upright, by that tag's values.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip

#: Filters of warnings belong to the process: two threads that change them at once mix them up.
_FILTERS = threading.Lock()


@dataclass(frozen=True, slots=True)
class Photo:
    """The header of a JPEG.

    Attributes:
        size: Height and width, as seen.
        bands: How many.
        orientation: EXIF's, 1 to 8; 1 is upright.
    """

    size: Size
    bands: int
    orientation: int


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """Readers warn of what is odd in a header; that is no news to people who predict."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_photo(path: Path) -> bool:
    """Does it begin as a JPEG does, whatever its name?"""
    with path.open("rb") as file:
        return file.read(3) == b"\xff\xd8\xff"


def read_header(path: Path) -> Photo:
    """The header of a JPEG; raises what Pillow does."""
    # Not Image.open, which has a limit and a warning of its own on the size.
    with unwarned(), JpegImageFile(path) as image:
        told = image.getexif().get(_ORIENTATION, 1)
        orientation = told if told in range(1, 9) else 1
        turned = orientation in _SIDES_EXCHANGED
        size = Size(*(image.size if turned else image.size[::-1]))
        return Photo(size, len(image.getbands()), orientation)


def decode(path: Path, orientation: int) -> np.ndarray:
    """All pixels, upright: uint8, shape (bands, height, width); raises what Pillow does."""
    with unwarned():
        stored = JpegImageFile(path)
    with stored as image:
        turn = _UPRIGHT.get(orientation)
        pixels = np.asarray(image if turn is None else image.transpose(turn))
    return np.moveaxis(np.atleast_3d(pixels), -1, 0)
