"""Labels from polygons, burnt in window by window."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from math import inf, isfinite, pi
from pathlib import Path
from typing import Self

import numpy as np
from rasterio import Affine
from rasterio._err import CPLE_BaseError  # what PROJ refuses has no public name
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.features import rasterize
from rasterio.warp import transform, transform_bounds

from glnet.datasets.clipping import Frame, near
from glnet.datasets.masks import LabelCoder, LabelScene
from glnet.datasets.vectors import Polygon, Polygons, read_outlines, read_polygons
from glnet.errors import DataError
from glnet.geometry import Size, Window
from glnet.georeference import UNPLACED, Georeference, through
from glnet.photo import unwarned
from glnet.raster import Raster

#: GeoJSON's own, where the file names none: longitude, latitude.
_WGS84 = "OGC:CRS84"

#: By so much, in any unit, rounding may miss a pole or the date line.
_ROUNDED = 1e-6


class Burning:
    """Polygons of pixel coordinates (column, row), burnt into any window as into the whole."""

    def __init__(self, polygons: Sequence[Polygon], values: Sequence[int]) -> None:
        """The last polygon that a pixel's centre lies in decides its value."""
        self._polygons, self._values = polygons, values
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
        held = zip(self._polygons, self._values, strict=True)
        met = [
            # As lists only when they are needed: these take many times the memory of arrays.
            ({"type": "Polygon", "coordinates": [ring.tolist() for ring in polygon.rings]}, value)
            for polygon, value in compress(held, self.meets(window))
        ]
        if met:
            corner = Affine.translation(window.left, window.top)
            with unwarned():  # rasterio changes the process's filters, other threads may too
                rasterize(met, out=values, transform=corner)
        return values


class ShapesScene(LabelScene):
    """Polygons as labels: a pixel is the last one's that its centre lies in."""

    def __init__(self, burnt: Burning, rest: int, window: Window) -> None:
        """Of polygons with labels for values; `rest` is the label of what none claims."""
        super().__init__(window)
        self._burnt, self._rest = burnt, rest

    def _labels(self, window: Window) -> np.ndarray:
        return self._burnt.onto(window, self._rest)


def in_table_order(polygons: Sequence[Polygon], coder: LabelCoder) -> Burning:
    """Polygons of pixel coordinates with their labels, those of later rows over earlier ones."""
    ordered = sorted(polygons, key=lambda polygon: polygon.row)
    return Burning(ordered, [coder.label(coder.table.rows[polygon.row]) for polygon in ordered])


@contextlib.contextmanager
def open_shapes(
    path: Path, onto: Raster, coder: LabelCoder, window: Window
) -> Iterator[LabelScene]:
    """Read a file of polygons, laid onto an image; kept for the next scenes of that image.

    Raises:
        DataError: see `read_polygons`; or the file's coordinates cannot become the image's.
    """
    burnt, skipped = _read(path, _written(path), coder, _Ground.of(onto))
    scene = ShapesScene(burnt, coder.rest, window)
    scene.skipped = skipped
    yield scene


@dataclass(frozen=True, slots=True)
class _Ground:
    """What of an image decides where a polygon lies in its pixels."""

    name: str
    size: Size
    georeference: Georeference | None
    slide: bool
    downsample: float

    @classmethod
    def of(cls, raster: Raster) -> Self:
        found = raster.georeference, raster.slide is not None, raster.downsample
        return cls(raster.path.name, raster.size, *found)


def _written(path: Path) -> tuple[int, int] | None:
    """When, and how many bytes; None where reading will tell what is wrong."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=8)
def _read(
    path: Path, written: tuple[int, int] | None, coder: LabelCoder, ground: _Ground
) -> tuple[Burning, int]:
    """The polygons of a file that was `written` so, and how many were left out.

    Kept, for training opens the scenes of an image again and again: 40,000 outlines take seconds.
    """
    del written
    found = read_polygons(path, coder.table)
    return in_table_order(_in_pixels(path, found, ground), coder), found.skipped


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
    return Area(_in_pixels(path, _outlines(path, _written(path)), _Ground.of(onto)))


@lru_cache(maxsize=2)
def _outlines(path: Path, written: tuple[int, int] | None) -> Polygons:
    """See `read_outlines`; kept, for every image of a folder asks, and asks twice."""
    del written
    return read_outlines(path)


def _in_pixels(path: Path, found: Polygons, onto: _Ground) -> list[Polygon]:
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
            f"{path}: its coordinates are {crs}, but {onto.name} has no coordinate system; "
            "give it one, or write the polygons in pixels"
        )
        raise DataError(msg)
    polygons = found.polygons
    if crs is not None and ground is not None:
        polygons = _reprojected(path, found, crs, onto.size, ground)
    if ground is None:
        return polygons
    return _through(_round_the_earth(polygons, onto.size, ground), ~ground.transform)


def _round_the_earth(polygons: list[Polygon], size: Size, ground: Georeference) -> list[Polygon]:
    """Also a turn further west or east, where an image's degrees go beyond the date line."""
    if ground.crs is None:
        return polygons
    left, _, right, _ = _bounds(size, ground)
    found = list(polygons)
    for way, beyond in zip((-1, 1), _beyond(left, right, ground.crs), strict=True):
        if beyond:
            turn = np.array([way * 2 * pi / ground.crs.units_factor[1], 0])
            found += [Polygon(p.row, tuple(ring + turn for ring in p.rings)) for p in polygons]
    return found


def _beyond(left: float, right: float, crs: CRS) -> tuple[bool, bool]:
    """Do longitudes go beyond the date line, in the west, in the east?"""
    half = pi / crs.units_factor[1] + _ROUNDED if crs.is_geographic else inf
    return left < -half, right > half


def _bounds(size: Size, ground: Georeference) -> Frame:
    """The image's frame in its own system."""
    height, width = size
    corners = np.array([(0, 0), (width, 0), (0, height), (width, height)], float)
    places = through(ground.transform, corners)
    (left, bottom), (right, top) = places.min(axis=0).tolist(), places.max(axis=0).tolist()
    return left, bottom, right, top


def _packaged(path: Path) -> bool:
    """A GeoPackage names its coordinate system itself; without one it has the image's."""
    return path.suffix.lower() == ".gpkg"


def _reprojected(
    path: Path, found: Polygons, crs: str, size: Size, ground: Georeference
) -> list[Polygon]:
    polygons = found.polygons
    try:
        source = CRS.from_user_input(crs)
        if source == ground.crs:
            return polygons
        _check_latitudes(polygons, source)
        frame = _frame(size, ground, source)
        if frame is not None:
            polygons = list(near(polygons, frame))
        if not polygons:
            return polygons
        places = np.concatenate([ring for polygon in polygons for ring in polygon.rings])
        moved = np.stack(transform(source, ground.crs, *places.T), axis=1)
    except (CRSError, CPLE_BaseError) as error:
        told = crs if found.crs else "longitude and latitude, for it names no crs"
        msg = f"{path}: its coordinates ({told}) cannot become the image's ({error})"
        raise DataError(msg) from error
    return _with_places(polygons, moved)


def _check_latitudes(polygons: Sequence[Polygon], crs: CRS) -> None:
    """Metres that are told as degrees would lie beside every image, and be no error."""
    if not crs.is_geographic:
        return
    highest = max((float(np.abs(p.rings[0][:, 1]).max()) for p in polygons), default=0)
    if highest * crs.units_factor[1] > pi / 2 + _ROUNDED:
        msg = f"a latitude of {highest:g} {crs.units_factor[0]}s"
        raise CRSError(msg)


def _frame(size: Size, ground: Georeference, to: CRS) -> Frame | None:
    """Where an image lies in another system; None: not there, or across the date line."""
    try:
        frame = transform_bounds(ground.crs, to, *_bounds(size, ground))
    except UNPLACED:
        return None
    left, bottom, right, top = frame
    whole = left < right and bottom < top and not any(_beyond(left, right, to))
    return frame if isfinite(sum(frame)) and whole else None


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
