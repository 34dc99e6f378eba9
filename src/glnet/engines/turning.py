"""Test-time augmentation: the mean over the eight flips and quarter turns of a scene."""

from collections.abc import Sequence
from typing import Any

from glnet.boxes import PatchCount
from glnet.engines.engine import Engine, Needed, Segmented
from glnet.geometry import Window
from glnet.mosaic import ScoreMap
from glnet.recipe import View
from glnet.scenes import TURNS, Scene, Turn, TurnedScene

#: All that lie across after all that do not: an engine may prepare itself for a shape.
_BY_SHAPE = sorted(TURNS, key=lambda turn: turn.quarters % 2)


def segment_turned(
    engine: Engine, scene: Scene, views: Sequence[View], needed: Needed = lambda _: True
) -> Segmented:
    """Mean scores over the eight flips and quarter turns of the scene (test-time augmentation).

    Thumbnail and patches are turned together, whatever the sharing. Memory: one full-resolution
    array of classes x 4 bytes per pixel and view.
    """
    totals: dict[View, Any] = {}
    patches = PatchCount(0, 0)
    for turn in _BY_SHAPE:
        turned = TurnedScene(scene, turn)

        def upright(window: Window, turned: TurnedScene = turned) -> bool:
            return needed(turned.turn.window(window, turned.size))

        found = engine.segment(turned, views, upright)
        patches += found.patches
        for view, scores in found.views.items():
            if view not in totals:
                totals[view] = scores.blank()
            _add_upright(totals[view], scores, turn)
    size, alignment = scene.size, engine.settings.alignment
    for view in totals:
        totals[view] /= len(TURNS)  # in place: these are the largest arrays of all
    means = {view: ScoreMap(mean, size, size, alignment) for view, mean in totals.items()}
    return Segmented(means, patches)


def _add_upright(total: Any, scores: ScoreMap, turn: Turn) -> None:  # noqa: ANN401
    for window, strip in scores.strips():
        upright = turn.window(window, scores.size)
        total[:, *upright.slices] += turn.undo(strip)
