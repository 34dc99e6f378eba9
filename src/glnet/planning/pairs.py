"""Images and their masks, found in the folder layouts that people have.

A file's role and split come from the names of its folders, its partner from its own name. What
could be read in two ways is refused: a wrong pair would teach silently.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from glnet.datasets.manifest import Sample
from glnet.datasets.problems import listed
from glnet.errors import DataError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".jp2"})

#: Words of folder names, told apart at blanks, dots, hyphens and underscores.
_MASKS = frozenset({
    "mask", "masks", "label", "labels", "annotation", "annotations", "gt", "groundtruth", "truth",
})  # fmt: skip
#: Of file names alone: a folder called so holds whole data sets.
_MASK_AFFIXES = _MASKS | {"segmentation", "seg"}
_IMAGES = frozenset({
    "image", "images", "img", "imgs", "sat", "photo", "photos", "scene", "scenes",
})  # fmt: skip
_SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation",
    "validation": "validation", "test": "test", "testing": "test",
}  # fmt: skip

_BETWEEN = re.compile(r"[\s._\-]+")
_LAYOUTS = (
    "understood are images/ beside labels/, masks/, annotations/ or gt/ with equal names or an "
    "affix such as _sat and _mask; a.jpg beside a_mask.png or a.png; both inside train/, val/ and "
    "test/; or name a manifest with --manifest, as for masks of one file per class (its column "
    "mask then holds a pattern such as masks/a_{class}.png)"
)

Role = Literal["image", "mask"]


@dataclass(frozen=True, slots=True)
class Found:
    """Pairs in the order of their names, with the split their folders say or "", and the rest."""

    samples: list[Sample]
    unlabelled: list[Path]


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    role: Role | None
    split: str
    #: Folders that say neither role nor split; partners have the same.
    group: tuple[str, ...]

    @property
    def stem(self) -> str:
        return self.path.stem.lower()

    def core(self, role: Role) -> str:
        """The stem without a word for the role at either end."""
        words = "|".join(
            sorted(_MASK_AFFIXES if role == "mask" else _IMAGES, key=len, reverse=True)
        )
        core = re.sub(rf"^(?:{words})[\s._\-]+|[\s._\-]+(?:{words})$", "", self.stem)
        return core or self.stem


def find_pairs(folder: str | Path) -> Found:
    """Pair the images below a folder with their masks.

    Raises:
        DataError: no such folder, no pair in it, a mask without image, or more than one partner.
    """
    folder = Path(folder)
    if not folder.is_dir():
        msg = f"{folder}: no such folder; name the one that holds images and masks"
        raise DataError(msg)
    files = _with_roles(_scan(folder))
    pairs = _matched(folder, files)
    if not pairs:
        count = f"{len(files)} image files, none with a mask" if files else "no image files"
        msg = f"{folder}: found {count}; {_LAYOUTS}"
        raise DataError(msg)
    samples = [Sample(i.path, m.path, i.split) for i, m in pairs]
    paired = {image.path for image, _ in pairs}
    images = [file.path for file in files if file.role == "image"]
    return Found(samples, [path for path in images if path not in paired])


def _scan(folder: Path) -> list[_File]:
    files = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            files.append(_File(path, *_meaning(inside.parent)))
    return files


def _meaning(folders: PurePath) -> tuple[Role | None, str, tuple[str, ...]]:
    """Role, split and the rest of what the folders above a file say."""
    role: Role | None = None
    split, group = "", list[str]()
    for name in folders.parts:
        words = set(_BETWEEN.split(name.lower()))
        splits = [_SPLITS[word] for word in words & _SPLITS.keys()]
        if words & _MASKS:
            role = "mask"
        elif words & _IMAGES:
            role = "image"
        elif not splits:
            group.append(name.lower())
        split = splits[0] if splits else split
    return role, split, tuple(group)


def _with_roles(files: Sequence[_File]) -> list[_File]:
    """Where no folder says it: `a_mask` is a mask, and so is a.png beside an a of another type."""
    open_ = [file for file in files if file.role is None]
    types = defaultdict(set)
    for file in open_:
        types[file.path.parent, file.stem].add(file.path.suffix.lower())
    decided = {}
    for file in open_:
        twins = types[file.path.parent, file.stem]
        twin = file.path.suffix.lower() == ".png" and len(twins) > 1
        role: Role = "mask" if twin or file.core("mask") != file.stem else "image"
        decided[file.path] = _File(file.path, role, file.split, file.group)
    return [decided.get(file.path, file) for file in files]


def _matched(folder: Path, files: Sequence[_File]) -> list[tuple[_File, _File]]:
    """Every mask with its one image, in the images' order."""
    by_name: dict[tuple[object, ...], list[_File]] = defaultdict(list)
    for file in files:
        if file.role == "image":
            place = (file.split, file.group)
            by_name[*place, "stem", file.stem].append(file)
            by_name[*place, "core", file.core("image")].append(file)
    mask_of: dict[Path, _File] = {}
    pairs, orphans = [], []
    for mask in (file for file in files if file.role == "mask"):
        names = [(kind, own) for own in (mask.stem, mask.core("mask")) for kind in ("stem", "core")]
        found = (by_name.get((mask.split, mask.group, *name)) for name in names)
        images = next((some for some in found if some), [])
        if len(images) > 1:
            _refuse(folder, "the mask", mask, "the images", images)
        if not images:
            orphans.append(mask)
            continue
        image = images[0]
        if image.path in mask_of:
            _refuse(folder, "the image", image, "the masks", [mask_of[image.path], mask])
        mask_of[image.path] = mask
        pairs.append((image, mask))
    if orphans and pairs:
        shown = listed([file.path.relative_to(folder) for file in orphans])
        count = "1 mask has" if len(orphans) == 1 else f"{len(orphans)} masks have"
        msg = f"{folder}: {count} no image of the same name: {shown}; add the images, move the "
        raise DataError(msg + "masks out, or name a manifest with --manifest")
    return sorted(pairs, key=lambda pair: pair[0].path)


def _refuse(folder: Path, what: str, one: _File, kind: str, many: Sequence[_File]) -> None:
    shown = " and ".join(str(file.path.relative_to(folder)) for file in many)
    msg = (
        f"{folder}: {what} {one.path.relative_to(folder)} could belong to {kind} {shown}; "
        "move one away, or name a manifest with --manifest"
    )
    raise DataError(msg)
