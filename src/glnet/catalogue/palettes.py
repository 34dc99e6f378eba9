"""Index masks whose palette says which value is which class."""

from dataclasses import replace
from pathlib import Path

from glnet.datasets.classes import ClassTable
from glnet.errors import DataError
from glnet.raster import Raster


def as_stored(table: ClassTable, mask: Path) -> ClassTable:
    """A class table with the values that a mask's palette gives to the classes' colours.

    Unchanged where the mask has no palette, or one that lacks the colour of a trained class: then
    its colours are for show.

    Raises:
        DataError: the palette leaves two classes with one value.
        RasterError: the mask cannot be opened.
    """
    with Raster(mask) as raster:
        palette = raster.palette
    if palette is None:
        return table
    value_of: dict[tuple[int, ...], int] = {}
    for value, colour in enumerate(palette.tolist()):
        value_of.setdefault(tuple(colour), value)
    if any(row.colour not in value_of for row in table.trained):
        return table
    rows = [replace(row, value=value_of.get(row.colour, row.value)) for row in table.rows]
    try:
        return ClassTable(tuple(rows))
    except ValueError as error:
        msg = f"{mask}: its palette fits no class table ({error})"
        raise DataError(msg) from error
