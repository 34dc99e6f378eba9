"""DeepGlobe land cover (Demir et al., 2018), split by the lists of GLNet's authors."""

from pathlib import Path

from glnet.catalogue.published import Item, Published, listed_splits, pairs
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.problems import Problems

_IMAGE, _MASK = "_sat.jpg", "_mask.png"


def _home(root: Path) -> Path | None:
    homes = (root / "train", root / "land-train", root)
    return next((home for home in homes if any(home.glob(f"*{_IMAGE}"))), None)


def _items(home: Path, _: Problems) -> list[Item]:
    return pairs((home, _IMAGE), (home, _MASK), listed_splits("deepglobe.csv"))


DEEPGLOBE = Published(
    name="deepglobe",
    title="DeepGlobe land cover",
    images="803 of 2448 x 2448",
    where="the DeepGlobe 2018 challenge, deepglobe.org (registration), or its mirrors on Kaggle",
    licence="not stated",
    layout="train/ (or land-train/, or the root): 119_sat.jpg beside 119_mask.png",
    splits={"train": 454, "validation": 207, "test": 142},
    classes=ClassTable(
        (
            ClassInfo("unknown", 0, (0, 0, 0), ignored=True),
            ClassInfo("urban", 1, (0, 255, 255)),
            ClassInfo("agriculture", 2, (255, 255, 0)),
            ClassInfo("rangeland", 3, (255, 0, 255)),
            ClassInfo("forest", 4, (0, 255, 0)),
            ClassInfo("water", 5, (0, 0, 255)),
            ClassInfo("barren", 6, (255, 255, 255)),
        )
    ),
    metric="mean IoU of the six known classes; what is predicted on unknown ground is wrong",
    home=_home,
    items=_items,
    protocol="glnet",
    fingerprints={
        "train": "2ae5e8ecfb3e7af9",
        "validation": "c1606f4381a5be89",
        "test": "7673d00b287b09bd",
    },
    tolerance=127,  # the masks' channels are to be read as below or above 128
    notes=("the paper trains unknown as a class, index does so by --train-unknown",),
)
