"""What another arithmetic would gain on an image, and how many of its labels it would change."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glnet.bundle import find_model, read_config
from glnet.engines.engine import Engine
from glnet.engines.loading import PRECISIONS, load_engine
from glnet.errors import BundleError, RasterError, RunError
from glnet.prediction.opening import open_source
from glnet.prediction.options import PredictOptions
from glnet.recipe import View
from glnet.scenes import Scene

#: A first run that was shorter than this many seconds is repeated: it loaded the graphs too.
_SHORT = 60.0

#: Bytes of a decoded image that may be held.
_HELD = 2 << 30


@dataclass(frozen=True, slots=True)
class Advice:
    """One precision on an image.

    Attributes:
        precision: fp32, the reference, comes first.
        seconds: From the open image to its labels; None where it cannot be used here.
        changed: The share of the labels that differ from fp32's.
        why_not: Why it cannot be used here.
    """

    precision: str
    seconds: float | None = None
    changed: float = 0.0
    why_not: str = ""


def advise(
    image: str | Path,
    model: str | Path,
    *,
    view: View | None = None,
    device: str = "auto",
    engine: str = "auto",
) -> Iterator[Advice]:
    """Predict an image in every precision, of a large one the middle scene; compare with fp32.

    Args:
        image, model, view, device, engine: See `glnet.predict`.

    Raises:
        GlnetError: the image, the model or the device cannot be used.
    """
    model = find_model(model)
    reference: np.ndarray | None = None
    with open_source(image, read_config(model), PredictOptions(view), _HELD) as opened:
        part = opened.parts[len(opened.parts) // 2]
        scene = opened.source.read(part).scene
        if scene is None:
            msg = f"{image}: its middle holds no data; try another image"
            raise RasterError(msg)
        for precision in PRECISIONS:
            try:
                loaded, _ = load_engine(model, device, precision, engine)
            except (BundleError, RunError) as error:
                if precision == PRECISIONS[0]:
                    raise
                yield Advice(precision, why_not=str(error))
                continue
            labels, seconds = _timed(loaded, scene, loaded.chosen(view))
            reference = labels if reference is None else reference
            yield Advice(precision, seconds, float((labels != reference).mean()))


def _timed(engine: Engine, scene: Scene, view: View) -> tuple[np.ndarray, float]:
    seconds = 0.0
    for _ in range(2):
        began = time.perf_counter()
        labels = engine.segment(scene, [view]).views[view].labels()
        seconds = time.perf_counter() - began
        if seconds > _SHORT:
            break
    return labels, seconds
