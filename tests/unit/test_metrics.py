"""What the confusion matrix promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassJaccardIndex,
    MulticlassPrecision,
    MulticlassRecall,
)

from glnet.metrics import IGNORE, ConfusionMatrix


def batches_of(seed, classes, ignored):
    """Three images of labels and predictions, the last one of a different size."""
    rng = np.random.default_rng(seed)
    for shape in ((5, 7), (5, 7), (2, 3)):
        labels = rng.integers(0, classes, shape).astype(np.uint8)
        labels[rng.random(shape) < ignored] = IGNORE
        yield labels, rng.integers(0, classes, shape).astype(np.uint8)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 9), ignored=st.floats(0, 0.9))
def test_scores_are_those_of_torchmetrics(seed, classes, ignored):
    """Fed batch by batch with ignored pixels, every score equals torchmetrics'."""
    ours = ConfusionMatrix(classes)
    kept = {"num_classes": classes, "ignore_index": IGNORE}
    each = [
        kind(average="none", **kept)
        for kind in (
            MulticlassJaccardIndex,
            MulticlassF1Score,
            MulticlassRecall,
            MulticlassPrecision,
        )
    ]
    accuracy = MulticlassAccuracy(average="micro", **kept)

    for labels, prediction in batches_of(seed, classes, ignored):
        ours.add(labels, prediction)
        for metric in (*each, accuracy):
            metric.update(torch.from_numpy(prediction), torch.from_numpy(labels))

    scores = ours.scores()
    for found, metric in zip(
        (scores.iou, scores.f1, scores.recall, scores.precision), each, strict=True
    ):
        wanted = metric.compute().numpy()
        np.testing.assert_allclose(np.nan_to_num(found), wanted, rtol=0, atol=1e-6)
    if scores.pixels.sum():
        assert scores.accuracy == pytest.approx(float(accuracy.compute()), abs=1e-6)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(3, 9))
def test_means_are_those_of_torchmetrics(seed, classes):
    """Mean IoU and mean F1 leave out a class that neither occurs nor is predicted."""
    ours = ConfusionMatrix(classes)
    kept = {"num_classes": classes, "ignore_index": IGNORE, "average": "macro"}
    jaccard, f1 = MulticlassJaccardIndex(**kept), MulticlassF1Score(**kept)

    for labels, prediction in batches_of(seed, classes - 1, 0.3):  # the last class is absent
        ours.add(labels, prediction)
        for metric in (jaccard, f1):
            metric.update(torch.from_numpy(prediction), torch.from_numpy(labels))

    scores = ours.scores()
    assert np.isnan(scores.iou[-1])
    assert scores.mean_iou == pytest.approx(float(jaccard.compute()), abs=1e-6)
    assert scores.mean_f1 == pytest.approx(float(f1.compute()), abs=1e-6)


def test_a_matrix_worked_by_hand():
    """Three of class 0, one of them missed; two of class 1, both found; one pixel ignored."""
    matrix = ConfusionMatrix(2)

    matrix.add(np.array([[0, 0, 0], [1, 1, IGNORE]]), np.array([[0, 0, 1], [1, 1, 0]]))

    scores = matrix.scores()
    assert matrix.counts.tolist() == [[2, 1], [0, 2]]
    assert scores.iou == pytest.approx([2 / 3, 2 / 3])
    assert scores.recall == pytest.approx([2 / 3, 1])
    assert scores.precision == pytest.approx([1, 2 / 3])
    assert scores.f1 == pytest.approx([4 / 5, 4 / 5])
    assert scores.pixels.tolist() == [3, 2]
    assert scores.accuracy == pytest.approx(4 / 5)
    assert scores.mean_iou == pytest.approx(2 / 3)
    assert scores.mean_f1 == pytest.approx(4 / 5)


@given(seed=st.integers(0, 2**32 - 1), found=st.sampled_from([0, 2, 7, IGNORE]))
def test_ignored_pixels_count_nowhere(seed, found):
    """Whatever is predicted where the label is ignored, the counts stay as without the pixel."""
    labels, prediction = next(batches_of(seed, 3, 0.5))
    kept = labels != IGNORE
    changed = np.where(kept, prediction, found).astype(np.uint8)
    full, some = ConfusionMatrix(3), ConfusionMatrix(3)

    full.add(labels, changed)
    some.add(labels[kept], prediction[kept])

    np.testing.assert_array_equal(full.counts, some.counts)
    assert full.counts.sum() == kept.sum()


def test_parts_add_up_to_the_whole():
    """Counting an image strip by strip equals counting it at once."""
    labels, prediction = next(batches_of(3, 4, 0.2))
    parts, whole = ConfusionMatrix(4), ConfusionMatrix(4)

    for row in range(len(labels)):
        parts.add(labels[row : row + 1], prediction[row : row + 1])
    whole.add(labels, prediction)

    np.testing.assert_array_equal(parts.counts, whole.counts)


def test_a_large_image_is_counted_pixel_by_pixel():
    """Counting goes in portions of a million: no pixel is left out, and none counted twice."""
    labels, prediction = np.random.default_rng(0).integers(0, 2, (2, 1100, 1000), np.uint8)
    matrix = ConfusionMatrix(2)

    matrix.add(labels, prediction)

    pairs = [[((labels == i) & (prediction == j)).sum() for j in range(2)] for i in range(2)]
    assert matrix.counts.tolist() == pairs


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (12,), (1, 4, 3)])
def test_shapes_must_agree(shape):
    """A prediction of another shape is an error, even with as many pixels."""
    labels = np.zeros((4, 3) if shape != (4, 3) else (3, 4), np.uint8)

    with pytest.raises(ValueError, match="prediction"):
        ConfusionMatrix(2).add(labels, np.zeros(shape, np.uint8))


@pytest.mark.parametrize(("label", "found"), [(3, 0), (0, 3), (254, 0), (0, 254), (-1, 2), (2, -1)])
def test_a_class_that_does_not_exist_is_refused(label, found):
    """A counted pixel of a class outside the matrix is an error, and nothing is counted."""
    matrix = ConfusionMatrix(3)
    told = "" if min(label, found) < 0 else f"class {max(label, found)} does not exist; there are 3"

    with pytest.raises(ValueError, match=told or "negative"):
        matrix.add(np.array([0, label]), np.array([0, found]))

    assert matrix.counts.sum() == 0


@pytest.mark.parametrize("fed", [False, True], ids=["nothing", "ignored pixels only"])
def test_an_empty_matrix_has_no_scores(fed):
    """Without a counted pixel every score is NaN, and nothing warns or crashes."""
    matrix = ConfusionMatrix(3)

    if fed:
        matrix.add(np.full((2, 2), IGNORE, np.uint8), np.zeros((2, 2), np.uint8))

    scores = matrix.scores()
    assert scores.pixels.tolist() == [0, 0, 0]
    for values in (scores.iou, scores.f1, scores.recall, scores.precision):
        assert np.isnan(values).all()
    assert np.isnan([scores.accuracy, scores.mean_iou, scores.mean_f1]).all()


def test_ground_of_which_nothing_is_predicted_is_missed():
    """It is wrong, and no class's false positive; on ignored ground nothing is counted."""
    matrix = ConfusionMatrix(2)
    matrix.add(np.array([0, 0, 1, 1, IGNORE]), np.array([0, IGNORE, IGNORE, 1, IGNORE]))

    scores = matrix.scores()
    assert matrix.counts.tolist() == [[1, 0], [0, 1]]
    assert matrix.missed.tolist() == [1, 1]
    assert matrix.ignored.tolist() == [0, 0]
    assert scores.recall.tolist() == scores.iou.tolist() == [1 / 2, 1 / 2]
    assert scores.precision.tolist() == [1, 1]
    assert scores.accuracy == 1 / 2
    assert scores.pixels.tolist() == [2, 2]
