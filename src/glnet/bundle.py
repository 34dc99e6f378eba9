"""The bundle: a model folder that holds all a prediction needs.

`config.json` (settings, classes, origin), `model.safetensors` (weights), `README.md` (card); and
`graphs`, once exported, with a digest of the weights that they were exported from.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from glnet import __version__
from glnet.errors import BundleError
from glnet.recipe import ModelSettings, Settings
from glnet.recipe.model import Positive

#: The plain global branch, the local one, the refined global one.
Graph = Literal["global", "local", "refined"]

#: Raised when an older glnet could no longer read what this one writes.
FORMAT = 1

_CONFIG, _WEIGHTS, _CARD = "config.json", "model.safetensors", "README.md"

#: The folder of exported graphs, in a model folder that has them.
GRAPHS = "graphs"

#: In that folder.
_DIGEST = "weights.sha256"

#: Within it, the folder of those in int8, where there are any.
INT8 = "int8"


class TrainedOn(Settings):
    """The scenes that a model has seen, in pixels of its input."""

    #: The longest side of all, and the median of their longer sides.
    largest: Positive
    median: Positive
    #: Metres per pixel, the median; None: the images do not say.
    resolution: Annotated[float, Field(gt=0)] | None = None


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
    #: The resolved recipe of the training run.
    recipe: dict[str, Any] | None = None


def write_bundle(folder: str | Path, config: BundleConfig, tensors: dict[str, np.ndarray]) -> None:
    """Write a model folder; it appears whole or not at all, an older one is replaced.

    Raises:
        BundleError: the folder cannot be written, or holds something that is no bundle.
    """
    folder = Path(folder).resolve()
    if (
        folder.exists()
        and not (folder / _CONFIG).is_file()
        and (not folder.is_dir() or any(folder.iterdir()))
    ):
        msg = f"{folder}: holds something that is no model; name a new or an empty folder"
        raise BundleError(msg)
    partial, replaced = (
        folder.with_name(f"{folder.name}.{word}") for word in ("partial", "replaced")
    )
    try:
        if replaced.exists() and not folder.exists():
            replaced.rename(folder)  # a process was killed between two renames
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, partial / _WEIGHTS)
        (partial / _CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (partial / _CARD).write_text(_card(config), encoding="utf-8")
        _settle(partial)
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            folder.rename(replaced)
        partial.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        if replaced.exists() and not folder.exists():
            replaced.rename(folder)
        msg = f"{folder}: the model cannot be written there ({error})"
        raise BundleError(msg) from error


def _settle(partial: Path) -> None:
    """Flush all files of a model folder, and read its weights' table of contents again."""
    for path in partial.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())
    # Refuses a file that is shorter than its table says.
    with safe_open(partial / _WEIGHTS, "numpy"):
        pass


def read_config(folder: str | Path) -> BundleConfig:
    """Read and check a model folder's config.

    Raises:
        BundleError: not a model folder, or one of a newer glnet.
    """
    path = Path(folder) / _CONFIG
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{folder}: not a glnet model folder (its {_CONFIG} cannot be read: {error})"
        raise BundleError(msg) from error
    found = values.get("format") if isinstance(values, dict) else None
    if found != FORMAT:
        msg = f"{folder}: model format {found}, this glnet {__version__} reads {FORMAT}"
        raise BundleError(msg)
    try:
        return BundleConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        msg = f"{path}: {place}: {first['msg']}"
        raise BundleError(msg) from error


def read_bundle(folder: str | Path) -> tuple[BundleConfig, dict[str, np.ndarray]]:
    """A model folder's config and weights.

    Raises:
        BundleError: see `read_config`; or the weights are damaged.
    """
    config = read_config(folder)
    try:
        return config, load_file(Path(folder) / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        msg = f"{Path(folder) / _WEIGHTS}: cannot be read as weights ({error})"
        raise BundleError(msg) from error


def graph_path(folder: str | Path, graph: Graph) -> Path:
    """Where a graph lies in a folder of graphs."""
    return Path(folder) / f"{graph}.onnx"


def weights_digest(folder: str | Path) -> str | None:
    """SHA-256 of a model folder's weights; None where they cannot be read."""
    try:
        with (Path(folder) / _WEIGHTS).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def write_digest(graphs: Path, digest: str) -> None:
    """Keep beside graphs which weights they are of."""
    (graphs / _DIGEST).write_text(digest + "\n", encoding="ascii")


def check_graphs(folder: str | Path) -> None:
    """Refuse a model folder whose graphs are missing, or of other weights than lie beside them.

    Raises:
        BundleError: so it is, or an older glnet exported them; the line says what to run.
    """
    graphs, export = Path(folder) / GRAPHS, f"run: glnet export {folder}"
    if not graphs.is_dir():
        msg = f"{folder}: has no exported graphs; {export}"
        raise BundleError(msg)
    try:
        digest = (graphs / _DIGEST).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        msg = f"{folder}: its graphs do not tell which weights they are of; {export}"
        raise BundleError(msg) from error
    # Graphs run without weights beside them.
    if weights_digest(folder) not in {digest, None}:
        msg = f"{folder}: its graphs were exported from other weights; {export}"
        raise BundleError(msg)


def _card(config: BundleConfig) -> str:
    """The model card: what is known, and how to run it."""
    model = config.model
    names = ", ".join(dict.fromkeys(str(r["name"]) for r in config.classes if not r["ignored"]))
    scores = "".join(f"- {name}: {value:.4f}\n" for name, value in config.scores.items())
    return (
        f"# A glnet model\n\n{config.origin}\n\n"
        f"- classes: {names}\n"
        f"- {model.network} on the trunk {model.trunk}, branches: {model.branches}, "
        f"sharing: {model.sharing if model.branches == 'both' else 'none'}\n"
        f"- thumbnail {model.thumbnail} px, patches {model.patch} px, {model.bands} bands\n"
        f"{scores}\n"
        f"Run it: `glnet predict IMAGE --model THIS_FOLDER -o MASK.tif`\n"
    )
