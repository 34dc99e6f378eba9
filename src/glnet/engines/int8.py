"""Graphs in int8, calibrated on images: for processors whose 8-bit arithmetic is the faster.

The convolutions of trunks and pyramids are quantised; the small products by which maps are
resampled stay in fp32.
"""

import contextlib
import io
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from glnet.bundle import GRAPHS, INT8, Graph, card_renewed, graph_path
from glnet.engines.calibration import RecordingGraphs, Sample
from glnet.engines.engine import Engine
from glnet.engines.export import export_graphs, write_graphs
from glnet.engines.folded import FoldedNetwork
from glnet.engines.models import load_model
from glnet.engines.openvino_engine import LIBRARY, OpenVinoGraphs
from glnet.engines.vino import untold
from glnet.errors import BundleError, RunError
from glnet.extras import install
from glnet.limits import check_scene
from glnet.model.glnet import GLNet
from glnet.raster import Raster
from glnet.recipe import ModelSettings

#: Nodes are named after the modules of `glnet.model.folding`. The convolutions to the classes are
#: not among them: they cost little, and their errors are the scores' own.
_PYRAMID = re.compile(r"/(lateral|smooth|narrow)\.")


def export_int8(
    folder: str | Path,
    images: Sequence[str | Path],
    *,
    said: Callable[[str], object] = lambda _: None,
    progress: Callable[[int, int], object] = lambda _, __: None,
) -> float:
    """Write a model folder's graphs in int8 beside the others; whole, or not at all.

    Args:
        folder: The model; graphs are exported where it has none.
        images: What it is to be calibrated on: files like those that it will predict.
        said: Told what begins.
        progress: Told how many of it are done, and of how many.

    Returns:
        The share of the images' labels that int8 changes.

    Raises:
        GlnetError: the model or an image cannot be used, or NNCF is missing.
    """
    nncf = _quantiser()
    model, _ = load_model(folder)
    _check(images, model.settings)
    if not (Path(folder) / GRAPHS).is_dir():
        export_graphs(folder)
    partial = Path(folder) / f"{INT8}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with card_renewed(folder):
        try:
            (partial / GRAPHS / INT8).mkdir(parents=True)
            with tempfile.TemporaryDirectory() as scratch:
                recording = RecordingGraphs(folder)
                said("images predicted in fp32")
                _keep_labels(model, recording, images, Path(scratch), progress)
                samples = {graph: draw.kept for graph, draw in recording.draws.items()}
                del recording  # its graphs' memory is what calibrating needs now
                said("graphs quantised")
                _write(nncf, model, samples, partial / GRAPHS / INT8, progress)
                said("images predicted in int8")
                quick = OpenVinoGraphs(partial, "int8")
                changed = _changed(model, quick, images, Path(scratch), progress)
            finished = Path(folder) / GRAPHS / INT8
            shutil.rmtree(finished, ignore_errors=True)
            (partial / GRAPHS / INT8).rename(finished)
        except OSError as error:
            msg = f"{folder}: the int8 graphs cannot be written there ({error})"
            raise BundleError(msg) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return changed


def _quantiser() -> Any:  # noqa: ANN401  NNCF has no types
    """NNCF and ONNX Runtime, which it needs for ONNX, without what each tells its makers."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when it is loaded; what follows is for Windows
    try:
        with untold():
            import nncf  # noqa: PLC0415  an extra
            import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        msg = f"int8 graphs are made by NNCF ({error}); run: {install('int8')}"
        raise RunError(msg) from error
    onnxruntime.disable_telemetry_events()
    nncf.set_log_level("ERROR")
    return nncf


def _check(images: Sequence[str | Path], settings: ModelSettings) -> None:
    """Refuse what cannot be read before minutes are spent on the others."""
    if not images:
        msg = "int8 is calibrated on images; name some that are like those to be predicted"
        raise RunError(msg)
    for image in images:
        with Raster(image) as raster:
            raster.expect(settings)
            check_scene(raster.path, raster.size, "cut it into parts")


def _labels(model: GLNet, graphs: OpenVinoGraphs, image: str | Path) -> np.ndarray:
    engine = Engine(FoldedNetwork(model.settings, model.classes, graphs), LIBRARY)
    views = model.settings.views  # all of them: every graph is to be calibrated
    with Raster(image) as raster:
        return engine.segment(raster, views).views[views[0]].labels()


def _keep_labels(
    model: GLNet, graphs: OpenVinoGraphs, images: Sequence[str | Path], folder: Path,
    progress: Callable[[int, int], object],
) -> None:  # fmt: skip
    for number, image in enumerate(images):
        np.save(folder / f"{number}.npy", _labels(model, graphs, image))
        progress(number + 1, len(images))


def _changed(
    model: GLNet, graphs: OpenVinoGraphs, images: Sequence[str | Path], folder: Path,
    progress: Callable[[int, int], object],
) -> float:  # fmt: skip
    """The share of labels that are not the kept ones."""
    changed = total = 0
    for number, image in enumerate(images):
        differs = _labels(model, graphs, image) != np.load(folder / f"{number}.npy")
        changed, total = changed + int(differs.sum()), total + differs.size
        progress(number + 1, len(images))
    return changed / total


def _write(
    nncf: Any,  # noqa: ANN401
    model: GLNet,
    samples: dict[Graph, list[Sample]],
    folder: Path,
    progress: Callable[[int, int], object],
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        write_graphs(model, Path(scratch), exact=False)
        graphs = [graph for graph in get_args(Graph) if graph_path(scratch, graph).is_file()]
        for done, graph in enumerate(graphs, start=1):
            path = graph_path(scratch, graph)
            if graph not in samples:
                msg = "the model looks at no patch of these images; name others"
                raise RunError(msg)
            try:
                _quantise(nncf, path, samples.pop(graph), graph_path(folder, graph))
            except Exception as error:  # NNCF, ONNX and its runtime raise whatever they like
                detail = " ".join(str(error).split())[:200]
                msg = f"the trunk {model.settings.trunk} cannot be quantised ({detail})"
                raise RunError(msg) from error
            progress(done, len(graphs))


def _quantise(nncf: Any, path: Path, samples: list[Sample], out: Path) -> None:  # noqa: ANN401
    import onnx  # noqa: PLC0415  of the extra torch

    # NNCF draws bars on stdout, and asks torch, which misses a GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    exact = onnx.load(path)
    read = {port.name for port in exact.graph.input}
    with contextlib.redirect_stdout(io.StringIO()):
        quantised = nncf.quantize(
            exact,
            nncf.Dataset(samples, lambda fed: {k: v for k, v in fed.items() if k in read}),
            subset_size=len(samples),
            # Maps of both signs lie unevenly around zero: a zero point of their own changes a
            # third fewer labels of the demo, for 3 % more time.
            preset=nncf.QuantizationPreset.MIXED,
            target_device=nncf.TargetDevice.CPU,
            ignored_scope=nncf.IgnoredScope(names=_exact_nodes(exact.graph), validate=False),
        )
    onnx.save(quantised, out)


def _exact_nodes(graph: Any) -> list[str]:  # noqa: ANN401  an onnx.GraphProto
    """Names of what stays in fp32: all but the trunk, without products, and the pyramid."""
    return [
        node.name
        for node in graph.node
        if node.op_type == "MatMul"
        or not ("/trunk/" in node.name or (node.op_type == "Conv" and _PYRAMID.search(node.name)))
    ]
