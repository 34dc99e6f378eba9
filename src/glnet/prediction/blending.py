"""From scenes to the raster: where scenes overlap, their scores fade into each other.

Cut sharply, labels of a trained model changed across borders ten times as often as elsewhere, as
every scene has a global view of its own; faded, no more often (docs/rasters.md).
"""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
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
    others: Callable[[Part], bool] | None = None,
) -> Iterator[Composed]:
    """Give parts as soon as all scenes that reach into them are there.

    Args:
        plan: Of the raster.
        wanted: The parts that are to be given.
        shelf: By number, what is there; scenes that nobody waits for any more are taken off.
        scored: The missing ones, as they are computed. Those that failed are not shelved.
        tolerant: Give parts also where a scene has failed.
        others: Where other processes take scenes from the same shelf, and add to it: whether a part
            is made, by whomever; a scene stays until all parts are that it reaches into.
    """
    composer = _Composer(plan, {part.number: part for part in wanted}, shelf, others)
    for part in wanted:
        yield from composer.ready(part)
    for part, found in scored:
        if not found.why:
            shelf[part.number] = found
        elif tolerant:
            composer.lost[part.number] = found
        for below in plan.under(part):
            yield from composer.ready(below)


@dataclass(slots=True)
class _Composer:
    """What `compose` keeps: by number, the parts that wait, and the scenes that have failed."""

    plan: Plan
    waiting: dict[int, Part]
    shelf: MutableMapping[int, Scored]
    others: Callable[[Part], bool] | None
    lost: dict[int, Scored] = field(default_factory=dict)

    def ready(self, part: Part) -> Iterator[Composed]:
        """The part, if it waits and all scenes that reach into it are there."""
        over = list(self.plan.over(part))
        if part.number not in self.waiting:
            return
        if not all(one.number in self.shelf or one.number in self.lost for one in over):
            return
        composed = self._composed(part, over)
        if composed is not None:
            yield composed
        del self.waiting[part.number]
        for one in over:
            if one.number in self.shelf and not any(map(self._awaited, self.plan.under(one))):
                del self.shelf[one.number]

    def _awaited(self, part: Part) -> bool:
        return part.number in self.waiting if self.others is None else not self.others(part)

    def _composed(self, part: Part, over: list[Part]) -> Composed | None:
        """The part; None if another process has made it, and may have taken scenes away."""
        if self.others is None:
            return self._of_scenes(part, over)
        if self.others(part):
            return None
        try:
            return self._of_scenes(part, over)
        except (KeyError, OSError):
            if self.others(part):
                return None
            raise

    def _of_scenes(self, part: Part, over: list[Part]) -> Composed:
        why = next((self.lost[one.number].why for one in over if one.number in self.lost), "")
        if part.number in self.lost:
            return Composed(part, None, None, why)
        there = {one.number: self.shelf[one.number] for one in over if one.number in self.shelf}
        own = there[part.number]
        if own.scores is None:
            return Composed(part, None, own.kept, why)
        maps = [
            (one, scores)
            for one in over
            if one.number in there and (scores := there[one.number].scores) is not None
        ]
        return Composed(part, lambda window: _blended(self.plan, maps, window), own.kept, why)


def _blended(plan: Plan, maps: Sequence[tuple[Part, ScoreMap]], window: Window) -> Any:  # noqa: ANN401  any array kind
    """The scores of a window: the mean over the scenes that reach into it, by their weights."""
    if len(maps) == 1:
        part, scores = maps[0]
        return scores.read(window.seen_from(part.scene))
    total, weight = None, np.zeros(window.size, np.float32)
    for part, scores in maps:
        if not window.meets(part.scene):
            continue
        common = window.common(part.scene)
        found = on_host(scores.read(common.seen_from(part.scene)))
        if total is None:
            total = np.zeros((len(found), *window.size), np.float32)
        place = common.seen_from(window).slices
        own = plan.weights(part, common)
        total[:, *place] += found * own
        weight[place] += own
    assert total is not None  # noqa: S101  a part's own scene holds its core
    total /= weight
    return total
