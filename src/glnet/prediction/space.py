"""Whether the disks can hold what a prediction writes."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from glnet.errors import RasterError
from glnet.geometry import Size
from glnet.prediction.layers import Layer
from glnet.prediction.locks import kept_bytes
from glnet.recipe.amounts import show_bytes

#: A mask that is packed less than so many times cannot be promised a place.
_PACKED = 20


def check_space(layers: Sequence[Layer], size: Size) -> None:
    """Refuse a disk that cannot hold the outputs even if they pack well.

    Parts, and files that are not yet moved, lie beside the mask; what a stopped run left there
    counts as room.

    Args:
        layers: The outputs, the mask first.
        size: Of the raster.

    Raises:
        RasterError: what is needed and what is free, in one line.
    """
    beside = layers[0].path.parent.stat().st_dev
    needed: dict[int, int] = {}
    places: dict[int, Path] = {beside: layers[0].path}
    for layer in layers:
        packed = _PACKED if layer.kind == "mask" else 1
        each = len(layer.bands) * np.dtype(layer.dtype).itemsize
        bytes_ = size.area * each // packed
        needed[beside] = needed.get(beside, 0) + 2 * bytes_
        disk = layer.path.parent.stat().st_dev
        if disk != beside:
            places.setdefault(disk, layer.path)
            needed[disk] = needed.get(disk, 0) + bytes_
    for disk, path in places.items():
        free = shutil.disk_usage(path.parent).free
        if disk == beside:
            free += kept_bytes(path)
        if needed[disk] > free:
            msg = (
                f"{path}: needs about {show_bytes(needed[disk])} on that disk, of which "
                f"{show_bytes(free)} are free; make room, or name another folder"
            )
            raise RasterError(msg)
