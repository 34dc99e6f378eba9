"""What happens inside an engine's network, call by call; without torch."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from glnet.engines.engine import Engine, Network
from glnet.geometry import patch_grid
from glnet.scenes import Decoded
from glnet.sharing import Place

#: What counts as the network; all else is reading, resizing, the mosaic, labels and writing.
METHODS = ("look", "local", "refine", "share")


class Watched:
    """A network that enters a context around each call, given the method's name."""

    def __init__(self, network: Network, around: Callable[[str], AbstractContextManager]) -> None:
        self._network, self._around = network, around

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """The network's own, watched where it is one of `METHODS`."""
        found = getattr(self._network, name)
        if name not in METHODS:
            return found

        def call(*arguments: object) -> object:
            with self._around(name):
                return found(*arguments)

        return call


def run_once(engine: Engine, scene: Decoded, patches: int) -> None:
    """Each method once, in the shapes that a scene has: the first `patches` stand for all."""
    network, settings = engine.network, engine.settings
    grid = patch_grid(scene.size, settings.patch, settings.overlap, settings.alignment)
    places = [Place(0, scene.size, window) for window in grid[:patches]]
    pixels = np.stack([scene.read(place.window) for place in places])
    thumbnail = scene.thumbnail(engine.thumbnail_size)
    seen = network.look(thumbnail)
    canvas = network.canvas(scene.size) if settings.refines else None
    network.local(pixels, places, seen, canvas, [settings.views[0]])
    if canvas is not None:
        seen = network.refine(thumbnail, canvas)
    network.share(seen, places)
