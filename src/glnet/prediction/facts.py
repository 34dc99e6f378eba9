"""All that the parts of a raster depend on, so that nothing stale is ever used."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from glnet import __version__
from glnet.engines.engine import Engine
from glnet.engines.threads import threads
from glnet.prediction.identity import identity, model_digests
from glnet.prediction.layers import Layer
from glnet.prediction.opening import Opened
from glnet.prediction.options import PredictOptions


def facts_of(
    image: Path, model: Path, engine: Engine, precision: str, opened: Opened,
    options: PredictOptions, layers: Sequence[Layer],
) -> dict[str, object]:  # fmt: skip
    """As plain values, for `identity.key_of`."""
    source = opened.source
    within = options.within
    return {
        "glnet": __version__,
        "model": model_digests(model),
        "raster": source.raster.remote.identity if source.raster.remote else identity(image),
        "options": {name: str(value) for name, value in asdict(options).items()},
        "slide": None if source.raster.slide is None else source.raster.slide.identity,
        "within": None if within is None else identity(Path(within)),
        "scale": source.scale,
        "parts": [opened.size, opened.parts[0].scene.size, opened.parts[0].core.size],
        "layers": [layer.kind for layer in layers],
        "engine": [engine.library, engine.device_type, precision, threads()],
    }
