"""What a process that measures itself needs, torch not among it: the processor, a scene."""

from pathlib import Path

from glnet.datasets.images import ImageScene
from glnet.geometry import Window
from glnet.raster import Raster
from glnet.recipe import ModelSettings
from glnet.scenes import Decoded


def decode(image: Path, settings: ModelSettings) -> Decoded:
    """An image file as a scene in memory, as the model of these settings takes it."""
    with Raster(image) as raster:
        raster.expect(settings)
        scene = ImageScene(raster, Window(0, 0, *raster.size))
        return Decoded(scene.read(), scene.thumbnail(settings.thumbnail_size))


def processor() -> str:
    """What the system calls its processor."""
    info = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (info.read_text(encoding="utf-8").splitlines() if info.is_file() else [])
        if line.startswith("model name")
    ]
    return names[0] if names else "CPU"
