"""The tables of a study as files, for people and for programs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from glnet.benchmark.figure import write_figure
from glnet.benchmark.results import Result
from glnet.benchmark.rows import Results, Row, rows_of
from glnet.benchmark.study import Job, Study
from glnet.metrics import Interval
from glnet.outputs.files import whole_or_nothing
from glnet.outputs.tables import write_rows


def write_tables(study: Study, results: Results, out: Path) -> None:
    """Write `table.md`, `table.csv`, `runs.csv` and, where it can be drawn, `figure.png`.

    Raises:
        RasterError: a file could not be written.
    """
    rows = rows_of(study, results)
    if not rows:
        return
    with whole_or_nothing(out / "table.md") as partial:
        partial.write_text(markdown(study, rows), encoding="utf-8")
    write_rows(out / "table.csv", [_cells(row) for row in rows])
    runs = [_run_cells(job, results[job]) for job in study.jobs if job in results]
    write_rows(out / "runs.csv", runs)
    write_figure(study.settings.title, rows, out / "figure.png")


def markdown(study: Study, rows: Sequence[Row]) -> str:
    """Two tables for people: an entry a line, then the classes."""
    settings = study.settings
    machines = sorted({row.machine for row in rows if row.machine})
    edges = any(row.boundary is not None for row in rows)
    published = any("mean_iou" in row.entry.published for row in rows)
    claimed = any("memory_mb" in row.entry.published for row in rows)
    columns: dict[str, list[str]] = {
        "entry": [row.entry.name for row in rows],
        "mIoU": [_percent(row.mean_iou) for row in rows],
        "± seeds": [_percent(row.spread) for row in rows],
        "95 % over images": [_range(row.interval) for row in rows],
    }
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
    classes: dict[str, list[str]] = {"IoU": columns["entry"]}
    for name in rows[0].class_iou:
        classes[name] = [_percent(row.class_iou.get(name)) for row in rows]
    seeds = ", ".join(map(str, settings.seeds))
    folds = f", {len(settings.folds)} folds" if settings.folds else ""
    counted = (
        f"{datetime.now(UTC):%Y-%m-%d}, split {settings.split}: {rows[0].images} images, seeds "
        f"{seeds}{folds}, protocol {settings.protocol}. Scores in %."
    )
    head = [
        f"# {settings.title}",
        counted,
        *(f"Measured on: {machine}" for machine in machines),
    ]
    return "\n\n".join([*head, _markdown(columns), _markdown(classes)]) + "\n"


def _markdown(columns: Mapping[str, Sequence[str]]) -> str:
    """Columns as a table that is aligned in a terminal too."""
    widths = [max(map(len, (name, *cells))) for name, cells in columns.items()]
    lines = [
        [name.ljust(width) for name, width in zip(columns, widths, strict=True)],
        [
            "-" * width if position == 0 else "-" * (width - 1) + ":"
            for position, width in enumerate(widths)
        ],
    ]
    for cells in zip(*columns.values(), strict=True):
        first, *others = cells
        padded = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append([first.ljust(widths[0]), *padded])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Row) -> dict[str, object]:
    """A row for programs: shares in [0, 1]."""
    low, high = row.interval or (None, None)
    numbers = {
        "mean_iou": row.mean_iou,
        "spread": row.spread,
        "low": low,
        "high": high,
        "published_percent": row.entry.published.get("mean_iou"),
        "mean_boundary_iou": row.mean_boundary,
        "patches": row.patches,
        "parameters": row.parameters,
        "memory_mb": row.memory_mb,
        "reserved_mb": row.reserved_mb,
        "driver_mb": row.driver_mb,
        "published_mb": row.entry.published.get("memory_mb"),
        "forward_mps": row.forward,
        "file_to_mask_mps": row.file_to_mask,
        "training_seconds": row.seconds,
    }
    classes = {f"iou_{name}": value for name, value in row.class_iou.items()}
    edges = {f"boundary_{name}": value for name, value in (row.boundary or {}).items()}
    values = {**numbers, **classes, **edges}
    known = {name: None if _unknown(value) else value for name, value in values.items()}
    return {"entry": row.entry.name, "runs": row.runs, **known}


def _run_cells(job: Job, result: Result) -> dict[str, object]:
    scores = result.evaluation().scores()
    cost = result.cost or {}
    return {
        "entry": job.entry.name,
        "seed": job.seed,
        "fold": job.fold,
        "view": result.view,
        "mean_iou": scores.mean_iou,
        "seconds": result.seconds,
        "computed": (result.patches or {}).get("computed"),
        "whole": (result.patches or {}).get("whole"),
        **{name: cost.get(name) for name in ("memory_mb", "forward", "file_to_mask")},
    }


def _unknown(value: float | None) -> bool:
    return value is None or value != value  # noqa: PLR0124  NaN


def _percent(value: float | None, digits: int = 1) -> str:
    return _number(value, digits, 0.01)


def _number(value: float | None, digits: int, unit: float = 1.0) -> str:
    return "-" if value is None or _unknown(value) else f"{value / unit:.{digits}f}"


def _range(found: Interval | None) -> str:
    return "-" if found is None else f"{100 * found.low:.1f} to {100 * found.high:.1f}"
