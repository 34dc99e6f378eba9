"""The overlap-added canvas of patch results, and the scores of a scene that are read off it.

Written once against the array API: it runs where the logits are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from glnet.geometry import OUTPUT_STRIDE, Alignment, Size, Window, tiles
from glnet.probability import probabilities
from glnet.resample import Axis, AxisMap, nearest, resample, triangle

#: Rows of labels made at a time: bounds the full-resolution scores alive to one strip.
STRIP = 256


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """Class scores of a scene on a coarse grid, enlarged to pixels only where they are asked for.

    `cells` has shape (classes, rows, columns); its cells lie on `extent` pixels (height, width),
    which may end up to a cell beyond the scene.
    """

    cells: Any
    extent: tuple[float, float]
    size: Size
    alignment: Alignment

    def read(self, window: Window) -> Any:  # noqa: ANN401  any array kind
        """Scores at full resolution, shape (classes, window height, window width)."""
        if self.cells.shape[1:] == tuple(self.extent) == tuple(self.size):
            return self.cells[:, *window.slices]
        # Column by column block: a matrix over a whole row of pixels would grow with its square.
        rows = self._axis(0, *window.rows)
        blocks = [
            resample(self.cells, rows, self._axis(1, left, min(STRIP, window.right - left)))
            for left in range(window.left, window.right, STRIP)
        ]
        return array_namespace(self.cells).concat(blocks, axis=-1)

    def _axis(self, axis: int, start: int, length: int) -> AxisMap:
        """The enlargement of one axis, for a part of the scene."""
        source = Axis(0, self.extent[axis], self.cells.shape[axis + 1])
        if self.alignment == "exact":
            return triangle(source, Axis(start, start + length, length))
        return nearest(source, self.size[axis], start, length)

    def at(self, extent: Size, cells: Size) -> Any:  # noqa: ANN401  any array kind
        """The scores on other cells, equal ones on `extent` pixels: shape (classes, *cells)."""
        rows, columns = (
            triangle(Axis(0, self.extent[a], self.cells.shape[a + 1]), Axis(0, extent[a], cells[a]))
            for a in range(2)
        )
        return resample(self.cells, rows, columns)

    def onto(self, size: Size) -> "ScoreMap":
        """The same scores for a grid of `size` pixels over the same ground."""
        tall, wide = (size[a] / self.size[a] for a in range(2))
        if (tall, wide) == (1, 1):
            return self
        rows, columns = self.extent
        return replace(self, extent=(rows * tall, columns * wide), size=size)

    def strips(self) -> Iterator[tuple[Window, Any]]:
        """The whole scene's scores, from top to bottom, as (window, scores) pairs."""
        for window in tiles(self.size, STRIP):
            yield window, self.read(window)

    def blank(self) -> Any:  # noqa: ANN401  any array kind
        """Zeros for scores at full resolution, shape (classes, height, width)."""
        xp = array_namespace(self.cells)
        shape = (self.cells.shape[0], *self.size)
        return xp.zeros(shape, dtype=xp.float32, device=device(self.cells))

    def confidence(self) -> np.ndarray:
        """The best class's probability in 254th parts: uint8, shape (height, width)."""
        out = np.empty(self.size, np.uint8)
        for window, scores in self.strips():
            out[window.slices] = probabilities(on_host(scores)).max(axis=0)
        return out

    def labels(self) -> np.ndarray:
        """The best class of every pixel: uint8, shape (height, width)."""
        out = np.empty(self.size, np.uint8)
        for window, scores in self.strips():
            best = best_class(scores)
            out[window.slices] = on_host(best)
        return out


def on_host(array: Any) -> np.ndarray:  # noqa: ANN401  any array kind
    """An array of any kind as NumPy's."""
    return np.asarray(array.cpu() if hasattr(array, "cpu") else array)


def best_class(scores: Any) -> Any:  # noqa: ANN401  any array kind
    """The first index of the greatest along the first axis: uint8.

    On the CPU torch's argmax over an outer axis takes up to twenty times as long.
    """
    xp = array_namespace(scores)
    top, best = scores[0], xp.zeros(scores.shape[1:], dtype=xp.uint8, device=device(scores))
    for index in range(1, scores.shape[0]):
        above = scores[index] > top
        here = xp.asarray(index, dtype=xp.uint8, device=device(scores))
        best = xp.where(above, here, best)
        top = xp.maximum(top, scores[index])
    return best


class Mosaic:
    """Patch logits added up over a scene.

    `exact` grids add at the logits' stride, where all patches share one grid of cells, and divide
    by how many patches cover a cell. `authors` grids enlarge each patch by nearest neighbour, add
    at full resolution and leave the sum, as the released code does. Memory: classes x 4 bytes per
    cell (exact) or per pixel (authors).
    """

    def __init__(self, size: Size, alignment: Alignment, stride: int = OUTPUT_STRIDE) -> None:
        """Start empty; the first patch decides the number of classes, the array kind and device.

        Args:
            size: Of the scene.
            alignment: Of the patch grid.
            stride: Pixels per cell of the logits; it divides the origins of `exact` patches.
        """
        self.size = size
        self.alignment = alignment
        self._stride = stride
        self._sum: Any = None
        self._count = np.zeros(size.cells(stride), np.float32)

    def add(self, window: Window, logits: Any, *, covers: bool = True) -> None:  # noqa: ANN401
        """Add one patch: `logits` of shape (classes, rows, columns).

        `covers=False` adds a further share of the logits of a patch that was counted before.
        """
        xp = array_namespace(logits)
        if self._sum is None:
            canvas = self._count.shape if self.alignment == "exact" else self.size
            shape = (logits.shape[0], *canvas)
            self._sum = xp.zeros(shape, dtype=xp.float32, device=device(logits))
        if self.alignment == "exact":
            top, left = window.top // self._stride, window.left // self._stride
            place = (slice(top, top + logits.shape[1]), slice(left, left + logits.shape[2]))
            self._sum[:, *place] += logits
            self._count[place] += covers
        else:
            tall = xp.repeat(logits, self._stride, axis=1)[:, : window.height]
            self._sum[:, *window.slices] += xp.repeat(tall, self._stride, axis=2)[
                :, :, : window.width
            ]

    def scores(self, elsewhere: ScoreMap | None = None) -> ScoreMap:
        """What was added, ready to be read; call it once, after the last patch.

        Args:
            elsewhere: Scores of the whole scene, for cells that no patch covers (`exact` alone).
        """
        if self.alignment == "authors":
            return ScoreMap(self._sum, self.size, self.size, self.alignment)
        rows, columns = self._count.shape
        extent = Size(rows * self._stride, columns * self._stride)
        if elsewhere is not None:
            around = elsewhere.at(extent, Size(rows, columns))
            if self._sum is None:
                return ScoreMap(around, extent, self.size, self.alignment)
            bare = array_namespace(around).asarray(self._count == 0, device=device(around))
            self._sum += around * bare
        xp = array_namespace(self._sum)
        # Where no patch was needed there is a sum of nothing.
        self._sum /= xp.asarray(np.maximum(self._count, 1), device=device(self._sum))
        return ScoreMap(self._sum, extent, self.size, self.alignment)
