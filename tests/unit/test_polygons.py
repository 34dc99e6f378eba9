"""What polygons of a mask promise: every pixel's outline, cut at the grid, read back the same."""

import json
import resource
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pyogrio
import pyogrio.raw
import pytest
import rasterio
import shapely
from rasterio.features import geometry_mask, shapes
from rasterio.transform import Affine
from shapely.geometry import shape

from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.datasets.samples import open_sample
from glnet.errors import RasterError
from glnet.outputs.files import partial_of
from glnet.outputs.polygons import POLYGON_SUFFIXES, write_polygons
from glnet.recipe import ModelSettings
from makers import noise, write_png, write_text, write_tif

NAMES = {0: "land", 3: "water", 7: 'réserve "B"'}
VALUES = np.array([*NAMES, 255], np.uint8)
UTM = {"crs": "EPSG:32640", "transform": Affine(0.5, 0, 500_000.125, 0, -0.5, 2_780_000.375)}
PLACES = {
    "none": {},
    "projected": UTM,
    "sheared": UTM | {"transform": Affine(0.3, 0.1, 500_000.1, 0.2, -0.3, 2_780_000.7)},
    "degrees": {"crs": "EPSG:4326", "transform": Affine(1e-5, 2e-6, 55.1, 3e-6, -1e-5, 25.2)},
    "other degrees": {"crs": "EPSG:4258", "transform": Affine(1e-5, 0, 9.1, 0, -1e-5, 52.2)},
    "no number": UTM | {"crs": "+proj=laea +lat_0=25 +lon_0=55 +ellps=GRS80 +units=m"},
    "no system": {"transform": Affine(2, 0, 10, 0, -2, 20)},
}
BOTH = pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])


def blobs(height, width, values=VALUES, step=5, seed=0):
    """Uneven spots, some of a few pixels, with corners that touch and holes."""
    coarse = noise(height // step + 1, width // step + 1, seed=seed)
    mask = coarse.repeat(step, 0).repeat(step, 1)[:height, :width].copy()
    single = noise(height, width, seed=seed + 1)
    mask[single > 250] = single[single > 250]
    return values[mask % len(values)]


def write_mask(path, mask, **options):
    return write_tif(path, mask[None], **options)


def read(path):
    """Geometries and a dict of columns, as GDAL reads them."""
    meta, _, wkb, columns = pyogrio.raw.read(path)
    return shapely.from_wkb(wkb), dict(zip(meta["fields"].tolist(), columns, strict=True))


def polygons(tmp_path, mask, classes=NAMES, suffix=".gpkg", **options):
    source = write_mask(tmp_path / "mask.tif", mask)
    write_polygons(source, tmp_path / f"a{suffix}", classes, **options)
    geometries, columns = read(tmp_path / f"a{suffix}")
    return geometries, columns.get("value", [])  # a GeoJSON of no features has no columns


def told(geometries, values):
    """Comparable: whatever the order of features, rings and corners."""
    return sorted(zip(values, shapely.to_wkt(shapely.normalize(geometries)), strict=True))


def of_rasterio(mask):
    """What `rasterio.features.shapes` makes of the named values."""
    found = [(shape(one), int(value)) for one, value in shapes(mask, connectivity=4)]
    named = [(one, value) for one, value in found if value in NAMES]
    return np.array([one for one, _ in named]), [value for _, value in named]


CORNERS = np.array([[0, 0, 3], [0, 3, 0], [0, 0, 0]], np.uint8)
RINGS = np.full((9, 9), 3, np.uint8)
RINGS[1:8, 1:8] = 0
RINGS[2:7, 2:7] = 3
RINGS[4, 4] = RINGS[3, 3] = RINGS[5, 3] = 0
MASKS = {
    "blobs": blobs(120, 90),
    "noise": VALUES[noise(70, 50) % 4],
    "two": VALUES[noise(64, 64, seed=3) % 2],
    "corners": CORNERS,
    "rings": RINGS,
    "row": VALUES[noise(1, 40) % 3],
    "pixel": np.full((1, 1), 7, np.uint8),
    "one value": np.full((20, 30), 3, np.uint8),
    "nodata": np.full((20, 30), 255, np.uint8),
}


@BOTH
@pytest.mark.parametrize("name", MASKS)
def test_one_cell_is_what_rasterio_makes_of_it(tmp_path, name, suffix):
    """The same corners, holes and values; outlines are valid and turn as GeoJSON asks."""
    geometries, values = polygons(tmp_path, MASKS[name], suffix=suffix)

    expected, numbers = of_rasterio(MASKS[name])
    assert told(geometries, values) == told(expected, numbers)
    assert shapely.is_valid(geometries).all()
    # Seen with rows downwards, which turns them round.
    assert not shapely.is_ccw(shapely.get_exterior_ring(geometries)).any()


@pytest.mark.parametrize("cell", [5, 37, 119])
def test_polygons_are_cut_at_the_grid_and_nowhere_else(tmp_path, cell):
    """Each cell is what rasterio makes of it alone; together they cover what the whole does."""
    mask = MASKS["blobs"]

    geometries, values = polygons(tmp_path, mask, cell=cell)

    expected, numbers = [], []
    for top in range(0, mask.shape[0], cell):
        for left in range(0, mask.shape[1], cell):
            found, held = of_rasterio(mask[top : top + cell, left : left + cell])
            expected += [shapely.transform(one, lambda xy, at=(left, top): xy + at)
                         for one in found]  # fmt: skip
            numbers += held
    assert told(geometries, values) == told(expected, numbers)
    low, high = shapely.bounds(geometries).reshape(-1, 2, 2).transpose(1, 0, 2)
    assert (low // cell == (high - 1) // cell).all()
    whole, of_whole = of_rasterio(mask)
    for value in NAMES:
        one = shapely.union_all(geometries[values == value])
        other = shapely.union_all(whole[np.array(of_whole) == value])
        assert shapely.equals(one, other)


@BOTH
@pytest.mark.parametrize("cell", [23, 2048])
@pytest.mark.parametrize("name", MASKS)
def test_every_polygon_tells_the_mean_confidence_of_its_pixels(tmp_path, name, cell, suffix):
    """Of all that lie inside, and of no other: holes and what touches at a corner are left out."""
    mask = MASKS[name]
    steps = noise(*mask.shape, seed=9) % 255
    sure = write_tif(tmp_path / "sure.tif", steps[None], nodata=255)
    source = write_mask(tmp_path / "mask.tif", mask)

    write_polygons(source, tmp_path / f"a{suffix}", NAMES, confidence=sure, cell=cell)
    geometries, columns = read(tmp_path / f"a{suffix}")

    expected = [
        steps[geometry_mask([one], mask.shape, Affine.identity(), invert=True)].mean() / 254
        for one in geometries
    ]
    np.testing.assert_allclose(columns.get("confidence", []), expected, rtol=0, atol=5.1e-5)
    write_polygons(source, tmp_path / f"b{suffix}", NAMES, cell=cell)
    assert "confidence" not in read(tmp_path / f"b{suffix}")[1]


def test_simpler_polygons_keep_the_confidence_of_their_pixels(tmp_path):
    mask = MASKS["blobs"]
    sure = write_tif(tmp_path / "sure.tif", noise(1, *mask.shape, seed=9) % 255, nodata=255)
    found = []
    for simplify in (0.0, 3.0):
        write_mask(tmp_path / "mask.tif", mask)
        write_polygons(
            tmp_path / "mask.tif", tmp_path / "a.gpkg", NAMES, confidence=sure, simplify=simplify
        )
        columns = read(tmp_path / "a.gpkg")[1]
        found.append(sorted(zip(columns["value"], columns["confidence"], strict=True)))

    assert len(found[0]) > 10
    assert found[1] == found[0]


def test_noise_is_not_simplified(tmp_path):
    """It would take gigabytes for nothing; its larger polygons are what they are without."""
    mask = noise(350, 350, seed=1) % 16
    names = dict.fromkeys(range(8), "any")

    exact = told(*polygons(tmp_path, mask, names, min_area=4))
    found = told(*polygons(tmp_path, mask, names, min_area=4, simplify=3))

    assert found == exact


def test_background_and_values_without_a_name_are_left_out(tmp_path):
    """As one value and as many; the rest stays what it was."""
    mask = MASKS["blobs"]
    expected = [one for one in told(*of_rasterio(mask)) if one[0] == 3]

    by_background = told(*polygons(tmp_path, mask, background=[0, 7]))
    by_name = told(*polygons(tmp_path, mask, {3: "water"}))

    assert by_background == by_name == expected


def test_small_polygons_are_left_out_by_their_pixels(tmp_path):
    """The smallest that stays has as many as was asked; holes do not count."""
    expected, numbers = of_rasterio(MASKS["blobs"])
    kept = shapely.area(expected) >= 26
    assert {25, 26} <= set(shapely.area(expected))

    found = told(*polygons(tmp_path, MASKS["blobs"], min_area=26))

    assert found == told(expected[kept], np.array(numbers)[kept])


@pytest.mark.parametrize("cell", [32, 200])
def test_simpler_polygons_leave_no_gap_and_no_overlap(tmp_path, cell):
    """Fewer corners, all of them the pixels'; every cell is covered once, up to its border.

    Within a cell neighbours have the same corners along their common border.
    """
    names = dict.fromkeys(range(256), "any")
    row, column = np.indices((120, 90))
    mask = VALUES[(np.hypot(row - 50, column - 30) // 12).astype(int) % 4]
    mask[30:40, 10:70] = MASKS["blobs"][30:40, 10:70]
    exact, _ = polygons(tmp_path, mask, names, cell=cell)

    found, values = polygons(tmp_path, mask, names, cell=cell, simplify=3)
    fewer, _ = polygons(tmp_path, mask, cell=cell, simplify=3, background=[0])

    assert len(found) == len(exact)
    assert shapely.get_num_coordinates(found).sum() < shapely.get_num_coordinates(exact).sum() / 1.5
    assert (shapely.get_coordinates(found) % 1 == 0).all()
    assert shapely.area(found).sum() == mask.size
    assert shapely.area(shapely.union_all(found)) == mask.size
    low, high = shapely.bounds(found).reshape(-1, 2, 2).transpose(1, 0, 2)
    assert (low // cell == (high - 1) // cell).all()
    for place in np.unique(low // cell, axis=0):
        assert shapely.coverage_is_valid(found[(low // cell == place).all(axis=1)])
    assert told(fewer, np.zeros(len(fewer))) == told(
        found[np.isin(values, [3, 7])], np.zeros(len(fewer))
    )
    assert not shapely.is_ccw(shapely.get_exterior_ring(found)).any()


@pytest.mark.parametrize("suffix", POLYGON_SUFFIXES)
@pytest.mark.parametrize("place", PLACES)
def test_polygons_read_back_as_labels_are_the_mask(tmp_path, suffix, place):
    """Wherever the mask lies, pixel by pixel."""
    table = ClassTable(
        (
            *(ClassInfo(name, value, (value, 0, 0)) for value, name in NAMES.items()),
            ClassInfo("void", 255, (9, 9, 9), ignored=True, rest=True),
        )
    )
    mask = MASKS["blobs"]
    source = write_mask(tmp_path / "mask.tif", mask, **PLACES[place])
    target = tmp_path / f"labels{suffix}"

    write_polygons(source, target, NAMES, cell=50)

    image = write_tif(tmp_path / "image.tif", noise(3, *mask.shape), **PLACES[place])
    coder = LabelCoder(table)
    expected = np.full(mask.shape, 255)
    for position, value in enumerate(NAMES):
        expected[mask == value] = position
    with open_sample(Sample(image, target, ""), coder, ModelSettings()) as (_, labels):
        np.testing.assert_array_equal(labels.read()[0], expected)
        assert labels.skipped == 0


@BOTH
@pytest.mark.parametrize("place", PLACES)
def test_gdal_finds_the_place_and_the_areas(tmp_path, suffix, place):
    """Coordinate system and corners; areas in pixels, on a plane map in its own units too."""
    mask = MASKS["blobs"]
    source = write_mask(tmp_path / "mask.tif", mask, **PLACES[place])
    summary = write_polygons(source, tmp_path / f"a{suffix}", NAMES)

    found, columns = read(tmp_path / f"a{suffix}")

    crs, affine = PLACES[place].get("crs"), PLACES[place].get("transform", Affine.identity())
    if crs is not None:
        told_crs = pyogrio.read_info(tmp_path / f"a{suffix}")["crs"]
        assert rasterio.CRS.from_user_input(told_crs) == rasterio.CRS.from_user_input(crs)
    expected, numbers = of_rasterio(mask)
    np.testing.assert_array_equal(np.sort(columns["area_px"]), np.sort(shapely.area(expected)))
    assert ("area" in columns) == (place in ("projected", "sheared", "no number"))
    if "area" in columns:
        np.testing.assert_allclose(columns["area"], shapely.area(found), rtol=1e-6)
    pixels = shapely.transform(found, lambda xy: np.stack(~affine @ xy.T, axis=1))
    whole = shapely.transform(pixels, np.round)
    assert told(whole, columns["value"]) == told(expected, numbers)
    off = np.abs(shapely.get_coordinates(pixels) - shapely.get_coordinates(whole))
    assert off.max() < 1e-3
    assert list(columns["class"]) == [NAMES[value] for value in columns["value"]]
    assert summary.features == {
        name: int((columns["value"] == value).sum()) for value, name in NAMES.items()
    }


def test_geojson_holds_a_feature_a_line_and_colours_if_given(tmp_path):
    """So that tools that read lines can, and a map shows the classes as they are."""
    source = write_mask(tmp_path / "mask.tif", CORNERS)
    colours = {0: (255, 128, 0)}

    write_polygons(source, tmp_path / "a.json", NAMES, colours=colours)

    lines = (tmp_path / "a.json").read_text(encoding="utf-8").splitlines()
    features = [json.loads(line.removesuffix(",")) for line in lines[1:-1]]
    features.sort(
        key=lambda one: (one["properties"]["value"], -one["geometry"]["coordinates"][0][0][0])
    )
    shown = {"name": "land", "color": [255, 128, 0]}
    water = {"objectType": "annotation", "classification": {"name": "water"}}
    assert [one["properties"] for one in features] == [
        {"objectType": "annotation", "classification": shown, "class": "land", "value": 0,
         "area_px": 7.0},
        {**water, "class": "water", "value": 3, "area_px": 1.0},
        {**water, "class": "water", "value": 3, "area_px": 1.0},
    ]  # fmt: skip
    (ring,) = features[1]["geometry"]["coordinates"]
    assert ring[0] == ring[-1]
    assert "." not in lines[1].split("coordinates")[1]
    assert sorted(ring[1:]) == [[2, 0], [2, 1], [3, 0], [3, 1]]


def test_degrees_are_told_to_a_thousandth_of_a_pixel(tmp_path):
    """And a colour on the map as text."""
    place = Affine(1e-5 / 3, 0, 55.1, 0, -1e-5 / 3, 25.2)
    source = write_mask(tmp_path / "mask.tif", MASKS["two"], crs="EPSG:4326", transform=place)

    write_polygons(source, tmp_path / "a.json", NAMES, colours=dict.fromkeys(NAMES, (255, 128, 0)))

    for feature in json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["features"]:
        assert feature["properties"]["color"] == "#ff8000"
        for ring in feature["geometry"]["coordinates"]:
            assert np.array_equal(ring, np.round(ring, 9))
            pixels = np.transpose(~place @ tuple(np.transpose(ring)))
            np.testing.assert_allclose(pixels, np.rint(pixels), atol=1e-3)


@BOTH
def test_a_mask_of_background_gives_a_file_without_features(tmp_path, suffix):
    """Nothing was found: that is an answer, and any program reads it."""
    source = write_mask(tmp_path / "mask.tif", MASKS["two"], **UTM)

    summary = write_polygons(source, tmp_path / f"a{suffix}", NAMES, background=[0, 3])

    assert summary.features == {NAMES[7]: 0}
    assert len(read(tmp_path / f"a{suffix}")[0]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{suffix}", "mask.tif"]


def test_many_features_come_in_several_writes(tmp_path):
    """And none twice, and the index of a GeoPackage knows them all."""
    mask = VALUES[noise(420, 400) % 4]
    source, target = write_mask(tmp_path / "mask.tif", mask), tmp_path / "a.gpkg"

    summary = write_polygons(source, target, NAMES)

    found, columns = read(target)
    assert len(found) == sum(summary.features.values()) > 50_000
    assert columns["area_px"].sum() == shapely.area(found).sum() == (mask < 255).sum()
    for box in (10.5, 410.5, 10.6, 410.6), (0, 0, 400, 420):
        near = pyogrio.raw.read(target, bbox=box)[2]
        assert len(near) == shapely.intersects(found, shapely.box(*box)).sum()


def test_progress_counts_cells(tmp_path):
    """Up to the last."""
    source = write_mask(tmp_path / "mask.tif", MASKS["blobs"])
    seen = []

    write_polygons(
        source, tmp_path / "a.json", NAMES, cell=50, progress=lambda *now: seen.append(now)
    )

    assert seen == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("simplify", [0, 2])
def test_memory_does_not_grow_with_the_mask(tmp_path, simplify):
    """Four times the cells, and the features, take the same memory."""
    peaks = []
    for cells in (1, 8, 32):  # what is loaded when first used is not counted
        mask = np.tile(blobs(64, 64), (cells, 2))
        source = write_mask(tmp_path / "mask.tif", mask, compress="deflate")
        tracemalloc.start()
        write_polygons(source, tmp_path / "a.json", NAMES, cell=64, simplify=simplify)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[2] < 1.25 * peaks[1]


def test_without_the_extra_only_plain_geojson_is_written(tmp_path, monkeypatch):
    """The line says what to install, before any work."""
    source = write_mask(tmp_path / "mask.tif", CORNERS)
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    monkeypatch.setitem(sys.modules, "shapely", None)

    write_polygons(source, tmp_path / "a.geojson", NAMES)
    for name, simplify in (("a.gpkg", 0), ("b.geojson", 1)):
        with pytest.raises(RasterError, match=rf"^.*{name}: .*pip install 'pyogrio>="):
            write_polygons(source, tmp_path / name, NAMES, simplify=simplify)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.geojson", "mask.tif"]


@BOTH
def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, suffix):
    """One line, and nothing half written; not a journal either."""
    source = write_mask(tmp_path / "mask.tif", VALUES[noise(300, 300) % 4])
    target = write_text(tmp_path / f"a{suffix}", "earlier")
    if suffix == ".gpkg":
        write_text(partial_of(target).with_name("a.partial.gpkg-journal"), "left by a kill")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(RasterError) as caught:
            write_polygons(source, target, NAMES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert str(caught.value).startswith(f"{target}: could not be written (")
    assert "\n" not in str(caught.value)
    assert target.read_text() == "earlier\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [target.name, "mask.tif"]


def test_a_damaged_mask_is_named_and_leaves_nothing(tmp_path):
    """Found while the polygons are written."""
    source = write_mask(tmp_path / "mask.tif", noise(300, 300), compress="deflate")
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])

    with pytest.raises(RasterError, match=rf"^{source}: "):
        write_polygons(source, tmp_path / "a.gpkg", NAMES, cell=100)

    assert list(tmp_path.iterdir()) == [source]


def test_what_is_no_mask_and_no_target_is_refused(tmp_path):
    """By its name, before anything is written."""
    mask = write_mask(tmp_path / "mask.tif", CORNERS)
    colour = write_tif(tmp_path / "colour.tif", noise(3, 5, 5))
    deep = write_tif(tmp_path / "deep.tif", noise(1, 5, 5, dtype=np.uint16))
    for source, target, named in (
        (colour, "a.gpkg", "colour.tif: wanted a mask"),
        (deep, "a.gpkg", "deep.tif: wanted a mask"),
        (mask, "a.shp", "a.shp: the output's name must end with"),
        (mask, "none/a.gpkg", "the folder .* does not exist"),
    ):
        with pytest.raises(RasterError, match=named):
            write_polygons(source, tmp_path / target, NAMES)
    for options in ({"cell": 0}, {"cell": 16_385}, {"min_area": -1}, {"simplify": float("nan")}):
        with pytest.raises(ValueError, match="wanted a cell"):
            write_polygons(mask, tmp_path / "a.json", NAMES, **options)
    write_polygons(mask, tmp_path / "a.json", NAMES, cell=16_384)


@pytest.mark.parametrize("name", ["a;b.gpkg", "c!b.gpkg", "a\tb.gpkg"])
def test_a_name_that_is_read_as_an_address_is_refused(tmp_path, name, monkeypatch):
    """Pyogrio would write into `a`, or into `b.gpkg`, whatever lies there."""
    monkeypatch.chdir(tmp_path)
    source, kept = write_mask(tmp_path / "mask.tif", CORNERS), write_text(tmp_path / "a", "kept")

    with pytest.raises(RasterError, match="a name that GeoPackages cannot have; choose one"):
        write_polygons(source, Path(name), NAMES)
    write_polygons(source, Path(name).with_suffix(".geojson"), NAMES, simplify=1)

    assert kept.read_text() == "kept\n"
    assert not list(tmp_path.glob("*.gpkg"))


def test_a_png_is_a_mask_too(tmp_path):
    """Read whole, cut all the same."""
    source = write_png(tmp_path / "mask.png", MASKS["rings"])

    write_polygons(source, tmp_path / "a.json", NAMES)

    found, columns = read(tmp_path / "a.json")
    assert told(found, columns["value"]) == told(*of_rasterio(MASKS["rings"]))
