"""Files of polygons: GeoJSON, QuPath's GeoJSON and GeoPackage, read whole and checked.

Nothing here knows of an image: what comes out are rings, in the file's own coordinates, each with
the row of the class table that it belongs to. An outline that crosses itself is kept, and holds
what an odd number of its turns goes round: drawn by hand, many do.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glnet.datasets.classes import ClassTable
from glnet.errors import DataError
from glnet.extras import install, misnamed

VECTOR_SUFFIXES = (".geojson", ".json", ".gpkg")

#: What a GeoPackage says of coordinates without a place on Earth.
_NOWHERE = ("ENGCRS", "LOCAL_CS")

#: What QuPath calls its objects, before and since its 0.4.
_QUPATHS = (
    "annotation", "detection", "cell", "tile", "tma_core", "root",
    "PathAnnotationObject", "PathDetectionObject", "PathCellObject", "PathTileObject",
)  # fmt: skip

#: A ring of fewer positions encloses nothing: three corners, the first told twice.
_SHORTEST_RING = 4


@dataclass(frozen=True, slots=True)
class Polygon:
    """One outline with its holes, and the row of the class table that it belongs to."""

    row: int
    rings: tuple[np.ndarray, ...]


@dataclass(frozen=True, slots=True)
class Polygons:
    """What a file holds.

    Attributes:
        polygons: One by one, in the file's order; the parts of a multipolygon apart.
        crs: Their coordinate system, as the file tells it; None where it does not.
        pixels: The coordinates are pixels, whatever the image: column, row.
        skipped: Geometries that were left out: empty, or with a ring that encloses nothing.
    """

    polygons: list[Polygon]
    crs: str | None
    pixels: bool
    skipped: int


@dataclass(frozen=True, slots=True)
class _Features:
    """Geometries as GeoJSON has them, and what is told of each."""

    geometries: list[dict[str, Any] | None]
    properties: list[dict[str, Any]]
    crs: str | None
    pixels: bool = False


def read_polygons(path: Path, table: ClassTable) -> Polygons:
    """Read a file of polygons.

    Raises:
        DataError: not such a file; something else than polygons; no column of classes, or several;
            a value that is no class, by the feature's number, counted from 1.
    """
    features = _features(path)
    return _as_polygons(path, features, _rows(path, features.properties, table))


def read_outlines(path: Path) -> Polygons:
    """Read a file of polygons whatever they mean: all belong to row 0.

    Raises:
        DataError: not such a file, or something else than polygons.
    """
    if path.suffix.lower() not in VECTOR_SUFFIXES:
        msg = f"{path}: wanted a file of polygons: {', '.join(VECTOR_SUFFIXES)}"
        raise DataError(msg)
    features = _features(path)
    return _as_polygons(path, features, [0] * len(features.geometries))


def _features(path: Path) -> _Features:
    return _geopackage(path) if path.suffix.lower() == ".gpkg" else _geojson(path)


def _as_polygons(path: Path, features: _Features, rows: Sequence[int]) -> Polygons:
    polygons, skipped = [], 0
    for number, (row, geometry) in enumerate(zip(rows, features.geometries, strict=True), start=1):
        outlines = _outlines(path, number, geometry)
        sound = [rings for rings in outlines if rings]
        skipped += max(1, len(outlines)) - len(sound)
        polygons += [Polygon(row, rings) for rings in sound]
    return Polygons(polygons, features.crs, features.pixels, skipped)


def _geojson(path: Path) -> _Features:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path}: cannot be read as GeoJSON ({error})"
        raise DataError(msg) from error
    listed = content.get("features") if isinstance(content, dict) else content
    if isinstance(content, dict) and content.get("type") == "Feature":
        listed = [content]
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        msg = f"{path}: wanted GeoJSON: a FeatureCollection or a list of features"
        raise DataError(msg)
    properties = [_below(one, "properties") for one in listed]
    geometries = [one.get("geometry") for one in listed]
    crs = content.get("crs") if isinstance(content, dict) else None
    if crs is None and any(map(_is_qupaths, properties)):
        named = [{"class": _below(own, "classification").get("name")} for own in properties]
        return _Features(geometries, named, None, pixels=True)
    name = _below(_below({"crs": crs}, "crs"), "properties").get("name")
    if crs is not None and not isinstance(name, str):
        msg = f"{path}: its crs has no name; wanted, e.g., 'urn:ogc:def:crs:EPSG::32633'"
        raise DataError(msg)
    return _Features(geometries, properties, name)


def _is_qupaths(own: dict[str, Any]) -> bool:
    """Are these properties of one of QuPath's objects? Others may have an `objectType` too."""
    name = _below(own, "classification").get("name")
    return isinstance(name, str) or own.get("objectType") in _QUPATHS


def _below(holder: dict[str, Any], key: str) -> dict[str, Any]:
    """The object that it holds there; none, and GeoJSON's null, are empty."""
    held = holder.get(key)
    return held if isinstance(held, dict) else {}


def _geopackage(path: Path) -> _Features:
    try:
        import pyogrio.raw  # noqa: PLC0415  an extra
        import shapely.geometry  # noqa: PLC0415
    except ImportError as error:
        msg = f"{path}: reading a GeoPackage needs: {install('vector')} ({error})"
        raise DataError(msg) from error
    if misnamed(path):
        msg = f"{path}: is a name that GeoPackages cannot have; rename it, without ; ! and tabs"
        raise DataError(msg)
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
        if len(layers) != 1:
            found = ", ".join(layers) or "none"
            msg = f"{path}: wanted one layer of polygons, found {found}; save the one that is meant"
            raise DataError(msg)
        meta, _, blobs, columns = pyogrio.raw.read(path, layer=layers[0])
        shapes = shapely.from_wkb(blobs, on_invalid="ignore")
    except (RuntimeError, ValueError, OSError) as error:
        msg = f"{path}: cannot be read as a GeoPackage ({error})"
        raise DataError(msg) from error
    cells = zip(*(column.tolist() for column in columns), strict=True)
    properties = [dict(zip(map(str, meta["fields"]), row, strict=True)) for row in cells]
    crs = meta["crs"] if not str(meta["crs"]).startswith(_NOWHERE) else None
    geometries = [shapely.geometry.mapping(one) if one is not None else None for one in shapes]
    return _Features(geometries, properties or [{} for _ in geometries], crs)


def _rows(path: Path, properties: Sequence[dict[str, Any]], table: ClassTable) -> list[int]:
    """The row of the class table that every feature belongs to."""
    column = _class_column(path, properties, table)
    rows = []
    for number, own in enumerate(properties, start=1):
        row = _row(own.get(column), table)
        if row is None:
            known = ", ".join(table.names)
            found = own.get(column)
            held = "no class" if found is None else f"the unknown class {found!r}"
            msg = f"{path}: feature {number} has {held} in '{column}'; known: {known}"
            raise DataError(msg)
        rows.append(row)
    return rows


def _class_column(path: Path, properties: Sequence[dict[str, Any]], table: ClassTable) -> str:
    columns = list(dict.fromkeys(key for own in properties for key in own))
    if "class" in columns or not properties:
        return "class"
    fitting = [
        column
        for column in columns
        if all(_row(own.get(column), table) is not None for own in properties)
    ]
    if len(fitting) == 1:
        return fitting[0]
    found = f"{', '.join(fitting)} all do" if fitting else f"none of {', '.join(columns)} does"
    msg = (
        f"{path}: wanted a column 'class', or one column alone that holds class names or mask "
        f"values only; {found if columns else 'there are no columns'}"
    )
    raise DataError(msg)


def _row(value: object, table: ClassTable) -> int | None:
    """The row of the class table that a value means: a name, else a mask value."""
    names = [row.name for row in table.rows]
    if isinstance(value, str) and value in names:
        return names.index(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    values = [row.value for row in table.rows]
    whole = str(value).strip().removesuffix(".0")
    return values.index(int(whole)) if whole in map(str, values) else None


def _outlines(path: Path, number: int, geometry: Any) -> list[tuple[np.ndarray, ...]]:  # noqa: ANN401  whatever the file held
    """The rings of every polygon of a geometry; no rings where one encloses nothing."""
    if geometry is None:
        return []
    kind = geometry.get("type") if isinstance(geometry, dict) else type(geometry).__name__
    if kind not in ("Polygon", "MultiPolygon"):
        msg = f"{path}: feature {number} is a {kind}; only Polygon and MultiPolygon can be labels"
        raise DataError(msg)
    parts = geometry.get("coordinates") or []
    return [_rings(part) for part in ([parts] if kind == "Polygon" else parts)]


def _rings(part: Any) -> tuple[np.ndarray, ...]:  # noqa: ANN401  whatever the file held
    """A polygon's rings, each of shape (positions, 2), heights dropped; none if one is unsound."""
    try:
        rings = [np.array([place[:2] for place in ring], float).reshape(-1, 2) for ring in part]
    except (TypeError, ValueError):
        return ()
    return tuple(rings) if all(map(_encloses, rings)) else ()


def _encloses(ring: np.ndarray) -> bool:
    """Is it a ring of finite places, and more than there and back?"""
    if len(ring) < _SHORTEST_RING or not np.isfinite(ring).all():
        return False
    return len(set(map(tuple, ring.tolist()))) >= _SHORTEST_RING - 1
