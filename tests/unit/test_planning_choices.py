"""What choices promise: each number follows from the measured facts, at the edges too."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.geometry import Size, patch_grid
from glnet.planning.choices import (
    RARE,
    WEIGHT_CAP,
    balanced,
    choose_input,
    choose_loss,
    choose_norm,
    choose_sampling,
    choose_sides,
    percent,
    typical_windows,
)
from glnet.planning.shrink import choose_shrink, views_of_ground
from glnet.recipe import ModelSettings, Recipe

SIDES = st.integers(8, 9000)


@given(st.lists(st.builds(Size, SIDES, SIDES), min_size=1, max_size=9))
def test_sides_are_those_that_a_network_takes(sizes):
    """Multiples of 4, from 128 to the paper's 500, with an overlap that fits."""
    chosen = {k.removeprefix("model."): v for k, v in choose_sides(sizes).settings.items()}

    settings = ModelSettings.model_validate(chosen)

    assert 128 <= settings.patch <= 500
    assert settings.patch == settings.thumbnail
    assert typical_windows(sizes, choose_sides(sizes)) >= 1


@pytest.mark.parametrize(
    ("sides", "scene"),
    [
        ((600, 600, 1200), None),
        ((600, 600, 1201), 600),
        ((600, 900, 1900), 900),
        ((7000, 7000, 7000), None),
        ((7000, 7001, 7001), 5000),
        ((3000, 3000, 9000), 3000),
        ((40, 40, 300), 256),  # two of the smallest patches
    ],
)
def test_long_images_are_cut_and_those_far_longer_than_the_others(sides, scene):
    chosen = choose_sides([Size(side, side // 2) for side in sides])

    assert chosen.settings["model.scene"] == scene
    if scene is not None:
        assert "are cut into equal scenes" in chosen.reasons["model.scene"]


@pytest.mark.parametrize(
    ("side", "patch", "branches", "sharing"),
    [
        (3000, 500, "both", "global_to_local"),
        (1500, 500, "both", "global_to_local"),
        (1499, 496, "both", "global_to_local"),
        (384, 128, "both", "global_to_local"),
        (129, 128, "both", "global_to_local"),
        (128, 128, "local", "none"),
    ],
)
def test_small_images_get_small_patches_and_less_sharing(side, patch, branches, sharing):
    """A third of the side; no global view of a single patch."""
    settings = choose_sides([Size(side, 2 * side if side > 128 else side)]).settings

    assert settings["model.patch"] == patch
    assert settings["model.branches"] == branches
    assert settings["model.sharing"] == sharing


def test_the_number_of_patches_is_the_mean_over_the_images():
    sizes = [Size(1000, 1000), Size(1900, 1000)]
    sides = choose_sides([Size(1500, 1500)])

    counts = [len(patch_grid(size, 500, 50)) for size in sizes]

    assert typical_windows(sizes, sides) == round(np.mean(counts))


def test_bytes_in_three_bands_keep_the_pretrained_normalisation():
    chosen = choose_input(3, "uint8", (90, 91, 92), (9, 9, 9), 250).settings["model.input"]

    assert chosen == {"scale": 255.0, "mean": None, "deviation": None}


@pytest.mark.parametrize(
    ("dtype", "high", "scale"),
    [
        ("uint8", 80, 255),
        ("uint16", 4095, 4100),
        ("uint16", 65535, 66000),
        ("uint16", 254.5, 260),
        ("float32", 1.0, 1.0),
        ("float32", 0.0312, 0.032),
        ("float32", 0.0, 1.0),
    ],
)
def test_other_images_are_scaled_and_normalised_as_measured(dtype, high, scale):
    """(value / scale - mean) / deviation has mean 0 and deviation 1 on the measured values."""
    mean, deviation = (high / 2, high / 4), (high / 8, 0)

    chosen = choose_input(2, dtype, mean, deviation, high).settings["model.input"]

    assert chosen["scale"] == pytest.approx(scale)
    assert chosen["mean"] == pytest.approx([m / scale for m in mean], rel=1e-3)
    assert chosen["deviation"][0] == pytest.approx(high / 8 / scale or 1.0, rel=1e-3)
    assert chosen["deviation"][1] == 1.0


@pytest.mark.parametrize("high", [251.0, 254.0, 255.0])
def test_no_other_scale_is_taken_for_that_of_bytes(high):
    """255 means 8 bit: a raster of another dtype would be refused."""
    assert choose_input(1, "uint16", (1,), (1,), high).settings["model.input"]["scale"] != 255


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12).filter(lambda s: sum(s) > 0))
def test_class_weights_are_balanced_and_capped(raw):
    """A labelled pixel weighs 1 on average; rarer never weighs less; at most 10 to 1."""
    shares = [share / sum(raw) for share in raw]

    weights = balanced(shares)

    # Written with three digits.
    assert sum(s * w for s, w in zip(shares, weights, strict=True)) == pytest.approx(1, abs=6e-4)
    assert max(weights) <= WEIGHT_CAP * (min(weights) + 1e-3)
    order = np.argsort(shares)
    assert (np.diff(np.array(weights)[order]) <= 1e-9).all()


def test_class_weights_are_inverse_roots_of_the_shares():
    weights = balanced([0.64, 0.32, 0.04])

    assert weights[2] / weights[0] == pytest.approx(4, rel=2e-3)
    assert weights[1] / weights[0] == pytest.approx(math.sqrt(2), rel=2e-3)


@pytest.mark.parametrize(
    ("shares", "weighted"),
    [
        ((0.5, 0.5), False),
        ((0.3, 0.3, 0.4), False),
        ((0.05, 0.45, 0.5), False),
        ((0.049, 0.451, 0.5), True),
        ((0.0, 0.5, 0.5), True),
    ],
)
def test_weights_come_with_rare_classes(shares, weighted):
    """Weights and patches on rare classes below 5 %; Dice always."""
    names = [f"class {i}" for i in range(len(shares))]

    loss = choose_loss(names, shares).settings
    sides = choose_sides([Size(2000, 2000)])
    sampling = choose_sampling(names, shares, [Size(2000, 2000)], sides).settings

    assert loss["loss.dice_weight"] == 1
    assert (loss["loss.class_weights"] is not None) is weighted
    assert (sampling["train.rare_patches"] > 0) is weighted
    assert weighted is (min(shares) < RARE)


@pytest.mark.parametrize(("side", "patches"), [(900, "all"), (5000, 8)])
def test_images_of_many_patches_are_sampled(side, patches):
    sizes = [Size(side, side)]

    chosen = choose_sampling("ab", (0.5, 0.5), sizes, choose_sides([Size(1500, 1500)]))

    assert chosen.settings["train.patches"] == patches


@pytest.mark.parametrize(
    ("images", "batch", "mini_batch", "pretrained", "frozen"),
    [
        (199, 8, 8, True, True),
        (200, 8, 8, True, False),
        (200, 7, 8, True, True),
        (200, 8, 7, True, True),
        (10, 2, 2, False, False),
    ],
)
def test_batch_statistics_are_kept_where_new_ones_would_say_little(
    images, batch, mini_batch, pretrained, frozen
):
    chosen = choose_norm(images, batch, mini_batch, pretrained=pretrained)

    assert chosen.settings == {"train.freeze_batch_norm": frozen}


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0.00 %"), (0.00001, "< 0.01 %"), (0.0123, "1.23 %"), (0.5, "50.0 %"), (1, "100.0 %")],
)
def test_rare_shares_keep_their_digits(share, shown):
    assert percent(share) == shown


FINE = {2: 0.95, 4: 0.9, 8: 0.86}


@pytest.mark.parametrize(
    ("views", "kept", "side", "shrink"),
    [
        (8, FINE, 4000, 1),  # time enough
        (7.9, FINE, 4000, 2),
        (2, FINE, 4000, 2),
        (1.9, FINE, 4000, 4),
        (0.001, FINE, 4000, 8),  # never enough: as far as masks allow
        (0.001, FINE | {8: 0.84}, 4000, 4),
        (0.001, {2: 0.84, 4: 0.7, 8: 0.5}, 4000, 1),
        (0.001, {2: 0.85, 4: 0.7, 8: 0.5}, 4000, 2),
        (0.001, FINE, 8 * 384, 8),  # three of the smallest patches are left
        (0.001, FINE, 8 * 384 - 1, 4),
        (0.001, FINE, 767, 1),
        (0.001, {}, 4000, 1),
    ],
)
def test_images_are_shrunk_as_little_as_the_time_and_as_much_as_the_masks_allow(
    views, kept, side, shrink
):
    assert choose_shrink([Size(side, 2 * side)] * 3, kept, views) == shrink


@given(side=st.integers(400, 2000), shrink=st.sampled_from([2, 3, 4, 8]))
def test_shrunk_images_get_the_sides_of_images_that_small(side, shrink):
    """Scenes are told in the images' own pixels, and are no larger in those, for they are read."""
    small = [Size(side, 3 * side), Size(side, side), Size(side, side + 9)]
    large = [Size(*(shrink * length for length in size)) for size in small]

    plain, shrunk = choose_sides(small), choose_sides(large, shrink)

    for name in ("model.branches", "model.sharing", "model.patch", "model.overlap"):
        assert shrunk.settings[name] == plain.settings[name]
    whole = choose_sides(large)  # of which thumbnails are made, whatever patches see
    assert shrunk.settings["model.thumbnail"] == whole.settings["model.thumbnail"]
    scene, patch = shrunk.settings["model.scene"], shrunk.settings["model.patch"]
    assert 2 * patch * shrink <= scene <= max(5000, 2 * patch * shrink)
    assert typical_windows(large, shrunk) == typical_windows(small, plain)


def test_how_often_all_ground_is_seen():
    """Ten epochs of four patches of 100 px, each 200 of the image's, on scenes of 400 x 1000."""
    recipe = Recipe.model_validate(
        {
            "data": {"manifest": "m.csv", "classes": "c.csv"},
            "model": {"patch": 100, "overlap": 8, "shrink": 2},
            "train": {"patches": 4, "stages": {"global_to_local": {"epochs": 10}}},
        }
    )

    assert views_of_ground(recipe, [Size(400, 1000)] * 3, 9) == pytest.approx(4.0)
    assert views_of_ground(recipe, [Size(400, 1000)] * 3, 2) == pytest.approx(2.0)
