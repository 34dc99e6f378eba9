"""`glnet init`: a folder of labelled images in, a recipe with reasons out."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from glnet.cli.options import Device, Tolerance, plain_console
from glnet.cli.progress import progress_of
from glnet.cli.stopping import NOTHING, WRITING, when_stopped
from glnet.planning.choices import percent
from glnet.planning.plan import Plan, plan
from glnet.planning.summary import ignored, in_order, span
from glnet.planning.wishes import Wishes


@when_stopped(NOTHING)
def init_command(
    folder: Annotated[Path, typer.Argument(help="Images and masks.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The recipe to write.")] = Path(
        "recipe.yaml"
    ),
    manifest: Annotated[
        Path | None, typer.Option(help="CSV: image, mask, split; used as it is.")
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="Class table; used as it is.")] = None,
    tolerance: Tolerance = 0,
    hours: Annotated[float, typer.Option(help="What training may take on this machine.")] = 8.0,
    memory: Annotated[
        str | None,
        typer.Option(help="E.g. 4GiB; default: 2GiB on a GPU, half of what is free on a CPU."),
    ] = None,
    trunk: Annotated[str, typer.Option(help="Any timm model with four stages.")] = "resnet50",
    trunk_weights: Annotated[str, typer.Option(help="imagenet, none, or a file.")] = "imagenet",
    shrink: Annotated[
        int | None,
        typer.Option(min=1, help="Pixels to one of the network's; default: by time and masks."),
    ] = None,
    device: Device = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of splits and training.")] = 0,
    group: Annotated[
        str | None,
        typer.Option(help="What of an image's path names its patient or place, e.g. 'P[0-9]+'."),
    ] = None,
    folds: Annotated[int, typer.Option(min=0, help="Recipes for cross-validation.")] = 0,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Time some steps here, or assume.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
) -> None:
    """Write a recipe from a folder of images and masks.

    Every setting is chosen from the images, with its reason; a manifest and a class table come too.
    """
    wishes = Wishes(
        manifest, classes, tolerance, hours, memory, trunk, trunk_weights, shrink, device, seed,
        group, folds, measure, force,
    )  # fmt: skip
    with progress_of("looking for images and masks") as progress:
        made = plan(folder, out, wishes, progress.say, progress)
    with when_stopped(WRITING):
        made.write()
    _print(made, plain_console())


def _print(made: Plan, console: Console) -> None:
    console.print(_bands(made))
    console.print(_classes(made))
    lines = [f"- {note}" for note in made.notes]
    lines += [f"written: {path}" for path in [*made.tables, *made.recipes]]
    lines += [f"next: glnet train {path}" for path in made.recipes]
    for line in lines:
        # Broken between words on a terminal, left whole for whatever reads a pipe.
        console.print(line, soft_wrap=not console.is_terminal)


def _bands(made: Plan) -> Table:
    """Images by split, and the mean and deviation of their bands."""
    kind = made.images[0]
    table = Table(title=f"Images, {kind.bands} bands of {kind.dtype}", title_justify="left")
    for name in ("split", "images", "height x width", "mean", "deviation"):
        table.add_column(name)
    for split in in_order(made.splits):
        own = [im for im, its in zip(made.images, made.splits, strict=True) if its == split]
        moments = own[0].moments
        for image in own[1:]:
            moments = moments.plus(image.moments)
        numbers = [
            " ".join(f"{value:.4g}" for value in values)
            for values in (moments.mean, moments.deviation)
        ]
        table.add_row(split, str(len(own)), span(own), *numbers)
    return table


def _classes(made: Plan) -> Table:
    """Every class's share of the labelled pixels, by split."""
    splits = in_order(made.splits)
    shown = f"ignored: {percent(ignored(made.images))} of all pixels"
    table = Table(title=f"Labelled pixels ({shown})", title_justify="left")
    table.add_column("class")
    for split in splits:
        table.add_column(split, justify="right")
    columns = []
    for split in splits:
        own = [im for im, its in zip(made.images, made.splits, strict=True) if its == split]
        pixels = np.sum([image.pixels for image in own], axis=0)
        columns.append(pixels / max(1, pixels.sum()))
    for i, name in enumerate(made.table.names):
        table.add_row(name, *(percent(float(column[i])) for column in columns))
    return table
