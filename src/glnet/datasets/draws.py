"""What a training step reads of an image: its thumbnail, patches and their labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from glnet.boxes import find_boxes, patches_in
from glnet.datasets.augment import Augmentation, draw_augmentation, label_cells
from glnet.datasets.choosing import ClassPlaces, choose_centred, choose_of_grid, seek
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.datasets.samples import open_sample
from glnet.geometry import OUTPUT_STRIDE, Size, Window, patch_grid
from glnet.recipe import Recipe, Stage
from glnet.scenes import ScaledScene, Scene, TurnedScene

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


class TrainingImages:
    """Draws by (epoch, index). What is drawn depends on seed, epoch and image alone."""

    def __init__(
        self,
        samples: list[Sample],
        coder: LabelCoder,
        recipe: Recipe,
        stage: Stage,
        places: Mapping[Sample, ClassPlaces] | None = None,
        coarse: Mapping[Sample, np.ndarray] | None = None,
    ) -> None:
        """Over the samples of the training split.

        Args:
            samples, coder, recipe, stage: What is read, how, and for which stage.
            places: Where pixels of every class lie; needed where patches seek them.
            coarse: Foreground on cells, boolean; needed where patches keep to it.
        """
        self.samples, self.coder, self.recipe, self.stage = samples, coder, recipe, stage
        self.places, self.coarse = places or {}, coarse or {}

    def __getitem__(self, key: tuple[int, int]) -> Draw:
        """Read one image."""
        epoch, index = key
        sample, train = self.samples[index], self.recipe.train
        rng = np.random.default_rng([train.seed, epoch, sample.seed])
        model = self.recipe.model
        augmentation = draw_augmentation(train.augment, model.bands, rng)
        augmentation = replace(augmentation, factor=augmentation.factor / model.shrink)
        with open_sample(sample, self.coder, model) as (image, labels):
            return self._draw(sample, image, labels, augmentation, rng)

    def _draw(
        self,
        sample: Sample,
        image: Scene,
        mask: Scene,
        augmentation: Augmentation,
        rng: np.random.Generator,
    ) -> Draw:
        model, stored = self.recipe.model, image.size
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
            windows = self._windows(sample, image.size, augmentation, rng)
            wanted, share = self.recipe.train.patches, self.recipe.train.rare_patches
            places = self.places.get(sample, {})
            sought = seek(places, augmentation, stored, rng) if share else iter(())
            # Laying needs every patch; nothing before it needs the ones without a loss.
            choose = choose_centred if self.stage == "global_to_local" else choose_of_grid
            windows, drawn = choose(windows, wanted, share, sought, image.size, rng)
        scale = model.input.scale
        # Read below, after the thumbnail: from it on the image's gaps are known.
        labels = (mask.read(windows[i])[0] for i in drawn)
        return Draw(
            image.size,
            augmentation.colour(image.thumbnail(thumbnail), scale)
            if model.branches != "local"
            else _UNREAD,
            mask.thumbnail(shown)[0] if self.stage != "global_to_local" else _UNREAD,
            windows,
            [augmentation.colour(image.read(window), scale) for window in windows],
            drawn,
            [label_cells(patch, OUTPUT_STRIDE) if quarter else patch for patch in labels],
        )

    def _windows(
        self, sample: Sample, size: Size, augmentation: Augmentation, rng: np.random.Generator
    ) -> tuple[Window, ...]:
        """All patches of the augmented scene, or those that cover its foreground."""
        model = self.recipe.model
        grid = patch_grid(size, model.patch, model.overlap, model.alignment)
        if model.coarse_to_fine is None or sample not in self.coarse:
            return grid
        foreground = augmentation.turn.apply(self.coarse[sample])
        found = patches_in(find_boxes(foreground, size, model.coarse_to_fine, model), model)
        # Without foreground there is still something to learn: that this is background.
        return found or (grid[rng.integers(len(grid))],)


@dataclass(frozen=True)
class EpochBatches:
    """Keys for `TrainingImages`, batch by batch, over all epochs of a stage.

    Every epoch is a new order of all images, drawn from seed and epoch.

    Attributes:
        images: How many there are.
        batch: Images per step; the last step of an epoch may have fewer.
        epochs: How many.
        seed: Of the run.
        done: Steps that are left out, because a stopped run has made them.
        rank, ranks: Which of how many processes this is: each gets its share of
            a step's images, which may be none.
    """

    images: int
    batch: int
    epochs: int
    seed: int
    done: int = 0
    rank: int = 0
    ranks: int = 1

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch."""
        return -(-self.images // self.batch)

    @property
    def steps(self) -> int:
        """Steps of all epochs, done or not."""
        return self.epochs * self.steps_per_epoch

    def __len__(self) -> int:
        return self.steps - self.done

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        begun, inside = divmod(self.done, self.steps_per_epoch)
        for epoch in range(1 + begun, self.epochs + 1):
            order = np.random.default_rng([self.seed, epoch]).permutation(self.images)
            for start in range(inside * self.batch, self.images, self.batch):
                some = order[start : start + self.batch]
                yield [(epoch, int(i)) for i in some[self.rank :: self.ranks]]
            inside = 0
