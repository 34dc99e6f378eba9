"""Networks on a CUDA GPU: speed and memory of a prediction, and of a training step.

    python benchmarks/gpu.py [--network paper|best ...] [--patches N ...] [--small] [--json FILE]

ResNet-50, 508 px, both ways of sharing, random weights, one scene of 2448 px in memory: 36
patches. The paper's pyramids are 256 wide; those of the preset `best` are normed, 64 wide, with
cells of 2 px. Prints tables. Memory is the most that tensors took, what the allocator held, and
what the driver counts for the device, which other processes add to.
"""

import argparse
import copy
import gc
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

from glnet.datasets.draws import Draw
from glnet.engines.engine import Engine
from glnet.engines.folded import FoldedNetwork
from glnet.engines.torch_engine import LIBRARY, TorchEngine, TorchGraphs
from glnet.geometry import Size, patch_grid
from glnet.model import GLNet, build_glnet
from glnet.model.folding import fold
from glnet.recipe import BEST, STAGES, ModelSettings, Recipe, Stage, merged
from glnet.resample import shrink
from glnet.scenes import Decoded
from glnet.training.losses import PixelLoss
from glnet.training.memory import estimate_memory
from glnet.training.parts import prepare
from glnet.training.stages import Step
from paper_network import CLASSES, PAPER, SMALL, random_network, texture

_MIB = 1 << 20
_SIDE = 2448
_PASSES = 5
_TRAINED = 6

NETWORKS = {"paper": {}, "best": BEST}


def main(networks: dict[str, Recipe], batches: list[int], out: Path | None) -> None:
    """Measure and print."""
    if not torch.cuda.is_available():
        sys.exit("no CUDA device here")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    rows = []
    for name, recipe in networks.items():
        print(f"\n{name}", flush=True)
        pixels, side = texture(Size(_SIDE, _SIDE), 0), recipe.model.thumbnail
        scene = Decoded(pixels, shrink(pixels, Size(side, side)))
        model = random_network(recipe.model, 0)
        found = [*predictions(model, scene, batches), *steps(recipe, scene)]
        rows += [{"of": name, **row} for row in found]
    if out is not None:
        out.write_text(json.dumps(rows, indent=1) + "\n")


def predictions(model: GLNet, scene: Decoded, batches: list[int]) -> list[dict]:
    """Plain and folded, in fp32 and bf16, by patches at a time."""
    print(
        f"{'graphs':8} {'':5} {'patches':>7} {'MP/s':>6} {'tensors':>8} {'held':>6} {'driver':>7}"
    )
    rows, wanted = [], None
    for precision in ("fp32", "bf16"):
        for kind in ("plain", "folded"):
            for count in batches:
                engine = _engine(kind, model, precision, count)
                labels, row = _predict(engine, scene)
                wanted = labels if wanted is None else wanted
                row |= {"graphs": kind, "precision": precision, "patches": count,
                        "agrees": float((labels == wanted).mean())}  # fmt: skip
                figures = f"{row['speed']:6.2f} {row['tensors']:8.0f} {row['held']:6.0f}"
                more = f"{row['driver']:7.0f}  {row['agrees']:.5f}"
                print(f"{kind:8} {precision:5} {count:7d} {figures} {more}", flush=True)
                rows.append(row)
                del engine
                model.cpu()
                _forget()
    return rows


def _engine(kind: str, model: GLNet, precision: str, count: int) -> Engine:
    device = torch.device("cuda")
    if kind == "plain":
        return TorchEngine(model, device, precision, count)
    graphs = TorchGraphs(fold(copy.deepcopy(model)), device, precision)
    return Engine(FoldedNetwork(model.settings, model.classes, graphs), LIBRARY, count, "cuda")


def _predict(engine: Engine, scene: Decoded) -> tuple[np.ndarray, dict]:
    view = engine.settings.views[0]
    labels = engine.segment(scene, [view]).views[view].labels()
    _forget()
    times = []
    for _ in range(_PASSES):
        torch.cuda.synchronize()
        began = time.perf_counter()
        engine.segment(scene, [view])
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    speed = scene.size.height * scene.size.width / 1e6 / statistics.median(times)
    return labels, {"speed": speed, **_memory()}


def recipe_of(name: str, *, small: bool) -> Recipe:
    """A network's settings, and how its steps are taken."""
    model = (SMALL if small else PAPER).model_dump()
    train = {"mini_batch": _TRAINED, "patches": _TRAINED, "freeze_batch_norm": True}
    data = {"manifest": "-", "classes": "-"}
    recipe = {"data": data, "model": model, "train": train}
    return Recipe.model_validate(merged(recipe, NETWORKS[name]))


def steps(recipe: Recipe, scene: Decoded) -> list[dict]:
    """A training step of every stage: one image, six patches."""
    print(f"{'stage':16} {'':5} {'ms':>6} {'tensors':>8} {'told':>6} {'held':>6}")
    rows = []
    for precision in ("fp32", "bf16"):
        for stage in STAGES:
            row = {
                "stage": stage,
                "precision": precision,
                **_step(recipe, scene, stage, precision),
            }
            figures = f"{row['tensors']:8.0f} {row['told']:6.0f} {row['held']:6.0f}"
            milliseconds = f"{1000 * row['seconds']:6.0f}"
            print(f"{stage:16} {precision:5} {milliseconds} {figures}", flush=True)
            rows.append(row)
            _forget()
    return rows


def _step(recipe: Recipe, scene: Decoded, stage: Stage, precision: str) -> dict:
    settings = recipe.model
    model = build_glnet(settings.after(stage), CLASSES)
    parameters = prepare(model, stage, freeze_batch_norm=True)
    model.to(memory_format=torch.channels_last)
    engine = TorchEngine(model, torch.device("cuda"), precision, _TRAINED)
    adam = torch.optim.Adam(parameters)
    step = Step(engine, PixelLoss(recipe.loss, CLASSES), recipe, torch.Tensor.backward)
    draws = [_draw(settings, scene, stage)]
    times = []
    for turn in range(_PASSES + 1):
        if turn == 1:
            _forget()
        torch.cuda.synchronize()
        began = time.perf_counter()
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
            step.run(stage, draws)
        adam.step()
        adam.zero_grad()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    told = estimate_memory(
        settings, CLASSES, stage, 1, _TRAINED, frozen=True, loss=recipe.loss, device="cuda",
        precision=precision,
    )  # fmt: skip
    return {"seconds": statistics.median(times[1:]), "told": told / _MIB, **_memory()}


def _draw(settings: ModelSettings, scene: Decoded, stage: Stage) -> Draw:
    rng = np.random.default_rng(0)
    windows = patch_grid(scene.size, settings.patch, settings.overlap)
    if stage == "global_to_local":
        windows = windows[:_TRAINED]
    labels = [rng.integers(0, CLASSES, window.size, np.uint8) for window in windows[:_TRAINED]]
    thumbnail = Size(settings.thumbnail, settings.thumbnail)
    return Draw(
        scene.size, scene.thumbnail(thumbnail), rng.integers(0, CLASSES, thumbnail, np.uint8),
        windows, [scene.read(window) for window in windows], list(range(_TRAINED)), labels,
    )  # fmt: skip


def _memory() -> dict:
    return {
        "tensors": torch.cuda.max_memory_allocated() / _MIB,
        "held": torch.cuda.max_memory_reserved() / _MIB,
        "driver": (torch.cuda.mem_get_info()[1] - torch.cuda.mem_get_info()[0]) / _MIB,
    }


def _forget() -> None:
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--patches", nargs="+", type=int, default=[1, 2, 4, 8], help="at a time")
    parser.add_argument("--small", action="store_true", help="small networks, to try the script")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    chosen = {name: recipe_of(name, small=arguments.small) for name in arguments.network}
    main(chosen, arguments.patches, arguments.json)
