"""What is written of every pixel: its class, how sure the network is, the classes' shares."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from glnet.datasets.classes import ClassTable
from glnet.geometry import Window, tiles
from glnet.mosaic import best_class, on_host
from glnet.outputs.rasters import BLOCK
from glnet.prediction.blending import Composed
from glnet.probability import UNSAID, probabilities

Kind = Literal["mask", "confidence", "probabilities", "scores"]

#: By kind, (bands, height, width) each.
Arrays = dict[Kind, np.ndarray]


@dataclass(frozen=True, slots=True)
class Layer:
    """One output file.

    Attributes:
        kind: What it tells.
        path: Where it goes.
        bands: Their names; a mask's one has the class names as metadata instead.
        dtype: Of its values.
        nodata: What it holds where nothing was segmented.
    """

    kind: Kind
    path: Path
    bands: tuple[str, ...]
    dtype: str
    nodata: float


def plan_layer(kind: Kind, path: Path, table: ClassTable) -> Layer:
    """What a file of a kind holds."""
    names = tuple(table.names)
    if kind == "mask":
        return Layer(kind, path, ("class",), "uint8", unused_value(table))
    if kind == "scores":
        return Layer(kind, path, names, "float32", float("nan"))
    return Layer(kind, path, ("confidence",) if kind == "confidence" else names, "uint8", UNSAID)


def unused_value(table: ClassTable) -> int:
    """A mask's value for ground without data: 255, or the largest that means no class."""
    return max(set(range(256)) - {row.value for row in table.rows}, default=255)


def compute(
    found: Composed, layers: Sequence[Layer], table: ClassTable
) -> Iterator[tuple[Window, Arrays]]:
    """The layers of a part's core, strip by strip: a window of the core, and what belongs there.

    Args:
        found: The part.
        layers: Which.
        table: The model's classes.
    """
    core = found.part.core
    values = np.array(table.values, np.uint8)
    kinds = {layer.kind for layer in layers}
    for strip in tiles(core.size, BLOCK):
        if found.read is None:
            yield strip, _blank(strip, layers)
            continue
        made = _of_strip(found.read(core.within(strip)), kinds, values)
        if found.kept is not None:
            for layer in layers:
                made[layer.kind][:, ~found.kept[strip.slices]] = layer.nodata
        yield strip, made


def _blank(strip: Window, layers: Sequence[Layer]) -> Arrays:
    """Ground without data."""
    return {
        layer.kind: np.full((len(layer.bands), *strip.size), layer.nodata, layer.dtype)
        for layer in layers
    }


def _of_strip(found: Any, kinds: set[Kind], values: np.ndarray) -> Arrays:  # noqa: ANN401  any array kind
    """What scores (classes, rows, columns) say, by kind."""
    made: Arrays = {}
    if "mask" in kinds:
        made["mask"] = values[on_host(best_class(found))][None]
    if kinds == {"mask"}:
        return made
    scores = on_host(found)
    if "scores" in kinds:
        made["scores"] = scores.copy()
    if kinds & {"confidence", "probabilities"}:
        steps = probabilities(scores)
        made["probabilities"], made["confidence"] = steps, steps.max(axis=0)[None]
    return {kind: array for kind, array in made.items() if kind in kinds}
