"""Scores of a model over a manifest, all views side by side, or of masks that lie on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glnet.datasets.classes import read_classes
from glnet.datasets.manifest import Sample, read_manifest
from glnet.datasets.masks import LabelCoder, MaskScene, check_samples
from glnet.engines.models import load_engine
from glnet.engines.scoring import score_samples
from glnet.errors import DataError
from glnet.metrics import IGNORE, ConfusionMatrix
from glnet.raster import Raster


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


def evaluate(
    model: str | Path,
    manifest: str | Path,
    split: str | None = "test",
    *,
    tolerance: int = 0,
    device: str = "auto",
    precision: str = "fp32",
    tta: bool = False,
    done: Callable[[Sample], None] = lambda _: None,
) -> Evaluation:
    """Segment every image of a split and compare with its mask, in all of the model's views.

    Args:
        model: A bundle; its class table reads the masks.
        manifest: CSV with the columns image, mask, split.
        split: Which rows; None for all.
        tolerance: Largest difference per channel at which a mask's colour counts as a class's.
        device, precision, tta: See `glnet.predict`.
        done: Called after every image.

    Raises:
        GlnetError: a file, a mask's content or the model cannot be used.
    """
    samples = read_manifest(manifest, split)
    engine, table = load_engine(model, device, precision)
    coder = LabelCoder(table, tolerance)
    report = check_samples(samples, coder, engine.model.settings.bands)
    views = engine.model.settings.views
    matrices = score_samples(engine, samples, coder, views, turns=tta, done=done)
    return Evaluation(table.names, dict(matrices), len(samples), report.near)


def evaluate_masks(
    predictions: str | Path,
    manifest: str | Path,
    classes: str | Path,
    split: str | None = "test",
    *,
    tolerance: int = 0,
) -> Evaluation:
    """Compare masks on disk with the true ones; no model, no PyTorch.

    Args:
        predictions: Folder of masks named as the images, with any suffix.
        manifest, split, tolerance: See `evaluate`.
        classes: The class table of both kinds of mask.

    Raises:
        DataError: a prediction is missing, of another size, or holds an ignored or unknown class
            where the truth is labelled.
    """
    coder = LabelCoder(read_classes(classes), tolerance)
    samples = read_manifest(manifest, split)
    found = [_prediction(Path(predictions), sample) for sample in samples]
    matrix = ConfusionMatrix(len(coder.table.trained))
    near = 0
    for sample, path in zip(samples, found, strict=True):
        with Raster(sample.mask) as true, Raster(path) as predicted:
            if true.size != predicted.size:
                msg = (
                    f"{path}: the prediction is {predicted.size.height} x {predicted.size.width}, "
                    f"{sample.mask} is {true.size.height} x {true.size.width}"
                )
                raise DataError(msg)
            scene = MaskScene(true, coder)
            labels, guess = scene.read()[0], MaskScene(predicted, coder).read()[0]
        near += scene.near
        if ((guess == IGNORE) & (labels != IGNORE)).any():
            msg = f"{path}: predicts an ignored class on labelled ground"
            raise DataError(msg)
        matrix.add(labels, guess)
    return Evaluation(coder.table.names, {"masks": matrix}, len(samples), near)


def _prediction(folder: Path, sample: Sample) -> Path:
    """The one mask in a folder that is named as the image."""
    matches = sorted(path for path in folder.glob(f"{sample.image.stem}.*") if path.is_file())
    if len(matches) != 1:
        found = f"{len(matches)} files" if matches else "none"
        msg = f"{folder}: wanted one mask named {sample.image.stem}.*, found {found}"
        raise DataError(msg)
    return matches[0]
