"""What slides promise: the scanner's pixels, at the level that was asked for, in their places."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import openslide
import pytest
from rasterio.features import rasterize
from rasterio.transform import Affine

import glnet
from glnet.bundle import BundleConfig, TrainedOn
from glnet.engines.models import save_model
from glnet.errors import DataError, RasterError, RunError
from glnet.geometry import Window
from glnet.prediction.opening import open_source
from glnet.prediction.options import PredictOptions
from glnet.prediction.tissue import tissue_of
from glnet.prediction.vectorise import PolygonWish
from glnet.raster import Raster, SlideWish
from glnet.recipe import ModelSettings
from makers import TWO_CLASSES, box, check_one_line, feature, noise, opened, write_text, write_tif
from networks import seasoned
from predicting import Worker
from slide_files import aperio, write_slide
from small_slides import SIZES, halved, make_slide, noisy, with_islands
from viewing import viewed

THIN = {"trunk_options": {"channels": [8, 16, 32, 64], "layers": [1, 1, 1, 1]}}
SIDE, NODATA = 160, 255


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of models without graphs, by the metres per pixel that they know."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def make(resolution=None):
        if resolution not in made:
            made[resolution] = root / str(len(made))
            trained = TrainedOn(largest=SIDE, median=SIDE, resolution=resolution)
            model = seasoned(classes=2, **THIN)
            save_model(made[resolution], model, TWO_CLASSES, "For a test.", trained_on=trained)
        return made[resolution]

    return make


def predicted(image, model, out, **options):
    out.mkdir(exist_ok=True)
    mask = out / "mask.tif"
    report = glnet.predict(image, model, mask, device="cpu", engine="torch", **options)
    with opened(mask) as file:
        return file.read(1), report


@pytest.mark.parametrize("name", ["a.svs", "aperio.tif", "generic.tif"])
def test_windows_of_every_level_are_its_pixels(tmp_path, name):
    """Whatever a level's size is of the finest: OpenSlide counts in pixels of that."""
    levels = noisy()
    path = make_slide(tmp_path / name, levels, generic=name == "generic.tif")

    for number, pixels in enumerate(levels):
        with Raster(path, slide=SlideWish(level=number)) as raster:
            assert raster.size == pixels.shape[:2]
            assert raster.downsample == 4**number
            assert raster.resolution == pytest.approx((0.5e-6 * 4**number,) * 2)
            height, width = raster.size
            windows = [Window(0, 0, height, width), Window(height - 1, width - 1, 1, 1)]
            windows += [Window(17, 23, 50, 40), Window(height - 31, 60, 31, 17)]
            for window in windows:
                found, valid = raster.read_valid(window)
                assert valid is None
                np.testing.assert_array_equal(np.moveaxis(found, 0, -1), pixels[window.slices])
            raster.select([3, 1])
            some = np.moveaxis(pixels[windows[-1].slices][..., [2, 0]], -1, 0)
            np.testing.assert_array_equal(raster.read(windows[-1]), some)


def test_of_a_step_that_is_no_number_of_pixels_a_level_is_its_pixels_too(tmp_path):
    """Wherever a window begins."""
    levels = noisy([(1800, 1700), (1180, 1115)])
    path = make_slide(tmp_path / "a.svs", levels)

    with Raster(path, slide=SlideWish(level=1)) as raster:
        whole = raster.read()
        np.testing.assert_allclose(np.moveaxis(whole, 0, -1), levels[1].astype(int), atol=2)
        for window in (Window(3, 5, 700, 900), Window(1100, 500, 40, 20), Window(0, 1060, 9, 55)):
            np.testing.assert_array_equal(raster.read(window), whole[:, *window.slices])
        assert raster.downsample == pytest.approx(1.525, rel=1e-3)


@pytest.mark.parametrize(
    ("wanted", "level"),
    [(None, 0), (0.2e-6, 0), (1.8e-6, 0), (1.85e-6, 1), (2e-6, 1), (7e-6, 1), (7.5e-6, 2), (1, 2)],
)
def test_the_coarsest_level_that_is_as_fine_is_read(tmp_path, wanted, level):
    path = make_slide(tmp_path / "a.svs", noisy())
    with Raster(path, slide=SlideWish(wanted)) as raster:
        assert raster.size == SIZES[level]


def test_an_objective_tells_the_size_of_pixels(tmp_path):
    path = make_slide(tmp_path / "a.svs", noisy(), microns=None, power=20)
    with Raster(path) as raster:
        assert (raster.resolution, raster.slide.power) == ((0.5e-6, 0.5e-6), 20)


@pytest.mark.parametrize(
    ("told", "mpp", "what"),
    [
        ({}, 2, "level 2 of 3: pixels 2 µm"),
        (
            {"microns": None, "power": 20},
            2,
            "level 2 of 3: pixels 2 µm, as its objective of 20 x suggests",
        ),
        ({}, None, "level 1 of 3: pixels 0.5 µm"),
        ({"microns": None}, None, "level 1 of 3: pixels of unknown size"),
    ],
)
def test_it_is_said_what_is_read_of_a_slide(tmp_path, told, mpp, what):
    path = make_slide(tmp_path / "a.svs", noisy(), **told)
    config = BundleConfig(model=ModelSettings(), classes=[], origin="here")
    said = []

    with open_source(path, config, PredictOptions(mpp=mpp), 1 << 30) as source:
        source.tell(said.append)

    assert said == [f"a slide (aperio), {what}"]


@pytest.mark.parametrize("case", ["placed", "one level", "no size", "printed", "grey"])
def test_a_tiff_of_no_scanner_is_a_slide_only_if_it_looks_like_one(tmp_path, case):
    levels = noisy()
    microns = {"no size": None, "printed": 85}.get(case, 0.5)
    path = make_slide(
        tmp_path / "a.tif", levels[:1] if case == "one level" else levels,
        microns=microns, generic=True,
    )  # fmt: skip
    if case == "placed":
        with opened(path, "r+") as file:
            file.transform, file.crs = Affine(1, 0, 5, 0, -1, 5), "EPSG:32640"
    if case == "grey":
        write_tif(path, noise(1, 300, 300), tiled=True, blockxsize=64, blockysize=64)

    with Raster(path) as raster:
        assert raster.slide is None
    with Raster(path, slide=SlideWish(generic=True)) as raster:
        assert (raster.slide is None) == (case in {"placed", "grey"})


@pytest.mark.parametrize(
    ("written", "slide"),
    [({"BIGTIFF": "YES"}, True), ({"BIGTIFF": "YES", "ENDIANNESS": "BIG"}, True),
     ({"crs": "EPSG:32640"}, False), ({"transform": Affine(1, 0.2, 5, 0.2, -1, 5)}, False)],
)  # fmt: skip
def test_a_tiff_may_be_a_slide_however_its_header_is_written(tmp_path, written, slide):
    """In either byte order, with long places or short; and is none, however its place is told."""
    pixels = noise(3, 300, 300)
    path = write_tif(
        tmp_path / "a.tif", pixels, tiled=True, blockxsize=64, blockysize=64, **written
    )

    with Raster(path, slide=SlideWish(generic=True)) as raster:
        assert (raster.slide is not None) == slide
        np.testing.assert_array_equal(raster.read(), pixels)


def test_whether_it_is_a_slide_is_asked_once_until_the_file_changes(tmp_path, monkeypatch):
    """Training opens its images step after step, and OpenSlide takes longer than a patch."""
    path = make_slide(tmp_path / "a.tif", noisy()[:1], generic=True)
    asked, ask = [], openslide.OpenSlide.detect_format
    monkeypatch.setattr(
        openslide.OpenSlide, "detect_format", lambda path: asked.append(path) or ask(path)
    )

    for _ in range(3):
        with Raster(path) as raster:
            assert raster.slide is None
    assert len(asked) == 1
    make_slide(path, noisy()[:2], generic=True)

    with Raster(path) as raster:
        assert raster.slide is not None


def test_other_rasters_are_read_without_openslide(tmp_path):
    """Neither imported nor needed; a slide is refused with the extra's name."""
    pixels = noise(3, 300, 300)
    tiled = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    write_tif(tmp_path / "a.tif", pixels, transform=Affine(1, 0, 5, 0, -1, 5), **tiled)
    write_tif(tmp_path / "strips.tif", pixels)
    make_slide(tmp_path / "a.svs", noisy())
    make_slide(tmp_path / "scanned.tif", noisy())
    code = """
        import sys
        sys.modules["openslide"] = None
        from glnet.errors import RasterError
        from glnet.raster import Raster
        for name in ("a.tif", "strips.tif", "scanned.tif"):
            with Raster(name) as raster:
                assert raster.slide is None
        try:
            Raster("a.svs")
        except RasterError as error:
            print(error)
    """
    lines = [line.removeprefix(" " * 8) for line in code.splitlines()]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=tmp_path, check=True, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.stdout.startswith("a.svs: this needs: pip install 'openslide-bin")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(("options", "level"), [({}, 1), ({"mpp": 2}, 1), ({"mpp": 0.5}, 0),
                                                ({"resolution": "native"}, 0),
                                                ({"resolution": 8e-6}, 2)])  # fmt: skip
def test_a_slides_mask_is_that_of_its_levels_pixels(models, tmp_path, options, level):
    levels = noisy([(480, 641), (120, 160), (30, 40)])
    slide = make_slide(tmp_path / "a.svs", levels)
    plain = write_tif(tmp_path / "plain.tif", np.moveaxis(levels[level], -1, 0), tiled=True,
                      blockxsize=64, blockysize=64)  # fmt: skip

    found, report = predicted(slide, models(2e-6), tmp_path / "a", **options)
    expected, _ = predicted(plain, models(), tmp_path / "b")

    assert report.size == levels[level].shape[:2]
    np.testing.assert_array_equal(found, expected)


def test_between_levels_the_rest_is_scaled_as_of_any_raster(models, tmp_path):
    """At 1.5 of 0.5 and 2 microns it is the finest level, made smaller by three."""
    levels = noisy([(480, 641), (120, 160)])
    slide = make_slide(tmp_path / "a.svs", levels)
    plain = write_tif(
        tmp_path / "plain.tif", np.moveaxis(levels[0], -1, 0), crs="EPSG:32640",
        transform=Affine(0.5, 0, 500, 0, -0.5, 900),
    )  # fmt: skip

    found, report = predicted(slide, models(), tmp_path / "a", mpp=1.5)
    expected, _ = predicted(plain, models(), tmp_path / "b", resolution=1.5)

    assert report.size == (480, 641)
    np.testing.assert_array_equal(found, expected)


def test_a_mask_says_how_large_its_pixels_are(models, tmp_path):
    """Other programs read it at three levels, in the classes' colours."""
    pixels = with_islands((4400, 4160), (0, 4400, 0, 4160))
    slide = make_slide(tmp_path / "a.svs", halved(pixels, 3))

    mask, _ = predicted(slide, models(), tmp_path / "a", mpp=2)

    assert mask.shape == (1100, 1040)
    path = tmp_path / "a/mask.tif"
    with openslide.OpenSlide(path) as read, opened(path) as file:
        assert float(read.properties["openslide.mpp-x"]) == pytest.approx(2, rel=1e-6)
        assert float(read.properties["openslide.mpp-y"]) == pytest.approx(2, rel=1e-6)
        assert read.level_count == 1 + len(file.overviews(1)) >= 3
        palette = np.zeros((256, 3), np.uint8)
        palette[list(file.colormap(1))] = [colour[:3] for colour in file.colormap(1).values()]
        for level in range(3):
            size = read.level_dimensions[level]
            options = {"overview_level": level - 1} if level else {}
            with opened(path, **options) as smaller:
                values = smaller.read(1)
            shown = np.asarray(read.read_region((0, 0), level, size))[..., :3]
            np.testing.assert_array_equal(shown, palette[values])
    with Raster(path) as raster:
        assert raster.slide is None, "a mask is no slide"


QUPATH = {"objectType": "annotation", "classification": {"name": "Tumor"}}


@pytest.mark.parametrize("form", ["collection", "list", "feature", "of any program"])
def test_regions_are_pixels_of_the_finest_level(models, tmp_path, form):
    levels = noisy([(480, 641), (120, 160)])
    slide = make_slide(tmp_path / "a.svs", levels)
    ring = [[40, 80], [240, 80], [240, 400], [40, 400], [40, 80]]
    region = {
        "type": "Feature", "id": "1", "properties": QUPATH,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }  # fmt: skip
    told = {"collection": {"type": "FeatureCollection", "features": [region]}, "list": [region],
            "feature": region, "of any program": region | {"properties": {}}}[form]  # fmt: skip
    within = write_text(tmp_path / "regions.geojson", json.dumps(told))

    mask, _ = predicted(slide, models(), tmp_path / "a", mpp=2, within=within)

    expected = np.zeros(mask.shape, bool)
    expected[20:100, 10:60] = True
    np.testing.assert_array_equal(mask != NODATA, expected)


def test_regions_of_the_ground_are_refused_on_a_slide(models, tmp_path):
    slide = make_slide(tmp_path / "a.svs", noisy())
    told = {"type": "FeatureCollection", "features": [feature(box(1, 1, 9, 9))],
            "crs": {"type": "name", "properties": {"name": "EPSG:32640"}}}  # fmt: skip
    within = write_text(tmp_path / "regions.geojson", json.dumps(told))

    with pytest.raises(DataError, match=r"are EPSG:32640, but a\.svs has no coordinate system"):
        predicted(slide, models(), tmp_path / "a", within=within)


def test_polygons_are_pixels_of_the_finest_level(models, tmp_path):
    """Burnt in again they are the mask, four times as large."""
    levels = noisy([(480, 641), (120, 160)])
    slide = make_slide(tmp_path / "a.svs", levels)
    path = tmp_path / "a.geojson"

    mask, _ = predicted(slide, models(), tmp_path / "a", mpp=2, polygons=PolygonWish(path))

    features = json.loads(path.read_text())["features"]
    shapes = [(one["geometry"], one["properties"]["value"]) for one in features]
    large = rasterize(shapes, (480, 640), fill=NODATA, dtype=np.uint8)
    np.testing.assert_array_equal(large, mask.repeat(4, 0).repeat(4, 1))
    assert {one["properties"]["objectType"] for one in features} == {"annotation"}
    assert sum(one["properties"]["area_px"] for one in features) == mask.size


BOXES = [(150, 210, 250, 320), (900, 910, 1100, 1112)]


def test_what_holds_no_tissue_is_not_computed(models, tmp_path):
    pixels = with_islands((1200, 1400), *BOXES)
    slide = make_slide(tmp_path / "a.svs", halved(pixels, 2))

    mask, report = predicted(slide, models(), tmp_path / "a")
    whole, everything = predicted(slide, models(), tmp_path / "b", glass=True)

    assert report.empty > report.computed > 0
    assert (everything.empty, (whole != NODATA).all()) == (0, True)
    known = mask != NODATA
    tissue = np.zeros(mask.shape, bool)
    for top, bottom, left, right in BOXES:
        tissue[top:bottom, left:right] = True
    assert known[tissue].all(), "tissue was dropped"
    assert known.mean() < 0.02
    near = np.zeros(mask.shape, bool)
    for top, bottom, left, right in BOXES:  # two cells of the copy, of at most 4 pixels each
        near[top - 8 : bottom + 8, left - 8 : right + 8] = True
    assert not known[~near].any()
    np.testing.assert_array_equal(mask[known], whole[known])


def test_tissue_composes_with_regions(models, tmp_path):
    pixels = with_islands((1200, 1400), *BOXES)
    slide = make_slide(tmp_path / "a.svs", halved(pixels, 2))
    ring = [[280, 0], [1400, 0], [1400, 1200], [280, 1200], [280, 0]]
    told = {"type": "Feature", "properties": QUPATH,
            "geometry": {"type": "Polygon", "coordinates": [ring]}}  # fmt: skip
    within = write_text(tmp_path / "regions.geojson", json.dumps(told))

    mask, _ = predicted(slide, models(), tmp_path / "a", within=within)

    known = mask != NODATA
    assert not known[:, :280].any()
    assert known[150:210, 280:320].all()
    assert known.mean() < 0.02


@pytest.mark.parametrize("colour", [(243, 242, 244), (200, 120, 170), (20, 20, 20)])
def test_where_nothing_is_told_apart_everything_is_computed(tmp_path, colour):
    pixels = np.full((600, 700, 3), colour, np.uint8)
    path = make_slide(tmp_path / "a.svs", halved(pixels, 2))
    with Raster(path) as raster:
        assert tissue_of(raster) is None


@pytest.mark.parametrize("stain", [(200, 120, 170), (225, 212, 222), (90, 90, 92), (120, 80, 50)])
@pytest.mark.parametrize("strong", [True, False])
def test_pale_and_dark_stains_are_tissue(tmp_path, stain, strong):
    """Also beside what is stained far more."""
    pixels = with_islands((1600, 1600))
    pixels[400:520, 640:800] = stain
    if strong:
        pixels[1000:1400, 200:900] = (150, 20, 140)
    path = make_slide(tmp_path / "a.svs", halved(pixels, 2))
    with Raster(path, slide=SlideWish(level=1)) as raster:
        inside = tissue_of(raster)(Window(0, 0, *raster.size))
    with Raster(path) as raster:
        assert tissue_of(raster)(Window(399, 639, 122, 162)).all(), "what is near counts as tissue"
    assert inside[100:130, 160:200].all()
    assert not inside[:90].any()
    assert inside.mean() < (0.25 if strong else 0.02)


def test_tinted_glass_is_no_tissue(tmp_path):
    """Noisy, too, and beside a strong stain."""
    grain = np.random.default_rng(0).integers(-2, 3, (1600, 1600, 3))
    pixels = (np.array((243, 233, 228)) + grain).astype(np.uint8)
    pixels[1000:1400, 200:900] = (150, 20, 140)
    with Raster(make_slide(tmp_path / "a.svs", halved(pixels, 2))) as raster:
        inside = tissue_of(raster)(Window(0, 0, *raster.size))

    assert inside[1000:1400, 200:900].all()
    assert inside.mean() < 0.12


def test_what_was_not_scanned_is_no_data(models, tmp_path):
    """Empty tiles are transparent, or taken from a coarser level where they are there."""
    pixels = noisy([(512, 512)])[0]

    def tile(row, column):
        square = pixels[row * 256 : (row + 1) * 256, column * 256 : (column + 1) * 256]
        return None if (row, column) == (0, 1) else square

    path = write_slide(tmp_path / "a.svs", [(512, 512)], [tile], description=aperio(0.5, None))

    mask, _ = predicted(path, models(), tmp_path / "a")

    expected = np.ones((512, 512), bool)
    expected[:256, 256:] = False
    np.testing.assert_array_equal(mask != NODATA, expected)


def test_settings_that_cannot_be_met(models, tmp_path):
    unknown = make_slide(tmp_path / "unknown.svs", noisy(), microns=None)
    known = make_slide(tmp_path / "known.svs", noisy())
    out = tmp_path / "mask.tif"
    for image, model, options, words in [
        (unknown, models(), {"mpp": 1}, "leave --mpp away"),
        (unknown, models(), {"resolution": 1e-6}, "leave --resolution away"),
        (unknown, models(2e-6), {}, "--resolution native"),
        (known, models(), {"mpp": 1, "resolution": 1e-6}, "give one"),
        (known, models(0.5), {}, r"made for pixels of 0\.5 m on the ground; say --mpp"),
    ]:
        with pytest.raises(RunError, match=words) as refused:
            glnet.predict(image, model, out, device="cpu", engine="torch", **options)
        assert "\n" not in str(refused.value)
    with pytest.raises(RasterError, match=r"0\.5 x 0\.5 µm.*0\.05 µm"):
        glnet.predict(known, models(), out, mpp=0.05, device="cpu", engine="torch")


def test_damaged_slides_are_one_line(models, tmp_path):
    """Wherever they are cut, and whatever they claim."""
    model = models()
    levels = noisy([(700, 900), (175, 225)])
    slide = make_slide(tmp_path / "a.svs", levels)
    whole = slide.read_bytes()
    bad = {"text.svs": b"no TIFF at all\n" * 99, "empty.svs": b"", "text.mrxs": b"[GENERAL]\n"}
    for share in (1, 2, 5, 9):
        bad[f"cut{share}.svs"] = whole[: len(whole) * share // 10]
    width = whole.index(b"\x00\x01\x04\x00\x01\x00\x00\x00" + (900).to_bytes(4, "little"))
    for claimed in (0, 1 << 30, (1 << 32) - 1):
        changed = bytearray(whole)
        changed[width + 8 : width + 12] = claimed.to_bytes(4, "little")
        bad[f"wide{claimed}.svs"] = bytes(changed)
    middle = len(whole) // 4
    bad["holed.svs"] = whole[:middle] + bytes(20_000) + whole[middle + 20_000 :]
    worker = Worker()
    try:
        for name, content in bad.items():
            (tmp_path / name).write_bytes(content)
            answer = worker.ask(["predict", name, "-m", model, "-o", "m.tif", "--engine", "torch",
                                 "--device", "cpu"], tmp_path, 120)  # fmt: skip
            assert not answer.fate, (name, answer)
            check_one_line(answer.status, answer.lines, name)
    finally:
        worker.close()


def test_after_an_error_the_rest_can_be_read(tmp_path):
    """OpenSlide itself refuses whatever is asked after an error."""
    levels = noisy([(512, 512)])
    path = make_slide(tmp_path / "a.svs", levels)
    whole = path.read_bytes()
    path.write_bytes(whole[:8] + bytes(1000) + whole[1008:])  # within the first tile
    with Raster(path) as raster:
        with pytest.raises(RasterError, match="cannot be decoded"):
            raster.read(Window(0, 0, 10, 10))
        found = raster.read(Window(300, 300, 50, 60))
        np.testing.assert_array_equal(np.moveaxis(found, 0, -1), levels[0][300:350, 300:360])


@pytest.mark.parametrize("level", [0, 1])
def test_the_viewer_shows_a_slide_at_its_masks_level(models, tmp_path, level):
    """At full size the level's pixels, coarser ones from the slide's own levels; the mask on it."""
    finest = noisy([(1024, 2048)])[0]
    levels = halved(finest, 3)
    slide = make_slide(tmp_path / "a.svs", levels)
    mask, _ = predicted(slide, models(), tmp_path / "out", mpp=0.5 * 4**level)
    before = sorted(tmp_path.iterdir())

    with viewed(slide, tmp_path / "out/mask.tif") as page:
        facts = page.json("facts")
        assert (facts["height"], facts["width"]) == levels[level].shape[:2]
        zooms = facts["zooms"]
        for number in range(level, 2):
            shown = page.whole("image", zooms - 2 * (number - level))
            np.testing.assert_array_equal(shown[..., :3], levels[number])
            assert (shown[..., 3] == 255).all()
        between = page.whole("image", zooms - 1)[..., :3].astype(int)
        means = halved(levels[level], 2, by=2)[1]
        assert abs(between - means).max() <= 1
        drawn = page.whole("mask")
    for value, row in zip(TWO_CLASSES.values, TWO_CLASSES.rows, strict=True):
        assert (drawn[mask == value] == (*row.colour, 255)).all()
    assert sorted(tmp_path.iterdir()) == before, "no copies are made"


def test_areas_on_a_slide_are_of_its_glass(tmp_path):
    """Its level's pixels: count times 4 x 0.5 microns squared; none where it says no microns."""
    levels = noisy([(1200, 2000), (300, 500)])
    values = np.random.default_rng(0).integers(0, 2, (1, 300, 500), np.uint8)
    mask = write_tif(tmp_path / "m.tif", values)

    with viewed(make_slide(tmp_path / "a.svs", levels), mask) as page:
        facts, found = page.json("facts"), page.counted()["classes"]
    with viewed(make_slide(tmp_path / "b.svs", levels, microns=None), mask) as page:
        unknown, nothing = page.json("facts"), page.counted()["classes"]

    assert facts["metres"] == pytest.approx(2e-6, rel=1e-12)
    for each in found:
        assert each["area"] == pytest.approx((values == each["value"]).sum() * 4e-12, rel=1e-12)
    assert unknown["metres"] is None
    assert [each["area"] for each in nothing] == [None, None]


def test_a_slide_alone_is_shown_at_its_finest_level(tmp_path):
    levels = noisy()
    with viewed(make_slide(tmp_path / "a.svs", levels)) as page:
        np.testing.assert_array_equal(page.whole("image")[..., :3], levels[0])


def test_a_slide_without_small_levels_is_shown_from_a_copy(tmp_path):
    pixels = with_islands((600, 5000), (100, 200, 100, 4800))
    slide = make_slide(tmp_path / "a.svs", [pixels])
    with viewed(slide) as page:
        np.testing.assert_array_equal(page.whole("image")[..., :3], pixels)
        means = halved(pixels, 2)[1].astype(int)
        assert abs(page.whole("image", page.json("facts")["zooms"] - 2)[..., :3] - means).max() <= 1


def test_the_benchmark_of_slides_works_small(tmp_path):
    """It checks what it made, and writes a record."""
    script = Path(__file__).parents[2] / "benchmarks/slides.py"
    sides = ["--width", "4000", "--height", "3000"]
    subprocess.run([sys.executable, script, tmp_path / "out.md", tmp_path, *sides], check=True)
    record = (tmp_path / "out.md").read_text()
    assert "| 3000 x 4000 | 750 x 1000 |" in record
    assert "burnt in again, are the mask" in record
