"""Labels from polygons, burnt in window by window."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rasterio import Affine
from rasterio._err import CPLE_BaseError  # what PROJ refuses has no public name
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.features import rasterize
from rasterio.warp import transform

from glnet.datasets.masks import LabelCoder, LabelScene
from glnet.datasets.vectors import Polygon, Polygons, read_outlines, read_polygons
from glnet.errors import DataError
from glnet.geometry import Size, Window
from glnet.georeference import through
from glnet.photo import unwarned
from glnet.raster import Raster

#: GeoJSON's own, where the file names none: longitude, latitude.
_WGS84 = "OGC:CRS84"


class Burning:
    """Polygons of pixel coordinates (column, row), burnt into any window as into the whole."""

    def __init__(self, polygons: Sequence[Polygon], values: Sequence[int]) -> None:
        """The last polygon that a pixel's centre lies in decides its value."""
        self._shapes = [
            ({"type": "Polygon", "coordinates": [ring.tolist() for ring in polygon.rings]}, value)
            for polygon, value in zip(polygons, values, strict=True)
        ]
        corners = [(p.rings[0].min(axis=0), p.rings[0].max(axis=0)) for p in polygons]
        self._bounds = np.array(corners).reshape(-1, 2, 2)

    def meets(self, window: Window) -> np.ndarray:
        """Whose frames reach into a window: boolean, one by one."""
        starts, ends = self._bounds[:, 0], self._bounds[:, 1]
        meets = (starts < (window.right, window.bottom)) & (ends > (window.left, window.top))
        return np.asarray(meets.all(axis=1))

    def onto(self, window: Window, rest: int) -> np.ndarray:
        """The values of a window's pixels, uint8 (height, width); `rest` where no polygon lies."""
        values = np.full(window.size, rest, np.uint8)
        met = [self._shapes[i] for i in np.flatnonzero(self.meets(window))]
        if met:
            corner = Affine.translation(window.left, window.top)
            with unwarned():  # rasterio changes the process's filters, other threads may too
                rasterize(met, out=values, transform=corner)
        return values


class ShapesScene(LabelScene):
    """Polygons in the class table's order: a pixel is the last one's that its centre lies in."""

    def __init__(self, polygons: list[Polygon], coder: LabelCoder, window: Window) -> None:
        """Keep polygons of pixel coordinates (column, row)."""
        super().__init__(window)
        self._rest = coder.rest
        ordered = sorted(polygons, key=lambda polygon: polygon.row)
        labels = [coder.label(coder.table.rows[polygon.row]) for polygon in ordered]
        self._burnt = Burning(ordered, labels)

    def _labels(self, window: Window) -> np.ndarray:
        return self._burnt.onto(window, self._rest)


@contextlib.contextmanager
def open_shapes(
    path: Path, onto: Raster, coder: LabelCoder, window: Window
) -> Iterator[LabelScene]:
    """Read a file of polygons, laid onto an image.

    Raises:
        DataError: see `read_polygons`; or the file's coordinates cannot become the image's.
    """
    found = read_polygons(path, coder.table)
    scene = ShapesScene(_in_pixels(path, found, onto), coder, window)
    scene.skipped = found.skipped
    yield scene


class Area:
    """Ground that polygons mark out on an image, in any order and of any class."""

    def __init__(self, polygons: list[Polygon]) -> None:
        """Keep polygons of pixel coordinates (column, row)."""
        self._burnt = Burning(polygons, [1] * len(polygons))

    def meets(self, size: Size) -> bool:
        """Does any polygon's frame reach into an image of this size?"""
        return bool(self._burnt.meets(Window(0, 0, *size)).any())

    def inside(self, window: Window) -> np.ndarray:
        """Which pixels' centres lie in a polygon: boolean (height, width)."""
        return self._burnt.onto(window, 0) > 0


def read_area(path: Path, onto: Raster) -> Area:
    """Read a file of polygons as one area of an image.

    Raises:
        DataError: it cannot be read, or its coordinates cannot become the image's.
    """
    return Area(_in_pixels(path, read_outlines(path), onto))


def _in_pixels(path: Path, found: Polygons, onto: Raster) -> list[Polygon]:
    """The polygons in the image's pixels: column, row. Of a slide they are the finest level's."""
    ground = onto.georeference
    if onto.slide and (found.pixels or found.crs is None):
        return _through(found.polygons, Affine.scale(1 / onto.downsample))
    if found.pixels:
        return found.polygons
    crs = found.crs
    if crs is None and ground is not None and ground.crs is not None and not _packaged(path):
        crs = _WGS84
    if crs is not None and (ground is None or ground.crs is None):
        msg = (
            f"{path}: its coordinates are {crs}, but {onto.path.name} has no coordinate system; "
            "give it one, or write the polygons in pixels"
        )
        raise DataError(msg)
    polygons = found.polygons
    if crs is not None and ground is not None:
        polygons = _reprojected(path, found, crs, ground.crs)
    return polygons if ground is None else _through(polygons, ~ground.transform)


def _packaged(path: Path) -> bool:
    """A GeoPackage names its coordinate system itself; without one it has the image's."""
    return path.suffix.lower() == ".gpkg"


def _reprojected(path: Path, found: Polygons, crs: str, to: CRS) -> list[Polygon]:
    polygons = found.polygons
    try:
        source = CRS.from_user_input(crs)
        if source == to or not polygons:
            return polygons
        places = np.concatenate([ring for polygon in polygons for ring in polygon.rings])
        moved = np.stack(transform(source, to, *places.T), axis=1)
    except (CRSError, CPLE_BaseError) as error:
        told = crs if found.crs else "longitude and latitude, for it names no crs"
        msg = f"{path}: its coordinates ({told}) cannot become the image's ({error})"
        raise DataError(msg) from error
    return _with_places(polygons, moved)


def _through(polygons: list[Polygon], affine: Affine) -> list[Polygon]:
    """Every place through an affine transform."""
    if not polygons:
        return polygons
    places = np.concatenate([ring for polygon in polygons for ring in polygon.rings])
    return _with_places(polygons, through(affine, places))


def _with_places(polygons: list[Polygon], places: np.ndarray) -> list[Polygon]:
    """The same rings at other places, given in their order."""
    rings = (ring for polygon in polygons for ring in polygon.rings)
    ends = np.cumsum([len(ring) for ring in rings])
    moved = iter(np.split(places, ends[:-1]))
    return [Polygon(p.row, tuple(next(moved) for _ in p.rings)) for p in polygons]
