"""What an evaluation found."""

from dataclasses import dataclass

import numpy as np

from glnet.metrics import ConfusionMatrix


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured.

    Attributes:
        names: Of the classes.
        matrices: One per view (`masks` for masks from disk); labels down, predictions across.
        images: How many were counted.
        near: Pixels of the true masks that were near-colours, within the tolerance.
    """

    names: list[str]
    matrices: dict[str, ConfusionMatrix]
    images: int
    near: int

    def as_dict(self) -> dict[str, object]:
        """For programs: plain numbers, shares in [0, 1], None where a score is not defined."""
        views = {view: self._scores(matrix) for view, matrix in self.matrices.items()}
        return {"images": self.images, "near_colour_pixels": self.near, "views": views}

    def _scores(self, matrix: ConfusionMatrix) -> dict[str, object]:
        scores = matrix.scores()
        columns = ("iou", "f1", "recall", "precision", "pixels")
        classes = {
            name: {column: _plain(getattr(scores, column)[i]) for column in columns}
            for i, name in enumerate(self.names)
        }
        return {
            "mean_iou": _plain(scores.mean_iou),
            "mean_f1": _plain(scores.mean_f1),
            "accuracy": _plain(scores.accuracy),
            "classes": classes,
            "confusion": matrix.counts.tolist(),
        }


def _plain(value: float | np.generic) -> float | int | None:
    number = value.item() if isinstance(value, np.generic) else value
    return None if number != number else number  # noqa: PLR0124  NaN alone differs from itself
