"""What counting confidence promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassCalibrationError

from glnet.metrics import IGNORE, Calibration
from glnet.probability import STEPS, UNSAID, probabilities


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), skill=st.floats(0, 1))
def test_the_error_is_that_of_torchmetrics(seed, skill):
    """Image by image, without ignored ground, and where no confidence is told."""
    rng = np.random.default_rng(seed)
    ours, theirs = Calibration(), MulticlassCalibrationError(10, n_bins=10, norm="l1")

    for shape in ((5, 7), (2, 3), (40, 30)):
        labels, prediction = rng.integers(0, 10, (2, *shape)).astype(np.uint8)
        right = rng.random(shape) < skill
        prediction[right] = labels[right]
        steps = rng.integers(STEPS // 10 + 1, STEPS, shape).astype(np.uint8)
        ignored, unsaid = rng.random((2, *shape)) < 0.2
        counted = ~ignored & ~unsaid
        ours.add(
            np.where(ignored, IGNORE, labels).astype(np.uint8),
            prediction,
            np.where(unsaid, UNSAID, steps).astype(np.uint8),
        )
        sure = steps[counted] / STEPS
        shares = np.repeat((1 - sure)[:, None] / 9, 10, axis=1)
        shares[np.arange(len(sure)), prediction[counted]] = sure
        truth = torch.from_numpy(labels[counted].astype(int))
        theirs.update(torch.from_numpy(shares), truth)

    assert ours.pixels.sum() == len(torch.cat(theirs.confidences))
    assert ours.error() == pytest.approx(float(theirs.compute()), abs=1e-6)


def test_bins_hold_their_low_end_and_the_last_one_certainty():
    """The first step of a tenth is its own bin's; bins without pixels are left out."""
    found = Calibration()
    steps = np.array([[0, 25, 26, 127, 228, 229, 254, 254]], np.uint8)
    labels = np.zeros_like(steps)
    prediction = np.array([[1, 0, 0, 0, 0, 0, 0, 1]], np.uint8)

    found.add(labels, prediction, steps)

    told = [(each.low, each.high, each.pixels, each.right) for each in found.bins()]
    assert told == [
        (0.9, 1.0, 3, 2 / 3), (0.8, 0.9, 1, 1.0), (0.5, 0.6, 1, 1.0), (0.1, 0.2, 1, 1.0),
        (0.0, 0.1, 2, 0.5),
    ]  # fmt: skip
    assert next(found.bins()).confidence == pytest.approx((229 + 254 + 254) / 254 / 3)


def test_nothing_counted_has_no_error():
    found = Calibration()

    found.add(*np.full((3, 4, 5), 255, np.uint8))

    assert np.isnan(found.error())
    assert list(found.bins()) == []


def test_probabilities_are_the_softmax_in_254th_parts():
    scores = np.random.default_rng(0).normal(0, 40, (5, 6, 7)).astype(np.float32)

    found = probabilities(scores)

    wanted = torch.from_numpy(scores).double().softmax(0).numpy() * 254
    assert found.dtype == np.uint8
    assert np.abs(found - wanted).max() <= 0.5 + 1e-4
    assert found.max() == STEPS
