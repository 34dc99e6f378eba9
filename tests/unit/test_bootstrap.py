"""What bootstrap intervals promise: images drawn with replacement, counted anew, middle 95 %."""

import numpy as np
import pytest

from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.evaluation.result import Evaluation
from glnet.metrics import DRAWS, IGNORE, ConfusionMatrix, Interval, Protocol
from glnet.metrics.bootstrap import image_means, interval, resample, set_mean_ious, summed_by


def drawn_images(count, seed=0, classes=3):
    rng = np.random.default_rng(seed)
    for size in rng.integers(3, 9, count):
        labels = rng.integers(0, classes, (size, size))
        labels[rng.random((size, size)) < 0.2] = IGNORE
        yield labels, np.where(rng.random((size, size)) < 0.7, labels % classes, 0)


def matrix_of(images, classes=3):
    matrix = ConfusionMatrix(classes)
    for labels, prediction in images:
        matrix.add(labels, prediction)
    return matrix


@pytest.mark.parametrize("protocol", [Protocol(), Protocol("glnet"), Protocol("ignore", (1,))])
def test_a_resampled_set_is_the_drawn_images_counted_anew(protocol):
    """Every draw's score is that of one matrix, fed with its images as often as drawn."""
    images = list(drawn_images(7))
    pairs = np.stack([matrix_of([image]).pairs for image in images])

    found = set_mean_ious(pairs, protocol)

    often = np.concatenate(list(resample(7))).astype(int)
    assert len(found) == DRAWS
    for score, times in list(zip(found, often, strict=True))[:40]:
        again = matrix_of([images[i] for i in np.repeat(np.arange(7), times)])
        assert score == pytest.approx(again.scores(protocol).mean_iou)


def test_a_class_has_its_own_interval():
    """Of Dice, drawn again by a slow twin; over the sets alone that have the class."""
    table = ClassTable(tuple(ClassInfo(str(i), i, (i, i, i)) for i in range(3)))
    drawn = enumerate(drawn_images(7))
    images = [(labels % (2 if i else 3), found % 2) for i, (labels, found) in drawn]
    pairs = np.stack([matrix_of([image]).pairs for image in images])
    names = tuple(map(str, range(7)))
    result = Evaluation(table, Protocol(), names, {"masks": pairs}, {}, 0)

    often = np.concatenate(list(resample(7))).astype(int)
    counts = np.tensordot(often, pairs, 1)[:, :3, :3]
    both = counts.sum(axis=1) + counts.sum(axis=2)
    with np.errstate(invalid="ignore"):
        drawn = 2 * np.diagonal(counts, axis1=1, axis2=2) / both
    for i, own in enumerate(result.class_intervals("f1")):
        assert own == pytest.approx(np.nanquantile(drawn[:, i], (0.025, 0.975)))
    assert np.isnan(drawn[:, 2]).any()


def test_sets_are_as_large_as_the_first_and_always_the_same():
    """With replacement: every set has as many images, some twice; each image 1 time on average."""
    often = np.concatenate(list(resample(30)))

    assert often.shape == (DRAWS, 30)
    assert (often.sum(axis=1) == 30).all()
    # A count is binomial(30, 1 / 30): mean 1, variance 29 / 30.
    assert often.mean(axis=0) == pytest.approx(np.ones(30), abs=5 / DRAWS**0.5)
    assert often.var() == pytest.approx(29 / 30, abs=0.05)
    np.testing.assert_array_equal(often, np.concatenate(list(resample(30))))


def test_means_over_images_spread_as_theory_says():
    """For 100 values the interval is close to mean +- 1.96 standard errors."""
    values = np.random.default_rng(1).random(100)

    low, high = interval(image_means(values))

    error = values.std() / 10
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_an_interval_holds_the_middle_95_percent():
    """Of 0, 1, ... 1000 that is 25 to 975."""
    assert interval(np.arange(1001)[::-1]) == pytest.approx((25, 975))


@pytest.mark.parametrize(
    ("low", "high", "excludes"), [(-1, 1, False), (0, 1, False), (-1, 0, False), (1, 2, True)]
)
def test_an_interval_knows_whether_it_excludes_zero(low, high, excludes):
    """A limit that is 0 does not exclude it; signs are treated alike."""
    assert Interval(low, high).excludes_zero is excludes
    assert Interval(-high, -low).excludes_zero is excludes


def test_equal_images_have_no_spread():
    """Whatever is drawn, the score is the same."""
    pairs = np.stack([matrix_of(drawn_images(1)).pairs] * 5)
    score = matrix_of(drawn_images(1)).scores().mean_iou

    assert interval(set_mean_ious(pairs, Protocol())) == pytest.approx((score, score))


def test_a_class_that_a_resampled_set_lacks_is_not_wrong():
    """By the GLNet protocol: each image has a class of its own and all are right, as is each set.

    A class that no image has is 0 in every set, as it is in the whole one.
    """
    images = [(np.full((2, 2), label), np.full((2, 2), label)) for label in range(4)]

    for classes in (4, 5):
        pairs = np.stack([matrix_of([image], classes).pairs for image in images])
        whole = matrix_of(images, classes).scores(Protocol("glnet")).mean_iou

        assert whole == pytest.approx(4 / classes)
        assert set_mean_ious(pairs, Protocol("glnet")) == pytest.approx(np.full(DRAWS, whole))


def test_groups_are_drawn_whole():
    """Each image twice, as a group of two, moves as the images alone do; taken singly, by less."""
    values = np.random.default_rng(2).random(40)
    groups = [f"patient {i}" for i in range(40)] * 2

    found = image_means(np.tile(values, 2), groups)

    np.testing.assert_allclose(found, image_means(values))
    assert image_means(np.tile(values, 2)).std() < 0.8 * found.std()


def test_what_has_no_group_is_drawn_by_itself():
    """Sums stand in the order in which groups first occur; without any nothing is summed."""
    values = np.array([[1, 10], [2, 20], [4, 40], [8, 80]])

    assert summed_by(["a", "", "a", ""], values).tolist() == [[5, 50], [2, 20], [8, 80]]
    assert summed_by([], values) is values
