"""`glnet info`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from glnet.bundle import BundleConfig, Contents, contents_of, find_model, read_config
from glnet.cli.options import MODEL_HELP, harmless, plain_console
from glnet.datasets.classes import ClassTable
from glnet.engines.tables import table_of


def info_command(
    model: Annotated[Path, typer.Argument(help=f"{MODEL_HELP}.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what a model folder holds.

    What the model is, which files there are, and whether they belong together.
    """
    folder = find_model(model)
    config = read_config(folder)
    table, contents = table_of(folder, config), contents_of(folder)
    if as_json:
        typer.echo(json.dumps(_told(folder, config, table, contents), indent=2))
        return
    console = plain_console()
    console.print(harmless(str(folder)), style="bold", soft_wrap=True)
    for line in _lines(config, contents):
        console.print(harmless(line), soft_wrap=True)
    console.print(_classes(table))
    console.print(_files(contents))
    for line in _remarks(contents):
        console.print(harmless(line), soft_wrap=True)


def _told(
    folder: Path, config: BundleConfig, table: ClassTable, contents: Contents
) -> dict[str, object]:
    """All of it but the recipe, which the config has."""
    return {
        "folder": str(folder),
        **config.model_dump(mode="json", exclude={"recipe", "classes"}),
        "classes": table.as_dicts(),
        "parameters": contents.parameters,
        "files": contents.files,
        "others": list(contents.others),
        "graphs": {
            "exported": list(contents.graphs),
            "int8": contents.int8,
            "usable": bool(contents.graphs) and not contents.unusable,
            "why_not": contents.unusable,
        },
    }


def _lines(config: BundleConfig, contents: Contents) -> Iterator[str]:
    model, known = config.model, config.trained_on
    yield config.origin
    sharing = model.sharing if model.branches == "both" else "none"
    yield f"{model.network} on {model.trunk}, branches: {model.branches}, sharing: {sharing}"
    yield model.takes
    yield f"gives its {model.views[0]} view where none is asked for"
    count = "weights are not here" if contents.parameters is None else f"{contents.parameters:,}"
    yield f"parameters: {count}"
    if known is None:
        yield "trained on: not known"
    else:
        ground = "" if known.resolution is None else f", {known.resolution:.4g} m per pixel"
        images = "" if known.images is None else f"{known.images} images, "
        alike = known.median == known.largest
        sides = f"{known.median} px" + ("" if alike else f" (median) to {known.largest} px")
        yield f"trained on: {images}scenes of {sides}{ground}"
    for name, score in config.scores.items():
        yield f"{name}: {score:.4f}"
    yield f"licence: {config.licence or 'not stated'}"
    yield f"written by glnet {config.glnet}, format {config.format}"


def _classes(table: ClassTable) -> Table:
    written = {row.value for row in table.trained}
    notes = [
        "ignored" if row.ignored else "" if row.value in written else "read, not written"
        for row in table.rows
    ]
    shown = Table("class", "value", "colour", *(["note"] if any(notes) else []))
    for row, note in zip(table.rows, notes, strict=True):
        red, green, blue = row.colour
        colour = Text("  ", style=f"on rgb({red},{green},{blue})").append(
            f" #{bytes(row.colour).hex()}", style="default on default"
        )
        cells = (harmless(row.name), str(row.value), colour, note)
        shown.add_row(*cells[: len(shown.columns)])
    return shown


def _files(contents: Contents) -> Table:
    shown = Table("file")
    shown.add_column("bytes", justify="right")
    for name, size in contents.files.items():
        shown.add_row(name, f"{size:,}")
    return shown


def _remarks(contents: Contents) -> Iterator[str]:
    if not contents.graphs:
        yield "graphs: not exported; a CPU needs PyTorch, or glnet export"
    elif contents.unusable:
        yield f"graphs: not usable: {contents.unusable}"
    else:
        more = ", in int8 too" if contents.int8 else ""
        whose = "these weights" if contents.parameters is not None else "weights that are not here"
        yield f"graphs: {', '.join(contents.graphs)}{more}; of {whose}"
    for name in contents.others:
        yield f"{name}: not glnet's, never read"
