"""What a training step reads of an image: its thumbnail, patches and their labels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from glnet.datasets.augment import (
    Augmentation,
    ScaledScene,
    draw_augmentation,
    label_cells,
)
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.datasets.samples import open_sample
from glnet.geometry import OUTPUT_STRIDE, Size, Window, patch_grid
from glnet.recipe import Recipe, Stage
from glnet.scenes import Scene, TurnedScene

#: Stands for what a stage does not read, and so is not read from the file either.
_UNREAD = np.empty((0, 0), np.uint8)


@dataclass(frozen=True, slots=True)
class Draw:
    """One image's share of a step. Arrays of one patch grid have one size.

    Attributes:
        size: Of the scene, as augmented.
        thumbnail, thumbnail_labels: (bands, h, w) as stored; (h, w) uint8.
        windows, patches: Where the patches lie and their pixels (bands, h, w).
        drawn, labels: Which of the patches the loss is taken of, and their labels (h, w).
    """

    size: Size
    thumbnail: np.ndarray
    thumbnail_labels: np.ndarray
    windows: tuple[Window, ...]
    patches: list[np.ndarray]
    drawn: list[int]
    labels: list[np.ndarray]


class TrainingImages(Dataset[Draw]):
    """Draws by (epoch, index). What is drawn depends on seed, epoch and image alone."""

    def __init__(
        self, samples: list[Sample], coder: LabelCoder, recipe: Recipe, stage: Stage
    ) -> None:
        """Over the samples of the training split."""
        self.samples, self.coder, self.recipe, self.stage = samples, coder, recipe, stage

    def __getitem__(self, key: tuple[int, int]) -> Draw:
        """Read one image."""
        epoch, index = key
        sample, train = self.samples[index], self.recipe.train
        rng = np.random.default_rng([train.seed, epoch, sample.seed])
        model = self.recipe.model
        augmentation = draw_augmentation(train.augment, model.bands, rng)
        with open_sample(sample, self.coder, model) as (image, labels):
            return self._draw(image, labels, augmentation, rng)

    def _draw(
        self, image: Scene, mask: Scene, augmentation: Augmentation, rng: np.random.Generator
    ) -> Draw:
        model = self.recipe.model
        image, mask = (TurnedScene(scene, augmentation.turn) for scene in (image, mask))
        if augmentation.factor != 1:
            image = ScaledScene(image, augmentation.factor)
            mask = ScaledScene(mask, augmentation.factor, labels=True)
        thumbnail = Size(model.thumbnail, model.thumbnail)
        quarter = self.recipe.loss.resolution == "quarter"
        shown = thumbnail.cells(OUTPUT_STRIDE) if quarter else thumbnail

        windows: tuple[Window, ...] = ()
        drawn: list[int] = []
        if self.stage != "global":
            windows = patch_grid(image.size, model.patch, model.overlap, model.alignment)
            drawn = _chosen(len(windows), self.recipe.train.patches, rng)
        if self.stage == "global_to_local":
            # Laying needs every patch; nothing before it needs the ones without a loss.
            windows, drawn = tuple(windows[i] for i in drawn), list(range(len(drawn)))
        labels = [mask.read(windows[i])[0] for i in drawn]
        scale = model.input.scale
        return Draw(
            image.size,
            augmentation.colour(image.thumbnail(thumbnail), scale)
            if model.branches != "local"
            else _UNREAD,
            mask.thumbnail(shown)[0] if self.stage != "global_to_local" else _UNREAD,
            windows,
            [augmentation.colour(image.read(window), scale) for window in windows],
            drawn,
            [label_cells(patch, OUTPUT_STRIDE) for patch in labels] if quarter else labels,
        )


def _chosen(count: int, wanted: int | str, rng: np.random.Generator) -> list[int]:
    if isinstance(wanted, str) or wanted >= count:
        return list(range(count))
    return sorted(int(i) for i in rng.choice(count, wanted, replace=False))


class EpochBatches:
    """Keys for `TrainingImages`, batch by batch, over all epochs of a stage.

    Every epoch is a new order of all images, drawn from seed and epoch.
    """

    def __init__(self, images: int, batch: int, epochs: int, seed: int) -> None:
        """`images` in all, `batch` per step; the last step of an epoch may have fewer."""
        self.images, self.batch, self.epochs, self.seed = images, batch, epochs, seed

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch."""
        return -(-self.images // self.batch)

    def __len__(self) -> int:
        return self.epochs * self.steps_per_epoch

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for epoch in range(1, self.epochs + 1):
            order = np.random.default_rng([self.seed, epoch]).permutation(self.images)
            for start in range(0, self.images, self.batch):
                yield [(epoch, int(i)) for i in order[start : start + self.batch]]
