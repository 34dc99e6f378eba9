"""What training changes about an image before it learns from it; drawn once per image and epoch."""

from dataclasses import dataclass

import numpy as np

from glnet.datasets.masks import nearest_labels
from glnet.geometry import Size, Window
from glnet.recipe import AugmentSettings
from glnet.resample import Axis, resample, triangle
from glnet.scenes import Scene, Turn

_SIDES = 2


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


@dataclass(frozen=True, slots=True)
class ScaledScene:
    """A scene at another ground sampling; `labels` are picked, pixels are interpolated."""

    scene: Scene
    factor: float
    labels: bool = False

    @property
    def size(self) -> Size:
        """The scaled size."""
        return Size(*(max(1, round(side * self.factor)) for side in self.scene.size))

    def thumbnail(self, size: Size) -> np.ndarray:
        """The thumbnail does not depend on the sampling."""
        return self.scene.thumbnail(size)

    def read(self, window: Window | None = None) -> np.ndarray:
        """Pixels of a window of the scaled scene."""
        window = window or Window(0, 0, *self.size)
        spans, targets = [], []
        for side in range(_SIDES):
            full = self.scene.size[side]
            step = full / self.size[side]
            start, length = (window.rows, window.columns)[side]
            target = Axis(start * step, (start + length) * step, length)
            reach = int(np.ceil(max(step, 1))) + 1
            first = max(0, int(target.start) - reach)
            spans.append((first, min(full, int(np.ceil(target.stop)) + reach)))
            targets.append(target)
        (top, bottom), (left, right) = spans
        pixels = self.scene.read(Window(top, left, bottom - top, right - left))
        if self.labels:
            rows, columns = (
                np.clip(self._picked(side, *span) - first, 0, last - first - 1)
                for side, (span, (first, last)) in enumerate(
                    zip((window.rows, window.columns), spans, strict=True)
                )
            )
            return np.ascontiguousarray(pixels[:, rows[:, None], columns])
        maps = [
            triangle(Axis(*span, span[1] - span[0]), target)
            for span, target in zip(spans, targets, strict=True)
        ]
        scaled = resample(pixels.astype(np.float32), *maps)
        return np.rint(scaled).astype(pixels.dtype) if pixels.dtype.kind in "iu" else scaled

    def _picked(self, side: int, start: int, length: int) -> np.ndarray:
        """The source pixel at the middle of each scaled one, whichever window it is read by."""
        full, scaled = self.scene.size[side], self.size[side]
        return (2 * np.arange(start, start + length) + 1) * full // (2 * scaled)


def label_cells(labels: np.ndarray, stride: int) -> np.ndarray:
    """Labels at a stride, nearest: for losses on the logits' own grid."""
    return nearest_labels(labels, Size(*labels.shape[-2:]).cells(stride))
