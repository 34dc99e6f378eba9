"""How often images are shrunk: whether the time is for all of their detail, or for all of them.

With little time a network at the images' own resolution sees a small part of the ground once; on
shrunk images it sees all of it often, and each patch shows more of what lies around.
"""

import statistics
from collections.abc import Mapping, Sequence

from glnet.geometry import Size
from glnet.planning.choices import SMALLEST_SIDE, Choice
from glnet.recipe import Recipe

#: How often the local branch should see all ground.
WANTED_VIEWS = 8

#: The least IoU that masks of every class keep when they are shrunk and enlarged again.
KEPT = 0.85

#: The least median of the images' shorter sides, shrunk: three of the smallest patches.
_SHORTEST = 3 * SMALLEST_SIDE


def choose_shrink(sizes: Sequence[Size], kept: Mapping[int, float], views: float) -> int:
    """As little as the time allows; at the most as the masks and the images' sizes do.

    Args:
        sizes: Of the training images.
        kept: See `Facts`.
        views: How often the local branch sees all ground of images as they are, in the time.
    """
    median = statistics.median(min(size) for size in sizes)
    able = [n for n, iou in kept.items() if iou >= KEPT and median / n >= _SHORTEST]
    return next((n for n in (1, *able) if views * n**2 >= WANTED_VIEWS), max((1, *able)))


def why_shrunk(shrink: int, kept: Mapping[int, float], views: float) -> Choice:
    """The setting and its reason; `views` at that shrinking."""
    reason = (
        "Pixels of an image, along a side, to one of the network's, which thumbnail and patches "
        f"count. In the time the local branch sees all ground {_rounded(views)} times"
    )
    if shrink in kept:
        reason += f"; masks so shrunk keep an IoU of {kept[shrink]:.2f} or more"
    return Choice({"model.shrink": shrink}, {"model.shrink": f"{reason}."})


def _rounded(times: float) -> str:
    return f"{times:.2g}" if times < 10 else f"{times:.0f}"  # noqa: PLR2004  two digits


def views_of_ground(recipe: Recipe, sizes: Sequence[Size], windows: int) -> float:
    """How often a run's local branch sees all ground.

    Args:
        recipe: The run.
        sizes: Of the training scenes, as they are.
        windows: Patches of a typical scene.
    """
    patches = recipe.train.patches
    drawn = windows if patches == "all" else min(windows, patches)
    epochs = recipe.train.stages.global_to_local.epochs
    seen = epochs * drawn * (recipe.model.patch * recipe.model.shrink) ** 2
    return seen / statistics.mean(size.area for size in sizes)
