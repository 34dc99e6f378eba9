"""Scenes: what shares one global view, the eight ways to turn one, and scaling.

A scene knows its size, gives its thumbnail and reads windows. Turning wraps a scene in another one,
so training's augmentation and test-time augmentation are the same few lines; so does scaling.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from glnet.geometry import Size, Window
from glnet.resample import Axis, resized


class Scene(Protocol):
    """Anything with a size that can be read by window, as (bands, height, width) arrays."""

    @property
    def size(self) -> Size:
        """Height and width in pixels."""

    def thumbnail(self, size: Size) -> np.ndarray:
        """The whole scene resampled to `size`."""

    def read(self, window: Window | None = None) -> np.ndarray:
        """Pixels of a window, or of the whole scene."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One of the eight symmetries of the square: a flip left to right, then quarter turns."""

    flipped: bool
    quarters: int

    @property
    def inverse(self) -> "Turn":
        """The turn that leads back; a mirrored turn is its own."""
        return self if self.flipped else Turn(flipped=False, quarters=-self.quarters % 4)

    def size(self, size: Size) -> Size:
        """The turned size; its own inverse."""
        return Size(size.width, size.height) if self.quarters % 2 else size

    def apply(self, array: np.ndarray) -> np.ndarray:
        """Turn the last two axes, counter-clockwise."""
        flipped = array[..., ::-1] if self.flipped else array
        return np.rot90(flipped, self.quarters, axes=(-2, -1)).copy()

    def undo(self, array: Any) -> Any:  # noqa: ANN401  NumPy array or torch tensor
        """Turn back; `undo(apply(x)) == x`."""
        if not isinstance(array, np.ndarray):
            back = array.rot90(-self.quarters, (-2, -1))
            return back.flip(-1) if self.flipped else back
        back = np.rot90(array, -self.quarters, axes=(-2, -1))
        return (back[..., ::-1] if self.flipped else back).copy()

    def window(self, window: Window, turned: Size) -> Window:
        """Where a window of the turned scene (of size `turned`) lies in the upright one."""
        top, left, height, width = window.top, window.left, window.height, window.width
        size = turned
        for _ in range(self.quarters % 4):  # one clockwise quarter turn each
            top, left, height, width = left, size.height - top - height, width, height
            size = Size(size.width, size.height)
        if self.flipped:
            left = size.width - left - width
        return Window(top, left, height, width)


#: All eight; the first leaves a scene as it is.
TURNS = tuple(Turn(flipped, quarters) for flipped in (False, True) for quarters in range(4))


@dataclass(frozen=True, slots=True)
class TurnedScene:
    """A scene seen through a turn; reads only what is asked for of the one beneath."""

    scene: Scene
    turn: Turn

    @property
    def size(self) -> Size:
        """The turned size."""
        return self.turn.size(self.scene.size)

    def thumbnail(self, size: Size) -> np.ndarray:
        """The turned thumbnail."""
        return self.turn.apply(self.scene.thumbnail(self.turn.size(size)))

    def read(self, window: Window | None = None) -> np.ndarray:
        """Pixels of a window of the turned scene."""
        window = window or Window(0, 0, *self.size)
        return self.turn.apply(self.scene.read(self.turn.window(window, self.size)))


@dataclass(frozen=True, slots=True)
class ScaledScene:
    """A scene at another ground sampling; `labels` are picked, pixels are interpolated.

    Windows read one by one are the whole that is read at once, but for rounding.
    """

    scene: Scene
    factor: float
    labels: bool = False

    @property
    def size(self) -> Size:
        """The scaled size."""
        return self.scene.size.scaled(self.factor)

    def thumbnail(self, size: Size) -> np.ndarray:
        """The thumbnail does not depend on the sampling."""
        return self.scene.thumbnail(size)

    def under(self, window: Window) -> Window:
        """What of the scene beneath a window of the scaled one lies on, in whole pixels."""
        (top, bottom), (left, right) = (
            (math.floor(span.start), min(math.ceil(span.stop), full))
            for span, full in zip(self._spans(window), self.scene.size, strict=True)
        )
        return Window(top, left, bottom - top, right - left)

    def read(self, window: Window | None = None) -> np.ndarray:
        """Pixels of a window of the scaled scene."""
        window = window or Window(0, 0, *self.size)
        targets = self._spans(window)
        read = []
        for target, full in zip(targets, self.scene.size, strict=True):
            reach = math.ceil(max(target.step, 1)) + 1
            first = max(0, int(target.start) - reach)
            read.append((first, min(full, math.ceil(target.stop) + reach)))
        (top, bottom), (left, right) = read
        pixels = self.scene.read(Window(top, left, bottom - top, right - left))
        if self.labels:
            rows, columns = (
                np.clip(self._picked(side, *span) - first, 0, last - first - 1)
                for side, (span, (first, last)) in enumerate(
                    zip((window.rows, window.columns), read, strict=True)
                )
            )
            return np.ascontiguousarray(pixels[:, rows[:, None], columns])
        rows, columns = (
            Axis(target.start - first, min(target.stop, last) - first, target.cells)
            for target, (first, last) in zip(targets, read, strict=True)
        )
        return resized(pixels, rows, columns)

    def _spans(self, window: Window) -> tuple[Axis, Axis]:
        """The rows and the columns of a window, in pixels of the scene beneath."""
        rows, columns = (
            Axis(start * full / scaled, (start + length) * full / scaled, length)
            for (start, length), full, scaled in zip(
                (window.rows, window.columns), self.scene.size, self.size, strict=True
            )
        )
        return rows, columns

    def _picked(self, side: int, start: int, length: int) -> np.ndarray:
        """The source pixel at the middle of each scaled one, whichever window it is read by."""
        full, scaled = self.scene.size[side], self.size[side]
        return (2 * np.arange(start, start + length) + 1) * full // (2 * scaled)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A scene whose pixels and thumbnail are in memory, (bands, height, width) both."""

    pixels: np.ndarray
    small: np.ndarray

    @property
    def size(self) -> Size:
        """Of the pixels."""
        return Size(*self.pixels.shape[1:])

    def thumbnail(self, size: Size) -> np.ndarray:  # noqa: ARG002  the network's one
        """The one there is."""
        return self.small

    def read(self, window: Window | None = None) -> np.ndarray:
        """A copy of a window's pixels, by default of all."""
        window = window or Window(0, 0, *self.size)
        return np.ascontiguousarray(self.pixels[:, *window.slices])
