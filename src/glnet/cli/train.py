"""`glnet train`: a progress display on a terminal, plain lines when piped, JSON on request."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from glnet.cli.options import one_of
from glnet.recipe import STAGES, Stage, load_recipe

if TYPE_CHECKING:
    from glnet.training.records import EpochRecord, Record, StepRecord


def train_command(
    recipe: Annotated[Path, typer.Argument(help="YAML recipe.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder; default: runs/RECIPE.")
    ] = None,
    stage: Annotated[
        list[str] | None, typer.Option(help=f"Only this one of: {', '.join(STAGES)}.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print failures only.")] = False,
    log_format: Annotated[str, typer.Option(help="text, or json: one object a line.")] = "text",
) -> None:
    """Train the stages of a recipe; leaves the best and last of each, and the whole model."""
    one_of(log_format, ("text", "json"), "--log-format")
    for name in stage or []:
        one_of(name, STAGES, "--stage")
    settings = load_recipe(recipe)
    folder = out or Path("runs") / recipe.stem
    from glnet.api import train  # noqa: PLC0415  see predict

    records = train(settings, folder, cast("list[Stage] | None", stage or None))
    if quiet:
        for _ in records:
            pass
    elif log_format == "json":
        for record in records:
            kind = type(record).__name__.removesuffix("Record").lower()
            print(json.dumps({"record": kind, **dataclasses.asdict(record)}), flush=True)
    elif sys.stdout.isatty():
        _show(records)
    else:
        for record in records:
            _line(record, lambda text: print(text, flush=True))


def _line(record: "Record", say: Callable[[str], None]) -> None:
    """One plain line per epoch and note."""
    if hasattr(record, "text"):
        say(record.text)
    elif hasattr(record, "epochs"):
        say(_epoch(record))


def _epoch(record: "EpochRecord") -> str:
    scores = "".join(f", {view} mIoU {100 * s:.1f}" for view, s in record.mean_iou.items())
    best = " (best)" if record.best and record.mean_iou else ""
    return (
        f"{record.stage} epoch {record.epoch}/{record.epochs}: loss {record.loss:.4f}"
        f"{scores}{best}, rate {record.learning_rate:.1e}, {_clock(record.seconds)}"
    )


def _show(records: "object") -> None:
    """A bar per stage, under it what validation found."""
    console = Console()
    columns = (TextColumn("{task.description:15}"), BarColumn(), TextColumn("{task.fields[now]}"))
    with Progress(*columns, console=console) as progress:
        tasks = {}
        for record in cast("list[Record]", records):
            if hasattr(record, "remaining"):
                step = cast("StepRecord", record)
                if step.stage not in tasks:
                    tasks[step.stage] = progress.add_task(step.stage, total=step.steps, now="")
                now = (
                    f"step {step.step}/{step.steps}  loss {step.losses['loss']:.4f}  "
                    f"rate {step.learning_rate:.1e}  {_clock(step.remaining)} left"
                )
                progress.update(tasks[step.stage], completed=step.step, now=now)
            elif getattr(record, "mean_iou", True):
                _line(record, progress.console.print)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
