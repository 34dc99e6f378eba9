"""`glnet predict`."""

from pathlib import Path
from typing import Annotated, cast

import typer

from glnet.cli.options import (
    ENGINES,
    PRECISIONS,
    VIEWS,
    Device,
    EngineName,
    Model,
    Precision,
    Tta,
    one_of,
)
from glnet.recipe import View


def predict_command(
    image: Annotated[Path, typer.Argument(help="JPEG, PNG, GeoTIFF, ...")],
    model: Model,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Mask to write: .tif or .png.")
    ] = None,
    view: Annotated[
        str | None, typer.Option(help="aggregated, global or local; default: the model's first.")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Class scores to write: .tif, float32, a band per class.")
    ] = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    engine: EngineName = "auto",
    memory: Annotated[
        str, typer.Option(help="What it may take of the memory here, or on CUDA of the device's.")
    ] = "2GiB",
    tta: Tta = False,
    advise: Annotated[
        bool, typer.Option("--advise", help="Write nothing; try each precision on the image.")
    ] = False,
) -> None:
    """Segment one image; the mask keeps the image's size and georeference."""
    if view is not None:
        one_of(view, VIEWS, "--view")
    one_of(precision, PRECISIONS, "--precision")
    one_of(engine, ENGINES, "--engine")
    if advise:
        _advise(image, model, cast("View | None", view), device, engine)
        return
    if out is None:
        msg = "--out: name the mask to write, .tif or .png"
        raise typer.BadParameter(msg)
    # Deferred: an engine takes seconds to import, and --help should not.
    from glnet.prediction.whole import predict  # noqa: PLC0415

    predict(
        image, model, out, view=cast("View | None", view), scores=scores,
        device=device, precision=precision, engine=engine, memory=memory, tta=tta, said=typer.echo,
    )  # fmt: skip
    typer.echo(f"wrote {out}" + (f" and {scores}" if scores else ""))


def _advise(image: Path, model: Path, view: View | None, device: str, engine: str) -> None:
    from glnet.prediction.advice import advise  # noqa: PLC0415  see above

    first: float | None = None
    for found in advise(image, model, view=view, device=device, engine=engine):
        if found.seconds is None:
            typer.echo(f"{found.precision}: not here: {found.why_not}")
            continue
        first = first or found.seconds
        gain = f"{first / found.seconds:.1f} times as fast as fp32"
        changed = f"{found.changed:.3%} of the labels change"
        text = "the reference" if found.precision == "fp32" else f"{gain}, {changed}"
        typer.echo(f"{found.precision}: {found.seconds:.1f} s, {text}")
