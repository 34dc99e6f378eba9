"""`glnet import-weights`."""

from pathlib import Path
from typing import Annotated, cast

import typer

from glnet.cli.options import one_of
from glnet.recipe import Sharing

_SHARINGS = ("bidirectional", "global_to_local", "none")


def import_weights_command(
    out: Annotated[Path, typer.Option("--out", "-o", help="Model folder to write.")],
    global_: Annotated[
        Path | None, typer.Option("--global", help="Checkpoint of the authors' first mode.")
    ] = None,
    collaborative: Annotated[
        Path | None, typer.Option(help="Checkpoint of their second or third mode.")
    ] = None,
    sharing: Annotated[str, typer.Option(help=", ".join(_SHARINGS))] = "bidirectional",
    classes: Annotated[
        Path | None, typer.Option(help="Class table; default: DeepGlobe's seven.")
    ] = None,
) -> None:
    """Make a model of the GLNet authors' checkpoints."""
    one_of(sharing, _SHARINGS, "--sharing")
    from glnet.engines.imported import import_weights  # noqa: PLC0415  see predict

    import_weights(
        out, global_=global_, collaborative=collaborative,
        sharing=cast("Sharing", sharing), classes=classes,
    )  # fmt: skip
    typer.echo(f"wrote {out}")
