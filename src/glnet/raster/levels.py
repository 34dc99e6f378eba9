"""The levels of a slide: how large they are and their pixels, and which is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glnet.geometry import Size
from glnet.georeference import Resolution

#: Levels coarser than wanted by no more are as fine.
_SAME = 0.10

#: Microns that a pixel is wide at an objective power of one: 0.5 at 20, as scanners are built.
_POWER_ONE = 10

_MICRON = 1e-6


@dataclass(frozen=True, slots=True)
class SlideWish:
    """Which level of a slide is read, and what counts as one.

    Attributes:
        resolution: Metres per pixel: the coarsest level that is as fine, to a tenth; None: the
            finest of all.
        level: This one, counted from 0.
        generic: Take any tiled TIFF without a place on the ground for a slide.
    """

    resolution: float | None = None
    level: int | None = None
    generic: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """One of a slide's sizes.

    Attributes:
        size: Height and width.
        downsample: How many pixels of the finest level one is, along a side.
        resolution: Metres that a pixel is high and wide; None: the slide does not say.
    """

    size: Size
    downsample: float
    resolution: Resolution | None


def microns_of(told: Mapping[str, str]) -> tuple[float | None, tuple[float, float] | None]:
    """Of a pixel of the finest level: its height and width; and the objective's power, if by it."""
    found = [_positive(told.get(f"openslide.mpp-{axis}")) for axis in "yx"]
    rows, columns = found[0] or found[1], found[1] or found[0]
    if rows is not None and columns is not None:
        return None, (rows, columns)
    power = _positive(told.get("openslide.objective-power"))
    return power, None if power is None else (_POWER_ONE / power,) * 2


def _positive(text: str | None) -> float | None:
    try:
        number = float(text or 0)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def levels_of(
    sizes: Sequence[Size], steps: Sequence[float], microns: tuple[float, float] | None
) -> tuple[Level, ...]:
    """All levels, from what OpenSlide tells of them."""
    pairs = zip(sizes, steps, strict=True)
    return tuple(_level(sizes[0], size, step, microns) for size, step in pairs)


def _level(finest: Size, size: Size, step: float, microns: tuple[float, float] | None) -> Level:
    """A level; where its sides were cut off, its step is not quite what OpenSlide tells.

    A scanner halves: 1003 pixels become 501, and each of them is two, not 2.002.
    """
    whole = round(step)
    cut = [abs(side * whole - longer) < whole for side, longer in zip(size, finest, strict=True)]
    downsample = float(whole) if all(cut) else step
    if microns is None:
        return Level(size, downsample, None)
    rows, columns = (length * _MICRON * downsample for length in microns)
    return Level(size, downsample, Resolution(rows, columns))


def chosen(levels: Sequence[Level], wish: SlideWish) -> int:
    """The number of the level that is wished for."""
    if wish.level is not None:
        return wish.level
    if wish.resolution is None:
        return 0
    most = wish.resolution * (1 + _SAME)
    fine = [n for n, one in enumerate(levels) if one.resolution and max(one.resolution) <= most]
    return max(fine, default=0)
