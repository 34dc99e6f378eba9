"""Counting an evaluation's images, one after the other."""

from collections.abc import Mapping, Sequence

import numpy as np

from glnet.boxes import PatchCount
from glnet.datasets.classes import ClassTable
from glnet.datasets.manifest import Sample
from glnet.evaluation.result import Evaluation
from glnet.metrics import BoundaryCounts, Calibration, ConfusionMatrix, Protocol, ProtocolName
from glnet.metrics.confusion import ious


class Tally:
    """Adds up images; keeps one small matrix per image and view, and no image."""

    def __init__(
        self,
        table: ClassTable,
        views: Sequence[str],
        protocol: ProtocolName = "ignore",
        *,
        boundary: bool = False,
        calibration: bool = False,
    ) -> None:
        """Start with nothing counted.

        Args:
            table: The classes.
            views: What will be counted of every image, the default first.
            protocol: What is done with unknown ground.
            boundary: Count boundaries too.
            calibration: Count how often every confidence is right too.
        """
        self._table = table
        self._protocol = Protocol.of(protocol, table.names)
        self._pairs: dict[str, dict[str, np.ndarray]] = {view: {} for view in views}
        self._groups: dict[str, str] = {}
        self._patches: PatchCount | None = None
        classes = len(table.trained)
        self._boundaries = {view: BoundaryCounts(classes) for view in views if boundary}
        self._calibrations = {view: Calibration() for view in views if calibration}

    def add(
        self,
        sample: Sample,
        labels: np.ndarray,
        predictions: Mapping[str, np.ndarray],
        confidence: Mapping[str, np.ndarray] | None = None,
        patches: PatchCount | None = None,
    ) -> None:
        """Count an image, or a part of one: parts of one image add up.

        Args:
            sample: Of which image.
            labels: uint8, shape (height, width).
            predictions: Every view's, the same.
            confidence: Every view's, where that is counted: in 254th parts, the same.
            patches: How many the local branch saw, where a network predicted.
        """
        if patches is not None:
            self._patches = patches + (self._patches or PatchCount(0, 0))
        image, ground = sample.image.as_posix(), self._protocol.ground(labels)
        self._groups.setdefault(image, sample.group)
        for view, prediction in predictions.items():
            matrix = ConfusionMatrix(len(self._table.trained))
            matrix.add(labels, prediction)
            of_images = self._pairs[view]
            of_images[image] = of_images.get(image, 0) + matrix.pairs
            if view in self._boundaries:
                self._boundaries[view].add(ground, prediction)
        for view, sure in (confidence or {}).items():
            self._calibrations[view].add(ground, predictions[view], sure)

    def image_mean_iou(self, sample: Sample) -> float:
        """What was counted of a sample's image so far, in the default view; NaN for nothing."""
        pairs = next(iter(self._pairs.values()))[sample.image.as_posix()]
        return float(self._protocol.image_mean(ious(pairs, self._protocol)))

    def evaluation(self, near: int, notes: Sequence[str] = ()) -> Evaluation:
        """What was counted; `near` pixels of the true masks were near-colours."""
        images = tuple(next(iter(self._pairs.values())))
        pairs = {view: np.stack([*found.values()]) for view, found in self._pairs.items()}
        groups = tuple(self._groups.values()) if any(self._groups.values()) else ()
        return Evaluation(
            self._table, self._protocol, images, pairs, self._boundaries, near, self._patches,
            tuple(notes), groups, self._calibrations,
        )  # fmt: skip
