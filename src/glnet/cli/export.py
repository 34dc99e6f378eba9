"""`glnet export`."""

from pathlib import Path
from typing import Annotated

import typer


def export_command(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
) -> None:
    """Write a model's folded graphs (ONNX) into its folder: a CPU then needs no PyTorch."""
    from glnet.engines.export import export_graphs  # noqa: PLC0415  see predict

    export_graphs(model)
    typer.echo(f"wrote {model / 'graphs'}")
