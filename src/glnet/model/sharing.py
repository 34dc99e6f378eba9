"""Deep feature map sharing: give each branch the other one's view of the same ground.

Global to local, the cells that lie under a patch are resampled to the patch's own maps; local to
global, the patches' maps are resampled to the scene's cells, added up and divided by what covered
them. Both are products with one small matrix per axis (`glnet.resample`), so the two alignments
differ only in how a matrix is made:

`exact` samples at the patch's true place, antialiased where cells grow; `authors` rounds the patch
to whole cells (half to even), resizes without antialiasing and divides by a resampled
full-resolution coverage, as the released code does.

Paper: section 3, "deep feature map sharing". Shapes: C channels; (Hg, Wg) cells of a global map
over the scene; (h, w) cells of a patch's map.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from glnet.geometry import Alignment, Size, Window
from glnet.model.branch import LEVELS, SharedMaps
from glnet.resample import Axis, AxisMap, resample, triangle

#: Enough for the axes of a large grid at all four levels, both ways.
_CACHE = 4096


class Place(NamedTuple):
    """Where a patch lies: which item of the batch of scenes, that scene's size, the window."""

    item: int
    scene: Size
    window: Window


def crop_under(
    global_map: Tensor, places: Sequence[Place], cells: Size, alignment: Alignment
) -> Tensor:
    """The parts of a global map (B, C, Hg, Wg) that lie under patches: (patches, C, *cells)."""
    crops = []
    for item, scene, window in places:
        rows = _crop_axis(global_map.shape[2], scene.height, *window.rows, cells.height, alignment)
        columns = _crop_axis(
            global_map.shape[3], scene.width, *window.columns, cells.width, alignment
        )
        crops.append(resample(global_map[item], rows, columns))
    return torch.stack(crops)


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

    def add(self, maps: SharedMaps, index: int, window: Window, strides: Sequence[int]) -> None:
        """Lay the maps of patch `index` of a mini-batch at its window."""
        sizes = [self._thumbnail.cells(stride) for stride in strides]
        if self._sums is None:
            self._sums = SharedMaps(
                *(
                    tuple(
                        level.new_zeros(level.shape[1], *size)
                        for level, size in zip(kind, sizes, strict=True)
                    )
                    for kind in maps
                )
            )
            self._coverage = [np.zeros(size) for size in sizes]
        for number in range(LEVELS):
            local = maps.trunk[number].shape[-2:]
            (rows, tall), (columns, wide) = (
                _lay_axis(local[a], self._scene[a], *span, sizes[number][a], self._alignment)
                for a, span in enumerate((window.rows, window.columns))
            )
            self._coverage[number] += np.outer(tall, wide)
            place = (rows.target_slice, columns.target_slice)
            for kind, sums in zip(maps, self._sums, strict=True):
                sums[number][:, *place] += resample(kind[number][index], rows, columns)

    def finished(self) -> SharedMaps:
        """The laid maps, (C, Hg, Wg) each: sums divided by coverage. Call once, at the end."""
        if self._sums is None:
            msg = "no patch was laid"
            raise ValueError(msg)
        for number, coverage in enumerate(self._coverage):
            # Only the authors' rounding leaves cells that nothing covers; they stay zero.
            divisor = np.where(coverage > 0, coverage, 1.0)
            for kind in self._sums:
                sums = kind[number]
                sums.div_(torch.as_tensor(divisor, dtype=sums.dtype, device=sums.device))
        return self._sums


@lru_cache(maxsize=_CACHE)
def _crop_axis(
    cells: int, scene: int, start: int, length: int, out: int, alignment: Alignment
) -> AxisMap:
    """From all `cells` of the scene to the `out` cells of a patch, along one axis."""
    if alignment == "exact":
        return triangle(Axis(0, scene, cells), Axis(start, start + length, out))
    first, count = _rounded(cells, scene, start, length)
    inner = _interpolate(count, out)
    return AxisMap(first + inner.source, 0, inner.weights)


@lru_cache(maxsize=_CACHE)
def _lay_axis(
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
