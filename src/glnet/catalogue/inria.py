"""Inria Aerial Image Labeling (Maggiori et al., 2017), split as the field's papers do."""

from pathlib import Path

from glnet.catalogue.published import Item, Published, pairs
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.problems import Problems

_CITIES = ("austin", "chicago", "kitsap", "tyrol-w", "vienna")
_TILES = range(1, 37)
_VALIDATION = {
    "austin": (8, 9, 15, 17, 19, 27, 29),
    "chicago": (1, 6, 12, 24, 28),
    "kitsap": (5, 13, 18, 22, 30),
    "tyrol-w": (6, 10, 12, 19, 22, 24),
    "vienna": (7, 28, 29, 36),
}
_TEST = {
    "austin": (1, 7, 12, 22, 24, 36),
    "chicago": (10, 14, 23, 26),
    "kitsap": (9, 14, 25, 34, 35, 36),
    "tyrol-w": (1, 3, 25, 36),
    "vienna": (3, 6, 9, 11, 15, 18, 20),
}


def _split(city: str, tile: int) -> str:
    if tile in _VALIDATION[city]:
        return "validation"
    return "test" if tile in _TEST[city] else "train"


def _home(root: Path) -> Path | None:
    homes = (root / "AerialImageDataset" / "train", root / "train", root)
    named = [f"{kind}/{city}*.tif" for city in _CITIES for kind in ("images", "gt")]
    return next((home for home in homes if any(any(home.glob(name)) for name in named)), None)


def _items(home: Path, _: Problems) -> list[Item]:
    splits = {f"{city}{tile}": _split(city, tile) for city in _CITIES for tile in _TILES}
    return pairs((home / "images", ".tif"), (home / "gt", ".tif"), splits)


INRIA = Published(
    name="inria",
    title="Inria Aerial Image Labeling",
    images="180 of 5000 x 5000",
    where="project.inria.fr/aerialimagelabeling",
    licence="not stated",
    layout="AerialImageDataset/train/: images/austin1.tif, gt/austin1.tif",
    splits={"train": 126, "validation": 27, "test": 27},
    classes=ClassTable(
        (
            ClassInfo("background", 0, (0, 0, 0)),
            ClassInfo("building", 255, (255, 255, 255)),
        )
    ),
    metric="IoU of building alone, which papers call mIoU: read the row building, not the mean",
    home=_home,
    items=_items,
    fingerprints={
        "train": "c54053990400b705",
        "validation": "c853af3f5bd01f1e",
        "test": "23444ce2e49c6722",
    },
    notes=("the contest's own split (tiles 1 to 5 of each city validate) is another one",),
)
