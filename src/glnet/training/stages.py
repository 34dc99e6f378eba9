"""The three stages as data: what each trains, and one step of each.

A step runs forward and backward over everything one optimiser step covers, mini-batch by
mini-batch, and gives the mean loss of each kind. It leaves gradients behind, nothing else.

Alive at a time, however large the images and however many their patches: one mini-batch of
patches, and of each image in it the plain global branch's maps. Stage three runs the refined
branch for all images of a step at once only where its batch statistics move; otherwise images are
independent, and one follows the other.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from glnet.datasets.draws import Draw
from glnet.engines.torch_engine import TorchEngine
from glnet.geometry import of_one_size
from glnet.model.branch import BranchOutput, SharedMaps
from glnet.model.glnet import GLNet
from glnet.model.sharing import Canvas
from glnet.recipe import Recipe, Stage
from glnet.sharing import COARSE_FIRST, Place
from glnet.training.losses import PixelLoss, coupling
from glnet.training.parts import loss_kinds, statistics_move

T = TypeVar("T")


class PatchBatch(NamedTuple):
    """Drawn patches of one size: a mini-batch.

    Attributes:
        images: Positions in the step of the images that the patches are of, each once.
        places: Where the patches lie; their `item` counts within `images`.
        pixels, labels: (P, bands, h, w) as stored; (P, h, w) uint8.
        seen: The plain global branch on `images`, without gradient; None without that branch.
        weight: What the labels weigh, as a share of the step.
        share: How many patches these are, as a share of the step.
    """

    images: list[int]
    places: list[Place]
    pixels: Tensor
    labels: Tensor
    seen: BranchOutput | None
    weight: float
    share: float


@dataclass(frozen=True)
class Step:
    """All that a step needs beside the images.

    `backward` takes a loss; `grad_scale` gives the factor by which it multiplies (mixed
    precision), so that a gradient that was gathered can be handed on; `total` adds a number up
    over all processes that share the step.
    """

    engine: TorchEngine
    loss: PixelLoss
    recipe: Recipe
    backward: Callable[[Tensor], None]
    grad_scale: Callable[[], float] = lambda: 1.0
    total: Callable[[float], float] = lambda own: own

    def run(self, stage: Stage, draws: Sequence[Draw]) -> dict[str, float]:
        """One step of a stage on this process's images.

        Returns:
            Of each kind of loss, and in all (`loss`), this process's share: over all processes
            they add up to the means of the step.
        """
        steps = {
            "global": self._global,
            "global_to_local": self._global_to_local,
            "local_to_global": self._local_to_global,
        }
        parts = dict.fromkeys(loss_kinds(self._model, stage), 0.0)
        for found in steps[stage](draws):
            for kind, loss in found.items():
                parts[kind] += loss
        return {"loss": sum(parts.values()), **parts}

    @property
    def _model(self) -> GLNet:
        return self.engine.model

    def _tensor(self, arrays: Sequence[np.ndarray]) -> Tensor:
        return self.engine.to_device(np.stack(arrays))

    def _global(self, draws: Sequence[Draw]) -> Iterator[dict[str, float]]:
        total = self._thumbnail_weight(draws)
        size = len(draws) if statistics_move(self._model) else self.recipe.train.mini_batch
        for some in _cut(draws, size):
            weight = _share(sum(self.loss.weight(d.thumbnail_labels) for d in some), total)
            thumbnails = self._tensor([draw.thumbnail for draw in some])
            labels = self._tensor([draw.thumbnail_labels for draw in some])
            loss = self.loss(self._model.global_pass(thumbnails).logits, labels)
            self.backward(loss * weight)
            yield {"global": loss.item() * weight}

    def _global_to_local(self, draws: Sequence[Draw]) -> Iterator[dict[str, float]]:
        model = self._model
        for batch in self._patch_batches(draws):
            maps = batch.seen.maps if batch.seen else None
            local = model.local_pass(batch.pixels, batch.places, maps)
            found = {"local": (self.loss(local.logits, batch.labels), batch.weight)}
            if batch.seen is not None:
                under = model.global_features(batch.seen.joined, batch.places)
                logits = model.aggregate(local.joined, under)
                found["aggregated"] = self.loss(logits, batch.labels), batch.weight
                if self.recipe.loss.regulariser:
                    pull = self.recipe.loss.regulariser * coupling(local.joined, under)
                    found["coupling"] = pull, batch.share
            yield self._walk_back(found)

    def _local_to_global(self, draws: Sequence[Draw]) -> Iterator[dict[str, float]]:
        total = self._thumbnail_weight(draws)
        weights = self._patch_weights(draws)
        size = len(draws) if statistics_move(self._model) else 1
        for some in _cut(draws, size):
            yield from self._refine(some, total, weights)

    def _refine(
        self, draws: Sequence[Draw], total: float, weights: tuple[float, float]
    ) -> Iterator[dict[str, float]]:
        """The refined branch runs once; its last maps gather their gradient on a detached copy."""
        model = self._model
        thumbnails = self._tensor([draw.thumbnail for draw in draws])
        refined = model.refined_global_pass(thumbnails, self._lay(draws))
        gathered = refined.joined.detach().requires_grad_()
        for batch in self._patch_batches(draws, weights):
            maps = batch.seen.maps if batch.seen else None
            # Run again rather than kept since laying: features of all patches would not fit.
            with torch.no_grad():
                local = model.local_pass(batch.pixels, batch.places, maps).joined
            under = model.global_features(gathered[batch.images], batch.places)
            loss = self.loss(model.aggregate(local, under), batch.labels)
            yield self._walk_back({"aggregated": (loss, batch.weight)})
        labels = [draw.thumbnail_labels for draw in draws]
        weight = _share(sum(map(self.loss.weight, labels)), total)
        auxiliary = self.loss(refined.logits, self._tensor(labels))
        # A scalar whose gradient with respect to the joined maps is the gathered one.
        wide = torch.promote_types(gathered.dtype, torch.float32)
        gradient = torch.zeros_like(gathered) if gathered.grad is None else gathered.grad
        handed_on = (refined.joined.to(wide) * (gradient.to(wide) / self.grad_scale())).sum()
        self.backward(auxiliary * weight + handed_on)
        yield {"global": auxiliary.item() * weight}

    def _walk_back(self, found: dict[str, tuple[Tensor, float]]) -> dict[str, float]:
        """Backward over one mini-batch of patches; each loss comes with its share of the step."""
        averaged = self.recipe.train.gradients == "averaged"
        weighted = [loss * (share if averaged else 1.0) for loss, share in found.values()]
        self.backward(sum(weighted[1:], weighted[0]))
        return {kind: loss.item() * share for kind, (loss, share) in found.items()}

    @torch.no_grad()
    def _lay(self, draws: Sequence[Draw]) -> SharedMaps:
        """All patches through the frozen local branch, image by image: the laid maps."""
        model, finished = self._model, []
        for draw in draws:
            maps = self._look(draw).maps
            canvas = Canvas(draw.size, model.thumbnail_size, model.settings.alignment)
            for some in of_one_size(draw.windows, self.recipe.train.mini_batch):
                places = [Place(0, draw.size, draw.windows[w]) for w in some]
                pixels = self._tensor([draw.patches[w] for w in some])
                local = model.local_pass(pixels, places, maps)
                canvas.add(local.maps, [place.window for place in places], COARSE_FIRST)
            finished.append(canvas.finished())
        return SharedMaps(
            *(_over_levels(torch.stack, kind) for kind in zip(*finished, strict=True))
        )

    @torch.no_grad()
    def _look(self, draw: Draw) -> BranchOutput:
        """The plain global branch on one image; batch statistics are fixed wherever it is read."""
        return self._model.global_pass(self._tensor([draw.thumbnail]))

    def _patch_batches(
        self, draws: Sequence[Draw], weights: tuple[float, float] | None = None
    ) -> Iterator[PatchBatch]:
        """Drawn patches in mini-batches, with the global maps of just their images."""
        of_labels, of_patches = weights or self._patch_weights(draws)
        seen: dict[int, BranchOutput] = {}
        for keys in self._mini_batches(draws):
            images = list(dict.fromkeys(image for image, _ in keys))
            if self._model.global_branch is not None:
                kept = {i: seen[i] for i in images if i in seen}
                seen = {i: kept[i] if i in kept else self._look(draws[i]) for i in images}
            labels = [draws[i].labels[draws[i].drawn.index(w)] for i, w in keys]
            yield PatchBatch(
                images,
                [Place(images.index(i), draws[i].size, draws[i].windows[w]) for i, w in keys],
                self._tensor([draws[i].patches[w] for i, w in keys]),
                self._tensor(labels),
                _stacked(list(seen.values())) if seen else None,
                _share(sum(map(self.loss.weight, labels)), of_labels),
                _share(len(keys), of_patches),
            )

    def _mini_batches(self, draws: Sequence[Draw]) -> Iterator[list[tuple[int, int]]]:
        """Drawn patches as (image, window) keys, of one size each, image after image."""
        groups: dict[object, list[tuple[int, int]]] = {}
        for image, draw in enumerate(draws):
            of = None if self.recipe.train.mix_images else image
            for window in draw.drawn:
                group = groups.setdefault((of, draw.windows[window].size), [])
                group.append((image, window))
        for keys in groups.values():
            yield from _cut(keys, self.recipe.train.mini_batch)

    def _thumbnail_weight(self, draws: Sequence[Draw]) -> float:
        return self.total(sum(self.loss.weight(draw.thumbnail_labels) for draw in draws))

    def _patch_weights(self, draws: Sequence[Draw]) -> tuple[float, float]:
        """What all labels of drawn patches weigh, and how many patches those are."""
        weight = sum(self.loss.weight(labels) for draw in draws for labels in draw.labels)
        return self.total(weight), self.total(sum(len(draw.drawn) for draw in draws))


def _cut(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), max(1, size)):  # of several processes one may have none
        yield list(items[start : start + size])


def _share(part: float, total: float) -> float:
    return part / total if total else 0.0


def _stacked(outputs: Sequence[BranchOutput]) -> BranchOutput:
    """Outputs for one image each, as one of all of them; a single one is not copied."""
    if len(outputs) == 1:
        return outputs[0]
    kinds = zip(*(output.maps for output in outputs), strict=True)
    return BranchOutput(
        torch.cat([output.logits for output in outputs]),
        torch.cat([output.joined for output in outputs]),
        SharedMaps(*(_over_levels(torch.cat, kind) for kind in kinds)),
    )


def _over_levels(
    join: Callable[[list[Tensor]], Tensor], kind: Sequence[Sequence[Tensor]]
) -> tuple[Tensor, ...]:
    """Maps of one kind of several images, joined level by level."""
    return tuple(join(list(level)) for level in zip(*kind, strict=True))
