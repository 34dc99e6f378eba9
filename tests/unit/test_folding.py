"""What folding promises: the plain network's scores, whatever the sharing and the size."""

import pytest
import torch

from glnet.engines.engine import Engine
from glnet.engines.folded import FoldedNetwork
from glnet.engines.torch_engine import TorchEngine, TorchGraphs
from glnet.model.folding import fold
from networks import NETWORKS, named, random_scene, seasoned

CPU = torch.device("cpu")
BAR = 1e-5


def folded_engine(model, mini_batch=1):
    network = FoldedNetwork(model.settings, model.classes, TorchGraphs(fold(model), CPU))
    return Engine(network, "torch", mini_batch)


def agree(one, other, bar=BAR):
    """Scores of every view, against the largest of them."""
    assert one.keys() == other.keys()
    for view in one:
        cells = one[view].cells
        worst = (cells - other[view].cells).abs().max() / cells.abs().max()
        assert worst < bar, (view, float(worst))


@pytest.mark.parametrize("alignment", ["exact", "authors"])
@pytest.mark.parametrize("network", NETWORKS, ids=named)
@pytest.mark.parametrize(("height", "width"), [(30, 30), (64, 64), (65, 127), (137, 301)])
def test_folded_scores_are_the_plain_ones(network, alignment, height, width):
    model = seasoned(**network, alignment=alignment)
    scene = random_scene(height, width)

    plain = TorchEngine(model, CPU).segment(scene, model.settings.views)
    folded = folded_engine(model).segment(scene, model.settings.views)

    agree(plain.views, folded.views)
    assert folded.patches == plain.patches
