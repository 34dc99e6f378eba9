"""What splits promise: whole images, all of them, alike in classes, and the same for one seed."""

from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.datasets.manifest import Sample
from glnet.errors import DataError
from glnet.geometry import Window
from glnet.planning.dividing import divide
from glnet.planning.splits import choose_folds, choose_splits, take_validation, unlikeness
from glnet.planning.wishes import Wishes

SEEDS = st.integers(0, 5)


def random_pixels(images, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 1000, (images, 3)) * rng.integers(0, 2, (images, 3))


@given(st.integers(1, 60), SEEDS)
def test_splits_are_about_70_15_15(images, seed):
    """At least one of each where there are three images; fewer give up the test, then the rest."""
    counts = Counter(choose_splits(random_pixels(images, seed), seed))

    assert counts.total() == images
    assert counts["train"] >= 1
    assert counts["validation"] == (max(1, round(0.15 * images)) if images > 1 else 0)
    assert counts["test"] == (max(1, round(0.15 * images)) if images > 2 else 0)


@given(st.integers(3, 30), SEEDS)
def test_splits_depend_on_the_seed_alone(images, seed):
    pixels = random_pixels(images, seed)

    assert choose_splits(pixels, seed) == choose_splits(pixels, seed)


def test_splits_are_the_most_alike_there_are():
    """With few images 200 tries find the best of all; a slow twin goes through every order."""
    pixels = np.array([[90, 10], [10, 90], [50, 50], [50, 50], [52, 48]])
    names = ["train"] * 3 + ["validation", "test"]

    best = min(unlikeness(pixels, order) for order in permutations(names))

    assert unlikeness(pixels, choose_splits(pixels, 0)) == best


def test_unlikeness_is_told_in_hellinger_distances():
    """Each split's classes against all images', and shares of pixels against shares of images."""
    pixels = np.array([[9, 16, 0, 0], [1, 0, 0, 0], [4, 0, 5, 0], [1, 3, 0, 0]])

    def distance(one, other):
        shares = ((np.array(each) / sum(each)) ** 0.5 for each in (one, other))
        return sum((a - b) ** 2 for a, b in zip(*shares, strict=True)) ** 0.5

    everything = [15, 19, 5, 0]
    of_splits = ([10, 16, 0, 0], [4, 0, 5, 0], [1, 3, 0, 0])
    apart = [distance(own, everything) for own in of_splits] + [distance([26, 9, 4], [2, 1, 1])]

    found = unlikeness(pixels, ["train", "train", "validation", "test"])

    assert found == (1, pytest.approx(sum(apart)))  # the third is not trained, the fourth nowhere


def test_a_class_of_one_image_is_trained():
    """It would otherwise be asked for without ever having been seen."""
    pixels = np.array([[100, 0]] * 5 + [[100, 30]])

    for seed in range(5):
        assert choose_splits(pixels, seed)[5] == "train"


def test_what_has_most_of_the_pixels_is_trained_on():
    """A patient of many images, all of the same classes: nothing else tells where it belongs."""
    pixels = np.array([[60, 40]] * 8 + [[600, 400]])

    for seed in range(20):
        assert choose_splits(pixels, seed)[8] == "train"


@given(st.integers(1, 40), SEEDS)
def test_validation_is_taken_from_training_alone(images, seed):
    """Test images stay where they are."""
    given_splits = ["train"] * images + ["test"] * 3

    splits = take_validation(random_pixels(images + 3, seed), given_splits, seed)

    assert splits[images:] == ["test"] * 3
    held = max(1, round(0.15 * images)) if images > 1 else 0
    assert Counter(splits[:images])["validation"] == held
    assert set(splits[:images]) <= {"train", "validation"}


@given(st.integers(3, 24), st.integers(2, 8), SEEDS)
def test_every_image_is_tested_in_exactly_one_fold(images, folds, seed):
    """Folds differ by one image at most, and each can train."""
    if folds > images:
        return
    chosen = choose_folds(random_pixels(images, seed), folds, seed)

    tests = np.array([[split == "test" for split in fold] for fold in chosen])
    assert (tests.sum(0) == 1).all()
    assert np.ptp(tests.sum(1)) <= 1
    assert all("train" in fold for fold in chosen)
    assert all("validation" in fold for fold in chosen if fold.count("test") < images - 1)


@pytest.mark.parametrize(("images", "folds"), [(2, 2), (5, 6), (5, 1)])
def test_folds_that_cannot_be_are_refused(images, folds):
    with pytest.raises(ValueError, match="folds"):
        choose_folds(random_pixels(images, 0), folds, 0)


def divided(given, groups=None, **wishes):
    """What folders say of images, divided; and what is noted."""
    samples = [
        Sample(Path(f"{n}.tif"), Path("m.png"), split, group=group)
        for n, (split, group) in enumerate(zip(given, groups or [""] * len(given), strict=True))
    ]
    notes = []
    pixels = random_pixels(len(samples), 0)
    return divide(samples, pixels, Wishes(**wishes), notes, fixed=False), notes


@pytest.mark.parametrize(
    ("given", "folds"), [([""] * 20, 0), (["train"] * 20 + ["test"] * 3, 0), ([""] * 20, 4)]
)
def test_another_seed_draws_anew(given, folds):
    """Splits, validation from training, and folds."""
    drawn = [divided(given, seed=seed, folds=folds)[0] for seed in range(4)]

    assert any(one != drawn[0] for one in drawn)


@pytest.mark.parametrize("given", [["train"] * 6, ["train", ""] * 3])
def test_folders_that_say_no_more_than_train_are_divided(given):
    (splits,), _ = divided(given)

    assert Counter(splits) == {"train": 4, "validation": 1, "test": 1}


def test_folders_that_leave_images_without_a_split_are_refused():
    with pytest.raises(DataError, match="names say no split, test, train; wanted"):
        divided(["train", "test", ""])


def test_images_of_no_group_are_none():
    """Each is by itself, and a note counts the others."""
    _, notes = divided([""] * 6, ["a", "a", "b", "", "", ""], folds=2)

    assert notes[0].startswith("2 groups of images")
    assert notes[1].startswith("2 folds by group")


def test_two_images_are_divided_by_their_parts():
    """There would be none to test otherwise."""
    parts = [
        Sample(Path(f"{n % 2}.tif"), Path("m.png"), "", Window(9 * n, 0, 9, 9)) for n in range(6)
    ]

    (splits,) = divide(parts, random_pixels(6, 0), Wishes(), [], fixed=False)

    assert set(splits) == {"train", "validation", "test"}
