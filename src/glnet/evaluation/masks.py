"""Predicted masks on disk against true ones: no model, no PyTorch."""

from pathlib import Path

from glnet.datasets.classes import read_classes
from glnet.datasets.manifest import Sample, read_manifest
from glnet.datasets.masks import LabelCoder, MaskScene
from glnet.errors import DataError
from glnet.evaluation.result import Evaluation
from glnet.evaluation.tally import Tally
from glnet.metrics import IGNORE, ProtocolName
from glnet.raster import Raster


def evaluate_masks(
    predictions: str | Path,
    manifest: str | Path,
    classes: str | Path,
    split: str | None = "test",
    *,
    protocol: ProtocolName = "ignore",
    boundary: bool = False,
    tolerance: int = 0,
) -> Evaluation:
    """Compare masks on disk with the true ones; no model, no PyTorch.

    Args:
        predictions: Folder of masks named as the images, with any suffix.
        manifest, split, protocol, boundary, tolerance: See `evaluate`.
        classes: The class table of both kinds of mask.

    Raises:
        DataError: a prediction is missing, of another size, or holds an ignored or unknown class
            where the truth is labelled.
    """
    coder = LabelCoder(read_classes(classes), tolerance)
    samples = read_manifest(manifest, split, files=("mask",))
    found = [_prediction(Path(predictions), sample) for sample in samples]
    tally = Tally(coder.table, ["masks"], protocol, boundary=boundary)
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
            msg = f"{path}: predicts an ignored class on labelled ground; to count that as a miss, "
            raise DataError(msg + "call the class unknown and not ignored in the class table")
        tally.add(sample, labels, {"masks": guess})
    return tally.evaluation(near)


def _prediction(folder: Path, sample: Sample) -> Path:
    """The one mask in a folder that is named as the image."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    matches = [path for path in files if path.stem == sample.image.stem and path.is_file()]
    if len(matches) != 1:
        found = f"{len(matches)} files" if matches else "none"
        msg = f"{folder}: wanted one mask named {sample.image.stem}.*, found {found}"
        raise DataError(msg)
    return matches[0]
