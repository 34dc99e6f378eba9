"""All of it, one after another."""

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from glnet import __version__
from glnet.doctor import gathering
from glnet.doctor.asking import asked_apart, import_all
from glnet.doctor.facts import Imported
from glnet.doctor.finding import Finding
from glnet.doctor.judging import judge_memory, judge_place, judge_processor, judge_settings
from glnet.doctor.libraries import LIBRARIES, judge_gpus, judge_libraries
from glnet.doctor.models import judge_model
from glnet.doctor.places import look_at

#: What predicting takes unless told otherwise.
BUDGET = 2 << 30


def examine(
    folder: Path,
    model: str | Path | None = None,
    *,
    trial: bool = True,
    said: Callable[[str], None] = lambda _: None,
) -> Iterator[Finding]:
    """Look at this installation and this machine.

    Args:
        folder: Where masks would be written.
        model: A model that shall run here, or none.
        trial: Predict a small image, too.
        said: Is told what begins.
    """
    said("importing libraries; torch takes a while")
    found = import_all(LIBRARIES)
    torch, openvino = found["torch"], found["openvino"]
    yield _this()
    yield from judge_libraries(found)
    gdal = found["rasterio"].told.get("gdal")
    if gdal:
        yield Finding("libraries", "ok", f"GDAL {gdal} in rasterio")
    said("looking at the machine")
    yield from judge_gpus(torch, gathering.nvidia(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    name, arithmetic = openvino.told.get("processor", ""), openvino.told.get("arithmetic", [])
    yield from judge_processor(gathering.processor(), name, arithmetic, os.environ)
    yield from judge_memory(gathering.memory(), BUDGET)
    passing = Path(tempfile.gettempdir())
    yield from judge_place(look_at(folder, "masks into", needed=True))
    yield from judge_place(look_at(passing, "temporary files into", needed=False))
    proj = found["rasterio"].told.get("proj", "")
    yield from judge_settings(os.environ, proj, gathering.open_files())
    if model is not None:
        said("looking at the model")
        judged = list(judge_model(model, torch, arithmetic))
        yield from judged
        if any(each.stops for each in judged):
            return
    if trial and all(found[each.name].works for each in LIBRARIES if not each.extra):
        said("predicting a small image; torch takes a while")
        yield from _tried(model, found)


def _this() -> Finding:
    what = f"glnet {__version__}, Python {platform.python_version()} ({sys.executable})"
    return Finding("libraries", "ok", f"{what}, {platform.platform()}")


def _tried(model: str | Path | None, found: dict[str, Imported]) -> Iterator[Finding]:
    torch = all(found[name].works for name in ("torch", "torchvision", "timm", "onnx"))
    arguments = ["" if model is None else str(model), "torch" if torch else ""]
    try:
        with tempfile.TemporaryDirectory(prefix="glnet-doctor-") as folder:
            answers, end = asked_apart("glnet.doctor.trial", [folder, *arguments])
    except OSError as error:
        what = f"nothing was tried: no temporary folder ({error.strerror or error})"
        yield Finding("trial", "note", what, "set TMPDIR to a folder that can be written")
        return
    yield from (Finding(**answer) for answer in answers)
    if end:
        last = f", after: {answers[-1]['what']}" if answers else ""
        yield Finding("trial", "problem", f"the trial {end}{last}", stops=True)
