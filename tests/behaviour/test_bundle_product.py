"""What a model folder promises as a product, and its results where people open them."""

import json
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from rasterio.transform import Affine

import glnet as api
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.engines.models import save_model
from glnet.errors import RasterError
from makers import noise, opened, write_png, write_tif
from networks import seasoned

AWKWARD = 'road, "paved" & <new>\n\x01é'
TABLE = ClassTable(
    (
        ClassInfo("land", 3, (9, 143, 0)),
        ClassInfo(AWKWARD, 7, (0, 9, 255)),
        ClassInfo("unknown", 9, (1, 1, 1), ignored=True),
        ClassInfo("lake", 250, (47, 109, 9)),
        ClassInfo("lake", 251, (47, 109, 10)),
    )
)
THIN = {"trunk_options": {"channels": [8, 16, 32, 64], "layers": [1, 1, 1, 1]}}
GROUND = {"crs": "EPSG:32640", "transform": Affine(0.5, 0, 500, 0, -0.5, 900)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder without graphs."""
    folder = tmp_path_factory.mktemp("models") / "model"
    save_model(folder, seasoned(**THIN), TABLE, "Made for a test.")
    return folder


def predict(image, model, out, **options):
    return api.predict(image, model, out, device="cpu", engine="torch", **options)


# A style for QGIS.


@pytest.mark.parametrize("name", ["mask.tif", "mask.v1.TIFF", "mask.png"])
def test_a_mask_has_a_style_with_its_own_colours_and_names(model, tmp_path, name):
    """By value, against the file's colour table and, of a GeoTIFF, its metadata."""
    image = write_tif(tmp_path / "a.tif", noise(3, 90, 100))
    out = tmp_path / name

    report = predict(image, model, out)

    style = out.with_suffix(".qml")
    assert set(report.outputs) == {str(out), str(style)}
    root = ET.fromstring(style.read_bytes())  # noqa: S314  our own
    renderer = root.find("pipe/rasterrenderer")
    assert (renderer.get("type"), renderer.get("band"), renderer.get("alphaBand")) == (
        "paletted", "1", "-1",
    )  # fmt: skip
    entries = {int(one.get("value")): one for one in renderer.iter("paletteEntry")}
    assert list(entries) == [3, 7, 250]
    with opened(out) as file:
        colours, tags, nodata = file.colormap(1), file.tags(1), file.nodata
    for value, entry in entries.items():
        assert entry.get("color") == f"#{bytes(colours[value][:3]).hex()}"
        assert int(entry.get("alpha")) == colours[value][3] == 255
    labels = {value: entry.get("label") for value, entry in entries.items()}
    assert labels == {3: "land", 7: AWKWARD.replace("\x01", "\ufffd"), 250: "lake"}
    if "tif" in name.lower():
        assert labels[250] == tags["class_250"]
        assert labels[3] == tags["class_3"]
    (clear,) = renderer.iter("pixelListEntry")
    assert float(clear.get("min")) == float(clear.get("max")) == nodata == 255
    assert clear.get("percentTransparent") == "100"
    assert colours[255][3] == 0


def test_a_style_is_replaced_with_its_mask_and_not_before(model, tmp_path):
    """Of a run that is stopped nothing of the older result is touched."""
    image = write_tif(tmp_path / "a.tif", noise(3, 90, 100))
    out, style = tmp_path / "mask.tif", tmp_path / "mask.qml"
    out.write_bytes(b"older")
    style.write_bytes(b"older")

    def stop(line):
        if line.startswith("verifying"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(image, model, out, said=stop)
    assert (out.read_bytes(), style.read_bytes()) == (b"older", b"older")
    report = predict(image, model, out)

    assert (report.reused, report.computed) == (1, 0)
    assert style.read_bytes().startswith(b"<!DOCTYPE qgis")
    assert out.read_bytes() != b"older"


def test_a_style_that_cannot_be_written_is_told_before_the_work(model, tmp_path):
    image = write_tif(tmp_path / "a.tif", noise(3, 90, 100))
    (tmp_path / "mask.qml").mkdir()

    with pytest.raises(RasterError, match=r"mask\.qml: is a folder"):
        predict(image, model, tmp_path / "mask.tif")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "mask.qml"]


# Polygons for QuPath.


def test_polygons_of_a_picture_are_annotations_in_pixels(model, tmp_path):
    """Filled as any viewer would fill them they are the mask, class by class."""
    image = write_png(tmp_path / "a.png", noise(3, 90, 100))
    out, path = tmp_path / "mask.tif", tmp_path / "a.geojson"

    predict(image, model, out, polygons=api.PolygonWish(path))

    with opened(out) as file:
        mask = file.read(1)
    found = np.zeros_like(mask)
    for one in json.loads(path.read_text(encoding="utf-8"))["features"]:
        facts = one["properties"]
        name, colour = facts["classification"]["name"], facts["classification"]["color"]
        assert facts["objectType"] == "annotation"
        assert facts["class"] == name == TABLE.legend[facts["value"]]
        assert tuple(colour) == TABLE.palette[facts["value"]]
        assert "color" not in facts  # as text QuPath takes the whole file for broken
        assert "id" not in one
        outer, *holes = (np.array(ring) for ring in one["geometry"]["coordinates"])
        inside = _inside(outer, mask.shape) & ~np.any(
            [np.zeros(mask.shape, bool), *(_inside(hole, mask.shape) for hole in holes)], axis=0
        )
        assert not found[inside].any()
        found[inside] = facts["value"]
    np.testing.assert_array_equal(found, mask)


def _inside(ring, shape):
    """Which pixels' middles a ring of (x, y) winds around: crossings to the right are odd."""
    inside = np.zeros(shape, bool)
    for (x, top), (other, bottom) in pairwise(ring.tolist()):
        if x == other:
            inside[min(top, bottom) : max(top, bottom), :x] ^= True
    return inside


def test_polygons_on_the_ground_are_nobodys_annotations(model, tmp_path):
    """Coordinates of a map mean nothing to QuPath; there colours are those of web maps."""
    image = write_tif(tmp_path / "a.tif", noise(3, 90, 100), **GROUND)
    path = tmp_path / "a.geojson"

    predict(image, model, tmp_path / "mask.tif", polygons=api.PolygonWish(path))

    for one in json.loads(path.read_text(encoding="utf-8"))["features"]:
        assert set(one["properties"]) == {"class", "value", "color", "area_px", "area"}
