"""OpenVINO without its telemetry, which reports every import to its makers and writes to the home.

It does without where that package is missing, so it is hidden while OpenVINO is imported.
"""

import contextlib
import sys
from collections.abc import Iterator

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

__all__ = ["openvino", "untold"]
