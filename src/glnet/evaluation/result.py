"""What an evaluation found."""

from dataclasses import asdict, dataclass

import numpy as np

from glnet.boxes import PatchCount
from glnet.datasets.classes import ClassTable
from glnet.metrics import (
    DRAWS,
    LEVEL,
    SEED,
    BoundaryCounts,
    ConfusionMatrix,
    Interval,
    Protocol,
    Scores,
)
from glnet.metrics.bootstrap import image_means, interval, set_mean_ious
from glnet.metrics.confusion import ious, scores_of


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What was measured.

    Attributes:
        table: The classes.
        protocol: What was done with unknown ground.
        images: Names of what was counted.
        pairs: One confusion matrix per image, by view (`masks` for masks from disk), the default
            view first; shape (images, classes + 1, classes + 1), see `ConfusionMatrix.pairs`.
        boundaries: Boundaries of the whole set, by view; empty where they were not asked for.
        near: Pixels of the true masks that were near-colours, within the tolerance.
        patches: How many the local branch saw; None for masks from disk.
        notes: Sentences about what was evaluated.
    """

    table: ClassTable
    protocol: Protocol
    images: tuple[str, ...]
    pairs: dict[str, np.ndarray]
    boundaries: dict[str, BoundaryCounts]
    near: int
    patches: PatchCount | None = None
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Of the classes."""
        return self.table.names

    @property
    def view(self) -> str:
        """The default view."""
        return next(iter(self.pairs))

    @property
    def matrices(self) -> dict[str, ConfusionMatrix]:
        """The whole set's confusion matrix of every view."""
        out = {}
        for view, pairs in self.pairs.items():
            out[view] = ConfusionMatrix(len(self.names))
            out[view].pairs[:, : pairs.shape[-1]] += pairs.sum(axis=0)
        return out

    def scores(self, view: str | None = None) -> Scores:
        """The whole set's scores by the protocol, of a view or of the default one."""
        return self.matrices[view or self.view].scores(self.protocol)

    def boundary_iou(self, view: str | None = None) -> np.ndarray | None:
        """Boundary IoU of every class; None where boundaries were not asked for."""
        counts = self.boundaries.get(view or self.view)
        return None if counts is None else counts.iou(self.protocol)

    def mean_iou_interval(self, view: str | None = None) -> Interval | None:
        """Bootstrap interval of the set's mean IoU; None with fewer than two labelled images."""
        kept = ~np.isnan(self.image_mean_ious(view))
        if kept.sum() < 2:  # noqa: PLR2004  one image has no spread
            return None
        return interval(set_mean_ious(self.pairs[view or self.view][kept], self.protocol))

    def image_mean_ious(self, view: str | None = None) -> np.ndarray:
        """Mean IoU of every image by itself; NaN where nothing of it is counted."""
        return self.protocol.image_mean(ious(self.pairs[view or self.view], self.protocol))

    def mean_image_iou(self, view: str | None = None) -> tuple[float, Interval | None]:
        """The mean over images of their own mean IoU, and its bootstrap interval."""
        values = self.image_mean_ious(view)
        values = values[~np.isnan(values)]
        if not values.size:
            return float("nan"), None
        spread = interval(image_means(values)) if values.size > 1 else None
        return float(values.mean()), spread

    def rows(self) -> list[dict[str, object]]:
        """One row per image and view, for a table; None where a score is not defined."""
        return [
            self._row(image, view, pairs[i])
            for i, image in enumerate(self.images)
            for view, pairs in self.pairs.items()
        ]

    def _row(self, image: str, view: str, pairs: np.ndarray) -> dict[str, object]:
        scores = scores_of(pairs, self.protocol, of_image=True)
        return {
            "image": image,
            "view": view,
            "labelled_pixels": plain(self.protocol.known(scores.pixels).sum()),
            "accuracy": plain(scores.accuracy),
            "mean_iou": plain(scores.mean_iou),
            "mean_f1": plain(scores.mean_f1),
            **{f"iou_{name}": plain(scores.iou[i]) for i, name in enumerate(self.names)},
        }

    def as_dict(self) -> dict[str, object]:
        """For programs: plain numbers, shares in [0, 1], None where a score is not defined."""
        return {
            "images": len(self.images),
            "near_colour_pixels": self.near,
            "patches": asdict(self.patches) if self.patches else None,
            "notes": self.notes,
            "protocol": self.protocol.name,
            "unknown": self.unknown,
            "bootstrap": {"draws": DRAWS, "seed": SEED, "level": LEVEL},
            "views": {view: self._view(view) for view in self.pairs},
        }

    @property
    def unknown(self) -> list[str]:
        """Classes that the means leave out: what the table ignores, and a trained unknown."""
        trained = [self.names[i] for i in self.protocol.unknown]
        return [row.name for row in self.table.rows if row.ignored or row.name in trained]

    def _view(self, view: str) -> dict[str, object]:
        matrix, scores = self.matrices[view], self.scores(view)
        mean_image_iou, spread = self.mean_image_iou(view)
        columns = {kind: getattr(scores, kind) for kind in ("iou", "f1", "recall", "precision")}
        boundary = self.boundary_iou(view)
        means = {"mean_iou": scores.mean_iou, "mean_f1": scores.mean_f1}
        if boundary is not None:
            columns["boundary_iou"] = boundary
            means["mean_boundary_iou"] = float(self.protocol.mean(boundary))
        columns["pixels"] = scores.pixels
        return {
            **{name: plain(value) for name, value in means.items()},
            "accuracy": plain(scores.accuracy),
            "mean_iou_interval": self.mean_iou_interval(view),
            "mean_image_iou": plain(mean_image_iou),
            "mean_image_iou_interval": spread,
            "classes": {
                name: {column: plain(values[i]) for column, values in columns.items()}
                for i, name in enumerate(self.names)
            },
            "confusion": matrix.counts.tolist(),
            "predicted_on_ignored": matrix.ignored.tolist(),
            "not_predicted": matrix.missed.tolist(),
        }


def plain(value: float | np.generic) -> float | int | None:
    """A number as Python's own; None for NaN, which neither JSON nor a table knows."""
    number = value.item() if isinstance(value, np.generic) else value
    return None if number != number else number  # noqa: PLR0124  NaN alone differs from itself
