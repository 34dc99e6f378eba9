"""Validation, and the best and the last network of a stage."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch

from glnet.engines.models import save_model
from glnet.engines.scoring import score_samples
from glnet.engines.torch_engine import TorchEngine
from glnet.metrics import ConfusionMatrix, Protocol
from glnet.model import GLNet
from glnet.recipe import ModelSettings, Recipe, Stage, View
from glnet.training.data import TrainingData
from glnet.training.parts import loss_kinds
from glnet.training.team import Team


class Keeper:
    """Validates a stage's network and keeps what is due: `STAGE/best` and `STAGE/last`.

    Attributes:
        best: The best validation score so far.
    """

    def __init__(self, recipe: Recipe, out: Path, stage: Stage, data: TrainingData) -> None:
        """For one stage of a run in `out`."""
        self.best = -math.inf
        self._recipe, self._folder, self._stage = recipe, out / stage, stage
        self._data = data

    @property
    def has_best(self) -> bool:
        """Is the best network in its place? A kill may have fallen between two renames."""
        return (self._folder / "best" / "config.json").is_file()

    def validate(self, engine: TorchEngine, epoch: int, team: Team) -> dict[str, float]:
        """Mean IoU per view, every process taking its share of the images; empty if not due."""
        due = self._is_last(epoch) or epoch % self._recipe.train.validate_every == 0
        if not (due and self._data.validation):
            return {}
        views = engine.model.settings.views
        own = self._data.validation[team.rank :: team.size]
        scores, rule = {}, Protocol.of("ignore", self._data.table.names)
        for view, matrix in score_samples(engine, own, self._data.coder, views).items():
            whole = ConfusionMatrix(matrix.classes)
            whole.pairs += team.sum(torch.from_numpy(matrix.pairs)).numpy()
            scores[str(view)] = whole.scores(rule).mean_iou
        return scores

    def keep(self, model: GLNet, scores: dict[str, float], epoch: int, *, write: bool) -> bool:
        """Write what is due, if this process writes; says whether this is the best so far."""
        last = self._is_last(epoch)
        if not scores and not last:
            return False
        view = default_view(model.settings, scores)
        score = self._score(model, scores)
        best = not scores or score > self.best or (math.isnan(score) and self.best == -math.inf)
        if best:
            self.best = -math.inf if math.isnan(score) else score
        if write:
            for name in ("best", "last") if best else ("last",):
                self._write(name, model, view, scores, epoch)
        return best

    def _score(self, model: GLNet, scores: Mapping[str, float]) -> float:
        """What an epoch is judged by: of the views that the stage changes.

        Any other scores alike at every epoch, and where it is the best would keep the first.
        """
        if not scores:
            return math.inf
        settings, learnt = model.settings, loss_kinds(model, self._stage)
        fixed = settings.view != "validated" and settings.views[0] in learnt
        judged = settings.views[:1] if fixed else [v for v in settings.views if v in learnt]
        known = [scores[view] for view in judged if not math.isnan(scores[view])]
        return max(known, default=math.nan)

    def _is_last(self, epoch: int) -> bool:
        return epoch == self._recipe.train.stages.of(self._stage).epochs

    def _write(
        self, name: str, model: GLNet, view: View, scores: dict[str, float], epoch: int
    ) -> None:
        save_model(
            self._folder / name,
            model,
            self._data.table,
            view=view,
            origin=f"Trained by glnet: stage {self._stage}, epoch {epoch}.",
            scores={
                f"validation mIoU, {view}": score
                for view, score in scores.items()
                if not math.isnan(score)  # nothing was labelled
            },
            recipe=self._recipe.model_dump(mode="json"),
            trained_on=self._data.trained_on,
            licence=self._recipe.licence,
        )


def default_view(settings: ModelSettings, scores: Mapping[str, float]) -> View:
    """What a network gives where no view is asked for.

    Args:
        settings: Its settings.
        scores: What validation found of its views, NaN where nothing was labelled; may be empty.
    """
    if settings.view != "validated":
        return settings.views[0]
    known = [view for view in settings.views if not math.isnan(scores.get(view, math.nan))]
    return max(known, key=lambda view: scores[view], default=settings.views[0])
