"""What training's draws promise: repeatable, and image and labels always changed together."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.datasets.augment import Augmentation, draw_augmentation, label_cells
from glnet.datasets.classes import ClassInfo, ClassTable, default_colour
from glnet.datasets.draws import EpochBatches, TrainingImages
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder, nearest_labels
from glnet.geometry import Size, Window
from glnet.recipe import AugmentSettings, Recipe
from glnet.scenes import ScaledScene, Turn
from makers import noise, write_tif
from networks import ArrayScene

EVERYTHING = AugmentSettings(scale=(0.5, 2.0), colour=0.3)


def same(one, other):
    """Are two records equal, arrays and lists of arrays included?"""
    pairs = zip(dataclasses.astuple(one), dataclasses.astuple(other), strict=True)
    return all(_equal(a, b) for a, b in pairs)


def _equal(one, other):
    if isinstance(one, list | tuple):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_equal(a, b) for a, b in pairs)
    return np.array_equal(one, other)


@given(seed=st.integers(0, 1000), bands=st.integers(1, 5))
def test_a_draw_depends_on_the_generators_state_alone(seed, bands):
    """The same state gives the same draw and leaves the same state behind."""
    first, second = (np.random.default_rng(seed) for _ in range(2))
    np.random.default_rng(1).random(100)

    one, other = (draw_augmentation(EVERYTHING, bands, rng) for rng in (first, second))

    assert same(one, other)
    assert first.random() == second.random()


def test_draws_reach_all_turns_and_stay_within_their_limits():
    """All eight turns occur, half of them mirrored and half turned; the rest is as set."""
    rng = np.random.default_rng(0)

    draws = [draw_augmentation(EVERYTHING, 3, rng) for _ in range(300)]

    assert len({(draw.turn.flipped, draw.turn.quarters) for draw in draws}) == 8
    factors = np.array([draw.factor for draw in draws])
    assert 0.5 <= factors.min() < 0.6
    assert 1.7 < factors.max() <= 2.0
    assert 0.4 < (factors < 1).mean() < 0.6
    assert 0.4 < np.mean([draw.turn.flipped for draw in draws]) < 0.6
    assert 0.4 < np.mean([draw.turn.quarters > 0 for draw in draws]) < 0.6
    assert 0.28 < max(np.abs(draw.gain - 1).max() for draw in draws) <= 0.3
    assert 0.14 < max(np.abs(draw.offset).max() for draw in draws) <= 0.15
    assert all(draw.gain.shape == draw.offset.shape == (3,) for draw in draws)


def test_what_is_off_changes_nothing():
    """Without flips, turns, scale and colour every draw is the image as it is."""
    off = AugmentSettings(flips=False, quarter_turns=False)
    rng = np.random.default_rng(0)
    pixels = noise(2, 5, 6)

    draws = [draw_augmentation(off, 2, rng) for _ in range(20)]

    assert {(draw.turn, draw.factor) for draw in draws} == {(Turn(False, 0), 1.0)}
    assert all(np.array_equal(draw.colour(pixels, 255), pixels) for draw in draws)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_colour_keeps_dtype_and_range(dtype):
    """Gain and offset are applied per band, rounded, and never run over the dtype's ends."""
    pixels = noise(3, 20, 20, dtype=dtype)
    pixels[:, 0, :2] = (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype != np.float32 else 1
    gain, offset = np.array([1.5, 1.0, 0.5]), np.array([0.2, -0.4, 0.0])
    augmentation = Augmentation(Turn(False, 0), 1.0, gain, offset)

    changed = augmentation.colour(pixels, 255)

    wanted = pixels * gain[:, None, None] + 255 * offset[:, None, None]
    if dtype != np.float32:
        wanted = np.clip(wanted, np.iinfo(dtype).min, np.iinfo(dtype).max)
    assert changed.dtype == dtype
    assert changed.shape == pixels.shape
    assert np.abs(changed - wanted).max() <= 0.5


def ramp(height, width, dtype=np.float32):
    """Two bands: the row and the column of every pixel's middle."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    return np.stack([rows, columns]).astype(dtype)


@pytest.mark.parametrize(("factor", "error"), [(2.0, 1e-4), (0.5, 1e-4), (1.1, 1e-4), (0.9, 0.1)])
@pytest.mark.parametrize("window", [Window(4, 4, 9, 11), Window(10, 3, 5, 5)])
def test_a_scaled_ramp_is_the_ramp_at_the_scaled_places(factor, error, window):
    """Every pixel shows what lies at its own place in the scene, away from the borders."""
    scaled = ScaledScene(ArrayScene(ramp(40, 60)), factor)

    found = scaled.read(window)

    steps = 40 / scaled.size.height, 60 / scaled.size.width
    rows = (window.top + np.arange(window.height) + 0.5) * steps[0]
    columns = (window.left + np.arange(window.width) + 0.5) * steps[1]
    wanted = np.stack(np.broadcast_arrays(rows[:, None], columns))
    assert scaled.size == Size(round(40 * factor), round(60 * factor))
    assert np.abs(found - wanted).max() <= error


@given(data=st.data(), height=st.integers(1, 40), width=st.integers(1, 40))
@pytest.mark.parametrize("labels", [False, True])
def test_a_scaled_window_is_part_of_the_scaled_whole(labels, data, height, width):
    """Wherever a window lies, its pixels and labels are those of the whole scaled scene."""
    pixels = noise(1, height, width, dtype=np.uint8 if labels else np.float32)
    scaled = ScaledScene(ArrayScene(pixels), data.draw(st.floats(0.3, 3)), labels)
    (top, rows), (left, columns) = (_span(data, side) for side in scaled.size)
    window = Window(top, left, rows, columns)

    part, whole = scaled.read(window), scaled.read()

    assert whole.shape == (1, *scaled.size)
    np.testing.assert_allclose(part, whole[:, *window.slices], atol=1e-5)


def _span(data, length):
    start = data.draw(st.integers(0, length - 1))
    return start, data.draw(st.integers(1, length - start))


@pytest.mark.parametrize("factor", [0.5, 0.73, 1.0, 1.4, 2.0])
def test_scaled_labels_are_picked_not_mixed(factor):
    """Every label is the one of the pixel at its place; 0 and 200 never become 100."""
    rows, columns = np.mgrid[:30, :45]
    checkered = np.where((rows + columns) % 2, 200, 0).astype(np.uint8)[None]
    scaled = ScaledScene(ArrayScene(checkered), factor, labels=True)

    labels = scaled.read()

    places = [
        ((np.arange(n) + 0.5) * full / n).astype(int)
        for n, full in zip(scaled.size, (30, 45), strict=True)
    ]
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels[0], checkered[0][places[0][:, None], places[1]])


def test_scaled_pixels_keep_their_dtype():
    """Bytes stay bytes, up to their last value."""
    white = np.full((1, 20, 20), 255, np.uint8)

    scaled = ScaledScene(ArrayScene(white), 1.37).read()

    assert scaled.dtype == np.uint8
    assert (scaled == 255).all()


def test_label_cells_are_a_quarter_of_a_patch():
    """The grid of the logits: a cell per four pixels, the last one cut by the border."""
    labels = noise(34, 21)

    cells = label_cells(labels, 4)

    np.testing.assert_array_equal(cells, nearest_labels(labels, Size(9, 6)))


#: Pixel (row, column) of a scene is row + 2 x column, in the image and as its label: no turn of it
#: looks like another, and neighbours differ by two at most.
HEIGHT, WIDTH = 52, 80
SLOPE = (np.arange(HEIGHT)[:, None] + 2 * np.arange(WIDTH)).astype(np.uint8)
CODER = LabelCoder(
    ClassTable(tuple(ClassInfo(f"c{i}", i, default_colour(i)) for i in range(int(SLOPE.max()) + 1)))
)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Three images whose pixels are their own labels."""
    folder = tmp_path_factory.mktemp("slopes")
    return [
        Sample(
            write_tif(folder / f"scene{number}.tif", SLOPE[None]),
            write_tif(folder / f"scene{number}_mask.tif", SLOPE[None]),
            "train",
        )
        for number in range(3)
    ]


def images(
    samples, stage="global_to_local", *, augment=None, resolution="full", places=None, **train
):
    """Training images of a small network, augmented by turns unless told otherwise."""
    recipe = Recipe.model_validate(
        {
            "data": {"manifest": "m.csv", "classes": "c.csv"},
            "model": {"bands": 1, "thumbnail": 64, "patch": 32, "overlap": 8},
            "loss": {"resolution": resolution},
            "train": {"augment": augment or {}, **train},
        }
    )
    return TrainingImages(samples, CODER, recipe, stage, places)


ALL = {"scale": [0.5, 2.0], "colour": 0.2}


def test_the_same_key_gives_the_same_draw(samples):
    """Twice the same epoch and index, even from another data set over the same image."""
    one = images(samples, augment=ALL, patches=3)
    alone = images(samples[1:2], augment=ALL, patches=3)

    for epoch in range(1, 5):
        first = one[epoch, 1]

        assert same(first, one[epoch, 1])
        assert same(first, alone[epoch, 0])


def test_epochs_images_and_seeds_differ(samples):
    """Another epoch, image or seed is another draw."""
    one, seeded = images(samples, augment=ALL), images(samples, augment=ALL, seed=1)

    drawn = [one[1, 0], one[2, 0], one[3, 0], one[1, 1], one[1, 2], seeded[1, 0]]

    for i, draw in enumerate(drawn):
        assert not any(same(draw, other) for other in drawn[:i])


@pytest.mark.parametrize(
    ("stage", "patches", "windows", "drawn"),
    [
        ("global", "all", 0, 0),
        ("global", 2, 0, 0),
        ("global_to_local", "all", 6, 6),
        ("global_to_local", 3, 3, 3),
        ("global_to_local", 99, 6, 6),
        ("local_to_global", "all", 6, 6),
        ("local_to_global", 3, 6, 3),
    ],
)
@pytest.mark.parametrize(("resolution", "side"), [("full", 1), ("quarter", 4)])
def test_a_stage_gets_the_patches_it_needs(
    samples, stage, patches, windows, drawn, resolution, side
):
    """Global: none. Local: those drawn. The last: all of them, and labels for those drawn."""
    still = {"flips": False, "quarter_turns": False}

    draw = images(samples, stage, augment=still, resolution=resolution, patches=patches)[1, 0]

    assert draw.size == Size(HEIGHT, WIDTH)
    assert len(draw.windows) == len(draw.patches) == windows
    assert len(draw.drawn) == len(draw.labels) == drawn
    assert len(set(draw.drawn)) == drawn
    assert set(draw.drawn) <= set(range(windows))
    assert draw.thumbnail.shape == (1, 64, 64)
    read = stage != "global_to_local"
    assert draw.thumbnail_labels.shape == ((64 // side, 64 // side) if read else (0, 0))
    for index, labels in zip(draw.drawn, draw.labels, strict=True):
        size = draw.windows[index].size
        assert draw.patches[index].shape == (1, *size)
        assert labels.shape == size.cells(side)


def _turns_seen(draws):
    """The corners of a draw's thumbnail tell its turn."""
    return {tuple(draw.thumbnail[0, [0, 0, -1], [0, -1, 0]].tolist()) for draw in draws}


@pytest.mark.parametrize("stage", ["global", "global_to_local", "local_to_global"])
def test_image_and_labels_are_turned_together(samples, stage):
    """In all eight turns every patch and the thumbnail show what their labels say."""
    data = images(samples, stage, patches=3)

    draws = [data[epoch, 0] for epoch in range(1, 41)]

    assert len(_turns_seen(draws)) == 8
    for draw in draws:
        if stage != "global_to_local":  # which reads no labels of the thumbnail
            across = draw.thumbnail[0].astype(int) - draw.thumbnail_labels
            assert np.abs(across).max() <= 3  # an average against the pixel in its middle
        for index, labels in zip(draw.drawn, draw.labels, strict=True):
            np.testing.assert_array_equal(draw.patches[index][0], labels)


def test_a_turned_scenes_patches_lie_where_their_windows_say(samples):
    """A patch and the thumbnail under its window show the same place."""
    data = images(samples)

    for epoch in range(1, 21):
        draw = data[epoch, 0]
        for window, patch in zip(draw.windows, draw.patches, strict=True):
            row = int((window.top + window.height / 2) * 64 / draw.size.height)
            column = int((window.left + window.width / 2) * 64 / draw.size.width)
            middle = int(patch[0, window.height // 2, window.width // 2])
            assert abs(middle - int(draw.thumbnail[0, row, column])) <= 5


def test_image_and_labels_are_scaled_together(samples):
    """At another ground sampling patches are interpolated and labels picked at the same place."""
    data = images(samples, "local_to_global", augment={"scale": [0.5, 2.0]})

    draws = [data[epoch, 0] for epoch in range(1, 21)]

    assert len({draw.size for draw in draws}) > 10
    for draw in draws:
        for index, labels in zip(draw.drawn, draw.labels, strict=True):
            assert np.abs(draw.patches[index][0].astype(int) - labels).max() <= 3


def test_scaled_labels_are_those_of_single_pixels(samples):
    """Between two classes lies no third one: labels are of the pixel at their middle."""
    still = {"flips": False, "quarter_turns": False, "scale": [0.5, 2.0]}
    draw = images(samples, augment=still)[1, 0]

    for window, labels in zip(draw.windows, draw.labels, strict=True):
        rows, columns = (
            ((start + np.arange(length) + 0.5) * full / scaled).astype(int)
            for (start, length), full, scaled in zip(
                (window.rows, window.columns), SLOPE.shape, draw.size, strict=True
            )
        )
        np.testing.assert_array_equal(labels, SLOPE[rows[:, None], columns])


@pytest.mark.parametrize(("stage", "most"), [("global_to_local", 5), ("local_to_global", 13)])
def test_rare_pixels_are_drawn_however_an_image_is_turned_and_scaled(samples, stage, most):
    """A patch that seeks them has them in its middle, or is the one of the grid that nearly has."""
    places = {samples[0]: {7: np.array([[20, 31]])}}
    changed = {"scale": [1.0, 2.0]}
    data = images(samples, stage, augment=changed, places=places, patches=1, rare_patches=1.0)

    for epoch in range(1, 41):
        draw = data[epoch, 0]
        (labels,) = draw.labels
        middle = labels[labels.shape[0] // 2, labels.shape[1] // 2]
        assert abs(int(middle) - int(SLOPE[20, 31])) <= 3 * most  # a row is 1, a column 2


def test_colour_changes_pixels_and_not_labels(samples):
    """Thumbnail and patches change alike; labels stay."""
    plain = images(samples, augment={"flips": False, "quarter_turns": False})
    coloured = images(samples, augment={"flips": False, "quarter_turns": False, "colour": 0.5})

    before, after = plain[1, 0], coloured[1, 0]

    assert not np.array_equal(before.patches[0], after.patches[0])
    assert np.array_equal(before.thumbnail_labels, after.thumbnail_labels)
    for one, other in zip(before.labels, after.labels, strict=True):
        np.testing.assert_array_equal(one, other)
    changed = dict(zip(before.thumbnail.ravel(), after.thumbnail.ravel(), strict=True))
    for one, other in zip(before.patches, after.patches, strict=True):
        pairs = zip(one.ravel(), other.ravel(), strict=True)
        assert all(changed.get(was, now) == now for was, now in pairs)


@given(
    count=st.integers(1, 30),
    batch=st.integers(1, 10),
    epochs=st.integers(1, 4),
    seed=st.integers(0, 9),
)
def test_every_epoch_takes_every_image_once(count, batch, epochs, seed):
    """In batches of the wanted size, the last of an epoch may be smaller; `len` counts them."""
    batches = EpochBatches(count, batch, epochs, seed)

    found = list(batches)

    assert len(found) == len(batches) == epochs * batches.steps_per_epoch
    keys = Counter(key for keys in found for key in keys)
    assert keys == {(epoch, i): 1 for epoch in range(1, epochs + 1) for i in range(count)}
    assert all(len({epoch for epoch, _ in keys}) == 1 for keys in found)
    assert all(len(keys) <= batch for keys in found)
    assert sum(len(keys) < batch for keys in found) == epochs * bool(count % batch)


def test_the_order_differs_between_epochs_and_repeats_with_the_seed():
    """Every epoch is another order; the same seed is the same order again."""
    first, again, other = (list(EpochBatches(20, 20, 2, seed)) for seed in (0, 0, 1))

    assert first == again
    assert first != other
    assert [i for _, i in first[0]] != [i for _, i in first[1]]
