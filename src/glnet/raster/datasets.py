"""TIFF and the other formats of GDAL: read by window, but for PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from glnet import photo
from glnet.geometry import Size, Window
from glnet.georeference import georeference_of
from glnet.raster.pixels import area
from glnet.reach import DRIVERS, GDAL_OPTIONS

#: What viewers write beside an image: statistics, and smaller copies.
_VIEWERS = (".aux.xml", ".ovr")


def by_gdal(path: Path, drivers: Sequence[str] = DRIVERS) -> Any:  # noqa: ANN401  rasterio has no types
    """A file as GDAL sees it."""
    # Absolute, or a file named like a URL would be taken for one.
    with photo.unwarned(), rasterio.Env(**GDAL_OPTIONS):
        return DatasetReader(str(path.absolute()), driver=list(drivers))


class DatasetPixels:
    """A dataset of GDAL's; see `Pixels`."""

    orientation = 1

    def __init__(self, file: Any) -> None:  # noqa: ANN401  rasterio has no types
        """Read the header of an open file."""
        self._file = file
        kinds = self._file.colorinterp
        self.count = int(self._file.count)
        self._alpha: set[int] = {i + 1 for i, kind in enumerate(kinds) if kind == ColorInterp.alpha}
        self.take([i + 1 for i in range(self.count) if i + 1 not in self._alpha])
        if self._file.dtypes[0].startswith("complex"):
            msg = "its values are complex numbers"
            raise TypeError(msg)
        self.dtype = np.dtype(self._file.dtypes[0])
        self.size = Size(self._file.height, self._file.width)
        self.palette: np.ndarray | None = None
        if kinds[0] == ColorInterp.palette:
            colours = self._file.colormap(1)
            self.palette = np.zeros((max(colours) + 1, 3), np.uint8)
            self.palette[list(colours)] = [colour[:3] for colour in colours.values()]
        self.georeference = georeference_of(self._file)
        self.whole = self._file.driver == "PNG"

    @property
    def bits(self) -> int:
        """See `Pixels`."""
        told = self._file.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8 * self.dtype.itemsize)
        return int(told)

    @property
    def blocks(self) -> Size | None:
        """See `Pixels`."""
        if self._file.driver == "WEBP":
            return None
        return Size(*np.max(self._file.block_shapes, axis=0).tolist())

    @property
    def masks(self) -> bool:
        """See `Pixels`."""
        return any(MaskFlags.all_valid not in band for band in self._file.mask_flag_enums)

    @property
    def nodata(self) -> list[float | None]:
        """What every band of the file, read or not, declares to mean nothing."""
        return list(self._file.nodatavals)

    @property
    def alpha(self) -> int | None:
        """The band, counted from 1, that says where pixels mean nothing."""
        return None if self._alpha_is_data else min(self._alpha, default=None)

    @property
    def overviews(self) -> bool:
        """See `Pixels`."""
        return bool(self._file.overviews(1))

    @property
    def control_points(self) -> bool:
        """Has it places of some of its pixels on the ground, and no transform for all?"""
        return self.georeference is None and bool(self._file.gcps[0])

    @property
    def files(self) -> list[Path]:
        """On this disk: its own, and those beside it, but for what viewers leave there."""
        return [Path(name) for name in self._file.files if not name.endswith(_VIEWERS)]

    def take(self, bands: list[int]) -> None:
        """See `Pixels`."""
        self._indexes, self.bands = bands, len(bands)
        self._alpha_is_data = not self._alpha.isdisjoint(bands)

    def decode(self) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Pixels`."""
        pixels = self._file.read(self._indexes)
        return pixels, self.valid(Window(0, 0, *self.size), pixels) if self.masks else None

    def read(self, window: Window) -> np.ndarray:
        """See `Pixels`."""
        return np.asarray(self._file.read(self._indexes, window=area(window)))

    def valid(self, window: Window, pixels: np.ndarray) -> np.ndarray | None:
        """See `Pixels`."""
        if self._alpha_is_data:
            nodata = self._file.nodata
            return None if nodata is None else self._together(pixels != nodata)
        if MaskFlags.per_dataset in self._file.mask_flag_enums[0]:  # alpha, or a mask
            return np.asarray(self._file.dataset_mask(window=area(window)) > 0)
        if self.alpha is None:
            return self._together(self._file.read_masks(self._indexes, window=area(window)))
        with photo.unwarned():  # that GDAL does not look at alpha where nodata is declared too
            valid = self._together(self._file.read_masks(self._indexes, window=area(window)))
        return valid & np.asarray(self._file.read(self.alpha, window=area(window)) > 0)

    def _together(self, marks: np.ndarray) -> np.ndarray:
        """Of a pixel, by those of its bands: one that is nodata may be a black that is a colour.

        Among floats it is a number like -9999: one would spread over the whole thumbnail.
        """
        return np.asarray(marks.all(axis=0) if self.dtype.kind == "f" else marks.any(axis=0))

    def close(self) -> None:
        """See `Pixels`."""
        self._file.close()
