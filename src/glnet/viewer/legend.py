"""What the values of a mask mean: from a class table, or from the mask itself."""

from dataclasses import dataclass

import numpy as np

from glnet.datasets.classes import ClassTable, Colour, default_colour
from glnet.outputs.rasters import class_names
from glnet.raster import Raster


@dataclass(frozen=True, slots=True)
class Entry:
    """A class: its value in masks, its name, its colour."""

    value: int
    name: str
    colour: Colour


def legend_of(mask: Raster, table: ClassTable | None) -> tuple[Entry, ...]:
    """The classes of a mask by value; empty where neither it nor a table names them."""
    if table is not None:
        rows = zip(table.values, table.names, table.colours, strict=True)
        return tuple(sorted((Entry(*row) for row in rows), key=lambda entry: entry.value))
    if mask.is_photo:
        return ()
    with mask.by_gdal() as dataset:
        named = class_names(dataset.tags(1))
    return tuple(Entry(value, named[value], _colour(mask, value)) for value in sorted(named))


def unnamed(mask: Raster) -> tuple[Entry, ...]:
    """All values that a mask may hold, as classes that go by them."""
    return tuple(Entry(value, f"value {value}", _colour(mask, value)) for value in range(256))


def _colour(mask: Raster, value: int) -> Colour:
    if mask.palette is not None and value < len(mask.palette):
        red, green, blue = mask.palette[value].tolist()
        return red, green, blue
    return default_colour(value)


def colours_of(legend: tuple[Entry, ...], without: frozenset[int]) -> np.ndarray:
    """What is painted for every value, shape (256, 4): nothing for others than the legend's."""
    painted = np.zeros((256, 4), np.uint8)
    for entry in legend:
        if entry.value not in without:
            painted[entry.value] = (*entry.colour, 255)
    return painted
