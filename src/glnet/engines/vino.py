"""OpenVINO without its telemetry, which reports every import to its makers and writes to the home.

It does without where that package is missing, so it is hidden while OpenVINO is imported.
"""

import contextlib
import functools
import sys
from collections.abc import Iterator
from typing import Any

_TELEMETRY = "openvino_telemetry"


@contextlib.contextmanager
def untold() -> Iterator[None]:
    """While it lasts, what is imported finds no telemetry."""
    hides = _TELEMETRY not in sys.modules
    if hides:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hides:
            del sys.modules[_TELEMETRY]


with untold():
    import openvino

__all__ = ["core", "openvino", "untold"]


@functools.cache
def core() -> Any:  # noqa: ANN401  openvino has no types
    """OpenVINO's own; one for all of the process's life.

    Every one gives its thread a stack for signals and takes it back when it goes, to the one that
    was there when it came. Of two that overlap, the first to go leaves the thread without a stack,
    and the next signal that Python handles, Ctrl-C among them, ends the process without a word.
    """
    return openvino.Core()
