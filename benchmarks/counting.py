"""Multiply-adds of a network, and how many of them a machine can do in a second."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from glnet.engines.loading import load_engine
from glnet.geometry import Size
from glnet.scenes import Decoded
from watching import Watched, run_once

_GIGA = 1e9
_SIDE, _TIMES = 4096, 5
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Work(NamedTuple):
    """GMAC: of the global branches, once a scene, and of each patch, aggregation included."""

    scene: float
    patch: float


@contextlib.contextmanager
def multiply_adds(counts: Counter, name: str) -> Iterator[None]:
    """Add up all convolutions and matrix products that torch does; padding counts as read."""
    with FlopCounterMode(display=False) as counter:
        yield
    counts[name] += counter.get_total_flops() // 2


def count_work(model: Path, engine: str, size: Size) -> Work:
    """What a scene of a size takes, resampling by matrices included.

    Args:
        model: Of both branches.
        engine: `plain` or `torch`; OpenVINO's graphs are those of `torch`.
        size: Of the scene; the cells under a patch depend on it.
    """
    loaded, _ = load_engine(model, "cpu", "fp32", engine)
    bands, counts = loaded.settings.bands, Counter()
    loaded.network = Watched(loaded.network, partial(multiply_adds, counts))
    pixels, small = (np.zeros((bands, *sides), np.uint8) for sides in (size, loaded.thumbnail_size))
    run_once(loaded, Decoded(pixels, small), 1)
    scene, patch = counts["look"] + counts["refine"], counts["local"] + counts["share"]
    return Work(scene / _GIGA, patch / _GIGA)


def matrix_peak(device: str, precision: str) -> float:
    """GMAC per second of a large matrix product, the best of several: NumPy's for fp32 on CPUs."""
    rng = np.random.default_rng(0)
    one, other = (rng.random((_SIDE, _SIDE), np.float32) for _ in range(2))
    on_cuda = device.startswith("cuda")
    if on_cuda or precision != "fp32":
        torch.backends.cuda.matmul.allow_tf32 = False
        one, other = (torch.from_numpy(a).to(device, _DTYPES[precision]) for a in (one, other))
    times = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        one @ other
        if on_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return _SIDE**3 / _GIGA / min(times)
