"""`glnet benchmark`."""

import contextlib
import csv
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from glnet.benchmark.study import load_study
from glnet.cli.options import plain_console
from glnet.cli.progress import Watch, progress_of
from glnet.cli.stopping import GOES_ON, when_stopped
from glnet.recipe import read_settings


def benchmark_command(
    study: Annotated[Path, typer.Argument(help="YAML study: entries, seeds, folds.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for runs and tables.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with manifest.csv and classes.csv, instead of the study's."),
    ] = None,
    over: Annotated[
        Path | None, typer.Option(help="YAML settings laid over every entry's recipe.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this entry.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds, e.g. 0,1,2.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Do all runs again.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the table only.")] = False,
) -> None:
    """Train and score several recipes for one table.

    A study lists them; each is run over its seeds and folds.

    What is finished is not done again: the same command goes on where it was stopped.
    """
    settings = read_settings(over) if over else None
    chosen = load_study(study, data=data, over=settings, only=only or (), seeds=_numbers(seeds))
    from glnet.benchmark.run import benchmark  # noqa: PLC0415  see predict
    from glnet.cli.train import print_record, show_step  # noqa: PLC0415

    began = False  # what is refused has no table, an earlier one is of other settings
    words = GOES_ON if not restart else f"without --restart {GOES_ON}"
    try:
        with (
            when_stopped(words),
            contextlib.nullcontext(Watch("")) if quiet else progress_of("images") as progress,
        ):
            records = benchmark(chosen, out, restart=restart, said=progress.say, progress=progress)
            for record in records:
                began = True
                if not quiet:
                    show_step(record, progress)
                    print_record(record)
    finally:
        if began and (out / "table.csv").is_file():
            _show(out / "table.csv")
            others = "table.md, table.csv, runs.csv, figure.png if drawn"
            typer.echo(f"written: {out / 'report.html'}, {others}")


def _show(path: Path) -> None:
    """The columns that fit a terminal; the others are in the files."""
    columns = {
        "mIoU": ("mean_iou", 100, 1),
        "±": ("spread", 100, 1),
        "from": ("low", 100, 1),
        "to": ("high", 100, 1),
        "paper": ("published_percent", 1, 1),
        "patches": ("patches", 100, 0),
        "MB": ("memory_mb", 1, 0),
        "MP/s": ("file_to_mask_mps", 1, 2),
        "min": ("training_seconds", 1 / 60, 1),
    }
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table = Table("entry")
    shown = {name: of for name, of in columns.items() if any(row[of[0]] for row in rows)}
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cells = (
            f"{factor * float(row[column]):.{digits}f}" if row[column] else "-"
            for column, factor, digits in shown.values()
        )
        table.add_row(row["entry"], *cells)
    plain_console().print(table)


def _numbers(text: str | None) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError as error:
        msg = f"--seeds: wanted whole numbers such as 0,1,2; got '{text}'"
        raise typer.BadParameter(msg) from error
