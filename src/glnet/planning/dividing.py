"""Which image is for what, in one run or in every fold: groups stay whole, and what to know of it.

What shares a patient or a place is alike: tested on what it was trained on, it flatters the score.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from glnet.datasets.manifest import Sample
from glnet.errors import DataError, RecipeError
from glnet.metrics.bootstrap import joined
from glnet.planning.splits import TRIES, choose_folds, choose_splits, take_validation
from glnet.planning.wishes import Wishes

#: Fewer images than to train, to validate and to test.
FEW = 3


def grouped(samples: Sequence[Sample], folder: Path, pattern: str) -> list[Sample]:
    """The samples with their groups: what the pattern finds in an image's path below the folder.

    Args:
        samples: Of images below the folder.
        folder: Which is no part of the path.
        pattern: A regular expression; of one with brackets what the first hold is the group.

    Raises:
        RecipeError: nothing is found in a path.
    """
    out = []
    for sample in samples:
        place = sample.image.relative_to(folder).as_posix()
        found = re.search(pattern, place)
        # As a manifest gives it back, without blanks around.
        group = (found[min(1, found.re.groups)] or "").strip() if found else ""
        if not group:
            msg = f"--group: {pattern!r} finds nothing in {place}; it must name every image's group"
            raise RecipeError(msg)
        out.append(replace(sample, group=group))
    return out


def divide(
    samples: Sequence[Sample], pixels: np.ndarray, wishes: Wishes, notes: list[str], *, fixed: bool
) -> list[list[str]]:
    """The splits of one run, or of every fold.

    Args:
        samples: With the splits that folders or a manifest give them, or "".
        pixels: Labelled pixels, shape (samples, classes).
        wishes: Folds and seed.
        notes: Gets what was done, and what follows.
        fixed: Take the given splits as they are, but for folds.

    Raises:
        RecipeError: so many folds cannot be made.
        DataError: the folders give splits to some images alone, or two to one group.
    """
    if groups := len({sample.group for sample in samples if sample.group}):
        notes.append(f"{groups} groups of images: each in one split")
    if wishes.folds:
        return _folds(samples, pixels, wishes, notes)
    splits = [sample.split for sample in samples]
    if not fixed:
        splits = _splits(samples, pixels, wishes.seed, notes)
    notes += _lacking(splits)
    return [splits]


def _folds(
    samples: Sequence[Sample], pixels: np.ndarray, wishes: Wishes, notes: list[str]
) -> list[list[str]]:
    """Folds of whole groups, or whole images: parts of one image stay together."""
    try:
        units = [sample.group or sample.image for sample in samples]
        number, summed = joined(units, pixels)
        chosen = choose_folds(summed, wishes.folds, wishes.seed)
    except ValueError as error:
        msg = f"--folds: {error}"
        raise RecipeError(msg) from error
    kind = "group" if any(sample.group for sample in samples) else "image"
    notes.append(
        f"{wishes.folds} folds by {kind}, given splits set aside; each recipe takes "
        f"{wishes.hours:g} h, and the score to report is the mean over the folds' test splits"
    )
    folds = [[splits[i] for i in number] for splits in chosen]
    for k, splits in enumerate(folds, start=1):
        notes += [f"fold {k}: {note}" for note in _lacking(splits)]
    return folds


def _splits(
    samples: Sequence[Sample], pixels: np.ndarray, seed: int, notes: list[str]
) -> list[str]:
    """Those of the folders, as far as they say."""
    given = [sample.split for sample in samples]
    kinds = set(given)
    if kinds <= {"", "train"}:
        notes.append(
            f"splits: of {TRIES} random orders (--seed {seed}) the one whose class shares are most "
            "alike"
        )
        return _whole(samples, pixels, lambda summed, _: choose_splits(summed, seed))
    if "" in kinds or "train" not in kinds:
        found = ", ".join(sorted(kind or "no split" for kind in kinds))
        msg = f"the folders' names say {found}; wanted train and others, or no splits at all; "
        raise DataError(msg + "move the images, or name a manifest with --manifest")
    if "validation" not in kinds:
        notes.append("no validation folder: some training images, alike in classes, validate")
        return _whole(samples, pixels, lambda summed, own: take_validation(summed, own, seed))
    return _whole(samples, pixels, lambda _, own: own)


_Choose = Callable[[np.ndarray, list[str]], list[str]]


def _whole(samples: Sequence[Sample], pixels: np.ndarray, choose: _Choose) -> list[str]:
    """Splits that are chosen for groups and whole images, from their pixels and given splits.

    Images that are too few to be divided are divided by their parts.
    """
    few = len({sample.image for sample in samples}) < FEW
    units = [sample.group or (i if few else sample.image) for i, sample in enumerate(samples)]
    given: dict[Hashable, str] = {}
    for unit, sample in zip(units, samples, strict=True):
        if given.setdefault(unit, sample.split) != sample.split:
            msg = (
                f"the folders put images of the group '{unit}' into '{given[unit]}' and "
                f"'{sample.split}'; move them into one"
            )
            raise DataError(msg)
    number, summed = joined(units, pixels)
    splits = choose(summed, list(given.values()))
    return [splits[i] for i in number]


def _lacking(splits: Sequence[str]) -> list[str]:
    """What follows from a split without images, and what to do."""
    notes = []
    if "validation" not in splits:
        notes.append(
            "no validation image: the last epoch is kept, not the best; label more images, or say "
            "so in the manifest"
        )
    if "test" not in splits:
        notes.append(
            "no test image: the score of the validation images, which chose the epoch, flatters; "
            "label more images, or try --folds"
        )
    return notes
