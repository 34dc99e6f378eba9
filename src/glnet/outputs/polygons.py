"""A finished mask as polygons, cell by cell: memory does not grow with the raster."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glnet.errors import RasterError
from glnet.geometry import Size, Window, tiles
from glnet.outputs.features import Layer, vector_extra, write_geojson, write_geopackage
from glnet.outputs.files import check_target, whole_or_nothing
from glnet.outputs.outlines import Outlines, rectangle, trace
from glnet.raster import Raster

POLYGON_SUFFIXES = (".gpkg", ".geojson", ".json")

#: Larger cells have more sides than their numbers, of 32 bit, can tell.
_LARGEST_CELL = 16_384

#: A cell of noise has millions of polygons; so many become features at a time.
_AT_ONCE = 50_000


#: A cell of more polygons is noise: it has hardly a corner to lose, and would take gigabytes.
_MOST_SIMPLIFIED = 100_000


@dataclass(frozen=True, slots=True)
class PolygonSummary:
    """What was written.

    Attributes:
        features: How many of every class, background left out.
        seconds: What it took.
    """

    features: dict[str, int]
    seconds: float


def write_polygons(  # noqa: PLR0913  what is written, and how
    mask: Path,
    target: Path,
    classes: Mapping[int, str],
    *,
    confidence: Path | None = None,
    background: Collection[int] = (),
    min_area: float = 0.0,
    simplify: float = 0.0,
    cell: int = 2048,
    colours: Mapping[int, tuple[int, int, int]] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
    downsample: float = 1.0,
) -> PolygonSummary:
    """Write the polygons of equal values, cut at a grid, as GeoPackage or GeoJSON.

    Pixels that touch at a corner only are apart. Coordinates are the mask's; of a mask without a
    place they are pixels: column, row, downwards. Every feature has `class`, `value`, `area_px`
    and, where the map is plane, `area` in its square units; of a mask with a confidence
    `confidence`, the mean of its pixels', in [0, 1].

    Args:
        mask: Class values, one band of uint8.
        target: Ends with one of `POLYGON_SUFFIXES`.
        classes: The name of every value; other values are left out.
        confidence: How sure the mask's labels are, as `glnet predict` writes it.
        background: Values that are left out, too.
        min_area: In pixels; smaller polygons are left out. What the grid cuts counts in its parts.
        simplify: In pixels: corners go whose triangle is smaller than its square. Neighbours keep
            their common border, and borders on the grid stay as they are. So do cells of noise,
            with more than 100,000 polygons.
        cell: Side of the grid's cells in pixels, from the raster's corner.
        colours: Become `color` of a GeoJSON's features.
        progress: Told how many cells are done, of how many.
        downsample: Of a slide's mask: how many of the finest level's pixels one is, along a side;
            coordinates are the finest level's then, as QuPath's are.

    Raises:
        RasterError: the mask cannot be read, or the target cannot be written; see also
            `vector_extra`, for a GeoPackage and for simplification.
        ValueError: a cell, an area or a tolerance that is out of range.
    """
    began = time.perf_counter()
    if not 1 <= cell <= _LARGEST_CELL or not min_area >= 0 or not simplify >= 0:
        msg = (
            f"wanted a cell of 1 to {_LARGEST_CELL} pixels, and an area and a tolerance from 0; "
            f"got {cell}, {min_area}, {simplify}"
        )
        raise ValueError(msg)
    check_target(target, POLYGON_SUFFIXES, [mask])
    packaged = target.suffix.lower() == ".gpkg"
    if packaged or simplify:
        vector_extra(target)
    with Raster(mask) as raster:
        if raster.bands != 1 or raster.dtype != np.uint8:
            found = f"{raster.bands} of {raster.dtype}"
            msg = f"{mask}: wanted a mask, one band of uint8; found {found}"
            raise RasterError(msg)
        size, place = raster.size, raster.georeference
    layer = Layer(classes, colours, place, downsample, sure=confidence is not None)
    wanted = np.zeros(256, bool)
    wanted[sorted(set(classes) - set(background))] = True
    counts = np.zeros(256, np.int64)

    def batches() -> Iterator[Outlines]:
        cells = _cells(mask, confidence, size, cell)
        for done, (window, pixels, steps) in enumerate(cells, start=1):
            outlines = _outlines(pixels, steps, wanted, simplify)
            (kept,) = np.nonzero(wanted[outlines.values] & (outlines.areas >= min_area))
            counts[:] += np.bincount(outlines.values[kept], minlength=256)
            for begin in range(0, len(kept), _AT_ONCE):
                yield outlines.take(kept[begin : begin + _AT_ONCE]).moved(window.left, window.top)
            progress(done, size.cells(cell).area)

    with whole_or_nothing(target) as partial:
        (write_geopackage if packaged else write_geojson)(partial, layer, batches())
    features = dict.fromkeys((classes[value] for value in np.flatnonzero(wanted).tolist()), 0)
    for value in np.flatnonzero(counts).tolist():
        features[classes[value]] += int(counts[value])
    return PolygonSummary(features, time.perf_counter() - began)


def _cells(
    mask: Path, confidence: Path | None, size: Size, side: int
) -> Iterator[tuple[Window, np.ndarray, np.ndarray | None]]:
    """The mask and its confidence in squares, row by row; the last are cut by the border."""
    for row in tiles(size, side):
        # Opened anew, or GDAL keeps what it read of the rows above.
        with Raster(mask) as raster, Raster(confidence) if confidence else nullcontext() as sure:
            for square in tiles(row.size, side, side):
                window = row.within(square)
                steps = None if sure is None else sure.read(window)[0]
                yield window, raster.read(window)[0], steps


def _outlines(
    pixels: np.ndarray, steps: np.ndarray | None, wanted: np.ndarray, tolerance: float
) -> Outlines:
    """A cell's polygons; simplified, also those that are not wanted."""
    if pixels.min() == pixels.max():
        height, width = pixels.shape
        mean = None if steps is None else float(steps.mean())
        return rectangle(height, width, int(pixels[0, 0]), mean)
    if not tolerance:
        return trace(pixels, wanted, steps)
    outlines = trace(pixels, np.ones(256, bool), steps, junctions=True)
    if len(outlines) > _MOST_SIMPLIFIED:
        return trace(pixels, wanted, steps)
    return _simplified(outlines, tolerance)


def _simplified(outlines: Outlines, tolerance: float) -> Outlines:
    """All polygons of a cell with fewer corners, side by side without gaps as before."""
    import shapely  # noqa: PLC0415  an extra

    kind = shapely.GeometryType.POLYGON
    offsets = (outlines.rings, outlines.polygons)
    shapes = shapely.from_ragged_array(kind, outlines.places.astype(float), offsets)
    simpler = shapely.coverage_simplify(shapes, tolerance, simplify_boundary=False)
    turned = shapely.orient_polygons(simpler, exterior_cw=True)  # as traced: rows go down
    _, places, (rings, polygons) = shapely.to_ragged_array(turned)
    areas = shapely.area(simpler)
    return Outlines(places, rings, polygons, outlines.values, areas, outlines.means)
