"""Meridians and parallels over a part of a raster, as lines of its pixels."""

from dataclasses import dataclass

import numpy as np

from glnet.viewer.places import Places

#: Points of a line; and of the part along a side, to learn which degrees it holds.
_POINTS, _SAMPLES = 129, 17

#: Lines are longer than what the samples tell by this share: the farthest point is none of them.
_MORE = 0.01

#: Degrees between lines: each is at most twice the one before. Finer ones go on by tenths.
_STEPS = (1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90)

#: A part is this many steps wide at most: four to eight lines are seen of either kind.
_MOST = 8

#: Columns and rows of a pole, from all sides, differ by no more, if it is a point.
_POINT = 1e-3

_TURN, _POLE = 360.0, 90.0


@dataclass(frozen=True, slots=True)
class Line:
    """A meridian or a parallel.

    Attributes:
        label: Its degrees, as people read them.
        points: Columns and rows, shape (n, 2); it may leave the part that is seen.
    """

    label: str
    points: np.ndarray


def grid(places: Places, box: tuple[float, float, float, float]) -> list[Line]:
    """The lines that are seen in a part of a raster, meridians first.

    Args:
        places: Of the raster.
        box: The part's top, left, bottom and right, in pixels.
    """
    spans = _spans(places, box)
    if spans is None:
        return []
    lines = []
    size = max(box[2] - box[0], box[3] - box[1])
    for axis, letters in ((0, "EW"), (1, "NS")):
        step, digits = _step(spans[axis][1] - spans[axis][0])
        low, high = spans[1 - axis]
        more = (high - low) * _MORE
        along = np.linspace(low - more, high + more, _POINTS)
        if axis == 0:
            along = np.clip(along, -_POLE, _POLE)
        first, last = (value / step for value in spans[axis])
        for number in range(int(np.ceil(first)), int(np.floor(last)) + 1):
            degrees = np.empty((_POINTS, 2))
            degrees[:, axis], degrees[:, 1 - axis] = number * step, along
            label = _label(number * step, digits, letters)
            lines += [Line(label, part) for part in _unbroken(places.in_raster(degrees), size)]
    return lines


def _spans(
    places: Places, box: tuple[float, float, float, float]
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Least and greatest longitude and latitude in a part; None: it is nowhere on the Earth."""
    top, left, bottom, right = box
    across, down = np.meshgrid(
        np.linspace(left, right, _SAMPLES), np.linspace(top, bottom, _SAMPLES)
    )
    degrees = places.on_earth(np.stack([across.ravel(), down.ravel()], axis=1))
    here = degrees.reshape(_SAMPLES, _SAMPLES, 2)[..., 0]
    known = np.isfinite(here)
    if not known.any():
        return None
    # Beyond the 180th meridian longitudes go on.
    here = np.where(known, here, np.median(here[known]))
    here = np.unwrap(np.unwrap(here, period=_TURN, axis=0), period=_TURN, axis=1)
    longitudes = float(here[known].min()), float(here[known].max())
    latitudes = degrees[np.isfinite(degrees[:, 1]), 1]
    south, north = float(latitudes.min()), float(latitudes.max())
    for pole in (-_POLE, _POLE):
        point = places.in_raster(np.array([(0.0, pole), (90.0, pole), (200.0, pole)]))
        column, row = point[0]
        alike = np.abs(point - point[0]).max() <= _POINT
        if alike and left <= column <= right and top <= row <= bottom:
            longitudes = -_TURN / 2, _TURN / 2 - 1e-9  # one meridian of the two
            south, north = min(south, pole), max(north, pole)
    return longitudes, (south, north)


def _step(span: float) -> tuple[float, int]:
    """Degrees between lines over so many, and how many decimals they are told with."""
    digits, scale = 0, 1.0
    while span * scale > 0 and span * scale <= _MOST / 2:
        digits, scale = digits + 1, scale * 10
    step = next((step for step in _STEPS if span * scale < _MOST * step), _STEPS[-1])
    return step / scale, digits


def _label(degrees: float, digits: int, letters: str) -> str:
    """Within half a turn, with the side of the Earth."""
    degrees = (degrees + _TURN / 2) % _TURN - _TURN / 2 if letters == "EW" else degrees
    told = f"{abs(degrees):.{digits}f}°"
    return told if float(told[:-1]) in {0, _TURN / 2} else f"{told}{letters[degrees < 0]}"


def _unbroken(points: np.ndarray, size: float) -> list[np.ndarray]:
    """Parts of a line between places where it has no point, or leaps to the raster's other side."""
    finite = np.isfinite(points).all(axis=1)
    steps = np.hypot(*np.diff(points, axis=0).T)
    cuts = np.flatnonzero(~((steps < size / 2) & finite[1:] & finite[:-1])) + 1
    return [part for part in np.split(points, cuts) if len(part) > 1]
