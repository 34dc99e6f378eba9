"""What a process that measures itself needs, torch not among it: the processor, a scene."""

from pathlib import Path

import numpy as np

from glnet.geometry import Size
from glnet.raster import Raster
from glnet.scenes import Decoded


def decode(image: Path, thumbnail: Size) -> Decoded:
    """An image file as a scene in memory."""
    with Raster(image) as raster:
        return Decoded(np.asarray(raster.read()), raster.thumbnail(thumbnail))


def processor() -> str:
    """What the system calls its processor."""
    info = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (info.read_text(encoding="utf-8").splitlines() if info.is_file() else [])
        if line.startswith("model name")
    ]
    return names[0] if names else "CPU"
