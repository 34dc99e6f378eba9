"""`glnet train`: a progress display on a terminal, plain lines when piped, JSON on request."""

import dataclasses
import itertools
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from glnet.cli.options import goes_with, one_of
from glnet.cli.progress import Watch, clock, memory_now, progress_of
from glnet.cli.stopping import GOES_ON, until_terminated, when_stopped
from glnet.cluster import Cluster
from glnet.errors import GatheredError
from glnet.recipe import STAGES, Recipe, Stage, load_recipe
from glnet.training.records import EpochRecord, NoteRecord, Pace, Record, StepRecord


def train_command(
    recipes: Annotated[list[Path], typer.Argument(help="YAML recipe; with --ray, several.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder; default: runs/RECIPE.")
    ] = None,
    stage: Annotated[
        list[str] | None, typer.Option(help=f"Only this one of: {', '.join(STAGES)}.")
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget what a stopped run left in the folder.")
    ] = False,
    memory: Annotated[
        str | None, typer.Option(help="What training may take, e.g. 2GiB; lowers train.mini_batch.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="Train each on a Ray cluster: its address, or local.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --ray, how many train at a time.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="With --ray, of each.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print failures only.")] = False,
    log_format: Annotated[str, typer.Option(help="text, or json: one object a line.")] = "text",
) -> None:
    """Train a recipe; goes on where it was stopped.

    The best and last of each stage and the whole model are left. A run that was stopped goes on
    where it was when the same command is given again.
    """
    one_of(log_format, ("text", "json"), "--log-format")
    for name in stage or []:
        one_of(name, STAGES, "--stage")
    goes_with("--ray", ray, workers=workers, threads=threads)
    over = {"train": {"memory": memory}} if memory else None
    if ray is not None:
        if out is not None or stage or restart or log_format == "json":
            msg = "with --ray runs lie in runs/RECIPE, whole; leave --out, --stage, --restart, json"
            raise typer.BadParameter(msg)
        folders = [Path("runs") / recipe.stem for recipe in recipes]
        if len(set(folders)) < len(folders):
            msg = "two recipes of one name would share a run folder; rename one"
            raise typer.BadParameter(msg)
        runs = {f: load_recipe(r, over) for f, r in zip(folders, recipes, strict=True)}
        with when_stopped(GOES_ON):
            _train_there(Cluster(ray, workers, threads), runs, quiet=quiet)
        return
    if len(recipes) > 1:
        msg = "several recipes are trained with --ray ADDRESS, or --ray local; or name one"
        raise typer.BadParameter(msg)
    recipe, stages = recipes[0], cast("list[Stage] | None", stage or None)
    settings, folder = load_recipe(recipe, over), out or Path("runs") / recipe.stem
    words = GOES_ON if not restart else f"without --restart {GOES_ON}"
    with when_stopped(words):
        from glnet.training.loop import train  # noqa: PLC0415  see predict

        def begin(checked: Watch | None) -> Iterator[Record]:
            shown = checked or (lambda _, __: None)
            records = train(settings, folder, stages, restart=restart, progress=shown)
            return until_terminated(records, words)

        # Of several processes under torchrun the first one speaks.
        _consume(begin, log_format, quiet=quiet or os.environ.get("RANK", "0") != "0")


def _consume(
    begin: Callable[[Watch | None], Iterator[Record]], log_format: str, *, quiet: bool
) -> None:
    """Train, and tell of it or not."""
    if quiet:
        for _ in begin(None):
            pass
    elif log_format == "json":
        for record in begin(None):
            kind = type(record).__name__.removesuffix("Record").lower()
            print(json.dumps({"record": kind, **_without_nan(record)}), flush=True)
    else:
        _tell(begin)


def _train_there(cluster: Cluster, runs: dict[Path, Recipe], *, quiet: bool) -> None:
    """Train on a cluster; a line for every run that ends.

    Raises:
        GatheredError: runs that failed, after the others were trained.
    """
    from glnet.training.several import train_there  # noqa: PLC0415  see predict

    failed = []
    with progress_of("runs") as progress:
        for done, found in enumerate(train_there(cluster, runs), start=1):
            progress(done, len(runs))
            name = found.folder.name
            if found.error is not None:
                failed.append(f"{name}: {str(found.error).splitlines()[0]}")
            elif not quiet:
                text = "finished before" if found.last is None else _epoch(found.last)
                typer.echo(f"{name}: {text}")
    if failed:
        raise GatheredError(failed)


def _without_nan(record: Record) -> dict[str, object]:
    """Plain values; a score that is not defined is null, for JSON knows no NaN."""
    values = dataclasses.asdict(record)
    if isinstance(record, EpochRecord):
        scores = record.mean_iou.items()
        values["mean_iou"] = {v: None if math.isnan(score) else score for v, score in scores}
    return values


def _tell(begin: Callable[[Watch], Iterator[Record]]) -> None:
    """Say what the data's check and then the training come to, as fits whoever reads it."""
    with progress_of("masks checked") as progress:
        records = begin(progress)
        # The check is over when the first one comes.
        first = list(itertools.islice(records, 1))
        records = itertools.chain(first, records)
        if not sys.stdout.isatty():
            for record in records:
                show_step(record, progress)
                print_record(record)
            return
    _show(records)


def show_step(record: Record, progress: Watch) -> None:
    """Tell a watch of the step that was done, if one was."""
    if isinstance(record, StepRecord):
        if progress.what != (what := f"steps of {record.stage}"):
            progress.say(what)
        progress(record.step, record.steps)


def print_record(record: Record) -> None:
    """What plain output says of a record."""
    _line(record, lambda text: print(text, flush=True))


def _line(record: Record, say: Callable[[str], object]) -> None:
    """One plain line per epoch and note."""
    if isinstance(record, NoteRecord):
        say(record.text)
    elif isinstance(record, EpochRecord):
        say(_epoch(record))


def _epoch(record: EpochRecord) -> str:
    scores = "".join(f", {view} mIoU {100 * s:.1f}" for view, s in record.mean_iou.items())
    best = " (best)" if record.best and record.mean_iou else ""
    return (
        f"{record.stage} epoch {record.epoch}/{record.epochs}: loss {record.loss:.4f}"
        f"{scores}{best}, rate {record.learning_rate:.1e}, {_at(record.pace)}"
    )


def _show(records: Iterable[Record]) -> None:
    """A bar per stage, under it what validation found."""
    console = Console()
    columns = (TextColumn("{task.description:15}"), BarColumn(), TextColumn("{task.fields[now]}"))
    with Progress(*columns, console=console) as progress:
        bars: dict[Stage, TaskID] = {}
        for record in records:
            if isinstance(record, StepRecord):
                if record.stage not in bars:
                    total = record.steps
                    bars[record.stage] = progress.add_task(record.stage, total=total, now="")
                pace = record.pace
                now = (
                    f"{record.step}/{record.steps} loss {record.losses['loss']:.3f} "
                    f"rate {record.learning_rate:.0e} {pace.images:.2g}/s, "
                    f"{pace.waiting:.0%} waiting, {clock(pace.remaining)} left"
                )
                now = ", ".join([now, *memory_now()])
                progress.update(bars[record.stage], completed=record.step, now=now)
            elif isinstance(record, NoteRecord) or record.mean_iou:
                _line(record, lambda text: progress.console.print(text, markup=False))


def _at(pace: Pace) -> str:
    return (
        f"{pace.images:.2g} images/s, {pace.waiting:.0%} waiting for them, "
        f"{clock(pace.remaining)} left"
    )
