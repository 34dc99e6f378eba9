"""Cityscapes (Cordts et al., 2016), fine annotations; the test split's labels are dummies."""

from pathlib import Path

from glnet.catalogue.published import Item, Published, pairs
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.problems import Problems

_FOLDERS = {"train": "train", "validation": "val"}
_IMAGES, _MASKS = "leftImg8bit", "gtFine"

#: Label id, name and colour of the classes that are scored.
_SCORED = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)

#: The other label ids; -1, a licence plate, is 255 in a byte.
_VOID = (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30, 255)


def _home(root: Path) -> Path | None:
    return root if (root / _IMAGES).is_dir() or (root / _MASKS).is_dir() else None


def _items(home: Path, _: Problems) -> list[Item]:
    return [
        item
        for split, folder in _FOLDERS.items()
        for city in _cities(home, folder)
        for item in pairs(
            (home / _IMAGES / folder / city, "_leftImg8bit.png"),
            (home / _MASKS / folder / city, "_gtFine_labelIds.png"),
            split,
        )
    ]


def _cities(home: Path, folder: str) -> list[str]:
    return sorted(
        {path.name for kind in (_IMAGES, _MASKS) for path in (home / kind / folder).glob("*/")}
    )


CITYSCAPES = Published(
    name="cityscapes",
    title="Cityscapes",
    images="3475 of 1024 x 2048",
    where="cityscapes-dataset.com (account)",
    licence="its own, non-commercial",
    layout=(
        "leftImg8bit/train/CITY/NAME_leftImg8bit.png, gtFine/train/CITY/NAME_gtFine_labelIds.png; "
        "val/ likewise"
    ),
    splits={"train": 2975, "validation": 500},
    classes=ClassTable(
        (
            *(ClassInfo(name, value, colour) for value, name, colour in _SCORED),
            *(ClassInfo("void", value, (value, value, value), ignored=True) for value in _VOID),
        )
    ),
    metric="mean IoU of the 19 scored classes",
    home=_home,
    items=_items,
    reported="validation",
    notes=("the test masks are dummies and are left alone: papers report validation",),
)
