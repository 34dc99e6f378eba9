"""What the losses promise: the paper's formulas, pixel by pixel; ignored ground counts nowhere."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from glnet.recipe import LossSettings
from glnet.training.losses import PixelLoss, coupling

GENERATOR = torch.Generator().manual_seed(3)
LOGITS = torch.randn(2, 3, 4, 5, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.tensor(np.random.default_rng(4).choice([0, 1, 2, 255], (2, 4, 5)), dtype=torch.uint8)


def loss(**settings):
    return PixelLoss(LossSettings(resolution="quarter", **settings), 3)(LOGITS, LABELS).item()


def slow_focal(gamma, weights):
    """The formula, one pixel at a time."""
    p = LOGITS.softmax(1).numpy()
    total = mass = 0.0
    for b, i, j in np.ndindex(*LABELS.shape):
        label = int(LABELS[b, i, j])
        if label != 255:
            true = p[b, label, i, j]
            total += weights[label] * (1 - true) ** gamma * -np.log(true)
            mass += weights[label]
    return total / mass


@pytest.mark.parametrize("gamma", [0.5, 2.0, 6.0])
def test_focal_is_the_formula(gamma):
    """(1 - p)^gamma times -log p, mean over labelled pixels."""
    assert loss(gamma=gamma) == pytest.approx(slow_focal(gamma, [1, 1, 1]))


def test_class_weights_weigh_the_mean():
    """As torch's cross-entropy does."""
    weights = [1.0, 0.5, 3.0]

    assert loss(gamma=2.0, class_weights=weights) == pytest.approx(slow_focal(2.0, weights))


def test_cross_entropy_is_torchs():
    """With weights and ignored pixels."""
    weights = torch.tensor([1.0, 0.5, 3.0], dtype=torch.float64)
    wanted = functional.cross_entropy(LOGITS, LABELS.long(), weights, ignore_index=255)

    assert loss(kind="cross_entropy", class_weights=weights.tolist()) == pytest.approx(
        wanted.item()
    )


def test_dice_is_added_over_the_classes_that_occur():
    """One minus twice the overlap over the sum, per image and class, over labelled pixels."""
    known = (LABELS != 255).numpy()
    p, labels = LOGITS.softmax(1).numpy(), LABELS.numpy()
    terms = []
    for image in range(2):
        of_image = []
        for label in range(3):
            truth = (labels[image] == label) & known[image]
            overlap = p[image, label][truth].sum()
            mass = p[image, label][known[image]].sum() + truth.sum()
            of_image.append(1 - 2 * overlap / mass)
        terms.append(np.mean(of_image) * known[image].sum())

    added = loss(kind="cross_entropy", dice_weight=0.5) - loss(kind="cross_entropy")

    assert added == pytest.approx(0.5 * np.sum(terms) / known.sum())


@pytest.mark.parametrize("dice", [0.0, 0.7])
def test_the_loss_of_a_batch_is_the_weighted_mean_of_its_parts(dice):
    """Whatever the grouping, whatever is ignored where: `weight` is the share of a part."""
    found = PixelLoss(
        LossSettings(resolution="quarter", class_weights=[1.0, 0.5, 3.0], dice_weight=dice), 3
    )
    parts = [(LOGITS[i : i + 1], LABELS[i : i + 1]) for i in range(2)]
    weights = [found.weight(labels.numpy()) for _, labels in parts]

    mean = sum(found(*part) * weight for part, weight in zip(parts, weights, strict=True))

    assert weights[0] != weights[1]
    assert mean / sum(weights) == pytest.approx(found(LOGITS, LABELS).item(), rel=1e-9)
    assert sum(weights) == pytest.approx(found.weight(LABELS.numpy()))


def test_a_batch_without_labels_costs_nothing():
    """And its gradient is zero, not NaN."""
    logits = LOGITS.clone().requires_grad_()
    found = PixelLoss(LossSettings(dice_weight=1.0, resolution="quarter"), 3)(
        logits, torch.full_like(LABELS, 255)
    )

    found.backward()

    assert found.item() == 0
    assert not logits.grad.any()


def test_ignored_pixels_have_no_gradient():
    """Whatever the logits are there."""
    logits = LOGITS.clone().requires_grad_()

    PixelLoss(LossSettings(resolution="quarter"), 3)(logits, LABELS).backward()

    ignored = (LABELS == 255)[:, None].expand_as(logits)
    assert not logits.grad[ignored].any()
    assert logits.grad[~ignored].any()


def test_a_sure_and_right_pixel_keeps_a_finite_gradient():
    """Focal exponents below one have an infinite slope at p = 1; ours is cut."""
    logits = torch.tensor([100.0, 0.0, 0.0]).view(1, 3, 1, 1).requires_grad_()

    PixelLoss(LossSettings(gamma=0.5, resolution="quarter"), 3)(
        logits, torch.zeros(1, 1, 1, dtype=torch.uint8)
    ).backward()

    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    ("stride", "height", "width"), [(4, 16, 20), (4, 15, 18), (2, 8, 10), (2, 7, 9)]
)
def test_full_resolution_compares_bilinear_logits(stride, height, width):
    """Logits enlarged by their stride, cut at the border, against every label."""
    labels = torch.randint(0, 3, (2, height, width), generator=GENERATOR).to(torch.uint8)
    large = functional.interpolate(
        LOGITS, scale_factor=stride, mode="bilinear", align_corners=False
    )
    wanted = functional.cross_entropy(large[..., :height, :width], labels.long())

    found = PixelLoss(LossSettings(kind="cross_entropy"), 3)(LOGITS, labels)

    assert found.item() == pytest.approx(wanted.item())


def test_coupling_pulls_the_local_branch_only():
    """Mean of squares; the global features get no gradient."""
    local = torch.tensor([1.0, 2.0], requires_grad=True)
    under = torch.tensor([0.0, 4.0], requires_grad=True)

    found = coupling(local, under)
    found.backward()

    assert found.item() == pytest.approx(2.5)
    assert local.grad.tolist() == [1.0, -2.0]
    assert under.grad is None


def test_class_weights_must_fit_the_classes():
    """One per class."""
    with pytest.raises(ValueError, match="2 values for 3 classes"):
        PixelLoss(LossSettings(class_weights=[1.0, 1.0]), 3)
