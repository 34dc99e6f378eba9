"""Predicted masks on disk against true ones: no model, no PyTorch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import numpy as np

from glnet.datasets.checks import note_apart
from glnet.datasets.classes import read_classes
from glnet.datasets.images import ImageScene
from glnet.datasets.manifest import Sample, read_manifest
from glnet.datasets.masks import LabelCoder, MaskScene, check_confidence, check_size
from glnet.datasets.samples import lay_labels, window_in
from glnet.datasets.vectors import VECTOR_SUFFIXES
from glnet.errors import DataError, RasterError
from glnet.evaluation.observer import Observer
from glnet.evaluation.result import Evaluation
from glnet.evaluation.tally import Tally
from glnet.geometry import Window, scene_grid
from glnet.metrics import IGNORE, ProtocolName
from glnet.outputs.rasters import MASK_SUFFIXES
from glnet.raster import Raster

#: Side of what is compared at a time, in pixels: masks may be of any size.
_PART = 4096


def evaluate_masks(  # noqa: PLR0913  each by its name
    predictions: str | Path,
    manifest: str | Path,
    classes: str | Path,
    split: str | None = "test",
    *,
    protocol: ProtocolName = "ignore",
    boundary: bool = False,
    calibration: bool = False,
    tolerance: int = 0,
    progress: Callable[[int, int], object] = lambda _, __: None,
    observer: Observer | None = None,
) -> Evaluation:
    """Compare masks on disk with the true ones; no model, no PyTorch.

    Where a predicted mask says nothing, by its nodata or by a class that the table ignores, ground
    of a known class is missed. Where the manifest's images can be read, and have no data, nothing
    is counted.

    Args:
        predictions: Folder of masks named as the images, with any suffix.
        manifest, split, protocol, boundary, tolerance: See `evaluate`.
        classes: The class table of both kinds of mask.
        calibration: How often every confidence is right too; beside every NAME.tif lies its
            NAME.confidence.tif, as `glnet predict --also confidence` leaves it.
        progress: Told how many are done, and of how many.
        observer: Sees every part that is compared.

    Raises:
        DataError: a prediction or its confidence is missing, of another size, or holds a value
            that is no class.
    """
    coder = LabelCoder(read_classes(classes), tolerance)
    tally = Tally(coder.table, ["masks"], protocol, boundary=boundary, calibration=calibration)
    samples = read_manifest(manifest, split, once=True, files=("mask",))
    found = _predictions(Path(predictions), samples)
    beside = _confidences(found) if calibration else [None] * len(found)
    near, apart = 0, dict[Path, Path]()
    if observer is not None:
        observer.begin(samples)
    for done, (sample, path, sure) in enumerate(zip(samples, found, beside, strict=True), start=1):
        # Polygons lie on the image; its mask as a PNG has no georeference.
        onto = sample.image if sample.mask.suffix.lower() in VECTOR_SUFFIXES else path
        with (
            Raster(path) as predicted,
            Raster(onto) as ground,
            lay_labels(sample, ground, coder) as true,
            _opened(sample.image) as image,
            _reading(sure, sample, ground) as confidence,
        ):
            check_size(predicted, ground)
            guessed = MaskScene(predicted, coder, sample.window)
            seen = None
            if image is not None and image.size == ground.size:
                seen = ImageScene(image, window_in(sample, image))
            # A boundary is a boundary of the whole: parts would have edges of their own.
            for part in scene_grid(true.size, max(true.size) if boundary else _PART):
                labels, guess = true.read(part)[0], guessed.read(part)[0]
                steps = confidence(part)
                valid = None if seen is None else seen.valid(part)
                if valid is not None:
                    for told in (labels, guess, *steps.values()):
                        told[~valid] = IGNORE
                tally.add(sample, labels, {"masks": guess}, steps)
                if observer is not None:
                    observer.see(sample, labels, guess, true.size, part)
            near += true.near
            if true.apart:
                apart.setdefault(sample.mask, Path(onto))
        if observer is not None:
            observer.finish(sample, tally.image_mean_iou(sample))
        progress(done, len(samples))
    return tally.evaluation(near, [*note_apart(apart)])


@contextmanager
def _reading(
    confidence: Path | None, sample: Sample, onto: Raster
) -> Iterator[Callable[[Window], dict[str, np.ndarray]]]:
    """What reads the confidence of a part of a sample, by view; nothing where there is no file."""
    if confidence is None:
        yield lambda _: {}
        return
    with Raster(confidence) as raster:
        check_confidence(raster, onto)
        whole = window_in(sample, raster)
        yield lambda part: {"masks": raster.read(whole.within(part))[0]}


def _opened(image: Path) -> AbstractContextManager[Raster | None]:
    """An image, if it is there and of a kind that we read: masks are compared without, too."""
    with suppress(RasterError):
        return Raster(image)
    return nullcontext()


def _confidences(masks: Sequence[Path]) -> list[Path]:
    """What lies beside predicted masks."""
    found = [mask.with_name(f"{mask.stem}.confidence.tif") for mask in masks]
    for mask, path in zip(masks, found, strict=True):
        if not path.is_file():
            msg = f"{mask}: wanted {path.name} beside it, "
            raise DataError(msg + "as glnet predict --also confidence leaves it")
    return found


def _predictions(folder: Path, samples: Sequence[Sample]) -> list[Path]:
    """Of every sample the one mask in a folder that is named as its image.

    Masks below it stand for images in folders of the same names, as `predict --root` leaves them.
    """
    named: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.suffix.lower() in MASK_SUFFIXES and path.is_file():
            named.setdefault(path.stem, []).append(path)
    owners: dict[Path, Path] = {}
    found = []
    for sample in samples:
        stem, parents = sample.image.stem, sample.image.absolute().parts[:-1]
        matches = [
            path
            for path in named.get(stem, [])
            if parents[len(parents) - len(own := path.relative_to(folder).parts[:-1]) :] == own
        ]
        if len(matches) != 1:
            count = f"{len(matches)} files" if matches else "none"
            msg = f"{folder}: wanted one mask named {stem}.tif or .png, found {count}"
            raise DataError(msg)
        owner = owners.setdefault(matches[0], sample.image)
        if owner != sample.image:
            msg = f"{owner} and {sample.image} have one name, {folder} one mask for both; "
            raise DataError(msg + "predict them with --root, or evaluate them by two manifests")
        found += matches
    return found
