"""A model against the masks of a manifest, all views side by side; two models."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from glnet.bundle import ONE_SCENE, SAME_RESOLUTION, BundleConfig, find_model, read_config
from glnet.datasets.checks import check_samples
from glnet.datasets.manifest import read_manifest
from glnet.datasets.masks import LabelCoder
from glnet.datasets.problems import Problems
from glnet.datasets.samples import scenes_of
from glnet.engines.loading import load_engine
from glnet.engines.scoring import predict_samples
from glnet.engines.tables import table_of
from glnet.evaluation.comparison import Comparison, check_same_classes
from glnet.evaluation.observer import BothObserver, Observer
from glnet.evaluation.result import Evaluation
from glnet.evaluation.tally import Tally
from glnet.metrics import ProtocolName
from glnet.raster import Raster
from glnet.recipe import View


def evaluate(  # noqa: PLR0913  each by its name
    model: str | Path,
    manifest: str | Path,
    split: str | None = "test",
    *,
    protocol: ProtocolName = "ignore",
    boundary: bool = False,
    calibration: bool = False,
    tolerance: int = 0,
    device: str = "auto",
    precision: str = "fp32",
    engine: str = "auto",
    tta: bool = False,
    views: Sequence[View] | None = None,
    said: Callable[[str], object] = lambda _: None,
    progress: Callable[[int, int], object] = lambda _, __: None,
    observer: Observer | None = None,
) -> Evaluation:
    """Segment every image of a split and compare with its mask, in all of the model's views.

    Args:
        model: A bundle, or a repository's name on the Hugging Face Hub; its class table reads the
            masks.
        manifest: CSV with the columns image, mask, split.
        split: Which rows; `all`, or None, for all.
        protocol: `ignore` counts no unknown ground; `glnet` counts it as the paper's DeepGlobe
            numbers do. See `glnet.metrics.Protocol`.
        boundary: Boundary IoU too.
        calibration: How often every confidence is right too.
        tolerance: Largest difference per channel at which a mask's colour counts as a class's.
        device, precision, engine, tta: See `glnet.predict`.
        views: Which outputs, the default first; None: all that the model has.
        said: Told what begins.
        progress: Told how many of it are done, and of how many.
        observer: Sees every image, its labels and the default view's prediction.

    Raises:
        GlnetError: a file, a mask's content or the model cannot be used.
    """
    problems = Problems()
    rows = read_manifest(manifest, split, once=True, problems=problems)
    folder = find_model(model)
    loaded, table = load_engine(folder, device, precision, engine)
    coder, views = LabelCoder(table, tolerance), views or loaded.settings.views
    tally = Tally(table, views, protocol, boundary=boundary, calibration=calibration)
    samples = scenes_of(rows, loaded.settings.scene, problems)
    said("masks checked")
    report = check_samples(samples, coder, loaded.settings, problems, progress)
    problems.refuse()
    if observer is not None:
        observer.begin(samples, loaded)
    said("images")
    evaluated = predict_samples(loaded, samples, coder, views, turns=tta, confidence=calibration)
    for done, found in enumerate(evaluated, start=1):
        predictions = {str(view): prediction for view, prediction in found.views.items()}
        sure = {str(view): confidence for view, confidence in found.confidence.items()}
        tally.add(found.sample, found.labels, predictions, sure, found.patches)
        if observer is not None:
            observer.see(found.sample, found.labels, found.views[views[0]])
            observer.finish(found.sample, tally.image_mean_iou(found.sample))
        progress(done, len(samples))
    notes = *report.notes, *_otherwise(read_config(folder), [row.image for row in rows])
    return tally.evaluation(report.near, notes)


def _otherwise(config: BundleConfig, images: Iterable[Path]) -> Iterator[str]:
    """What is said of images that `glnet predict` does not show to the network as they are here."""
    files, odd = dict.fromkeys(images), 0
    for path in files:
        with Raster(path) as raster:
            scale, own = [1.0], raster.resolution
            if config.trained_on and config.trained_on.resolution and own:
                scale = [side / config.trained_on.resolution for side in own]
            resampled = any(abs(each - 1) > SAME_RESOLUTION for each in scale)
            odd += resampled or max(raster.size) > ONE_SCENE * config.largest
    if odd:
        yield (
            f"glnet predict cuts {odd} of {len(files)} images into scenes of its own, or resamples "
            "them to the model's resolution; to score what it gives: glnet predict, then glnet "
            "evaluate --masks"
        )


def compare(
    model: str | Path,
    against: str | Path,
    manifest: str | Path,
    split: str | None = "test",
    *,
    observer: Observer | None = None,
    **options: Any,  # noqa: ANN401  as `evaluate` has them
) -> Comparison:
    """Evaluate two models on the same images, one after the other, and set them side by side.

    Args:
        model, against: Bundles with the same known classes.
        manifest, split, options: See `evaluate`.
        observer: Sees the evaluation of `model`; one of both sides, that of `against` too.

    Raises:
        GlnetError: see `evaluate`, or the classes differ; that is found before the work.
    """
    ours, theirs = (find_model(each) for each in (model, against))
    check_same_classes(*(table_of(each, read_config(each)) for each in (ours, theirs)))
    found = evaluate(ours, manifest, split, observer=observer, **options)
    other = observer.other if isinstance(observer, BothObserver) else None
    return Comparison(found, evaluate(theirs, manifest, split, observer=other, **options))
