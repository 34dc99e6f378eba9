"""Rectangles in pixels, the scenes that cut up a raster, and the patches that cover a scene.

Integers, rows first, half-open. Nothing here knows of tensors or files: grids are proved by
properties in the tests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

#: Pixels of a patch per cell of the network's output: logits come at a quarter of the patch.
OUTPUT_STRIDE = 4

#: How a patch grid places its origins; see `patch_grid`.
Alignment = Literal["exact", "authors"]


class Size(NamedTuple):
    """Height and width, in pixels or cells."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height} x {self.width}"

    @property
    def area(self) -> int:
        """How many pixels or cells it holds."""
        return self.height * self.width

    def scaled(self, factor: float) -> "Size":
        """The nearest size so many times as large, at least one pixel each way."""
        return Size(*(max(1, round(side * factor)) for side in self))

    def cells(self, stride: int) -> "Size":
        """How many cells of `stride` pixels cover this size, the last one cut by the border."""
        return Size(-(-self.height // stride), -(-self.width // stride))


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle: rows `top` to `bottom`, columns `left` to `right`, ends excluded."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """First row below."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """First column to the right."""
        return self.left + self.width

    @property
    def size(self) -> Size:
        """Height and width."""
        return Size(self.height, self.width)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices, to index an array of the scene."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def rows(self) -> tuple[int, int]:
        """Start and length along the rows."""
        return self.top, self.height

    @property
    def columns(self) -> tuple[int, int]:
        """Start and length along the columns."""
        return self.left, self.width

    def within(self, part: "Window") -> "Window":
        """Where a part of this window lies in what this window is cut from."""
        return Window(self.top + part.top, self.left + part.left, part.height, part.width)

    def seen_from(self, origin: "Window") -> "Window":
        """The same window, counted from another one's corner: the inverse of `within`."""
        return Window(self.top - origin.top, self.left - origin.left, self.height, self.width)

    def common(self, other: "Window") -> "Window":
        """What two windows share that meet."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom, right = min(self.bottom, other.bottom), min(self.right, other.right)
        return Window(top, left, bottom - top, right - left)

    def meets(self, other: "Window") -> bool:
        """Do the two share a pixel?"""
        return (
            self.top < other.bottom
            and other.top < self.bottom
            and self.left < other.right
            and other.left < self.right
        )

    def fits(self, size: Size) -> bool:
        """Does it lie inside something of this size?"""
        return min(self.top, self.left) >= 0 and (
            self.bottom <= size.height and self.right <= size.width
        )


def of_one_size(windows: Sequence[Window], count: int) -> Iterator[list[int]]:
    """Positions of windows, at most `count` at a time, each time of one size.

    Sizes come in the order in which they are met, and so do the windows of one size.
    """
    groups: dict[Size, list[int]] = {}
    for position, window in enumerate(windows):
        groups.setdefault(window.size, []).append(position)
    for positions in groups.values():
        for start in range(0, len(positions), count):
            yield positions[start : start + count]


def tiles(size: Size, height: int, width: int | None = None) -> Iterator[Window]:
    """Cut a size into windows of one size, row by row; the last ones are cut by the border.

    Args:
        size: Of the whole.
        height: Of a window.
        width: None: strips as wide as the whole.
    """
    whole = Window(0, 0, *size)
    for top in range(0, size.height, height):
        for left in range(0, size.width, width or size.width):
            yield Window(top, left, height, width or size.width).common(whole)


def scene_grid(size: Size, side: int) -> tuple[Window, ...]:
    """Cut a size into the fewest equal scenes of at most `side` pixels a side, row by row.

    They are disjoint and cover everything; heights, and widths, differ by at most one pixel.

    Raises:
        ValueError: a side is not positive.
    """
    if min(*size, side) < 1:
        msg = f"sides must be positive, got {size}, scene side {side}"
        raise ValueError(msg)
    rows, columns = (_equal_parts(length, side) for length in size)
    return tuple(
        Window(top, left, bottom - top, right - left)
        for top, bottom in rows
        for left, right in columns
    )


def _equal_parts(length: int, longest: int) -> list[tuple[int, int]]:
    """Start and end of each part along one axis."""
    count = -(-length // longest)
    borders = [length * k // count for k in range(count + 1)]
    return list(pairwise(borders))


def patch_grid(
    scene: Size, patch: int, overlap: int, alignment: Alignment = "exact"
) -> tuple[Window, ...]:
    """Cover a scene with equal patches, row by row; neighbours share at least `overlap` pixels.

    `exact`: every origin is a multiple of the output stride, so logit cells of all patches lie on
    one grid; a side shrinks by up to three pixels so that the last patch ends at the border.
    `authors`: the released code's grid, evenly spaced origins rounded half to even.
    A scene shorter than the patch is covered by one patch of the scene's own length.

    Raises:
        ValueError: the overlap leaves no step, or a side is not positive.
    """
    if min(*scene, patch) < 1:
        msg = f"sides must be positive, got scene {scene}, patch {patch}"
        raise ValueError(msg)
    if not 0 <= overlap <= patch - 2 * OUTPUT_STRIDE:
        limit = patch - 2 * OUTPUT_STRIDE
        msg = f"overlap must lie between 0 and {limit} for patches of {patch}, got {overlap}"
        raise ValueError(msg)
    place = _aligned_origins if alignment == "exact" else _rounded_origins
    (tops, height), (lefts, width) = (place(length, patch, overlap) for length in scene)
    return tuple(Window(top, left, height, width) for top in tops for left in lefts)


def _aligned_origins(length: int, patch: int, overlap: int) -> tuple[list[int], int]:
    """Origins on multiples of the output stride, and the patch side that makes them fit."""
    if length <= patch:
        return [0], length
    side = patch - (patch - length) % OUTPUT_STRIDE
    span = (length - side) // OUTPUT_STRIDE
    longest = (side - overlap) // OUTPUT_STRIDE
    steps = -(-span // longest)
    return [OUTPUT_STRIDE * (k * span // steps) for k in range(steps + 1)], side


def _rounded_origins(length: int, patch: int, overlap: int) -> tuple[list[int], int]:
    """Origins as the authors' code places them (`round` is half to even, like theirs)."""
    if length <= patch:
        return [0], length
    steps = max(1, -(-length // patch) - 1)
    while patch - (length - patch) / steps < overlap:
        steps += 1
    step = (length - patch) / steps
    return [round(k * step) for k in range(steps)] + [length - patch], patch
