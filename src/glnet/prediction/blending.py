"""From scenes to the raster: where scenes overlap, their scores fade into each other.

Cut sharply, labels of a trained model changed across borders ten times as often as elsewhere, as
every scene has a global view of its own; faded, no more often (docs/rasters.md).
"""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glnet.geometry import Window
from glnet.mosaic import ScoreMap, on_host
from glnet.prediction.parts import Part, Plan


@dataclass(frozen=True, slots=True)
class Scored:
    """What is known of a part.

    Attributes:
        scores: Of its scene, on the raster's grid; None where nothing was to be segmented.
        kept: Of its core, what is to be segmented: boolean; None: all of it.
        patches: How many the local branch saw.
        why: What failed; empty: nothing.
    """

    scores: ScoreMap | None = None
    kept: np.ndarray | None = None
    patches: int = 0
    why: str = ""


#: Scores of a window of the raster, (classes, height, width).
ReadScores = Callable[[Window], Any]


@dataclass(frozen=True, slots=True)
class Composed:
    """A part whose neighbours are there.

    Attributes:
        part: Which.
        read: Gives scores of windows of its core; None where nothing of it is to be segmented.
        kept: See `Scored`.
        why: What failed, of it or of a neighbour that reaches into it.
    """

    part: Part
    read: ReadScores | None
    kept: np.ndarray | None
    why: str


def compose(
    plan: Plan,
    wanted: Sequence[Part],
    shelf: MutableMapping[int, Scored],
    scored: Iterator[tuple[Part, Scored]],
    *,
    tolerant: bool,
) -> Iterator[Composed]:
    """Give parts as soon as all scenes that reach into them are there.

    Args:
        plan: Of the raster.
        wanted: The parts that are to be given.
        shelf: By number, what is there; scenes that nobody waits for any more are taken off.
        scored: The missing ones, as they are computed. Those that failed are not shelved.
        tolerant: Give parts also where a scene has failed.
    """
    waiting = {part.number: part for part in wanted}
    lost: dict[int, Scored] = {}

    def ready(part: Part) -> Iterator[Composed]:
        over = list(plan.over(part))
        here = all(one.number in shelf or one.number in lost for one in over)
        if part.number not in waiting or not here:
            return
        yield _composed(plan, part, over, shelf, lost)
        del waiting[part.number]
        for one in over:
            if one.number in shelf and not any(p.number in waiting for p in plan.under(one)):
                del shelf[one.number]

    for part in wanted:
        yield from ready(part)
    for part, found in scored:
        if not found.why:
            shelf[part.number] = found
        elif tolerant:
            lost[part.number] = found
        for below in plan.under(part):
            yield from ready(below)


def _composed(
    plan: Plan,
    part: Part,
    over: list[Part],
    shelf: MutableMapping[int, Scored],
    lost: dict[int, Scored],
) -> Composed:
    why = next((lost[one.number].why for one in over if one.number in lost), "")
    if part.number in lost:
        return Composed(part, None, None, why)
    there = {one.number: shelf[one.number] for one in over if one.number in shelf}
    own = there[part.number]
    if own.scores is None:
        return Composed(part, None, own.kept, why)
    maps = [
        (one, scores)
        for one in over
        if one.number in there and (scores := there[one.number].scores) is not None
    ]
    return Composed(part, lambda window: _blended(plan, maps, window), own.kept, why)


def _blended(plan: Plan, maps: Sequence[tuple[Part, ScoreMap]], window: Window) -> Any:  # noqa: ANN401  any array kind
    """The scores of a window: the mean over the scenes that reach into it, by their weights."""
    if len(maps) == 1:
        part, scores = maps[0]
        return scores.read(_seen_from(part.scene, window))
    total, weight = None, np.zeros(window.size, np.float32)
    for part, scores in maps:
        common = _common(window, part.scene)
        if common is None:
            continue
        found = on_host(scores.read(_seen_from(part.scene, common)))
        if total is None:
            total = np.zeros((len(found), *window.size), np.float32)
        place = _seen_from(window, common).slices
        own = plan.weights(part, common)
        total[:, *place] += found * own
        weight[place] += own
    assert total is not None  # noqa: S101  a part's own scene holds its core
    total /= weight
    return total


def _seen_from(origin: Window, window: Window) -> Window:
    """A window counted from another one's corner."""
    return Window(window.top - origin.top, window.left - origin.left, window.height, window.width)


def _common(one: Window, other: Window) -> Window | None:
    """What two windows share."""
    if not one.meets(other):
        return None
    top, left = max(one.top, other.top), max(one.left, other.left)
    bottom, right = min(one.bottom, other.bottom), min(one.right, other.right)
    return Window(top, left, bottom - top, right - left)
