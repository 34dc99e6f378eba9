"""Deep feature map sharing between the branches of the plain network, as tensors.

Where a map is read and written is a matter of `glnet.sharing`; here whole maps are moved.

Shapes: C channels; (Hg, Wg) cells of a global map over the scene; (h, w) cells of a patch's map.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from glnet.geometry import Alignment, Size, Window
from glnet.model.branch import SharedMaps
from glnet.model.sending import sent
from glnet.resample import AxisMap
from glnet.sharing import LEVELS, Place, crop_axis, lay_axis


class _Axis(NamedTuple):
    """One axis of several patches: their matrices as one array, and which cells of the scene.

    A GPU waits for every single matrix that it is sent.

    Attributes:
        matrices: (P, target, source); as many of the scene's cells are met by every patch.
        cells: Of the scene, by patch.
    """

    matrices: np.ndarray
    cells: list[slice]


def _crops(axes: Sequence[AxisMap], cells: int) -> _Axis:
    """From the scene's `cells` to patches."""
    matrices, read = _together([(axis.source, axis.weights.T) for axis in axes], cells)
    return _Axis(matrices.swapaxes(1, 2), read)


def _lays(axes: Sequence[AxisMap], own: int, cells: int) -> _Axis:
    """From patches of `own` cells to the scene's."""
    whole = np.zeros((len(axes), cells, own))
    for matrix, axis in zip(whole, axes, strict=True):
        matrix[axis.target_slice, axis.source_slice] = axis.weights
    parts = [(a.target, m[a.target_slice]) for a, m in zip(axes, whole, strict=True)]
    return _Axis(*_together(parts, cells))


def _together(
    parts: Sequence[tuple[int, np.ndarray]], cells: int
) -> tuple[np.ndarray, list[slice]]:
    """Matrices (scene, patch) that begin at some cell of the scene, as one array of them.

    All get as many of the scene's cells as the widest has, with zeros where they have none.
    """
    reach = max(len(part) for _, part in parts)
    matrices = np.zeros((len(parts), reach, parts[0][1].shape[1]))
    starts = [min(first, cells - reach) for first, _ in parts]
    for matrix, (first, part), start in zip(matrices, parts, starts, strict=True):
        matrix[first - start :][: len(part)] = part
    return matrices, [slice(start, start + reach) for start in starts]


def _span(window: Window, axis: int) -> tuple[int, int]:
    return (window.rows, window.columns)[axis]


def _resampled(maps: Tensor, rows: np.ndarray, columns: np.ndarray) -> Tensor:
    """Maps (P, C, h, w) by matrices (P, H, h) and (P, W, w): (P, C, H, W)."""
    down, across = (sent(axis, maps.device, maps.dtype)[:, None] for axis in (rows, columns))
    return down @ (maps @ across.mT)


def crop_under(
    global_map: Tensor, places: Sequence[Place], cells: Size, alignment: Alignment
) -> Tensor:
    """The parts of a global map (B, C, Hg, Wg) that lie under patches: (patches, C, *cells)."""
    rows, columns = (
        _crops(
            [
                crop_axis(whole, p.scene[a], *_span(p.window, a), cells[a], alignment)
                for p in places
            ],
            whole,
        )
        for a, whole in enumerate(global_map.shape[2:])
    )
    parts = zip(places, rows.cells, columns.cells, strict=True)
    read = torch.stack([global_map[place.item, :, tall, wide] for place, tall, wide in parts])
    return _resampled(read, rows.matrices, columns.matrices)


def crop_maps(
    maps: SharedMaps, places: Sequence[Place], strides: Sequence[int], alignment: Alignment
) -> SharedMaps:
    """All shared maps of the global branch, under patches of one size.

    Args:
        maps: The global branch's, with the batch of scenes in front; an empty kind stays empty.
        places: Where the patches lie.
        strides: Pixels per cell of the patches' maps, coarsest first.
        alignment: See the module.
    """
    sizes = [places[0].window.size.cells(stride) for stride in strides]
    return SharedMaps(
        *(
            tuple(
                crop_under(level, places, cells, alignment)
                for level, cells in zip(kind, sizes, strict=False)
            )
            for kind in maps
        )
    )


class Canvas:
    """One scene's global maps being filled from its patches.

    Memory: one scene's shared maps at the thumbnail's resolution, however many patches there are.
    """

    def __init__(self, scene: Size, thumbnail: Size, alignment: Alignment) -> None:
        """Start empty, for maps of a thumbnail's size; the first patch decides the channels."""
        self._scene, self._thumbnail, self._alignment = scene, thumbnail, alignment
        self._sums: SharedMaps | None = None
        self._coverage: list[np.ndarray] = []

    def add(self, maps: SharedMaps, windows: Sequence[Window], strides: Sequence[int]) -> None:
        """Lay the maps of a mini-batch of patches of one size at their windows."""
        sizes = [self._thumbnail.cells(stride) for stride in strides]
        if self._sums is None:
            self._sums = SharedMaps(
                *(
                    tuple(
                        level.new_zeros(level.shape[1], *size)
                        for level, size in zip(kind, sizes, strict=False)
                    )
                    for kind in maps
                )
            )
            self._coverage = [np.zeros(size) for size in sizes]
        for number in range(LEVELS):
            own, whole = maps.trunk[number].shape[-2:], sizes[number]
            rows, columns = (
                [lay_axis(own[a], self._scene[a], *_span(w, a), whole[a], self._alignment)
                 for w in windows]
                for a in range(2)
            )  # fmt: skip
            for (_, tall), (_, wide) in zip(rows, columns, strict=True):
                self._coverage[number] += np.outer(tall, wide)
            down, across = (
                _lays([axis for axis, _ in axes], own[a], whole[a])
                for a, axes in enumerate((rows, columns))
            )
            for kind, sums in zip(filter(None, maps), filter(None, self._sums), strict=True):
                laid = _resampled(kind[number], down.matrices, across.matrices)
                for part, *place in zip(laid, down.cells, across.cells, strict=True):
                    sums[number][:, *place] += part

    def finished(self) -> SharedMaps:
        """The laid maps, (C, Hg, Wg) each: sums divided by coverage. Call once, at the end."""
        if self._sums is None:
            msg = "no patch was laid"
            raise ValueError(msg)
        for number, coverage in enumerate(self._coverage):
            # Only the authors' rounding leaves cells that nothing covers; they stay zero.
            divisor = np.where(coverage > 0, coverage, 1.0)
            for kind in filter(None, self._sums):
                sums = kind[number]
                sums.div_(torch.as_tensor(divisor, dtype=sums.dtype, device=sums.device))
        return self._sums
