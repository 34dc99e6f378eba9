"""Potsdam and Vaihingen (ISPRS 2D Semantic Labeling), split as in the contest."""

from collections.abc import Mapping
from pathlib import Path

from glnet.catalogue.published import Item, Published, pairs, unpacked
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.problems import Problems

_CLASSES = ClassTable(
    (
        ClassInfo("impervious surfaces", 0, (255, 255, 255)),
        ClassInfo("building", 1, (0, 0, 255)),
        ClassInfo("low vegetation", 2, (0, 255, 255)),
        ClassInfo("tree", 3, (0, 255, 0)),
        ClassInfo("car", 4, (255, 255, 0)),
        ClassInfo("clutter", 5, (255, 0, 0)),
    )
)
_METRIC = (
    "clutter is a class here, so means are over six; papers often give F1 and IoU of the other "
    "five: average their rows"
)
_WHERE = "the ISPRS benchmark page, isprs.org (2D Semantic Labeling), on request"

_POTSDAM_TRAIN = (
    "2_10 2_11 2_12 3_10 3_11 3_12 4_10 4_11 4_12 5_10 5_11 5_12 6_7 6_8 6_9 6_10 6_11 6_12 "
    "7_7 7_8 7_9 7_10 7_11 7_12"
)
_POTSDAM_TEST = "2_13 2_14 3_13 3_14 4_13 4_14 4_15 5_13 5_14 5_15 6_13 6_14 6_15 7_13"
_ORTHOPHOTOS = (("2_Ortho_RGB", "_RGB.tif"), ("4_Ortho_RGBIR", "_RGBIR.tif"))
_POTSDAM_MASKS = ("5_Labels_all", "5_Labels_for_participants")

_VAIHINGEN_TRAIN = "1 3 5 7 11 13 15 17 21 23 26 28 30 32 34 37"
_VAIHINGEN_TEST = "2 4 6 8 10 12 14 16 20 22 24 27 29 31 33 35 38"
_AREA = "top_mosaic_09cm_area"
_COMPLETE = "ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE"


def _splits(prefix: str, train: str, test: str) -> Mapping[str, str]:
    return {
        f"{prefix}{name}": split
        for split, names in (("train", train), ("test", test))
        for name in names.split()
    }


def _potsdam_home(root: Path) -> Path | None:
    homes = (root, root / "Potsdam")
    photos = [name for name, _ in _ORTHOPHOTOS]
    return next((home for home in homes if any((home / name).is_dir() for name in photos)), None)


def _potsdam_items(home: Path, _: Problems) -> list[Item]:
    images = next(
        (unpacked(home, name), ending) for name, ending in _ORTHOPHOTOS if (home / name).is_dir()
    )
    folders = [unpacked(home, name) for name in _POTSDAM_MASKS]
    masks = next((folder for folder in folders if folder.is_dir()), folders[0])
    splits = _splits("top_potsdam_", _POTSDAM_TRAIN, _POTSDAM_TEST)
    return pairs(images, (masks, "_label.tif"), splits)


def _vaihingen_home(root: Path) -> Path | None:
    return root if _top(root) else None


def _top(root: Path) -> Path | None:
    folders = (root / "top", root / "ISPRS_semantic_labeling_Vaihingen" / "top")
    return next((folder for folder in folders if any(folder.glob(f"{_AREA}*.tif"))), None)


def _vaihingen_items(home: Path, _: Problems) -> list[Item]:
    top = _top(home) or home / "top"
    participants = top.parent / "gts_for_participants"
    folders = (home / _COMPLETE, home, top.parent, participants)
    masks = next((one for one in folders if any(one.glob(f"{_AREA}*.tif"))), participants)
    splits = _splits(_AREA, _VAIHINGEN_TRAIN, _VAIHINGEN_TEST)
    return pairs((top, ".tif"), (masks, ".tif"), splits)


POTSDAM = Published(
    name="potsdam",
    title="ISPRS Potsdam",
    images="38 of 6000 x 6000",
    where=_WHERE,
    licence="not stated",
    layout=(
        "2_Ortho_RGB/top_potsdam_2_10_RGB.tif (or 4_Ortho_RGBIR/), "
        "5_Labels_all/top_potsdam_2_10_label.tif (or 5_Labels_for_participants/)"
    ),
    splits={"train": 24, "test": 14},
    classes=_CLASSES,
    metric=_METRIC,
    home=_potsdam_home,
    items=_potsdam_items,
    fingerprints={"train": "327a1ba4270b775e", "test": "06a107de9beef00e"},
    tolerance=127,  # some labels hold near-colours; all corners of the cube are apart
    notes=("4_Ortho_RGBIR is taken where 2_Ortho_RGB is not there; its recipe needs bands: 4",),
)

VAIHINGEN = Published(
    name="vaihingen",
    title="ISPRS Vaihingen",
    images="33 of 1281 to 3816 a side",
    where=_WHERE,
    licence="not stated",
    layout=f"top/{_AREA}1.tif, gts_for_participants/{_AREA}1.tif (or {_COMPLETE}/)",
    splits={"train": 16, "test": 17},
    classes=_CLASSES,
    metric=_METRIC,
    home=_vaihingen_home,
    items=_vaihingen_items,
    fingerprints={"train": "97b7204d32c53a34", "test": "692ec5efcd191e58"},
    notes=("the bands are near infrared, red and green",),
)
