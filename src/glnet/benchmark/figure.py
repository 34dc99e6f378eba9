"""Accuracy against memory, as in the paper's first figure; drawn where matplotlib is installed."""

from collections.abc import Sequence
from pathlib import Path

from glnet.benchmark.rows import Row
from glnet.outputs.files import whole_or_nothing

_OURS, _THEIRS = "#0b6e99", "#b0b0b0"


def write_figure(title: str, rows: Sequence[Row], path: Path) -> bool:
    """Draw every entry as a numbered point, its published numbers as a pale one.

    Returns:
        False where nothing was drawn: matplotlib is missing, or no entry has a memory.
    """
    known = [(i, row) for i, row in enumerate(rows, start=1) if row.memory_mb is not None]
    if not known:
        return False
    try:
        import matplotlib as mpl  # noqa: PLC0415  an extra
    except ImportError:
        return False
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(8.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for number, row in known:
            memory, score = row.memory_mb or 0.0, 100 * row.mean_iou
            low, high = row.interval or (row.mean_iou, row.mean_iou)
            reach = [[max(0.0, score - 100 * low)], [max(0.0, 100 * high - score)]]
            axes.errorbar(memory, score, yerr=reach, color=_OURS, alpha=0.35, zorder=1)
            axes.scatter(memory, score, s=150, color=_OURS, zorder=3)
            axes.annotate(
                str(number), (memory, score), ha="center", va="center", color="white", zorder=4
            )
            given = row.entry.published
            if {"mean_iou", "memory_mb"} <= given.keys():
                place = given["memory_mb"], given["mean_iou"]
                axes.scatter(*place, s=150, color=_THEIRS, zorder=2)
                axes.annotate(str(number), place, ha="center", va="center", zorder=2)
            axes.plot([], [], "o", color=_OURS, label=f"{number}  {row.entry.name}")
        if any({"mean_iou", "memory_mb"} <= row.entry.published.keys() for _, row in known):
            axes.plot([], [], "o", color=_THEIRS, label="as published")
        axes.set_xlabel("memory of a prediction, MB")
        axes.set_ylabel("mIoU, %, with the 95 % interval over images")
        axes.set_title(title, loc="left", fontsize=10)
        axes.grid(alpha=0.25)
        figure.legend(loc="outside right upper", frameon=False, handlelength=1)
        with whole_or_nothing(path) as partial:
            figure.savefig(partial, dpi=150, format="png")
    return True
