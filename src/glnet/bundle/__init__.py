"""The bundle: a model folder that holds all a prediction needs.

`config.json` (settings, classes, origin), `model.safetensors` (weights), `README.md` (card); and
`graphs`, once exported, with a digest of the weights that they were exported from.
"""

from glnet.bundle.card import card_renewed
from glnet.bundle.config import (
    FORMAT,
    ONE_SCENE,
    SAME_RESOLUTION,
    BundleConfig,
    TrainedOn,
    read_config,
)
from glnet.bundle.contents import Contents, contents_of
from glnet.bundle.files import read_bundle, write_bundle
from glnet.bundle.graphs import (
    COSTS,
    GRAPHS,
    INT8,
    Graph,
    check_graphs,
    graph_path,
    weights_digest,
    write_digest,
)
from glnet.bundle.hub import find_model

__all__ = [
    "COSTS",
    "FORMAT",
    "GRAPHS",
    "INT8",
    "ONE_SCENE",
    "SAME_RESOLUTION",
    "BundleConfig",
    "Contents",
    "Graph",
    "TrainedOn",
    "card_renewed",
    "check_graphs",
    "contents_of",
    "find_model",
    "graph_path",
    "read_bundle",
    "read_config",
    "weights_digest",
    "write_bundle",
    "write_digest",
]
