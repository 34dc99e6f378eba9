"""What labelled images hold, and all that is wrong with them, before a run depends on it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.datasets.problems import Problems, gathering
from glnet.datasets.samples import check_extent, open_labels
from glnet.metrics import IGNORE
from glnet.raster import Raster
from glnet.recipe import ModelSettings

#: Places kept of every class in a scene: enough to draw from, and 2 kB.
PLACES = 256


@dataclass(frozen=True, slots=True)
class DataReport:
    """What the labels of some samples hold.

    Attributes:
        pixels: Of every class.
        ignored: Pixels of no class.
        near: Pixels that were near-colours, within the tolerance.
        near_files: In how many masks.
        skipped: Geometries that were left out, being empty or invalid.
        notes: Sentences about classes that cannot be learnt from these samples, about labels that
            lie elsewhere than their images, and about those where their images have no data.
        places: Of every sample and class id with pixels in it, up to `PLACES` of these pixels,
            drawn uniformly: (row, column) in the scene, int32, shape (places, 2).
    """

    pixels: np.ndarray
    ignored: int
    near: int
    near_files: int
    skipped: int
    notes: tuple[str, ...]
    places: dict[Sample, dict[int, np.ndarray]]


def check_samples(
    samples: Sequence[Sample],
    coder: LabelCoder,
    model: ModelSettings,
    problems: Problems | None = None,
    progress: Callable[[int, int], object] = lambda _, __: None,
) -> DataReport:
    """Read all labels once, and every image's header, before a long run depends on them.

    Args:
        samples: Scenes; see `scenes_of`.
        coder: Turns masks into labels.
        model: Takes the images.
        problems: Gathers what is wrong, for the caller to refuse.
        progress: Told how many are done, and of how many.

    Raises:
        DataError: all images that the model cannot take and all labels that cannot be read or are
            not their image's, of each file the first that is wrong with it.
    """
    counts = {sample.split: np.zeros(256, np.int64) for sample in samples}
    near, skipped, unseen = dict[Path, int](), dict[Path, int](), dict[Path, int]()
    places: dict[Sample, dict[int, np.ndarray]] = {}
    failed: set[tuple[Path, Path]] = set()
    apart: dict[Path, Path] = {}
    with gathering(problems) as found:
        for done, sample in enumerate(samples):
            progress(done, len(samples))
            if (sample.image, sample.mask) in failed:
                continue
            before = len(found)
            with found.gathered(), Raster(sample.image) as image:
                check_extent(sample, image)
                with found.gathered():
                    image.expect(model)
                with open_labels(sample, image, coder) as labels:
                    shown = labels.read()[0]
                by_row = np.stack([np.bincount(row, minlength=256) for row in shown])
                counts[sample.split] += by_row.sum(axis=0)
                places[sample] = _places(shown, by_row[:, : len(coder.table.trained)], sample.seed)
                near[sample.mask] = near.get(sample.mask, 0) + labels.near
                skipped[sample.mask] = labels.skipped
                unseen[sample.image] = unseen.get(sample.image, 0) + labels.unseen
                if labels.apart:
                    apart.setdefault(sample.mask, sample.image)
            if len(found) > before:
                failed.add((sample.image, sample.mask))
    total = sum(counts.values(), np.zeros(256, np.int64))
    return DataReport(
        total[: len(coder.table.trained)],
        int(total[IGNORE]),
        sum(near.values()),
        sum(count > 0 for count in near.values()),
        sum(skipped.values()),
        (*_notes(coder.table.names, counts), *note_apart(apart), *_note_unseen(unseen)),
        places,
    )


def _places(labels: np.ndarray, by_row: np.ndarray, seed: int) -> dict[int, np.ndarray]:
    """Pixels of every class, drawn by their rank among its own: no list of all is ever made.

    Args:
        labels: Shape (height, width).
        by_row: How many pixels of every class each row has, shape (height, classes).
        seed: Of the draw.
    """
    rng = np.random.default_rng(seed)
    ends = by_row.cumsum(axis=0)
    places = {}
    for label in map(int, np.flatnonzero(ends[-1])):
        count = int(ends[-1, label])
        ranks = np.sort(rng.choice(count, min(PLACES, count), replace=False))
        rows = np.searchsorted(ends[:, label], ranks, side="right")
        within = ranks - (ends - by_row)[rows, label]
        columns = [
            np.flatnonzero(labels[row] == label)[i] for row, i in zip(rows, within, strict=True)
        ]
        places[label] = np.stack([rows, columns], axis=1).astype(np.int32)
    return places


def _notes(names: Sequence[str], counts: dict[str, np.ndarray]) -> Iterator[str]:
    """What training should be told: classes that it will not meet."""
    if "train" not in counts:
        return
    for label, name in enumerate(names):
        if counts["train"][label]:
            continue
        if "validation" in counts and counts["validation"][label]:
            yield f"class '{name}' occurs in the validation split, but never in the training split"
        else:
            yield f"class '{name}' never occurs in the training split, so it cannot be learnt"


def _note_unseen(unseen: Mapping[Path, int]) -> Iterator[str]:
    """What is said of labels where there is nothing to see."""
    if total := sum(unseen.values()):
        count = sum(each > 0 for each in unseen.values())
        yield (
            f"{total} labelled pixels of {count} images are ignored: there the images have no data "
            "(nodata, transparent, or not a number)"
        )


def note_apart(apart: Mapping[Path, Path]) -> Iterator[str]:
    """What is said of labels that lie elsewhere on the ground than what they are laid onto."""
    for mask, image in list(apart.items())[:1]:
        count = f"{len(apart)} masks lie" if len(apart) > 1 else "a mask lies"
        yield (
            f"{count} elsewhere on the ground than the image, by both georeferences: {mask}, "
            f"{image.name}; they are laid on each other pixel by pixel all the same"
        )
