"""A study's report: the tables, accuracy against memory, classes, runs and settings on one page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from glnet.benchmark.columns import (
    class_columns,
    class_names,
    counted,
    entry_columns,
    machines,
)
from glnet.benchmark.rows import Results, Row
from glnet.benchmark.study import Study
from glnet.reports.charts import Chart, Point, scales
from glnet.reports.page import unknown, write_page


def write_report(
    study: Study,
    results: Results,
    rows: Sequence[Row],
    runs: Sequence[Mapping[str, object]],
    path: Path,
) -> None:
    """Write the page of a study, of what is finished so far.

    Raises:
        RasterError: the file could not be written.
    """
    settings = study.settings
    values = {
        "title": settings.title,
        "counted": counted(study, rows),
        "machines": machines(rows),
        "measured_by": sorted({result.glnet for result in results.values()}),
        "entries": [row.entry.name for row in rows],
        "tables": [entry_columns(rows), class_columns(rows)],
        "classes": {
            name: [row.class_iou.get(name, float("nan")) for row in rows]
            for name in class_names(rows)
        },
        "chart": against_memory(rows),
        "runs": runs,
        "planned": len(study.jobs),
        "settings": {
            "split": settings.split,
            "protocol": settings.protocol,
            "boundary": "yes" if settings.boundary else "no",
            "seeds": ", ".join(map(str, settings.seeds)),
            "folds": ", ".join(fold.as_posix() for fold in settings.folds) or "-",
        },
        "recipe": _yaml(settings.recipe),
        "changes": {entry.name: _yaml(entry.settings) for entry in settings.entries},
    }
    write_page(path, "benchmark.html", values)


def against_memory(rows: Sequence[Row]) -> Chart | None:
    """Every entry as a numbered point, its published numbers as a pale one.

    None where no entry has a memory.
    """
    found: list[tuple[str, float, float, float, float, bool]] = []
    for number, row in enumerate(rows, start=1):
        if row.memory_mb is None or unknown(row.mean_iou):
            continue
        low, high = row.interval or (row.mean_iou, row.mean_iou)
        scores = (100 * row.mean_iou, 100 * low, 100 * high)
        found.append((str(number), row.memory_mb, *scores, False))
        given = row.entry.published
        if {"mean_iou", "memory_mb"} <= given.keys():
            score = given["mean_iou"]
            found.append((str(number), given["memory_mb"], score, score, score, True))
    if not found:
        return None
    heights = [height for _, _, score, low, high, _ in found for height in (score, low, high)]
    x, y = scales([memory for _, memory, *_ in found], heights, air=True)
    points = [
        Point(text, x(memory), y(score), y(low), y(high), pale)
        for text, memory, score, low, high, pale in found
    ]
    return Chart("mIoU, %", "memory of a prediction, MB", x, y, points=points)


def _yaml(settings: dict[str, object]) -> str:
    if not settings:
        return ""
    return yaml.safe_dump(
        settings, sort_keys=False, allow_unicode=True, default_flow_style=None, width=90
    )
