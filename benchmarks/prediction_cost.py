"""What one prediction costs, in a process that has done nothing before; predict.py starts it.

    python benchmarks/prediction_cost.py MODEL IMAGE ENGINE PRECISION DEVICE PASSES

Imports torch only where the engine needs it. Prints a JSON line.
"""

import contextlib
import importlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

from glnet.benchmark.process import decode
from glnet.engines.held import peak, resident
from glnet.engines.loading import load_engine
from glnet.prediction import predict as prediction
from watching import Watched, run_once

_MIB = 1 << 20
_LIBRARIES = {"openvino": "glnet.engines.openvino_engine"}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one prediction: seconds, shares, MiB.

    Attributes:
        forward: The decoded scene to scores in memory, engine loaded and warm: the best pass.
        file_to_mask: `glnet.predict`, loading the model included, imports not.
        loading: Weights, folding and compiling.
        outside: The share of file to mask without loading that no call into the network took.
        added: What the prediction added to the process, at its peak.
        process: All that the process held then, what importing took included.
        cuda: The most that tensors took.
        patches: How many the local branch saw.
    """

    forward: float
    file_to_mask: float
    loading: float
    outside: float
    added: float | None
    process: float | None
    cuda: float | None
    patches: int


@dataclass(frozen=True, slots=True)
class Task:
    """What to measure."""

    model: Path
    image: Path
    engine: str
    precision: str
    device: str


def measure(task: Task, passes: int) -> Cost:
    """File to mask first, as memory is counted in a process that has done nothing."""
    wait = prepare(task)
    before = resident()
    plain = parts = predict(task, _nothing)
    after = peak()
    cuda = None
    if wait is not _nothing:
        cuda = sys.modules["torch"].cuda.max_memory_allocated(task.device) / _MIB
        # To wait after each call tells where time goes, and takes time: a run of its own.
        parts = predict(task, wait)
    if task.engine == "openvino" and "torch" in sys.modules:
        sys.exit("the openvino engine imported torch")
    seconds, patches = forward(task, wait, passes)
    return Cost(
        forward=seconds,
        file_to_mask=plain["total"],
        loading=parts["loading"],
        outside=1 - parts["network"] / (parts["total"] - parts["loading"]),
        added=(after - before) / _MIB if before is not None and after is not None else None,
        process=after / _MIB if after is not None else None,
        cuda=cuda,
        patches=patches,
    )


def prepare(task: Task) -> Callable[[], None]:
    """Import what computes and wake the device; gives what waits until the device is done."""
    importlib.import_module(_LIBRARIES.get(task.engine, "glnet.engines.models"))
    if not task.device.startswith("cuda"):
        return _nothing
    torch = sys.modules["torch"]
    torch.zeros(1, device=task.device)
    return partial(torch.cuda.synchronize, task.device)


def _nothing() -> None:
    """There is nothing to wait for."""


def predict(task: Task, wait: Callable[[], None]) -> Counter:
    """`glnet.predict`: seconds in total, of loading, and within the network."""
    spent: Counter = Counter()

    @contextlib.contextmanager
    def clocked(part: str) -> Iterator[None]:
        wait()
        began = time.perf_counter()
        yield
        wait()
        spent[part] += time.perf_counter() - began

    def load(*arguments: str) -> tuple:
        with clocked("loading"):
            engine, table = load_engine(*arguments)
        engine.network = Watched(engine.network, lambda _: clocked("network"))
        return engine, table

    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        stack.enter_context(patch.object(prediction, "load_engine", load))
        if task.engine == "openvino":
            stack.enter_context(_compiling(clocked))
        with clocked("total"):
            prediction.predict(
                task.image, task.model, Path(folder) / "mask.tif", device=task.device,
                precision=task.precision, engine=task.engine,
            )  # fmt: skip
    # Graphs are compiled when they are first run.
    spent["network"] -= spent["compiling"]
    spent["loading"] += spent["compiling"]
    return spent


def _compiling(clocked: Callable) -> contextlib.AbstractContextManager:
    """While it lasts, compiling a graph is clocked."""
    from glnet.engines.openvino_engine import OpenVinoGraphs  # noqa: PLC0415  slow to import

    compiled = OpenVinoGraphs._compiled  # noqa: SLF001  where OpenVINO's loading happens

    def compile_clocked(*arguments: object) -> object:
        with clocked("compiling"):
            return compiled(*arguments)

    return patch.object(OpenVinoGraphs, "_compiled", compile_clocked)


def forward(task: Task, wait: Callable[[], None], passes: int) -> tuple[float, int]:
    """Seconds of the best pass of a warm engine, and the number of patches."""
    engine, _ = load_engine(task.model, task.device, task.precision, task.engine)
    scene = decode(task.image, engine.settings)
    run_once(engine, scene, engine.mini_batch)
    times = []
    for _ in range(passes):
        wait()
        began = time.perf_counter()
        found = engine.segment(scene, [engine.settings.views[0]])
        wait()
        times.append(time.perf_counter() - began)
    return min(times), found.patches.computed


if __name__ == "__main__":
    _model, _image, *_how, _passes = sys.argv[1:]
    _task = Task(Path(_model), Path(_image), *_how)
    print(json.dumps(asdict(measure(_task, int(_passes)))))
