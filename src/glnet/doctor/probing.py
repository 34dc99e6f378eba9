"""Imports libraries and asks them of this machine: `python -m glnet.doctor.probing NAME ...`.

A line of JSON each, as soon as it is known: the next library may end the process.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

#: A coordinate system that every PROJ knows, and its name there.
_EPSG, _NAMED = 32632, "WGS 84 / UTM zone 32N"

#: Of a message, so much is worth a line.
_SHOWN = 300


def asked(name: str) -> dict[str, object]:
    """What becomes of importing a library, and what it tells."""
    try:
        module = importlib.import_module(name)
        told = _TELLS.get(name, lambda _: {})(module)
    except BaseException as error:
        return {"name": name, "error": one_line(error)}
    return {"name": name, "version": str(getattr(module, "__version__", "")), "told": told}


def one_line(error: BaseException) -> str:
    """What an exception says, for a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")[:_SHOWN]


def _rasterio(rasterio: Any) -> dict[str, object]:  # noqa: ANN401
    from rasterio.crs import CRS  # noqa: PLC0415

    error = ""
    try:
        with rasterio.Env():
            if _NAMED not in (written := CRS.from_epsg(_EPSG).to_wkt()):
                error = f"EPSG:{_EPSG} is {written}"
    except Exception as refused:
        error = one_line(refused)
    return {"gdal": rasterio.__gdal_version__, "proj": error}


def _openvino(openvino: Any) -> dict[str, object]:  # noqa: ANN401
    core = openvino.Core()
    return {
        "arithmetic": list(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        "processor": core.get_property("CPU", "FULL_DEVICE_NAME").strip(),
    }


def _torch(torch: Any) -> dict[str, object]:  # noqa: ANN401
    built = torch.version.cuda or torch.version.hip
    told: dict[str, object] = {"built": built, "mps": torch.backends.mps.is_available()}
    if not built:
        return told
    try:
        torch.zeros(1, device="cuda")
    except (RuntimeError, AssertionError) as error:
        told["why"] = one_line(error)
    told["gpus"] = [_gpu(torch, index) for index in range(torch.cuda.device_count())]
    return told


def _gpu(torch: Any, index: int) -> dict[str, object]:  # noqa: ANN401
    """A GPU, and whether it convolves: a torch may have been built for other ones."""
    gpu = torch.cuda.get_device_properties(index)
    error = ""
    try:
        pixels = torch.ones(1, 1, 8, 8, device=f"cuda:{index}")
        torch.nn.functional.conv2d(pixels, pixels).item()
    except RuntimeError as refused:
        error = one_line(refused)
    return {"name": gpu.name, "memory": f"{gpu.total_memory / (1 << 30):.0f}GiB", "error": error}


_TELLS: dict[str, Callable[[Any], dict[str, object]]] = {
    "rasterio": _rasterio,
    "openvino": _openvino,
    "torch": _torch,
}

if __name__ == "__main__":
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # see engines.vino
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # libraries may print
        for each in sys.argv[1:]:
            print(json.dumps(asked(each)), file=answers, flush=True)
