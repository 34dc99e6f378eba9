"""The geometry of small charts; the templates draw them as SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

#: Of a chart, in its own units: the templates scale it to the page.
WIDTH, HEIGHT = 380, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 22, 40

#: Marks on an axis, at the most.
_MARKS = 6

#: Left free at either end of an axis of measured values, as a share of them.
_AIR = 0.08


@dataclass(frozen=True, slots=True)
class Scale:
    """From values between `low` and `high` to places between `start` and `stop`."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The place of a value, with a digit after the point."""
        span = (self.high - self.low) or 1.0
        return round(self.start + (value - self.low) / span * (self.stop - self.start), 1)

    @property
    def marks(self) -> list[tuple[float, str]]:
        """Round values with their places."""
        span = (self.high - self.low) or 1.0
        power = 10.0 ** math.floor(math.log10(span / _MARKS))
        step = next(power * s for s in (1, 2, 5, 10, 20) if span / (power * s) < _MARKS)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [(self(i * step), f"{i * step:.{digits}f}") for i in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Line:
    """Some points that belong together; `number` says which of the page's colours is theirs."""

    number: int
    points: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Point:
    """A numbered point with its interval; a pale one is of others."""

    text: str
    x: float
    y: float
    low: float
    high: float
    pale: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """What a template draws.

    Attributes:
        title, across: What is shown, and along which axis.
        x, y: The axes.
        names: What the colours stand for; none where there is one.
        lines, points: What is drawn.
        parts: Where sections begin along the axis, with their names.
    """

    title: str
    across: str
    x: Scale
    y: Scale
    names: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    parts: list[tuple[float, str]] = field(default_factory=list)
    width: int = WIDTH
    height: int = HEIGHT


def scales(xs: Sequence[float], ys: Sequence[float], *, air: bool = False) -> tuple[Scale, Scale]:
    """Axes that hold all values; `air` keeps points off the left and right edges."""
    low, high = min(xs), max(xs)
    rest = _AIR * ((high - low) or abs(high) or 1.0)
    if air:
        low, high = max(0.0, low - rest), high + rest
    bottom, top = min(ys), max(ys)
    rest = _AIR * ((top - bottom) or abs(top) or 1.0)
    return (
        Scale(low, high, _LEFT, WIDTH - _RIGHT),
        Scale(max(0.0, bottom - rest), top + rest, HEIGHT - _BOTTOM, _TOP),
    )
