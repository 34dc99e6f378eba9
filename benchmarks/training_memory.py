"""Peak memory of every training stage on images of 2448 and 5000 px, on the CPU.

    python benchmarks/training_memory.py [--sides 2448 5000] [--mini-batch 2] [--patches 4]

One optimiser step a stage by `glnet train`, each in a process of its own: the paper's network
(ResNet-50, 500 px, pyramids 256 wide), random weights, one image a step. What importing takes is
measured by itself and taken off. Prints a table, and one JSON line at the end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import torch
import yaml

from glnet.recipe import STAGES, ModelSettings
from glnet.training.memory import estimate_memory

CLASSES = 7


def main(sides: list[int], mini_batch: int, patches: int) -> None:
    """Measure and print."""
    base, _ = peak([sys.executable, "-c", "import glnet.training.loop"])
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; imports {mib(base)} MiB")
    print(
        f"{'side':>5} {'stage':16} {'added, MiB':>10} {'told, MiB':>9} {'seconds':>7}", flush=True
    )
    rows = []
    for side in sides:
        with tempfile.TemporaryDirectory() as folder:
            recipe = prepare(Path(folder), side, mini_batch, patches)
            for stage in STAGES:
                command = [Path(sys.executable).with_name("glnet"), "train", recipe, "--quiet"]
                run = Path(folder) / "run"
                size, seconds = peak([*map(str, command), "--out", str(run), "--stage", stage])
                told = estimate_memory(ModelSettings(), CLASSES, stage, 1, mini_batch, frozen=True)
                rows.append(
                    {"side": side, "stage": stage, "added": size - base, "told": told,
                     "seconds": round(seconds)}
                )  # fmt: skip
                added = f"{mib(size - base):>10} {mib(told):>9}"
                print(f"{side:>5} {stage:16} {added} {seconds:7.0f}", flush=True)
    print(json.dumps(rows))


def prepare(folder: Path, side: int, mini_batch: int, patches: int) -> Path:
    """One random image with its mask, and a recipe of one step a stage."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, side, side), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, (1, side, side), dtype=np.uint8)
    for name, bands in (("image.tif", pixels), ("mask.tif", labels)):
        with rasterio.open(
            folder / name, "w", driver="GTiff", height=side, width=side, count=len(bands),
            dtype="uint8", tiled=True, crs="EPSG:32640",
            transform=rasterio.transform.from_origin(0, side, 1, 1),
        ) as file:  # fmt: skip
            file.write(bands)
    (folder / "manifest.csv").write_text("image,mask,split\nimage.tif,mask.tif,train\n")
    (folder / "classes.csv").write_text("name\n" + "".join(f"c{i}\n" for i in range(CLASSES)))
    stage = {"epochs": 1, "batch": 1}
    train = {
        "trunk_weights": "none", "patches": patches, "mini_batch": mini_batch, "device": "cpu",
        "freeze_batch_norm": True, "stages": dict.fromkeys(STAGES, stage),
    }  # fmt: skip
    data = {"manifest": "manifest.csv", "classes": "classes.csv"}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"data": data, "train": train}))
    return path


def peak(command: list[str]) -> tuple[int, float]:
    """Largest resident size of a process, in bytes, and its seconds."""
    began = time.monotonic()
    process = subprocess.Popen(command)  # noqa: S603  our own commands
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    return usage.ru_maxrss * 1024, time.monotonic() - began


def mib(size: int) -> str:
    """In MiB."""
    return f"{size / (1 << 20):.0f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[2448, 5000])
    parser.add_argument("--mini-batch", type=int, default=2)
    parser.add_argument("--patches", type=int, default=4)
    arguments = parser.parse_args()
    main(arguments.sides, arguments.mini_batch, arguments.patches)
