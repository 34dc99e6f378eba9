"""The confusion matrix, added up image by image, and the scores that are read off it."""

from dataclasses import dataclass

import numpy as np

#: Label of pixels that are neither trained nor counted.
IGNORE = 255


@dataclass(frozen=True, slots=True)
class Scores:
    """Per-class and mean scores, in [0, 1]; a class that neither occurs nor is predicted is NaN."""

    iou: np.ndarray
    f1: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    pixels: np.ndarray
    accuracy: float

    @property
    def mean_iou(self) -> float:
        """Mean over the classes that occur or are predicted; NaN where there is none."""
        return _mean(self.iou)

    @property
    def mean_f1(self) -> float:
        """Mean F1 over the same classes."""
        return _mean(self.f1)


class ConfusionMatrix:
    """Counts of (label, prediction) pairs over any number of images; `counts[label, prediction]`.

    One matrix over the whole set, not a mean over images: the convention of the paper's tables.
    """

    def __init__(self, classes: int) -> None:
        """Start with nothing counted."""
        self.classes = classes
        self.counts = np.zeros((classes, classes), np.int64)

    def add(self, labels: np.ndarray, prediction: np.ndarray) -> None:
        """Count one image or a part of one; both of one shape, `IGNORE` labels are left out.

        Raises:
            ValueError: shapes differ, or a counted pixel has a class that does not exist.
        """
        if labels.shape != prediction.shape:
            msg = f"labels are {labels.shape}, the prediction is {prediction.shape}"
            raise ValueError(msg)
        counted = labels != IGNORE
        truth, found = (array[counted].astype(np.int64) for array in (labels, prediction))
        for classes in (truth, found):
            if classes.size and not 0 <= classes.min() <= classes.max() < self.classes:
                msg = f"classes {classes.min()} to {classes.max()}; there are {self.classes}"
                raise ValueError(msg)
        pairs = np.bincount(truth * self.classes + found, minlength=self.classes**2)
        self.counts += pairs.reshape(self.classes, self.classes)

    def scores(self) -> Scores:
        """IoU, F1, recall and precision per class, and the share of pixels that are right."""
        hits = np.diag(self.counts).astype(float)
        truth, found = self.counts.sum(axis=1), self.counts.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return Scores(
                iou=hits / (truth + found - hits),
                f1=2 * hits / (truth + found),
                recall=hits / truth,
                precision=hits / found,
                pixels=truth,
                accuracy=float(hits.sum() / truth.sum()) if truth.any() else float("nan"),
            )


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
