"""The columns of a study's tables, as text: for Markdown and for the report alike."""

from collections.abc import Sequence
from datetime import UTC, datetime

from glnet.benchmark.intervals import Difference
from glnet.benchmark.results import Result
from glnet.benchmark.rows import Row
from glnet.benchmark.study import Job, Study
from glnet.evaluation.result import plain
from glnet.metrics import Interval
from glnet.reports.page import unknown


def counted(study: Study, rows: Sequence[Row]) -> str:
    """On what, how and when, in two sentences."""
    settings = study.settings
    seeds = ", ".join(map(str, settings.seeds))
    folds = f", {len(settings.folds)} folds" if settings.folds else ""
    folds += " as one set" if settings.pooled else ""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, split {settings.split}: {rows[0].images} images, seeds "
        f"{seeds}{folds}, protocol {settings.protocol}. Scores in %."
    )


def machines(rows: Sequence[Row]) -> list[str]:
    """Where predictions were measured."""
    return sorted({row.machine for row in rows if row.machine})


def entry_columns(rows: Sequence[Row]) -> dict[str, list[str]]:
    """What was measured of every entry, a cell each."""
    edges = any(row.boundary is not None for row in rows)
    published = any("mean_iou" in row.entry.published for row in rows)
    claimed = any("memory_mb" in row.entry.published for row in rows)
    columns: dict[str, list[str]] = {
        "entry": [row.entry.name for row in rows],
        "mIoU": [_percent(row.mean_iou) for row in rows],
        "± seeds": [_percent(row.spread) for row in rows],
        "95 % over images": [_range(row.interval) for row in rows],
    }
    if to := next((row.against.to for row in rows if row.against), None):
        columns[f"mIoU - that of {to}"] = [_lead(row.against) for row in rows]
    if published:
        columns["published"] = [_number(row.entry.published.get("mean_iou"), 1) for row in rows]
    if edges:
        columns["boundary IoU"] = [_percent(row.mean_boundary) for row in rows]
    columns |= {
        "patches": [_percent(row.patches, 0) for row in rows],
        "parameters, M": [_number(row.parameters, 1, 1e6) for row in rows],
        "memory, MB": [_number(row.memory_mb, 0) for row in rows],
    }
    if claimed:
        columns["published MB"] = [_number(row.entry.published.get("memory_mb"), 0) for row in rows]
    columns |= {
        "forward, MP/s": [_number(row.forward, 2) for row in rows],
        "file to mask, MP/s": [_number(row.file_to_mask, 2) for row in rows],
        "training, min": [_number(row.seconds, 1, 60) for row in rows],
        "runs": [f"{row.runs}/{row.planned}" for row in rows],
    }
    return columns


def class_columns(rows: Sequence[Row]) -> dict[str, list[str]]:
    """IoU of every class, an entry a cell."""
    classes = {"IoU": [row.entry.name for row in rows]}
    for name in class_names(rows):
        classes[name] = [_percent(row.class_iou.get(name)) for row in rows]
    return classes


def class_names(rows: Sequence[Row]) -> list[str]:
    """The classes that any entry has."""
    return list(dict.fromkeys(name for row in rows for name in row.class_iou))


def run_cells(job: Job, result: Result) -> dict[str, object]:
    """A run for programs: shares in [0, 1], None where a score is not defined."""
    evaluation = result.evaluation()
    scores = evaluation.scores()
    ious = {f"iou_{name}": plain(scores.iou[i]) for i, name in enumerate(evaluation.names)}
    cost = result.cost or {}
    return {
        "entry": job.entry.name,
        "seed": job.seed,
        "fold": job.fold,
        "view": result.view,
        "mean_iou": plain(scores.mean_iou),
        "seconds": result.seconds,
        "computed": (result.patches or {}).get("computed"),
        "whole": (result.patches or {}).get("whole"),
        **{name: cost.get(name) for name in ("memory_mb", "forward", "file_to_mask")},
        **ious,
    }


def _percent(value: float | None, digits: int = 1) -> str:
    return _number(value, digits, 0.01)


def _number(value: float | None, digits: int, unit: float = 1.0) -> str:
    return "-" if value is None or unknown(value) else f"{value / unit:.{digits}f}"


def _lead(found: Difference | None) -> str:
    if found is None:
        return "-"
    low_high = "" if found.interval is None else f" ({_range(found.interval)})"
    return f"{100 * found.mean:+.1f}{low_high}"


def _range(found: Interval | None) -> str:
    return "-" if found is None else f"{100 * found.low:.1f} to {100 * found.high:.1f}"
