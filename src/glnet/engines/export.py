"""Folded graphs as ONNX files in the model folder, for engines that need no torch."""

import contextlib
import shutil
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from glnet.bundle import (
    GRAPHS,
    Graph,
    card_renewed,
    check_graphs,
    graph_path,
    read_config,
    weights_digest,
    write_digest,
)
from glnet.engines.counting import count_bytes
from glnet.engines.folded import exchanges_of
from glnet.engines.memory import GraphCost, write_costs
from glnet.engines.models import load_model
from glnet.engines.proving import prove_graphs
from glnet.errors import BundleError
from glnet.geometry import Size, Window
from glnet.model.batch_norm import fuse_added_batch_norm, unroll_batch_norm
from glnet.model.folding import GlobalGraph, LocalGraph, RefinedGraph, fold
from glnet.model.glnet import GLNet
from glnet.recipe import View
from glnet.sharing import LEVELS, Exchange, Place, exchange_axes, named_exchanges, named_levels

#: Of the ONNX standard; what these graphs need has long been in it.
_OPSET = 17


def export_graphs(folder: str | Path) -> None:
    """Write a model folder's graphs into it; they appear whole and proved, or not at all.

    Raises:
        BundleError: not a model folder, a rival, or a trunk that cannot be exported.
    """
    # Before they are read: were they replaced meanwhile, the graphs would be refused.
    digest = weights_digest(folder)
    model, _ = load_model(folder)
    if model.settings.network != "glnet":
        msg = f"{folder}: a {model.settings.network} has no graphs to export; torch runs it"
        raise BundleError(msg)
    finished = Path(folder) / GRAPHS
    partial = finished.with_name(f"{GRAPHS}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with card_renewed(folder):
        try:
            (partial / GRAPHS).mkdir(parents=True)
            write_graphs(model, partial / GRAPHS)
            write_digest(partial / GRAPHS, str(digest))
            prove_graphs(model, partial)
            shutil.rmtree(finished, ignore_errors=True)
            (partial / GRAPHS).rename(finished)
        except OSError as error:
            msg = f"{folder}: the graphs cannot be written there ({error})"
            raise BundleError(msg) from error
        except Exception as error:  # tracing a trunk raises whatever its code leads to
            detail = " ".join(str(error).split())[:200]
            msg = f"{folder}: the trunk {model.settings.trunk} cannot be exported ({detail})"
            raise BundleError(msg) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def export_if_possible(folder: Path) -> list[str]:
    """Export what has none yet; gives a line where it cannot be done: torch then runs the model.

    Graphs of these weights stay, and with them what was calibrated.
    """
    if read_config(folder).model.network != "glnet":
        return []
    with contextlib.suppress(BundleError):
        check_graphs(folder)
        return []
    try:
        export_graphs(folder)
    except BundleError as error:
        return [f"{error}; predictions will need torch"]
    return []


def write_graphs(model: GLNet, folder: Path, *, exact: bool = True) -> None:
    """Trace each graph on an example: patches may then be of any size, thumbnails of this one.

    Args:
        model: A GLNet.
        folder: Where the files go.
        exact: Keep batch norms out of the weights before them; see `glnet.model.batch_norm`.
    """
    folded, settings = fold(model), model.settings
    costs: dict[Graph, GraphCost] = {}
    for trunk in folded.trunks if exact else []:
        fuse_added_batch_norm(trunk)
        unroll_batch_norm(trunk)
    pixels = torch.zeros(1, settings.bands, *model.thumbnail_size)
    lent: tuple[Tensor, ...] = ()
    if folded.global_ is not None:
        with torch.no_grad():
            look = folded.global_(pixels)
        lent = look.lent
        names = ["logits", *(["share"] if look.share else []), *named_levels("lent", len(lent))]
        path = graph_path(folder, "global")
        example = {"pixels": pixels}
        _export(_Looking(folded.global_), path, example, names)
        costs["global"] = _cost(path, example, shared=sum(map(_bytes, lent)))
    if folded.local is not None:
        graph = _Local(folded.local, lays=folded.refined is not None)
        names = [*graph.views, *named_levels("laid", LEVELS if graph.lays else 0)]
        path, example = graph_path(folder, "local"), _local_example(model, lent)
        _export(graph, path, example, names)
        costs["local"] = _cost(path, example, shared=0)
    if folded.refined is not None:
        branch = folded.refined.branch
        laid = [
            torch.zeros(1, *level.shape[-2:], own + sum(branch.lent))
            for level, own in zip(lent, branch.trunk.channels[::-1], strict=True)
        ]
        example = {"pixels": pixels, **dict(zip(named_levels("laid"), laid, strict=True))}
        path = graph_path(folder, "refined")
        _export(_Looking(folded.refined), path, example, ["logits", "share"])
        costs["refined"] = _cost(path, example, shared=sum(map(_bytes, laid)))
    write_costs(folder, costs)


def _cost(path: Path, example: dict[str, Tensor], *, shared: int) -> GraphCost:
    shapes = {name: tuple(array.shape) for name, array in example.items()}
    height, width = shapes["pixels"][2:]
    return GraphCost(*count_bytes(path, shapes), height * width, shared)


def _bytes(array: Tensor) -> int:
    return array.numel() * array.element_size()


def _local_example(model: GLNet, lent: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Inputs of the local graph, for a patch that lies in a scene twice its size."""
    side = model.settings.patch
    scene, window = Size(2 * side, 2 * side), Window(0, 0, side, side)
    place = Place(0, scene, window)
    rows, columns = (
        exchange_axes(place, axis, model.thumbnail_size, model.settings.alignment)
        for axis in range(2)
    )
    exchanges = exchanges_of([(rows, columns)], lent, torch.from_numpy)
    pixels = torch.zeros(1, model.settings.bands, side, side)
    return {"pixels": pixels, **named_exchanges(exchanges)}


def _export(graph: nn.Module, path: Path, example: dict[str, Tensor], names: list[str]) -> None:
    # Both ends of a patch's maps follow its size; only a thumbnail's are fixed.
    loose = {
        name: {axis: f"{name}_{axis}" for axis in range(array.ndim - 2, array.ndim)}
        for name, array in example.items()
        if isinstance(graph, _Local)
    }
    with warnings.catch_warnings(), torch.no_grad():
        # The newer exporter takes 60 s for one such graph where this one takes 2.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph, tuple(example.values()), str(path), dynamo=False, opset_version=_OPSET,
            input_names=list(example), output_names=names, dynamic_axes=loose,
        )  # fmt: skip


class _Looking(nn.Module):
    """A global branch's graph, of tensors alone."""

    def __init__(self, graph: GlobalGraph | RefinedGraph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, pixels: Tensor, *laid: Tensor) -> tuple[Tensor, ...]:
        look = self.graph(pixels, laid) if laid else self.graph(pixels)
        return (look.logits, *look.share, *look.lent)


class _Local(nn.Module):
    """The local branch's: all views, and all that is laid."""

    def __init__(self, graph: LocalGraph, *, lays: bool) -> None:
        super().__init__()
        self.graph, self.lays = graph, lays
        self.views: list[View] = [view for view in ("aggregated", "local") if view in graph.heads]

    def forward(self, pixels: Tensor, *arrays: Tensor) -> tuple[Tensor, ...]:
        count = len(arrays) // LEVELS
        lends = count == len(Exchange._fields)
        exchanges = [
            Exchange(*(() if lends else (None,)), *arrays[level * count : (level + 1) * count])
            for level in range(LEVELS)
        ]
        made = self.graph(pixels, exchanges, self.views, lays=self.lays)
        return (*made.scores, *made.laid)
