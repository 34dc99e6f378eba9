"""Losses on logits, and the weak-coupling regulariser. Ignored pixels count nowhere."""

import torch
from torch import Tensor
from torch.nn import functional

from glnet.geometry import OUTPUT_STRIDE
from glnet.metrics import IGNORE
from glnet.recipe import LossSettings
from glnet.resample import Axis, resample, triangle


class PixelLoss:
    """Focal or cross-entropy, optionally with soft Dice, as a recipe says.

    Paper: section 3.4, focal loss with gamma 6 for the main and both auxiliary losses.
    """

    def __init__(self, settings: LossSettings, classes: int) -> None:
        """Check the class weights.

        Raises:
            ValueError: not one weight per class.
        """
        weights = settings.class_weights
        if weights is not None and len(weights) != classes:
            msg = f"loss.class_weights has {len(weights)} values for {classes} classes"
            raise ValueError(msg)
        self._settings = settings
        self._weights = None if weights is None else torch.tensor(weights)

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of logits (B, C, h, w) against labels (B, H, W), uint8.

        The labels are at the logits' size (`resolution: quarter`), or at that of the pixels, to
        which the logits are then enlarged.
        """
        with torch.autocast(logits.device.type, enabled=False):
            return self._in_full_precision(logits, labels)

    def _in_full_precision(self, logits: Tensor, labels: Tensor) -> Tensor:
        wide = torch.promote_types(logits.dtype, torch.float32)
        logits = _enlarged(logits.to(wide), labels)
        known = labels != IGNORE
        target = torch.where(known, labels, 0).long()
        log_p = functional.log_softmax(logits, dim=1)
        loss = self._pixelwise(log_p, target, known)
        if self._settings.dice_weight:
            loss = loss + self._settings.dice_weight * _dice(log_p.exp(), target, known)
        return loss

    def _pixelwise(self, log_p: Tensor, target: Tensor, known: Tensor) -> Tensor:
        """Mean over known pixels, weighted by class; 0 where none is known."""
        log_true = log_p.gather(1, target[:, None])[:, 0]
        loss = -log_true
        if self._settings.kind == "focal" and self._settings.gamma:
            # 1 - p without cancellation; the floor keeps the slope finite for exponents below 1.
            missed = (-torch.expm1(log_true)).clamp_min(1e-7)
            loss = loss * missed**self._settings.gamma
        weight = known.to(loss.dtype)
        if self._weights is not None:
            weight = weight * self._weights.to(loss)[target]
        return (loss * weight).sum() / weight.sum().clamp_min(1e-12)


def _enlarged(logits: Tensor, labels: Tensor) -> Tensor:
    """Bilinear logits at the labels' size, by matrices: deterministic on every device."""
    if logits.shape[-2:] == labels.shape[-2:]:
        return logits
    rows, columns = (
        triangle(Axis(0, OUTPUT_STRIDE * cells, cells), Axis(0, pixels, pixels))
        for cells, pixels in zip(logits.shape[-2:], labels.shape[-2:], strict=True)
    )
    enlarged: Tensor = resample(logits, rows, columns)
    return enlarged


def _dice(p: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """1 - soft Dice, mean over the classes that occur."""
    truth = functional.one_hot(target, p.shape[1]).movedim(-1, 1) * known[:, None]
    p = p * known[:, None]
    axes = (0, 2, 3)
    occurs = truth.sum(axes) > 0
    dice = 2 * (p * truth).sum(axes) / (p.sum(axes) + truth.sum(axes)).clamp_min(1e-12)
    return (1 - dice)[occurs].sum() / occurs.sum().clamp_min(1)


def coupling(local: Tensor, global_: Tensor) -> Tensor:
    """Weak coupling: mean square between the branches' last features; pulls the local one only.

    Paper: section 3.3, a Euclidean norm there; the mean of squares is the released code's.
    """
    return functional.mse_loss(local, global_.detach())
