"""Where a raster lies on the ground, and how large its pixels are there."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, isfinite, pi
from typing import Any, NamedTuple

import numpy as np
from rasterio._err import CPLE_BaseError  # what PROJ refuses has no public name
from rasterio.errors import RasterioError
from rasterio.warp import transform

from glnet.geometry import Size

#: Metres: the sphere with the Earth's mean radius.
_RADIUS = 6_371_008.8

#: Map metres further off the ground's are not taken for these: Web Mercator's are twice as long at
#: 60 degrees. Nearer ones are better than what a sphere says.
_OFF = 0.02

#: In pixels: rasters of one size whose corners are further apart do not show the same ground.
_SHIFTED = 0.5

#: What is raised of places that a system does not have.
UNPLACED = (CPLE_BaseError, RasterioError)

_Place = tuple[float, float]


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
        """Of a raster of this size, at its centre; None without a system, or a size of pixels.

        Degrees are converted, and so is what a map stretches.
        """
        if self.crs is None:
            return None
        affine = self.transform
        middle = affine @ (size.width / 2, size.height / 2)
        steps = (affine.b, affine.e), (affine.a, affine.d)  # (x, y) of a row, of a column
        unit = self.crs.units_factor[1]  # in radians or metres
        if self.crs.is_geographic:
            found = _along(steps, middle[1], unit)
        elif self.crs.is_projected:
            found = Resolution(*(unit * hypot(*step) for step in steps))
            ground = self._on_ground(middle, steps)
            if ground and any(abs(m - g) > _OFF * g for m, g in zip(found, ground, strict=True)):
                found = ground
        else:
            return None
        return found if found.rows > 0 < found.columns else None

    def apart(self, other: "Georeference", size: Size) -> bool:
        """Do two rasters of one size lie apart: by half a pixel at a corner, or in system?

        No, where one of them does not say where it lies.
        """
        for each in (self, other):
            if each.crs is None or each.transform.is_identity or each.transform.is_degenerate:
                return False
        if self.crs != other.crs:
            return True
        height, width = size
        corners = np.array([(0, 0), (width, 0), (0, height), (width, height)], float)
        shifted = through(~self.transform, through(other.transform, corners)) - corners
        return bool((np.abs(shifted) > _SHIFTED).any())

    def _on_ground(self, middle: _Place, steps: tuple[_Place, _Place]) -> Resolution | None:
        """By longitudes and latitudes; None where the system has none."""
        x, y = zip(middle, *((middle[0] + dx, middle[1] + dy) for dx, dy in steps), strict=True)
        try:
            east, north = transform(self.crs, "OGC:CRS84", x, y)
        except UNPLACED:
            return None
        found = _along(
            # Across the date line it is a turn less.
            [
                ((e - east[0] + 180) % 360 - 180, n - north[0])
                for e, n in zip(east[1:], north[1:], strict=True)
            ],
            north[0],
        )
        return found if isfinite(sum(found)) else None


def _along(steps: Sequence[_Place], latitude: float, unit: float = pi / 180) -> Resolution:
    """Metres of steps of longitude and latitude, told in units of so many radians, on a sphere."""
    narrower = cos(unit * latitude)
    return Resolution(*(_RADIUS * unit * hypot(x * narrower, y) for x, y in steps))


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
