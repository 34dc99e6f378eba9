"""What is read of the data before anything is chosen: exact sums, strip by strip."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.datasets.samples import open_labels, window_in
from glnet.errors import DataError
from glnet.geometry import Size, Window, scene_grid, tiles
from glnet.planning.labels import SHRINKS, STRIP, count_labels
from glnet.raster import Raster, means
from glnet.recipe import InputSettings, ModelSettings

#: Of the values' magnitudes, the share below the scale that is proposed for other than 8 bit.
HIGH = 0.999

#: Values kept per image, evenly spread over each strip, to find that scale.
_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and sum of squared deviations per band, in float64; sums of parts are exact."""

    count: int
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, pixels: np.ndarray) -> Self:
        """Of pixels (bands, pixels)."""
        mean = means(pixels, None)
        # One band at a time: float64 is eight times the size of bytes.
        squares = [float(np.square(band - m).sum()) for band, m in zip(pixels, mean, strict=True)]
        return cls(pixels.shape[1], mean, np.array(squares))

    def plus(self, other: "Moments") -> "Moments":
        """Of both together: the pairwise update, which loses no digits to large sums."""
        count = self.count + other.count
        if not count:
            return self
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.count / count)
        between = shift**2 * (self.count * other.count / count)
        return Moments(count, mean, self.squares + other.squares + between)

    @property
    def deviation(self) -> np.ndarray:
        """Population standard deviation per band."""
        return np.asarray(np.sqrt(self.squares / self.count))


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """One image and its mask, measured.

    Attributes:
        size, bands, dtype: Of the image.
        moments: Of its stored values, where it has data.
        magnitudes: Some of its absolute values there.
        pixels, ignored, kept: See `LabelCounts`.
        seconds: To read and decode both files.
        left_out: Bands that the file calls alpha.
    """

    size: Size
    bands: int
    dtype: str
    moments: Moments
    magnitudes: np.ndarray
    pixels: np.ndarray
    ignored: int
    kept: np.ndarray
    seconds: float
    left_out: int = 0


def measure(
    samples: Sequence[Sample],
    coder: LabelCoder,
    progress: Callable[[int, int], object] = lambda _, __: None,
) -> list[ImageFacts]:
    """Read every image and every mask once.

    Args:
        samples: What to read.
        coder: Turns masks into labels.
        progress: Told after every sample how many are done, and of how many.

    Raises:
        GlnetError: a file that cannot be read, an image and a mask of two sizes, images of two
            kinds, or a mask that holds what is no class.
    """
    facts: list[ImageFacts] = []
    for sample in samples:
        facts.append(_measured(sample, coder))
        kinds = [(own.bands, own.dtype) for own in (facts[0], facts[-1])]
        if kinds[0] != kinds[1]:
            shown = [f"{bands} bands of {dtype}" for bands, dtype in kinds]
            msg = (
                f"{sample.image}: holds {shown[1]}, {samples[0].image} {shown[0]}; a model takes "
                "one kind of image, move the others out"
            )
            raise DataError(msg)
        progress(len(facts), len(samples))
    return facts


def _measured(sample: Sample, coder: LabelCoder) -> ImageFacts:
    with Raster(sample.image) as image, open_labels(sample, image, coder) as labels:
        # Any range of values will do here: the recipe's is not known yet.
        image.expect(ModelSettings(bands=image.bands, input=InputSettings(scale=1)))
        own = window_in(sample, image)
        moments, magnitudes, seconds = _measured_image(image, own)
        counts = count_labels(labels, len(coder.table.trained))
        return ImageFacts(
            own.size, image.bands, str(image.dtype), moments, magnitudes, counts.pixels,
            counts.ignored, counts.kept, seconds + counts.seconds, image.left_out,
        )  # fmt: skip


def _measured_image(image: Raster, own: Window) -> tuple[Moments, np.ndarray, float]:
    moments: Moments | None = None
    kept: list[np.ndarray] = []
    every = max(1, image.bands * own.size.area // _KEPT)
    while math.gcd(every, own.width) > 1:  # or all of them would lie in the same columns
        every += 1
    seconds = 0.0
    for strip in tiles(own.size, STRIP):
        began = time.perf_counter()
        pixels, valid = image.read_valid(own.within(strip))
        seconds += time.perf_counter() - began
        known = pixels.reshape(image.bands, -1) if valid is None else pixels[:, valid]
        added = Moments.of(known)
        moments = added if moments is None else moments.plus(added)
        kept.append(np.abs(known.reshape(-1)[::every].astype(np.float64)))
    assert moments is not None  # noqa: S101  every image has a strip
    return moments, np.concatenate(kept), seconds


@dataclass(frozen=True)
class Facts:
    """What choices are made from: the training images together, and counts of the rest.

    Attributes:
        sizes: Of the training images.
        bands, dtype: Of all images.
        mean, deviation: Per band, of stored values.
        high: The value below which `HIGH` of the magnitudes lie.
        names: Of the classes.
        pixels: Labelled pixels per class.
        kept: By how often masks are shrunk along a side: the least IoU of a class between them and
            themselves, enlarged again.
        validation: Number of validation images.
        seconds: Mean time to read an image and its mask.
    """

    sizes: tuple[Size, ...]
    bands: int
    dtype: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    high: float
    names: tuple[str, ...]
    pixels: tuple[int, ...]
    kept: Mapping[int, float]
    validation: int
    seconds: float

    @property
    def images(self) -> int:
        """Number of training images."""
        return len(self.sizes)

    @property
    def largest_bytes(self) -> int:
        """Of the pixels of the largest image."""
        most = max(size.area for size in self.sizes)
        return most * self.bands * np.dtype(self.dtype).itemsize

    def in_scenes(self, side: int | None) -> "Facts":
        """With longer images cut into scenes, as training cuts them."""
        if side is None:
            return self
        sizes = [part.size for size in self.sizes for part in scene_grid(size, side)]
        validation = round(self.validation * len(sizes) / len(self.sizes))
        return replace(self, sizes=tuple(sizes), validation=validation)

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each class in the labelled pixels."""
        total = sum(self.pixels)
        return tuple(count / total for count in self.pixels)


def gather(images: Sequence[ImageFacts], splits: Sequence[str], names: Sequence[str]) -> Facts:
    """The facts of the training images; nothing of validation and test but their number.

    Raises:
        DataError: no training image, or none with a labelled pixel.
    """
    train = [own for own, split in zip(images, splits, strict=True) if split == "train"]
    if not train:
        found = ", ".join(sorted(set(splits)))
        msg = f"no image is in the split 'train'; the splits found are: {found}"
        raise DataError(msg)
    pixels = np.sum([own.pixels for own in train], axis=0)
    if not pixels.any():
        msg = "all pixels of the training images are ignored; label some, or change the class table"
        raise DataError(msg)
    moments = train[0].moments
    for own in train[1:]:
        moments = moments.plus(own.moments)
    return Facts(
        tuple(own.size for own in train),
        train[0].bands,
        train[0].dtype,
        tuple(moments.mean.tolist()),
        tuple(moments.deviation.tolist()),
        float(np.quantile(np.concatenate([own.magnitudes for own in train]), HIGH)),
        tuple(names),
        tuple(pixels.tolist()),
        _least_kept(np.sum([own.kept for own in train], axis=0)),
        sum(split == "validation" for split in splits),
        sum(own.seconds for own in images) / len(images),
    )


def _least_kept(kept: np.ndarray) -> dict[int, float]:
    """See `Facts`, from `LabelCounts.kept` of all masks; a class that occurs nowhere has none."""
    return {
        factor: min(
            (float(s / either) for s, either in zip(*both, strict=True) if either), default=1.0
        )
        for factor, both in zip(SHRINKS, kept, strict=True)
    }
