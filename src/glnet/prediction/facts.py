"""All that the parts of a raster depend on, so that nothing stale is ever used."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from glnet import __version__
from glnet.prediction.identity import identities, identity
from glnet.prediction.layers import Layer
from glnet.prediction.opening import Opened
from glnet.prediction.predictor import Predictor

#: What is done about errors changes no part that has none; of a file its content counts.
_NO_MATTER = ("on_error", "within")


def facts_of(predictor: Predictor, opened: Opened, layers: Sequence[Layer]) -> dict[str, object]:
    """As plain values, for `identity.key_of`."""
    source, within, told = opened.source, predictor.options.within, predictor.computes
    raster, options = source.raster, asdict(replace(predictor.options, view=told.view))
    return {
        "glnet": __version__,
        "model": predictor.digests,
        "raster": raster.remote.identity if raster.remote else identities(raster.files),
        "place": raster.georeference,
        "nodata": raster.nodata,
        "options": {name: str(options[name]) for name in options if name not in _NO_MATTER},
        "slide": None if raster.slide is None else raster.slide.identity,
        "within": None if within is None else identity(Path(within)),
        "scale": source.scale,
        "parts": [opened.size, opened.parts[0].scene.size, opened.parts[0].core.size],
        "layers": [layer.kind for layer in layers],
        "engine": [told.library, told.device, told.precision, told.threads],
    }
