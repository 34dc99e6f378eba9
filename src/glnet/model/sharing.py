"""Deep feature map sharing between the branches of the plain network, as tensors.

Where a map is read and written is a matter of `glnet.sharing`; here whole maps are moved.

Shapes: C channels; (Hg, Wg) cells of a global map over the scene; (h, w) cells of a patch's map.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from glnet.geometry import Alignment, Size, Window
from glnet.model.branch import SharedMaps
from glnet.resample import resample
from glnet.sharing import LEVELS, Place, crop_axis, lay_axis


def crop_under(
    global_map: Tensor, places: Sequence[Place], cells: Size, alignment: Alignment
) -> Tensor:
    """The parts of a global map (B, C, Hg, Wg) that lie under patches: (patches, C, *cells)."""
    crops = []
    for item, scene, window in places:
        rows = crop_axis(global_map.shape[2], scene.height, *window.rows, cells.height, alignment)
        columns = crop_axis(
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
                lay_axis(local[a], self._scene[a], *span, sizes[number][a], self._alignment)
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
