"""What training changes about an image before it learns from it; drawn once per image and epoch."""

from dataclasses import dataclass

import numpy as np

from glnet.datasets.masks import nearest_labels
from glnet.geometry import Size
from glnet.recipe import AugmentSettings
from glnet.scenes import Turn


@dataclass(frozen=True, slots=True)
class Augmentation:
    """One draw: a turn, a factor of ground sampling, and per band a gain and an offset.

    The offset is in units of the input scale (255 for bytes).
    """

    turn: Turn
    factor: float
    gain: np.ndarray
    offset: np.ndarray

    def colour(self, pixels: np.ndarray, scale: float) -> np.ndarray:
        """Gain and offset applied to (bands, height, width), in the dtype that came."""
        if (self.gain == 1).all() and not self.offset.any():
            return pixels
        changed = pixels * self.gain[:, None, None] + scale * self.offset[:, None, None]
        if np.issubdtype(pixels.dtype, np.integer):
            limits = np.iinfo(pixels.dtype)
            changed = np.clip(np.rint(changed), limits.min, limits.max)
        return changed.astype(pixels.dtype)


def draw_augmentation(
    settings: AugmentSettings, bands: int, rng: np.random.Generator
) -> Augmentation:
    """Draw one; the same generator state gives the same draw."""
    flipped = bool(settings.flips and rng.random() < 0.5)  # noqa: PLR2004  a fair coin
    turned = settings.quarter_turns and rng.random() < 0.5  # noqa: PLR2004
    quarters = int(rng.integers(1, 4)) if turned else 0
    factor = float(np.exp(rng.uniform(*np.log(settings.scale))))
    change = settings.colour
    return Augmentation(
        Turn(flipped, quarters),
        factor,
        1 + rng.uniform(-change, change, bands),
        rng.uniform(-change, change, bands) / 2,
    )


def label_cells(labels: np.ndarray, stride: int) -> np.ndarray:
    """Labels at a stride, nearest: for losses on the logits' own grid."""
    return nearest_labels(labels, Size(*labels.shape[-2:]).cells(stride))
