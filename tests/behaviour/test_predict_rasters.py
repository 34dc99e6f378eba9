"""What predicting rasters of any size promises: each part as its scene alone, in its place.

The network is random and small, so its labels change from pixel to pixel: an error by one shows.
"""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest
import rasterio
import rasterio.control
import torch
from PIL import Image
from rasterio.transform import Affine

import glnet
from glnet.bundle import BundleConfig, TrainedOn
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.images import ImageScene
from glnet.engines.loading import load_engine
from glnet.engines.models import save_model
from glnet.errors import GlnetError, RasterError, RunError
from glnet.geometry import Size, Window
from glnet.prediction.locks import parts_folder
from glnet.prediction.opening import open_source
from glnet.prediction.options import PredictOptions
from glnet.prediction.parts import Part, plan_parts
from glnet.prediction.source import Source
from glnet.prediction.tiled import HELD, tiled_copy, wants_tiles
from glnet.raster import Raster
from glnet.recipe import ModelSettings
from images import vrt
from makers import (
    box,
    cut,
    feature,
    noise,
    opened,
    write_geojson,
    write_jpg,
    write_png,
    write_text,
    write_tif,
)
from networks import ArrayScene, seasoned

VALUES = (3, 7, 250)
COLOURS = ((9, 0, 0), (0, 9, 0), (0, 0, 9))
TABLE = ClassTable(tuple(ClassInfo(f"c{v}", v, c) for v, c in zip(VALUES, COLOURS, strict=True)))
THIN = {"trunk_options": {"channels": [8, 16, 32, 64], "layers": [1, 1, 1, 1]}}
SIDE = 160
NODATA = 255
GROUND = {"crs": "EPSG:32640", "transform": Affine(0.5, 0, 500, 0, -0.5, 900)}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of models without graphs, by what they were trained on and how they share."""
    root = tmp_path_factory.mktemp("models")
    made = {}

    def make(resolution=None, **changes):
        key = repr((resolution, changes))
        if key not in made:
            made[key] = root / str(len(made))
            trained = TrainedOn(largest=SIDE, median=SIDE, resolution=resolution)
            model = seasoned(**(THIN | changes))
            save_model(made[key], model, TABLE, "Made for a test.", trained_on=trained)
        return made[key]

    return make


def predicted(image, model, folder, **options):
    """The mask of a run, its report, and the folder afterwards holds parts only if some failed."""
    folder.mkdir(exist_ok=True)
    out = folder / "mask.tif"
    report = glnet.predict(image, model, out, device="cpu", engine="torch", **options)
    with opened(out) as file:
        mask = file.read(1)
    assert any(folder.glob("*.parts")) == bool(report.failed)
    return mask, report


def scene_labels(model, pixels):
    """The slow twin: class values of an array as one scene, without files."""
    engine, _ = load_engine(model, "cpu", engine="torch")
    view = engine.settings.views[0]
    labels = engine.segment(ArrayScene(pixels), [view]).views[view].labels()
    return np.array(VALUES, np.uint8)[labels]


def test_up_to_a_quarter_more_than_the_largest_is_one_scene(models, tmp_path):
    """Bit for bit what the whole image gives."""
    pixels = noise(3, 200, 151)
    image = write_tif(tmp_path / "a.tif", pixels)

    mask, report = predicted(image, models(), tmp_path / "out")

    assert report.parts == 1
    np.testing.assert_array_equal(mask, scene_labels(models(), pixels))
    np.testing.assert_array_equal(mask, glnet.segment(image, models(), device="cpu"))


def faded(model, pixels, plan):
    """The slow twin of many scenes: every pixel's mean over all scenes that hold it.

    A scene counts by how far the pixel lies inside it, up to the double halo, but for the borders
    of the raster.
    """
    engine, _ = load_engine(model, "cpu", engine="torch")
    view = engine.settings.views[0]
    height, width = pixels.shape[1:]
    total, weight = np.zeros((len(VALUES), height, width)), np.zeros((height, width))
    for part in plan.parts:
        scene = part.scene
        found = engine.segment(ArrayScene(pixels[:, *scene.slices]), [view]).views[view]
        scores = found.read(Window(0, 0, *scene.size)).numpy().astype(float)
        share = np.ones(scene.size)
        for y in range(scene.height):
            for x in range(scene.width):
                away = [1.0]
                away += [(y + 0.5) / (2 * plan.margin)] if scene.top else []
                away += [(scene.height - y - 0.5) / (2 * plan.margin)] * (scene.bottom < height)
                across = [1.0]
                across += [(x + 0.5) / (2 * plan.margin)] if scene.left else []
                across += [(scene.width - x - 0.5) / (2 * plan.margin)] * (scene.right < width)
                share[y, x] = min(away) * min(across)
        total[:, *scene.slices] += scores * share
        weight[scene.slices] += share
    return total / weight


@pytest.mark.parametrize("sharing", ["bidirectional", "none"])
def test_a_larger_raster_is_its_scenes_faded_into_each_other(models, tmp_path, sharing):
    pixels = noise(3, 203, 411)
    image = write_tif(tmp_path / "a.tif", pixels, tiled=True, blockxsize=64, blockysize=64)
    model = models(sharing=sharing)
    scores = faded(model, pixels, plan_parts(Size(203, 411), SIDE, SIDE))
    expected = np.array(VALUES)[scores.argmax(axis=0)]
    ordered = np.sort(scores, axis=0)
    clear = ordered[-1] - ordered[-2] > 1e-4 * np.abs(scores).max()

    mask, report = predicted(image, model, tmp_path / "out", scores=tmp_path / "s.tif")

    assert report.parts > 4
    assert report.patches >= 4 * report.parts
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(mask[clear], expected[clear])
    np.testing.assert_array_equal(glnet.segment(image, model, device="cpu"), mask)
    with opened(tmp_path / "s.tif") as file:
        assert np.abs(file.read() - scores).max() < 1e-4 * np.abs(scores).max()


def _nodata(path, pixels, valid):
    marked = np.where(valid, np.maximum(pixels, 1), 0).astype(np.uint8)
    return write_tif(path, marked, nodata=0), marked


def _alpha(path, pixels, valid):
    four = np.concatenate([pixels, valid[None] * np.uint8(200)])
    return write_tif(path, four, photometric="rgb", alpha="yes"), pixels


def _alpha_and_nodata(path, pixels, valid):
    """White under transparency, as clients like it, and a value that is not there declared."""
    four = np.concatenate([np.where(valid, pixels, 255), valid[None] * np.uint8(200)])
    return write_tif(path, four.astype(np.uint8), photometric="rgb", alpha="yes", nodata=0), pixels


def _inner_mask(path, pixels, valid):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_tif(path, pixels, photometric="rgb")
        with opened(path, "r+") as file:
            file.write_mask(valid)
    return path, pixels


@pytest.mark.parametrize("make", [_nodata, _alpha, _alpha_and_nodata, _inner_mask])
def test_ground_without_data_stays_without(models, tmp_path, make):
    """Exactly its pixels are no data; scenes and patches of it alone are not computed."""
    valid = np.ones((203, 411), bool)
    valid[:, 230:] = False
    valid[20:23, 40:90] = False
    image, pixels = make(tmp_path / "a.tif", noise(3, 203, 411), valid)
    plain = write_tif(tmp_path / "plain.tif", pixels)

    mask, report = predicted(image, models(), tmp_path / "out")
    whole, complete = predicted(plain, models(), tmp_path / "plain")

    np.testing.assert_array_equal(mask == NODATA, ~valid)
    assert report.empty > 0
    assert report.patches < complete.patches - report.empty
    assert (whole != NODATA).all()


def test_ground_without_data_is_not_kept_pixel_by_pixel(models, tmp_path):
    """Of scenes without any, a share leaves a few bytes: most of a large raster may be blank."""
    image, _ = _nodata(tmp_path / "a.tif", noise(3, 400, 3000), np.zeros((400, 3000), bool))
    out = tmp_path / "mask.tif"

    report = glnet.predict(image, models(), out, scene=600, part="1/2")

    left = [path for path in parts_folder(out).rglob("*") if path.suffix in (".tif", ".npy")]
    assert report.empty > 0
    assert 0 < sum(path.stat().st_size for path in left) < 16384


def test_what_is_filled_in_does_not_depend_on_what_lay_there(models, tmp_path):
    """Values of transparent pixels, junk often, must not reach the network."""
    valid = np.ones((150, 180), bool)
    valid[60:90, 50:120] = False
    pixels = noise(3, 150, 180)
    other = np.where(valid, pixels, noise(3, 150, 180, seed=1))

    first, second = (
        predicted(_alpha(tmp_path / f"{i}.tif", p, valid)[0], models(), tmp_path / f"{i}")[0]
        for i, p in enumerate((pixels, other))
    )

    np.testing.assert_array_equal(first, second)


def test_values_that_are_not_finite_are_no_data(models, tmp_path):
    settings = {"input": {"scale": 1.0, "mean": [0.0] * 3, "deviation": [1.0] * 3}}
    pixels = noise(3, 100, 120, dtype=np.float32)
    pixels[0, 10, 20], pixels[2, 50:60, 70] = np.nan, -np.inf
    image = write_tif(tmp_path / "a.tif", pixels)

    mask, _ = predicted(image, models(**settings), tmp_path / "out")

    np.testing.assert_array_equal(mask == NODATA, ~np.isfinite(pixels).all(axis=0))


def test_within_polygons_alone(models, tmp_path):
    """Pixels whose centre lies in one; the rest is no data, and inside nothing changes."""
    image = write_tif(tmp_path / "a.tif", noise(3, 150, 180), **GROUND)
    area = write_geojson(
        tmp_path / "area.geojson",
        [feature(box(500 + 10, 900 - 40, 500 + 35, 900 - 15)), feature(box(560, 880, 561, 881)),
         feature(box(9000, 880, 9010, 890))],
        crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32640"}},
    )  # fmt: skip
    inside = np.zeros((150, 180), bool)
    inside[30:80, 20:70] = True
    inside[38:40, 120:122] = True
    model, said = models(sharing="none"), []

    mask, report = predicted(image, model, tmp_path / "out", within=area, said=said.append)
    whole, complete = predicted(image, model, tmp_path / "whole")

    np.testing.assert_array_equal(mask == NODATA, ~inside)
    assert not any("--within" in line for line in said)
    assert report.patches < complete.patches
    # A patch beside that is left out adds nothing to the mean of overlapping patches.
    inner = np.zeros_like(inside)
    inner[30:46, 20:46] = True
    np.testing.assert_array_equal(mask[inner], whole[inner])


def test_polygons_beside_the_image_are_told(models, tmp_path):
    """The mask is empty, as was asked; a wrong file or a wrong system is more likely."""
    image = write_tif(tmp_path / "a.tif", noise(3, 60, 80), **GROUND)
    area = write_geojson(
        tmp_path / "area.geojson",
        [feature(box(505, 860, 515, 869))],
        crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32640"}},
    )
    said = []

    mask, _ = predicted(image, models(), tmp_path / "out", within=area, said=said.append)

    assert (mask == NODATA).all()
    assert said[0] == "no polygon of --within reaches into the image: nothing of it has data"


def test_bands_in_any_order(models, tmp_path):
    pixels = noise(5, 90, 100)
    five = write_tif(tmp_path / "five.tif", pixels, photometric="minisblack")
    three = write_tif(tmp_path / "three.tif", pixels[[3, 0, 4]])

    chosen, _ = predicted(five, models(), tmp_path / "a", bands=[4, 1, 5])
    plain, _ = predicted(three, models(), tmp_path / "b")

    np.testing.assert_array_equal(chosen, plain)
    with pytest.raises(RasterError, match="wanted bands 4, 6; found 5"):
        glnet.predict(five, models(), tmp_path / "no.tif", bands=[4, 6])
    with pytest.raises(RasterError, match="wanted 3 bands, as the model takes, found 2"):
        glnet.predict(three, models(), tmp_path / "no.tif", bands=[1, 2])


def test_alpha_that_is_asked_for_is_data(models, tmp_path):
    """GDAL calls the fourth band of any 8-bit image so, near infrared too."""
    pixels = noise(4, 90, 100)
    pixels[3, 20:50] = 0
    four = write_tif(tmp_path / "four.tif", pixels, photometric="rgb", alpha="yes")
    same = write_tif(tmp_path / "same.tif", pixels[[3, 0, 1]])
    said = []

    asked, _ = predicted(four, models(), tmp_path / "a", bands=[4, 1, 2], said=said.append)
    assert not any("alpha" in line for line in said)
    hidden, _ = predicted(four, models(), tmp_path / "b", bands=[1, 2, 3], said=said.append)
    plain, _ = predicted(same, models(), tmp_path / "c")

    np.testing.assert_array_equal(asked, plain)
    np.testing.assert_array_equal(hidden == NODATA, pixels[3] == 0)
    assert "band 4 counts as alpha: where it is 0 there is no data" in said


@pytest.mark.skipif(not shutil.which("gdalinfo"), reason="GDAL's own tools are not here")
@pytest.mark.parametrize(
    "transform",
    [Affine(0.5, 0, 500, 0, -0.5, 900), Affine(0.3, 0.4, 500, 0.4, -0.3, 900)],
    ids=["north up", "turned"],
)
def test_gdals_own_tools_find_the_mask_where_the_image_is(models, tmp_path, transform):
    """Place, system, colours, names and nodata, as `gdalinfo` tells them."""
    image = write_tif(
        tmp_path / "image.tif", noise(3, 170, 230), **GROUND | {"transform": transform}
    )
    predicted(image, models(), tmp_path / "out")

    there, found = (
        json.loads(subprocess.check_output(["gdalinfo", "-json", path]))  # noqa: S607
        for path in (image, tmp_path / "out" / "mask.tif")
    )

    for told in ("size", "geoTransform", "coordinateSystem", "cornerCoordinates"):
        assert found[told] == there[told], told
    (band,) = found["bands"]
    assert band["noDataValue"] == NODATA
    shown = band["colorTable"]["entries"]
    assert [shown[value][:3] for value in VALUES] == [list(colour) for colour in COLOURS]
    assert {f"class_{v}": f"c{v}" for v in VALUES}.items() <= band["metadata"][""].items()


@pytest.mark.parametrize("factor", [2, 3])
def test_a_finer_raster_is_read_at_the_models_resolution(models, tmp_path, factor):
    """Its mask lies on its own grid: each block of pixels has the label of the coarse pixel."""
    coarse = np.repeat(np.repeat(noise(3, 30, 36), 4, axis=1), 4, axis=2)
    fine = np.repeat(np.repeat(coarse, factor, axis=1), factor, axis=2)
    ground = {"crs": "EPSG:32640", "transform": Affine(0.5 / factor, 0, 500, 0, -0.5 / factor, 900)}
    image = write_tif(tmp_path / "fine.tif", fine, **ground)
    plain = write_tif(tmp_path / "coarse.tif", coarse, **GROUND)

    mask, report = predicted(image, models(resolution=0.5), tmp_path / "a")
    expected, _ = predicted(plain, models(resolution=0.5), tmp_path / "b")
    native, as_it_is = predicted(image, models(resolution=0.5), tmp_path / "c", resolution="native")

    assert report.scene == Size(120, 144)
    assert mask.shape == fine.shape[1:]
    block = mask.reshape(120, factor, 144, factor)
    same = (block == expected[:, None, :, None]).mean()
    assert same > 0.9
    assert (native.reshape(block.shape) == expected[:, None, :, None]).mean() < same
    assert as_it_is.scene.height * as_it_is.parts >= 120 * factor


def test_degrees_are_metres_at_the_scenes_centre(models, tmp_path):
    """At 60 degrees north a degree of longitude is half as long: its pixels are twice as wide."""
    step = 0.5 / (6_371_008.8 * np.pi / 180)
    place = {"crs": "EPSG:4326", "transform": Affine(2 * step, 0, 20, 0, -step, 60)}
    image = write_tif(tmp_path / "a.tif", noise(3, 100, 120), **place)

    _, report = predicted(image, models(resolution=0.5), tmp_path / "out")
    _, finer = predicted(image, models(resolution=1.0), tmp_path / "finer")

    _, near = predicted(image, models(resolution=0.54), tmp_path / "near")
    _, asked = predicted(image, models(), tmp_path / "asked", resolution=0.54)

    assert report.scene == Size(100, 120)
    assert finer.scene == Size(50, 60)
    assert near.scene == Size(100, 120)  # within a tenth
    assert asked.scene == Size(93, 111)


@pytest.mark.parametrize("pixel", [0.5, 0.25])
@pytest.mark.parametrize(
    ("length", "scene", "parts", "longest"),
    [(375, None, 1, 375), (376, None, 5, 120), (200, 200, 1, 200), (201, 200, 2, 200)],
)
def test_what_a_model_was_trained_on_tells_how_rasters_are_cut(
    tmp_path, pixel, length, scene, parts, longest
):
    """One scene up to a quarter more than the largest, else of the median; or as was asked for."""
    ground = GROUND | {"transform": Affine(pixel, 0, 500, 0, -pixel, 900)}
    image = write_tif(tmp_path / "a.tif", noise(3, 40, round(length * 0.5 / pixel)), **ground)
    trained = TrainedOn(largest=300, median=120, resolution=0.5)
    config = BundleConfig(model=ModelSettings(), classes=[], origin="here", trained_on=trained)

    with open_source(image, config, PredictOptions(scene=scene), 1 << 30) as source:
        assert len(source.parts) == parts
        assert source.scene.width <= longest


def test_pixels_far_larger_than_the_models_are_refused(models, tmp_path):
    place = {"crs": "EPSG:32640", "transform": Affine(10, 0, 500, 0, -10, 900)}
    image = write_tif(tmp_path / "a.tif", noise(3, 100, 120), **place)

    with pytest.raises(RasterError, match=r"10 x 10 m.*0\.5 m.*--resolution native"):
        glnet.predict(image, models(resolution=0.5), tmp_path / "mask.tif")


def test_a_picture_too_large_to_hold_is_read_in_parts(models, tmp_path):
    """The same mask as from memory, and nothing remains of the copy."""
    image = write_png(tmp_path / "a.png", noise(3, 150, 430))

    small, _ = predicted(image, models(), tmp_path / "a", memory="700KiB")
    large, _ = predicted(image, models(), tmp_path / "b")

    np.testing.assert_array_equal(small, large)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_copy_of_a_photo_is_seen_upright(tmp_path, orientation):
    """However the camera was held; the two decoders differ in the last digits."""
    smooth = np.add.outer(np.arange(120), 2 * np.arange(50)).astype(np.uint8)
    image = write_jpg(tmp_path / "a.jpg", np.stack([smooth] * 3), orientation)

    with Raster(image) as raster, tiled_copy(raster, tmp_path / "copy.tif") as (copy, turn):
        upright = turn.apply(copy.read())
        source = Source(copy, Size(8, 8), turn=turn)
        part = source.read(Part(0, Window(5, 10, 30, 20), Window(5, 10, 30, 20))).scene
        expected = raster.read()

    assert source.size == raster.size
    assert np.abs(upright.astype(int) - expected).max() <= 2
    np.testing.assert_array_equal(part.read(), upright[:, 5:35, 10:30])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_budget_is_for_bytes_not_for_pixels(tmp_path, dtype):
    image = write_png(tmp_path / "a.png", noise(80, 90, dtype=dtype))
    size = 80 * 90 * np.dtype(dtype).itemsize

    with Raster(image) as raster:
        assert not wants_tiles(raster, Size(40, 40), HELD * size)
        assert wants_tiles(raster, Size(40, 40), HELD * size - HELD)


def test_strips_across_many_scenes_are_made_tiles_first(models, tmp_path):
    """They would be decoded again for every scene; nothing remains of the copy."""
    pixels, plain = noise(5, 40, 900), {"photometric": "minisblack"}
    image = write_tif(tmp_path / "a.tif", pixels, compress="deflate", blockysize=8, **plain)
    tiled = write_tif(
        tmp_path / "b.tif", pixels[[3, 0, 4]], tiled=True, blockxsize=64, blockysize=64
    )

    paths = tmp_path / "one.tif", tmp_path / "other.tif"
    predicted(image, models(), tmp_path / "a", bands=[4, 1, 5], scores=paths[0])
    predicted(tiled, models(), tmp_path / "b", scores=paths[1])

    with opened(paths[0]) as one, opened(paths[1]) as other:
        np.testing.assert_array_equal(one.read(), other.read())


def test_a_copy_that_a_stopped_run_left_is_of_that_image_alone(models, tmp_path):
    def scores(folder, seed, **options):
        pixels, path = noise(3, 40, 900, seed=seed), folder / "scores.tif"
        image = write_tif(tmp_path / "a.tif", pixels, compress="deflate", blockysize=8)
        predicted(image, models(), folder, scores=path, **options)
        with opened(path) as file:
            return file.read()

    def said(line):
        if line.startswith("assembling"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scores(tmp_path / "out", 0, said=said)

    found, expected = (scores(tmp_path / name, 1) for name in ("out", "new"))
    np.testing.assert_array_equal(found, expected)


def test_a_copy_that_the_disk_cannot_hold_is_refused(tmp_path, monkeypatch):
    image = write_png(tmp_path / "a.png", noise(3, 60, 80))
    free = shutil._ntuple_diskusage(0, 0, 60 * 80 * 3 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)

    with (
        Raster(image) as raster,
        pytest.raises(RasterError, match="60 x 80 pixels have to be copied"),
        tiled_copy(raster, tmp_path / "copy.tif"),
    ):
        pass

    assert not list(tmp_path.glob("copy*.tif"))


def test_confidence_and_probabilities_are_the_scores_softmax(models, tmp_path):
    """In 254th parts, rounded; 255 where there is no data."""
    valid = np.ones((203, 300), bool)
    valid[50:70, 100:130] = False
    image, _ = _nodata(tmp_path / "a.tif", noise(3, 203, 300), valid)
    paths = {kind: tmp_path / f"{kind}.tif" for kind in ("confidence", "probabilities", "scores")}

    mask, report = predicted(image, models(), tmp_path / "out", **paths)

    with opened(paths["scores"]) as file:
        scores = file.read().astype(float)
        assert file.descriptions == ("c3", "c7", "c250")
    shares = torch.softmax(torch.from_numpy(scores), 0).numpy()
    with opened(paths["probabilities"]) as file:
        steps = file.read()
    with opened(paths["confidence"]) as file:
        confidence = file.read(1)
        assert file.nodata == NODATA
    assert np.isnan(scores[:, ~valid]).all()
    assert (steps[:, ~valid] == NODATA).all()
    assert (confidence[~valid] == NODATA).all()
    assert np.abs(steps - shares * 254)[:, valid].max() < 0.51
    np.testing.assert_array_equal(confidence[valid], steps.max(axis=0)[valid])
    best = np.array(VALUES)[scores.argmax(axis=0)]
    np.testing.assert_array_equal(mask[valid], best[valid])
    assert set(report.outputs) == {
        str(path)
        for path in (*paths.values(), tmp_path / "out/mask.tif", tmp_path / "out/mask.qml")
    }


def test_polygons_are_those_of_the_mask(models, tmp_path):
    image = write_tif(tmp_path / "a.tif", noise(3, 203, 411), **GROUND)
    wish = glnet.PolygonWish(tmp_path / "p.geojson", background=["c7"])

    mask, report = predicted(image, models(), tmp_path / "out", polygons=wish)

    features = json.loads(wish.path.read_text())["features"]
    assert len(features) == report.polygons
    areas = dict.fromkeys(VALUES, 0)
    for one in features:
        areas[one["properties"]["value"]] += one["properties"]["area_px"]
    assert areas == {3: (mask == 3).sum(), 7: 0, 250: (mask == 250).sum()}
    assert not any("confidence" in one["properties"] for one in features)


@pytest.mark.parametrize("many", [False, True])
def test_polygons_tell_the_confidence_that_is_written_with_them(models, tmp_path, many):
    """Together, by their areas, they have that of all pixels."""
    image = write_tif(tmp_path / "a.tif", noise(3, 203, 411), **GROUND)
    sure, polygons = tmp_path / "a.confidence.tif", tmp_path / "a.geojson"

    if many:
        also = ["confidence", "geojson"]
        assert [*glnet.predict_many([image], models(), tmp_path / "out", also=also)]
        sure, polygons = (tmp_path / "out" / path.name for path in (sure, polygons))
    else:
        wish = glnet.PolygonWish(polygons)
        predicted(image, models(), tmp_path / "out", polygons=wish, confidence=sure)

    told = [one["properties"] for one in json.loads(polygons.read_text())["features"]]
    total = sum(one["confidence"] * one["area_px"] for one in told)
    with opened(sure) as file:
        steps = file.read(1)
    assert total == pytest.approx(steps.sum() / 254, rel=1e-4)
    assert len({one["confidence"] for one in told}) > 1


def test_a_part_that_fails_fails_the_run_after_the_others(models, tmp_path):
    """The windows are named, the rest is kept; or it becomes ground without data."""
    pixels = noise(3, 411, 203)
    layout = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    image = cut(write_tif(tmp_path / "a.tif", pixels, **layout), 0.7)
    whole, _ = predicted(
        write_tif(tmp_path / "whole.tif", pixels, **layout), models(), tmp_path / "whole"
    )

    with pytest.raises(GlnetError, match=r"rows .* columns .*") as caught:
        predicted(image, models(), tmp_path / "out")
    report = json.loads((tmp_path / "out/mask.report.json").read_text())
    assert not (tmp_path / "out/mask.tif").exists()
    assert "on-error nodata" in str(caught.value)
    mask, second = predicted(image, models(), tmp_path / "nodata", on_error="nodata")

    assert 0 < len(report["failed"]) < report["parts"]
    assert [f"{f}" for f in second.failed] == str(caught.value).splitlines()[:-1]
    lost, near = np.zeros(mask.shape, bool), np.zeros(mask.shape, bool)
    plan = plan_parts(Size(411, 203), SIDE, SIDE)
    for failed in second.failed:
        lost[failed.core.slices] = True
        part = next(part for part in plan.parts if part.core == failed.core)
        near[part.scene.slices] = True
    np.testing.assert_array_equal(mask == NODATA, lost)
    np.testing.assert_array_equal(mask[~near], whole[~near])


def test_what_has_failed_is_tried_again_when_the_disk_answers_again(models, tmp_path):
    """The file is what it was, by all that tells files apart; only what was lost is made anew."""
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    image = write_tif(tmp_path / "a.tif", noise(3, 2048, 512), **tiles)
    whole, _ = predicted(image, models(), tmp_path / "whole", scene=400)
    sound, times = image.read_bytes(), image.stat()
    middle = len(sound) // 2

    def hold(content):
        image.write_bytes(content)
        os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))

    hold(sound[:middle] + bytes(1000) + sound[middle + 1000 :])
    _, first = predicted(image, models(), tmp_path / "out", scene=400, on_error="nodata")
    hold(sound)
    mask, second = predicted(image, models(), tmp_path / "out", scene=400)

    assert first.failed
    assert second.reused > 0
    np.testing.assert_array_equal(mask, whole)


def test_a_png_mask_of_many_parts(models, tmp_path):
    image = write_tif(tmp_path / "a.tif", noise(3, 203, 411))

    glnet.predict(image, models(), tmp_path / "mask.png", device="cpu", engine="torch")

    expected, _ = predicted(image, models(), tmp_path / "out")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "mask.png")), expected)


def test_virtual_rasters_only_when_asked_for(models, tmp_path):
    image = write_tif(tmp_path / "a.tif", noise(3, 90, 100))
    virtual = tmp_path / "a.vrt"
    rasterio.shutil.copy(image, virtual, driver="VRT")

    with pytest.raises(RasterError, match=r"a\.vrt: cannot be opened"):
        glnet.predict(virtual, models(), tmp_path / "no.tif")
    through, _ = predicted(virtual, models(), tmp_path / "a", virtual=True)

    np.testing.assert_array_equal(through, predicted(image, models(), tmp_path / "b")[0])


def _source(folder):
    write_tif(folder / "source.tif", noise(3, 80, 80, seed=1))


def _mask(folder):
    hidden = np.zeros((1, 80, 80), np.uint8)
    with opened(write_tif(folder / "source.tif.msk", hidden), "r+") as file:
        file.update_tags(INTERNAL_MASK_FLAGS_1="2")


def _world(folder):
    write_text(folder / "source.tfw", "1", "0", "0", "-1", "5", "9")


@pytest.mark.parametrize("image", ["source.tif", "a.vrt", "b.vrt"])
@pytest.mark.parametrize("change", [_source, _mask, _world])
def test_a_mask_is_of_all_files_that_its_image_depends_on(models, tmp_path, image, change):
    """A source of a VRT, or of a VRT's; a mask or a world file beside it; no statistics."""
    source = write_tif(tmp_path / "source.tif", noise(3, 80, 80))
    vrt(tmp_path / "a.vrt", *3 * [source], height=80, width=80)
    vrt(tmp_path / "b.vrt", *3 * [tmp_path / "a.vrt"], height=80, width=80)
    said = []

    def again():
        said.clear()
        options = {"virtual": True, "said": said.append}
        predicted(tmp_path / image, models(), tmp_path / "out", **options)
        return any("was made before" in line for line in said)

    assert not again()
    notes = tmp_path / f"{image}.aux.xml"
    notes.write_text("<PAMDataset/>")
    assert again()
    value = "<NoDataValue>9</NoDataValue>"
    notes.write_text(f'<PAMDataset><PAMRasterBand band="1">{value}</PAMRasterBand></PAMDataset>')
    assert again() == (image != "source.tif")  # a VRT says itself what means nothing
    change(tmp_path)
    assert again() == (change is not _source and image != "source.tif")  # a VRT asks for no more


def test_polygons_that_change_change_what_was_made(models, tmp_path):
    """Where to segment, by the file's content; which are written, by all that was wished."""
    image = write_tif(tmp_path / "a.tif", noise(3, 60, 80), **GROUND)
    system = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32640"}}
    area, said = tmp_path / "area.geojson", []

    def again(**wish):
        said.clear()
        polygons = glnet.PolygonWish(tmp_path / "p.geojson", **wish)
        options = {"within": area, "polygons": polygons, "said": said.append}
        predicted(image, models(), tmp_path / "out", **options)
        return any("was made before" in line for line in said)

    write_geojson(area, [feature(box(505, 880, 510, 890))], crs=system)
    assert [again(), again(), again(min_area=5)] == [False, True, False]
    write_geojson(area, [feature(box(505, 880, 520, 890))], crs=system)
    assert not again(min_area=5)


def test_a_place_by_control_points_is_told_of(models, tmp_path):
    corners = [(0, 0, 5, 9), (0, 80, 6, 9), (80, 0, 5, 8)]
    points = [rasterio.control.GroundControlPoint(*corner) for corner in corners]
    image = write_tif(tmp_path / "a.tif", noise(3, 80, 80), gcps=points, crs="EPSG:4326")
    said = []

    predicted(image, models(), tmp_path / "out", said=said.append)

    assert any("ground control points, which are not carried over" in line for line in said)


@pytest.mark.parametrize(
    ("crs", "untold"),
    [
        ("EPSG:32640", False),
        ("+proj=ob_tran +o_proj=longlat +o_lat_p=39 +R=6371229 +lon_0=18", True),
    ],
)
def test_a_system_that_a_mask_cannot_tell_is_told_of(models, tmp_path, crs, untold):
    """Of turned poles, as weather models have them, the image tells by a file beside it."""
    grid = Affine(0.1, 0, 5, 0, -0.1, 9)
    image = write_tif(tmp_path / "a.tif", noise(3, 80, 80), crs=crs, transform=grid)
    said = []

    confidence = tmp_path / "confidence.tif"
    predicted(image, models(), tmp_path / "out", said=said.append, confidence=confidence)

    assert any("none that a GeoTIFF can tell" in line for line in said) == untold
    for path in (tmp_path / "out/mask.tif", confidence):
        with opened(path) as file:
            assert file.transform == grid
            assert (file.crs is None) == untold


def test_tta_of_parts_is_that_of_their_scenes(models, tmp_path):
    pixels = noise(3, 120, 300)
    image = write_tif(tmp_path / "a.tif", pixels)

    mask, _ = predicted(image, models(), tmp_path / "out", tta=True)

    part = plan_parts(Size(120, 300), SIDE, SIDE).parts[1]
    alone = write_tif(tmp_path / "b.tif", pixels[:, *part.scene.slices])
    expected = glnet.segment(alone, models(), device="cpu", engine="torch", tta=True)
    middle = (part.scene.left + part.scene.right) // 2  # where no neighbour reaches
    np.testing.assert_array_equal(mask[:, middle], expected[:, middle - part.scene.left])


def test_a_view_that_the_model_lacks_is_refused_before_anything_is_written(models, tmp_path):
    image = write_tif(tmp_path / "a.tif", noise(3, 90, 100))
    model = models(branches="global", sharing="none")

    with pytest.raises(RunError, match="has no local view"):
        glnet.predict(image, model, tmp_path / "mask.tif", view="local", device="cpu")

    assert not list(tmp_path.glob("mask*"))


@pytest.mark.parametrize("make", [None, _nodata, _alpha, _inner_mask])
def test_a_network_sees_what_it_was_trained_on(tmp_path, make):
    """Training's and prediction's way to look at a part of a raster agree, missing ground too."""
    window, small, patch = Window(30, 50, 100, 90), Size(64, 64), Window(3, 40, 60, 50)
    path, pixels = tmp_path / "a.tif", noise(3, 203, 300)
    valid = noise(203, 300, seed=1) > 60
    valid[:90, 100:] = False
    if make is None:
        write_tif(path, pixels)
    else:
        make(path, pixels, valid)
    with Raster(path) as raster:
        read = Source(raster, small).read(Part(0, window, window)).scene
        other = ImageScene(raster, window)
        np.testing.assert_array_equal(read.read(patch), other.read(patch))
        np.testing.assert_array_equal(read.read(), other.read())
        np.testing.assert_array_equal(read.thumbnail(small), other.thumbnail(small))
        marks = other.valid(patch)
        assert (marks is None) == (make is None)
        if make is not None:
            np.testing.assert_array_equal(marks, valid[window.within(patch).slices])
