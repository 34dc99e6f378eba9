"""What a run learns from: both splits as scenes, read and checked before the first step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from glnet.bundle import TrainedOn
from glnet.datasets.checks import DataReport, check_samples
from glnet.datasets.classes import ClassTable, read_classes
from glnet.datasets.manifest import Sample, read_manifest
from glnet.datasets.masks import LabelCoder
from glnet.datasets.problems import Problems
from glnet.datasets.samples import scenes_of
from glnet.errors import DataError
from glnet.raster import Raster
from glnet.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The two splits that training reads, the classes, what was found in the labels and images.

    Scenes without a pixel of a known class teach nothing: `blank` of them are left out.
    """

    train: list[Sample]
    validation: list[Sample]
    coder: LabelCoder
    report: DataReport
    trained_on: TrainedOn
    blank: int

    @property
    def table(self) -> ClassTable:
        """The classes."""
        return self.coder.table

    @property
    def notes(self) -> Iterator[str]:
        """How many images, what the labels hold, and what is odd about them."""
        report = self.report
        total = report.pixels.sum()
        shares = ", ".join(
            f"{name} {count / total:.1%}"
            for name, count in zip(self.table.names, report.pixels, strict=True)
        )
        counts = f"{_counted(self.train)} training and {_counted(self.validation)} validation"
        near = f"; {report.near} near-colour pixels in {report.near_files} masks"
        yield f"{counts} images; labelled pixels: {shares}{near if report.near else ''}"
        if self.blank:
            yield f"{self.blank} scenes hold no pixel of a known class and are left out"
        if report.skipped:
            yield f"{report.skipped} geometries are empty or invalid and were left out"
        yield from report.notes


def _counted(samples: Sequence[Sample]) -> str:
    """How many images, and how many scenes where these are parts of them."""
    images = len({sample.image for sample in samples})
    parts = any(sample.window for sample in samples)
    return f"{images} ({len(samples)} scenes)" if parts else str(images)


def read_data(
    recipe: Recipe, progress: Callable[[int, int], object] = lambda _, __: None
) -> TrainingData:
    """Read manifest, classes and all labels once; tells how many are read, and of how many.

    Raises:
        DataError: all that is wrong with them.
    """
    problems = Problems()
    train, validation = (_scenes(recipe, split, problems) for split in ("train", "validation"))
    try:
        coder = LabelCoder(read_classes(recipe.data.classes), recipe.data.tolerance)
    except DataError as error:
        problems.note(error)
        raise problems.as_error() from error
    if len(coder.table.trained) == 1:
        problems.add(
            f"{recipe.data.classes}: one class alone teaches nothing; add one for the background"
        )
    report = check_samples(train + validation, coder, recipe.model, problems, progress)
    problems.refuse()
    known = [sample for sample in train if report.places[sample]]
    if not known:
        msg = f"{recipe.data.manifest}: no pixel of the training split is of a known class"
        raise DataError(msg)
    seen = [sample for sample in validation if report.places[sample]]
    blank = len(train) - len(known) + len(validation) - len(seen)
    return TrainingData(known, seen, coder, report, _trained_on(known), blank)


def _trained_on(samples: Sequence[Sample]) -> TrainedOn:
    """What a model is told of its training scenes, so that rasters are shown to it alike."""
    sides, metres = [], []
    for sample in samples:
        with Raster(sample.image) as image:
            size, found = image.size, image.resolution
        sides.append(max(sample.window.size if sample.window else size))
        if found is not None:
            metres.append((found.rows * found.columns) ** 0.5)
    return TrainedOn(
        largest=max(sides),
        median=int(median(sides)),
        resolution=median(metres) if len(metres) == len(sides) else None,
        images=len({sample.image for sample in samples}),
        scenes=len(samples),
    )


def _scenes(recipe: Recipe, split: str, problems: Problems) -> list[Sample]:
    needed = split == "train"
    rows = read_manifest(recipe.data.manifest, split, required=needed, problems=problems)
    return scenes_of(rows, recipe.model.scene, problems)
