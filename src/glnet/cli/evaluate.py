"""`glnet evaluate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from glnet.cli.options import PRECISIONS, Device, Precision, Tolerance, Tta, one_of
from glnet.outputs.files import check_target, whole_or_nothing

if TYPE_CHECKING:
    from glnet.evaluation.result import Evaluation


def evaluate_command(
    manifest: Annotated[Path, typer.Option(help="CSV: image, mask, split.")],
    model: Annotated[Path | None, typer.Option("--model", "-m", help="Model folder.")] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder of predicted masks, instead of a model.")
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="Class table; needed with --masks.")] = None,
    split: Annotated[str, typer.Option(help="Rows to take; 'all' for every one.")] = "test",
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write all numbers to this file.")
    ] = None,
    tolerance: Tolerance = 0,
    device: Device = "auto",
    precision: Precision = "fp32",
    tta: Tta = False,
) -> None:
    """Compare predictions with true masks: a table per view, JSON for programs."""
    one_of(precision, PRECISIONS, "--precision")
    if (model is None) == (masks is None):
        msg = "give either --model or --masks"
        raise typer.BadParameter(msg)
    if json_out is not None:
        check_target(json_out, (".json",), [manifest])
    chosen = None if split == "all" else split
    if masks is not None:
        if classes is None:
            msg = "--masks needs --classes"
            raise typer.BadParameter(msg)
        from glnet.evaluation.masks import evaluate_masks  # noqa: PLC0415  see predict

        result = evaluate_masks(masks, manifest, classes, chosen, tolerance=tolerance)
    else:
        from glnet.evaluation.model import evaluate  # noqa: PLC0415

        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("images", total=None)
            result = evaluate(
                str(model), manifest, chosen, tolerance=tolerance, device=device,
                precision=precision, tta=tta, done=lambda _: progress.advance(task),
            )  # fmt: skip
    _print(result)
    if json_out is not None:
        with whole_or_nothing(json_out) as partial:
            partial.write_text(json.dumps(result.as_dict(), indent=2) + "\n", encoding="utf-8")


def _print(result: "Evaluation") -> None:
    console = Console()
    scores = {view: matrix.scores() for view, matrix in result.matrices.items()}
    counted = f"{result.images} image{'s' * (result.images != 1)}"
    table = Table(title=f"IoU in %, {counted}", title_justify="left")
    table.add_column("class")
    table.add_column("pixels", justify="right")
    for view in scores:
        table.add_column(view, justify="right")
    pixels = next(iter(scores.values())).pixels
    share = pixels / max(1, pixels.sum())
    for i, name in enumerate(result.names):
        ious = [_percent(found.iou[i]) for found in scores.values()]
        table.add_row(name, f"{share[i]:.1%}", *ious)
    table.add_section()
    for title, pick in (("mean IoU", "mean_iou"), ("mean F1", "mean_f1"), ("accuracy", "accuracy")):
        table.add_row(title, "", *(_percent(getattr(found, pick)) for found in scores.values()))
    console.print(table)
    if result.near:
        console.print(f"{result.near} pixels of the true masks were near-colours")


def _percent(share: float) -> str:
    return "-" if share != share else f"{100 * share:.1f}"  # noqa: PLR0124  NaN
