"""`glnet evaluate`."""

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from glnet.cli.options import (
    MODEL_HELP,
    Device,
    EngineName,
    Precision,
    Tolerance,
    Tta,
    goes_with,
    one_of,
)
from glnet.cli.progress import progress_of
from glnet.cli.scores import show_calibration, show_comparison, show_details, show_evaluation
from glnet.cli.stopping import NOTHING, WRITING, when_stopped
from glnet.datasets.manifest import read_manifest
from glnet.datasets.problems import Problems
from glnet.engines.loading import ENGINES, PRECISIONS
from glnet.evaluation.comparison import Comparison
from glnet.evaluation.masks import evaluate_masks
from glnet.evaluation.observer import BothObserver, Observer
from glnet.evaluation.result import Evaluation
from glnet.metrics import PROTOCOLS
from glnet.outputs.files import check_target
from glnet.outputs.tables import write_json, write_rows
from glnet.reports.evaluation import write_evaluation
from glnet.reports.page import report_in

#: How a model computes where nothing is said.
_USUAL = {"device": "auto", "precision": "fp32", "engine": "auto", "tta": False}


@when_stopped(NOTHING)
def evaluate_command(
    manifest: Annotated[Path, typer.Option(help="CSV: image, mask, split.")],
    model: Annotated[Path | None, typer.Option("--model", "-m", help=f"{MODEL_HELP}.")] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder of predicted masks, instead of a model.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Another model or folder of masks to compare with.")
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="Class table; needed with --masks.")] = None,
    split: Annotated[str, typer.Option(help="Rows to take; 'all' for every one.")] = "test",
    protocol: Annotated[
        str,
        typer.Option(
            help="Unknown ground: ignore, or count it as the paper's DeepGlobe numbers do (glnet)."
        ),
    ] = "ignore",
    boundary: Annotated[bool, typer.Option("--boundary", help="Boundary IoU too.")] = False,
    calibration: Annotated[
        bool, typer.Option("--calibration", help="How often every confidence is right too.")
    ] = False,
    details: Annotated[
        bool, typer.Option("--details", help="Precision, recall and F1 per class too.")
    ] = False,
    json_out: Annotated[
        Path | None, typer.Option("--json", help="Write all numbers to this file.")
    ] = None,
    csv_out: Annotated[
        Path | None, typer.Option("--csv", help="Write a row per image to this file.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write report.html, with pictures, into this folder.")
    ] = None,
    tolerance: Tolerance = 0,
    device: Device = "auto",
    precision: Precision = "fp32",
    engine: EngineName = "auto",
    tta: Tta = False,
) -> None:
    """Score a model, or masks, against true masks.

    With --against, two models or folders of masks on the same images.
    """
    one_of(precision, PRECISIONS, "--precision")
    one_of(engine, ENGINES, "--engine")
    one_of(protocol, PROTOCOLS, "--protocol")
    _check_sources(model, masks, classes)
    computing = {"device": device, "precision": precision, "engine": engine, "tta": tta}
    asked = {name: value for name, value in computing.items() if value != _USUAL[name]}
    goes_with("--model", model, **asked)
    read = [path for path in (manifest, classes) if path is not None]
    if json_out is not None:  # polygons are JSON too
        read += [row.mask for row in read_manifest(manifest, files=(), problems=Problems())]
    for path, suffix in ((json_out, ".json"), (csv_out, ".csv")):
        if path is not None:
            check_target(path, (suffix,), read)
    page = report_in(report, read) if report is not None else None
    observer = None
    if page is not None:
        observer = Observer() if against is None else BothObserver()
    told = {
        "protocol": protocol, "boundary": boundary, "calibration": calibration,
        "tolerance": tolerance,
    }  # fmt: skip
    options = {**told, "observer": observer}
    if masks is not None:
        found = _by_masks(masks, against, manifest, cast("Path", classes), split, options)
    else:
        told |= computing
        options |= computing
        found = _by_model(cast("Path", model), against, manifest, split, options)
    names = [path.as_posix() for path in (model or masks, against) if path]
    _show(found, names, details=details)
    with when_stopped(WRITING):
        if json_out is not None:
            write_json(json_out, found.as_dict())
        if csv_out is not None:
            write_rows(csv_out, found.rows())
        if page is not None and observer is not None:
            settings = {"manifest": manifest, "classes": classes, "split": split, **told}
            shown = {name: _said(value) for name, value in settings.items() if value is not None}
            write_evaluation(page, found, observer, names, shown, model)
            typer.echo(f"wrote {page}")


def _check_sources(model: Path | None, masks: Path | None, classes: Path | None) -> None:
    if (model is None) == (masks is None):
        msg = "give either --model or --masks"
        raise typer.BadParameter(msg)
    if masks is not None and classes is None:
        msg = "--masks needs --classes"
        raise typer.BadParameter(msg)
    if model is not None and classes is not None:
        msg = "--classes goes with --masks; a model has its own class table"
        raise typer.BadParameter(msg)


def _by_masks(
    masks: Path,
    against: Path | None,
    manifest: Path,
    classes: Path,
    split: str,
    options: dict[str, Any],
) -> Evaluation | Comparison:
    with progress_of("masks") as progress:
        options = options | {"progress": progress}
        found = evaluate_masks(masks, manifest, classes, split, **options)
        if against is None:
            return found
        observer = options["observer"]
        other = observer.other if isinstance(observer, BothObserver) else None
        options = options | {"observer": other}
        return Comparison(found, evaluate_masks(against, manifest, classes, split, **options))


def _by_model(
    model: Path,
    against: Path | None,
    manifest: Path,
    split: str,
    options: dict[str, Any],
) -> Evaluation | Comparison:
    from glnet.evaluation.model import compare, evaluate  # noqa: PLC0415  see predict

    with progress_of("reading the model") as progress:
        options = options | {"said": progress.say, "progress": progress}
        if against is None:
            return evaluate(model, manifest, split, **options)
        return compare(model, against, manifest, split, **options)


def _said(value: object) -> str:
    """A setting as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.as_posix() if isinstance(value, Path) else str(value)


def _show(found: Evaluation | Comparison, names: list[str], *, details: bool) -> None:
    if isinstance(found, Comparison):
        show_comparison(found, (names[0], names[1]))
        both = (found.model, found.against)
        for name, each in zip(names, both, strict=True):
            _show_more(each, name, details=details)
    else:
        show_evaluation(found)
        _show_more(found, "", details=details)


def _show_more(found: Evaluation, whose: str, *, details: bool) -> None:
    if details:
        show_details(found, whose)
    if found.calibrations:
        show_calibration(found, whose)
