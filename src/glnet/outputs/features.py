"""Polygons as features of a file: GeoJSON, a feature a line, or GeoPackage; written as they come.

Both are read back before they count as written.
"""

import contextlib
import json
import sqlite3
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rasterio.crs import CRS

from glnet.errors import RasterError
from glnet.extras import install, misnamed
from glnet.georeference import Georeference, through
from glnet.outputs.outlines import Outlines
from glnet.probability import STEPS

#: GeoJSON's own coordinate system, which is not told.
_GEOJSON_OWN = ("EPSG:4326", "OGC:CRS84")

#: Of degrees: a centimetre of ground.
_FEWEST_DIGITS = 7

#: Of pixels, where a slide's level is no whole fraction of the finest.
_PIXEL_DIGITS = 3

#: Of a mean confidence.
_CONFIDENCE_DIGITS = 4

#: A GeoPackage is opened anew for as many features, or when they fill as many bytes.
_FEATURES, _BYTES = 50_000, 1 << 24

#: What SQLite keeps beside a file that it writes.
_BESIDE = ("-journal", "-wal", "-shm")

_LAYER = "polygons"

#: Geometries, values, areas, confidences of no features, so that there is something to join.
_NOTHING = np.zeros(0, object), np.zeros(0, np.uint8), np.zeros(0), np.zeros(0)

_DIFFERS = "it did not read back as written"


@dataclass(frozen=True, slots=True)
class Layer:
    """What all features of a file share.

    Attributes:
        names: The class of every value.
        colours: Of every value; for GeoJSON, where any.
        ground: Where the raster lies; None: coordinates are pixels, which is what QuPath reads.
        downsample: Of those, how many one of the raster's is, along a side.
        sure: Do the outlines have the mean confidence of their pixels?
    """

    names: Mapping[int, str]
    colours: Mapping[int, tuple[int, int, int]] | None
    ground: Georeference | None
    downsample: float = 1.0
    sure: bool = False

    @property
    def crs(self) -> Any:  # noqa: ANN401  rasterio has no types
        """The coordinate system, or None."""
        return self.ground.crs if self.ground is not None else None

    @property
    def pixel_area(self) -> float | None:
        """Of a pixel in square map units, where the map is plane."""
        if self.ground is None or self.crs is None or not self.crs.is_projected:
            return None
        return abs(float(self.ground.transform.determinant))

    def on_map(self, places: np.ndarray) -> np.ndarray:
        """Columns and rows as x and y."""
        if self.ground is None:
            return places * self.downsample
        return through(self.ground.transform, places)


def write_geojson(path: Path, layer: Layer, batches: Iterable[Outlines]) -> None:
    """Write a FeatureCollection and read it back.

    Raises:
        OSError: a write was refused, or other bytes came back.
    """
    checksum = 0
    with path.open("wb") as file:
        for text in _texts(layer, batches):
            data = text.encode()
            checksum = zlib.crc32(data, checksum)
            file.write(data)
    found = 0
    with path.open("rb") as file:
        while data := file.read(1 << 16):
            found = zlib.crc32(data, found)
    if found != checksum:
        raise OSError(_DIFFERS)


def _texts(layer: Layer, batches: Iterable[Outlines]) -> Iterator[str]:
    """The file, from its first character to its last."""
    members = ['"type":"FeatureCollection"']
    if layer.crs is not None and layer.crs not in map(CRS.from_user_input, _GEOJSON_OWN):
        named = {"type": "name", "properties": {"name": _crs_name(layer.crs)}}
        members.append(f'"crs":{json.dumps(named)}')
    yield "{" + ",".join(members) + ',"features":['
    between = "\n"
    for batch in batches:
        for line in _lines(layer, batch):
            yield between + line
            between = ",\n"
    yield "\n]}\n"


def _crs_name(crs: Any) -> str:  # noqa: ANN401  rasterio has no types
    """The number of a coordinate system where it is that one exactly, else its description."""
    number = crs.to_epsg()
    if number is not None and CRS.from_epsg(number) == crs:
        return f"urn:ogc:def:crs:EPSG::{number}"
    return str(crs.to_wkt(version="WKT2_2019"))


def _lines(layer: Layer, batch: Outlines) -> Iterator[str]:
    """Every feature as JSON."""
    opening = {value: _opening(layer, value) for value in np.unique(batch.values).tolist()}
    scale = layer.pixel_area
    places = _numbers(_rounded(layer, batch.places))
    cuts = batch.rings.tolist()
    rings = ["[[" + "],[".join(places[begin:end]) + "]]" for begin, end in pairwise(cuts)]
    spans = pairwise(batch.polygons.tolist())
    told = [f',"confidence":{mean!r}' for mean in _confidence(batch).tolist()] or [""] * len(batch)
    facts = zip(batch.values.tolist(), batch.areas.tolist(), told, spans, strict=True)
    for value, area, sure, (begin, end) in facts:
        ground = "" if scale is None else f',"area":{area * scale!r}'
        coordinates = ",".join(rings[begin:end])
        yield (
            f'{opening[value]},"area_px":{area!r}{ground}{sure}}},'
            f'"geometry":{{"type":"Polygon","coordinates":[{coordinates}]}}}}'
        )


def _confidence(batch: Outlines) -> np.ndarray:
    """Of every feature, in [0, 1]; nothing where it is not known."""
    means = np.zeros(0) if batch.means is None else batch.means
    return np.round(means / STEPS, _CONFIDENCE_DIGITS)


def _numbers(places: np.ndarray) -> list[str]:
    """Every place as text; a number that comes again, as most do, is made into text once."""
    axes = []
    for numbers in places.T:
        distinct, which = np.unique(numbers, return_inverse=True)
        texts = np.array([repr(number) for number in distinct.tolist()], object)
        axes.append(texts[which].tolist())
    return list(map(",".join, zip(*axes, strict=True)))


def _opening(layer: Layer, value: int) -> str:
    """A feature of a value, up to where its own facts begin."""
    name, colour = layer.names[value], (layer.colours or {}).get(value)
    facts: dict[str, object] = {"class": name, "value": value}
    if layer.ground is None:
        # QuPath refuses a file whose `color` is text, and shows that of the classification.
        shown = {"name": name} if colour is None else {"name": name, "color": list(colour)}
        facts = {"objectType": "annotation", "classification": shown, **facts}
    elif colour is not None:
        facts["color"] = f"#{bytes(colour).hex()}"
    return f'{{"type":"Feature","properties":{_json(facts)[:-1]}'


def _rounded(layer: Layer, places: np.ndarray) -> np.ndarray:
    """Pixels as whole numbers, degrees to a thousandth of a pixel, else every digit."""
    there = layer.on_map(places)
    if layer.ground is None:
        whole = float(layer.downsample).is_integer()
        return there.astype(np.int64) if whole else np.round(there, _PIXEL_DIGITS)
    if layer.crs is None or not layer.crs.is_geographic:
        return there
    affine = layer.ground.transform
    side = min(np.hypot(affine.a, affine.d), np.hypot(affine.b, affine.e))
    return np.round(there, max(_FEWEST_DIGITS, 3 - int(np.floor(np.log10(side)))))


def _json(held: object) -> str:
    return json.dumps(held, separators=(",", ":"), ensure_ascii=False)


def write_geopackage(path: Path, layer: Layer, batches: Iterable[Outlines]) -> None:
    """Write a GeoPackage of one layer, with a spatial index, and count it back.

    Raises:
        OSError: a write was refused, or another number of features came back.
    """
    pyogrio, shapely = vector_extra(path)
    columns = ["class", "value", "area_px"] + ["area"] * (layer.pixel_area is not None)
    columns += ["confidence"] * layer.sure
    crs = layer.crs.to_wkt(version="WKT2_2019") if layer.crs is not None else None
    count = 0
    with _alone(path):
        for first, (blobs, fields) in enumerate(_tables(shapely, layer, batches)):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # that there is no crs is meant
                    pyogrio.raw.write(
                        path, blobs, fields, columns, driver="GPKG", layer=_LAYER, crs=crs,
                        geometry_type="Polygon", promote_to_multi=False, append=first > 0,
                    )  # fmt: skip
            except RuntimeError as error:  # all of pyogrio's own are
                raise OSError(" ".join(str(error).split())) from error
            count += len(blobs)
        if _counted(path) != count:
            raise OSError(_DIFFERS)


def _tables(
    shapely: ModuleType, layer: Layer, batches: Iterable[Outlines]
) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Geometries and columns of many features at a time; at least once, if of none."""
    held: list[tuple[np.ndarray, ...]] = [_NOTHING]
    size = features = 0
    first = True
    for batch in batches:
        shapes = shapely.from_ragged_array(
            shapely.GeometryType.POLYGON,
            layer.on_map(batch.places).astype(float),
            (batch.rings, batch.polygons),
        )
        held.append((shapely.to_wkb(shapes), batch.values, batch.areas, _confidence(batch)))
        size, features = size + 16 * len(batch.places), features + len(batch)
        if features >= _FEATURES or size >= _BYTES:
            yield _table(layer, held)
            held, size, features, first = [_NOTHING], 0, 0, False
    if features or first:
        yield _table(layer, held)


def _table(layer: Layer, held: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, list[np.ndarray]]:
    blobs, values, areas, confidence = map(np.concatenate, zip(*held, strict=True))
    names = np.array([layer.names[value] for value in values.tolist()], object)
    fields = [names, values.astype(np.int32), areas]
    if layer.pixel_area is not None:
        fields.append(areas * layer.pixel_area)
    return blobs, [*fields, *([confidence] if layer.sure else [])]


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nothing of an earlier file lies there before, nothing of SQLite's beside it after."""
    path.unlink(missing_ok=True)
    try:
        _tidy(path)  # a journal that stayed would be played back into the new file
        yield
    finally:
        _tidy(path)


def _tidy(path: Path) -> None:
    for suffix in _BESIDE:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _counted(path: Path) -> int:
    """How many features a GeoPackage holds; not what it says of itself."""
    with contextlib.closing(sqlite3.connect(path)) as file:
        try:
            return int(file.execute(f"SELECT count(*) FROM {_LAYER}").fetchone()[0])  # noqa: S608  a constant
        except sqlite3.Error:
            return -1


def vector_extra(path: Path) -> tuple[ModuleType, ModuleType]:
    """The libraries that GeoPackages and simplification take: pyogrio, shapely.

    Raises:
        RasterError: they are not installed, or cannot write a GeoPackage of this name.
    """
    try:
        import pyogrio.raw  # noqa: PLC0415  an extra
        import shapely  # noqa: PLC0415
    except ImportError as error:
        msg = f"{path}: this needs: {install('vector')} ({error})"
        raise RasterError(msg) from error
    if path.suffix.lower() == ".gpkg" and misnamed(path):
        msg = f"{path}: is a name that GeoPackages cannot have; choose one without ; ! and tabs"
        raise RasterError(msg)
    return pyogrio, shapely
