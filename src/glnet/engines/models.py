"""From a bundle to a network that runs, and back."""

from pathlib import Path
from typing import Any

import torch

from glnet.bundle import GRAPHS, BundleConfig, read_bundle, write_bundle
from glnet.datasets.classes import ClassTable
from glnet.engines.engine import Engine
from glnet.engines.folded import FoldedNetwork
from glnet.engines.memory import Keeper, MemoryPlan, plan_device_memory, read_costs
from glnet.engines.tables import table_of
from glnet.engines.torch_engine import LIBRARY, TorchEngine, TorchGraphs, pick_device
from glnet.errors import BundleError
from glnet.model import GLNet, build_glnet
from glnet.model.folding import fold
from glnet.recipe import View

#: Patches that a GPU is given at a time where no budget of memory says how many: the paper's
#: network stays within the paper's memory. And at the most: from four on, cuDNN takes gigabytes for
#: convolutions in fp32 (benchmarks/records/2026-11-26-cuda.md).
_ON_A_GPU = {"fp32": 2, "bf16": 4, "fp16": 4}
_AT_MOST = {"fp32": 2, "bf16": 8, "fp16": 8}


def load_model(folder: str | Path) -> tuple[GLNet, ClassTable]:
    """The network of a model folder, in evaluation mode, and its classes.

    Raises:
        BundleError: not a model folder, or weights that do not fit its config.
    """
    config, tensors = read_bundle(folder)
    table = table_of(folder, config)
    model = build_glnet(config.model, len(table.trained))
    try:
        model.load_state_dict({k: torch.from_numpy(v) for k, v in tensors.items()})
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:200]
        msg = f"{folder}: the weights do not fit the config ({detail})"
        raise BundleError(msg) from error
    return model, table


def load_torch(
    folder: str | Path,
    device: str,
    precision: str,
    *,
    folded: bool,
) -> tuple[Engine, ClassTable]:
    """A model folder run by torch: folded, or as it is where there is nothing to fold.

    Raises:
        BundleError, RunError: see `engines.loading.load_engine`.
    """
    with torch.random.fork_rng(devices=[]):  # what is built is random before it is filled
        model, table = load_model(folder)
        graph = fold(model) if folded and model.settings.network == "glnet" else None
    where = pick_device(device)
    if graph is None:
        return TorchEngine(model, where, precision), table
    graphs = TorchGraphs(graph, where, precision)
    network = FoldedNetwork(model.settings, model.classes, graphs)
    count = 1 if where.type == "cpu" else _ON_A_GPU[precision]
    loaded = Engine(network, LIBRARY, count, where.type)
    if where.type == "cuda" and (Path(folder) / GRAPHS).is_dir():

        def keep(plan: MemoryPlan) -> None:
            loaded.mini_batch = plan.mini_batch

        settings, classes, most = model.settings, model.classes, _AT_MOST[precision]
        loaded.keeper = Keeper(
            lambda wish: plan_device_memory(wish, read_costs(folder), settings, classes, most), keep
        )
    return loaded, table


def save_model(
    folder: str | Path,
    model: GLNet,
    table: ClassTable,
    origin: str,
    view: View | None = None,
    **known: Any,  # noqa: ANN401
) -> None:
    """Write a network as a model folder.

    Args:
        folder: To be made or replaced.
        model: The network.
        table: Its classes.
        origin: Where the weights come from, in a sentence.
        view: What it gives where none is asked for; None: as its settings say.
        known: `scores`, `recipe`, `trained_on` and `licence` of `BundleConfig`.
    """
    settings = model.settings.model_copy(update={"view": view}) if view else model.settings
    config = BundleConfig(model=settings, classes=table.as_dicts(), origin=origin, **known)
    tensors = {k: v.detach().cpu().numpy() for k, v in model.state_dict().items()}
    write_bundle(folder, config, tensors)
