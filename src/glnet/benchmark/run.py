"""The runs of a study, one after the other, each kept as soon as it is known."""

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from glnet.benchmark.measuring import measure
from glnet.benchmark.results import Result, identity, read_result, write_result
from glnet.benchmark.stages import stage_key
from glnet.benchmark.study import Job, Study, StudySettings
from glnet.benchmark.table import write_tables
from glnet.bundle import read_config
from glnet.datasets.manifest import read_manifest
from glnet.errors import GatheredError, GlnetError, RunError
from glnet.evaluation.model import evaluate
from glnet.raster import Raster
from glnet.recipe import Recipe, Stage
from glnet.training.checkpoint import difference
from glnet.training.loop import train
from glnet.training.records import NoteRecord, Record


def benchmark(
    study: Study,
    out: str | Path,
    *,
    restart: bool = False,
    said: Callable[[str], object] = lambda _: None,
    progress: Callable[[int, int], object] = lambda _, __: None,
) -> Iterator[Record]:
    """Train, evaluate and measure the runs that are asked for, as the records are asked for.

    What an earlier call has finished is not done again, and a run that was stopped goes on. Stages
    that several runs have in common are trained once. After every run the tables are written, of
    all runs of the study that are finished.

    Args:
        study: See `load_study`.
        out: Folder for runs, results and tables.
        restart: Do all runs that are asked for again.
        said: Told what begins that has no records.
        progress: Told how many of it are done, and of how many.

    Raises:
        GatheredError: runs that failed, a line each; all others are done.
        RunError: the folder holds results of another study.
    """
    out = Path(out)
    _make_folder(out)
    results = _earlier_results(study, out, restart=restart)
    trained = _trained(results, out)
    failures: dict[Job, str] = {}
    for number, job in enumerate(study.asked, start=1):
        title = f"{number}/{len(study.asked)} {_title(job, study)}"
        folder = out / "runs" / job.name
        try:
            if job in results:
                yield NoteRecord(f"{title}: done before")
            else:
                yield NoteRecord(f"{title}: {folder}")
                said("masks checked")
                known_as = identity(job, study.settings)
                yield from _train(job.recipe, folder, trained, progress, restart=restart)
                known = {done.entry.name for done, result in results.items() if result.cost}
                image = None if job.entry.name in known else _largest(job.recipe, study.settings)
                results[job] = _score(
                    study.settings, job, folder, known_as, trained, image, said, progress
                )
                write_result(folder, results[job])
                yield NoteRecord(f"{title}: {_summary(results[job])}")
            for stage in job.recipe.model.stages:
                trained.setdefault(stage_key(job.recipe, stage), folder)
        except GlnetError as error:
            failures[job] = str(error).splitlines()[0]
        except (RuntimeError, MemoryError) as error:  # such as out of memory: a device's, or all
            failures[job] = " ".join(f"{folder}: {error}".split())
        if job in failures:
            yield NoteRecord(f"{title}: failed: {failures[job]}")
        write_tables(study, results, out)
    if failures:
        raise GatheredError([f"{_title(job, study)}: {said}" for job, said in failures.items()])


def _title(job: Job, study: Study) -> str:
    """A run, as people are told of it."""
    fold = f", fold {job.fold}" if study.settings.folds else ""
    return f"{job.entry.name}, seed {job.seed}{fold}"


def _train(
    recipe: Recipe,
    folder: Path,
    trained: dict[str, Path],
    progress: Callable[[int, int], object],
    *,
    restart: bool,
) -> Iterator[Record]:
    """Train what no earlier run has trained."""
    given = {
        stage: source / stage / "best"
        for stage, source in _sources(recipe, folder, trained).items()
        if source != folder
    }
    yield from train(recipe, folder, restart=restart, given=given, progress=progress)


def _score(
    study: StudySettings, job: Job, folder: Path, known_as: dict[str, Any],
    trained: dict[str, Path], image: Path | None, said: Callable[[str], object],
    progress: Callable[[int, int], object],
) -> Result:  # fmt: skip
    """Evaluate a trained run, and measure a prediction of an image."""
    recipe, model = job.recipe, folder / "model"
    view = job.view or read_config(model).model.views[0]
    evaluation = evaluate(
        model, recipe.data.manifest, study.split, protocol=study.protocol,
        boundary=study.boundary, tolerance=recipe.data.tolerance, device=recipe.train.device,
        views=[view], said=said, progress=progress,
    )  # fmt: skip
    cost = None
    if image is not None:
        said("measuring a prediction")
        cost = measure(model, image, view, recipe.train.device)
    sources = _sources(recipe, folder, trained)
    seconds = sum(_seconds(source, stage) for stage, source in sources.items())
    return Result.of(known_as, evaluation, view, seconds, cost)


def _sources(recipe: Recipe, folder: Path, trained: dict[str, Path]) -> dict[Stage, Path]:
    """The run that trains each stage: an earlier one, or the one in `folder`."""
    return {stage: trained.get(stage_key(recipe, stage), folder) for stage in recipe.model.stages}


def _summary(result: Result) -> str:
    speed = f", {result.cost['file_to_mask']:.2f} megapixels/s" if result.cost else ""
    return f"{result.view} mIoU {100 * result.evaluation().scores().mean_iou:.1f}{speed}"


def _largest(recipe: Recipe, study: StudySettings) -> Path | None:
    """The largest image that is tested and is one scene; None where all are cut."""
    if recipe.model.scene is not None:
        return None
    sizes = {}
    for sample in read_manifest(recipe.data.manifest, study.split):
        with Raster(sample.image) as raster:
            sizes[sample.image] = raster.size.area
    return max(sizes, key=lambda image: sizes[image])


def _times(folder: Path) -> dict[str, float]:
    """Seconds that a run took over every stage that it trained itself, from its table.

    All parts of a stopped one count. A stage that came from another run is not there, nor is
    anything of a table that is damaged.
    """
    times: dict[str, float] = {}
    try:
        with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                times[row["stage"]] = max(float(row["seconds"]), times.get(row["stage"], 0.0))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}
    return times


def _seconds(folder: Path, stage: Stage) -> float:
    """How long a run took over a stage."""
    times = _times(folder)
    if stage not in times:
        msg = (
            f"{folder}: metrics.csv does not tell how long the stage {stage} took; train it with "
            "--restart"
        )
        raise RunError(msg)
    return times[stage]


def _trained(results: Mapping[Job, Result], out: Path) -> dict[str, Path]:
    """The run that trained a stage, by its key, of those that are finished."""
    trained: dict[str, Path] = {}
    for job in results:
        folder = out / "runs" / job.name
        for stage in _times(folder):
            if stage in job.recipe.model.stages:
                trained.setdefault(stage_key(job.recipe, stage), folder)
    return trained


def _earlier_results(study: Study, out: Path, *, restart: bool) -> dict[Job, Result]:
    """What earlier calls have finished.

    Of runs that are not asked for those that are of other settings are left out.

    Raises:
        RunError: a result of a run that is asked for is of other settings.
    """
    results = {}
    for job in study.jobs:
        folder = out / "runs" / job.name
        asked = job in study.asked
        found = None if asked and restart else read_result(folder)
        if found is None:
            continue
        place = difference(found.identity, identity(job, study.settings))
        if place is None:
            results[job] = found
        elif asked:
            msg = (
                f"{folder}: holds a result of other settings or data (they differ in {place}); "
                f"name another folder, or do it again: --restart --only '{job.entry.name}'"
            )
            raise RunError(msg)
    return results


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{out}: results cannot be written there ({error})"
        raise RunError(msg) from error
