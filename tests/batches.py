"""Many images, the command over them in a process of its own, and what it wrote."""

import subprocess
import sys

import numpy as np

from makers import write_tif
from networks import random_scene

COMMAND = "from glnet.cli import main; main()"


def scene(path, height, width, seed=0):
    """A blocky texture as a GeoTIFF of 64 px tiles."""
    pixels = np.kron(random_scene(height // 8, width // 8, seed=seed).pixels, np.ones((8, 8)))
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    return write_tif(path, pixels.astype(np.uint8), **tiles)


def scenes(folder, sizes):
    """One image for each name and size."""
    return [
        scene(folder / f"{name}.tif", *size, seed=seed)
        for seed, (name, size) in enumerate(sizes.items())
    ]


def start(*arguments):
    """`glnet predict`, begun."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "predict", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def written(folder):
    """All outputs, byte for byte; reports tell of time."""
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.suffix in {".tif", ".geojson", ".qml"}
    }
