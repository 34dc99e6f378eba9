"""The confusion matrix, added up image by image, and the scores that are read off it."""

from dataclasses import dataclass

import numpy as np

from glnet.metrics.protocol import IGNORE, Protocol, ratio

#: Pixels counted at a time: NumPy counts 8-byte integers, the images hold single bytes.
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Scores:
    """Per-class and mean scores, in [0, 1]; NaN where there is nothing to divide by.

    Attributes:
        iou, f1, recall, precision: Of every class. F1 is the same number as Dice.
        pixels: Counted ground of every class.
        predicted: Pixels that were predicted as every class, on counted ground.
        accuracy: Share of the counted ground that is right.
        mean_iou, mean_f1: Over the classes that the protocol takes.
    """

    iou: np.ndarray
    f1: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    pixels: np.ndarray
    predicted: np.ndarray
    accuracy: float
    mean_iou: float
    mean_f1: float


class ConfusionMatrix:
    """Counts of (label, prediction) pairs over any number of images.

    One matrix over the whole set, not a mean over images: the convention of the paper's tables.

    Attributes:
        classes: How many there are.
        pairs: Shape (classes + 1, classes + 1): `pairs[label, prediction]`; in the last row what is
            predicted on ignored ground, in the last column ground of which nothing is predicted.
    """

    def __init__(self, classes: int) -> None:
        """Start with nothing counted."""
        self.classes = classes
        self.pairs = np.zeros((classes + 1, classes + 1), np.int64)

    @property
    def counts(self) -> np.ndarray:
        """Labelled ground alone, shape (classes, classes): `counts[label, prediction]`."""
        return self.pairs[: self.classes, : self.classes]

    @property
    def ignored(self) -> np.ndarray:
        """What is predicted on ignored ground, pixels per class."""
        return self.pairs[self.classes, : self.classes]

    @property
    def missed(self) -> np.ndarray:
        """Labelled ground of which nothing is predicted, pixels per class."""
        return self.pairs[: self.classes, self.classes]

    def add(self, labels: np.ndarray, prediction: np.ndarray) -> None:
        """Count one image or a part of one; both uint8, of one shape.

        Where a prediction is `IGNORE`, labelled ground is missed: it is wrong, and no class's false
        positive. On ignored ground a prediction may be of no class; it is then counted nowhere.

        Raises:
            ValueError: shapes differ, or a pixel of labelled ground has a class that does not
                exist; nothing is counted then.
        """
        if labels.shape != prediction.shape:
            msg = f"labels are {labels.shape}, the prediction is {prediction.shape}"
            raise ValueError(msg)
        counts = np.zeros((256, 256), np.int64)
        truth, found = labels.ravel(), prediction.ravel()
        for start in range(0, truth.size, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            both = np.uint16(256) * truth[chunk] | found[chunk]
            counts += np.bincount(both, minlength=counts.size).reshape(counts.shape)
        self.pairs += self._pairs(counts)

    def _pairs(self, counts: np.ndarray) -> np.ndarray:
        """As `pairs`, of how often every byte met every byte, shape (256, 256)."""
        n = self.classes
        for odd in (counts[n:IGNORE].any(axis=1), counts[:IGNORE, n:IGNORE].any(axis=0)):
            if odd.any():
                msg = f"class {n + odd.argmax()} does not exist; there are {n}"
                raise ValueError(msg)
        kept = [*range(n), IGNORE]
        pairs = counts[np.ix_(kept, kept)]
        pairs[n, n] = 0
        return pairs

    def scores(self, protocol: Protocol = Protocol()) -> Scores:  # noqa: B008  it is frozen
        """IoU, F1, recall and precision per class, their means, and the share that is right.

        Args:
            protocol: What is done with unknown ground. By default ignored ground is not counted
                and every trained class is one of the mean's.
        """
        return scores_of(self.pairs, protocol)


def scores_of(pairs: np.ndarray, protocol: Protocol, *, of_image: bool = False) -> Scores:
    """The scores of counted pairs, shape (classes + 1, classes + 1).

    Args:
        pairs: As a `ConfusionMatrix` has them; the last column may be missing.
        protocol: What is done with unknown ground.
        of_image: The pairs are one image's; see `Protocol.image_mean`.
    """
    hits, truth, found = _sums(pairs, protocol)
    mean = protocol.image_mean if of_image else protocol.mean
    iou, f1 = ratio(hits, truth + found - hits), ratio(2 * hits, truth + found)
    unknown = pairs[-1].sum() if protocol.counts_unknown else 0
    return Scores(
        iou=iou,
        f1=f1,
        recall=ratio(hits, truth),
        precision=ratio(hits, found),
        pixels=truth,
        predicted=found,
        accuracy=float(ratio(hits.sum(), truth.sum() + unknown)),
        mean_iou=float(mean(iou)),
        mean_f1=float(mean(f1)),
    )


def ious(pairs: np.ndarray, protocol: Protocol) -> np.ndarray:
    """IoU of every class, shape (..., classes), of many matrices as `scores_of` takes them."""
    hits, truth, found = _sums(pairs, protocol)
    return ratio(hits, truth + found - hits)


def _sums(pairs: np.ndarray, protocol: Protocol) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of every class that are right, true, and predicted on counted ground."""
    unknown = list(protocol.unknown)
    if not protocol.counts_unknown:
        pairs = pairs.copy()
        pairs[..., [*unknown, -1], :] = 0
    truth = pairs[..., :-1, :].sum(axis=-1)
    found = pairs.sum(axis=-2)[..., : truth.shape[-1]]
    hits = np.diagonal(pairs[..., :-1, :], axis1=-2, axis2=-1)
    if not protocol.counts_unknown:
        # Misses of other classes, and no score of its own.
        found[..., unknown] = 0
    return hits, truth, found
