"""What files of polygons promise: features with their class, or the one that is wrong by number."""

import sys
from pathlib import Path

import numpy as np
import pytest
from rasterio import Affine

from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.datasets.samples import open_sample
from glnet.datasets.vectors import read_outlines, read_polygons
from glnet.errors import DataError
from glnet.recipe import ModelSettings
from makers import box, feature, noise, write_geojson, write_gpkg, write_text, write_tif

TABLE = ClassTable((ClassInfo("land", 5, (0, 0, 0), rest=True), ClassInfo("lake", 7, (1, 1, 1))))
BOX = box(1, 1, 3, 3)
WRITERS = pytest.mark.parametrize(
    ("write", "name"), [(write_geojson, "a.geojson"), (write_gpkg, "a.gpkg")]
)


def rows(path):
    return [polygon.row for polygon in read_polygons(path, TABLE).polygons]


@WRITERS
@pytest.mark.parametrize(
    "told",
    [
        [{"class": "lake", "kind": "land"}, {"class": "land", "kind": "lake"}],
        [{"kind": "lake", "by": "me"}, {"kind": "land", "by": "me"}],
        [{"kind": 7, "area": 2.5}, {"kind": 5, "area": 0.5}],
        [{"kind": 7.0}, {"kind": 5.0}],
        [{"kind": "7"}, {"kind": "5"}],
    ],
)
def test_the_class_is_told_by_the_column_class_or_the_one_that_fits(tmp_path, write, name, told):
    """Names or mask values; of several columns the one called `class`, else the only one."""
    path = write(tmp_path / name, [feature(BOX, **one) for one in told])

    assert rows(path) == [1, 0]


@WRITERS
@pytest.mark.parametrize(
    ("told", "named"),
    [
        ([{"kind": "lake", "was": "land"}], "kind, was all do"),
        ([{"kind": "sea", "by": "me"}], "none of kind, by does"),
        ([{"kind": 7, "id": 5}, {"kind": 5, "id": 7}], "kind, id all do"),
        ([{"class": "lake"}, {"class": "sea"}], "feature 2 has the unknown class 'sea' in 'class'"),
        ([{"class": 7}, {"class": 6}], "feature 2 has the unknown class 6 in 'class'"),
    ],
)
def test_columns_and_values_that_tell_no_class_are_named(tmp_path, write, name, told, named):
    """None, several, or a value that is no class, with the feature's number from 1."""
    path = write(tmp_path / name, [feature(BOX, **one) for one in told])

    with pytest.raises(DataError) as caught:
        read_polygons(path, TABLE)

    assert str(caught.value).startswith(f"{path}: ")
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"classification": {"name": "sea"}}, "feature 2 has the unknown class 'sea'"),
        ({"objectType": "annotation"}, "feature 2 has no class"),
    ],
)
def test_an_annotation_without_a_known_class_is_named(tmp_path, properties, named):
    """QuPath's too."""
    first = feature(BOX, classification={"name": "lake"})
    path = write_geojson(tmp_path / "a.geojson", [first, feature(BOX, **properties)])

    with pytest.raises(DataError, match=named):
        read_polygons(path, TABLE)


@pytest.mark.parametrize("wrap", [lambda one: f"[{one}]", lambda one: one])
def test_a_bare_list_and_a_single_feature_are_read(tmp_path, wrap):
    """As older QuPaths export."""
    one = '{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [2, 0],'
    one += ' [2, 2], [0, 0]]]}, "properties": {"classification": {"name": "lake"}}}'
    path = write_text(tmp_path / "a.json", wrap(one))

    found = read_polygons(path, TABLE)

    assert [polygon.row for polygon in found.polygons] == [1]
    assert found.pixels


def test_overlapping_parts_of_a_multipolygon_do_not_cancel(tmp_path):
    """Each part is a polygon of its own; heights are dropped."""
    parts = [[[(x, y, 9.5) for x, y in box(*corners)["coordinates"][0]]] for corners in
             ((0, 0, 4, 4), (2, 2, 5, 5))]  # fmt: skip
    drawn = [feature({"type": "MultiPolygon", "coordinates": parts}, c="lake")]
    expected = np.zeros((6, 6), int)
    expected[:4, :4] = expected[2:5, 2:5] = 1

    path = write_geojson(tmp_path / "a.geojson", drawn)
    image = write_tif(tmp_path / "a.tif", noise(3, 6, 6))

    sample = Sample(image, path, "")
    with open_sample(sample, LabelCoder(TABLE), ModelSettings()) as (_, labels):
        np.testing.assert_array_equal(labels.read()[0], expected)


@pytest.mark.parametrize(
    ("properties", "members", "in_pixels"),
    [
        ({"objectType": "annotation"}, {}, True),
        ({"objectType": "PathDetectionObject"}, {}, True),
        ({"classification": {"name": "lake"}}, {}, True),
        ({"objectType": "Flurstueck"}, {}, False),
        ({"classification": {"code": 3}}, {}, False),
        ({"objectType": "annotation"},
         {"crs": {"type": "name", "properties": {"name": "EPSG:32633"}}}, False),
    ],
)  # fmt: skip
def test_only_what_qupath_writes_is_in_pixels(tmp_path, properties, members, in_pixels):
    """A map's features may have columns of the same names."""
    path = write_geojson(tmp_path / "a.geojson", [feature(BOX, **properties)], **members)

    assert read_outlines(path).pixels == in_pixels


EMPTY = [
    None,
    {"type": "Polygon", "coordinates": []},
    {"type": "MultiPolygon", "coordinates": []},
    {"type": "Polygon", "coordinates": [[(0, 0), (1, 1), (0, 0)]]},
    {"type": "Polygon", "coordinates": [[(0, 0), (1, 1), (0, 0), (1, 1), (0, 0)]]},
    {"type": "Polygon", "coordinates": [[(0, 0), (float("nan"), 1), (5, 5), (0, 0)]]},
    {"type": "Polygon", "coordinates": [[(0, 0), (1, "a"), (5, 5), (0, 0)]]},
    {"type": "Polygon", "coordinates": 5},
]


@pytest.mark.parametrize("geometry", EMPTY)
def test_what_encloses_nothing_is_left_out_and_counted(tmp_path, geometry):
    """Its neighbours stay."""
    drawn = [feature(BOX, c="lake"), feature(geometry, c="lake"), feature(BOX, c="land")]

    found = read_polygons(write_geojson(tmp_path / "a.json", drawn), TABLE)

    assert [polygon.row for polygon in found.polygons] == [1, 0]
    assert found.skipped == 1


@WRITERS
@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Point", "coordinates": (1, 1)},
        {"type": "LineString", "coordinates": [(0, 0), (1, 1)]},
        {"type": "GeometryCollection", "geometries": [BOX]},
    ],
)
def test_what_is_no_polygon_is_refused_by_its_number(tmp_path, write, name, geometry):
    """Its kind is told."""
    path = write(tmp_path / name, [feature(BOX, c="lake"), feature(geometry, c="lake")])

    with pytest.raises(DataError, match=f"feature 2 is a {geometry['type']}; only Polygon"):
        read_polygons(path, TABLE)


def test_a_file_without_features_is_all_rest(tmp_path):
    """Nothing was found to draw: that is an answer."""
    path = write_geojson(tmp_path / "a.geojson", [])
    image = write_tif(tmp_path / "image.tif", noise(3, 6, 6), crs="EPSG:32633")

    with open_sample(Sample(image, path, ""), LabelCoder(TABLE), ModelSettings()) as (_, labels):
        assert not labels.read().any()


def test_an_outline_that_crosses_itself_is_kept(tmp_path):
    """A bow tie holds its two halves, and is not counted among what was left out."""
    bow = {"type": "Polygon", "coordinates": [[(0, 0), (6, 6), (6, 0), (0, 6), (0, 0)]]}
    path = write_geojson(tmp_path / "a.geojson", [feature(bow, c="lake")])
    image = write_tif(tmp_path / "image.tif", noise(3, 6, 6))

    with open_sample(Sample(image, path, ""), LabelCoder(TABLE), ModelSettings()) as (_, labels):
        shown = labels.read()[0]

    assert labels.skipped == 0
    assert shown[2:4, [0, 5]].all()
    assert not shown[[0, 5], 2:4].any()


def _two_layers(path):
    write_gpkg(path, [feature(BOX, c="lake")], layer="one")
    return write_gpkg(path, [feature(BOX, c="lake")], layer="two", append=True)


BROKEN = {
    "text.geojson": lambda path: write_text(path, "no JSON"),
    "cut.json": lambda path: write_text(path, '{"type": "FeatureCollection", "features": ['),
    "other.json": lambda path: write_text(path, '{"model": 1}'),
    "list.json": lambda path: write_text(path, "[1, 2]"),
    "nameless.geojson": lambda path: write_geojson(path, [], crs={"type": "link"}),
    "text.gpkg": lambda path: write_text(path, "no database"),
    "two.gpkg": _two_layers,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_of_no_polygons_is_named_in_one_line(tmp_path, name):
    """Whatever is wrong with it."""
    path = BROKEN[name](tmp_path / name)

    with pytest.raises(DataError) as caught:
        read_polygons(path, TABLE)

    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_without_the_extra_a_geopackage_says_what_to_install(tmp_path, monkeypatch):
    """GeoJSON still reads."""
    drawn = [feature(BOX, c="lake")]
    packed = write_gpkg(tmp_path / "a.gpkg", drawn)
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    monkeypatch.setitem(sys.modules, "shapely", None)

    assert rows(write_geojson(tmp_path / "a.geojson", drawn)) == [1]
    with pytest.raises(DataError, match=r"^.*a\.gpkg: .*pip install 'pyogrio>="):
        read_polygons(packed, TABLE)


def test_a_geopackage_is_not_taken_for_its_namesake(tmp_path, monkeypatch):
    """Pyogrio reads `site!a.gpkg` as `a.gpkg`."""
    monkeypatch.chdir(tmp_path)
    other = write_gpkg(Path("a.gpkg"), [feature(BOX, c="lake")])
    named = other.rename("site!a.gpkg")
    write_gpkg(other, [feature(BOX, c="road")])

    with pytest.raises(DataError, match=r"^site!a\.gpkg: .*rename it"):
        read_polygons(named, TABLE)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
@pytest.mark.parametrize("options", [{}, {"transform": Affine(2, 0, 0, 0, -2, 0)}])
def test_places_on_earth_need_an_image_with_a_system(tmp_path, crs, options):
    """Both files are named."""
    path = write_gpkg(tmp_path / "a.gpkg", [feature(BOX, c="lake")], crs)
    image = write_tif(tmp_path / "image.tif", noise(3, 6, 6), **options)

    with (
        pytest.raises(DataError, match=rf"^{path}: .*{crs}, but image\.tif has no"),
        open_sample(Sample(image, path, ""), LabelCoder(TABLE), ModelSettings()),
    ):
        pass


def test_projected_coordinates_that_no_crs_explains_are_told_as_such(tmp_path):
    """Where none is named GeoJSON means longitude and latitude."""
    path = write_geojson(tmp_path / "a.geojson", [feature(box(0, 10_000, 5, 10_005), c="lake")])
    image = write_tif(tmp_path / "image.tif", noise(3, 6, 6), crs="EPSG:32633")

    with (
        pytest.raises(DataError, match=f"^{path}: its coordinates .longitude and latitude, for it"),
        open_sample(Sample(image, path, ""), LabelCoder(TABLE), ModelSettings()),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "north"),
    [("nonsense", 0), ("EPSG:4326", 10_000), ("EPSG:4326", 91), ("EPSG:4326", -96)],
)
def test_coordinates_that_cannot_be_the_images_are_told(tmp_path, name, north):
    """A system that nobody knows, or a latitude beyond the poles."""
    members = {"crs": {"type": "name", "properties": {"name": name}}}
    drawn = [feature(box(0, north, 5, north + 5), c="lake")]
    path = write_geojson(tmp_path / "a.geojson", drawn, **members)
    image = write_tif(tmp_path / "image.tif", noise(3, 6, 6), crs="EPSG:32633")

    with (
        pytest.raises(DataError, match=f"^{path}: its coordinates .{name}. cannot become"),
        open_sample(Sample(image, path, ""), LabelCoder(TABLE), ModelSettings()),
    ):
        pass
