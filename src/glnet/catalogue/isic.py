"""ISIC 2018 task 1, lesion boundaries (Codella et al., 2019), split by a list of our own.

Papers split 2074, 260 and 260 at random and publish no list. Ours: the ids in the order of SHA-256
of "0 ID" (0 is the seed); the first 2074 train, the next 260 validate, the last 260 test.
"""

from pathlib import Path

from glnet.catalogue.published import Item, Published, listed_splits, pairs, unpacked
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.problems import Problems

_IMAGES, _MASKS = "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"


def _home(root: Path) -> Path | None:
    return root if (root / _IMAGES).is_dir() or (root / _MASKS).is_dir() else None


def _items(home: Path, _: Problems) -> list[Item]:
    images, masks = unpacked(home, _IMAGES), unpacked(home, _MASKS)
    return pairs((images, ".jpg"), (masks, "_segmentation.png"), listed_splits("isic2018.csv"))


ISIC2018 = Published(
    name="isic2018",
    title="ISIC 2018 task 1",
    images="2594 of many sizes",
    where="challenge.isic-archive.com, data of 2018",
    licence="CC BY-NC 4.0",
    layout=f"{_IMAGES}/ISIC_0000000.jpg, {_MASKS}/ISIC_0000000_segmentation.png",
    splits={"train": 2074, "validation": 260, "test": 260},
    classes=ClassTable(
        (
            ClassInfo("background", 0, (0, 0, 0)),
            ClassInfo("lesion", 255, (255, 255, 255)),
        )
    ),
    metric="papers do not say whether mean IoU or the lesion's: give both rows",
    home=_home,
    items=_items,
    fingerprints={
        "train": "048f9845d66954e7",
        "validation": "6833b86d2090ab9b",
        "test": "64da54d870dd5a77",
    },
    notes=("no paper published its split, this one is ours: numbers compare with none of theirs",),
)
