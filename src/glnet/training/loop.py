"""The loop: stages in order, epochs of steps, validation, best and last kept.

`train` is a generator of records; whoever consumes it decides what to print and to keep. On disk
it leaves, per stage, `STAGE/best` and `STAGE/last`, each a bundle that predicts, and `model`, the
best of the last stage.
"""

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from lightning_fabric import Fabric

from glnet.bundle import read_bundle, write_bundle
from glnet.datasets.classes import ClassTable
from glnet.datasets.draws import EpochBatches, TrainingImages
from glnet.engines.models import load_model, save_model
from glnet.engines.scoring import score_samples
from glnet.engines.torch_engine import TorchEngine, pick_device
from glnet.errors import RecipeError, RunError
from glnet.model import GLNet, build_glnet
from glnet.model.initialise import start_aggregation, start_pyramid, start_refined
from glnet.recipe import Recipe, Stage, TrainSettings, dump_recipe
from glnet.training.data import TrainingData, read_data
from glnet.training.fetching import fetch
from glnet.training.log import RunLog
from glnet.training.losses import PixelLoss
from glnet.training.records import EpochRecord, NoteRecord, Record, StepRecord
from glnet.training.stages import Step, prepare

_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def train(
    recipe: Recipe, out: str | Path, stages: Sequence[Stage] | None = None
) -> Iterator[Record]:
    """Train the stages of a recipe in order, or some of them, as the records are asked for.

    Args:
        recipe: The run.
        out: Its folder; made where it does not exist.
        stages: Which to run; the one before the first must then lie in `out`. Default: all.

    Raises:
        GlnetError: anything a user can mend, found before the first step where it can be.
    """
    out = Path(out)
    chosen = _check_stages(recipe, out, stages)
    data = read_data(recipe)
    loss = _pixel_loss(recipe, data.table)
    _start_folder(recipe, out)
    with RunLog(out) as log:
        for note in data.notes:
            yield NoteRecord(note)
        for stage in chosen:
            for record in _train_stage(recipe, out, stage, data, loss):
                log.write(record)
                yield record
    if chosen[-1] == recipe.model.stages[-1]:
        write_bundle(out / "model", *read_bundle(out / chosen[-1] / "best"))
        yield NoteRecord(f"the trained model is {out / 'model'}")


def _check_stages(recipe: Recipe, out: Path, stages: Sequence[Stage] | None) -> Sequence[Stage]:
    own = recipe.model.stages
    chosen = own if stages is None else [stage for stage in own if stage in stages]
    lacking = [stage for stage in stages or () if stage not in own]
    if lacking or not chosen:
        msg = f"this network has no stage '{lacking[0]}'; it has: {', '.join(own)}"
        raise RecipeError(msg)
    before = own[own.index(chosen[0]) - 1] if chosen[0] != own[0] else None
    if before is not None and not (out / before / "best" / "config.json").is_file():
        missing = out / before / "best"
        msg = f"stage {chosen[0]} starts from {missing}, which is missing; run stage {before} first"
        raise RunError(msg)
    return chosen


def _pixel_loss(recipe: Recipe, table: ClassTable) -> PixelLoss:
    try:
        return PixelLoss(recipe.loss, len(table.trained))
    except ValueError as error:
        raise RecipeError(str(error)) from error


def _start_folder(recipe: Recipe, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "resolved.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    except OSError as error:
        msg = f"{out}: a run cannot be written there ({error})"
        raise RunError(msg) from error


def _start_model(recipe: Recipe, out: Path, stage: Stage, table: ClassTable) -> GLNet:
    """The network of a stage: parts of earlier stages from their best, the rest started anew."""
    train = recipe.train
    torch.manual_seed(train.seed + 1 + recipe.model.stages.index(stage))
    model = build_glnet(recipe.model.after(stage), len(table.trained))
    earlier = recipe.model.stages[: recipe.model.stages.index(stage)]
    if earlier:
        trained, known = load_model(out / earlier[-1] / "best")
        if known != table or trained.settings != model.settings.after(earlier[-1]):
            msg = f"{out / earlier[-1]}: was trained with other model settings or classes; "
            raise RunError(msg + "name another run folder, or train that stage again")
        model.load_state_dict(trained.state_dict(), strict=False)
    if stage == "local_to_global":
        start_refined(model, train.refined_start)
        return model
    branch = model.global_branch if stage == "global" else model.local_branch
    if branch is not None:
        if train.trunk_weights != "none":
            branch.trunk.load(train.trunk_weights)
        start_pyramid(branch, train.initialisation)
    start_aggregation(model, train.initialisation)
    return model


def _train_stage(
    recipe: Recipe, out: Path, stage: Stage, data: TrainingData, loss: PixelLoss
) -> Iterator[Record]:
    settings, train = recipe.train.stages.of(stage), recipe.train
    device = pick_device(train.device)
    fabric = Fabric(
        accelerator=device.type,
        devices=1 if device.type == "cpu" else [device.index or 0],
        precision=_PRECISIONS[train.precision],
    )
    model = _start_model(recipe, out, stage, data.table)
    parameters = prepare(model, stage, freeze_batch_norm=train.freeze_batch_norm)
    engine = TorchEngine(model, device, train.precision, train.mini_batch)
    adam = torch.optim.Adam(parameters, lr=settings.learning_rate, weight_decay=train.weight_decay)
    optimiser = fabric.setup_optimizers(adam)
    step = Step(engine, loss, recipe, fabric.backward, lambda: _grad_scale(fabric))

    batches = EpochBatches(len(data.train), settings.batch, settings.epochs, train.seed)
    images = TrainingImages(data.train, data.coder, recipe, stage)
    keeper = _Keeper(recipe, out / stage, stage, data)
    began, losses = time.monotonic(), list[float]()
    if stage == "local_to_global" and train.refined_start == "plain":
        # It starts as good as the stage before; what does not better that is not kept as best.
        scores = keeper.validate(engine, 0)
        keeper.keep(model, scores, 0)
        shown = ", ".join(f"{view} mIoU {100 * score:.1f}" for view, score in scores.items())
        yield NoteRecord(f"{stage} starts from the stage before" + (f": {shown}" if shown else ""))
    for number, draws in enumerate(fetch(images, batches, train.workers), start=1):
        rate = settings.learning_rate * schedule(train, number - 1, len(batches))
        for group in adam.param_groups:
            group["lr"] = rate
        with fabric.autocast():
            parts = step.run(stage, draws)
        if not math.isfinite(parts["loss"]):
            msg = f"stage {stage}, step {number}: the loss is {parts['loss']}; lower its rate"
            raise RunError(msg)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(parts["loss"])
        epoch = -(-number // batches.steps_per_epoch)
        clock = _clock(began, number, len(batches))
        yield StepRecord(stage, epoch, number, len(batches), parts, rate, *clock)
        if number % batches.steps_per_epoch == 0:
            scores = keeper.validate(engine, epoch)
            best = keeper.keep(model, scores, epoch)
            mean = sum(losses) / len(losses)
            clock = _clock(began, number, len(batches))
            yield EpochRecord(stage, epoch, settings.epochs, mean, rate, *clock, scores, best)
            losses.clear()


def _clock(began: float, step: int, steps: int) -> tuple[float, float]:
    """Seconds done, and left at the pace so far."""
    seconds = time.monotonic() - began
    return seconds, seconds / step * (steps - step)


def schedule(train: TrainSettings, step: int, steps: int) -> float:
    """The factor on the learning rate at a step, counted from 0: warm-up, then decay towards 0."""
    if step < train.warmup_steps:
        return (step + 1) / (train.warmup_steps + 1)
    done = (step - train.warmup_steps) / max(1, steps - train.warmup_steps)
    if train.schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return float((1 - done) ** train.power)


def _grad_scale(fabric: Fabric) -> float:
    """The factor by which mixed precision multiplies losses before the backward pass."""
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    return float(scaler.get_scale()) if scaler is not None else 1.0


class _Keeper:
    """Validates and keeps the best and the last network of a stage."""

    def __init__(self, recipe: Recipe, folder: Path, stage: Stage, data: TrainingData) -> None:
        self._recipe, self._folder, self._stage, self._data = recipe, folder, stage, data
        self._best = -math.inf

    def validate(self, engine: TorchEngine, epoch: int) -> dict[str, float]:
        """Mean IoU per view; empty where this epoch is not validated."""
        last = epoch == self._recipe.train.stages.of(self._stage).epochs
        due = last or epoch % self._recipe.train.validate_every == 0
        if not (due and self._data.validation):
            return {}
        views = engine.model.settings.views
        matrices = score_samples(engine, self._data.validation, self._data.coder, views)
        return {view: matrix.scores().mean_iou for view, matrix in matrices.items()}

    def keep(self, model: GLNet, scores: dict[str, float], epoch: int) -> bool:
        """Write what is due; says whether this is the best so far."""
        last = epoch == self._recipe.train.stages.of(self._stage).epochs
        if not scores and not last:
            return False
        score = scores.get(model.settings.views[0], math.inf if last else -math.inf)
        best = not scores or score > self._best or (math.isnan(score) and self._best == -math.inf)
        if best:
            self._best = -math.inf if math.isnan(score) else score
            self._write("best", model, scores, epoch)
        self._write("last", model, scores, epoch)
        return best

    def _write(self, name: str, model: GLNet, scores: dict[str, float], epoch: int) -> None:
        save_model(
            self._folder / name,
            model,
            self._data.table,
            origin=f"Trained by glnet: stage {self._stage}, epoch {epoch}.",
            scores={
                f"validation mIoU, {view}": score
                for view, score in scores.items()
                if not math.isnan(score)  # nothing was labelled
            },
            recipe=self._recipe.model_dump(mode="json"),
        )
