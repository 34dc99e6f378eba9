"""One stage of a run, from its start or its last checkpoint to its end."""

import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from glnet.datasets.draws import Draw, EpochBatches, TrainingImages
from glnet.datasets.manifest import Sample
from glnet.engines.torch_engine import TorchEngine
from glnet.errors import GlnetError, RunError
from glnet.recipe import Recipe, Stage
from glnet.training.checkpoint import (
    Standing,
    random_state,
    set_random_state,
    write_standing,
)
from glnet.training.coarse import coarse_masks
from glnet.training.data import TrainingData
from glnet.training.fetching import fetch
from glnet.training.keeper import Keeper
from glnet.training.log import StageLog
from glnet.training.losses import PixelLoss
from glnet.training.parts import moving_statistics, prepare, trained_parts
from glnet.training.records import EpochRecord, NoteRecord, Pace, Record, StepRecord
from glnet.training.schedule import schedule
from glnet.training.stages import Step
from glnet.training.start import build_stage, start_stage
from glnet.training.team import Team

_MINUTE = 60


@dataclass(frozen=True)
class Run:
    """What all stages of a run share."""

    recipe: Recipe
    out: Path
    team: Team
    loss: PixelLoss
    data: TrainingData


@dataclass
class Counts:
    """What a stage counts from step to step.

    Attributes:
        step: Steps done.
        losses: Of the steps of this epoch.
        seconds, waited: Time spent so far, and of it waiting for images.
    """

    step: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    waited: float = 0.0


class StageRun:
    """A stage at work: its network, its optimiser, and how far it has come.

    Attributes:
        logged: Bytes of the run's table once the stage is done.
    """

    def __init__(self, run: Run, stage: Stage, standing: Standing) -> None:
        """Build the network, and give it its start or the state of a checkpoint.

        Args:
            run: All that the stages share.
            stage: Which.
            standing: What earlier stages left, and the state of this one if it was stopped.

        Raises:
            GlnetError: the weights to start from cannot be had.
        """
        self._run, self._stage, self._standing = run, stage, standing
        self.logged = standing.log
        recipe, team = run.recipe, run.team
        self._settings, self._train = recipe.train.stages.of(stage), recipe.train
        self._model = build_stage(recipe, run.out, stage, run.data.table)
        self._parameters = prepare(
            self._model, stage, freeze_batch_norm=self._train.freeze_batch_norm
        )
        self._resumes = bool(standing.state)
        start = None
        if not self._resumes:
            start = start_stage(self._model, recipe, stage, run.data.table)
        # The channels of a pixel side by side: a third faster on the CPU.
        self._model.to(memory_format=torch.channels_last)
        self._engine = TorchEngine(
            self._model, team.fabric.device, self._train.precision, self._train.mini_batch
        )
        self._statistics = moving_statistics(self._model)
        self._adam = torch.optim.Adam(
            self._parameters, lr=self._settings.learning_rate, weight_decay=self._train.weight_decay
        )
        self._optimiser = team.fabric.setup_optimizers(self._adam)
        self._step = Step(
            self._engine, run.loss, recipe, team.fabric.backward,
            lambda: team.grad_scale, team.total,
        )  # fmt: skip
        self._keeper = Keeper(recipe, run.out, stage, run.data)
        self._counts = Counts()
        if self._resumes:
            self._restore(standing.state)
            start = f"goes on after step {self._counts.step} of stage {stage}"
        self._start = start
        self._log = (
            StageLog(run.out, stage, standing.log, self._counts.step) if team.leads else None
        )
        self._batches = EpochBatches(
            len(run.data.train), self._settings.batch, self._settings.epochs, self._train.seed,
            done=self._counts.step, rank=team.rank, ranks=team.size,
        )  # fmt: skip

    def records(self) -> Iterator[Record]:
        """Train to the end.

        Closed before, it leaves a checkpoint of the last step.

        Raises:
            GlnetError: an image that cannot be read, a loss that diverged, a disk that is full;
                the last checkpoint is in place.
        """
        try:
            if self._start:
                yield NoteRecord(self._start)
            if not self._resumes and self._stage == "local_to_global":
                yield self._as_it_starts()
            coarse, said = self._look_coarsely()
            yield from said
            for record in self._steps(coarse):
                if self._log is not None:
                    self._log.write(record)
                yield record
        except GeneratorExit:  # at a record, where no step is half done
            if self._counts.step:
                self._save()
            raise
        finally:
            if self._log is not None:
                self.logged = self._log.length
                self._log.close()

    def _look_coarsely(self) -> tuple[dict[Sample, np.ndarray], list[NoteRecord]]:
        """Where a coarse-to-fine network's patches lie; nothing for others."""
        search = self._model.settings.coarse_to_fine
        if search is None or self._stage == "global":
            return {}, []
        data = self._run.data
        masks, patches = coarse_masks(self._engine, data.train, data.coder, search)
        return masks, [
            NoteRecord(
                f"{self._stage}: the training images' boxes hold {patches.computed} of "
                f"{patches.whole} patches; all else is '{data.table.names[search.background]}'"
            )
        ]

    def _steps(self, coarse: dict[Sample, np.ndarray]) -> Iterator[Record]:
        counts, per_epoch = self._counts, self._batches.steps_per_epoch
        began = saved = time.monotonic()
        before, asked = counts.seconds, began
        if counts.losses and counts.step % per_epoch == 0:  # it was stopped just before this
            yield self._end_of_epoch(counts.step // per_epoch)
        images = TrainingImages(
            self._run.data.train,
            self._run.data.coder,
            self._run.recipe,
            self._stage,
            self._run.data.report.places,
            coarse,
        )
        for draws in self._fetched(images):
            counts.waited += time.monotonic() - asked
            counts.step += 1
            losses = self._learn(draws)
            counts.losses.append(losses["loss"])
            counts.seconds = before + time.monotonic() - began
            yield StepRecord(
                self._stage, -(-counts.step // per_epoch), counts.step, self._batches.steps,
                losses, self._rate, self._pace(),
            )  # fmt: skip
            if counts.step % per_epoch == 0:
                yield self._end_of_epoch(counts.step // per_epoch)
                counts.seconds = before + time.monotonic() - began
            if time.monotonic() - saved >= _MINUTE * self._train.checkpoint_minutes:
                self._save()
                saved = time.monotonic()
            asked = time.monotonic()

    def _fetched(self, images: TrainingImages) -> Iterator[list[Draw]]:
        """The draws of all steps; what was learnt is saved before an unreadable image ends it."""
        try:
            yield from fetch(images, self._batches, self._train.workers)
        except GlnetError:
            if self._counts.step:
                self._save()
            raise

    @property
    def _rate(self) -> float:
        """Of the last step; it is in checkpoints."""
        rate: float = self._adam.param_groups[0]["lr"]
        return rate

    def _learn(self, draws: list[Draw]) -> dict[str, float]:
        """One step of the optimiser; the losses over all processes."""
        team, counts = self._run.team, self._counts
        rate = self._settings.learning_rate * schedule(
            self._train, counts.step - 1, self._batches.steps
        )
        for group in self._adam.param_groups:
            group["lr"] = rate
        with team.fabric.autocast():
            own = self._step.run(self._stage, draws)
        losses = {kind: team.total(loss) for kind, loss in own.items()}
        if not math.isfinite(losses["loss"]):
            msg = (
                f"stage {self._stage}, step {counts.step}: the loss is {losses['loss']}; lower the "
                f"learning rate; what was learnt before is in {self._run.out}"
            )
            raise RunError(msg)
        team.add_gradients(self._parameters)
        team.average(self._statistics, len(draws))
        self._optimiser.step()
        self._optimiser.zero_grad()
        return losses

    def _end_of_epoch(self, epoch: int) -> EpochRecord:
        scores = self._keeper.validate(self._engine, epoch, self._run.team)
        best = self._keeper.keep(self._model, scores, epoch, write=self._run.team.leads)
        mean = sum(self._counts.losses) / len(self._counts.losses)
        self._counts.losses.clear()
        return EpochRecord(
            self._stage, epoch, self._settings.epochs, mean, self._rate, self._pace(), scores, best
        )

    def _as_it_starts(self) -> NoteRecord:
        """The last stage counts from its start on: what does not better that is not kept."""
        scores = {}
        if self._train.refined_start == "plain":
            scores = self._keeper.validate(self._engine, 0, self._run.team)
            self._keeper.keep(self._model, scores, 0, write=self._run.team.leads)
        shown = ", ".join(f"{view} mIoU {100 * score:.1f}" for view, score in scores.items())
        return NoteRecord(f"{self._stage} starts from the stage before{shown and ': '}{shown}")

    def _pace(self) -> Pace:
        counts = self._counts
        done = counts.step / self._batches.steps
        seconds = max(counts.seconds, 1e-9)
        return Pace(
            seconds,
            seconds / done * (1 - done),
            counts.step * min(self._settings.batch, self._batches.images) / seconds,
            counts.waited / seconds,
        )

    def _save(self) -> None:
        """Write a checkpoint, unless the weights are none to go on from."""
        if self._log is None:
            return
        if not all(bool(torch.isfinite(p).all()) for p in self._parameters):
            return  # the next loss will say so
        parts = trained_parts(self._model, self._stage)
        scaler = self._run.team.scaler
        state = {
            "parts": {name: part.state_dict() for name, part in parts.items()},
            "optimiser": self._adam.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "random": random_state(),
            "best": self._keeper.best,
            "counts": dataclasses.asdict(self._counts),
        }
        write_standing(
            self._run.out, dataclasses.replace(self._standing, state=state, log=self._log.length)
        )

    def _restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        for name, part in trained_parts(self._model, self._stage).items():
            part.load_state_dict(state["parts"][name])
        self._adam.load_state_dict(state["optimiser"])
        scaler = self._run.team.scaler
        if scaler is not None and state["scaler"] is not None:
            scaler.load_state_dict(state["scaler"])
        set_random_state(state["random"])
        self._keeper.best = state["best"] if self._keeper.has_best else -math.inf
        self._counts = Counts(**state["counts"])
