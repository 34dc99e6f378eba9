"""What is known of a published data set, and what its files are called."""

import csv
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from glnet.datasets.classes import ClassTable
from glnet.datasets.problems import Problems
from glnet.geometry import Window
from glnet.metrics import ProtocolName


@dataclass(frozen=True, slots=True)
class Item:
    """A labelled image of a data set, or a part of one, whether its files are there or not.

    Attributes:
        id: What lists call it.
        image, mask: Where they lie, or would.
        split: In our words; "" for what no published list names.
        window: The part of the image that this is; None: all of it.
    """

    id: str
    image: Path
    mask: Path
    split: str
    window: Window | None = None


@dataclass(frozen=True)
class Published:
    """A published data set: facts, and how to find its files.

    Attributes:
        name, title: For commands, and for people.
        images: How many there are, of which size.
        where, licence: Where to get it, and on which terms.
        layout: What lies under its root, as downloaded.
        splits: How many images, or parts of them, each split has.
        classes: With mask values and colours.
        metric: How papers count its numbers, and where ours say the same.
        home: The folder of the layout, the root or one below it; None: another data set.
        items: What the lists name and what lies in such a folder; notes lists that are unusable.
        protocol: Of `glnet evaluate`, for numbers like the papers'.
        reported: The split whose numbers papers give.
        fingerprints: Of the ids of each split, where a list was published.
        tolerance: What near-colours in its masks need.
        notes: What else a user must know, a sentence each.
    """

    name: str
    title: str
    images: str
    where: str
    licence: str
    layout: str
    splits: Mapping[str, int]
    classes: ClassTable
    metric: str
    home: Callable[[Path], Path | None]
    items: Callable[[Path, Problems], list[Item]]
    protocol: ProtocolName = "ignore"
    reported: str = "test"
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    tolerance: int = 0
    notes: tuple[str, ...] = ()


def fingerprint(ids: Iterable[str]) -> str:
    """16 hex digits for a set of ids: SHA-256 of a line for each, shorter ones first, then by name.

    So numbers come in their order, however many digits they have.
    """
    lines = "".join(f"{name}\n" for name in sorted(ids, key=_by_number))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def listed_splits(file: str) -> dict[str, str]:
    """The split of every id, from a list that comes with the package."""
    text = resources.files("glnet.catalogue").joinpath("lists", file).read_text(encoding="utf-8")
    return {row["id"]: row["split"] for row in csv.DictReader(text.splitlines())}


def pairs(
    images: tuple[Path, str], masks: tuple[Path, str], split: str | Mapping[str, str]
) -> list[Item]:
    """Images and masks of equal ids, one or both of which may be missing.

    Args:
        images, masks: A folder, and what follows the id in its files' names.
        split: Of all that lies there; or, by id, what a published list says.
    """
    lists = split if isinstance(split, Mapping) else {}
    there = {
        path.name.removesuffix(ending)
        for folder, ending in (images, masks)
        for path in folder.glob(f"*{ending}")
        if not path.name.startswith(".")
    }
    found = [*lists, *sorted(there - lists.keys(), key=_by_number)]
    return [
        Item(
            name,
            images[0] / f"{name}{images[1]}",
            masks[0] / f"{name}{masks[1]}",
            split if isinstance(split, str) else split.get(name, ""),
        )
        for name in found
    ]


def unpacked(root: Path, name: str) -> Path:
    """A folder of an archive, which some programs unpack into one of the same name."""
    return root / name / name if (root / name / name).is_dir() else root / name


def _by_number(name: str) -> tuple[int, str]:
    return len(name), name
