"""A network against labels: one confusion matrix per view over a set of samples."""

from collections.abc import Callable, Sequence

from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.datasets.samples import open_sample
from glnet.engines.torch_engine import TorchEngine, segment_turned
from glnet.metrics import ConfusionMatrix
from glnet.recipe import View


def score_samples(
    engine: TorchEngine,
    samples: Sequence[Sample],
    coder: LabelCoder,
    views: Sequence[View],
    *,
    turns: bool = False,
    done: Callable[[Sample], None] = lambda _: None,
) -> dict[View, ConfusionMatrix]:
    """Segment every sample and count its pixels, strip by strip.

    Args:
        engine: The network.
        samples: Images and masks.
        coder: Turns masks into labels.
        views: Which outputs to count.
        turns: With test-time augmentation.
        done: Called after every sample.
    """
    matrices = {view: ConfusionMatrix(engine.model.classes) for view in views}
    run = segment_turned if turns else TorchEngine.segment
    for sample in samples:
        with open_sample(sample, coder, engine.model.settings) as (image, scene):
            labels = scene.read()[0]
            for view, scores in run(engine, image, views).items():
                matrices[view].add(labels, scores.labels())
        done(sample)
    return matrices
