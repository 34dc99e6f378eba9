"""URUR (Ji et al., CVPR 2023), split by its folders."""

from pathlib import Path

from glnet.catalogue.published import Item, Published, pairs
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.problems import Problems

_FOLDERS = {"train": "train", "validation": "val", "test": "test"}


def _home(root: Path) -> Path | None:
    def has(home: Path, kind: str) -> bool:
        return any((home / folder / kind).is_dir() for folder in _FOLDERS.values())

    homes = (root, root / "URUR")
    return next((home for home in homes if has(home, "image") and has(home, "label")), None)


def _items(home: Path, _: Problems) -> list[Item]:
    return [
        item
        for split, folder in _FOLDERS.items()
        for item in pairs(
            (home / folder / "image", ".png"), (home / folder / "label", ".png"), split
        )
    ]


URUR = Published(
    name="urur",
    title="URUR",
    images="3008 of 5120 x 5120",
    where="github.com/jankyee/URUR (Baidu)",
    licence="not stated",
    layout="train/, val/, test/: image/NAME.png, label/NAME.png",
    splits={"train": 2157, "validation": 280, "test": 571},
    classes=ClassTable(
        (
            ClassInfo("others", 0, (0, 0, 0)),
            ClassInfo("building", 1, (230, 230, 230)),
            ClassInfo("farmland", 2, (95, 163, 7)),
            ClassInfo("greenhouse", 3, (100, 100, 100)),
            ClassInfo("woodland", 4, (200, 230, 160)),
            ClassInfo("bareland", 5, (255, 255, 100)),
            ClassInfo("water", 6, (150, 200, 250)),
            ClassInfo("road", 7, (240, 100, 80)),
            ClassInfo("unlabelled", 255, (255, 255, 255), ignored=True),
        )
    ),
    metric="mean IoU of all eight classes, others too",
    home=_home,
    items=_items,
    notes=("white is ignored here; some code counts it as others",),
)
