"""Polygons cut to a frame, their sides in short steps: what another map needs of them.

The side of a degree of longitude is a curve in UTM, dozens of pixels off the line between its ends,
and places on the other side of the Earth may have none there, or one that encloses something else.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from glnet.datasets.vectors import Polygon

#: Left, bottom, right, top.
Frame = tuple[float, float, float, float]

#: Shares of a frame's sides: what is kept around it, and how long a polygon's side may be.
_AROUND, _STEP = 0.25, 1 / 64


def near(polygons: Sequence[Polygon], frame: Frame) -> Iterator[Polygon]:
    """What of polygons lies in a frame or close to it."""
    starts, ends = np.array(frame[:2]), np.array(frame[2:])
    sides = ends - starts
    starts, ends = starts - _AROUND * sides, ends + _AROUND * sides
    for polygon in polygons:
        cut = (_cut(ring, starts, ends) for ring in polygon.rings)
        rings = tuple(_in_steps(ring, _STEP * sides) for ring in cut if len(ring))
        if rings:
            yield Polygon(polygon.row, rings)


def _cut(ring: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """A ring's part between two corners; empty where there is none.

    What left the rectangle goes along its border, so a place inside is gone round as often.
    """
    if (ring[0] != ring[-1]).any():
        ring = np.concatenate([ring, ring[:1]])
    for axis in range(2):
        ring = _below(_below(ring, axis, ends[axis], 1), axis, starts[axis], -1)
    return ring


def _below(ring: np.ndarray, axis: int, border: float, sign: int) -> np.ndarray:
    """A closed ring's part on one side of a border."""
    inside = sign * ring[:, axis] <= sign * border
    if inside.all() or not inside.any():
        return ring[: len(ring) * bool(inside.all())]
    crosses = inside[:-1] != inside[1:]
    one, other = ring[:-1][crosses], ring[1:][crosses]
    share = (border - one[:, axis]) / (other[:, axis] - one[:, axis])
    met = one + share[:, None] * (other - one)
    met[:, axis] = border
    both = np.stack([ring[:-1], ring[:-1]], axis=1)
    both[crosses, 1] = met
    kept = both[np.stack([inside[:-1], crosses], axis=1)]
    return np.concatenate([kept, kept[:1]])


def _in_steps(ring: np.ndarray, longest: np.ndarray) -> np.ndarray:
    """A ring with places on its long sides."""
    sides = np.diff(ring, axis=0)
    counts = np.maximum(1, np.ceil(np.abs(sides) / longest).max(axis=1, initial=1)).astype(int)
    begins = np.repeat(np.cumsum(counts) - counts, counts)
    shares = (np.arange(counts.sum()) - begins) / np.repeat(counts, counts)
    places = np.repeat(ring[:-1], counts, axis=0)
    return np.concatenate([places + shares[:, None] * np.repeat(sides, counts, axis=0), ring[-1:]])
