"""What of a published data set is there, and what is wrong with its files by their names alone."""

import filecmp
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glnet.catalogue.palettes import as_stored
from glnet.catalogue.published import Item, Published, fingerprint
from glnet.datasets.classes import ClassTable
from glnet.datasets.manifest import Sample
from glnet.datasets.problems import Problems, listed


@dataclass(frozen=True)
class Survey:
    """What lies below a root.

    Attributes:
        published: Which data set it is.
        samples: All whose image and mask are there and whose split is known.
        ids: The ids of these, by split.
        table: The classes, with the values that its masks have.
        notes: What a user should know, a line each.
    """

    published: Published
    samples: list[Sample]
    ids: dict[str, list[str]]
    table: ClassTable
    notes: list[str]

    def fingerprints(self) -> dict[str, tuple[str, str]]:
        """Of every split's ids, and how it compares with a published one, where there is one."""
        known = self.published.fingerprints
        found = {split: fingerprint(ids) for split, ids in self.ids.items()}
        return {split: (own, _verdict(own, known.get(split))) for split, own in found.items()}


def survey(
    root: Path, published: Published, home: Path, problems: Problems, *, partial: bool = False
) -> Survey:
    """Pair files, compare them with the lists and look for what is in two splits; reads no pixels.

    Args:
        root: What paths are told from.
        published, home: As `find` gives them.
        problems: Gathers what is wrong, for the caller to refuse.
        partial: What is missing is left out and noted, no problem.
    """
    found = published.items(home, problems)
    there = {path: path.is_file() for item in found for path in (item.image, item.mask)}
    items = [item for item in found if item.split]
    whole = [
        item
        for split in published.splits
        for item in items
        if item.split == split and there[item.image] and there[item.mask]
    ]
    gaps, notes = _gaps(root, items, there), list[str]()
    if not len(problems):  # else a list could not be read, and all of it would be missed
        fewer, notes = _other_counts(published, items)
        gaps += fewer
    for gap in gaps:
        if partial:
            notes.append(f"partial: {gap}")
        else:
            problems.add(f"{root}: {gap}; get what is missing, or leave it out by --partial")
    if partial and not whole:
        problems.add(f"{root}: no image of {published.name} is there with its mask")
    if shared := _in_two_splits(whole):
        verb = "images lie" if len(shared) > 1 else "image lies"
        problems.add(f"{root}: {len(shared)} {verb} in two splits: {listed(shared)}")
    if others := [item.image for item in found if not item.split and there[item.image]]:
        what = f"{_counted(others, 'image')} that the published lists do not name"
        notes.append(f"left out: {what}: {_named(root, others)}")
    table = published.classes
    with problems.gathered():
        # Of the first mask; all are compared when all are read.
        table = as_stored(table, whole[0].mask) if whole else table
    return Survey(
        published,
        [Sample(item.image, item.mask, item.split, item.window) for item in whole],
        {split: [i.id for i in whole if i.split == split] for split in published.splits},
        table,
        notes,
    )


def _gaps(root: Path, items: Sequence[Item], there: dict[Path, bool]) -> list[str]:
    """A line for each of the ways in which a pair can lack something."""
    neither, images, masks = list[Path](), list[Path](), list[Path]()
    for item in items:
        if not there[item.mask]:
            (images if there[item.image] else neither).append(item.image)
        elif not there[item.image]:
            masks.append(item.mask)
    neither, images, masks = (list(dict.fromkeys(paths)) for paths in (neither, images, masks))
    lines = []
    if neither:
        verb = "are" if len(neither) > 1 else "is"
        what = f"{_counted(neither, 'image')} of the published lists {verb} not there"
        lines.append(f"{what}: {_named(root, neither)}")
    for paths, kind, other in ((images, "image", "mask"), (masks, "mask", "image")):
        if paths:
            verb = "have" if len(paths) > 1 else "has"
            lines.append(f"{_counted(paths, kind)} {verb} no {other}: {_named(root, paths)}")
    return lines


def _other_counts(published: Published, items: Sequence[Item]) -> tuple[list[str], list[str]]:
    """A line for splits that come as folders or files and hold less than was published, or more."""
    counts = {split: sum(item.split == split for item in items) for split in published.splits}
    shown = {split: f"{split} {counts[split]} of {n}" for split, n in published.splits.items()}
    fewer = [shown[split] for split, n in published.splits.items() if counts[split] < n]
    more = [shown[split] for split, n in published.splits.items() if counts[split] > n]
    return (
        [f"less than was published: {', '.join(fewer)}"] if fewer else [],
        [f"more than was published: {', '.join(more)}"] if more else [],
    )


def _in_two_splits(items: Iterable[Item]) -> list[str]:
    """Ids that two splits have, of the same image: equal names alone may be a coincidence."""
    by_id = defaultdict(list)
    for item in items:
        by_id[item.id].append(item)
    shared = []
    for name, same in by_id.items():
        others = [item for item in same[1:] if item.split != same[0].split]
        splits = [item.split for item in others if _same(item.image, same[0].image)]
        if splits:
            shared.append(f"{name} ({', '.join([same[0].split, *splits])})")
    return shared


def _same(one: Path, other: Path) -> bool:
    return one == other or filecmp.cmp(one, other, shallow=False)


def _verdict(own: str, known: str | None) -> str:
    if known is None:
        return ""
    return "as published" if own == known else "not as published"


def _counted(paths: Sequence[Path], kind: str) -> str:
    return f"{len(paths)} {kind}{'s' * (len(paths) != 1)}"


def _named(root: Path, paths: Sequence[Path]) -> str:
    return listed(path.relative_to(root).as_posix() for path in paths)
