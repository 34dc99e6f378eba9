"""The report of an evaluation, or of a comparison: what its page shows, from what was counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glnet.bundle import read_config
from glnet.datasets.classes import Colour
from glnet.engines.threads import threads
from glnet.evaluation.comparison import Comparison
from glnet.evaluation.gallery import LONG_SIDE
from glnet.evaluation.observer import BothObserver, Observer
from glnet.evaluation.result import Evaluation
from glnet.evaluation.words import images, remarks, verdict
from glnet.metrics.protocol import ratio
from glnet.recipe.amounts import show_bytes
from glnet.reports.curves import curves, read_epochs
from glnet.reports.page import write_page
from glnet.reports.pictures import PLAIN, RIGHT, STRIPE, WRONG, Shown, show
from glnet.reports.reliability import reliability

#: A matrix of more classes would not be read.
_MATRIX = 30

#: So many confusions are listed instead.
_LISTED = 30


@dataclass(frozen=True, slots=True)
class ClassRow:
    """Of a class, in the default view; shares are in [0, 1], NaN where nothing is defined.

    Attributes:
        name, colour: As in the class table.
        known: Is it one of the mean's?
        iou, precision, recall, f1, boundary: Scores; the last is None where not asked for.
        pixels, share: Its true ground, of all that is counted.
        predicted, predicted_share: What was predicted as it.
        views: Its IoU in every view.
    """

    name: str
    colour: Colour
    known: bool
    iou: float
    precision: float
    recall: float
    f1: float
    boundary: float | None
    pixels: int
    share: float
    predicted: int
    predicted_share: float
    views: list[float]


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A true class: its pixels, and which share of them was predicted as every class."""

    name: str
    colour: Colour | None
    pixels: int
    shares: list[float]


def write_evaluation(
    path: Path,
    found: Evaluation | Comparison,
    observer: Observer,
    names: Sequence[str],
    settings: Mapping[str, str],
    model: Path | None = None,
) -> None:
    """Write a page on an evaluation; of a comparison, on its first side, both scores and pictures.

    Args:
        path: What to write.
        found: The scores.
        observer: What was seen meanwhile; of a comparison, of both sides.
        names: Of what was evaluated: one, or two of a comparison.
        settings: What was asked for, as a reader shall see it.
        model: The folder of what was evaluated; None for masks.

    Raises:
        RasterError: the file could not be written.
    """
    result = found.model if isinstance(found, Comparison) else found
    classes = class_rows(result)
    values = {
        "names": list(names),
        "count": images(result),
        "views": [_view(result, view) for view in result.pairs],
        "classes": classes,
        "longest": max([s for row in classes for s in (row.share, row.predicted_share)] + [0]) or 1,
        "remarks": list(remarks(result)),
        "matrix": matrix_rows(result),
        "confidence": _confidence(result),
        "confusions": [] if len(result.names) <= _MATRIX else _confusions(result),
        "comparison": _comparison(found) if isinstance(found, Comparison) else None,
        "charts": curves(read_epochs(model)) if model else [],
        "cost": _cost(result, observer),
        "gallery": {name: shown for name, shown in _gallery(found, observer).items() if shown},
        "long_side": LONG_SIDE,
        "key": {"right": RIGHT, "wrong": WRONG, "plain": PLAIN, "stripe": STRIPE},
        "settings": {**settings, "view": result.view, **_origin(model), **_computed(observer)},
    }
    write_page(path, "evaluation.html", values)


def class_rows(result: Evaluation) -> list[ClassRow]:
    """All trained classes in their order."""
    scores, boundary = result.scores(), result.boundary_iou()
    ious = [result.scores(view).iou for view in result.pairs]
    shares = ratio(scores.pixels, scores.pixels.sum())
    predicted = ratio(scores.predicted, scores.predicted.sum())
    return [
        ClassRow(
            row.name,
            row.colour,
            i not in result.protocol.unknown,
            float(scores.iou[i]),
            float(scores.precision[i]),
            float(scores.recall[i]),
            float(scores.f1[i]),
            None if boundary is None else float(boundary[i]),
            int(scores.pixels[i]),
            float(shares[i]),
            int(scores.predicted[i]),
            float(predicted[i]),
            [float(iou[i]) for iou in ious],
        )
        for i, row in enumerate(result.table.trained)
    ]


def matrix_rows(result: Evaluation) -> list[MatrixRow]:
    """The default view's confusion matrix, every row by its own pixels; none of many classes."""
    if len(result.names) > _MATRIX:
        return []
    matrix = result.matrices[result.view]
    rows = [
        _matrix_row(row.name, row.colour, counts, counts.sum() + missed)
        for row, counts, missed in zip(
            result.table.trained, matrix.counts, matrix.missed, strict=True
        )
    ]
    if result.protocol.counts_unknown and matrix.ignored.any():
        rows.append(_matrix_row("of no class", None, matrix.ignored, matrix.ignored.sum()))
    return rows


def _matrix_row(name: str, colour: Colour | None, counts: np.ndarray, pixels: int) -> MatrixRow:
    return MatrixRow(name, colour, int(pixels), [float(n) for n in ratio(counts, np.array(pixels))])


def _confusions(result: Evaluation) -> list[dict[str, object]]:
    """The largest ones, where there are too many classes for a matrix."""
    matrix = result.matrices[result.view]
    counts = matrix.counts.copy()
    totals = counts.sum(axis=1) + matrix.missed
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:_LISTED]
    pairs = (divmod(int(place), len(counts)) for place in order)
    return [
        {
            "truth": result.names[true],
            "prediction": result.names[found],
            "pixels": int(counts[true, found]),
            "share": float(counts[true, found] / totals[true]),
        }
        for true, found in pairs
        if counts[true, found]
    ]


def _confidence(result: Evaluation) -> dict[str, object] | None:
    """How often the default view's is right; None where it was not counted."""
    found = result.calibrations.get(result.view)
    if found is None:
        return None
    rows = [(each, each.pixels / int(found.pixels.sum())) for each in found.bins()]
    return {"error": found.error(), "rows": rows, "chart": reliability(found)}


def _view(result: Evaluation, view: str) -> dict[str, object]:
    scores = result.scores(view)
    mean_image_iou, spread = result.mean_image_iou(view)
    boundary, calibration = result.boundary_iou(view), result.calibrations.get(view)
    return {
        "name": view,
        "mean_iou": scores.mean_iou,
        "interval": result.mean_iou_interval(view),
        "mean_image_iou": mean_image_iou,
        "image_interval": spread,
        "mean_f1": scores.mean_f1,
        "accuracy": scores.accuracy,
        "boundary": None if boundary is None else float(result.protocol.mean(boundary)),
        "calibration": None if calibration is None else calibration.error(),
    }


def _comparison(found: Comparison) -> dict[str, object]:
    ours, theirs = found.image_mean_ious
    both = (found.model, found.against)
    return {
        "sides": [_view(each, each.view) for each in both],
        "difference": found.mean_iou,
        "interval": found.mean_iou_interval,
        "verdict": verdict(found.mean_iou_interval),
        "classes": list(zip(found.names, *found.class_ious.tolist(), strict=True)),
        "better": int((ours > theirs).sum()),
        "worse": int((ours < theirs).sum()),
    }


def _gallery(found: Evaluation | Comparison, observer: Observer) -> dict[str, list[Shown]]:
    """The images that are shown, by where they stand."""
    if not isinstance(found, Comparison):
        how = list(found.table.colours), found.protocol
        return {
            "lowest": [show((*kept, *how)) for kept in observer.gallery.lowest],
            "highest": [show((*kept, *how)) for kept in observer.gallery.highest],
        }
    if not isinstance(observer, BothObserver):
        return {}
    hows = [(list(each.table.colours), each.protocol) for each in (found.model, found.against)]
    kept = {"behind": observer.sides.behind, "ahead": observer.sides.ahead}
    return {
        name: [
            show(
                *(
                    (score, picture, *how)
                    for score, picture, how in zip(both.scores, both.pictures, hows, strict=True)
                )
            )
            for both in pairs
        ]
        for name, pairs in kept.items()
    }


def _cost(result: Evaluation, observer: Observer) -> dict[str, str]:
    """What the evaluation took, in words."""
    megapixels = observer.pixels / 1e6
    cost = {
        "time": f"{observer.seconds:.1f} s for {images(result)}, {megapixels:.1f} megapixels",
        "per image": f"{observer.seconds / len(result.images):.2f} s",
        "speed": f"{megapixels / max(observer.seconds, 1e-9):.2f} megapixels per second",
    }
    if observer.memory is not None:
        cost["memory"] = f"{show_bytes(observer.memory)} at most in this process"
    if result.patches is not None:
        cost["patches"] = f"{result.patches.computed} of {result.patches.whole} computed"
    return cost


def _origin(model: Path | None) -> dict[str, str]:
    """What a model's folder says of it."""
    if model is None:
        return {}
    config = read_config(model)
    settings = config.model
    both = settings.branches == "both"
    network = f"{settings.network}, trunk {settings.trunk}, branches {settings.branches}"
    return {
        "origin": config.origin,
        "network": network + (f", sharing {settings.sharing}" if both else ""),
        "input": settings.takes,
    }


def _computed(observer: Observer) -> dict[str, str]:
    """What computed; nothing did where masks lay on disk."""
    if observer.library is None:
        return {}
    many = threads()
    computed = f"{observer.library} on {observer.device}, {many} thread{'s' * (many != 1)}"
    return {"computed by": computed}
