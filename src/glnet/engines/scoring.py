"""A network against labels: its predictions of a set of samples, and their count."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from glnet.boxes import PatchCount
from glnet.datasets.images import ImageScene
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.datasets.samples import open_sample
from glnet.engines.engine import Engine, Needed, Segmented
from glnet.engines.turning import segment_turned
from glnet.metrics import IGNORE, ConfusionMatrix
from glnet.recipe import View


@dataclass(frozen=True, slots=True)
class PredictedSample:
    """A sample, its labels and every view's prediction, uint8, shape (height, width).

    Where the image has no data all are `IGNORE`: nothing is counted there, by any protocol.
    `confidence` is every view's, in 254th parts; empty where it was not asked for.
    """

    sample: Sample
    labels: np.ndarray
    views: dict[View, np.ndarray]
    confidence: dict[View, np.ndarray]
    patches: PatchCount


def predict_samples(
    engine: Engine,
    samples: Sequence[Sample],
    coder: LabelCoder,
    views: Sequence[View],
    *,
    turns: bool = False,
    confidence: bool = False,
) -> Iterator[PredictedSample]:
    """Segment every sample, one at a time; full-resolution scores live strip by strip.

    Args:
        engine: The network.
        samples: Images and masks.
        coder: Turns masks into labels.
        views: Which outputs to give.
        turns: With test-time augmentation.
        confidence: Give that too.
    """
    segment = partial(segment_turned, engine) if turns else engine.segment
    for sample in samples:
        with open_sample(sample, coder, engine.settings) as (image, scene):
            labels = scene.read()[0]
            yield PredictedSample(
                sample, labels, *_predicted(segment, image, views, confidence=confidence)
            )


def _predicted(
    segment: Callable[[ImageScene, Sequence[View], Needed], Segmented],
    image: ImageScene,
    views: Sequence[View],
    *,
    confidence: bool,
) -> tuple[dict[View, np.ndarray], dict[View, np.ndarray], PatchCount]:
    """See `PredictedSample`."""
    valid = image.valid()
    if valid is not None and not valid.any():  # without any patch an engine has no scores
        nothing = {view: np.full(image.size, IGNORE, np.uint8) for view in views}
        return nothing, nothing if confidence else {}, PatchCount(0, 0)
    found = segment(image, views, _needed(valid))
    predictions = {view: found.views[view].labels() for view in views}
    sure = {view: found.views[view].confidence() for view in views if confidence}
    if valid is not None:
        for told in (*predictions.values(), *sure.values()):
            told[~valid] = IGNORE  # of a confidence, too: it means that there is none
    return predictions, sure, found.patches


def _needed(valid: np.ndarray | None) -> Needed:
    """Which patches meet ground with data: the others are left out, as they are in prediction."""
    return lambda patch: valid is None or bool(valid[patch.slices].any())


def score_samples(
    engine: Engine, samples: Sequence[Sample], coder: LabelCoder, views: Sequence[View]
) -> dict[View, ConfusionMatrix]:
    """Segment every sample and count its pixels; one matrix per view over the set."""
    matrices = {view: ConfusionMatrix(engine.network.classes) for view in views}
    for found in predict_samples(engine, samples, coder, views):
        for view, prediction in found.views.items():
            matrices[view].add(found.labels, prediction)
    return matrices
