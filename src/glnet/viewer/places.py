"""Where pixels lie on the Earth, and back: through a raster's georeference, whatever its system."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio.warp import transform

from glnet.geometry import Size
from glnet.georeference import UNPLACED, Georeference, through

#: Longitude and latitude, in this order.
_EARTH = "OGC:CRS84"

#: Where a raster is asked for places, by its sides.
_TRIED = (0, 0.25, 0.5, 0.75, 1)


@dataclass(frozen=True, slots=True)
class Places:
    """Of a raster with a coordinate system; places are floats, a pixel's middle is at its half.

    Attributes:
        crs: The system.
        affine: From columns and rows to x and y.
    """

    crs: Any
    affine: Any

    def on_earth(self, columns_rows: np.ndarray) -> np.ndarray:
        """Longitudes and latitudes, shape (n, 2), of columns and rows; NaN where there are none."""
        return _moved(self.crs, _EARTH, through(self.affine, columns_rows))

    def in_raster(self, degrees: np.ndarray) -> np.ndarray:
        """Columns and rows, shape (n, 2), of longitudes and latitudes; NaN where there are none."""
        return through(~self.affine, _moved(_EARTH, self.crs, degrees))


def places_of(ground: Georeference | None, size: Size) -> Places | None:
    """Of a raster of this size; None: it has no system, or one that is nowhere on the Earth."""
    if ground is None or ground.crs is None or ground.transform.is_degenerate:
        return None
    places = Places(ground.crs, ground.transform)
    some = np.array([(x * size.width, y * size.height) for x in _TRIED for y in _TRIED])
    return places if np.isfinite(places.on_earth(some)).any() else None


def _moved(source: Any, target: Any, places: np.ndarray) -> np.ndarray:  # noqa: ANN401
    """From one system to another; one point that has no place there refuses all others beside."""
    try:
        moved = np.stack(transform(source, target, *places.T.tolist()), axis=1)
    except UNPLACED:
        if len(places) == 1:
            return np.full((1, 2), np.nan)
        halves = np.array_split(places, 2)
        return np.concatenate([_moved(source, target, half) for half in halves])
    return np.where(np.isfinite(moved).all(axis=1, keepdims=True), moved, np.nan)
