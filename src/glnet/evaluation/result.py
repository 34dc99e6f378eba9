"""What an evaluation found."""

from dataclasses import asdict, dataclass, field
from typing import Literal

import numpy as np

from glnet.boxes import PatchCount
from glnet.datasets.classes import ClassTable
from glnet.metrics import (
    DRAWS,
    LEVEL,
    SEED,
    BoundaryCounts,
    Calibration,
    ConfusionMatrix,
    Interval,
    Protocol,
    Scores,
)
from glnet.metrics.bootstrap import (
    defined_interval,
    image_means,
    interval,
    set_ious,
    set_mean_ious,
    summed_by,
)
from glnet.metrics.confusion import ious, scores_of

#: Scores of a class that have an interval.
_KINDS: tuple[Literal["iou", "f1"], ...] = ("iou", "f1")


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
        groups: Of every image the manifest's group, or ""; empty where it has none: intervals are
            over groups.
        calibrations: How often every confidence is right, by view; empty where it was not asked.
    """

    table: ClassTable
    protocol: Protocol
    images: tuple[str, ...]
    pairs: dict[str, np.ndarray]
    boundaries: dict[str, BoundaryCounts]
    near: int
    patches: PatchCount | None = None
    notes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    calibrations: dict[str, Calibration] = field(default_factory=dict)

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
        """Bootstrap interval of the set's mean IoU; None with fewer than two images or groups."""
        pairs = self.drawn_pairs(~np.isnan(self.image_mean_ious(view)), view)
        if len(pairs) < 2:  # noqa: PLR2004  one image has no spread
            return None
        return interval(set_mean_ious(pairs, self.protocol))

    def class_intervals(
        self, kind: Literal["iou", "f1"], view: str | None = None
    ) -> list[Interval | None]:
        """Bootstrap interval of every class's score, over the sets that have the class."""
        pairs = self.drawn_pairs(~np.isnan(self.image_mean_ious(view)), view)
        if len(pairs) < 2:  # noqa: PLR2004  one image has no spread
            return [None] * len(self.names)
        drawn = set_ious(pairs, self.protocol)
        if kind == "f1":
            drawn = 2 * drawn / (1 + drawn)
        return [defined_interval(own) for own in drawn.T]

    def drawn_pairs(self, kept: np.ndarray, view: str | None = None) -> np.ndarray:
        """The matrices that a bootstrap draws from: of the kept images, one for each or a group."""
        return summed_by(self.groups_of(kept), self.pairs[view or self.view][kept])

    @property
    def group_count(self) -> int:
        """How many groups there are; an image without one is one by itself."""
        return len(summed_by(self.groups, np.zeros(len(self.images))))

    def groups_of(self, kept: np.ndarray) -> list[str]:
        """The groups of the kept images, boolean (images,); nothing where there are none."""
        return [group for group, its in zip(self.groups, kept, strict=False) if its]

    def image_mean_ious(self, view: str | None = None) -> np.ndarray:
        """Mean IoU of every image by itself; NaN where nothing of it is counted."""
        return self.protocol.image_mean(ious(self.pairs[view or self.view], self.protocol))

    def mean_image_iou(self, view: str | None = None) -> tuple[float, Interval | None]:
        """The mean over images of their own mean IoU, and its bootstrap interval."""
        values = self.image_mean_ious(view)
        kept = ~np.isnan(values)
        values, groups = values[kept], self.groups_of(kept)
        if not values.size:
            return float("nan"), None
        several = len(summed_by(groups, values)) > 1
        return float(values.mean()), interval(image_means(values, groups)) if several else None

    def rows(self) -> list[dict[str, object]]:
        """One row per image and view, for a table; None where a score is not defined."""
        return [
            {"image": image, **self.group_of(i), "view": view, **self._row(pairs[i])}
            for i, image in enumerate(self.images)
            for view, pairs in self.pairs.items()
        ]

    def group_of(self, i: int) -> dict[str, object]:
        """Of an image, as a cell of its row; nothing where the manifest has no groups."""
        return {"group": self.groups[i]} if self.groups else {}

    def _row(self, pairs: np.ndarray) -> dict[str, object]:
        scores = scores_of(pairs, self.protocol, of_image=True)
        return {
            "labelled_pixels": plain(self.protocol.known(scores.pixels).sum()),
            "accuracy": plain(scores.accuracy),
            "mean_iou": plain(scores.mean_iou),
            "mean_f1": plain(scores.mean_f1),
            **{f"iou_{name}": plain(scores.iou[i]) for i, name in enumerate(self.names)},
            **{f"f1_{name}": plain(scores.f1[i]) for i, name in enumerate(self.names)},
        }

    def as_dict(self) -> dict[str, object]:
        """For programs: plain numbers, shares in [0, 1], None where a score is not defined."""
        return {
            "images": len(self.images),
            "groups": self.group_count,
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
        calibration = self.calibrations.get(view)
        if calibration is not None:
            means["calibration_error"] = calibration.error()
        intervals = {f"{kind}_interval": self.class_intervals(kind, view) for kind in _KINDS}
        return {
            **{name: plain(value) for name, value in means.items()},
            "accuracy": plain(scores.accuracy),
            "mean_iou_interval": self.mean_iou_interval(view),
            "mean_image_iou": plain(mean_image_iou),
            "mean_image_iou_interval": spread,
            "classes": {
                name: {
                    **{column: plain(values[i]) for column, values in columns.items()},
                    **{column: own[i] for column, own in intervals.items()},
                }
                for i, name in enumerate(self.names)
            },
            "confusion": matrix.counts.tolist(),
            "predicted_on_ignored": matrix.ignored.tolist(),
            "not_predicted": matrix.missed.tolist(),
            **({"calibration": calibration.as_dicts()} if calibration else {}),
        }


def plain(value: float | np.generic) -> float | int | None:
    """A number as Python's own; None for NaN, which neither JSON nor a table knows."""
    number = value.item() if isinstance(value, np.generic) else value
    return None if number != number else number  # noqa: PLR0124  NaN alone differs from itself
