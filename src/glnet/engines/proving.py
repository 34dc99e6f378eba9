"""Whether exported graphs compute what the network does: tracing may freeze the example's size."""

import copy
from pathlib import Path

import numpy as np
import torch

from glnet.engines.engine import Engine
from glnet.engines.folded import FoldedNetwork
from glnet.engines.openvino_engine import OpenVinoGraphs
from glnet.engines.torch_engine import TorchEngine
from glnet.errors import BundleError
from glnet.model.glnet import GLNet
from glnet.resample import shrink
from glnet.scenes import Decoded

#: Of the largest score: far above any rounding, far below what a frozen size does.
_BAR = 1e-2


def prove_graphs(model: GLNet, folder: Path) -> None:
    """Compare the graphs in `folder/graphs` with the network, on a patch of another size.

    Raises:
        ValueError: they cannot be run on it, or give other scores.
    """
    settings = model.settings.model_copy(update={"coarse_to_fine": None, "shrink": 1})
    plain = copy.copy(model)
    plain.settings = settings
    scene = _noise(model)
    expected = TorchEngine(plain, torch.device("cpu")).segment(scene, settings.views)
    network = FoldedNetwork(settings, model.classes, OpenVinoGraphs(folder))
    try:
        found = Engine(network, "OpenVINO").segment(scene, settings.views)
    except (BundleError, RuntimeError) as error:
        msg = "its graphs cannot be run on patches of another size than they were made with"
        raise ValueError(msg) from error
    for view, scores in expected.views.items():
        theirs = scores.cells.numpy()
        if np.abs(found.views[view].cells - theirs).max() > _BAR * np.abs(theirs).max():
            msg = f"the {view} scores of its graphs are not the network's"
            raise ValueError(msg)


def _noise(model: GLNet) -> Decoded:
    """One patch, shorter than the example by other amounts, of values like the training's."""
    known, side = model.settings.input, model.settings.patch
    size = (model.settings.bands, side // 2 + 9, side - 5)
    mean, deviation = (np.array(v).reshape(-1, 1, 1) for v in (known.mean, known.deviation))
    values = mean + deviation * np.random.default_rng(0).standard_normal(size)
    pixels = (values * known.scale).astype(np.float32)
    return Decoded(pixels, shrink(pixels, model.thumbnail_size))
