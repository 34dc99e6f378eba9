"""Where the weights of a stage start from: earlier stages, another model, pretraining, chance."""

from pathlib import Path

import torch
from torch import Tensor

from glnet.datasets.classes import ClassTable
from glnet.engines.models import load_model
from glnet.errors import RecipeError, RunError
from glnet.model import GLNet, build_glnet
from glnet.model.branch import Branch
from glnet.model.initialise import start_aggregation, start_alone, start_pyramid, start_refined
from glnet.recipe import ModelSettings, Recipe, Stage
from glnet.training.parts import trained_parts

#: A part that a stage trains further, whatever `start_from` holds.
_KEPT: tuple[Stage, str] = ("local_to_global", "aggregation")


def build_stage(recipe: Recipe, out: Path, stage: Stage, table: ClassTable) -> GLNet:
    """The network of a stage, earlier stages' parts from their best; its own parts are random.

    Raises:
        RunError: the folder holds earlier stages of another network.
    """
    own = recipe.model.stages
    torch.manual_seed(recipe.train.seed + 1 + own.index(stage))
    model = build_glnet(recipe.model.after(stage), len(table.trained))
    earlier = own[: own.index(stage)]
    if earlier:
        trained, known = load_model(out / earlier[-1] / "best")
        if known != table or not _alike(trained.settings, model.settings.after(earlier[-1])):
            msg = f"{out / earlier[-1]}: was trained with other model settings or classes; "
            raise RunError(msg + "name another run folder, or train that stage again")
        model.load_state_dict(trained.state_dict(), strict=False)
    return model


def _alike(one: ModelSettings, other: ModelSettings) -> bool:
    """Do both compute the same? Which view is given by default is chosen by validation."""
    return one.model_copy(update={"view": None}) == other.model_copy(update={"view": None})


def start_stage(model: GLNet, recipe: Recipe, stage: Stage, table: ClassTable) -> str | None:
    """Give a stage's own parts their start.

    Returns:
        What was taken over from `start_from`, in a sentence, if anything.

    Raises:
        GlnetError: the weights to start from cannot be had or belong to another network.
    """
    train = recipe.train
    source, known = load_model(train.start_from) if train.start_from else (None, None)
    # The aggregation of the last stage is the one just trained, with the local branch at hand.
    parts = [name for name in trained_parts(model, stage) if (stage, name) != _KEPT]
    taken = [name for name in parts if getattr(source, name, None) is not None]
    if stage == "local_to_global":
        start_refined(model, train.refined_start)
    else:
        name = "global_branch" if stage == "global" else "local_branch"
        branch = getattr(model, name)
        if branch is not None and train.trunk_weights != "none" and name not in taken:
            branch.trunk.load(train.trunk_weights)
        if isinstance(branch, Branch):  # a rival keeps its library's start
            start_pyramid(branch, train.initialisation)
        start_aggregation(model, train.initialisation)
        if train.local_start == "alone":
            start_alone(model)
    if source is None or known is None:
        return None
    if not taken:
        _check_some(recipe, source)
        return None
    rows = {i: known.names.index(n) for i, n in enumerate(table.names) if n in known.names}
    for name in taken:
        _take_over(model, source, name, rows, str(train.start_from))
    new = [name for name in table.names if name not in known.names]
    anew = f"; new classes: {', '.join(new)}" if new else ""
    if source.settings.input != model.settings.input:
        anew += "; it learnt from pixels of another scale, mean or deviation (model.input)"
    return f"{stage} starts from {train.start_from}: {', '.join(taken)}{anew}"


def _check_some(recipe: Recipe, source: GLNet) -> None:
    """Refuse a model of which no stage takes anything: the run would not start from it at all."""
    named = ("global_branch", "local_branch")
    wanted = [n for n, s in zip(named, ("global", "global_to_local"), strict=True)
              if s in recipe.model.stages]  # fmt: skip
    found = [name for name in named if getattr(source, name) is not None]
    if not set(wanted) & set(found):
        has, asks = (", ".join(names).replace("_", " ") for names in (found, wanted))
        msg = f"train.start_from: {recipe.train.start_from} has a {has} alone, wanted a {asks}"
        raise RecipeError(msg)


@torch.no_grad()
def _take_over(model: GLNet, source: GLNet, part: str, rows: dict[int, int], folder: str) -> None:
    """Copy one part of a trained model, its class layers class by class (ours: theirs)."""
    found = getattr(source, part).state_dict()
    for key, own in getattr(model, part).state_dict().items():
        given = found.get(key)
        if given is not None and (part == "aggregation" or key.startswith("classify.")):
            given = _rows_of(given, own, rows)
        if given is None or given.shape != own.shape:
            state = "is missing" if given is None else f"has shape {tuple(given.shape)}"
            msg = (
                f"train.start_from: {folder} is of another network than the recipe's: "
                f"{part}.{key} {state}, wanted {tuple(own.shape)}"
            )
            raise RecipeError(msg)
        own.copy_(given)


def _rows_of(given: Tensor, own: Tensor, rows: dict[int, int]) -> Tensor:
    """A class layer's tensor with the rows of known classes taken over."""
    if given.shape[1:] != own.shape[1:]:
        return given
    out = own.clone()
    for ours, theirs in rows.items():
        out[ours] = given[theirs]
    return out
