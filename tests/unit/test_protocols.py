"""What the protocols promise: which ground is counted, and which classes a mean takes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from glnet.metrics import IGNORE, ConfusionMatrix, Protocol

TRUE_IGNORE, GLNET = Protocol("ignore"), Protocol("glnet")


def matrix_of(classes, labels, prediction):
    matrix = ConfusionMatrix(classes)
    matrix.add(np.array(labels, np.uint8), np.array(prediction, np.uint8))
    return matrix


def test_ignored_ground_worked_by_hand():
    """Classes 0 and 1 twice each; of two ignored pixels one is called 0, the other 1; 2 is absent.

    By true ignore class 0 has 2 of 3 pixels, class 1 has 1 of 2, and class 2 is not in the mean;
    by the GLNet protocol each has one false positive more, and class 2 counts as 0.
    """
    matrix = matrix_of(3, [0, 0, 1, 1, IGNORE, IGNORE], [0, 0, 0, 1, 0, 1])

    assert matrix.counts.tolist() == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert matrix.ignored.tolist() == [1, 1, 0]
    ignore, glnet = matrix.scores(TRUE_IGNORE), matrix.scores(GLNET)
    np.testing.assert_allclose(ignore.iou, [2 / 3, 1 / 2, np.nan])
    np.testing.assert_allclose(glnet.iou, [2 / 4, 1 / 3, np.nan])
    assert ignore.mean_iou == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert glnet.mean_iou == pytest.approx((2 / 4 + 1 / 3 + 0) / 3)
    np.testing.assert_allclose(ignore.precision, [2 / 3, 1, np.nan])
    np.testing.assert_allclose(glnet.precision, [2 / 4, 1 / 2, np.nan])
    np.testing.assert_allclose(glnet.recall, ignore.recall)
    np.testing.assert_allclose(glnet.f1, [4 / 6, 2 / 4, np.nan])
    assert glnet.mean_f1 == pytest.approx((4 / 6 + 2 / 4) / 3)
    assert ignore.accuracy == pytest.approx(3 / 4)
    assert glnet.accuracy == pytest.approx(3 / 6)


def test_a_trained_unknown_class_worked_by_hand():
    """Class 0 is unknown and trained: its ground is one right, one called 1; one 1 is called 0.

    In both protocols that last pixel is a miss of class 1, and the mean is over 1 and 2.
    """
    matrix = matrix_of(3, [0, 0, 1, 1, 2], [0, 1, 0, 1, 2])
    unknown = (0,)

    ignore = matrix.scores(Protocol("ignore", unknown))
    glnet = matrix.scores(Protocol("glnet", unknown))

    np.testing.assert_allclose(ignore.iou, [np.nan, 1 / 2, 1])
    np.testing.assert_allclose(glnet.iou, [1 / 3, 1 / 3, 1])
    assert ignore.mean_iou == pytest.approx(3 / 4)
    assert glnet.mean_iou == pytest.approx(2 / 3)
    assert ignore.pixels.tolist() == [0, 2, 1]
    assert glnet.pixels.tolist() == [2, 2, 1]
    assert ignore.accuracy == pytest.approx(2 / 3)
    assert glnet.accuracy == pytest.approx(3 / 5)


def test_without_a_protocol_a_trained_unknown_class_is_one_like_any_other():
    """Every trained class is in the mean."""
    scores = matrix_of(3, [0, 0, 1, 1, 2], [0, 1, 0, 1, 2]).scores()

    np.testing.assert_allclose(scores.iou, [1 / 3, 1 / 3, 1])
    assert scores.mean_iou == pytest.approx(5 / 9)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    known=st.integers(2, 7),
    absent=st.integers(0, 2),
    trained=st.booleans(),
)
def test_the_glnet_protocol_is_that_of_their_code(seed, known, absent, trained):
    """IoU over all pixels with unknown as class 0, then `mean(nan_to_num(iou[1:]))`.

    The IoU is torchmetrics', whether unknown is trained or ignored by the table.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, known + 1, (9, 11))
    prediction = rng.integers(0 if trained else 1, known + 1, (9, 11))
    classes = 1 + known + absent  # the last ones neither occur nor are predicted

    iou = MulticlassJaccardIndex(classes, average="none")
    iou.update(torch.from_numpy(prediction), torch.from_numpy(labels))
    wanted = np.mean(np.nan_to_num(iou.compute().numpy()[1:]))

    if trained:
        scores = matrix_of(classes, labels, prediction).scores(Protocol("glnet", (0,)))
    else:
        ours = np.where(labels == 0, IGNORE, labels - 1)
        scores = matrix_of(classes - 1, ours, prediction - 1).scores(GLNET)
    assert scores.mean_iou == pytest.approx(float(wanted), abs=1e-6)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), known=st.integers(2, 7))
def test_true_ignore_is_that_of_torchmetrics(seed, known):
    """A trained unknown class is torchmetrics' `ignore_index`, and left out of the mean."""
    rng = np.random.default_rng(seed)
    labels, prediction = rng.integers(0, known + 1, (2, 9, 11))
    iou = MulticlassJaccardIndex(known + 1, average="none", ignore_index=0)
    accuracy = MulticlassAccuracy(known + 1, average="micro", ignore_index=0)
    for metric in (iou, accuracy):
        metric.update(torch.from_numpy(prediction), torch.from_numpy(labels))

    scores = matrix_of(known + 1, labels, prediction).scores(Protocol("ignore", (0,)))

    np.testing.assert_allclose(np.nan_to_num(scores.iou[1:]), iou.compute().numpy()[1:], atol=1e-6)
    assert scores.mean_iou == pytest.approx(np.nanmean(scores.iou[1:]))
    assert scores.accuracy == pytest.approx(float(accuracy.compute()), abs=1e-6)


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["ignore", "glnet"]))
def test_an_unknown_class_counts_the_same_whether_trained_or_ignored(seed, name):
    """What is predicted on known ground being equal, the means do not tell the two apart."""
    rng = np.random.default_rng(seed)
    labels, prediction = rng.integers(0, 4, (2, 8, 8))
    prediction[prediction == 0] = 1

    trained = matrix_of(4, labels, prediction).scores(Protocol(name, (0,)))
    ignored = matrix_of(3, np.where(labels == 0, IGNORE, labels - 1), prediction - 1)

    ignored = ignored.scores(Protocol(name))
    assert trained.mean_iou == pytest.approx(ignored.mean_iou)
    assert trained.mean_f1 == pytest.approx(ignored.mean_f1)
    assert trained.accuracy == pytest.approx(ignored.accuracy)


@pytest.mark.parametrize("name", ["ignore", "glnet"])
def test_an_empty_set_has_no_scores(name):
    """Without a pixel means are NaN in either protocol."""
    scores = ConfusionMatrix(3).scores(Protocol(name, (1,)))

    assert np.isnan([scores.mean_iou, scores.mean_f1, scores.accuracy]).all()


@pytest.mark.parametrize("name", ["ignore", "glnet"])
def test_an_image_of_one_class_can_be_right(name):
    """An image's own mean leaves out classes that it does not have, in either protocol."""
    assert Protocol(name).image_mean(np.array([1.0, np.nan, np.nan])) == 1


def test_unknown_is_known_by_its_name():
    """However it is written; other classes are not unknown."""
    assert Protocol.of("glnet", ["Unknown", "forest"]).unknown == (0,)
    assert Protocol.of("glnet", ["forest", "unknown"]).unknown == (1,)
    assert Protocol.of("glnet", ["forest", "unknowns"]).unknown == ()
