"""How far an entry's mean IoU, or its lead over another's, would move on other images."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from glnet.benchmark.results import Result
from glnet.datasets.classes import ClassTable
from glnet.evaluation.comparison import known_classes
from glnet.metrics import Interval
from glnet.metrics.bootstrap import defined_interval, set_mean_ious

#: Of one entry: by seed, by fold.
Runs = Mapping[int, Mapping[int, Result]]


class Difference(NamedTuple):
    """To the mean IoU of the entry `to`; and its interval over images, see `mean_interval`."""

    to: str
    mean: float
    interval: Interval | None


def mean_iou(runs: Runs) -> float:
    """The mean over seeds of the mean over folds."""
    folds = [[r.evaluation().scores().mean_iou for r in own.values()] for own in runs.values()]
    return float(defined_mean([defined_mean(own) for own in folds]))


def mean_interval(runs: Runs) -> Interval | None:
    """Of `mean_iou`, over images that are drawn anew within each fold, the same for every seed.

    None: a fold has fewer than two images.
    """
    return defined_interval(_draws(runs, runs))


def difference(to: str, runs: Runs, other: Runs) -> Difference | None:
    """How much more `runs` score than `other`, on the same images and classes.

    None: one lacks the other's.
    """
    if _counted(runs) != _counted(other):
        return None
    drawn = _draws(runs, other) - _draws(other, runs)
    return Difference(to, mean_iou(runs) - mean_iou(other), defined_interval(drawn))


def defined_mean(values: Sequence[np.ndarray] | Sequence[float]) -> np.ndarray:
    """Mean over the first axis of what is defined; NaN where nothing is."""
    stacked = np.stack([np.asarray(value) for value in values])
    defined = ~np.isnan(stacked)
    total = np.where(defined, stacked, 0).sum(axis=0)
    count = defined.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _counted(runs: Runs) -> dict[tuple[int, int], object]:
    """Of every seed and fold the images, and the classes that means are over."""
    found: dict[tuple[int, int], object] = {}
    for seed, own in runs.items():
        for fold, result in own.items():
            known = known_classes(ClassTable.from_dicts(result.classes))
            found[seed, fold] = result.images, known
    return found


def _draws(runs: Runs, beside: Runs) -> np.ndarray:
    """`mean_iou` of every resampled set of the images that count; NaN: too few images."""
    every = {fold for own in runs.values() for fold in own}
    counting = {fold: _counting(fold, runs, beside) for fold in every}
    seeds = []
    for own in runs.values():
        folds = []
        for fold, result in own.items():
            evaluation = result.evaluation()
            pairs = evaluation.drawn_pairs(counting[fold])
            if len(pairs) < 2:  # noqa: PLR2004  one image has no spread
                return np.array([np.nan])
            folds.append(set_mean_ious(pairs, evaluation.protocol, fold))
        seeds.append(defined_mean(folds))
    return defined_mean(seeds)


def _counting(fold: int, *entries: Runs) -> np.ndarray:
    """Which images of a fold have a score in any run, so that all draw the same ones."""
    results = [own[fold] for runs in entries for own in runs.values() if fold in own]
    means = np.stack([result.evaluation().image_mean_ious() for result in results])
    return ~np.isnan(means).all(axis=0)
