"""`glnet data`: published data sets, as downloaded."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from glnet.catalogue.found import PUBLISHED, find
from glnet.catalogue.indexing import tables_in, write_tables
from glnet.catalogue.published import Published
from glnet.catalogue.reading import read_all, whole_images
from glnet.catalogue.survey import Survey, survey
from glnet.cli.options import plain_console
from glnet.cli.progress import progress_of
from glnet.cli.stopping import NOTHING, WRITING, when_stopped
from glnet.datasets.problems import Problems
from glnet.recipe.paths import refuse_existing

data = typer.Typer(
    help="Check and index published data sets, as downloaded.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Root = Annotated[Path, typer.Argument(help="The folder that the data set was unpacked into.")]
Name = Annotated[
    str | None, typer.Option(help="Which data set it is, where the layout leaves it open.")
]
Partial = Annotated[
    bool, typer.Option("--partial", help="Take what is there, leave out what is missing.")
]


@data.command("list")
def list_command() -> None:
    """List the known data sets.

    What they are, where to get them, how they lie on the disk.
    """
    for one in PUBLISHED:
        facts = {
            "images": f"{one.images}; {len(one.classes.trained)} classes",
            "split": _splits(one),
            "licence": one.licence,
            "from": one.where,
            "laid out": one.layout,
        }
        plain_console().print(f"{one.name}: {one.title}", style="bold")
        _say(*(f"  {name:8}  {fact}" for name, fact in facts.items()), "")


@data.command("check")
@when_stopped(NOTHING)
def check_command(root: Root, name: Name = None, partial: Partial = False) -> None:
    """Say what is missing or broken in a data set.

    Which one it is is found by its layout; every pixel is read.
    """
    problems = Problems()
    found = _survey(root, name, problems, partial=partial)
    with progress_of("images and masks") as progress:
        notes = read_all(found, problems, progress)
    _show(found, notes)
    problems.refuse()
    _say(f"sound: {len(whole_images(found))} images and their masks, read to the last pixel")


@data.command("index")
@when_stopped(NOTHING)
def index_command(
    root: Root,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for manifest.csv and classes.csv.")
    ],
    name: Name = None,
    partial: Partial = False,
    train_unknown: Annotated[
        bool, typer.Option("--train-unknown", help="Train unknown ground as a class.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
) -> None:
    """Write the manifest and class table of a data set."""
    problems = Problems()
    if not force:
        refuse_existing(tables_in(out))
    found = _survey(root, name, problems, partial=partial)
    problems.refuse()
    with when_stopped(WRITING):
        write_tables(found, out, train_unknown=train_unknown)
    _show(found, [])
    manifest, classes = tables_in(out)
    _say(f"written: {manifest.as_posix()}", f"written: {classes.as_posix()}")
    one, folder = found.published, out.as_posix()
    tolerance = f" --tolerance {one.tolerance}" if one.tolerance else ""
    _say(f"then: glnet init {folder}{tolerance} -o {folder}/recipe.yaml")
    _say(f"and: {_evaluate(one)} --manifest {manifest.as_posix()}{tolerance}")


def _survey(root: Path, name: str | None, problems: Problems, *, partial: bool) -> Survey:
    published, home = find(root, name)
    return survey(root, published, home, problems, partial=partial)


def _show(found: Survey, notes: list[str]) -> None:
    """What it is and what is there, before anything that is wrong."""
    one = found.published
    _say(f"{one.title} ({one.name}): {one.images}; licence: {one.licence}; from {one.where}")
    table = Table()
    for column in ("split", "there", "published", "fingerprint of the ids"):
        table.add_column(column)
    for split, (own, verdict) in found.fingerprints().items():
        count = str(len(found.ids[split]))
        table.add_row(split, count, str(one.splits[split]), f"{own} {verdict}".rstrip())
    plain_console().print(table)
    _say(f"counted as: {one.metric}")
    _say(*(f"- {note}" for note in (*one.notes, *found.notes, *notes)))


def _evaluate(one: Published) -> str:
    options = "" if one.reported == "test" else f" --split {one.reported}"
    options += "" if one.protocol == "ignore" else f" --protocol {one.protocol}"
    return f"glnet evaluate --model run/model{options}"


def _splits(one: Published) -> str:
    return ", ".join(f"{count} {split}" for split, count in one.splits.items())


def _say(*lines: str) -> None:
    """Broken between words on a terminal, left whole for whatever reads a pipe."""
    console = plain_console()
    for line in lines:
        console.print(line, soft_wrap=not console.is_terminal)
