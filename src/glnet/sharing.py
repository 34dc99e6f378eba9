"""Deep feature map sharing: give each branch the other one's view of the same ground.

Global to local, the cells that lie under a patch are resampled to the patch's own maps; local to
global, the patches' maps are resampled to the scene's cells, added up and divided by what covered
them. Both are products with one small matrix per axis (`glnet.resample`), so the two alignments
differ only in how a matrix is made:

`exact` samples at the patch's true place, antialiased where cells grow; `authors` rounds the patch
to whole cells (half to even), resizes without antialiasing and divides by a resampled
full-resolution coverage, as the released code does.

Paper: section 3, "deep feature map sharing".
"""

from collections.abc import Iterable
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from glnet.geometry import OUTPUT_STRIDE, Alignment, Size, Window
from glnet.resample import Axis, AxisMap, triangle

#: Pixels per cell of the shared maps, coarsest first; the paper's levels 5, 4, 3, 2.
COARSE_FIRST = (32, 16, 8, 4)

LEVELS = len(COARSE_FIRST)

#: Enough for the axes of a large grid at all four levels, both ways.
_CACHE = 4096


class Place(NamedTuple):
    """Where a patch lies: which item of the batch of scenes, that scene's size, the window."""

    item: int
    scene: Size
    window: Window


class Exchange(NamedTuple):
    """How one level of P patches of one size meets the scene's maps: arrays of any kind.

    h, w cells of the scene are read and n, m written, as many for every patch of a scene; the
    patch has H, W cells at this level and F, G at the finest. Matrices with a third axis three
    times as long hold three shifts, see `with_taps`.

    Attributes:
        lent: The scene's maps that are read, (P, C, h, w); None where nothing is.
        rows, columns: From these to the patch: (P, H, h) and (P, W, w).
        tap_rows, tap_columns: The same, shifted: (P, H, 3h) and (P, W, 3w).
        fine_rows, fine_columns: From these to the finest level: (P, F, 3h) and (P, G, 3w).
        up_rows, up_columns: From the patch's own cells to the finest: (1, F, 3H) and (1, G, 3W).
        lay_rows, lay_columns: From the patch to the scene: (P, n, H) and (P, m, W).
    """

    lent: Any
    rows: Any
    columns: Any
    tap_rows: Any
    tap_columns: Any
    fine_rows: Any
    fine_columns: Any
    up_rows: Any
    up_columns: Any
    lay_rows: Any
    lay_columns: Any


def named_levels(kind: str, count: int = LEVELS) -> list[str]:
    """What graph files call arrays of a kind, coarsest first: the paper counts levels 5 to 2."""
    return [f"{kind}_{LEVELS + 1 - level}" for level in range(count)]


def named_exchanges(exchanges: Iterable[Exchange]) -> dict[str, Any]:
    """All their arrays, as graph files call them; what is not read is left out."""
    return {
        f"{kind}{level}": array
        for exchange, level in zip(exchanges, named_levels(""), strict=True)
        for kind, array in exchange._asdict().items()
        if array is not None
    }


class Look(NamedTuple):
    """What a global branch made of thumbnails: arrays of any kind.

    Attributes:
        logits: (B, C, rows, columns), C classes.
        share: What aggregation reads of it, by tap: (B, 9C, rows, columns), at most one.
        lent: What the local branch reads, (B, channels, rows, columns), coarsest first; maybe none.
    """

    logits: Any
    share: tuple[Any, ...]
    lent: tuple[Any, ...]


class PatchOutput(NamedTuple):
    """What the local branch made of patches: arrays of any kind.

    Attributes:
        scores: Logits of every view asked for, (P, C, rows, columns).
        laid: Its maps on the scene's cells, (P, rows, columns, channels), coarsest first.
    """

    scores: tuple[Any, ...]
    laid: tuple[Any, ...]


class ExchangeAxis(NamedTuple):
    """One axis of an `Exchange`: float32 matrices, and which of the scene's cells they mean.

    Attributes:
        read, write: The scene's cells.
        crop, tap, fine, up, lay: See `Exchange`.
        coverage: What laying adds to every cell of the scene.
    """

    read: slice
    write: slice
    crop: np.ndarray
    tap: np.ndarray
    fine: np.ndarray
    up: np.ndarray
    lay: np.ndarray
    coverage: np.ndarray


def exchange_axes(
    place: Place, axis: int, thumbnail: Size, alignment: Alignment
) -> list[ExchangeAxis]:
    """The rows (axis 0) or columns (1) of a patch, at all levels, coarsest first."""
    span = (place.window.rows, place.window.columns)[axis]
    return [
        _exchange_axis(thumbnail.cells(stride)[axis], place.scene[axis], *span, stride, alignment)
        for stride in COARSE_FIRST
    ]


@lru_cache(maxsize=_CACHE)
def _exchange_axis(
    cells: int, scene: int, start: int, length: int, stride: int, alignment: Alignment
) -> ExchangeAxis:
    own, finest = -(-length // stride), -(-length // OUTPUT_STRIDE)
    cropped, read = _crop(cells, scene, start, length, own, alignment)
    reach = read.shape[1]
    lay, coverage = lay_axis(own, scene, start, length, cells, alignment)
    top = min(lay.target, cells - reach)
    laid = np.zeros((reach, own))
    laid[lay.target - top :, lay.source_slice][: lay.weights.shape[0]] = lay.weights
    enlarge = triangle(Axis(0, 1, own), Axis(0, 1, finest))
    return ExchangeAxis(
        cropped,
        slice(top, top + reach),
        read.astype(np.float32),
        with_taps(read).astype(np.float32),
        with_taps(enlarge.weights @ read).astype(np.float32),
        with_taps(enlarge.weights).astype(np.float32),
        laid.astype(np.float32),
        coverage,
    )


@lru_cache(maxsize=_CACHE)
def share_axis(
    cells: int, scene: int, start: int, length: int, stride: int, alignment: Alignment
) -> tuple[slice, np.ndarray]:
    """How the aggregation of a patch reads the last global maps, along one axis.

    Args:
        cells: Of the global maps, over the whole scene.
        scene, start, length: The scene and the patch in it, in pixels.
        stride: Pixels per cell of the patch's scores.
        alignment: Of the patch grid.

    Returns:
        Which of the scene's cells, and float32 rows `with_taps` from them to the patch's cells.
    """
    read, matrix = _crop(cells, scene, start, length, -(-length // stride), alignment)
    return read, with_taps(matrix).astype(np.float32)


def _crop(
    cells: int, scene: int, start: int, length: int, own: int, alignment: Alignment
) -> tuple[slice, np.ndarray]:
    """The scene's cells that a patch may meet, and the matrix from them to its `own` cells."""
    reach = _reach(cells, scene, length, own)
    crop = crop_axis(cells, scene, start, length, own, alignment)
    first = min(crop.source, cells - reach)
    matrix = np.zeros((own, reach))
    matrix[:, crop.source - first :][:, : crop.weights.shape[1]] = crop.weights
    return slice(first, first + reach), matrix


def _reach(cells: int, scene: int, length: int, own: int) -> int:
    """How many of the scene's cells a span of pixels can meet, wherever it lies."""
    widest = max(1.0, length / own / (scene / cells))
    return min(cells, ceil(length * cells / scene + 2 * widest) + 1)


def with_taps(matrix: np.ndarray) -> np.ndarray:
    """A resampling (..., target, source) followed by what a 3-tap convolution reads of it.

    Returns:
        (..., target, 3 * source): the three shifts side by side, zeros where they leave the target.
    """
    padded = np.pad(matrix, [*[(0, 0)] * (matrix.ndim - 2), (1, 1), (0, 0)])
    length = matrix.shape[-2]
    return np.concatenate([padded[..., tap : tap + length, :] for tap in range(3)], axis=-1)


def spread_taps(maps: Any, rows: Any, columns: Any) -> Any:  # noqa: ANN401  any array kind
    """What nine taps read, (9C, h, w), resampled by matrices `with_taps` and added: (C, H, W)."""
    xp = array_namespace(maps)
    height, width = maps.shape[1:]
    taps = xp.reshape(maps, (3, 3, -1, height, width))
    side = xp.permute_dims(taps, (2, 0, 3, 1, 4))
    across = xp.reshape(side, (-1, 3 * height, 3 * width)) @ columns.T
    return rows @ across


@lru_cache(maxsize=_CACHE)
def crop_axis(
    cells: int, scene: int, start: int, length: int, out: int, alignment: Alignment
) -> AxisMap:
    """From all `cells` of the scene to the `out` cells of a patch, along one axis."""
    if alignment == "exact":
        return triangle(Axis(0, scene, cells), Axis(start, start + length, out))
    first, count = _rounded(cells, scene, start, length)
    inner = _interpolate(count, out)
    return AxisMap(first + inner.source, 0, inner.weights)


@lru_cache(maxsize=_CACHE)
def lay_axis(
    local: int, scene: int, start: int, length: int, cells: int, alignment: Alignment
) -> tuple[AxisMap, np.ndarray]:
    """From the `local` cells of a patch to the scene's, and the coverage that this adds there."""
    coverage = np.zeros(cells)
    if alignment == "exact":
        patch, whole = Axis(start, start + length, local), Axis(0, scene, cells)
        axis = triangle(patch, whole, partial=True)
        coverage[axis.target_slice] = axis.coverage
        return axis, coverage
    first, count = _rounded(cells, scene, start, length)
    inner = _interpolate(local, count)
    inside = np.zeros(scene)
    inside[start : start + length] = 1
    template = _interpolate(scene, cells)
    coverage[:] = template.weights @ inside[template.source_slice]
    return AxisMap(inner.source, first, inner.weights), coverage


def _rounded(cells: int, scene: int, start: int, length: int) -> tuple[int, int]:
    """A span in whole cells, half to even, at least one and never beyond the last."""
    first = min(round(cells * (start / scene)), cells - 1)
    return first, max(1, min(round(cells * (length / scene)), cells - first))


def _interpolate(source: int, target: int) -> AxisMap:
    """Bilinear without antialiasing, positions clamped to the first and last cell."""
    position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    distance = np.abs(np.arange(source)[None, :] - position[:, None])
    return AxisMap(0, 0, np.maximum(0.0, 1.0 - distance))
