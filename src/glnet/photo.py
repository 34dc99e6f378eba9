"""JPEG photos: what their header tells, and their pixels as a viewer shows them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from glnet.geometry import Size

SUFFIXES = {".jpg", ".jpeg"}

#: The EXIF tag of how the camera was held, and those of its values that exchange height and width.
_ORIENTATION, _SIDES_EXCHANGED = 0x0112, range(5, 9)


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


def read_header(path: Path) -> Photo:
    """The header of a JPEG; raises what Pillow does."""
    # Not Image.open, which has a limit and a warning of its own on the size.
    with JpegImageFile(path) as image:
        told = image.getexif().get(_ORIENTATION, 1)
        orientation = told if told in range(1, 9) else 1
        turned = orientation in _SIDES_EXCHANGED
        size = Size(*(image.size if turned else image.size[::-1]))
        return Photo(size, len(image.getbands()), orientation)


def decode(path: Path) -> np.ndarray:
    """All pixels, upright: uint8, shape (bands, height, width); raises what Pillow does."""
    with JpegImageFile(path) as image:
        pixels = np.asarray(ImageOps.exif_transpose(image))
    return np.moveaxis(np.atleast_3d(pixels), -1, 0)
