"""The PyTorch engine: one scene through the network, on the CPU, CUDA or MPS.

For a bidirectional network patches are run once: their maps are laid onto the scene, the local
half of the aggregation is added up at once, and when the refined global branch has run, the global
half is added to the same mosaic. Alive at a time: one mini-batch of patches, one scene's shared
maps, one coarse canvas per view.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from glnet.boxes import PatchCount, find_boxes, patches_in
from glnet.errors import RunError
from glnet.geometry import Window, of_one_size, patch_grid
from glnet.model.branch import SharedMaps
from glnet.model.glnet import COARSE_FIRST, GLNet
from glnet.model.sharing import Canvas, Place
from glnet.mosaic import Mosaic, ScoreMap
from glnet.recipe import View
from glnet.scenes import TURNS, Scene, Turn, TurnedScene

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA, else MPS, else the CPU; any other name is taken as torch knows it.

    Raises:
        RunError: no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        msg = f"device '{name}' cannot be used here ({str(error).splitlines()[0]}); try auto or cpu"
        raise RunError(msg) from error


@dataclass(frozen=True, slots=True)
class Segmented:
    """What became of one scene.

    Attributes:
        views: Class scores, by view.
        patches: How many the local branch saw.
    """

    views: dict[View, ScoreMap]
    patches: PatchCount


def foreground_of(logits: Tensor, background: int) -> np.ndarray:
    """Where the coarse mask of logits (classes, rows, columns) shows another class: boolean."""
    return np.asarray((logits.argmax(dim=0) != background).cpu())


class TorchEngine:
    """Runs one trained network. Holds the network and how to run it, nothing about any scene."""

    def __init__(
        self, model: GLNet, device: torch.device, precision: str = "fp32", mini_batch: int = 6
    ) -> None:
        """Move the network to the device.

        Args:
            model: Any GLNet.
            device: See `pick_device`.
            precision: fp32, bf16 or fp16 (by autocast; fp16 on a GPU alone).
            mini_batch: Patches per forward pass.

        Raises:
            RunError: no such precision here.
        """
        if precision not in _DTYPES or (precision == "fp16" and device.type == "cpu"):
            msg = f"precision {precision} cannot be used on {device.type}; wanted fp32, bf16, or "
            raise RunError(msg + "fp16 on a GPU")
        if precision == "fp32":
            # Left alone, CUDA rounds the inputs of fp32 convolutions to 10 bits.
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        self.model = model.to(device)
        self.device = device
        self.mini_batch = mini_batch
        self._dtype = _DTYPES[precision]

    def segment(self, scene: Scene, views: Sequence[View]) -> Segmented:
        """Class scores of one scene, one map per view.

        Raises:
            RunError: the network has no such view.
        """
        lacking = [view for view in views if view not in self.model.settings.views]
        if lacking:
            have = ", ".join(self.model.settings.views)
            msg = f"this model has no {lacking[0]} view; it has: {have}"
            raise RunError(msg)
        training = [module for module in self.model.modules() if module.training]
        self.model.eval()
        with (
            torch.no_grad(),
            torch.autocast(self.device.type, self._dtype, enabled=self._dtype is not torch.float32),
        ):
            segmented = _Pass(self, scene, views).run()
        for module in training:
            module.training = True
        return segmented

    def to_device(self, pixels: np.ndarray) -> Tensor:
        """Stored pixels as a tensor here; dtypes that torch lacks become float32."""
        if pixels.dtype not in (np.uint8, np.int16, np.float32):
            pixels = pixels.astype(np.float32)
        return torch.from_numpy(pixels).to(self.device)


class _Pass:
    """One scene on its way through the network."""

    def __init__(self, engine: TorchEngine, scene: Scene, views: Sequence[View]) -> None:
        self.engine, self.model, self.scene = engine, engine.model, scene
        self.views = set(views)
        settings = engine.model.settings
        self.alignment = settings.alignment
        self.grid = patch_grid(scene.size, settings.patch, settings.overlap, self.alignment)
        self.local, self.aggregated = (
            Mosaic(scene.size, self.alignment, settings.output_stride) for _ in range(2)
        )

    def run(self) -> Segmented:
        out: dict[View, ScoreMap] = {}
        thumbnail, logits, joined, maps = None, None, None, None
        if self.model.global_branch is not None:
            pixels = self.scene.thumbnail(self.model.thumbnail_size)
            thumbnail = self.engine.to_device(pixels)[None]
            logits, joined, maps = self.model.global_pass(thumbnail)
        patches, elsewhere = self._choose(logits)
        count = 0
        if self._refines or self.views - {"global"}:
            count = len(patches)
            laid = self._run_patches(patches, maps)
            if laid is not None and thumbnail is not None:
                logits, joined, _ = self.model.refined_global_pass(thumbnail, laid)
            if "aggregated" in self.views and joined is not None:
                self._add_global_share(patches, joined)
                out["aggregated"] = self.aggregated.scores(elsewhere)
            if "local" in self.views:
                out["local"] = self.local.scores(elsewhere)
        if "global" in self.views and logits is not None:
            out["global"] = self._whole(logits)
        return Segmented(out, PatchCount(count, len(self.grid)))

    def _choose(self, coarse: Tensor | None) -> tuple[Sequence[Window], ScoreMap | None]:
        """The patches to run, and the scores of the scene where they leave it out.

        These are the coarse ones: where no box lies, they show background by the boxes' making.
        """
        settings = self.model.settings
        search = settings.coarse_to_fine
        if search is None or coarse is None:
            return self.grid, None
        foreground = foreground_of(coarse[0], search.background)
        boxes = find_boxes(foreground, self.scene.size, search, settings)
        return patches_in(boxes, settings), self._whole(coarse)

    def _whole(self, logits: Tensor) -> ScoreMap:
        """Logits of a thumbnail (1, classes, rows, columns) as scores of the scene."""
        return ScoreMap(logits[0].float(), self.scene.size, self.scene.size, self.alignment)

    @property
    def _refines(self) -> bool:
        """Is the refined global branch there, and does any view read it?"""
        return self.model.refined_global is not None and bool(self.views - {"local"})

    def _run_patches(self, patches: Sequence[Window], maps: SharedMaps | None) -> SharedMaps | None:
        """The local branch on every patch; gives the laid maps where they are needed."""
        canvas = None
        if self._refines and patches:
            canvas = Canvas(self.scene.size, self.model.thumbnail_size, self.alignment)
        for places in self._mini_batches(patches):
            pixels = np.stack([self.scene.read(place.window) for place in places])
            local = self.model.local_pass(self.engine.to_device(pixels), places, maps)
            if canvas is not None:
                for index, place in enumerate(places):
                    canvas.add(local.maps, index, place.window, COARSE_FIRST)
            if "local" in self.views:
                self._add(self.local, places, local.logits)
            if "aggregated" in self.views:
                self._add(self.aggregated, places, self.model.local_share(local.joined))
        if canvas is None:
            return None
        return SharedMaps(*(tuple(m[None] for m in kind) for kind in canvas.finished()))

    def _add_global_share(self, patches: Sequence[Window], joined: Tensor) -> None:
        for places in self._mini_batches(patches):
            self._add(self.aggregated, places, self.model.global_share(joined, places), share=True)

    def _mini_batches(self, patches: Sequence[Window]) -> Iterator[list[Place]]:
        """Places of patches of one size each: those at a border may be shorter."""
        for some in of_one_size(patches, self.engine.mini_batch):
            yield [Place(0, self.scene.size, patches[i]) for i in some]

    def _add(
        self, mosaic: Mosaic, places: Sequence[Place], logits: Tensor, *, share: bool = False
    ) -> None:
        for place, values in zip(places, logits.float(), strict=True):
            mosaic.add(place.window, values, covers=not share)


def segment_turned(engine: TorchEngine, scene: Scene, views: Sequence[View]) -> Segmented:
    """Mean scores over the eight flips and quarter turns of the scene (test-time augmentation).

    Thumbnail and patches are turned together, whatever the sharing. Memory: one full-resolution
    array of classes x 4 bytes per pixel and view.
    """
    totals: dict[View, Tensor] = {}
    patches = PatchCount(0, 0)
    for turn in TURNS:
        found = engine.segment(TurnedScene(scene, turn), views)
        patches += found.patches
        for view, scores in found.views.items():
            if view not in totals:
                shape = (engine.model.classes, *scene.size)
                totals[view] = torch.zeros(shape, device=engine.device)
            _add_upright(totals[view], scores, turn)
    size = scene.size
    alignment = engine.model.settings.alignment
    means = {v: ScoreMap(total / len(TURNS), size, size, alignment) for v, total in totals.items()}
    return Segmented(means, patches)


def _add_upright(total: Tensor, scores: ScoreMap, turn: Turn) -> None:
    for window, strip in scores.strips():
        upright = turn.window(window, scores.size)
        total[:, *upright.slices] += turn.undo(strip)
