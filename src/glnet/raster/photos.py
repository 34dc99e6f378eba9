"""JPEG photos, by Pillow: decoded as a whole, upright."""

import contextlib
from pathlib import Path

import numpy as np
from rasterio.errors import RasterioError

from glnet import photo
from glnet.geometry import Size, Window
from glnet.georeference import Georeference, georeference_of
from glnet.raster.datasets import by_gdal


class PhotoPixels:
    """A photo; see `Pixels`."""

    count, dtype, bits = 0, np.dtype(np.uint8), 8
    palette: np.ndarray | None = None
    whole = True
    blocks: Size | None = None
    masks = overviews = False

    def __init__(self, path: Path) -> None:
        """Read its header."""
        self._path = path
        header = photo.read_header(path)
        self.size, self.bands, self.orientation = header.size, header.bands, header.orientation
        self.georeference: Georeference | None = None
        if self.orientation == 1:  # a world file tells of the pixels as they are stored
            with contextlib.suppress(RasterioError), by_gdal(path) as dataset:
                self.georeference = georeference_of(dataset)

    def take(self, bands: list[int]) -> None:
        """Never asked: `count` is none."""
        raise NotImplementedError

    def decode(self) -> tuple[np.ndarray, None]:
        """See `Pixels`."""
        return photo.decode(self._path, self.orientation), None

    def read(self, window: Window) -> np.ndarray:
        """Never asked: it is `whole`."""
        raise NotImplementedError

    def valid(self, window: Window, pixels: np.ndarray) -> None:
        """All of them."""

    def close(self) -> None:
        """Nothing is held open."""
