"""A model folder as a STAC Item with the Machine Learning Model extension, for catalogues."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from glnet.bundle import BundleConfig, Contents, contents_of, read_config
from glnet.bundle.config import CARD, CONFIG, WEIGHTS
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.engines.tables import table_of
from glnet.errors import BundleError
from glnet.recipe import ModelSettings

_EXTENSIONS = [
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in ("mlm/v1.5.2", "classification/v1.1.0", "file/v2.1.0")
]

_TASKS = ["semantic-segmentation"]

#: Where and when a model holds is not known: everywhere, always, and no place, as the
#: specification has it.
_ALWAYS = {
    "datetime": None,
    "start_datetime": "1900-01-01T00:00:00Z",
    "end_datetime": "9999-12-31T23:59:59Z",
}

_BINARY = "application/octet-stream"


def stac_item(folder: Path, out: Path) -> dict[str, Any]:
    """The item of a model folder.

    Args:
        folder: The model.
        out: Where it will lie: links are relative to that, and its stem is the item's name.

    Raises:
        BundleError: not a model folder, a damaged one, or one without its weights.
    """
    config, contents = read_config(folder), contents_of(folder)
    if contents.parameters is None:
        msg = f"{folder}: has no weights, which are what a catalogue points at"
        raise BundleError(msg)
    model, table = config.model, table_of(folder, config)
    properties: dict[str, Any] = {
        "description": config.origin,
        **_ALWAYS,
        **({} if config.licence is None else {"license": config.licence}),
        "mlm:name": _name(out.stem),
        "mlm:architecture": "GLNet" if model.network == "glnet" else model.network,
        "mlm:tasks": _TASKS,
        "mlm:framework": "PyTorch",
        "mlm:input": [_input(model)],
        "mlm:output": [_output(table)],
        "mlm:hyperparameters": model.model_dump(mode="json", exclude_none=True),
        "mlm:total_parameters": contents.parameters,
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": _EXTENSIONS,
        "id": out.stem,
        "geometry": None,
        "properties": properties,
        "links": [],
        "assets": _assets(folder, out, config, contents),
    }


def _name(stem: str) -> str:
    """The extension takes ASCII words of three letters and more."""
    words = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("_.-")
    return words if re.match(r"[A-Za-z].{2}", words) else f"glnet-model-{words}".strip("-")


def _input(model: ModelSettings) -> dict[str, Any]:
    """An image of any size; bands have no names, only an order."""
    given = model.input
    scaling: list[dict[str, Any]] = [{"type": "scale", "value": given.scale}] * model.bands
    if given.mean is not None and given.deviation is not None:
        # (value / scale - mean) / deviation, in one.
        scaling = [
            {"type": "z-score", "mean": mean * given.scale, "stddev": deviation * given.scale}
            for mean, deviation in zip(given.mean, given.deviation, strict=True)
        ]
    shape = {
        "shape": [1, model.bands, -1, -1],
        "dim_order": ["batch", "channel", "height", "width"],
    }
    return {
        "name": "image",
        "description": f"{model.bands} bands in the order of training; height and width are free.",
        "bands": [],
        "input": {**shape, "data_type": "float32"},
        "value_scaling": scaling,
    }


def _output(table: ClassTable) -> dict[str, Any]:
    return {
        "name": "mask",
        "description": "The value of a class for every pixel of the image.",
        "tasks": _TASKS,
        "result": {"shape": [-1, -1], "dim_order": ["height", "width"], "data_type": "uint8"},
        "classification:classes": [_class(row) for row in table.trained],
    }


def _class(row: ClassInfo) -> dict[str, Any]:
    """Names are for machines there; the description is the class's own."""
    name = re.sub(r"[^0-9A-Za-z_-]+", "-", row.name).strip("-") or f"class-{row.value}"
    colour = bytes(row.colour).hex().upper()
    return {"value": row.value, "name": name, "description": row.name, "color_hint": colour}


def _assets(
    folder: Path, out: Path, config: BundleConfig, contents: Contents
) -> dict[str, dict[str, Any]]:
    """Files that belong together: graphs of other weights are left out."""
    known: dict[str, dict[str, Any]] = {
        WEIGHTS: {
            "title": "Weights",
            "type": f"{_BINARY}; application=safetensors",
            "roles": ["mlm:model", "mlm:weights", "data"],
            "mlm:artifact_type": "safetensors.torch.save_file",
        },
        CONFIG: {
            "title": f"Settings and classes, format {config.format}",
            "type": "application/json",
            "roles": ["metadata"],
        },
        CARD: {"title": "Model card", "type": "text/markdown", "roles": ["metadata"]},
    }
    for name in contents.files:
        if name.endswith(".onnx") and not contents.unusable:
            known[name] = {
                "title": "Folded graph, a part of the model",
                "type": f"{_BINARY}; application=onnx",
                "roles": ["data"],
            }
    return {
        name: {"href": _link(folder / name, out.parent), **told, "file:size": contents.files[name]}
        for name, told in known.items()
        if name in contents.files
    }


def _link(path: Path, start: Path) -> str:
    """Relative where there is such a way, which on Windows may not be."""
    try:
        way = os.path.relpath(path.absolute(), start.absolute())
    except ValueError:
        return path.absolute().as_uri()
    href = quote(Path(way).as_posix())
    return href if href.startswith("../") else f"./{href}"
