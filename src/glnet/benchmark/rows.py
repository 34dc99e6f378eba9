"""A study's results, entry by entry, over seeds and folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glnet.benchmark.results import Result
from glnet.benchmark.study import EntrySettings, Job, Study
from glnet.metrics import Interval
from glnet.metrics.bootstrap import interval, set_mean_ious

Results = Mapping[Job, Result]


@dataclass(frozen=True, slots=True)
class Row:
    """An entry over its runs. Shares are in [0, 1]; NaN or None where nothing is known.

    Attributes:
        entry: Whose.
        runs, planned: Finished and all.
        images: Tested, each by one fold.
        mean_iou: Mean over seeds of the mean over folds; as all others over the seeds of which
            every fold is finished, if there is one.
        spread: Standard deviation of that over seeds; NaN with one.
        interval: Over the images of all folds, the same ones for every seed.
        class_iou: By class name, mean over runs.
        boundary: The same; None where it was not asked for.
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
    class_iou: dict[str, float]
    boundary: dict[str, float] | None
    patches: float | None
    seconds: float
    parameters: int | None
    memory_mb: float | None
    reserved_mb: float | None
    driver_mb: float | None
    forward: float | None
    file_to_mask: float | None
    machine: str

    @property
    def mean_boundary(self) -> float | None:
        """Mean boundary IoU over the classes that have one."""
        return None if self.boundary is None else _mean(list(self.boundary.values()))


def rows_of(study: Study, results: Results) -> list[Row]:
    """A row for every entry with a finished run."""
    rows = []
    for entry in study.settings.entries:
        jobs = [job for job in study.jobs if job.entry.name == entry.name]
        found = {job: results[job] for job in jobs if job in results}
        if found:
            rows.append(_row(entry, found, len(jobs), max(1, len(study.settings.folds))))
    return rows


def _row(entry: EntrySettings, found: Mapping[Job, Result], planned: int, folds: int) -> Row:
    by_seed: dict[int, list[Result]] = {}
    for job, result in found.items():
        by_seed.setdefault(job.seed, []).append(result)
    # Folds differ more than seeds: a seed with some of them would move the mean by which it has.
    by_seed = {seed: runs for seed, runs in by_seed.items() if len(runs) == folds} or by_seed
    seeds = [
        _mean([r.evaluation().scores().mean_iou for r in results]) for results in by_seed.values()
    ]
    results = [result for runs in by_seed.values() for result in runs]
    evaluations = [result.evaluation() for result in results]
    names = evaluations[0].names
    known = evaluations[0].protocol.known(np.arange(len(names)))
    ious = _columns([e.scores().iou for e in evaluations])
    costs = [result.cost for result in found.values() if result.cost]

    def cost(name: str, over: str = "mean") -> float | None:
        values = [c[name] for c in costs if c[name] is not None]
        return float(getattr(np, over)(values)) if values else None

    parameters = cost("parameters")
    bounds = [r.boundary for r in results if r.boundary is not None]
    edges = _columns([np.array(b, float) for b in bounds]) if bounds else None
    counts = [r.patches for r in results if r.patches and r.patches["whole"]]
    return Row(
        entry,
        len(found),
        planned,
        sum(len(result.images) for result in next(iter(by_seed.values()))),
        _mean(seeds),
        float(np.std(seeds, ddof=1)) if len(seeds) > 1 else float("nan"),
        pooled_interval(list(by_seed.values())),
        {names[i]: float(ious[i]) for i in known},
        {names[i]: float(edges[i]) for i in known} if edges is not None else None,
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


def pooled_interval(by_seed: Sequence[Sequence[Result]]) -> Interval | None:
    """Bootstrap over images: folds pooled, every seed resampled alike, and averaged per draw."""
    draws = []
    for results in by_seed:
        evaluations = [result.evaluation() for result in results]
        kept = [e.pairs[e.view][~np.isnan(e.image_mean_ious())] for e in evaluations]
        pairs = np.concatenate(kept)
        if len(pairs) < 2:  # noqa: PLR2004  one image has no spread
            return None
        draws.append(set_mean_ious(pairs, evaluations[0].protocol))
    means = np.mean(draws, axis=0)
    means = means[~np.isnan(means)]
    return interval(means) if means.size else None


def _columns(values: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over the first axis of what is defined; NaN where nothing is."""
    stacked = np.stack(values)
    defined = ~np.isnan(stacked)
    total = np.where(defined, stacked, 0).sum(axis=0)
    count = defined.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _mean(values: Sequence[float]) -> float:
    return float(_columns([np.array(v) for v in values]))
