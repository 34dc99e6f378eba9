"""Where a raster lies on the ground, and how large its pixels are there."""

from dataclasses import dataclass
from math import cos, hypot, pi, radians
from typing import Any, NamedTuple

import numpy as np

from glnet.geometry import Size

#: Metres of a degree along a meridian, of the sphere with the Earth's mean radius.
METRES_PER_DEGREE = 6_371_008.8 * pi / 180


class Resolution(NamedTuple):
    """Metres on the ground that a pixel is high and wide."""

    rows: float
    columns: float


@dataclass(frozen=True, slots=True)
class Georeference:
    """Coordinate system and affine transform, as rasterio's; either may be missing."""

    crs: Any
    transform: Any

    def resolution(self, size: Size) -> Resolution | None:
        """Of a raster of this size, degrees converted at its centre; None without a system."""
        if self.crs is None:
            return None
        affine = self.transform
        steps = (affine.b, affine.e), (affine.a, affine.d)  # (x, y) of a row, of a column
        if self.crs.is_geographic:
            _, latitude = affine @ (size.width / 2, size.height / 2)
            scale = METRES_PER_DEGREE * cos(radians(latitude)), METRES_PER_DEGREE
        elif self.crs.is_projected:
            scale = (self.crs.linear_units_factor[1],) * 2
        else:
            return None
        rows, columns = (hypot(x * scale[0], y * scale[1]) for x, y in steps)
        return Resolution(rows, columns) if rows > 0 < columns else None


def through(affine: Any, places: np.ndarray) -> np.ndarray:  # noqa: ANN401  rasterio's
    """Places (n, 2) through an affine transform: columns and rows to x and y, or back."""
    x, y = places.T
    return np.stack(
        [affine.a * x + affine.b * y + affine.c, affine.d * x + affine.e * y + affine.f], axis=1
    )


def georeference_of(dataset: Any) -> Georeference | None:  # noqa: ANN401  rasterio has no types
    """What a dataset says, if it says anything."""
    if dataset.crs is None and dataset.transform.is_identity:
        return None
    return Georeference(dataset.crs, dataset.transform)
