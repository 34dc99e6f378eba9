"""Measured predictions as Markdown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from counting import Work
from glnet.geometry import Size
from prediction_cost import Cost

#: What ratios are taken over.
REFERENCE = "plain:fp32"

EXPLAINED = """\
Seconds are medians over rounds; in a round every engine runs once, each time in a new process.
Forward: decoded image to scores, engine loaded and warm; patch: forward seconds over patches.
File to mask: `glnet.predict`, with loading, without imports; command: `glnet predict`, with them.
Speed-up: ratio to {reference} within a round, the median over rounds (lowest to highest).
Added: the peak of the process in file to mask, above what importing left; process: all of it.
GMAC/s: all multiply-adds over forward seconds; the peak is that of a product of two matrices of \
4096 x 4096 in the same precision, the best of all rounds.
Outside: the share of file to mask without loading (and compiling) that was not spent in the \
network: reading, resizing, mosaic, labels, writing.
"""


@dataclass
class Rounds:
    """One engine on one size.

    Attributes:
        costs: By round, as the process itself measured.
        wall, cpu: Seconds of the whole command, by round.
        failure: Why there are no more.
    """

    costs: dict[int, Cost] = field(default_factory=dict)
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    failure: str = ""

    def median(self, name: str) -> float | None:
        """Of one of `Cost`'s figures; None where it was not measured."""
        values = [getattr(cost, name) for cost in self.costs.values()]
        known = [value for value in values if value is not None]
        return median(known) if known else None


def size_section(
    size: Size, rows: Mapping[str, Rounds], work: Mapping[str, Work], peaks: Mapping[str, float]
) -> str:
    """Two tables of one image size.

    Args:
        size: Of the image.
        rows: By engine and precision.
        work: By engine.
        peaks: GMAC/s of a large matrix product, by precision.
    """
    megapixels = size.height * size.width / 1e6
    reference = rows.get(REFERENCE, Rounds())
    speed: list[Sequence[str]] = [
        ("engine", "forward, s", "MP/s", "speed-up", "file to mask, s", "MP/s", "speed-up",
         "command, s", "its CPU, s"),
    ]  # fmt: skip
    effort: list[Sequence[str]] = [
        ("engine", "added, MiB", "process, MiB", "CUDA, MiB", "patches", "patch, s", "GMAC a patch",
         "GMAC/s", "of the peak", "outside", "loading, s"),
    ]  # fmt: skip
    for name, row in rows.items():
        if not row.costs:
            speed.append((name, row.failure))
            continue
        engine, precision = name.split(":")
        forward, whole = row.median("forward"), row.median("file_to_mask")
        patches = next(iter(row.costs.values())).patches
        done = work["plain" if engine == "plain" else "torch"]
        rate = (done.scene + patches * done.patch) / forward
        speed.append(
            (name, f"{forward:.2f}", f"{megapixels / forward:.3g}",
             _ratio(reference, row, lambda cost: cost.forward),
             f"{whole:.2f}", f"{megapixels / whole:.3g}",
             _ratio(reference, row, lambda cost: cost.file_to_mask),
             _seconds(row.wall), _seconds(row.cpu))
        )  # fmt: skip
        memory = (_mib(row.median(kind)) for kind in ("added", "process", "cuda"))
        loading, peak = row.median("loading"), peaks[precision]
        effort.append(
            (name, *memory, f"{patches}", f"{forward / patches:.3g}", f"{done.patch:.3g}",
             f"{rate:.3g}", f"{rate / peak:.0%}" if peak else "",
             f"{row.median('outside'):.0%}", f"{loading:.2f}")
        )  # fmt: skip
    cut = [f"{name}: stopped after {len(row.costs)} rounds ({row.failure})"
           for name, row in rows.items() if row.costs and row.failure]  # fmt: skip
    title = f"## {size.height} x {size.width} px"
    scene = ", ".join(f"{name} {done.scene:.3g}" for name, done in work.items())
    notes = f"GMAC of the global branches, once an image: {scene}."
    return "\n\n".join([title, table(speed), table(effort), "\n".join([notes, *cut])])


def _ratio(reference: Rounds, row: Rounds, of: Callable[[Cost], float]) -> str:
    """How many times faster than the reference, round by round."""
    ratios = [of(reference.costs[k]) / of(row.costs[k]) for k in row.costs if k in reference.costs]
    if not ratios or row is reference:
        return ""
    spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{median(ratios):.2f}{spread}"


def _seconds(values: Sequence[float]) -> str:
    return f"{median(values):.2f}" if values else ""


def _mib(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the first one the head; short rows are filled up."""
    width = len(rows[0])
    full = [[*row, *[""] * (width - len(row))] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in full]
    return "\n".join([lines[0], "|" + "---|" * width, *lines[1:]])
