"""What a prediction costs, measured in a process of its own: `python -m glnet.benchmark.measuring`.

Memory and speed of a process depend on what it did before; a fresh one has done nothing.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from glnet import __version__
from glnet.benchmark.process import decode, processor
from glnet.bundle import contents_of
from glnet.engines.engine import Engine
from glnet.engines.held import peak, resident
from glnet.engines.loading import load_engine
from glnet.engines.threads import threads
from glnet.errors import RunError
from glnet.prediction.predict import predict
from glnet.recipe import View

#: The forward pass is repeated while it has taken fewer seconds than this, and the best one counts.
_ENOUGH = 10.0
_PASSES = 3
_MEGA = 1e6
_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one prediction.

    Attributes:
        parameters: Of the network.
        megapixels: Of the image.
        forward: Megapixels per second: the decoded image to scores in memory, network loaded.
        file_to_mask: Megapixels per second of `glnet.predict`: loading, reading and writing too.
        memory_mb: What the prediction added: on the CPU to the process, at its peak, the weights
            included; on CUDA the most that tensors took. None where the system does not say.
        reserved_mb, driver_mb: CUDA: what the allocator held, and what the driver counts.
        machine: Device, threads, versions.
    """

    parameters: int
    megapixels: float
    forward: float
    file_to_mask: float
    memory_mb: float | None
    reserved_mb: float | None
    driver_mb: float | None
    machine: str


def measure(model: Path, image: Path, view: View, device: str) -> Cost:
    """Predict an image in a new process.

    Raises:
        RunError: the process failed; the line holds its last words.
    """
    command = [sys.executable, "-m", "glnet.benchmark.measuring", str(model), str(image)]
    done = subprocess.run(  # noqa: S603  our own interpreter and module
        [*command, view, device], check=False, capture_output=True, text=True
    )
    if done.returncode:
        words = done.stderr.strip().splitlines()
        msg = f"{image}: measuring a prediction failed ({words[-1] if words else 'no message'})"
        raise RunError(msg)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _measure(model: Path, image: Path, view: View, device: str) -> Cost:
    before = resident()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        predict(image, model, Path(folder) / "mask.tif", view=view, device=device)
        whole = time.perf_counter() - began
    after = peak()
    engine, _ = load_engine(model, device)
    scene = decode(image, engine.settings)
    times: list[float] = []
    while len(times) < _PASSES and sum(times) < _ENOUGH:
        began = time.perf_counter()
        engine.segment(scene, [view])
        if engine.device_type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    megapixels = scene.size.area / _MEGA
    on_cuda = engine.device_type == "cuda"
    added = (after - before) / _MB if before is not None and after is not None else None
    return Cost(
        contents_of(model).parameters or 0,
        megapixels,
        megapixels / min(times),
        megapixels / whole,
        torch.cuda.max_memory_allocated() / _MB if on_cuda else added,
        torch.cuda.max_memory_reserved() / _MB if on_cuda else None,
        _driver_mb() if on_cuda else None,
        _machine(engine),
    )


def _driver_mb() -> float | None:
    """What the driver counts for the device; it takes NVIDIA's library to ask."""
    try:
        return torch.cuda.device_memory_used() / _MB
    except (ImportError, RuntimeError):
        return None


def _machine(engine: Engine) -> str:
    kind = engine.device_type
    if kind == "cuda":
        return f"{torch.cuda.get_device_name()}; glnet {__version__}, torch {torch.__version__}"
    name = processor() if kind == "cpu" else kind
    return f"{name}, {threads()} threads; glnet {__version__}, {engine.library}"


if __name__ == "__main__":
    _model, _image, _view, _device = sys.argv[1:]
    print(json.dumps(asdict(_measure(Path(_model), Path(_image), _view, _device))))  # type: ignore[arg-type]  # noqa: T201
