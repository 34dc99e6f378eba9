"""Networks small enough for a test, and scenes that live in arrays."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from glnet.datasets.classes import ClassInfo, ClassTable, default_colour
from glnet.engines.export import export_graphs
from glnet.engines.models import save_model
from glnet.geometry import Size, Window
from glnet.model import build_glnet
from glnet.model.initialise import start_aggregation, start_pyramid
from glnet.recipe import ModelSettings
from glnet.resample import shrink

TINY = {
    "trunk": "resnet18",
    "trunk_options": {"channels": [8, 16, 32, 64]},
    "width": 8,
    "thumbnail": 64,
    "patch": 64,
    "overlap": 16,
}

SHARINGS = ("none", "shallow", "global_to_local", "bidirectional")

#: Every pyramid with every way of sharing that it has, and finer maps below.
NETWORKS = [
    *({"pyramid": "linear", "sharing": sharing} for sharing in SHARINGS),
    *({"pyramid": "normed", "sharing": sharing} for sharing in SHARINGS if sharing != "shallow"),
    {"pyramid": "normed", "sharing": "bidirectional", "finest": 2},
]


def named(value):
    """A parameter's name in a test's title: of settings their values."""
    return "-".join(map(str, value.values())) if isinstance(value, dict) else None


def tiny_settings(**changes):
    return ModelSettings.model_validate({**TINY, **changes})


def tiny_network(classes=3, seed=0, **changes):
    """A random network whose every branch is started alike."""
    torch.manual_seed(seed)
    model = build_glnet(tiny_settings(**changes), classes)
    for branch in (model.global_branch, model.local_branch, model.refined_global):
        if branch is not None:
            start_pyramid(branch, "unit")
    start_aggregation(model, "unit")
    return model.eval()


def exported_tiny(folder, names, **changes):
    """A model folder of a random network, its graphs included; the colours are the usual ones."""
    rows = (ClassInfo(name, i, default_colour(i)) for i, name in enumerate(names))
    table = ClassTable(tuple(rows))
    save_model(folder, tiny_network(len(table.trained), **changes), table, "Random.")
    export_graphs(folder)
    return folder


def seasoned(**changes):
    """A network whose batch norms have seen something, and whose biases are not zero."""
    model = tiny_network(**changes)
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.normal_(module.bias)
    return model


@dataclass
class ArrayScene:
    """A scene in memory, (bands, height, width)."""

    pixels: np.ndarray

    @property
    def size(self):
        return Size(*self.pixels.shape[1:])

    def read(self, window=None):
        window = window or Window(0, 0, *self.size)
        return np.ascontiguousarray(self.pixels[:, *window.slices])

    def thumbnail(self, size):
        return shrink(self.pixels, size)


def random_scene(height, width, bands=3, seed=0):
    rng = np.random.default_rng(seed)
    return ArrayScene(rng.integers(0, 256, (bands, height, width), dtype=np.uint8))
