"""How long training takes here: timed steps of every stage on random pixels.

The steps are those of a run: the same drawing, the same `Step`, the same optimiser. A small scene
is timed, and what more patches take is worked out from it: whole scenes would take minutes.
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
from glnet.training.parts import prepare
from glnet.training.stages import Step

#: Patches of the two scenes that are timed: one, and two by two.
_SMALL, _LARGE = 1, 4

_TIMED = 2


def measure_pace(
    recipe: Recipe, classes: int, windows: int, dtype: str
) -> dict[Stage, tuple[float, float]]:
    """Seconds per image of a training step, and of validation, by stage; in fp32.

    One step warms up, and the quicker of two is taken. On a CPU, where time is in proportion, a
    step has one image of one patch; elsewhere the recipe's batch, and four patches each. Reading
    real files comes on top.

    Args:
        recipe: A run of at most two stages; its files are not read, its trunk starts at random.
        classes: How many are trained.
        windows: Patches of a typical image.
        dtype: Of the images.

    Raises:
        RecipeError, RunError: the network cannot be built, or not run here.
    """
    device = pick_device(recipe.train.device)
    table = ClassTable(tuple(ClassInfo(str(i), i, default_colour(i)) for i in range(classes)))
    held = _SMALL if device.type == "cpu" or windows < _LARGE else _LARGE
    wanted = recipe.train.patches
    drawn = windows if wanted == "all" else min(windows, int(wanted))
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
        small, large = (
            _random_sample(Path(folder) / f"{side}", side, recipe.model, classes, dtype)
            for side in (recipe.model.patch, 2 * recipe.model.patch - recipe.model.overlap)
        )
        scene = small if held == _SMALL else large
        pace: dict[Stage, tuple[float, float]] = {}
        # Of the global view: the whole scene, and what its enlarging takes per patch's area.
        view, area, window = 0.0, 0.0, 0.0
        for stage in recipe.model.stages:
            timing = _Timing(recipe, stage, device, LabelCoder(table))
            step, scored = timing.step(scene), timing.validation(scene)
            if stage == "global":
                view = scored
                grown = timing.validation(large) - timing.validation(small)
                window = area = max(0.0, grown) / (_LARGE - _SMALL)
            else:
                window = max(0.0, scored - view) / held + area
                step = min(step, view) + max(0.0, step - view) * drawn / min(drawn, held)
            pace[stage] = (step, scored + (windows - held) * window)
        return pace


class _Timing:
    """One stage at work on random pixels."""

    def __init__(
        self, recipe: Recipe, stage: Stage, device: torch.device, coder: LabelCoder
    ) -> None:
        self._recipe, self._stage, self._device, self._coder = recipe, stage, device, coder
        classes = len(coder.table.trained)
        model = build_glnet(recipe.model.after(stage), classes)
        frozen = recipe.train.freeze_batch_norm
        parameters = prepare(model, stage, freeze_batch_norm=frozen)
        self._engine = TorchEngine(model, device, "fp32", recipe.train.mini_batch)
        self._adam = torch.optim.Adam(parameters, lr=1e-6, weight_decay=recipe.train.weight_decay)
        self._step = Step(
            self._engine, PixelLoss(recipe.loss, classes), recipe, torch.Tensor.backward
        )

    def step(self, scene: Sample) -> float:
        """Seconds per image of a training step."""
        settings = self._recipe.train.stages.of(self._stage)
        images = 1 if self._device.type == "cpu" else settings.batch
        read = TrainingImages([scene], self._coder, self._recipe, self._stage)
        draws = [read[epoch, 0] for epoch in range(images)]

        def run() -> None:
            self._step.run(self._stage, draws)
            self._adam.step()
            self._adam.zero_grad()

        run()
        return self._timed(run, _TIMED) / images

    def validation(self, scene: Sample) -> float:
        """Seconds to segment and score a scene; the network is warm."""
        return self._timed(lambda: self._validate(scene), 1)

    def _validate(self, sample: Sample) -> None:
        views = self._engine.model.settings.views
        score_samples(self._engine, [sample], self._coder, views)

    def _timed(self, run: Callable[[], None], times: int) -> float:
        """The quickest of some runs: what other programs take is not ours."""
        seconds = []
        for _ in range(times):
            self._wait()
            began = time.perf_counter()
            run()
            self._wait()
            seconds.append(time.perf_counter() - began)
        return min(seconds)

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
