"""The three stages as data: what each trains, and one step of each.

A step runs forward and backward over everything one optimiser step covers, mini-batch by
mini-batch, and gives the mean loss of each kind. It leaves gradients behind, nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from glnet.datasets.draws import Draw
from glnet.engines.torch_engine import TorchEngine
from glnet.geometry import Window
from glnet.model.branch import SharedMaps
from glnet.model.glnet import COARSE_FIRST, GLNet
from glnet.model.sharing import Canvas, Place
from glnet.recipe import Recipe, Stage
from glnet.training.losses import PixelLoss, coupling

_PARTS: dict[Stage, tuple[str, ...]] = {
    "global": ("global_branch",),
    "global_to_local": ("local_branch", "aggregation"),
    "local_to_global": ("refined_global", "aggregation"),
}


def trained_parts(model: GLNet, stage: Stage) -> list[nn.Module]:
    """The modules that a stage trains; everything else is frozen."""
    parts = (getattr(model, name) for name in _PARTS[stage])
    return [part for part in parts if part is not None]


def prepare(model: GLNet, stage: Stage, *, freeze_batch_norm: bool) -> list[nn.Parameter]:
    """Freeze all but the stage's parts; batch statistics move only there. Gives what is trained."""
    model.eval().requires_grad_(requires_grad=False)
    for part in trained_parts(model, stage):
        part.train().requires_grad_(requires_grad=True)
        for module in part.modules():
            if freeze_batch_norm and isinstance(module, nn.BatchNorm2d):
                module.eval()
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@dataclass(frozen=True)
class Step:
    """All that a step needs beside the images.

    `backward` takes a loss; `grad_scale` gives the factor by which it multiplies (mixed
    precision), so that a gradient that was gathered can be handed on.
    """

    engine: TorchEngine
    loss: PixelLoss
    recipe: Recipe
    backward: Callable[[Tensor], None]
    grad_scale: Callable[[], float] = lambda: 1.0

    def run(self, stage: Stage, draws: Sequence[Draw]) -> dict[str, float]:
        """One step of a stage; the mean loss in all (`loss`) and of each kind."""
        steps = {
            "global": self._global,
            "global_to_local": self._global_to_local,
            "local_to_global": self._local_to_global,
        }
        parts = steps[stage](draws)
        return {"loss": sum(parts.values()), **parts}

    @property
    def _model(self) -> GLNet:
        return self.engine.model

    def _tensor(self, arrays: Sequence[np.ndarray]) -> Tensor:
        return self.engine.to_device(np.stack(arrays))

    def _global(self, draws: Sequence[Draw]) -> dict[str, float]:
        thumbnails = self._tensor([draw.thumbnail for draw in draws])
        labels = self._tensor([draw.thumbnail_labels for draw in draws])
        loss = self.loss(self._model.global_pass(thumbnails).logits, labels)
        self.backward(loss)
        return {"global": loss.item()}

    def _global_to_local(self, draws: Sequence[Draw]) -> dict[str, float]:
        model, meter = self._model, _Meter()
        seen = None
        if model.global_branch is not None:
            with torch.no_grad():
                seen = model.global_pass(self._tensor([draw.thumbnail for draw in draws]))
        for batch, share in self._mini_batches(draws):
            places = [place_of(draws, item, window) for item, window in batch]
            patches = self._tensor([draws[i].patches[w] for i, w in batch])
            labels = self._tensor([draws[i].labels[draws[i].drawn.index(w)] for i, w in batch])
            local = model.local_pass(patches, places, seen.maps if seen else None)
            losses = {"local": self.loss(local.logits, labels)}
            if seen is not None:
                under = model.global_features(seen.joined, places)
                losses["aggregated"] = self.loss(model.aggregate(local.joined, under), labels)
                pull = self.recipe.loss.regulariser
                losses["coupling"] = pull * coupling(local.joined, under)
            self.backward(sum(losses.values(), torch.zeros((), device=labels.device)) * share)
            meter.add(losses, len(batch))
        return meter.means()

    def _local_to_global(self, draws: Sequence[Draw]) -> dict[str, float]:
        """The refined branch runs once; its last maps gather their gradient on a detached copy."""
        model, meter = self._model, _Meter()
        thumbnails = self._tensor([draw.thumbnail for draw in draws])
        with torch.no_grad():
            laid, features = self._lay(draws, model.global_pass(thumbnails).maps)
        refined = model.refined_global_pass(thumbnails, laid)
        gathered = refined.joined.detach().requires_grad_()
        for batch, share in self._mini_batches(draws):
            places = [place_of(draws, item, window) for item, window in batch]
            labels = self._tensor([draws[i].labels[draws[i].drawn.index(w)] for i, w in batch])
            local = torch.stack([features[key] for key in batch])
            under = model.global_features(gathered, places)
            loss = self.loss(model.aggregate(local, under), labels)
            self.backward(loss * share)
            meter.add({"aggregated": loss}, len(batch))
        labels = self._tensor([draw.thumbnail_labels for draw in draws])
        auxiliary = self.loss(refined.logits, labels)
        # A scalar whose gradient with respect to the joined maps is the gathered one.
        wide = torch.promote_types(gathered.dtype, torch.float32)
        gradient = torch.zeros_like(gathered) if gathered.grad is None else gathered.grad
        handed_on = (refined.joined.to(wide) * (gradient.to(wide) / self.grad_scale())).sum()
        self.backward(auxiliary + handed_on)
        return {"global": auxiliary.item(), **meter.means()}

    def _lay(
        self, draws: Sequence[Draw], maps: SharedMaps
    ) -> tuple[SharedMaps, dict[tuple[int, int], Tensor]]:
        """All patches through the frozen local branch: laid maps, and the drawn ones' features."""
        model, features, finished = self._model, {}, []
        alignment = model.settings.alignment
        for item, draw in enumerate(draws):
            canvas = Canvas(draw.size, model.thumbnail_size, alignment)
            size = self.recipe.train.mini_batch
            for start in range(0, len(draw.windows), size):
                some = range(start, min(start + size, len(draw.windows)))
                places = [place_of(draws, item, window) for window in some]
                local = model.local_pass(
                    self._tensor([draw.patches[w] for w in some]), places, maps
                )
                for index, window in enumerate(some):
                    canvas.add(local.maps, index, draw.windows[window], COARSE_FIRST)
                    if window in draw.drawn:
                        # A copy: a view would keep the whole mini-batch alive.
                        features[item, window] = local.joined[index].clone()
            finished.append(canvas.finished())
        laid = SharedMaps(
            *(
                tuple(torch.stack(level) for level in zip(*kind, strict=True))
                for kind in zip(*finished, strict=True)
            )
        )
        return laid, features

    def _mini_batches(self, draws: Sequence[Draw]) -> Iterator[tuple[list[tuple[int, int]], float]]:
        """Drawn patches as (image, window) keys, of one size each, and their weight in the step."""
        train = self.recipe.train
        groups: dict[object, list[tuple[int, int]]] = {}
        for item, draw in enumerate(draws):
            if not draw.windows:
                continue
            group = draw.windows[0].size if train.mix_images else item
            groups.setdefault(group, []).extend((item, window) for window in draw.drawn)
        total = sum(map(len, groups.values()))
        for keys in groups.values():
            for start in range(0, len(keys), train.mini_batch):
                batch = keys[start : start + train.mini_batch]
                yield batch, len(batch) / total if train.gradients == "averaged" else 1.0


def place_of(draws: Sequence[Draw], item: int, window: int) -> Place:
    """Where a patch of a step lies."""
    placed: Window = draws[item].windows[window]
    return Place(item, draws[item].size, placed)


class _Meter:
    """Means over the patches of a step."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, losses: dict[str, Tensor], patches: int) -> None:
        for name, loss in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + loss.item() * patches
        self._count += patches

    def means(self) -> dict[str, float]:
        return {name: total / self._count for name, total in self._sums.items()}
