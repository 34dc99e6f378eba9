"""How a model was trained, where the folder of its run is still around it."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path

from glnet.recipe import STAGES, VIEWS
from glnet.reports.charts import Chart, Line, scales


@dataclass(frozen=True, slots=True)
class Epoch:
    """A row of a run's `metrics.csv`: its loss, and what validation found, by view."""

    stage: str
    loss: float
    scores: dict[str, float]


def read_epochs(model: Path) -> list[Epoch]:
    """What the run wrote whose folder a model lies in; nothing where there is none to read.

    Args:
        model: RUN/model, or of a stage RUN/STAGE/best.
    """
    folder = model.absolute().parent
    run = folder.parent if folder.name in STAGES else folder
    try:
        with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
            return [_epoch(row) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return []


def _epoch(row: dict[str, str]) -> Epoch:
    scores: dict[str, float] = {v: float(row[v]) for v in VIEWS if row.get(v)}
    return Epoch(row["stage"], float(row["loss"]), scores)


def curves(epochs: Sequence[Epoch]) -> list[Chart]:
    """The loss, and what validation found, over the epochs of all stages."""
    places = list(enumerate(epochs, start=1))
    starts = [next(group)[0] for _, group in groupby(places, lambda place: place[1].stage)]
    losses = [(x, epoch.loss) for x, epoch in places]
    charts = []
    if drawn := _finite(losses):
        chart = _chart("Loss", len(epochs), drawn)
        # Losses of different stages are of different things: no line joins them.
        for start, stop in zip(starts, [*starts[1:], len(epochs) + 1], strict=True):
            _draw(chart, 1, [point for point in drawn if start <= point[0] < stop])
        charts.append(chart)
    views = {
        view: _finite([(x, 100 * e.scores[view]) for x, e in places if view in e.scores])
        for view in VIEWS
    }
    views = {view: points for view, points in views.items() if points}
    if views:
        chart = _chart("Validation mIoU, %", len(epochs), [*chain(*views.values())])
        for number, (view, points) in enumerate(views.items(), start=1):
            chart.names.append(view)
            _draw(chart, number, points)
        charts.append(chart)
    for chart in charts:
        chart.parts.extend((chart.x(x - 0.5), epochs[x - 1].stage) for x in starts)
    return charts


def _chart(title: str, epochs: int, points: Sequence[tuple[float, float]]) -> Chart:
    return Chart(title, "epoch", *scales([0.5, epochs + 0.5], [y for _, y in points]))


def _draw(chart: Chart, number: int, points: Sequence[tuple[float, float]]) -> None:
    chart.lines.append(Line(number, [(chart.x(x), chart.y(y)) for x, y in points]))


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(y)]
