"""`config.json`: what a model is, and which files of which glnet can be read."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from glnet import __version__
from glnet.errors import BundleError
from glnet.recipe import ModelSettings, Settings
from glnet.recipe.model import Licence, Positive

#: Of released versions; raised when one of them could no longer read what this one writes. There
#: is none older than 1, a newer one is refused, and so is a field that nobody knows: a folder is
#: read whole or not at all.
FORMAT = 1

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"

#: A raster is one scene of a prediction up to this many times the longest side of the training
#: scenes. Models that do not say what these were are taken for DeepGlobe's.
ONE_SCENE, _PAPER_SIDE = 1.25, 2448

#: Ground resolutions that differ by no more are the same.
SAME_RESOLUTION = 0.10

#: Of what a file says, so much is worth repeating.
_SHOWN = 40


class TrainedOn(Settings):
    """The scenes that a model has seen, in pixels of its input."""

    #: The longest side of all, and the median of their longer sides.
    largest: Positive
    median: Positive
    #: Metres per pixel, the median; None: the images do not say.
    resolution: Annotated[float, Field(gt=0)] | None = None
    #: How many; None: nobody counted.
    images: Positive | None = None
    scenes: Positive | None = None


class BundleConfig(Settings):
    """What `config.json` holds."""

    format: int = FORMAT
    glnet: str = __version__
    model: ModelSettings
    #: The class table's rows: name, value, colour, ignored, file, rest.
    classes: list[dict[str, Any]]
    #: Where the weights come from, in a sentence.
    origin: str
    #: None: nobody told; prediction then takes the paper's sizes.
    trained_on: TrainedOn | None = None
    #: Scores that were measured, e.g. {"validation mIoU": 0.71}.
    scores: dict[str, float] = Field(default_factory=dict)
    #: Of the weights, as an SPDX identifier, e.g. CC-BY-4.0; None: nobody stated one.
    licence: Licence | None = None
    #: The resolved recipe of the training run.
    recipe: dict[str, Any] | None = None

    @property
    def largest(self) -> int:
        """The longest side of the scenes that it was trained on, in pixels of its input."""
        if self.trained_on:
            return self.trained_on.largest
        return self.model.scene or _PAPER_SIDE


def read_config(folder: str | Path) -> BundleConfig:
    """Read and check a model folder's config.

    Raises:
        BundleError: not a model folder, or one of a newer glnet.
    """
    path = Path(folder) / CONFIG
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{folder}: not a glnet model folder (its {CONFIG} cannot be read: {error})"
        raise BundleError(msg) from error
    _check_format(folder, values)
    try:
        return BundleConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        msg = f"{path}: {place}: {first['msg']}"
        raise BundleError(msg) from error


def _check_format(folder: str | Path, values: object) -> None:
    found = values.get("format") if isinstance(values, dict) else None
    if not isinstance(values, dict) or type(found) is not int:
        told = "holds no settings" if not isinstance(values, dict) else "tells no format"
        msg = f"{folder}: not a glnet model folder (its {CONFIG} {told})"
        raise BundleError(msg)
    if found > FORMAT:
        writer = _short(values.get("glnet"))
        msg = (
            f"{folder}: model format {found} of glnet {writer}, this glnet {__version__} reads "
            f"{FORMAT}; get glnet {writer} or a newer one"
        )
        raise BundleError(msg)
    if found < FORMAT:
        msg = f"{folder}: model format {found} does not exist; glnet {__version__} reads {FORMAT}"
        raise BundleError(msg)


def _short(told: object) -> str:
    """A version as a stranger's file tells it, fit for a line."""
    text = str(told)[:_SHOWN]
    return text if text.isascii() and text.isprintable() else "unknown"
