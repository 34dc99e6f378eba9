"""A model against the masks of a manifest, all views side by side."""

from collections.abc import Callable
from pathlib import Path

from glnet.datasets.checks import check_samples
from glnet.datasets.manifest import Sample, read_manifest
from glnet.datasets.masks import LabelCoder
from glnet.datasets.problems import Problems
from glnet.datasets.samples import scenes_of
from glnet.engines.models import load_engine
from glnet.engines.scoring import score_samples
from glnet.evaluation.result import Evaluation


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
    problems = Problems()
    rows = read_manifest(manifest, split, problems=problems)
    engine, table = load_engine(model, device, precision)
    coder = LabelCoder(table, tolerance)
    samples = scenes_of(rows, engine.model.settings.scene, problems)
    report = check_samples(samples, coder, engine.model.settings, problems)
    problems.refuse()
    views = engine.model.settings.views
    matrices = score_samples(engine, samples, coder, views, turns=tta, done=done)
    return Evaluation(
        table.names,
        {str(view): matrix for view, matrix in matrices.items()},
        len({sample.image for sample in rows}),
        report.near,
    )
