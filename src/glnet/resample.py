"""Resampling along rows and columns by small matrices, for NumPy arrays and torch tensors alike.

Every resampling of the project is one of these: thumbnails, the crop of global maps under a patch,
the laying of local maps onto the scene, the enlargement of logits. An axis is `cells` equal cells
on the interval from `start` to `stop`, in scene pixels; two axes over one scene need no more to be
resampled into each other, and no position is ever rounded. Thumbnails of 8 bit are left to Pillow,
whose filter is the same.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device
from PIL import Image


class Axis(NamedTuple):
    """`cells` equal cells between `start` and `stop`, in scene pixels."""

    start: float
    stop: float
    cells: int

    @property
    def step(self) -> float:
        """Length of one cell."""
        return (self.stop - self.start) / self.cells

    @property
    def centres(self) -> np.ndarray:
        """Where the cells' middles lie."""
        return self.start + (np.arange(self.cells) + 0.5) * self.step


@dataclass(frozen=True, slots=True)
class AxisMap:
    """Weights from the source cells at `source` on to the target cells at `target` on.

    `weights` has shape (target cells, source cells) and holds only the part that is not zero.
    """

    source: int
    target: int
    weights: np.ndarray

    @property
    def source_slice(self) -> slice:
        """The source cells that are read."""
        return slice(self.source, self.source + self.weights.shape[1])

    @property
    def target_slice(self) -> slice:
        """The target cells that are written."""
        return slice(self.target, self.target + self.weights.shape[0])

    @property
    def coverage(self) -> np.ndarray:
        """How much weight each written target cell received."""
        return self.weights.sum(axis=1)


def triangle(source: Axis, target: Axis, *, partial: bool = False) -> AxisMap:
    """Bilinear resampling, with the triangle widened where cells grow (antialiasing).

    This is Pillow's bilinear filter, and for growing maps torch's `interpolate(mode="bilinear")`.

    Args:
        source: The cells that are read.
        target: The cells that are made.
        partial: The source covers only a part of the target: keep the cells it reaches, and leave
            the weights as they are, to be divided by the sum over all sources (see `coverage`).
    """
    support = max(1.0, target.step / source.step)
    position = (target.centres - source.start) / source.step - 0.5
    # Of a long axis only what the targets reach: a strip is made of a few cells of many.
    first = max(0, math.floor(position[0] - support))
    last = min(source.cells, math.ceil(position[-1] + support) + 1)
    distance = np.abs(np.arange(first, last)[None, :] - position[:, None])
    weights = np.maximum(0.0, 1.0 - distance / support)
    weights /= support if partial else weights.sum(axis=1, keepdims=True)
    found = _trimmed(weights)
    return AxisMap(first + found.source, found.target, found.weights)


def nearest(source: Axis, pixels: int, start: int, length: int) -> AxisMap:
    """The source cell that holds a pixel's start, for `length` of `pixels` from `start` on."""
    index = np.arange(start, start + length) * source.cells // pixels
    return _trimmed((np.arange(source.cells)[None, :] == index[:, None]).astype(float))


def _trimmed(weights: np.ndarray) -> AxisMap:
    """Cut rows and columns of zeros off the ends."""
    rows, columns = np.flatnonzero(weights.any(axis=1)), np.flatnonzero(weights.any(axis=0))
    target, source = rows[0], columns[0]
    kept = weights[target : rows[-1] + 1, source : columns[-1] + 1]
    return AxisMap(int(source), int(target), np.ascontiguousarray(kept))


def resample(maps: Any, rows: AxisMap, columns: AxisMap) -> Any:  # noqa: ANN401  any array kind
    """Resample the last two axes of an array; the result is of the same kind, dtype and device.

    Args:
        maps: Shape (..., height, width), floating point.
        rows: Applied along the height.
        columns: Applied along the width.

    Returns:
        Shape (..., target rows, target columns): the written cells alone, see `target_slice`.
    """
    xp = array_namespace(maps)
    read = maps[..., rows.source_slice, columns.source_slice]
    across = xp.asarray(columns.weights.T.copy(), dtype=maps.dtype, device=device(maps))
    down = xp.asarray(rows.weights, dtype=maps.dtype, device=device(maps))
    return down @ (read @ across)


def shrink(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resample an image to `size` by Pillow's antialiased bilinear filter.

    Args:
        pixels: Shape (bands, height, width).
        size: The result's height and width; aspect is not kept.

    Returns:
        uint8 for uint8 input (Pillow itself, rounded twice like the authors' thumbnails), else
        float32 (the same filter in NumPy).
    """
    if pixels.dtype == np.uint8:
        shape = size[::-1]
        bands = (Image.fromarray(band).resize(shape, Image.Resampling.BILINEAR) for band in pixels)
        return np.stack([np.asarray(band) for band in bands])
    height, width = pixels.shape[1:]
    return _by_matrices(pixels, Axis(0, height, size[0]), Axis(0, width, size[1]))


def resized(pixels: np.ndarray, rows: Axis, columns: Axis) -> np.ndarray:
    """Resample a part of an image by the same filter, which reads beyond the part's borders.

    Args:
        pixels: Shape (bands, height, width).
        rows, columns: The cells to make, in pixels of the image and inside it.

    Returns:
        Shape (bands, rows, columns), in the dtype that came; integers are rounded.
    """
    if pixels.dtype == np.uint8:
        shape, box = (
            (columns.cells, rows.cells),
            (columns.start, rows.start, columns.stop, rows.stop),
        )
        bands = (
            Image.fromarray(band).resize(shape, Image.Resampling.BILINEAR, box) for band in pixels
        )
        return np.stack([np.asarray(band) for band in bands])
    scaled = _by_matrices(pixels, rows, columns)
    return np.rint(scaled).astype(pixels.dtype) if pixels.dtype.kind in "iu" else scaled


def block_means(pixels: np.ndarray, known: np.ndarray, by: int) -> tuple[np.ndarray, np.ndarray]:
    """Of squares of uint8 pixels (bands, height, width) the means of those that are known.

    The second result is where any is known; the last squares may be cut by the border.
    """
    counts = _block_sums(known[None].astype(np.uint32), by)
    sums = _block_sums(pixels.astype(np.uint32) * known, by)
    return np.rint(sums / np.maximum(counts, 1)).astype(np.uint8), counts[0] > 0


def _block_sums(values: np.ndarray, by: int) -> np.ndarray:
    rows, columns = (np.arange(0, length, by) for length in values.shape[1:])
    return np.add.reduceat(np.add.reduceat(values, rows, axis=1), columns, axis=2)


def _by_matrices(pixels: np.ndarray, rows: Axis, columns: Axis) -> np.ndarray:
    """Pixels (bands, height, width) on other cells, float32."""
    down, across = (
        triangle(Axis(0, side, side), target)
        for side, target in zip(pixels.shape[1:], (rows, columns), strict=True)
    )
    return np.stack([resample(band.astype(np.float32), down, across) for band in pixels])
