"""A model folder ready to run: by OpenVINO where no GPU is at hand, else by torch."""

import importlib.util
import shutil
import sys
from pathlib import Path

from glnet.bundle import GRAPHS, check_graphs, read_config
from glnet.datasets.classes import ClassTable
from glnet.engines.engine import Engine
from glnet.engines.folded import FoldedNetwork
from glnet.engines.memory import Keeper, plan_memory, read_costs
from glnet.engines.tables import table_of
from glnet.errors import BundleError, RunError
from glnet.extras import install

#: By their names; see `load_engine`.
ENGINES = ("auto", "openvino", "torch", "plain")
PRECISIONS = ("fp32", "bf16", "fp16", "int8")


def load_engine(
    folder: str | Path,
    device: str = "auto",
    precision: str = "fp32",
    engine: str = "auto",
) -> tuple[Engine, ClassTable]:
    """A model folder's folded network, and its classes.

    Args:
        folder: The model.
        device: auto, cpu, cuda, cuda:1, mps; OpenVINO is for the CPU.
        precision: fp32, bf16, fp16; int8, for which OpenVINO is the only engine.
        engine: `openvino`, `torch`, `plain` (torch, nothing folded: the reference) or `auto`:
            OpenVINO on the CPU where the folder has graphs.

    Raises:
        BundleError: not a model folder, or one without what the engine needs, or with graphs of
            other weights.
        RunError: no such device, precision or engine here.
    """
    if engine not in ENGINES:
        msg = f"engine {engine!r}: wanted one of {', '.join(ENGINES)}"
        raise RunError(msg)
    config = read_config(folder)
    if precision == "int8":
        if engine not in {"auto", "openvino"} or device not in {"auto", "cpu"}:
            msg = "int8 runs in OpenVINO on the CPU alone; say --engine openvino --device cpu"
            raise RunError(msg)
        engine = "openvino"
    if engine == "auto":
        engine = _best_engine(Path(folder), device)
    if engine in {"torch", "plain"}:
        _need_torch(folder, config.model.network)
        from glnet.engines.models import load_torch  # noqa: PLC0415  torch is an extra

        return load_torch(folder, device, precision, folded=engine == "torch")
    if device not in {"auto", "cpu"}:
        msg = f"device '{device}': the openvino engine computes on the CPU; say --engine torch"
        raise RunError(msg)
    if config.model.network != "glnet":
        msg = f"{folder}: a {config.model.network} has no graphs, which int8 and openvino need; "
        raise RunError(msg + "say --engine torch, and another precision")
    check_graphs(folder)
    from glnet.engines.openvino_engine import LIBRARY, OpenVinoGraphs  # noqa: PLC0415  slow to import

    table = table_of(folder, config)
    classes = len(table.trained)
    graphs = OpenVinoGraphs(folder, precision, classes)
    loaded = Engine(FoldedNetwork(config.model, classes, graphs), LIBRARY)
    loaded.keeper = Keeper(
        lambda wish: plan_memory(wish, read_costs(folder), config.model, classes),
        lambda plan: graphs.hold(resident=plan.resident),
    )
    return loaded, table


def _best_engine(folder: Path, device: str) -> str:
    if device not in {"auto", "cpu"} or not (folder / GRAPHS).is_dir():
        return "torch"
    if device == "cpu" or not _may_have_gpu() or not _has_torch():
        return "openvino"
    from glnet.engines.torch_engine import pick_device  # noqa: PLC0415

    return "openvino" if pick_device("auto").type == "cpu" else "torch"


def _may_have_gpu() -> bool:
    """A guess that costs nothing: importing torch, to ask it, takes seconds."""
    if sys.platform == "darwin":
        return True
    signs = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
    return any(Path(sign).exists() for sign in signs) or shutil.which("nvidia-smi") is not None


def _has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def _need_torch(folder: str | Path, network: str) -> None:
    """Refuse where torch is not installed, and say what else there is to do."""
    if _has_torch():
        return
    needed = f"torch is not installed; run: {install('torch')}"
    if (Path(folder) / GRAPHS).is_dir():
        msg = f"{needed}, or say --engine openvino --device cpu"
        raise RunError(msg)
    if network != "glnet":
        msg = f"{folder}: a {network} needs torch; run: {install('rivals')}"
        raise BundleError(msg)
    msg = f"{folder}: has no exported graphs and {needed}, or glnet export where it is"
    raise BundleError(msg)
