"""Small pictures of the images that score lowest and highest, kept while others are evaluated."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glnet.datasets.manifest import Sample
from glnet.geometry import Size, Window
from glnet.metrics import IGNORE

#: Of a picture, in pixels; smaller images stay as they are.
LONG_SIDE = 480

#: How many images are shown of the lowest, and of the highest.
EACH = 4


@dataclass(frozen=True, slots=True)
class Picture:
    """What was true and what was predicted of an image, small.

    Attributes:
        image: The file.
        extent: The part of it that was evaluated: a box around all samples.
        labels, prediction: uint8, shape (rows, columns): of every cell the pixel at its middle;
            `IGNORE` where nothing was evaluated.
    """

    image: Path
    extent: Window
    labels: np.ndarray
    prediction: np.ndarray

    @classmethod
    def blank(cls, image: Path, extent: Window) -> "Picture":
        """A picture that nothing was painted into."""
        return cls(image, extent, *np.full((2, *cells_of(extent.size)), IGNORE, np.uint8))

    def paint(self, place: Window, labels: np.ndarray, prediction: np.ndarray) -> None:
        """Take what is known of a part of the image.

        Args:
            place: The part, inside the extent.
            labels, prediction: All of its pixels, uint8, shape (height, width).
        """
        rows = _middles(*self.extent.rows, self.labels.shape[0])
        columns = _middles(*self.extent.columns, self.labels.shape[1])
        inside = [
            np.flatnonzero((middles >= start) & (middles < start + length))
            for middles, (start, length) in ((rows, place.rows), (columns, place.columns))
        ]
        picked = np.ix_(rows[inside[0]] - place.top, columns[inside[1]] - place.left)
        self.labels[np.ix_(*inside)] = labels[picked]
        self.prediction[np.ix_(*inside)] = prediction[picked]


class Gallery:
    """Keeps a picture of every image that is not finished, and of the lowest and highest ones.

    Of equal scores the image that was finished first counts as the lower one. Images without a
    score are not kept.
    """

    def __init__(self) -> None:
        """Start with no picture."""
        self._left: Counter[Path] = Counter()
        self._extents: dict[Path, Window | None] = {}
        self._open: dict[Path, Picture] = {}
        self._kept: list[tuple[float, int, Picture]] = []
        self._finished = 0

    def begin(self, samples: Sequence[Sample]) -> None:
        """Learn which samples are coming, so that an image is known to be finished."""
        self._left = Counter(sample.image for sample in samples)
        for sample in samples:
            self._extents[sample.image] = _around(
                self._extents.get(sample.image, sample.window), sample.window
            )

    def paint(
        self, sample: Sample, size: Size, part: Window, labels: np.ndarray, prediction: np.ndarray
    ) -> None:
        """Take a part of a sample.

        Args:
            sample: One of those that were announced.
            size: Of the sample.
            part: A window in it.
            labels, prediction: Of the part, uint8, shape (height, width).
        """
        extent = self._extents[sample.image]
        if extent is None and sample.window is not None:
            return  # the whole image is another sample
        whole = sample.window or Window(0, 0, *size)
        if sample.image not in self._open:
            self._open[sample.image] = Picture.blank(sample.image, extent or whole)
        self._open[sample.image].paint(whole.within(part), labels, prediction)

    def finish(self, sample: Sample, score: float) -> None:
        """A sample is through; after the last one of an image its score decides what is kept."""
        self._left[sample.image] -= 1
        if self._left[sample.image]:
            return
        self._keep(score, self._open.pop(sample.image))

    def _keep(self, score: float, picture: Picture) -> None:
        if np.isnan(score):
            return
        self._kept.append((score, self._finished, picture))
        self._finished += 1
        self._kept.sort(key=lambda kept: kept[:2])
        if len(self._kept) > 2 * EACH:
            del self._kept[EACH]

    @property
    def lowest(self) -> list[tuple[float, Picture]]:
        """Scores and pictures, the lowest first: half of the images at the most."""
        return [(score, picture) for score, _, picture in self._kept[: self._half]]

    @property
    def highest(self) -> list[tuple[float, Picture]]:
        """The same from the other end; no image is in both."""
        kept = self._kept[self._half :]
        return [(score, picture) for score, _, picture in reversed(kept)]

    @property
    def _half(self) -> int:
        return (len(self._kept) + 1) // 2


def cells_of(size: Size) -> Size:
    """The size of a picture."""
    step = max(1.0, max(size) / LONG_SIDE)
    return Size(*(max(1, round(side / step)) for side in size))


def _middles(start: int, length: int, cells: int) -> np.ndarray:
    """The pixel at the middle of each of `cells` equal cells."""
    return start + (2 * np.arange(cells) + 1) * length // (2 * cells)


def _around(one: Window | None, other: Window | None) -> Window | None:
    """The box around two parts of an image; None is all of it."""
    if one is None or other is None:
        return None
    top, left = min(one.top, other.top), min(one.left, other.left)
    bottom, right = max(one.bottom, other.bottom), max(one.right, other.right)
    return Window(top, left, bottom - top, right - left)
