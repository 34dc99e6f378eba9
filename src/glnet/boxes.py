"""Boxes around the foreground of a coarse mask: where a coarse-to-fine network looks closely.

The paper calls it coarse-to-fine GLNet; there one box is laid around all of the foreground.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import ceil, floor

import numpy as np
from rasterio.features import shapes

from glnet.geometry import OUTPUT_STRIDE, Size, Window, patch_grid
from glnet.recipe import CoarseToFineSettings, ModelSettings

#: More patches than any box has.
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class PatchCount:
    """How many patches the local branch saw, of how many that cover everything."""

    computed: int
    whole: int

    def __add__(self, other: "PatchCount") -> "PatchCount":
        return PatchCount(self.computed + other.computed, self.whole + other.whole)


def patches_in(boxes: tuple[Window, ...], model: ModelSettings) -> tuple[Window, ...]:
    """The patches that cover boxes, each box by a grid of its own."""
    windows = (
        box.within(part)
        for box in boxes
        for part in patch_grid(box.size, model.patch, model.overlap)
    )
    return tuple(dict.fromkeys(windows))


def find_boxes(
    foreground: np.ndarray, scene: Size, search: CoarseToFineSettings, model: ModelSettings
) -> tuple[Window, ...]:
    """Lay boxes around the foreground of a coarse mask; together they hold all of it.

    A box is no smaller than a patch, begins on the output stride, and is as large as it is for the
    foreground's sake: boxes are joined where that needs no more patches, and until no more are left
    than the settings allow. Where the whole scene needs no more patches, it is the one box.

    Args:
        foreground: Boolean, shape (rows, columns): equal cells over the scene.
        scene: Its size in pixels.
        search: How many boxes, and how much margin.
        model: Patches and their overlap.

    Returns:
        Row by row; empty where there is no foreground.
    """
    boxes: list[Window] = []
    for extent in _extents(foreground):
        box = _box(extent, Size(*foreground.shape), scene, search.margin, model.patch)
        _insert(boxes, box, model)
    whole, limit = Window(0, 0, *scene), search.boxes
    if _cost_of(boxes, model) >= _cost(whole.size, model):
        limit = 1  # scattered all over: one box, or everything
    if limit == 1 and boxes:
        boxes = [_around(boxes)]
    boxes = _joined(boxes, limit, model)
    if _cost_of(boxes, model) >= _cost(whole.size, model):
        return (whole,)
    return tuple(sorted(boxes, key=lambda box: (box.top, box.left)))


def _extents(foreground: np.ndarray) -> list[Window]:
    """The bounding box of every connected piece, in cells; corners connect."""
    found = []
    marks = foreground.astype(np.uint8)
    for polygon, _ in shapes(marks, mask=foreground, connectivity=8):
        columns, rows = zip(*polygon["coordinates"][0], strict=True)
        top, left = int(min(rows)), int(min(columns))
        found.append(Window(top, left, int(max(rows)) - top, int(max(columns)) - left))
    return found


def _box(extent: Window, cells: Size, scene: Size, share: float, patch: int) -> Window:
    """The pixels of an extent of cells, with margin, as a box that patches can cover."""
    steps = [length / count for length, count in zip(scene, cells, strict=True)]
    longer = max(length * step for length, step in zip(extent.size, steps, strict=True))
    spans = []
    for axis, (start, length) in enumerate((extent.rows, extent.columns)):
        margin = max(share * longer, steps[axis])
        first = start * steps[axis] - margin
        last = (start + length) * steps[axis] + margin
        spans.append(_span(first, last, patch, scene[axis]))
    (top, height), (left, width) = spans
    return Window(top, left, height, width)


def _span(first: float, last: float, patch: int, scene: int) -> tuple[int, int]:
    """Start and length along one axis: on the output stride, inside, no shorter than a patch."""
    start = OUTPUT_STRIDE * floor(max(0.0, first) / OUTPUT_STRIDE)
    stop = min(scene, OUTPUT_STRIDE * ceil(last / OUTPUT_STRIDE))
    if stop - start >= patch:
        return start, stop - start
    middle = OUTPUT_STRIDE * floor((start + stop - patch) / 2 / OUTPUT_STRIDE)
    final = OUTPUT_STRIDE * ceil((scene - patch) / OUTPUT_STRIDE)
    start = max(0, min(middle, final))
    return start, min(patch, scene - start)


def _insert(boxes: list[Window], box: Window, model: ModelSettings) -> None:
    """Add a box, joined with those with which it needs no more patches than apart."""
    while boxes:
        near = min(boxes, key=lambda other: _added(box, other, model))
        if _added(box, near, model) > 0:
            break
        boxes.remove(near)
        box = _around([box, near])
    boxes.append(box)


def _joined(boxes: list[Window], limit: int, model: ModelSettings) -> list[Window]:
    """Join the two that need the fewest patches more, the first of equals, until `limit` are left.

    What every two need is kept, or many boxes would take the cube of their number.
    """
    added = np.full((len(boxes), len(boxes)), _FAR)
    for i, j in combinations(range(len(boxes)), 2):
        added[i, j] = _added(boxes[i], boxes[j], model)
    while len(boxes) > limit:
        pair = divmod(int(added.argmin()), len(boxes))
        left = [box for i, box in enumerate(boxes) if i not in pair]
        _insert(left, _around([boxes[i] for i in pair]), model)
        *old, new = left
        stayed = set(old)
        kept = [i for i, box in enumerate(boxes) if box in stayed]
        added = np.pad(added[np.ix_(kept, kept)], (0, 1), constant_values=_FAR)
        added[:-1, -1] = [_added(box, new, model) for box in old]
        boxes = left
    return boxes


def _added(one: Window, other: Window, model: ModelSettings) -> int:
    """How many more patches two boxes need joined than apart."""
    joined = _cost(_around([one, other]).size, model)
    return joined - _cost(one.size, model) - _cost(other.size, model)


def _around(boxes: list[Window]) -> Window:
    top, left = min(box.top for box in boxes), min(box.left for box in boxes)
    bottom, right = max(box.bottom for box in boxes), max(box.right for box in boxes)
    return Window(top, left, bottom - top, right - left)


def _cost_of(boxes: list[Window], model: ModelSettings) -> int:
    return sum(_cost(box.size, model) for box in boxes)


def _cost(size: Size, model: ModelSettings) -> int:
    """How many patches cover a size."""
    high, wide = (_along(side, model.patch, model.overlap) for side in size)
    return high * wide


@lru_cache(maxsize=1 << 16)
def _along(side: int, patch: int, overlap: int) -> int:
    """How many patches cover a side."""
    return len(patch_grid(Size(side, 1), patch, overlap))
