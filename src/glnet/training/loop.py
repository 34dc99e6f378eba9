"""The loop: stages in order, epochs of steps, validation, checkpoints, best and last kept.

`train` is a generator of records; whoever consumes it decides what to print and to keep. On disk
it leaves, per stage, `STAGE/best` and `STAGE/last`, each a bundle that predicts, and `model`, the
best of the last stage; while it runs, `checkpoint.pt`, from which the same call goes on.
"""

import contextlib
import itertools
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from glnet.bundle import read_bundle, weights_digest, write_bundle
from glnet.datasets.classes import ClassTable
from glnet.engines.export import export_if_possible
from glnet.errors import RecipeError, RunError
from glnet.outputs.files import whole_or_nothing
from glnet.recipe import Recipe, Stage, dump_recipe
from glnet.training.checkpoint import (
    Standing,
    alone_in,
    difference,
    identity,
    read_standing,
    write_standing,
)
from glnet.training.data import TrainingData, read_data
from glnet.training.losses import PixelLoss
from glnet.training.memory import fit_memory
from glnet.training.records import NoteRecord, Record
from glnet.training.stage_run import Run, StageRun
from glnet.training.team import Team, assemble


def train(
    recipe: Recipe,
    out: str | Path,
    stages: Sequence[Stage] | None = None,
    *,
    restart: bool = False,
    given: Mapping[Stage, str | Path] | None = None,
    progress: Callable[[int, int], object] = lambda _, __: None,
) -> Generator[Record, None, None]:
    """Train the stages of a recipe in order, or some of them, as the records are asked for.

    A run that was stopped goes on from its last checkpoint, in the middle of an epoch, and ends
    with the same weights; one that is finished is left as it is.

    Args:
        recipe: The run.
        out: Its folder; made where it does not exist.
        stages: Which to run, finished or not; the one before the first must then lie in `out`.
            Default: all that are not finished.
        restart: Forget a checkpoint that lies in `out`.
        given: Models of earlier stages that another run has trained alike; they are copied, and
            their stages count as finished.
        progress: Told how many masks were checked, and of how many, before the first record.

    Raises:
        GlnetError: anything a user can mend, found before the first step where it can be.
    """
    out = Path(out)
    chosen = _check_stages(recipe, out, stages)
    data = read_data(recipe, progress)
    loss = _pixel_loss(recipe, data.table)
    _check_background(recipe, data.table)
    team = assemble(recipe.train)
    _make_folder(out)
    with alone_in(out) if team.leads else contextlib.nullcontext():
        run = identity(recipe, data.train + data.validation, data.table)
        standing = Standing(run) if restart else _standing(out, run, stages)
        recipe, standing, fits = _fitted(recipe, data, standing, team)
        team.wait()  # all have read where the run stands before the first one changes it
        standing = _take_over(out, standing, given or {}, recipe, team)
        yield from map(NoteRecord, [*data.notes, *fits])
        left = _left(chosen, standing, named=stages is not None)
        if left and team.leads:
            _write_resolved(recipe, out)
        if not left and not given:
            yield NoteRecord(f"{out} is trained already; --restart trains it again")
        context = Run(recipe, out, team, loss, data)
        for stage in left:
            if standing.stage != stage:
                standing = standing.begin(stage)
                _write(out, standing, team)
            stage_run = StageRun(context, stage, standing)
            yield from stage_run.records()
            standing = standing.end(stage_run.logged)
            team.wait()
        if left:
            _write(out, standing, team)
        if chosen[-1] == recipe.model.stages[-1] and team.leads:
            best = out / chosen[-1] / "best"
            config, tensors = read_bundle(best)
            # Else it stays as it is, with whatever was exported or written into its folder.
            if weights_digest(out / "model") != weights_digest(best):
                write_bundle(out / "model", config, tensors)
            if recipe.model.view == "validated":
                yield NoteRecord(f"predictions give the {config.model.view} view by default")
            yield from map(NoteRecord, export_if_possible(out / "model"))
    if chosen[-1] == recipe.model.stages[-1]:
        yield NoteRecord(f"the trained model is {out / 'model'}")


def _standing(out: Path, run: dict[str, object], stages: Sequence[Stage] | None) -> Standing:
    """Where the run in a folder stands; refuses to go on with another's work, or to undo it.

    Raises:
        RunError: the folder holds another run that this one would go on from, or a stage that was
            stopped and is not to be run.
    """
    found = read_standing(out)
    if found is None or (stages is None and not found.finished and not found.state):
        return Standing(run)  # nothing was trained: what ended it, a bad image perhaps, is mended
    place = difference(found.run, run)
    if place is not None and (stages is None or found.stage is not None):
        msg = (
            f"{out}: holds a run of another recipe or other data (they differ in {place}); name "
            "another folder, or say --restart to train anew"
        )
        raise RunError(msg)
    if stages is not None and found.stage is not None and found.stage not in stages:
        msg = (
            f"{out}: stage {found.stage} was stopped there and is not finished; run it first, or "
            "say --restart to forget it"
        )
        raise RunError(msg)
    return found if place is None else Standing(run, log=found.log)


def _left(chosen: Sequence[Stage], standing: Standing, *, named: bool) -> list[Stage]:
    """The stages to run: what is finished is run again only if it was asked for by name.

    After one that is run no later one counts as finished: it was built on another.
    """
    goes_on = standing.stage in chosen
    again = named and not goes_on
    done = () if again else standing.finished
    kept = list(itertools.takewhile(lambda stage: stage in done, chosen))
    return list(chosen[len(kept) :])


def _fitted(
    recipe: Recipe, data: TrainingData, standing: Standing, team: Team
) -> tuple[Recipe, Standing, list[str]]:
    """The recipe with the mini-batch that its memory allows; a begun run keeps the one it has."""
    said = []
    if standing.mini_batch is not None:
        train = recipe.train.model_copy(update={"mini_batch": standing.mini_batch})
        recipe = recipe.model_copy(update={"train": train})
    elif recipe.train.memory is not None:
        samples = data.train + data.validation
        kind = team.fabric.device.type
        recipe, text = fit_memory(recipe, len(data.table.trained), samples, kind)
        said = [text]
    return recipe, replace(standing, mini_batch=recipe.train.mini_batch), said


def _take_over(
    out: Path, standing: Standing, given: Mapping[Stage, str | Path], recipe: Recipe, team: Team
) -> Standing:
    """The first stages from other runs, as far as they are given and nothing was begun."""
    if standing.stage is not None:
        return standing
    for stage in recipe.model.stages[len(standing.finished) :]:
        if stage not in given:
            break
        if team.leads:
            write_bundle(out / stage / "best", *read_bundle(given[stage]))
        standing = replace(standing, finished=(*standing.finished, stage))
    _write(out, standing, team)
    team.wait()
    return standing


def _write(out: Path, standing: Standing, team: Team) -> None:
    if team.leads:
        write_standing(out, standing)


def _check_stages(recipe: Recipe, out: Path, stages: Sequence[Stage] | None) -> Sequence[Stage]:
    found: object = recipe
    if not isinstance(found, Recipe):
        msg = f"train: wanted a Recipe, found {type(found).__name__}; see glnet.load_recipe"
        raise RecipeError(msg)
    own = recipe.model.stages
    chosen = own if stages is None else [stage for stage in own if stage in stages]
    lacking = [stage for stage in stages or () if stage not in own]
    if lacking or not chosen:
        found = f"has no stage '{lacking[0]}'" if lacking else "was given no stage to train"
        msg = f"this network {found}; it has: {', '.join(own)}"
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


def _check_background(recipe: Recipe, table: ClassTable) -> None:
    search = recipe.model.coarse_to_fine
    if search is not None and search.background >= len(table.trained):
        names = ", ".join(f"{i} {name}" for i, name in enumerate(table.names))
        msg = f"model.coarse_to_fine.background: no class {search.background}; there are: {names}"
        raise RecipeError(msg)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / ".lock").touch()
    except OSError as error:
        msg = f"{out}: a run cannot be written there ({error})"
        raise RunError(msg) from error


def _write_resolved(recipe: Recipe, out: Path) -> None:
    with whole_or_nothing(out / "resolved.yaml") as partial:
        partial.write_text(dump_recipe(recipe), encoding="utf-8")
