"""The parts of a raster: which ground is read for each, and which is kept.

A part's scene is what its network sees at a time; of it only the core is kept, and around the core
lies a halo. All scenes of a raster are of one size: at a border they reach further inwards, so a
network is compiled once and the global view always spans the same ground.
"""

from dataclasses import dataclass

from glnet.geometry import Size, Window, scene_grid

#: A raster is one scene up to this many times the longest side of the training scenes.
ONE_SCENE = 1.25

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
        top, left = self.core.top - self.scene.top, self.core.left - self.scene.left
        return Window(top, left, self.core.height, self.core.width)


def plan_parts(size: Size, longest: float, side: float, halo: float = HALO) -> tuple[Part, ...]:
    """Cut a raster into parts, row by row; their cores are disjoint and cover it.

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
        return (Part(0, whole, whole),)
    margin = round(side * halo)
    widest = int(side) - 2 * margin
    if widest < 1:
        msg = f"scenes of {side:.0f} px with {margin} px around their cores leave no core"
        raise ValueError(msg)
    cores = scene_grid(size, widest)
    scene = Size(
        *(
            min(length, max(core.size[axis] for core in cores) + 2 * margin)
            for axis, length in enumerate(size)
        )
    )
    return tuple(
        Part(number, _around(core, scene, size, margin), core) for number, core in enumerate(cores)
    )


def _around(core: Window, scene: Size, raster: Size, margin: int) -> Window:
    """The window of a scene's size that holds a core and stays inside the raster."""
    top, left = (
        max(0, min(start - margin, whole - side))
        for start, whole, side in zip((core.top, core.left), raster, scene, strict=True)
    )
    return Window(top, left, *scene)
