"""What test-time augmentation promises: every branch sees the same turn, for any rectangle."""

import numpy as np
import pytest
import torch

from glnet.engines.torch_engine import TorchEngine
from glnet.engines.turning import segment_turned
from glnet.scenes import TURNS, TurnedScene
from networks import SHARINGS, ArrayScene, random_scene, tiny_network


@pytest.mark.parametrize("sharing", SHARINGS)
def test_turning_the_scene_turns_the_mean_scores(sharing):
    """The mean over all eight turns does not care how the scene lay, for rectangles too."""
    engine = TorchEngine(tiny_network(sharing=sharing), torch.device("cpu"), mini_batch=8)
    scene = random_scene(72, 104)
    views = engine.model.settings.views
    upright = segment_turned(engine, scene, views).views

    for turn in (TURNS[1], TURNS[6]):
        turned = segment_turned(engine, ArrayScene(turn.apply(scene.pixels)), views).views
        for view in views:
            back = turn.undo(turned[view].cells)
            largest = upright[view].cells.abs().max()
            assert (back - upright[view].cells).abs().max() <= 1e-4 * largest


def test_the_mean_is_over_eight_turned_passes():
    """It equals a loop that turns whole arrays, segments each and turns the scores back."""
    engine = TorchEngine(tiny_network(), torch.device("cpu"))
    scene = random_scene(70, 93)
    passes = []
    for turn in TURNS:
        found = engine.segment(ArrayScene(turn.apply(scene.pixels)), ["aggregated"]).views
        passes.append(
            turn.undo(np.concatenate([s for _, s in found["aggregated"].strips()], axis=1))
        )

    mean = segment_turned(engine, scene, ["aggregated"]).views["aggregated"].cells

    assert np.allclose(mean, np.mean(passes, axis=0), atol=1e-4)


def test_a_turned_scene_is_read_by_window():
    """What the engine reads of a turned scene is what it would read of the turned array."""
    engine = TorchEngine(tiny_network(), torch.device("cpu"))
    scene = random_scene(80, 120)
    for turn in TURNS:
        lazy = engine.segment(TurnedScene(scene, turn), ["local"]).views["local"]
        whole = engine.segment(ArrayScene(turn.apply(scene.pixels)), ["local"]).views["local"]

        assert torch.equal(lazy.cells, whole.cells)


class Watched(TorchEngine):
    """Remembers the sizes that it is asked for."""

    def segment(self, scene, views, needed=lambda _: True):
        self.sizes = [*getattr(self, "sizes", []), scene.size]
        return super().segment(scene, views, needed)


def test_a_shape_is_done_with_before_the_other_one_comes():
    """An engine compiles its graphs for each new shape."""
    engine = Watched(tiny_network(), torch.device("cpu"))

    segment_turned(engine, random_scene(70, 93), ["aggregated"])

    assert engine.sizes == 4 * [(70, 93)] + 4 * [(93, 70)]


class Torn(ArrayScene):
    """A scene that cannot be read."""

    def read(self, window=None):  # noqa: ARG002
        msg = "torn"
        raise OSError(msg)


def test_a_network_in_training_trains_on_after_a_scene_that_fails():
    model = tiny_network().train()

    with pytest.raises(OSError, match="torn"):
        TorchEngine(model, torch.device("cpu")).segment(
            Torn(random_scene(70, 93).pixels), ["aggregated"]
        )

    assert all(module.training for module in model.modules())
