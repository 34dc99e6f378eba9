"""Where a coarse-to-fine network looks in training: the coarse masks of the training images.

The stages after the first read the plain global branch as the first one left it, so the masks are
the same at every epoch and are made once, when a stage begins.
"""

from collections.abc import Sequence

import numpy as np
import torch

from glnet.boxes import PatchCount, find_boxes, patches_in
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.datasets.samples import open_sample
from glnet.engines.engine import foreground_of
from glnet.engines.torch_engine import TorchEngine
from glnet.geometry import patch_grid
from glnet.metrics import IGNORE
from glnet.recipe import CoarseToFineSettings


@torch.no_grad()
def coarse_masks(
    engine: TorchEngine, samples: Sequence[Sample], coder: LabelCoder, search: CoarseToFineSettings
) -> tuple[dict[Sample, np.ndarray], PatchCount]:
    """Of every sample the cells with foreground, predicted or true.

    Of predicted foreground alone the local branch would never learn what the coarse mask misses.

    Args:
        engine: A network with a trained global branch, in evaluation mode there.
        samples: Scenes.
        coder: Reads their labels.
        search: Says what the background is.

    Returns:
        Boolean masks on the cells of the thumbnail's logits, and how many patches they lead to.
    """
    model = engine.model
    masks, patches = {}, PatchCount(0, 0)
    for sample in samples:
        with open_sample(sample, coder, model.settings) as (image, labels):
            pixels = engine.to_device(image.thumbnail(model.thumbnail_size))[None]
            found = foreground_of(model.global_pass(pixels).logits[0], search.background)
            true = labels.read()[0]
            size = image.size.scaled(1 / model.settings.shrink)
        masks[sample] = found | _cells((true != search.background) & (true != IGNORE), found.shape)
        boxes = find_boxes(masks[sample], size, search, model.settings)
        grid = patch_grid(size, model.settings.patch, model.settings.overlap)
        patches += PatchCount(len(patches_in(boxes, model.settings)), len(grid))
    return masks, patches


def _cells(pixels: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The cells that hold a pixel."""
    rows, columns = np.nonzero(pixels)
    cells = np.zeros(shape, bool)
    cells[rows * shape[0] // pixels.shape[0], columns * shape[1] // pixels.shape[1]] = True
    return cells
