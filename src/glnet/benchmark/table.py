"""The tables of a study as files, for people and for programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from glnet.benchmark.columns import (
    class_columns,
    counted,
    entry_columns,
    machines,
    run_cells,
)
from glnet.benchmark.figure import write_figure
from glnet.benchmark.page import write_report
from glnet.benchmark.rows import Results, Row, rows_of
from glnet.benchmark.study import Study
from glnet.outputs.files import whole_or_nothing
from glnet.outputs.tables import write_rows
from glnet.reports.page import unknown


def write_tables(study: Study, results: Results, out: Path) -> None:
    """Write `table.md`, `table.csv`, `runs.csv`, `report.html` and, if drawn, `figure.png`.

    Raises:
        RasterError: a file could not be written.
    """
    rows = rows_of(study, results)
    if not rows:
        return
    with whole_or_nothing(out / "table.md") as partial:
        partial.write_text(markdown(study, rows), encoding="utf-8")
    write_rows(out / "table.csv", [_cells(row) for row in rows])
    runs = [run_cells(job, results[job]) for job in study.jobs if job in results]
    write_rows(out / "runs.csv", runs)
    write_report(study, results, rows, runs, out / "report.html")
    write_figure(study.settings.title, rows, out / "figure.png")


def markdown(study: Study, rows: Sequence[Row]) -> str:
    """Two tables for people: an entry a line, then the classes."""
    head = [
        f"# {study.settings.title}",
        counted(study, rows),
        *(f"Measured on: {machine}" for machine in machines(rows)),
    ]
    tables = [_markdown(entry_columns(rows)), _markdown(class_columns(rows))]
    return "\n\n".join([*head, *tables]) + "\n"


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
    lead = row.against
    lead_low, lead_high = lead.interval if lead and lead.interval else (None, None)
    numbers = {
        "mean_iou": row.mean_iou,
        "spread": row.spread,
        "low": low,
        "high": high,
        "difference": lead.mean if lead else None,
        "difference_low": lead_low,
        "difference_high": lead_high,
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
    known = {name: None if unknown(value) else value for name, value in values.items()}
    return {"entry": row.entry.name, "runs": row.runs, **known}
