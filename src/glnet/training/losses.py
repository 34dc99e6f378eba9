"""Losses on logits, and the weak-coupling regulariser. Ignored pixels count nowhere."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from glnet.geometry import OUTPUT_STRIDE
from glnet.metrics import IGNORE
from glnet.recipe import LossSettings
from glnet.resample import Axis, resample, triangle


class PixelLoss:
    """Focal or cross-entropy, optionally with soft Dice, as a recipe says.

    The loss of a batch is a mean over its known pixels, so that of several batches is the mean of
    theirs weighted by `weight`: it does not depend on how images are grouped.

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
        self._weights = torch.ones(classes) if weights is None else torch.tensor(weights)

    def weight(self, labels: np.ndarray) -> float:
        """What labels (uint8, any shape) weigh: the class weights of the known pixels, summed."""
        counts = np.bincount(labels.ravel(), minlength=IGNORE + 1)[: len(self._weights)]
        return float(counts @ self._weights.double().numpy())

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of logits (B, C, h, w) against labels (B, H, W), uint8.

        The labels are at the logits' size (`resolution: quarter`), or at that of the pixels, to
        which the logits are then enlarged.
        """
        with torch.autocast(logits.device.type, enabled=False):
            return self.in_full_precision(logits, labels)

    def in_full_precision(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The same, outside of any autocast."""
        wide = torch.promote_types(logits.dtype, torch.float32)
        logits = _enlarged(logits.to(wide), labels)
        known = labels != IGNORE
        target = torch.where(known, labels, 0).long()
        log_p = functional.log_softmax(logits, dim=1)
        weight = known * self._weights.to(log_p)[target]
        loss = (self._pixelwise(log_p, target) * weight).sum()
        if self._settings.dice_weight:
            dice = _dice(log_p.exp(), target, known)
            loss = loss + self._settings.dice_weight * (dice * weight.sum((1, 2))).sum()
        return loss / weight.sum().clamp_min(1e-12)

    def _pixelwise(self, log_p: Tensor, target: Tensor) -> Tensor:
        """Focal loss or cross-entropy of every pixel, (B, H, W)."""
        log_true = log_p.gather(1, target[:, None])[:, 0]
        if self._settings.kind == "cross_entropy" or not self._settings.gamma:
            return -log_true
        # 1 - p without cancellation; the floor keeps the slope finite for exponents below 1.
        missed = (-torch.expm1(log_true)).clamp_min(1e-7)
        return -log_true * missed**self._settings.gamma


def _enlarged(logits: Tensor, labels: Tensor) -> Tensor:
    """Bilinear logits at the labels' size, by matrices: deterministic on every device."""
    if logits.shape[-2:] == labels.shape[-2:]:
        return logits
    rows, columns = (
        triangle(Axis(0, _stride(cells, pixels) * cells, cells), Axis(0, pixels, pixels))
        for cells, pixels in zip(logits.shape[-2:], labels.shape[-2:], strict=True)
    )
    enlarged: Tensor = resample(logits, rows, columns)
    return enlarged


def _stride(cells: int, pixels: int) -> int:
    """Pixels per cell; the last cell may hang over the border."""
    return OUTPUT_STRIDE if cells == -(-pixels // OUTPUT_STRIDE) else OUTPUT_STRIDE // 2


def _dice(p: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """1 - soft Dice of every image or patch, (B,), mean over the classes that occur there."""
    classes = torch.arange(p.shape[1], device=p.device)[:, None, None]
    truth = (target[:, None] == classes) & known[:, None]
    p = p * known[:, None]
    occurs = truth.any(3).any(2)
    overlap, mass = (p * truth).sum((2, 3)), p.sum((2, 3)) + truth.sum((2, 3))
    missed = (1 - 2 * overlap / mass.clamp_min(1e-12)) * occurs
    return missed.sum(1) / occurs.sum(1).clamp_min(1)


def coupling(local: Tensor, global_: Tensor) -> Tensor:
    """Weak coupling: mean square between the branches' last features; pulls the local one only.

    Paper: section 3.3, a Euclidean norm there; the mean of squares is the released code's.
    """
    return functional.mse_loss(local, global_.detach())
