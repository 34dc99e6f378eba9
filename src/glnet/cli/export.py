"""`glnet export`."""

from pathlib import Path
from typing import Annotated

import typer

from glnet.bundle import find_model
from glnet.cli.options import MODEL_HELP
from glnet.cli.progress import progress_of
from glnet.cli.stopping import NOTHING, when_stopped
from glnet.engines.stac import stac_item
from glnet.outputs.files import check_target
from glnet.outputs.tables import write_json


@when_stopped(NOTHING)
def export_command(
    model: Annotated[Path, typer.Argument(help=f"{MODEL_HELP}.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="With --int8: what to calibrate on, files like those to be predicted."),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="Write them in int8 too, calibrated on images (extra int8)."),
    ] = False,
    stac: Annotated[
        Path | None, typer.Option(help="A STAC Item with the MLM extension to write: .json.")
    ] = None,
) -> None:
    """Write graphs into a model: a CPU needs no PyTorch.

    With --stac, describe the model for a catalogue instead.
    """
    if bool(images) != int8:
        msg = "--int8 goes with the images to calibrate on: glnet export MODEL --int8 IMAGE ..."
        raise typer.BadParameter(msg)
    if stac is not None and int8:
        msg = "--stac goes alone"
        raise typer.BadParameter(msg)
    model = find_model(model)
    if stac is not None:
        _write_stac(model, stac)
        return
    if int8:
        from glnet.engines.int8 import export_int8  # noqa: PLC0415  see predict

        with (
            when_stopped("no int8 graph was written"),
            progress_of("reading the model") as progress,
        ):
            changed = export_int8(model, images or [], said=progress.say, progress=progress)
        typer.echo(f"wrote {model / 'graphs' / 'int8'}")
        typer.echo(f"of the labels of these images {changed:.3%} change against fp32")
        return
    from glnet.engines.export import export_graphs  # noqa: PLC0415  see predict

    with progress_of("tracing the graphs"):
        export_graphs(model)
    typer.echo(f"wrote {model / 'graphs'}")


def _write_stac(model: Path, out: Path) -> None:
    item = stac_item(model, out)
    check_target(out, (".json",), [model / name for name in item["assets"]])
    write_json(out, item)
    typer.echo(f"wrote {out}")
