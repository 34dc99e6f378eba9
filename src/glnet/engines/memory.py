"""What a prediction takes of memory, known before it starts, and how it is kept within a budget.

The graphs' share is counted when they are exported: the weights, and the most bytes of maps that
live at a time. The rest follows from the sizes of image, thumbnail and patches.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from glnet.bundle import COSTS, GRAPHS, Graph
from glnet.errors import BundleError, RunError
from glnet.geometry import Size
from glnet.mosaic import STRIP
from glnet.recipe import ModelSettings
from glnet.recipe.amounts import show_bytes

_FLOAT = 4

#: Measured: OpenVINO holds weights as read and as its kernels want them, and kernels need scratch.
_PER_WEIGHT, _PER_MAP = 2.4, 1.7

#: Libraries, threads, the blocks of an image format, and what an allocator does not give back.
_ASIDE = 160 << 20

#: What loading graphs again and again leaves behind in the allocator.
_LEFT_BEHIND = 64 << 20

#: Strips of scores alive while labels are made: read, compared, the best so far.
_STRIPS = 4

#: Arrays of a byte per pixel: the mask, where it is made in memory.
_MASKS = 1


@dataclass(frozen=True, slots=True)
class GraphCost:
    """Of one graph, in bytes.

    Attributes:
        weights: As stored.
        maps: The most that live at a time, for `pixels` of input.
        pixels: Of the input for which maps were counted.
        shared: The maps that it lends or lays, at the thumbnail's size.
    """

    weights: int
    maps: int
    pixels: int
    shared: int


@dataclass(frozen=True, slots=True)
class MemoryWish:
    """A budget, and what is to be predicted within it.

    Attributes:
        budget: In bytes.
        size: Of the largest scene, in the network's pixels.
        reading: Bytes that reading it and making its thumbnail takes at the most.
        kept: Bytes of pixels that are held while the network runs.
        turns: With test-time augmentation: every graph runs eight times, and scores add up at full
            resolution.
        scenes: How many there are: every graph runs for each.
    """

    budget: int
    size: Size
    reading: int
    kept: int
    turns: bool
    scenes: int = 1


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a prediction is kept within a budget.

    Attributes:
        total: What it is expected to take, in bytes.
        resident: Whether all graphs stay loaded, or one at a time.
        mini_batch: Patches per forward pass.
    """

    total: int
    resident: bool
    mini_batch: int

    def __str__(self) -> str:
        graphs = "all graphs stay loaded" if self.resident else "graphs are loaded one by one"
        patches = "1 patch" if self.mini_batch == 1 else f"{self.mini_batch} patches"
        return f"memory: about {show_bytes(self.total)}; {graphs}, {patches} at a time"


@dataclass(frozen=True, slots=True)
class Keeper:
    """How an engine keeps to a budget, image by image.

    Attributes:
        plan: What it would do; raises RunError where nothing helps.
        keep: Do so from now on.
    """

    plan: Callable[[MemoryWish], MemoryPlan]
    keep: Callable[[MemoryPlan], None]


def write_costs(folder: Path, costs: dict[Graph, GraphCost]) -> None:
    """Keep what graphs cost beside them."""
    text = json.dumps({name: asdict(cost) for name, cost in costs.items()}, indent=2)
    (folder / COSTS).write_text(text + "\n", encoding="utf-8")


def read_costs(model: str | Path) -> dict[Graph, GraphCost]:
    """What the graphs of a model folder cost.

    Raises:
        BundleError: they were exported by another glnet, or are damaged.
    """
    path = Path(model) / GRAPHS / COSTS
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {name: GraphCost(**cost) for name, cost in values.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        msg = f"{path}: cannot be read ({error}); run: glnet export {model}"
        raise BundleError(msg) from error


def plan_memory(
    wish: MemoryWish, costs: dict[Graph, GraphCost], settings: ModelSettings, classes: int
) -> MemoryPlan:
    """Choose what stays loaded on a CPU; more is never held than the budget allows.

    Graphs that run once are loaded one after another, whatever the budget; others stay where they
    fit.

    Raises:
        RunError: the budget is too small; the line names the smallest that works.
    """
    sides = {"global": settings.thumbnail, "refined": settings.thumbnail, "local": settings.patch}
    each = [
        int(_PER_WEIGHT * cost.weights + _PER_MAP * cost.maps * sides[name] ** 2 / cost.pixels)
        for name, cost in costs.items()
    ]
    canvases, labels = _of_scores(settings, classes, wish)
    running = canvases + wish.kept + sum(cost.shared for cost in costs.values())
    least, most = (
        _ASIDE + max(running + graphs, wish.reading, canvases + labels + wish.kept)
        for graphs in (max(each), sum(each))
    )
    if wish.turns or wish.scenes > 1:
        least += _LEFT_BEHIND
        if most <= max(wish.budget, least):
            _refuse_less(most, wish)
            return MemoryPlan(most, True, 1)
    _refuse_less(least, wish)
    return MemoryPlan(least, False, 1)


def plan_device_memory(
    wish: MemoryWish,
    costs: dict[Graph, GraphCost],
    settings: ModelSettings,
    classes: int,
    most: int = 1,
) -> MemoryPlan:
    """Choose how many patches, up to `most`, a GPU takes at a time within the budget.

    Raises:
        RunError: see `plan_memory`.
    """
    patch = int(_PER_MAP * costs["local"].maps) if "local" in costs else 0
    wholes = [cost.maps for name, cost in costs.items() if name != "local"]
    canvases, _ = _of_scores(settings, classes, wish)
    base = canvases + sum(cost.weights + cost.shared for cost in costs.values())
    least = base + max(patch, *(int(_PER_MAP * maps) for maps in wholes), 0)
    _refuse_less(least, wish)
    count = max(1, min(most, (wish.budget - base) // patch)) if patch else 1
    return MemoryPlan(max(least, base + count * patch), True, count)


def _refuse_less(least: int, wish: MemoryWish) -> None:
    if least > wish.budget:
        msg = (
            f"a memory budget of {show_bytes(wish.budget)} is too small for this model and image; "
            f"the smallest that works is --memory {least // (1 << 20) + 1}MiB"
        )
        raise RunError(msg)


def _of_scores(settings: ModelSettings, classes: int, wish: MemoryWish) -> tuple[int, int]:
    """Bytes of the scores on their canvases, and of what turns them into a mask afterwards."""
    exact = settings.alignment == "exact"
    cells = wish.size.cells(settings.output_stride) if exact else wish.size
    full = wish.size.area if wish.turns else 0
    strips = _STRIPS * classes * STRIP * wish.size.width * _FLOAT
    return classes * (cells.area + full) * _FLOAT, strips + _MASKS * wish.size.area
