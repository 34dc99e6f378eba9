"""One scene through a network: the same steps whichever engine computes them.

For a bidirectional network patches are run once: their maps are laid onto the scene, the local
half of the aggregation is added up at once, and when the refined global branch has run, the global
half is added to the same mosaic. Alive at a time: one mini-batch of patches, one scene's shared
maps, one coarse canvas per view.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from glnet.boxes import PatchCount, find_boxes, patches_in
from glnet.engines.ahead import ahead
from glnet.engines.memory import Keeper
from glnet.errors import RunError
from glnet.geometry import Size, Window, of_one_size, patch_grid
from glnet.mosaic import Mosaic, ScoreMap, on_host
from glnet.recipe import ModelSettings, View
from glnet.scenes import ScaledScene, Scene
from glnet.sharing import Place

#: Whether a patch of a scene has to be computed.
Needed = Callable[[Window], bool]


class Seen(Protocol):
    """What a global branch made of a thumbnail; the rest of it is the network's own business."""

    @property
    def logits(self) -> Any:  # noqa: ANN401  any array kind
        """(1, classes, rows, columns)."""


class Network(Protocol):
    """What an engine runs. Images come as NumPy arrays, scores go as float32 of any array kind."""

    @property
    def settings(self) -> ModelSettings:
        """What it computes."""

    @property
    def classes(self) -> int:
        """How many."""

    def look(self, thumbnail: np.ndarray) -> Any:  # noqa: ANN401  a Seen
        """The plain global branch on a thumbnail (bands, H, W)."""

    def canvas(self, scene: Size) -> Any:  # noqa: ANN401
        """Where the maps of a scene's patches are laid."""

    def local(
        self,
        pixels: np.ndarray,
        places: Sequence[Place],
        seen: Any,  # noqa: ANN401
        canvas: Any,  # noqa: ANN401
        views: Sequence[View],
    ) -> Mapping[View, Any]:
        """The local branch on patches (P, bands, h, w) of one size.

        Args:
            pixels: As stored.
            places: Where they lie.
            seen: What the plain global branch made; None without one.
            canvas: Lay the maps there; None where nobody reads them.
            views: `local`, `aggregated`: which scores to give, (P, classes, rows, columns) each.
        """

    def refine(self, thumbnail: np.ndarray, canvas: Any) -> Any:  # noqa: ANN401  a Seen
        """The refined global branch on a thumbnail, with what was laid on the canvas."""

    def share(self, seen: Any, places: Sequence[Place]) -> Any:  # noqa: ANN401
        """The global branch's share of the aggregated scores of patches."""


@dataclass(frozen=True, slots=True)
class Segmented:
    """What became of one scene.

    Attributes:
        views: Class scores, by view.
        patches: How many the local branch saw.
    """

    views: dict[View, ScoreMap]
    patches: PatchCount


class Engine:
    """A network and how to run it. Holds nothing about any scene.

    Attributes:
        network: Plain or folded, wherever it is computed.
        mini_batch: Patches per forward pass.
        device_type: cpu, cuda or mps.
        library: Which one computes, and its version.
        keeper: How it keeps to a budget of memory; None: it does not.
        said: Takes a line where the engine has to change its ways.
    """

    def __init__(
        self, network: Network, library: str, mini_batch: int = 1, device_type: str = "cpu"
    ) -> None:
        """See the attributes."""
        self.network = network
        self.library = library
        self.mini_batch = mini_batch
        self.device_type = device_type
        self.keeper: Keeper | None = None
        self.said: Callable[[str], None] = lambda _: None

    @property
    def settings(self) -> ModelSettings:
        """What the network computes."""
        return self.network.settings

    @property
    def thumbnail_size(self) -> Size:
        """What the global branch sees a scene as."""
        return self.settings.thumbnail_size

    def halve(self) -> None:
        """Take half as many patches at a time: the device refused, whatever was counted."""
        self.mini_batch = max(1, self.mini_batch // 2)
        self.said(f"the device is out of memory; going on with {self.mini_batch} at a time")

    def chosen(self, view: View | None) -> View:
        """A view that the network has; by default its first.

        Raises:
            RunError: it has no such view.
        """
        views = self.settings.views
        if view is not None and view not in views:
            msg = f"this model has no {view} view; it has: {', '.join(views)}"
            raise RunError(msg)
        return view or views[0]

    def segment(
        self, scene: Scene, views: Sequence[View], needed: Needed = lambda _: True
    ) -> Segmented:
        """Class scores of one scene, one map per view.

        Args:
            scene: What is to be segmented; the network sees it shrunk as its settings say.
            views: Which of the network's outputs.
            needed: Of which patches; scores are arbitrary where no patch was needed.

        Raises:
            RunError: the network has no such view.
        """
        for view in views:
            self.chosen(view)
        if self.settings.shrink == 1:
            return _Pass(self, scene, views, needed).run()
        small = ScaledScene(scene, 1 / self.settings.shrink)
        found = _Pass(self, small, views, lambda patch: needed(small.under(patch))).run()
        return replace(found, views={v: each.onto(scene.size) for v, each in found.views.items()})


def foreground_of(logits: Any, background: int) -> np.ndarray:  # noqa: ANN401  any array kind
    """Where the coarse mask of logits (classes, rows, columns) shows another class: boolean."""
    found = logits.argmax(0) != background
    return on_host(found)


class _Pass:
    """One scene on its way through the network."""

    def __init__(self, engine: Engine, scene: Scene, views: Sequence[View], needed: Needed) -> None:
        self.engine, self.network, self.scene = engine, engine.network, scene
        self.needed = needed
        self.views = set(views)
        self.of_patches: list[View] = [view for view in views if view != "global"]
        settings = self.settings = engine.settings
        self.alignment = settings.alignment
        self.grid = patch_grid(scene.size, settings.patch, settings.overlap, self.alignment)
        self.mosaics: dict[View, Mosaic] = {
            view: Mosaic(scene.size, self.alignment, settings.output_stride)
            for view in self.of_patches
        }

    def run(self) -> Segmented:
        out: dict[View, ScoreMap] = {}
        thumbnail, seen = None, None
        if self._looks:
            thumbnail = self.scene.thumbnail(self.engine.thumbnail_size)
            seen = self.network.look(thumbnail)
        patches, elsewhere = self._choose(seen)
        patches = [window for window in patches if self.needed(window)]
        count = 0
        if self._refines or self.of_patches:
            count = len(patches)
            canvas = self._run_patches(patches, seen)
            if canvas is not None and thumbnail is not None:
                seen = self.network.refine(thumbnail, canvas)
            if "aggregated" in self.views and seen is not None:
                for places in self._mini_batches(patches):
                    share = self.network.share(seen, places)
                    self._add("aggregated", places, share, covers=False)
            for view, mosaic in self.mosaics.items():
                out[view] = mosaic.scores(elsewhere)
        if "global" in self.views and seen is not None:
            out["global"] = self._whole(seen)
        return Segmented(out, PatchCount(count, len(self.grid)))

    def _choose(self, seen: Seen | None) -> tuple[Sequence[Window], ScoreMap | None]:
        """The patches to run, and the scores of the scene where they leave it out.

        These are the coarse ones: where no box lies, they show background by the boxes' making.
        """
        search = self.settings.coarse_to_fine
        if search is None or seen is None:
            return self.grid, None
        foreground = foreground_of(seen.logits[0], search.background)
        boxes = find_boxes(foreground, self.scene.size, search, self.settings)
        return patches_in(boxes, self.settings), self._whole(seen)

    def _whole(self, seen: Seen) -> ScoreMap:
        """Scores of a thumbnail as scores of the scene."""
        return ScoreMap(seen.logits[0], self.scene.size, self.scene.size, self.alignment)

    @property
    def _looks(self) -> bool:
        """Is there a global branch, and does anything read it?"""
        settings = self.settings
        read = settings.sharing != "none" or settings.coarse_to_fine or self.views - {"local"}
        return settings.branches != "local" and bool(read)

    @property
    def _refines(self) -> bool:
        """Is the refined global branch there, and does any view read it?"""
        return self.settings.refines and bool(self.views - {"local"})

    def _run_patches(self, patches: Sequence[Window], seen: Seen | None) -> Any:  # noqa: ANN401
        """The local branch on every patch; gives the canvas where the maps are needed."""
        canvas = self.network.canvas(self.scene.size) if self._refines and patches else None
        batches = self._mini_batches(patches)
        with closing(ahead((self._pixels(places), places) for places in batches)) as read:
            for pixels, places in read:
                self._run_together(pixels, places, seen, canvas)
        return canvas

    def _pixels(self, places: Sequence[Place]) -> np.ndarray:
        return np.stack([self.scene.read(place.window) for place in places])

    def _run_together(
        self,
        pixels: Any,  # noqa: ANN401
        places: Sequence[Place],
        seen: Seen | None,
        canvas: Any,  # noqa: ANN401
    ) -> None:
        """A mini-batch; in halves, from now on, where the device has no room for it."""
        if len(places) <= self.engine.mini_batch:
            try:
                scores = self.network.local(pixels, places, seen, canvas, self.of_patches)
            except RuntimeError as error:
                if "out of memory" not in str(error) or len(places) == 1:
                    raise
                self.engine.halve()
            else:
                for view, values in scores.items():
                    self._add(view, places, values)
                return
        middle = len(places) // 2
        for half in (slice(middle), slice(middle, None)):
            self._run_together(pixels[half], places[half], seen, canvas)

    def _mini_batches(self, patches: Sequence[Window]) -> Iterator[list[Place]]:
        """Places of patches of one size each: those at a border may be shorter."""
        for some in of_one_size(patches, self.engine.mini_batch):
            yield [Place(0, self.scene.size, patches[i]) for i in some]

    def _add(
        self,
        view: View,
        places: Sequence[Place],
        scores: Any,  # noqa: ANN401
        *,
        covers: bool = True,
    ) -> None:
        for index, place in enumerate(places):
            self.mosaics[view].add(place.window, scores[index], covers=covers)
