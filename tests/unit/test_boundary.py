"""What boundary IoU promises: the paper's definition, pixel by pixel, over a set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glnet.metrics import IGNORE, BoundaryCounts, Protocol
from glnet.metrics.boundary import _over_runs, contour, reach


def eroded(mask, distance):
    """The definition itself: a 3x3 erosion, `distance` times, with nothing outside the image."""
    height, width = mask.shape
    for _ in range(distance):
        around = np.pad(mask, 1)
        mask = np.logical_and.reduce(
            [around[i : i + height, j : j + width] for i in range(3) for j in range(3)]
        )
    return mask


def twin(labels, prediction, classes, distance):
    """Intersections and unions, class by class, by iterated erosions."""
    counted = labels != IGNORE
    both, either = [], []
    for k in range(classes):
        masks = [(image == k) | ~counted for image in (labels, prediction)]
        edges = [mask & ~eroded(mask, distance) & counted for mask in masks]
        both.append((edges[0] & edges[1]).sum())
        either.append((edges[0] | edges[1]).sum())
    return both, either


def patchy(rng, height, width, classes, side):
    """Labels in rectangles about `side` wide, some of them ignored."""
    shape = (-(-height // side), -(-width // side))
    coarse = rng.integers(0, classes, shape)
    coarse[rng.random(shape) < 0.2] = IGNORE
    fine = np.kron(coarse, np.ones((side, side), int))[:height, :width].astype(np.uint8)
    fine[rng.random((height, width)) < 0.02] = IGNORE
    return fine


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    classes=st.integers(1, 5),
    side=st.integers(1, 25),
    distance=st.integers(1, 70),
)
def test_contours_are_what_erosions_leave(seed, height, width, classes, side, distance):
    """At every counted pixel, thin images and distances beyond the image included."""
    rng = np.random.default_rng(seed)
    labels = patchy(rng, height, width, classes, side)
    counted = labels != IGNORE

    found = contour(labels, counted, distance)

    for k in range(classes):
        mask = (labels == k) | ~counted
        of_class = labels == k
        wanted = mask & ~eroded(mask, distance)
        np.testing.assert_array_equal(found[of_class], wanted[of_class])


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    shapes=st.lists(st.tuples(st.integers(1, 130), st.integers(1, 130)), min_size=1, max_size=3),
    classes=st.integers(1, 4),
)
def test_counts_are_those_of_the_definition(seed, shapes, classes):
    """Added up over images of several sizes, each with the reach of its own diagonal."""
    rng = np.random.default_rng(seed)
    counts = BoundaryCounts(classes)
    both, either = np.zeros(classes, int), np.zeros(classes, int)
    for height, width in shapes:
        labels = patchy(rng, height, width, classes, 17)
        prediction = np.roll(labels, rng.integers(-3, 4, 2), (0, 1))
        prediction[prediction == IGNORE] = 0

        counts.add(labels, prediction)

        found = twin(labels, prediction, classes, reach(height, width))
        both, either = both + found[0], either + found[1]
    np.testing.assert_array_equal(counts.intersections, both)
    np.testing.assert_array_equal(counts.unions, either)


def test_a_large_image_is_counted_pixel_by_pixel():
    """Of noise every pixel is boundary; no portion of them is left out or counted twice."""
    labels = np.random.default_rng(0).integers(0, 2, (2200, 1000), np.uint8)
    counts = BoundaryCounts(2)

    counts.add(labels, labels)

    pixels = [(labels == k).sum() for k in range(2)]
    assert counts.intersections.tolist() == counts.unions.tolist() == pixels


@pytest.mark.parametrize(
    ("height", "width", "pixels"),
    [(3000, 4000, 100), (30, 40, 1), (55, 70, 2), (1, 1, 1), (60, 80, 2), (5000, 5000, 141)],
)
def test_a_boundary_reaches_2_percent_of_the_diagonal(height, width, pixels):
    """Rounded, and at least one pixel."""
    assert reach(height, width) == pixels


def test_a_shifted_square_worked_by_hand():
    """A 5x5 square in a 9x9 image, found one column too far right; boundaries are a pixel wide."""
    labels, prediction = np.zeros((2, 9, 9), np.uint8)
    labels[2:7, 2:7] = 1
    prediction[2:7, 3:8] = 1
    counts = BoundaryCounts(2)

    counts.add(labels, prediction)

    # Rings of 16: top and bottom share 4 pixels each, and the left one of the prediction and the
    # right one of the truth lie inside the other square.
    assert counts.intersections[1] == 8
    assert counts.unions[1] == 24
    assert counts.iou(Protocol())[1] == pytest.approx(1 / 3)


def test_ignored_ground_makes_no_contour():
    """A hole of ignored ground in a class leaves only the image's edge as its boundary."""
    labels, prediction = np.zeros((2, 20, 20), np.uint8)
    labels[8:12, 8:12] = IGNORE
    prediction[8:12, 8:12] = 1
    counts = BoundaryCounts(2)

    counts.add(labels, prediction)

    assert counts.intersections.tolist() == [4 * 19, 0]
    assert counts.unions.tolist() == [4 * 19, 0]
    assert np.isnan(counts.iou(Protocol())[1])


@pytest.mark.parametrize("protocol", ["ignore", "glnet"])
def test_the_protocols_differ_in_the_contour_of_unknown_ground(protocol):
    """Unknown ground has a contour against known ground in the GLNet protocol alone."""
    labels, prediction = np.zeros((2, 20, 20), np.uint8)
    labels[8:12, 8:12] = IGNORE
    rule = Protocol(protocol)
    counts = BoundaryCounts(1)

    counts.add(rule.ground(labels), prediction)

    # A ring one pixel wide around the hole, 6 x 6 less 4 x 4.
    hole = 20 if protocol == "glnet" else 0
    assert counts.intersections.tolist() == [4 * 19]
    assert counts.unions.tolist() == [4 * 19 + hole]


def test_a_class_that_is_left_out_has_no_boundary_iou():
    """A trained unknown class, by true ignore; its predictions hurt the others alone."""
    labels = np.zeros((6, 6), np.uint8)
    labels[:, 3:] = 1
    rule = Protocol("ignore", unknown=(0,))
    counts = BoundaryCounts(2)

    counts.add(rule.ground(labels), labels)

    np.testing.assert_array_equal(counts.iou(rule), [np.nan, 1])
    assert rule.mean(counts.iou(rule)) == 1


@pytest.mark.parametrize(("length", "passes"), [(3, 2), (65, 7), (129, 8), (327, 9)])
def test_work_hardly_grows_with_the_reach(length, passes):
    """Squares of twice the side take one pass more in each direction, not twice as many."""
    made = []

    def least(one, other):
        made.append(1)
        return np.minimum(one, other)

    found = _over_runs(least, np.arange(500)[::-1], length)

    assert found.tolist() == list(range(500 - length, -1, -1))
    assert len(made) == passes
