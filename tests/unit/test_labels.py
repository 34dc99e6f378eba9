"""What labels of every format promise: one data set, however stored, gives the same labels."""

import contextlib
import itertools
import os

import numpy as np
import pytest
import rasterio.features
import rasterio.warp
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine

from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.clipping import near
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder, nearest_labels
from glnet.datasets.samples import open_sample
from glnet.datasets.shapes import Burning, ShapesScene, in_table_order, read_area
from glnet.datasets.vectors import Polygon
from glnet.errors import DataError
from glnet.evaluation.masks import evaluate_masks
from glnet.geometry import Size, Window
from glnet.metrics import IGNORE
from glnet.raster import Raster
from glnet.recipe import ModelSettings
from makers import (
    box,
    feature,
    noise,
    write_classes,
    write_geojson,
    write_gpkg,
    write_jpg,
    write_png,
    write_text,
    write_tif,
)

#: Land is what nothing claims; damage has two rows; a cloud is ignored wherever it lies.
TABLE = ClassTable(
    (
        ClassInfo("land", 4, (0, 0, 0), rest=True),
        ClassInfo("damage", 7, (255, 0, 0), file="DMG"),
        ClassInfo("cloud", 0, (9, 9, 9), ignored=True),
        ClassInfo("lake", 3, (0, 0, 200)),
        ClassInfo("damage", 8, (200, 0, 0), file="old"),
    )
)
CODER = LabelCoder(TABLE)
LABELS = np.array([0, 1, IGNORE, 2, 1], np.uint8)
SIZE = Size(23, 31)
MODEL = ModelSettings()
#: Half a metre per pixel, turned a little, in Zagreb's zone.
PLACE = {"crs": "EPSG:32633", "transform": Affine(0.5, 0.1, 576_000, 0.1, -0.5, 5_074_000)}
UTM, WGS84, WEB = (f"EPSG:{code}" for code in (32633, 4326, 3857))


def drawn_rows():
    """Which row of the table every pixel shows: blocks and single pixels, all rows occur."""
    coarse = noise(6, 8, seed=1).astype(int).repeat(4, 0).repeat(4, 1)[: SIZE.height, : SIZE.width]
    fine = noise(*SIZE, seed=2).astype(int)
    return np.where(fine % 5 == 0, fine // 5, coarse) % len(TABLE.rows)


ROWS = drawn_rows()
TRUE = LABELS[ROWS]


def outlines(places):
    """Every class's pixels but the rest's, as polygons with holes; `places` moves the corners."""
    found = rasterio.features.shapes(ROWS.astype(np.uint8), connectivity=4)
    for geometry, row in found:
        if not TABLE.rows[int(row)].rest:
            rings = [[places(*corner) for corner in ring] for ring in geometry["coordinates"]]
            yield TABLE.rows[int(row)], {"type": "Polygon", "coordinates": rings}


def pixels(x, y):
    return x, y


def ground(crs):
    """From a pixel's corner to coordinates of a reference system."""

    def place(x, y):
        grid = PLACE["transform"]
        x, y = grid.a * x + grid.b * y + grid.c, grid.d * x + grid.e * y + grid.f
        return tuple(axis[0] for axis in rasterio.warp.transform(UTM, crs, [x], [y]))

    return place


def features(place, told):
    """Features of all outlines; `told` gives the properties of one of a row."""
    return [feature(geometry, **told(row)) for row, geometry in outlines(place)]


def by_class(row):
    return {"class": row.name, "area": 1.5, "id": 4}


def by_value(row):
    return {"note": "hand-drawn", "kind": row.value}


def by_name(row):
    return {"note": "hand-drawn", "what": row.name}


def by_qupath(row):
    """QuPath's way."""
    return {"objectType": "annotation", "classification": {"name": row.name, "color": [1, 2, 3]}}


def _index(folder):
    values = np.array([row.value for row in TABLE.rows], np.uint8)
    return write_png(folder / "mask.png", values[ROWS])


def _colour(folder):
    colours = np.array([row.colour for row in TABLE.rows], np.uint8)
    return write_png(folder / "mask.png", np.moveaxis(colours[ROWS], -1, 0))


def _class_files(folder):
    """Grey, 16 bit, RGB and palette files; nothing for land, 'old' laid over all before it."""
    shown = [number == ROWS for number in range(len(TABLE.rows))]
    write_tif(folder / "1_DMG.tif", (shown[1] | shown[4])[None].astype(np.uint16) * 700)
    write_tif(folder / "1_cloud.tif", shown[2][None] * np.array([0, 1, 0], np.uint8)[:, None, None])
    write_tif(folder / "1_lake.tif", (shown[3] | shown[4])[None].astype(np.uint8))
    write_tif(folder / "1_old.tif", shown[4][None].astype(np.uint8) * 255)
    return folder / "1_{class}.tif"


def _crs(name):
    return {"crs": {"type": "name", "properties": {"name": name}}}


URN = "urn:ogc:def:crs:EPSG::3857"

PIXELS = {
    "index": _index,
    "colour": _colour,
    "class files": _class_files,
    "GeoJSON": lambda f: write_geojson(f / "m.geojson", features(pixels, by_class)),
    "GeoJSON values": lambda f: write_geojson(f / "m.json", features(pixels, by_value)),
    "GeoPackage": lambda f: write_gpkg(f / "m.gpkg", features(pixels, by_name)),
    "QuPath": lambda f: write_geojson(f / "m.geojson", features(pixels, by_qupath)),
}
GROUND = {
    "index": _index,
    "class files": _class_files,
    "GeoJSON": lambda f: write_geojson(f / "m.geojson", features(ground(WGS84), by_class)),
    "GeoJSON crs": lambda f: write_geojson(
        f / "m.geojson", features(ground(WEB), by_name), **_crs(URN)
    ),
    "GeoPackage": lambda f: write_gpkg(f / "m.gpkg", features(ground(UTM), by_class), UTM),
    "GeoPackage Web": lambda f: write_gpkg(f / "m.gpkg", features(ground(WEB), by_value), WEB),
    "GeoPackage of no place": lambda f: write_gpkg(f / "m.gpkg", features(ground(UTM), by_class)),
    "QuPath": lambda f: write_geojson(f / "m.geojson", features(pixels, by_qupath)),
}
CASES = [
    pytest.param(make, options, id=f"{name}, {kind}")
    for kind, formats, options in (("pixels", PIXELS, {}), ("ground", GROUND, PLACE))
    for name, make in formats.items()
]


@contextlib.contextmanager
def labels_of(folder, mask, window=None, **options):
    image = write_tif(folder / "image.tif", noise(3, *SIZE), **options)
    with open_sample(Sample(image, mask, "train", window), CODER, MODEL) as (_, labels):
        yield labels


@pytest.mark.parametrize(("make", "options"), CASES)
def test_every_format_gives_the_same_labels(tmp_path, make, options):
    """Whole, by window, shrunk, and as a part: pixel for pixel what the index mask says."""
    mask, part, window = make(tmp_path), Window(5, 7, 13, 20), Window(2, 3, 9, 8)

    with labels_of(tmp_path, mask, **options) as labels:
        assert labels.size == SIZE
        np.testing.assert_array_equal(labels.read()[0], TRUE)
        for top in range(0, SIZE.height, 6):
            for left in range(0, SIZE.width, 9):
                cut = Window(top, left, min(6, SIZE.height - top), min(9, SIZE.width - left))
                np.testing.assert_array_equal(labels.read(cut)[0], TRUE[cut.slices])
        small = labels.thumbnail(Size(8, 6))
        assert (labels.near, labels.skipped) == (0, 0)
    with labels_of(tmp_path, mask, part, **options) as labels:
        assert labels.size == part.size
        within, all_of_it = labels.read(window), labels.read()

    np.testing.assert_array_equal(small[0], nearest_labels(TRUE, Size(8, 6)))
    np.testing.assert_array_equal(all_of_it[0], TRUE[part.slices])
    np.testing.assert_array_equal(within[0], TRUE[part.slices][window.slices])
    assert within.dtype == np.uint8


def test_what_nothing_claims_is_ignored_without_a_rest(tmp_path):
    """Files and polygons alike; with a class marked `rest` it would be that class."""
    table = ClassTable((ClassInfo("a", 0, (0, 0, 0)), ClassInfo("b", 1, (1, 1, 1))))
    image = write_tif(tmp_path / "image.tif", noise(3, 4, 6))
    claimed = np.zeros((1, 4, 6), np.uint8)
    claimed[0, 1:3, 2:4] = 1
    write_tif(tmp_path / "b.tif", claimed)
    vector = write_geojson(tmp_path / "b.json", [feature(box(2, 1, 4, 3), shown="b")])

    for mask in (tmp_path / "{class}.tif", vector):
        with open_sample(Sample(image, mask, ""), LabelCoder(table), MODEL) as (_, labels):
            np.testing.assert_array_equal(labels.read(), np.where(claimed, 1, IGNORE))


RED = np.zeros((3, 4, 6), np.uint8)
RED[0, 1:3, 2:4] = 200


def _alpha(folder):
    write_png(folder / "b.png", np.concatenate([RED, np.full((1, 4, 6), 255, np.uint8)]))


def _undeclared_alpha(folder):
    four = np.concatenate([RED, np.full((1, 4, 6), 255, np.uint8)])
    write_tif(folder / "b.png", four, photometric="minisblack", alpha="no")


def _palette(folder):
    """Index 1 is black, index 0 is red: what is seen counts, not the index."""
    write_png(folder / "b.png", (RED[0] == 0).astype(np.uint8), palette=[200, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("write", [_alpha, _undeclared_alpha, _palette])
def test_a_class_file_may_be_a_picture(tmp_path, write):
    """Of colours anything but black counts, whatever the alpha says."""
    table = ClassTable((ClassInfo("a", 0, (0, 0, 0), rest=True), ClassInfo("b", 1, (1, 1, 1))))
    image = write_tif(tmp_path / "image.tif", noise(3, 4, 6))
    write(tmp_path)

    sample = Sample(image, tmp_path / "{class}.png", "")
    with open_sample(sample, LabelCoder(table), MODEL) as (_, labels):
        np.testing.assert_array_equal(labels.read()[0], RED[0] > 0)


def test_a_class_without_a_file_has_no_pixel_but_one_must_exist(tmp_path):
    """The line names the pattern and what was looked for."""
    with (
        pytest.raises(DataError) as caught,
        labels_of(tmp_path, tmp_path / "masks/2_{class}.tif"),
    ):
        pass

    assert str(caught.value).startswith(f"{tmp_path / 'masks/2_{class}.tif'}: no class has a file")
    assert str(caught.value).endswith("one of them all zero says so")
    assert "2_land.tif, 2_DMG.tif, 2_cloud.tif, 2_lake.tif, 2_old.tif" in str(caught.value)


def test_a_class_file_that_is_a_jpeg_is_refused(tmp_path):
    """Its greys around a class's edges are not zero: the class would grow by several pixels."""
    table = ClassTable((ClassInfo("a", 0, (0, 0, 0), rest=True), ClassInfo("b", 1, (1, 1, 1))))
    image = write_tif(tmp_path / "image.tif", noise(3, 23, 31))
    write_jpg(tmp_path / "b.jpg", np.full((3, 23, 31), 255, np.uint8))

    sample = Sample(image, tmp_path / "{class}.jpg", "")
    with (
        pytest.raises(DataError, match=r"^.*b.jpg: what is not zero is the class.*as PNG or TIFF"),
        open_sample(sample, LabelCoder(table), MODEL),
    ):
        pass


@pytest.mark.parametrize(
    ("shape", "named"), [((1, 23, 30), "23 x 30.*23 x 31"), ((2, 23, 31), "found 2 bands")]
)
def test_a_class_file_that_does_not_belong_is_named(tmp_path, shape, named):
    """Of another size than the image, or neither grey nor colour."""
    write_tif(tmp_path / "3_lake.tif", noise(*shape), photometric="minisblack", alpha="no")

    with (
        pytest.raises(DataError, match=f"^{tmp_path / '3_lake.tif'}: .*{named}"),
        labels_of(tmp_path, tmp_path / "3_{class}.tif"),
    ):
        pass


def inside(ring, x, y):
    """Even-odd, by counting the edges left of a place: the schoolbook's way."""
    odd = False
    for (x1, y1), (x2, y2) in itertools.pairwise(ring):
        if (y1 > y) != (y2 > y) and x > x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            odd = not odd
    return odd


#: Between pixel centres and their rows, so that no centre lies on an edge's end.
CORNER = st.tuples(st.integers(-20, 110), st.integers(-20, 110)).map(
    lambda place: (place[0] / 7 + 0.013, place[1] / 7 + 0.017)
)


def test_polygons_are_read_once_while_file_table_and_place_are_the_same(tmp_path):
    """What was read stays in use: a file that only looks unchanged shows it, a new one is read."""
    image = write_tif(tmp_path / "a.tif", noise(3, 8, 8))
    path = tmp_path / "a.json"

    def labels(drawn, written=None, coder=CODER):
        if drawn is not None:
            write_geojson(path, [feature(drawn, c="lake")])
        if written is not None:
            os.utime(path, ns=(written, written))
        with open_sample(Sample(image, path, ""), coder, MODEL) as (_, found):
            return int((found.read() == 2).sum())

    assert labels(box(0, 0, 2, 2), 10**18) == 4
    assert labels(box(0, 0, 2, 3), 10**18) == 4
    assert labels(None, 10**18, LabelCoder(ClassTable(TABLE.rows[:4]))) == 6
    assert labels(box(0, 0, 2, 4), 10**18 + 1) == 8
    assert labels(box(0, 0, 2, 10), 10**18 + 1) == 16
    write_tif(image, noise(3, 8, 8), transform=Affine(2, 0, 0, 0, 2, 0))
    assert labels(None) == 5


def test_an_area_is_read_again_when_its_file_has_changed(tmp_path):
    """For one process that predicts many images; gone, it is named."""
    image, path = write_tif(tmp_path / "a.tif", noise(3, 8, 8)), tmp_path / "a.json"
    found = []
    for right in (2, 3):
        write_geojson(path, [feature(box(0, 0, right, 4))])
        os.utime(path, ns=(right, right))
        with Raster(image) as raster:
            found.append(read_area(path, raster).inside(Window(0, 0, 8, 8)).sum())

    assert found == [8, 12]
    path.unlink()
    with Raster(image) as raster, pytest.raises(DataError, match=f"^{path}: cannot be read"):
        read_area(path, raster)


@given(
    rings=st.lists(st.lists(CORNER, min_size=3, max_size=7, unique=True), min_size=1, max_size=4),
    rows=st.lists(st.integers(0, 4), min_size=4, max_size=4),
    cut=st.tuples(st.integers(0, 8), st.integers(0, 8)),
)
def test_a_pixel_is_the_last_polygons_that_holds_its_centre(rings, rows, cut):
    """Against a twin that asks every polygon about every centre; by window as well as whole."""
    rings = [np.array([*ring, ring[0]]) for ring in rings]
    polygons = [Polygon(row, (ring,)) for row, ring in zip(rows, rings, strict=False)]
    expected = np.zeros((12, 14), np.uint8)
    for polygon in sorted(polygons, key=lambda polygon: polygon.row):
        for row, column in np.ndindex(*expected.shape):
            if inside(polygon.rings[0], column + 0.5, row + 0.5):
                expected[row, column] = LABELS[polygon.row]
    scene = ShapesScene(in_table_order(polygons, CODER), CODER.rest, Window(0, 0, 12, 14))
    window = Window(*cut, 4, 6)

    np.testing.assert_array_equal(scene.read()[0], expected)
    np.testing.assert_array_equal(scene.read(window)[0], expected[window.slices])


@given(
    rings=st.lists(st.lists(CORNER, min_size=4, max_size=7, unique=True), min_size=1, max_size=3)
)
def test_what_is_cut_to_a_frame_is_the_same_in_it(rings):
    """Outlines that cross themselves and each other, and are not closed."""
    around = np.array(box(-9, -9, 20, 20)["coordinates"][0], float)
    polygon = Polygon(0, (around, *(np.array(ring) for ring in rings)))
    cut = list(near([polygon], (3, 2, 9, 7)))
    window = Window(2, 3, 5, 6)

    whole = Burning([polygon], [1]).onto(window, 0)
    np.testing.assert_array_equal(Burning(cut, [1] * len(cut)).onto(window, 0), whole)
    for ring in (ring for part in cut for ring in part.rings):
        assert (np.abs(np.diff(ring, axis=0)) <= np.array([6, 5]) / 64 + 1e-9).all()


@pytest.mark.parametrize(
    ("frame", "turn"),
    [((14.2, 48.6, 15.9, 49.4), 0), ((-180, -90, 180, 90), 0), ((-80, 0, 170, 85), 0),
     ((14.2, 48.6, 15.9, 49.4), 45)],
)  # fmt: skip
def test_sides_that_are_straight_in_degrees_are_curves_in_utm(tmp_path, frame, turn):
    """Of a frame wider than the image, or than half of the Earth, too: as each centre says."""
    grid = Affine(100, 0, 495_000, 0, -100, 5_478_000) @ Affine.rotation(turn)
    image = write_tif(tmp_path / "image.tif", noise(3, 140, 150), crs=UTM, transform=grid)
    path = write_geojson(tmp_path / "a.geojson", [feature(box(*frame), **{"class": "lake"})])
    columns, rows = np.meshgrid(np.arange(150) + 0.5, np.arange(140) + 0.5)
    x, y = (np.ravel(places) for places in grid @ (columns, rows))
    east, north = map(np.array, rasterio.warp.transform(UTM, WGS84, x, y))
    inside = (frame[0] < east) & (east < frame[2]) & (frame[1] < north) & (north < frame[3])

    with open_sample(Sample(image, path, ""), CODER, MODEL) as (_, labels):
        found = labels.read()[0] == CODER.label(TABLE.rows[3])

    np.testing.assert_array_equal(found, inside.reshape(140, 150))


@pytest.mark.parametrize("west", [178, -182, 350])
def test_an_image_beyond_the_date_line_meets_polygons_on_both_sides(tmp_path, west):
    """Whose longitudes are told from -180 to 180, as GeoJSON wants it."""
    options = {"crs": WGS84, "transform": Affine(0.1, 0, west, 0, -0.1, 2)}
    image = write_tif(tmp_path / "image.tif", noise(3, 20, 40), **options)
    places = [(west + east + 180) % 360 - 180 for east in (0.5, 3.5)]
    drawn = [feature(box(x, 0, x + 0.2, 1), **{"class": "lake"}) for x in places]
    path = write_geojson(tmp_path / "a.geojson", drawn)

    with open_sample(Sample(image, path, ""), CODER, MODEL) as (_, labels):
        found = labels.read()[0] == CODER.label(TABLE.rows[3])

    expected = np.zeros((20, 40), bool)
    expected[10:, [5, 6, 35, 36]] = True
    np.testing.assert_array_equal(found, expected)


def test_an_image_in_utm_across_the_date_line_meets_polygons_on_both_sides(tmp_path):
    """In the zone's first degree, and west of it."""
    options = {"crs": "EPSG:32601", "transform": Affine(500, 0, 156_000, 0, -500, 10_000)}
    image = write_tif(tmp_path / "image.tif", noise(3, 20, 40), **options)
    drawn = [feature(box(*sides), **{"class": "lake"})
             for sides in ((179.5, -1, 180, 1), (-180, -1, -179.95, 1))]  # fmt: skip
    path = write_geojson(tmp_path / "a.geojson", drawn)
    east, _ = rasterio.warp.transform(
        "EPSG:32601", WGS84, 156_250 + 500 * np.arange(40), np.full(40, 5_000)
    )

    with open_sample(Sample(image, path, ""), CODER, MODEL) as (_, labels):
        found = labels.read()[0, 9] == CODER.label(TABLE.rows[3])

    np.testing.assert_array_equal(found, np.array(east) % 360 < 180.05)


@pytest.mark.parametrize(("place", "options"), [(pixels, {}), (ground(WGS84), PLACE)])
def test_masks_on_disk_are_compared_with_labels_of_any_format(tmp_path, place, options):
    """Whole and by window: a true prediction scores fully, every labelled pixel counts once.

    Polygons lie on the image, whatever its mask's file knows of the ground.
    """
    write_classes(tmp_path / "classes.csv", TABLE)
    values = np.array([row.value for row in TABLE.rows], np.uint8)
    (tmp_path / "predicted").mkdir()
    write_png(tmp_path / "predicted" / "image.png", values[ROWS])
    write_tif(tmp_path / "image.tif", noise(3, *SIZE), **options)
    write_geojson(tmp_path / "m.geojson", features(place, by_class))
    for windows in ([""], ["0 0 10 31", "10 0 13 31"]):
        rows = [f"image.tif,m.geojson,test,{window}" for window in windows]
        write_text(tmp_path / "manifest.csv", "image,mask,split,window", *rows)

        found = evaluate_masks(
            tmp_path / "predicted", tmp_path / "manifest.csv", tmp_path / "classes.csv"
        )

        counts = [int((label == TRUE).sum()) for label in range(3)]
        assert found.matrices["masks"].counts.tolist() == np.diag(counts).tolist()
        assert len(found.images) == 1
