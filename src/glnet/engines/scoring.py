"""A network against labels: its predictions of a set of samples, and their count."""

from collections.abc import Iterator, Sequence

import numpy as np

from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.datasets.samples import open_sample
from glnet.engines.torch_engine import TorchEngine, segment_turned
from glnet.metrics import ConfusionMatrix
from glnet.recipe import View


def predict_samples(
    engine: TorchEngine,
    samples: Sequence[Sample],
    coder: LabelCoder,
    views: Sequence[View],
    *,
    turns: bool = False,
) -> Iterator[tuple[Sample, np.ndarray, dict[View, np.ndarray]]]:
    """Segment every sample, one at a time; full-resolution scores live strip by strip.

    Args:
        engine: The network.
        samples: Images and masks.
        coder: Turns masks into labels.
        views: Which outputs to give.
        turns: With test-time augmentation.

    Yields:
        The sample, its labels and every view's prediction; uint8, shape (height, width).
    """
    run = segment_turned if turns else TorchEngine.segment
    for sample in samples:
        with open_sample(sample, coder, engine.model.settings) as (image, scene):
            labels = scene.read()[0]
            found = {view: s.labels() for view, s in run(engine, image, views).items()}
        yield sample, labels, {view: found[view] for view in views}


def score_samples(
    engine: TorchEngine, samples: Sequence[Sample], coder: LabelCoder, views: Sequence[View]
) -> dict[View, ConfusionMatrix]:
    """Segment every sample and count its pixels; one matrix per view over the set."""
    matrices = {view: ConfusionMatrix(engine.model.classes) for view in views}
    for _, labels, predictions in predict_samples(engine, samples, coder, views):
        for view, prediction in predictions.items():
            matrices[view].add(labels, prediction)
    return matrices
