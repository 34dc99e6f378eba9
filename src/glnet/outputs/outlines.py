"""The outlines of equal pixels: exact, of any number of values at once, without a loop over pixels.

Every side of a pixel that has another value behind it is walked once, its pixel to the left (as
seen with rows downwards), so outer rings go against the clock and holes with it. Pixels that touch
at a corner only are not joined, and no ring meets a place twice: these are the polygons of
`rasterio.features.shapes` with connectivity 4.
"""

from dataclasses import dataclass, replace

import numpy as np

#: Sides of a pixel in the order in which its outline passes them: west going south, south going
#: east, east going north, north going west. Where each begins, as rows and columns.
_ROWS, _COLUMNS = np.array([0, 1, 1, 0], np.int32), np.array([0, 0, 1, 1], np.int32)
_WEST, _SOUTH, _EAST, _NORTH = range(4)


@dataclass(frozen=True, slots=True)
class Outlines:
    """Polygons, flat: a polygon is a run of rings, the outer one first; a ring a run of places.

    Attributes:
        places: Shape (places, 2): column, row, or x, y; a ring's last place is its first.
        rings: Where each ring begins in `places`, and the end; shape (rings + 1,).
        polygons: Where each polygon begins in `rings`, and the end; shape (polygons + 1,).
        values: Of the pixels, uint8.
        areas: In pixels, float64.
        means: Of other numbers of the same pixels, float64; None where there are none.
    """

    places: np.ndarray
    rings: np.ndarray
    polygons: np.ndarray
    values: np.ndarray
    areas: np.ndarray
    means: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, polygons: np.ndarray) -> "Outlines":
        """Some of them, by position."""
        counts = np.diff(self.polygons)[polygons]
        rings = _runs(self.polygons[polygons], counts)
        lengths = np.diff(self.rings)[rings]
        places = self.places[_runs(self.rings[rings], lengths)]
        values, areas = self.values[polygons], self.areas[polygons]
        means = None if self.means is None else self.means[polygons]
        return Outlines(places, _offsets(lengths), _offsets(counts), values, areas, means)

    def moved(self, columns: int, rows: int) -> "Outlines":
        """The same, further right and down."""
        return replace(self, places=self.places + np.array([columns, rows], np.int32))


def rectangle(height: int, width: int, value: int, mean: float | None = None) -> Outlines:
    """What `trace` makes of pixels of one value."""
    means = None if mean is None else np.array([mean])
    corners = [(0, 0), (0, height), (width, height), (width, 0), (0, 0)]
    area = np.array([float(height * width)])
    rings, polygons = np.array([0, 5]), np.array([0, 1])
    return Outlines(np.array(corners), rings, polygons, np.array([value], np.uint8), area, means)


def trace(
    pixels: np.ndarray,
    wanted: np.ndarray,
    numbers: np.ndarray | None = None,
    *,
    junctions: bool = False,
) -> Outlines:
    """The polygons of equal pixels.

    Args:
        pixels: uint8, (height, width).
        wanted: For each of 256 values, whether its pixels are outlined.
        numbers: uint8, of every pixel, whose means are wanted.
        junctions: Keep the places of straight lines where others meet them, so that neighbours
            have the same places along their common border.
    """
    walked, lengths = _rings(pixels, wanted)
    if not len(lengths):
        none, nothing = np.zeros(1, np.int64), np.zeros((0, 2), np.int32)
        means = None if numbers is None else np.zeros(0)
        return Outlines(nothing, none, none, np.zeros(0, np.uint8), np.zeros(0), means)
    starts = _offsets(lengths)[:-1]
    side, pixel = np.divmod(walked, np.int32(pixels.size))
    of_row, column = np.divmod(pixel, np.int32(pixels.shape[1]))
    row, column = of_row + _ROWS[side], column + _COLUMNS[side]
    # East sides less west sides, row by row: how many pixels lie between.
    areas = _between(side, column, starts)
    outer = _outer(areas < 0, starts, walked, column, pixels.size)
    shells = np.flatnonzero(areas > 0)
    values = pixels.ravel()[pixel[starts[shells]]]
    members = np.bincount(outer, minlength=len(lengths))[shells]
    sums = np.bincount(outer, weights=areas, minlength=len(lengths))[shells]
    means = None
    if numbers is not None:  # the same of what lies west of a side, added up
        west = np.zeros((len(pixels), pixels.shape[1] + 1), np.int32)
        np.cumsum(numbers, axis=1, dtype=np.int32, out=west[:, 1:])
        totals = _between(side, west[of_row, column], starts)
        means = np.bincount(outer, weights=totals, minlength=len(lengths))[shells] / sums

    before = np.roll(side, 1)
    before[starts] = side[starts + lengths - 1]
    corner = before != side
    if junctions:
        corner |= _junctions(pixels)[row, column]
    counts = np.add.reduceat(corner, starts, dtype=np.int64)
    places = np.stack([column[corner], row[corner]], axis=1)
    del walked, side, pixel, of_row, row, column, before, corner  # as large as all that follows
    sequence = np.lexsort((areas < 0, outer))
    begins, closed = _offsets(counts)[:-1][sequence], counts[sequence] + 1
    picked = _runs(begins, closed)
    picked[np.cumsum(closed) - 1] = begins  # a ring ends where it begins
    return Outlines(places[picked], _offsets(closed), _offsets(members), values, sums, means)


def _between(side: np.ndarray, numbers: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Of every ring the numbers at its east sides less those at its west sides, added up."""
    signed = np.where(side == _EAST, numbers, 0) - np.where(side == _WEST, numbers, 0)
    return np.add.reduceat(signed, starts, dtype=np.int64)


def _rings(pixels: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every ring's sides as they are walked, and how many each ring has.

    A side is told by its place in an array of shape (4, height, width), flat.
    """
    sides = _sides(pixels) & wanted[pixels]
    found = np.flatnonzero(sides).astype(np.int32)
    number = np.zeros(sides.size, np.int32)
    number[found] = np.arange(len(found), dtype=np.int32)
    following = _following(sides, found, number)
    order, lengths = _simple_rings(following, _saddles(pixels, wanted, number))
    return found[order], lengths


def _sides(pixels: np.ndarray) -> np.ndarray:
    """Which sides of which pixels have another value behind them, shape (4, height, width)."""
    sides = np.ones((4, *pixels.shape), bool)
    beside = pixels[:, 1:] != pixels[:, :-1]
    below = pixels[1:] != pixels[:-1]
    sides[_WEST, :, 1:] = sides[_EAST, :, :-1] = beside
    sides[_NORTH, 1:] = sides[_SOUTH, :-1] = below
    return sides


def _following(sides: np.ndarray, found: np.ndarray, number: np.ndarray) -> np.ndarray:
    """The number of the side that every side's walk goes on with.

    Round its own pixel if it can; else straight on; else round the pixel that it meets.
    """
    count, width = sides[0].size, sides.shape[2]
    outward = [-1, width, 1, -width]
    flat = sides.reshape(4, count)
    following = np.empty(len(found), np.int32)
    borders = np.searchsorted(found, count * np.arange(5))
    for side in range(4):
        walked = slice(borders[side], borders[side + 1])
        pixel = found[walked] - side * count
        after = (side + 1) % 4
        goal = after * count + pixel
        (on,) = np.nonzero(~flat[after, pixel])
        ahead = pixel[on] + outward[after]
        met = (side - 1) % 4 * count + ahead + outward[side]
        goal[on] = np.where(flat[side, ahead], side * count + ahead, met)
        following[walked] = number[goal]
    return following


def _saddles(pixels: np.ndarray, wanted: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Where two pixels of one value touch at a corner only: the sides of both that end there.

    Shape (saddles, 2), numbers of sides.
    """
    width = pixels.shape[1]
    a, b, c, d = pixels[:-1, :-1], pixels[:-1, 1:], pixels[1:, :-1], pixels[1:, 1:]
    pairs = []
    for first, second, others, side, corner in (
        (a, d, (b, c), _SOUTH, 0),
        (b, c, (a, d), _WEST, 1),
    ):
        apart = (first == second) & (first != others[0]) & (first != others[1]) & wanted[first]
        row, column = np.nonzero(apart)
        upper, lower = row * width + column + corner, (row + 1) * width + column + 1 - corner
        ends = side * pixels.size + upper, (side + 2) % 4 * pixels.size + lower
        pairs.append(np.stack([number[end] for end in ends], axis=1))
    return np.concatenate(pairs)


def _simple_rings(following: np.ndarray, saddles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All rings, one after the other, and how long each is: none meets a place twice.

    A ring that comes to a saddle twice is of one polygon, which is joined round the other way:
    the ring goes straight through to its other half, and falls in two.
    """
    order, lengths = _walk(following, np.arange(len(following), dtype=np.int32))
    ring = np.empty(len(order), np.int32)
    ring[order] = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    one, other = saddles[ring[saddles[:, 0]] == ring[saddles[:, 1]]].T
    if not len(one):
        return order, lengths
    following[one], following[other] = following[other], following[one]
    cut = np.zeros(len(lengths), bool)
    cut[ring[one]] = True
    again = np.repeat(cut, lengths)
    parts, sizes = _walk(following, order[again])
    return np.concatenate([order[~again], parts]), np.concatenate([lengths[~cut], sizes])


def _walk(following: np.ndarray, begins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walk every ring through `begins` once."""
    # Following a permutation is the one step that numpy has no word for; views of its arrays are
    # as quick as lists and take a tenth of the memory.
    ahead, rings = following.copy().data, np.empty(len(begins), np.int32)
    order, ends, done = rings.data, [0], 0
    for begin in np.ascontiguousarray(begins).data:
        here, on = begin, ahead[begin]
        if on < 0:
            continue
        while on >= 0:
            ahead[here] = -1
            order[done] = here = on
            done += 1
            on = ahead[here]
        ends.append(done)
    return rings, np.diff(np.array(ends, np.int64))


def _outer(
    hole: np.ndarray, starts: np.ndarray, walked: np.ndarray, column: np.ndarray, count: int
) -> np.ndarray:
    """The outer ring of every ring's polygon; an outer ring's is itself.

    West of a hole's westernmost place lies a ring of the same polygon, which begins further west.
    """
    outer = np.arange(len(hole))
    if not hole.any():
        return outer
    (west,) = np.nonzero(walked < count)
    west = west[np.argsort(walked[west])]
    sizes = np.diff(starts, append=len(walked))[hole]
    members = _runs(starts[hole], sizes)
    east = walked[members] // count == _EAST
    far = np.where(east, column[members], np.iinfo(np.int32).max)
    begins = _offsets(sizes)[:-1]
    at_least = np.repeat(np.minimum.reduceat(far, begins), sizes)
    firsts = np.flatnonzero(far == at_least)
    first = members[firsts[np.searchsorted(firsts, begins)]]
    beside = west[np.searchsorted(walked[west], walked[first] % count, side="right") - 1]
    outer[hole] = np.searchsorted(starts, beside, side="right") - 1
    while hole[outer].any():
        outer = outer[outer]
    return outer


def _junctions(pixels: np.ndarray) -> np.ndarray:
    """Where three sides or more meet, shape (height + 1, width + 1)."""
    height, width = pixels.shape
    lines = np.zeros((height + 1, width + 1), np.uint8)
    upright = np.ones((height, width + 1), np.uint8)
    upright[:, 1:-1] = pixels[:, 1:] != pixels[:, :-1]
    level = np.ones((height + 1, width), np.uint8)
    level[1:-1] = pixels[1:] != pixels[:-1]
    lines[1:] += upright
    lines[:-1] += upright
    lines[:, 1:] += level
    lines[:, :-1] += level
    return lines > 2  # noqa: PLR2004


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _runs(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Positions of runs, one after the other; none is empty."""
    steps = np.ones(int(lengths.sum()), np.int64)
    if len(lengths):
        steps[0] = starts[0]
        steps[np.cumsum(lengths[:-1])] = starts[1:] - starts[:-1] - lengths[:-1] + 1
    return np.cumsum(steps, out=steps)
