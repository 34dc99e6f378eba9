"""LandCover.ai v1 (Boguszewski et al., 2021): tiles of orthophotos, named by lists that come along.

Tile k of a photo is the k-th of its grid of 512 px, row by row, counted with those that the right
and lower border cut; only whole tiles are in the lists.
"""

import re
from pathlib import Path

from glnet.catalogue.published import Item, Published
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.problems import Problems
from glnet.errors import DataError
from glnet.geometry import Size, Window
from glnet.raster import Raster

_TILE = 512
_LISTS = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}
_PHOTO = "[MN]-3[34]-*.tif"


def _home(root: Path) -> Path | None:
    homes = (root, root / "landcover.ai.v1")
    return next((home for home in homes if any((home / "images").glob(_PHOTO))), None)


def _items(home: Path, problems: Problems) -> list[Item]:
    sizes = dict[str, Size]()
    for path in sorted((home / "images").glob("*.tif")):
        with problems.gathered(), Raster(path) as photo:
            sizes[path.stem] = photo.size
    items = []
    for split, name in _LISTS.items():
        with problems.gathered():
            for place, tile in _tiles(home / name):
                with problems.gathered():
                    items.append(_item(home, place, tile, split, sizes))
    return items


def _tiles(path: Path) -> list[tuple[str, str]]:
    """The tiles of a list, each with the place where it says so."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read as a list of tiles ({error})"
        raise DataError(msg) from error
    return [(f"{path}, line {i}", line.strip()) for i, line in enumerate(lines, 1) if line.strip()]


def _item(home: Path, place: str, tile: str, split: str, sizes: dict[str, Size]) -> Item:
    found = re.fullmatch(r"(.+)_([0-9]{1,6})", tile)
    if found is None:
        msg = f"{place}: wanted a tile as NAME_NUMBER, found {tile!r}"
        raise DataError(msg)
    photo, number = found[1], int(found[2])
    size = sizes.get(photo)
    window = _window(number, size) if size else None
    if size and window is None:
        msg = f"{place}: {photo} of {size} px has no whole tile {number}"
        raise DataError(msg)
    file = f"{photo}.tif"
    return Item(tile, home / "images" / file, home / "masks" / file, split, window)


def _window(number: int, photo: Size) -> Window | None:
    """A tile's place in its photo; None where a border cuts it."""
    row, column = divmod(number, photo.cells(_TILE).width)
    window = Window(row * _TILE, column * _TILE, _TILE, _TILE)
    return window if window.fits(photo) else None


LANDCOVER_AI = Published(
    name="landcover-ai",
    title="LandCover.ai v1",
    images="10674 tiles of 512 x 512, on 41 photos",
    where="landcover.ai",
    licence="CC BY-NC-SA 4.0",
    layout="images/NAME.tif, masks/NAME.tif, train.txt, val.txt, test.txt",
    splits={"train": 7470, "validation": 1602, "test": 1602},
    classes=ClassTable(
        (
            ClassInfo("background", 0, (0, 0, 0)),
            ClassInfo("building", 1, (97, 74, 74)),
            ClassInfo("woodland", 2, (38, 115, 0)),
            ClassInfo("water", 3, (0, 197, 255)),
            ClassInfo("road", 4, (207, 207, 207)),
        )
    ),
    metric="mean IoU of all five classes, background too",
    home=_home,
    items=_items,
    notes=(
        "tiles of one photo lie in several splits: neighbours train and test, so numbers flatter",
    ),
)
