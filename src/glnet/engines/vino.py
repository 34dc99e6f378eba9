"""OpenVINO without its telemetry, which reports every import to its makers and writes to the home.

It does without where that package is missing, so it is hidden while OpenVINO is imported.
"""

import sys

_TELEMETRY = "openvino_telemetry"

_hides = _TELEMETRY not in sys.modules
if _hides:
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
try:
    import openvino
finally:
    if _hides:
        del sys.modules[_TELEMETRY]

__all__ = ["openvino"]
