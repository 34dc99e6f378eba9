"""The parts of a raster: which ground is read for each, and which is kept.

A part's scene is what its network sees at a time; of it only the core is kept. Neighbouring scenes
overlap: each has a global view of its own, so where they meet their scores differ, and a border
would show. All scenes of a raster are of one size: at its border they reach further inwards, so a
network is compiled once and the global view always spans the same ground.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from glnet.bundle import ONE_SCENE
from glnet.geometry import Size, Window, scene_grid

#: The halo's share of a scene's side, on each side of the core. Measured, see docs/rasters.md.
HALO = 1 / 8


@dataclass(frozen=True, slots=True)
class Part:
    """What is read and what is kept, as windows of the raster."""

    number: int
    scene: Window
    core: Window

    @property
    def inner(self) -> Window:
        """The core as a window of the scene."""
        return self.core.seen_from(self.scene)


@dataclass(frozen=True)
class Plan:
    """The parts of a raster, row by row; their cores are disjoint and cover it.

    Attributes:
        size: Of the raster.
        margin: Of the halo, in pixels; two scenes share the double.
        parts: All of them.
    """

    size: Size
    margin: int
    parts: tuple[Part, ...]

    def over(self, core: Part) -> Iterator[Part]:
        """The parts whose scenes reach into a core, its own among them."""
        return self._met(core, 0)

    def under(self, scene: Part) -> Iterator[Part]:
        """The parts whose cores a scene reaches into, its own among them."""
        return self._met(scene, 1)

    def _met(self, part: Part, which: int) -> Iterator[Part]:
        row, column = divmod(part.number, self._columns)
        rows, columns = self._meetings
        for one in rows[which][row]:
            for other in columns[which][column]:
                yield self.parts[one * self._columns + other]

    @cached_property
    def _columns(self) -> int:
        first = self.parts[0].core.top
        return sum(1 for part in self.parts if part.core.top == first)

    @cached_property
    def _meetings(self) -> tuple[tuple[list[list[int]], list[list[int]]], ...]:
        """Per axis: which scenes meet each core, which cores meet each scene."""
        firsts = self.parts[:: self._columns], self.parts[: self._columns]
        return tuple(
            _meetings(
                [(part.core.rows, part.core.columns)[axis] for part in firsts[axis]],
                [(part.scene.rows, part.scene.columns)[axis] for part in firsts[axis]],
            )
            for axis in range(2)
        )

    def weights(self, part: Part, window: Window) -> np.ndarray:
        """How much a part's scores count in a window of its scene, float32 (height, width).

        From almost nothing at the scene's border to 1 where no neighbour reaches; 1 at the
        raster's border.
        """
        spans = zip(
            (window.rows, window.columns), (part.scene.rows, part.scene.columns), self.size,
            strict=True,
        )  # fmt: skip
        rows, columns = (
            _ramp(start, length, scene, whole, 2 * self.margin)
            for (start, length), scene, whole in spans
        )
        return np.outer(rows, columns)


def plan_parts(size: Size, longest: float, side: float, halo: float = HALO) -> Plan:
    """Cut a raster into parts.

    Args:
        size: Of the raster.
        longest: Up to 1.25 times this, in pixels, a raster is one part.
        side: Of the scenes that a longer one is cut into, at the most, halo included.
        halo: Share of that side, around the core.

    Raises:
        ValueError: no core is left.
    """
    if max(size) <= ONE_SCENE * longest:
        whole = Window(0, 0, *size)
        return Plan(size, 0, (Part(0, whole, whole),))
    margin = round(side * halo)
    widest = int(side) - 2 * margin
    if widest < 1:
        msg = f"scenes of {side:.0f} px with {margin} px around their cores leave no core"
        raise ValueError(msg)
    cores = scene_grid(size, widest)
    largest = (max(core.size[axis] for core in cores) for axis in range(2))
    scene = Size(*(min(n, c + 2 * margin) for n, c in zip(size, largest, strict=True)))
    parts = (Part(n, _around(core, scene, size, margin), core) for n, core in enumerate(cores))
    return Plan(size, margin, tuple(parts))


def _around(core: Window, scene: Size, raster: Size, margin: int) -> Window:
    """The window of a scene's size that holds a core and stays inside the raster."""
    top, left = (
        max(0, min(start - margin, whole - side))
        for start, whole, side in zip((core.top, core.left), raster, scene, strict=True)
    )
    return Window(top, left, *scene)


def _meetings(
    cores: list[tuple[int, int]], scenes: list[tuple[int, int]]
) -> tuple[list[list[int]], list[list[int]]]:
    """Along one axis: which scenes share a pixel with each core, and which cores with each scene.

    Both are (start, length), in order.
    """
    over: list[list[int]] = [[] for _ in cores]
    under: list[list[int]] = [[] for _ in scenes]
    for j, (start, length) in enumerate(scenes):
        for i, (top, height) in enumerate(cores):
            if start < top + height and top < start + length:
                over[i].append(j)
                under[j].append(i)
    return over, under


def _ramp(start: int, length: int, scene: tuple[int, int], whole: int, width: int) -> np.ndarray:
    """Weights of pixels along one axis: they rise over `width` pixels from each inner border."""
    first, end = scene[0], scene[0] + scene[1]
    middles = np.arange(start, start + length) + 0.5
    weights = np.ones(length)
    if first > 0:
        weights = np.minimum(weights, (middles - first) / max(width, 1))
    if end < whole:
        weights = np.minimum(weights, (end - middles) / max(width, 1))
    return weights.astype(np.float32)
