"""Bootstrap intervals: how far a score would move on other images of the same kind.

Images of one group (a patient, a place) are alike: such groups are drawn whole, in their stead.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from glnet.metrics.confusion import ious
from glnet.metrics.protocol import Protocol

#: Resampled sets, the seed that draws them, and the share of them that an interval holds.
DRAWS, SEED, LEVEL = 2000, 0, 0.95

#: Draws added up at a time, to bound the memory of sets with many classes.
_PORTION = 100


class Interval(NamedTuple):
    """From the low to the high percentile of a score over resampled sets."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Is every value in it above 0, or every one below?"""
        return self.low > 0 or self.high < 0


def resample(images: int, fold: int = 0) -> Iterator[np.ndarray]:
    """Sets of as many images (or groups), drawn with replacement; the same ones every time.

    Args:
        images: How many there are.
        fold: Which set of images this is; others are drawn independently of it.

    Yields:
        How often every image is in each set of a portion, shape (sets, images), float64.
    """
    generator = np.random.default_rng(SEED + fold)
    for _ in range(0, DRAWS, _PORTION):
        drawn = generator.integers(0, images, (_PORTION, images))
        rows = np.arange(_PORTION)[:, None] * images
        often = np.bincount((drawn + rows).ravel(), minlength=_PORTION * images)
        yield often.reshape(_PORTION, images).astype(float)


def set_mean_ious(pairs: np.ndarray, protocol: Protocol, fold: int = 0) -> np.ndarray:
    """Mean IoU of every resampled set; see `set_ious`."""
    return protocol.mean(set_ious(pairs, protocol, fold), ious(pairs.sum(axis=0), protocol))


def set_ious(pairs: np.ndarray, protocol: Protocol, fold: int = 0) -> np.ndarray:
    """IoU of every class in every resampled set, shape (sets, classes); NaN where a set has none.

    Args:
        pairs: One matrix per image or group, shape (images, classes + 1, classes + 1).
        protocol: What is done with unknown ground.
        fold: See `resample`.
    """
    flat = pairs.reshape(len(pairs), -1).astype(float)
    summed = ((often @ flat).reshape(-1, *pairs.shape[1:]) for often in resample(len(pairs), fold))
    return np.concatenate([ious(matrices, protocol) for matrices in summed])


def image_means(values: np.ndarray, groups: Sequence[str] = ()) -> np.ndarray:
    """The mean of one value per image, in every resampled set.

    Args:
        values: Shape (images,).
        groups: See `summed_by`.
    """
    sums, counts = (summed_by(groups, each) for each in (values, np.ones(len(values))))
    return np.concatenate([often @ sums / (often @ counts) for often in resample(len(sums))])


def summed_by(groups: Sequence[str], values: np.ndarray) -> np.ndarray:
    """The sum over every group's images, shape (groups, ...); what has no group is one of its own.

    Args:
        groups: Name of every image's group, or ""; none at all: every image is its own.
        values: Shape (images, ...).
    """
    if not any(groups):
        return values
    return joined([group or position for position, group in enumerate(groups)], values)[1]


def joined(units: Sequence[Hashable], values: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Of every value the number of its unit, in the order of their first; and the units' sums.

    Args:
        units: What each value belongs to.
        values: Shape (values, ...).
    """
    place = {unit: i for i, unit in enumerate(dict.fromkeys(units))}
    number = [place[unit] for unit in units]
    sums = np.zeros((len(place), *values.shape[1:]), values.dtype)
    np.add.at(sums, number, values)
    return number, sums


def interval(scores: np.ndarray) -> Interval:
    """The middle `LEVEL` of the scores of resampled sets."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(scores, (tail, 1 - tail))
    return Interval(float(low), float(high))


def defined_interval(scores: np.ndarray) -> Interval | None:
    """The interval over the sets where a score is defined; None where it is in no set."""
    defined = scores[~np.isnan(scores)]
    return interval(defined) if defined.size else None
