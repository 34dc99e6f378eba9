"""`glnet benchmark`."""

from pathlib import Path
from typing import Annotated

import typer

from glnet.benchmark.study import load_study
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
    """Train and evaluate a list of entries over seeds and folds, and write one table.

    What is finished is not done again: the same command goes on where it was stopped.
    """
    settings = read_settings(over) if over else None
    chosen = load_study(study, data=data, over=settings, only=only or (), seeds=_numbers(seeds))
    from glnet.benchmark.run import benchmark  # noqa: PLC0415  see predict
    from glnet.cli.train import print_record  # noqa: PLC0415

    try:
        for record in benchmark(chosen, out, restart=restart):
            if not quiet:
                print_record(record)
    finally:
        table = out / "table.md"
        if table.is_file():
            typer.echo(f"\n{table.read_text(encoding='utf-8')}")
            typer.echo(f"{table}, table.csv, runs.csv and, with matplotlib, figure.png")


def _numbers(text: str | None) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError as error:
        msg = f"--seeds: wanted whole numbers such as 0,1,2; got '{text}'"
        raise typer.BadParameter(msg) from error
