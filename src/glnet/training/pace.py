"""How long training takes here: timed steps of every stage on random pixels.

The steps are those of a run: the same drawing, the same `Step`, the same optimiser. A small scene
is timed and what grows with the number of patches is added, for large scenes would take minutes.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.transform import Affine

from glnet.datasets.classes import ClassInfo, ClassTable, default_colour
from glnet.datasets.draws import TrainingImages
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.engines.scoring import score_samples
from glnet.engines.torch_engine import TorchEngine, pick_device
from glnet.model import build_glnet
from glnet.recipe import ModelSettings, Recipe, Stage
from glnet.training.losses import PixelLoss
from glnet.training.stages import Step, prepare

#: Patches on the scene that is timed: two by two.
_WINDOWS = 4

_TIMED = 2


def device_kind(device: str) -> str:
    """`cpu`, `cuda` or `mps`: what a recipe's device is here.

    Raises:
        RunError: no such device.
    """
    return pick_device(device).type


def measure_pace(
    recipe: Recipe, classes: int, windows: int, dtype: str
) -> dict[Stage, tuple[float, float]]:
    """Seconds per image of a training step, and of validation, by stage; in fp32.

    One step warms up, two are timed. On a CPU a step has one image, for time is in proportion
    there; elsewhere it has the recipe's batch. Reading real files comes on top.

    Args:
        recipe: The run; its files are not read, its trunk starts at random.
        classes: How many are trained.
        windows: Patches of a typical image.
        dtype: Of the images.

    Raises:
        RecipeError, RunError: the network cannot be built, or not run here.
    """
    device = pick_device(recipe.train.device)
    table = ClassTable(tuple(ClassInfo(str(i), i, default_colour(i)) for i in range(classes)))
    coder = LabelCoder(table)
    with tempfile.TemporaryDirectory() as folder:
        one, four = (
            _random_sample(Path(folder) / f"{side}", side, recipe.model, classes, dtype)
            for side in (recipe.model.patch, 2 * recipe.model.patch - recipe.model.overlap)
        )
        typical = four if windows >= _WINDOWS else one
        return {
            stage: _Timing(recipe, stage, device, coder).seconds(one, typical, windows)
            for stage in recipe.model.stages
        }


class _Timing:
    """One stage at work on random pixels."""

    def __init__(
        self, recipe: Recipe, stage: Stage, device: torch.device, coder: LabelCoder
    ) -> None:
        self._recipe, self._stage, self._device, self._coder = recipe, stage, device, coder
        model = build_glnet(recipe.model.after(stage), len(coder.table.trained))
        frozen = recipe.train.freeze_batch_norm
        parameters = prepare(model, stage, freeze_batch_norm=frozen)
        self._engine = TorchEngine(model, device, "fp32", recipe.train.mini_batch)
        self._adam = torch.optim.Adam(parameters, lr=1e-6, weight_decay=recipe.train.weight_decay)
        loss = PixelLoss(recipe.loss, len(coder.table.trained))
        self._step = Step(self._engine, loss, recipe, torch.Tensor.backward)

    def seconds(self, one: Sample, typical: Sample, windows: int) -> tuple[float, float]:
        """Of a training step and of validation, per image of so many windows."""
        held = _WINDOWS if typical is not one else 1
        batch = self._recipe.train.stages.of(self._stage).batch
        images = 1 if self._device.type == "cpu" else batch
        draws = [
            TrainingImages([typical], self._coder, self._recipe, self._stage)[epoch, 0]
            for epoch in range(images)
        ]

        def step() -> None:
            self._step.run(self._stage, draws)
            self._adam.step()
            self._adam.zero_grad()

        training = self._timed(step, _TIMED, warm=True) / images
        small = self._timed(lambda: self._validate(one), 1, warm=True)
        scene = small if typical is one else self._timed(lambda: self._validate(typical), 1)
        more = windows - held
        per_window = max(0.0, scene - small) / max(1, held - 1) if held > 1 else scene
        if self._stage == "global_to_local":
            wanted = self._recipe.train.patches
            drawn = windows if wanted == "all" else min(windows, int(wanted))
            # A little too slow, rather than too quick: the thumbnail is not seen more often.
            training *= drawn / min(drawn, held)
        elif self._stage == "local_to_global":
            training += more * per_window
        return training, scene + more * per_window

    def _validate(self, sample: Sample) -> None:
        views = self._engine.model.settings.views
        score_samples(self._engine, [sample], self._coder, views)

    def _timed(self, run: Callable[[], None], times: int, *, warm: bool = False) -> float:
        if warm:
            run()
        self._wait()
        began = time.perf_counter()
        for _ in range(times):
            run()
        self._wait()
        return (time.perf_counter() - began) / times

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _random_sample(stem: Path, side: int, model: ModelSettings, classes: int, dtype: str) -> Sample:
    """A square image of random pixels and its mask, as files."""
    rng = np.random.default_rng(0)
    # A byte's range does for every dtype: only the time is of interest.
    pixels = rng.integers(0, 128, (model.bands, side, side)).astype(dtype)
    labels = rng.integers(0, classes, (1, side, side)).astype(np.uint8)
    image, mask = stem.with_suffix(".tif"), stem.with_name(f"{stem.name}_mask.tif")
    for path, values in ((image, pixels), (mask, labels)):
        with rasterio.open(
            path, "w", driver="GTiff", height=side, width=side, count=len(values),
            dtype=values.dtype.name, transform=Affine.translation(0, side) @ Affine.scale(1, -1),
        ) as file:  # fmt: skip
            file.write(values)
    return Sample(image, mask, "train")
