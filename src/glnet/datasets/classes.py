"""The class table: names, mask values, colours, and what is ignored."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glnet.errors import DataError

Colour = tuple[int, int, int]
_TRUE, _FALSE = {"1", "true", "yes"}, {"", "0", "false", "no"}
_COLUMNS = {"name", "value", "colour", "ignored"}


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """One row: its value in index masks, its colour in RGB masks and in pictures."""

    name: str
    value: int
    colour: Colour
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class ClassTable:
    """All classes. The network's outputs are the rows that are not ignored, in order."""

    rows: tuple[ClassInfo, ...]

    def __post_init__(self) -> None:
        """Refuse tables that cannot tell their classes apart.

        Raises:
            ValueError: repeated names, values or colours, or no class that is trained.
        """
        for kind in ("name", "value", "colour"):
            seen: dict[object, int] = {}
            for number, row in enumerate(self.rows, start=1):
                held = getattr(row, kind)
                if held in seen:
                    msg = f"rows {seen[held]} and {number} have the same {kind} {held}"
                    raise ValueError(msg)
                seen[held] = number
        if not self.trained:
            msg = "no class is left to train: all are ignored"
            raise ValueError(msg)
        if len(self.trained) > 254:  # noqa: PLR2004  255 is the ignore label
            msg = f"at most 254 classes can be trained, found {len(self.trained)}"
            raise ValueError(msg)

    @property
    def trained(self) -> tuple[ClassInfo, ...]:
        """The rows that are classes of the network; their position is the class id."""
        return tuple(row for row in self.rows if not row.ignored)

    @property
    def values(self) -> list[int]:
        """The mask value of every class id."""
        return [row.value for row in self.trained]

    @property
    def names(self) -> list[str]:
        """The name of every class id."""
        return [row.name for row in self.trained]

    @property
    def colours(self) -> list[Colour]:
        """The colour of every class id."""
        return [row.colour for row in self.trained]

    def as_dicts(self) -> list[dict[str, object]]:
        """Plain rows, for a bundle's config."""
        return [
            {"name": r.name, "value": r.value, "colour": list(r.colour), "ignored": r.ignored}
            for r in self.rows
        ]

    @classmethod
    def from_dicts(cls, rows: Sequence[dict[str, object]]) -> "ClassTable":
        """The inverse of `as_dicts`."""
        return cls(
            tuple(_row({k: str(v) for k, v in row.items()}, i) for i, row in enumerate(rows))
        )


def read_classes(path: str | Path) -> ClassTable:
    """Read a class table: CSV with the columns name, and, where wanted, value, colour, ignored.

    `value` defaults to the row's number from 0; `colour` is `#rrggbb` or `r g b`.

    Raises:
        DataError: the file or a row cannot be used; the line says which and why.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            records = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path}: cannot be read as a class table ({error})"
        raise DataError(msg) from error
    columns = set().union(*records)
    if None in columns:
        row = next(i for i, record in enumerate(records, start=1) if None in record)
        msg = f"{path}: row {row}: has more cells than the header has columns"
        raise DataError(msg)
    if "name" not in columns or not columns <= _COLUMNS:
        found = ", ".join(map(str, records[0])) if records else "no rows"
        msg = f"{path}: wanted CSV with the columns name, value, colour, ignored; found {found}"
        raise DataError(msg)
    try:
        return ClassTable(tuple(_row(record, i) for i, record in enumerate(records)))
    except ValueError as error:
        msg = f"{path}: {error}"
        raise DataError(msg) from error


def _row(record: dict[str, str], number: int) -> ClassInfo:
    """One record as a row; ValueError says what is wrong with it."""
    name = (record.get("name") or "").strip()
    value = (record.get("value") or str(number)).strip()
    ignored = (record.get("ignored") or "").strip().lower()
    if not name or not re.fullmatch(r"[0-9]{1,3}", value) or int(value) > 255:  # noqa: PLR2004  uint8 masks
        msg = (
            f"row {number + 1}: wanted a name and a value from 0 to 255, found {name!r}, {value!r}"
        )
        raise ValueError(msg)
    if ignored not in _TRUE | _FALSE:
        msg = f"row {number + 1}: ignored must be yes or no, found {ignored!r}"
        raise ValueError(msg)
    text = (record.get("colour") or "").strip()
    colour = _colour(text, number) if text else default_colour(number)
    return ClassInfo(name, int(value), colour, ignored in _TRUE)


def _colour(text: str, number: int) -> Colour:
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    parts = re.fullmatch(r"[\[(]?([0-9]{1,3})[ ,;]+([0-9]{1,3})[ ,;]+([0-9]{1,3})[\])]?", text)
    if parts is None or max(map(int, parts.groups())) > 255:  # noqa: PLR2004  a byte
        msg = f"row {number + 1}: colour must be '#rrggbb' or 'r g b', found {text!r}"
        raise ValueError(msg)
    red, green, blue = map(int, parts.groups())
    return red, green, blue


def default_colour(number: int) -> Colour:
    """A colour per number, far from its neighbours' (the first 256 differ): the PASCAL VOC way."""
    red = green = blue = 0
    for bit in range(8):
        red |= (number >> 3 * bit & 1) << (7 - bit)
        green |= (number >> (3 * bit + 1) & 1) << (7 - bit)
        blue |= (number >> (3 * bit + 2) & 1) << (7 - bit)
    return red, green, blue
