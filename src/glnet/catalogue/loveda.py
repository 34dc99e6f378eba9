"""LoveDA (Wang et al., 2021), split by its folders; the test split's labels are not public."""

from pathlib import Path

from glnet.catalogue.published import Item, Published, pairs, unpacked
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.problems import Problems

_FOLDERS = {"train": "Train", "validation": "Val"}
_AREAS = ("Urban", "Rural")
_IMAGES, _MASKS = "images_png", "masks_png"


def _home(root: Path) -> Path | None:
    kinds = [(folder, area) for folder in _FOLDERS.values() for area in _AREAS]
    there = any((unpacked(root, folder) / area / _IMAGES).is_dir() for folder, area in kinds)
    return root if there else None


def _items(home: Path, _: Problems) -> list[Item]:
    return [
        item
        for split, folder in _FOLDERS.items()
        for area in _AREAS
        for item in _area(unpacked(home, folder) / area, split)
    ]


def _area(folder: Path, split: str) -> list[Item]:
    return pairs((folder / _IMAGES, ".png"), (folder / _MASKS, ".png"), split)


LOVEDA = Published(
    name="loveda",
    title="LoveDA",
    images="4191 of 1024 x 1024",
    where="github.com/Junjue-Wang/LoveDA",
    licence="CC BY-NC-SA 4.0",
    layout="Train/, Val/: Urban/ and Rural/: images_png/NAME.png, masks_png/NAME.png",
    splits={"train": 2522, "validation": 1669},
    classes=ClassTable(
        (
            ClassInfo("no data", 0, (0, 0, 0), ignored=True),
            ClassInfo("background", 1, (255, 255, 255)),
            ClassInfo("building", 2, (255, 0, 0)),
            ClassInfo("road", 3, (255, 255, 0)),
            ClassInfo("water", 4, (0, 0, 255)),
            ClassInfo("barren", 5, (159, 129, 183)),
            ClassInfo("forest", 6, (0, 255, 0)),
            ClassInfo("agriculture", 7, (255, 195, 128)),
        )
    ),
    metric="mean IoU of all seven classes, background too",
    home=_home,
    items=_items,
    reported="validation",
    notes=("the test labels are not public: without the contest's server, validation is reported",),
)
