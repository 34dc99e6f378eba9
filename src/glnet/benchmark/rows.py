"""A study's results, entry by entry, over seeds and folds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from glnet.benchmark.intervals import (
    Difference,
    Runs,
    defined_mean,
    difference,
    mean_interval,
    mean_iou,
)
from glnet.benchmark.results import Result
from glnet.benchmark.study import EntrySettings, Job, Study
from glnet.evaluation.result import plain
from glnet.metrics import Interval
from glnet.metrics.protocol import ratio

Results = Mapping[Job, Result]


@dataclass(frozen=True, slots=True)
class Row:
    """An entry over its runs. Shares are in [0, 1]; NaN or None where nothing is known.

    Attributes:
        entry: Whose.
        runs, planned: Finished and all.
        images: Tested, each by one fold.
        mean_iou: Mean over seeds of the mean over folds, or of their images as one set
            (`StudySettings.pooled`); as all others over the seeds of which
            every fold is finished, if there is one.
        spread: Standard deviation of that over seeds; NaN with one.
        interval: Of the mean over images; see `mean_interval`.
        against: To the entry that the study compares with, if it is another with the same runs.
        class_iou: By class name, mean over runs.
        boundary: The same; None where it was not asked for, or a pooled run kept no counts.
        mean_boundary: Mean over seeds of the mean over folds; None as there.
        patches: Share that was computed.
        seconds: Of training, mean over runs.
        parameters, memory_mb, forward, file_to_mask: See `Cost`; the greatest memory, mean speeds.
        machine: Where it was measured.
    """

    entry: EntrySettings
    runs: int
    planned: int
    images: int
    mean_iou: float
    spread: float
    interval: Interval | None
    against: Difference | None
    class_iou: dict[str, float]
    boundary: dict[str, float] | None
    mean_boundary: float | None
    patches: float | None
    seconds: float
    parameters: int | None
    memory_mb: float | None
    reserved_mb: float | None
    driver_mb: float | None
    forward: float | None
    file_to_mask: float | None
    machine: str


def rows_of(study: Study, results: Results) -> list[Row]:
    """A row for every entry with a finished run."""
    found: dict[str, dict[Job, Result]] = {entry.name: {} for entry in study.settings.entries}
    for job in study.jobs:
        if job in results:
            found[job.entry.name][job] = results[job]
    folds = max(1, len(study.settings.folds))
    counted = {name: _counted(own, folds) for name, own in found.items()}
    if study.settings.pooled:
        counted = {
            name: {seed: {0: _one_set([*runs.values()])} for seed, runs in by_seed.items()}
            for name, by_seed in counted.items()
        }
    planned = Counter(job.entry.name for job in study.jobs)
    return [
        _row(
            entry,
            found[entry.name],
            planned[entry.name],
            counted[entry.name],
            _against(study.settings.against, entry.name, counted),
        )
        for entry in study.settings.entries
        if found[entry.name]
    ]


def _counted(found: Mapping[Job, Result], folds: int) -> Runs:
    """The runs of an entry by seed and fold, as far as they count."""
    by_seed: dict[int, dict[int, Result]] = {}
    for job, result in found.items():
        by_seed.setdefault(job.seed, {})[job.fold] = result
    # Folds differ more than seeds: a seed with some of them would move the mean by which it has.
    return {seed: runs for seed, runs in by_seed.items() if len(runs) == folds} or by_seed


def _one_set(results: Sequence[Result]) -> Result:
    """Results on several sets of images as one on all of them."""
    view = results[0].view
    counts = [r.patches for r in results if r.patches is not None]
    return replace(
        results[0],
        images=[image for r in results for image in r.images],
        groups=[group for r in results for group in r.groups or [""] * len(r.images)],
        pairs={view: [pair for r in results for pair in r.pairs[r.view]]},
        boundary=_boundary_of_all(results),
        edges=None,  # the first one's; those of all are in the boundary
        patches={name: sum(c[name] for c in counts) for name in counts[0]} if counts else None,
        seconds=_mean([r.seconds for r in results]),
    )


def _boundary_of_all(results: Sequence[Result]) -> list[float | None] | None:
    counts = [r.edges for r in results if r.edges is not None]
    if len(counts) < len(results):
        return None
    shared, together = np.sum(counts, axis=0)
    return [plain(value) for value in ratio(shared, together)]


def _against(other: str | None, name: str, counted: Mapping[str, Runs]) -> Difference | None:
    if other in (None, name):
        return None
    return difference(other, counted[name], counted[other])


def _row(
    entry: EntrySettings, found: Mapping[Job, Result], planned: int, by_seed: Runs,
    against: Difference | None,
) -> Row:  # fmt: skip
    seeds = [mean_iou({seed: runs}) for seed, runs in by_seed.items()]
    results = [result for runs in by_seed.values() for result in runs.values()]
    evaluations = [result.evaluation() for result in results]
    names = evaluations[0].names
    known = evaluations[0].protocol.known(np.arange(len(names)))
    ious = defined_mean([e.scores().iou for e in evaluations])
    costs = [result.cost for result in found.values() if result.cost]

    def cost(name: str, over: str = "mean") -> float | None:
        values = [c[name] for c in costs if c[name] is not None]
        return float(getattr(np, over)(values)) if values else None

    parameters = cost("parameters")
    bounds = [r.boundary for r in results if r.boundary is not None]
    edges = defined_mean([np.array(b, float) for b in bounds]) if bounds else None
    counts = [r.patches for r in results if r.patches and r.patches["whole"]]
    return Row(
        entry,
        len(found),
        planned,
        sum(len(result.images) for result in next(iter(by_seed.values())).values()),
        _mean(seeds),
        float(np.std(seeds, ddof=1)) if len(seeds) > 1 else float("nan"),
        mean_interval(by_seed),
        against,
        {names[i]: float(ious[i]) for i in known},
        {names[i]: float(edges[i]) for i in known} if edges is not None else None,
        _mean_boundary(by_seed),
        sum(c["computed"] for c in counts) / sum(c["whole"] for c in counts) if counts else None,
        _mean([result.seconds for result in results]),
        int(parameters) if parameters else None,
        cost("memory_mb", "max"),
        cost("reserved_mb", "max"),
        cost("driver_mb", "max"),
        cost("forward"),
        cost("file_to_mask"),
        costs[0]["machine"] if costs else "",
    )


def _mean_boundary(by_seed: Runs) -> float | None:
    means = [
        _mean([_boundary_of(result) for result in runs.values()])
        for runs in by_seed.values()
        if all(result.boundary is not None for result in runs.values())
    ]
    return _mean(means) if means else None


def _boundary_of(result: Result) -> float:
    return float(result.evaluation().protocol.mean(np.array(result.boundary, float)))


def _mean(values: Sequence[float]) -> float:
    return float(defined_mean(values))
