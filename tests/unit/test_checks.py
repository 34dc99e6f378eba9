"""What cutting into scenes and checking promise: every pixel once, all problems, fair places."""

import zlib
from collections import Counter

import numpy as np
import pytest
from rasterio import Affine

from glnet.datasets.checks import PLACES, check_samples
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.draws import TrainingImages
from glnet.datasets.manifest import Sample, read_manifest
from glnet.datasets.masks import LabelCoder, nearest_labels
from glnet.datasets.samples import open_sample, scenes_of
from glnet.errors import DataError, GatheredError, RasterError
from glnet.geometry import Size, Window
from glnet.metrics import IGNORE
from glnet.recipe import InputSettings, ModelSettings, Recipe
from makers import (
    box,
    feature,
    noise,
    opened,
    write_geojson,
    write_png,
    write_text,
    write_tif,
)
from networks import TINY

TABLE = ClassTable(
    (
        ClassInfo("land", 0, (0, 0, 0)),
        ClassInfo("lake", 1, (1, 1, 1)),
        ClassInfo("cloud", 2, (2, 2, 2), ignored=True),
        ClassInfo("road", 3, (3, 3, 3)),
    )
)
CODER = LabelCoder(TABLE)
MODEL = ModelSettings()


def pair(folder, name, mask, window=None, split="train"):
    """An image of noise with an index mask."""
    return Sample(
        write_tif(folder / f"{name}.tif", noise(3, *mask.shape)),
        write_png(folder / f"{name}_mask.png", mask.astype(np.uint8)),
        split,
        window,
    )


@pytest.fixture
def sample(tmp_path):
    return pair(tmp_path, "a", noise(50, 70, seed=5) % 4)


def test_what_fits_is_one_scene_and_stays_as_it_is(sample):
    """Without a limit, or within it."""
    for side in (None, 70, 100):
        assert scenes_of([sample], side) == [sample]


@pytest.mark.parametrize("window", [None, Window(3, 5, 41, 60)])
def test_scenes_of_a_row_are_its_pixels_once(sample, window):
    """Of the whole image, or of the row's window alone."""
    row = Sample(sample.image, sample.mask, "train", window)
    times = np.zeros((50, 70), int)

    scenes = scenes_of([row], 30)

    for scene in scenes:
        assert (scene.image, scene.mask, scene.split) == (row.image, row.mask, "train")
        assert max(scene.window.size) <= 30
        times[scene.window.slices] += 1
    expected = np.zeros((50, 70), int)
    expected[window.slices if window else (slice(None), slice(None))] = 1
    np.testing.assert_array_equal(times, expected)


def test_a_part_is_what_a_file_of_that_part_would_be(tmp_path):
    """Image and labels, whole, by window and shrunk."""
    pixels, mask, part = noise(3, 50, 70), noise(50, 70, seed=5) % 4, Window(7, 11, 33, 40)
    whole = write_tif(tmp_path / "a.tif", pixels), write_png(tmp_path / "am.png", mask)
    cut = (
        write_tif(tmp_path / "b.tif", pixels[:, *part.slices].copy()),
        write_png(tmp_path / "bm.png", mask[part.slices]),
    )
    window, small = Window(2, 3, 20, 30), (16, 24)

    with open_sample(Sample(*whole, "", part), CODER, MODEL) as found:
        read = [(one.size, one.read(), one.read(window)) for one in found]
        shrunk = [one.thumbnail(type(found[0].size)(*small)) for one in found]
    with open_sample(Sample(*cut, ""), CODER, MODEL) as found:
        for one, (size, all_of_it, within), thumbnail in zip(found, read, shrunk, strict=True):
            assert one.size == size
            np.testing.assert_array_equal(one.read(), all_of_it)
            np.testing.assert_array_equal(one.read(window), within)
            np.testing.assert_array_equal(one.thumbnail(type(size)(*small)), thumbnail)


def test_a_window_beyond_its_image_is_refused(sample):
    """By cutting, and by opening; the line tells window and size."""
    wrong = Sample(sample.image, sample.mask, "train", Window(20, 0, 31, 70))

    with pytest.raises(DataError, match=r"a\.tif: the window 20 0 31 70 reaches .* 50 x 70"):
        scenes_of([wrong], None)
    with pytest.raises(DataError, match="reaches beyond"), open_sample(wrong, CODER, MODEL):
        pass


def test_a_large_raster_is_opened_scene_by_scene(tmp_path):
    """Whole it is too large, and the line says what to set; its scenes read like any other."""
    shape = {"height": 12_000, "width": 11_000, "dtype": "uint8", "driver": "GTiff"}
    for name, bands in (("a.tif", 3), ("m.tif", 1)):
        with opened(tmp_path / name, "w", count=bands, tiled=True, SPARSE_OK=True, **shape):
            pass
    row = Sample(tmp_path / "a.tif", tmp_path / "m.tif", "train")

    with (
        pytest.raises(RasterError, match=r"a\.tif: .*132 megapixels.* set model\.scene"),
        open_sample(row, CODER, MODEL),
    ):
        pass
    with pytest.raises(DataError, match=r"set model\.scene"):
        check_samples([row], CODER, MODEL)
    scenes = scenes_of([row], 1000)
    with open_sample(scenes[-1], CODER, MODEL) as (image, labels):
        assert image.read().shape == (3, 1000, 1000)
        assert labels.read().shape == (1, 1000, 1000)
    assert len(scenes) == 132


def test_the_seed_is_the_images_name_and_the_window(sample, tmp_path):
    """Whole images keep the seed of their name alone; scenes of one image differ."""
    scenes = scenes_of([sample], 30)
    elsewhere = Sample(tmp_path / "other" / "a.tif", sample.mask, "test", scenes[0].window)

    assert sample.seed == zlib.crc32(b"a.tif")
    assert len({scene.seed for scene in [sample, *scenes]}) == len(scenes) + 1
    assert elsewhere.seed == scenes[0].seed


def test_images_of_one_name_in_two_folders_have_two_seeds(tmp_path):
    """By their paths below the folder that they share: the same ones wherever that lies."""
    seeds = []
    for root in (tmp_path / "here", tmp_path / "there" / "deep"):
        rows = ["case1/image.png,m.png,train", "./case2/image.png,m.png,train"]
        for folder in ("case1", "case2"):
            (root / folder).mkdir(parents=True)
            write_png(root / folder / "image.png", noise(3, 4, 4))
        write_png(root / "m.png", noise(4, 4))
        absolute = root / "case1/image.png"
        manifest = write_text(
            root / "manifest.csv", "image,mask,split", *rows, f"{absolute},m.png,train"
        )
        seeds.append([sample.seed for sample in read_manifest(manifest)])

    case1, case2, absolute = seeds[0]
    assert case1 == absolute == zlib.crc32(b"case1/image.png")
    assert case2 == zlib.crc32(b"case2/image.png")
    assert seeds[1] == seeds[0]


def test_two_scenes_of_one_image_are_augmented_differently(sample):
    """Their thumbnails come from draws of their own."""
    recipe = Recipe.model_validate(
        {
            "data": {"manifest": "-", "classes": "-"},
            "model": TINY,
            "train": {"augment": {"colour": 0.5}},
        }
    )
    same = write_tif(sample.image, np.full((3, 50, 70), 100, np.uint8))
    scenes = scenes_of([Sample(same, sample.mask, "train")], 40)

    images = TrainingImages(scenes, CODER, recipe, "global")
    first, second = images[1, 0].thumbnail, images[1, 1].thumbnail

    assert not np.array_equal(first, second)


def test_all_problems_are_told_at_once(tmp_path):
    """Of every image and mask; what is sound beside them is not named."""
    mask = np.zeros((20, 30), np.uint8)
    unknown = mask.copy()
    unknown[3, 4] = 99
    sound = pair(tmp_path, "sound", mask)
    small = pair(tmp_path, "small", mask)
    write_png(small.mask, mask[:10])
    bands = pair(tmp_path, "bands", unknown)
    write_tif(bands.image, noise(4, 20, 30), photometric="minisblack")
    broken = pair(tmp_path, "broken", mask)
    broken.image.write_text("no image")
    scenes = scenes_of([bands], 10)

    with pytest.raises(GatheredError) as caught:
        check_samples([sound, small, broken, *scenes, sound], CODER, MODEL)

    lines = caught.value.lines
    expected = [
        (small.mask, "10 x 30"),
        (broken.image, "cannot be opened"),
        (bands.image, "wanted 3 bands"),
        (bands.mask, "unknown value 99 at row 3, column 4"),
    ]
    assert len(lines) == len(expected), lines
    for line, (path, words) in zip(lines, expected, strict=True):
        assert line.startswith(f"{path}")
        assert words in line


def test_of_many_problems_the_first_are_told_and_the_rest_counted(tmp_path):
    """Twenty lines, then how many more."""
    samples = [pair(tmp_path, f"{number}", np.full((4, 4), 9)) for number in range(23)]

    with pytest.raises(GatheredError) as caught:
        check_samples(samples, CODER, MODEL)

    assert len(caught.value.problems) == 23
    assert len(caught.value.lines) == 21
    assert caught.value.lines[-1] == "... and 3 more"
    assert str(caught.value).splitlines() == list(caught.value.lines)


def test_classes_that_training_never_meets_are_noted(tmp_path):
    """Those that validation asks for are told apart; without a training split nothing is said."""
    train = pair(tmp_path, "a", np.zeros((5, 5)))
    validation = pair(tmp_path, "b", np.eye(5) * 3, split="validation")

    both = check_samples([train, validation], CODER, MODEL)
    alone = check_samples([validation], CODER, MODEL)

    lake, road = both.notes
    assert lake == "class 'lake' never occurs in the training split, so it cannot be learnt"
    assert road == "class 'road' occurs in the validation split, but never in the training split"
    assert alone.notes == ()


def test_labels_where_the_image_has_no_data_are_ignored(tmp_path):
    """Whole, by window and on the thumbnail; counted, told, and no place to look at."""
    pixels, mask = noise(3, 50, 70, dtype=np.float32), noise(50, 70, seed=5) % 4
    pixels[1, 20:, 30:45] = np.nan
    part, window = Window(10, 20, 36, 42), Window(4, 3, 20, 30)
    missing = np.isnan(pixels).any(axis=0)
    stored = np.array([0, 1, IGNORE, 2], np.uint8)[mask]
    expected = np.where(missing, np.uint8(IGNORE), stored)[part.slices]
    image = write_tif(tmp_path / "a.tif", pixels)
    row = Sample(image, write_png(tmp_path / "m.png", mask), "train", part)
    plain = pair(tmp_path, "b", np.arange(4).reshape(2, 2))
    model = ModelSettings(input=InputSettings(scale=1))

    with open_sample(row, CODER, model) as (scene, labels):
        for _ in range(2):  # then by what is known of a whole image that was read
            np.testing.assert_array_equal(labels.read(window)[0], expected[window.slices])
            np.testing.assert_array_equal(labels.read()[0], expected)
            size = Size(9, 14)
            np.testing.assert_array_equal(labels.thumbnail(size)[0], nearest_labels(expected, size))
            scene.read()
    report = check_samples([row, plain], CODER, model)

    assert report.pixels.tolist() == [(expected == i).sum() + 1 for i in range(3)]
    unseen = (missing & (mask != 2))[part.slices].sum()
    assert report.notes[0].startswith(f"{unseen} labelled pixels of 1 images are ignored: there")
    assert all((expected[tuple(at.T)] == i).all() for i, at in report.places[row].items())


def test_geometries_that_were_left_out_are_counted_once_a_file(tmp_path):
    """However many scenes its image is cut into."""
    nothing = {"type": "Polygon", "coordinates": []}
    drawn = [feature(box(0, 0, 9, 9), c="lake"), *[feature(nothing, c="lake")] * 3]
    image = write_tif(tmp_path / "a.tif", noise(3, 20, 20))
    row = Sample(image, write_geojson(tmp_path / "a.json", drawn), "train")

    report = check_samples(scenes_of([row], 10), LabelCoder(LAND_AND_LAKE), MODEL)

    assert report.skipped == 3
    assert report.pixels.tolist() == [0, 81]
    assert report.ignored == 400 - 81


LAND_AND_LAKE = ClassTable((TABLE.rows[0], TABLE.rows[1]))


def test_places_lie_on_their_class_and_are_all_where_few(tmp_path):
    """Rows and columns of the scene, no pixel twice, ignored ones never."""
    mask = np.where(noise(60, 80, seed=3) < 250, 0, 1)
    mask[5:7, 10:30] = 2
    sample = pair(tmp_path, "a", mask)

    for scene in scenes_of([sample], 50):
        report = check_samples([scene], CODER, MODEL)
        with open_sample(scene, CODER, MODEL) as (_, labels):
            shown = labels.read()[0]
        assert set(report.places) == {scene}
        assert set(report.places[scene]) == set(np.unique(shown)) - {IGNORE}
        for label, places in report.places[scene].items():
            assert places.dtype == np.int32
            assert (shown[tuple(places.T)] == label).all()
            assert len(np.unique(places, axis=0)) == len(places)
            assert len(places) == min(PLACES, (shown == label).sum())


def test_places_depend_on_the_image_and_its_window_alone(tmp_path):
    """The same in another order and among others; another name is another draw."""
    mask = np.zeros((60, 80))
    samples = [pair(tmp_path, name, mask) for name in "ab"]

    first = check_samples(samples, CODER, MODEL).places
    again = check_samples(samples[::-1], CODER, MODEL).places
    one, other = (first[sample][0] for sample in samples)

    for sample in samples:
        np.testing.assert_array_equal(first[sample][0], again[sample][0])
    assert not np.array_equal(one, other)


def test_places_are_drawn_fairly(tmp_path):
    """Over many images every row and every column of a class gets its share."""
    mask = np.ones((40, 50), np.uint8)
    mask[:, ::2] = 0
    samples = [pair(tmp_path, f"{i}", mask) for i in range(40)]

    places = check_samples(samples, CODER, MODEL).places

    drawn = np.concatenate([places[sample][1] for sample in samples])
    for axis, count in ((0, 40), (1, 25)):
        times = Counter(drawn[:, axis].tolist())
        expected = len(drawn) / count
        assert len(times) == count
        assert max(abs(found - expected) for found in times.values()) < 5 * np.sqrt(expected)


@pytest.mark.parametrize(
    ("crs", "shift", "apart"),
    [
        ("EPSG:32633", 0, False), ("EPSG:32633", 0.4, False), ("EPSG:32633", 0.6, True),
        ("EPSG:32633", 200_000, True), ("EPSG:32634", 0, True), (None, 0, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pattern", [False, True])
def test_labels_that_lie_elsewhere_are_told_once(tmp_path, crs, shift, apart, pattern):
    """By half a pixel or in system, where both say where they lie; scenes of one mask are one."""
    place = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
    samples = []
    for name in ("a", "b"):
        image = write_tif(
            tmp_path / f"{name}.tif", noise(3, 8, 8), crs="EPSG:32633", transform=place
        )
        moved = {"crs": crs, "transform": place @ Affine.translation(shift, 0)} if crs else {}
        mask = write_tif(tmp_path / f"{name}_land.tif", np.zeros((1, 8, 8), np.uint8), **moved)
        samples.append(
            Sample(image, tmp_path / f"{name}_{{class}}.tif" if pattern else mask, "test")
        )

    notes = check_samples(scenes_of(samples, 4), CODER, MODEL).notes

    assert len(notes) == apart
    if apart:
        assert "2 masks lie elsewhere on the ground" in notes[0]
        assert f"{samples[0].mask}, a.tif" in notes[0]
