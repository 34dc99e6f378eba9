"""Which patches of an image a training step learns from: by chance, or where rare classes are."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Literal

import numpy as np

from glnet.datasets.augment import Augmentation
from glnet.geometry import OUTPUT_STRIDE, Size, Window

#: Of every class that an image holds, (row, column) positions of some of its pixels, (n, 2).
ClassPlaces = Mapping[int, np.ndarray]

Wanted = int | Literal["all"]
Chosen = tuple[tuple[Window, ...], list[int]]


def seek(
    places: ClassPlaces, augmentation: Augmentation, stored: Size, rng: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Pixels of the augmented scene, without end: a class at random, then one of its pixels.

    Args:
        places: In the scene as it is stored; without any, nothing is found.
        augmentation: The scene's.
        stored: Size of the scene as it is stored.
        rng: Drawn from with every pixel.
    """
    classes = sorted(label for label, found in places.items() if len(found))
    while classes:
        found = places[classes[rng.integers(len(classes))]]
        row, column = (int(i) for i in found[rng.integers(len(found))])
        pixel = augmentation.turn.inverse.window(Window(row, column, 1, 1), stored)
        factor = augmentation.factor
        yield int((pixel.top + 0.5) * factor), int((pixel.left + 0.5) * factor)


def choose_centred(
    grid: tuple[Window, ...],
    wanted: Wanted,
    share: float,
    sought: Iterator[tuple[int, int]],
    size: Size,
    rng: np.random.Generator,
) -> Chosen:
    """Patches of the grid, a share of them moved to lie around sought pixels.

    Args:
        grid: All patches, of one size.
        wanted: How many; `all` takes the grid as it is.
        share: Of the wanted ones that are moved.
        sought: Pixels to lie around.
        size: Of the scene.
        rng: Chooses of the grid.

    Returns:
        The chosen patches, and that the loss is taken of all of them.
    """
    if isinstance(wanted, str):
        return grid, list(range(len(grid)))
    around = [_around(pixel, grid[0].size, size) for pixel in islice(sought, round(share * wanted))]
    kept = [grid[i] for i in _some(len(grid), wanted - len(around), rng)]
    chosen = (*kept, *around)
    return chosen, list(range(len(chosen)))


def choose_of_grid(
    grid: tuple[Window, ...],
    wanted: Wanted,
    share: float,
    sought: Iterator[tuple[int, int]],
    size: Size,
    rng: np.random.Generator,
) -> Chosen:
    """The whole grid, and of which of its patches the loss is taken; see `choose_centred`.

    Instead of being moved, the patches that sought pixels lie deepest in are taken.
    """
    del size
    if isinstance(wanted, str) or wanted >= len(grid):
        return grid, list(range(len(grid)))
    starts = np.array([(w.top, w.left) for w in grid])
    ends = np.array([(w.bottom - 1, w.right - 1) for w in grid])  # those at a border may be shorter
    near = {
        int(np.minimum(pixel - starts, ends - pixel).min(axis=1).argmax())
        for pixel in islice(sought, round(share * wanted))
    }
    others = [i for i in range(len(grid)) if i not in near]
    drawn = [others[i] for i in _some(len(others), wanted - len(near), rng)]
    return grid, sorted([*near, *drawn])


def _some(count: int, wanted: int, rng: np.random.Generator) -> list[int]:
    if wanted >= count:
        return list(range(count))
    return sorted(int(i) for i in rng.choice(count, wanted, replace=False))


def _around(pixel: tuple[int, int], patch: Size, scene: Size) -> Window:
    """The patch with a pixel in its middle, as far as output stride and scene allow."""
    starts = (
        max(0, min(at - side // 2, whole - side)) // OUTPUT_STRIDE * OUTPUT_STRIDE
        for at, side, whole in zip(pixel, patch, scene, strict=True)
    )
    top, left = starts
    return Window(top, left, *patch)
