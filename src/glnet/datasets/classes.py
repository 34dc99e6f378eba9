"""The class table: names, mask values, colours, files, what is ignored and what is the rest."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glnet.errors import DataError, GatheredError

Colour = tuple[int, int, int]
_TRUE, _FALSE = {"1", "true", "yes"}, {"", "0", "false", "no"}
_COLUMNS = ("name", "value", "colour", "ignored", "file", "rest")


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """One row: its value in index masks, its colour in RGB masks and in pictures.

    Attributes:
        name: Of the class; rows of one name are one class.
        value, colour: Of its pixels in a mask.
        ignored: Neither trained nor counted.
        file: What stands for `{class}` where every class has a mask file of its own; None: `name`.
        rest: What no file and no polygon claims is this class.
    """

    name: str
    value: int
    colour: Colour
    ignored: bool = False
    file: str | None = None
    rest: bool = False


@dataclass(frozen=True, slots=True)
class ClassTable:
    """All classes. The network's outputs are the names that are not ignored, in order."""

    rows: tuple[ClassInfo, ...]

    def __post_init__(self) -> None:
        """Refuse tables that cannot tell their classes apart.

        Raises:
            ValueError: repeated values or colours, a class that is ignored in one row only, two
                rows for the rest, or no class that is trained.
        """
        for kind in ("value", "colour"):
            seen: dict[object, int] = {}
            for number, row in enumerate(self.rows, start=1):
                held = getattr(row, kind)
                if held in seen:
                    msg = f"rows {seen[held]} and {number} have the same {kind} {held}"
                    raise ValueError(msg)
                seen[held] = number
        ignored: dict[str, bool] = {}
        for row in self.rows:
            if ignored.setdefault(row.name, row.ignored) != row.ignored:
                msg = f"the class {row.name} is ignored in one row and not in another"
                raise ValueError(msg)
        rest = [str(number) for number, row in enumerate(self.rows, start=1) if row.rest]
        if len(rest) > 1:
            msg = f"rows {' and '.join(rest)} are marked rest; at most one can be"
            raise ValueError(msg)
        if not self.trained:
            msg = "no class is left to train: all are ignored"
            raise ValueError(msg)
        if len(self.trained) > 254:  # noqa: PLR2004  255 is the ignore label
            msg = f"at most 254 classes can be trained, found {len(self.trained)}"
            raise ValueError(msg)

    @property
    def trained(self) -> tuple[ClassInfo, ...]:
        """The first row of every class of the network; its position is the class id."""
        first: dict[str, ClassInfo] = {}
        for row in self.rows:
            if not row.ignored:
                first.setdefault(row.name, row)
        return tuple(first.values())

    @property
    def values(self) -> list[int]:
        """The mask value that is written for every class id."""
        return [row.value for row in self.trained]

    @property
    def names(self) -> list[str]:
        """The name of every class id."""
        return [row.name for row in self.trained]

    @property
    def colours(self) -> list[Colour]:
        """The colour of every class id."""
        return [row.colour for row in self.trained]

    @property
    def legend(self) -> dict[int, str]:
        """The name of every mask value that is written."""
        return dict(zip(self.values, self.names, strict=True))

    @property
    def palette(self) -> dict[int, Colour]:
        """The colour of every mask value that is written."""
        return dict(zip(self.values, self.colours, strict=True))

    def as_dicts(self) -> list[dict[str, object]]:
        """Plain rows, for a bundle's config."""
        return [
            {
                "name": row.name,
                "value": row.value,
                "colour": list(row.colour),
                "ignored": row.ignored,
                "file": row.file or "",
                "rest": row.rest,
            }
            for row in self.rows
        ]

    @classmethod
    def from_dicts(cls, rows: Sequence[dict[str, object]]) -> "ClassTable":
        """The inverse of `as_dicts`."""
        return cls(
            tuple(_row({k: str(v) for k, v in row.items()}, i) for i, row in enumerate(rows))
        )


def read_classes(path: str | Path) -> ClassTable:
    """Read a class table: CSV with the column name, and, where wanted, the others of `ClassInfo`.

    `value` defaults to the row's number from 0; `colour` is `#rrggbb` or `r g b`; `ignored` and
    `rest` are yes or no.

    Raises:
        DataError: the file or some rows cannot be used; the lines say which and why.
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
    if "name" not in columns or not columns <= set(_COLUMNS):
        found = ", ".join(map(str, records[0])) if records else "no rows"
        msg = f"{path}: wanted CSV with the columns {', '.join(_COLUMNS)}; found {found}"
        raise DataError(msg)
    rows, wrong = [], []
    for number, record in enumerate(records):
        try:
            rows.append(_row(record, number))
        except ValueError as error:
            wrong.append(f"{path}: {error}")
    if wrong:
        raise GatheredError(wrong)
    try:
        return ClassTable(tuple(rows))
    except ValueError as error:
        msg = f"{path}: {error}"
        raise DataError(msg) from error


def classes_csv(table: ClassTable) -> str:
    """A class table as the text of its file."""
    rows = [
        f"{row.name},{row.value},#{bytes(row.colour).hex()},{'yes' if row.ignored else 'no'}"
        for row in table.rows
    ]
    return "\n".join(["name,value,colour,ignored", *rows, ""])


def _row(record: dict[str, str], number: int) -> ClassInfo:
    """One record as a row; ValueError says what is wrong with it."""
    name = (record.get("name") or "").strip()
    value = (record.get("value") or str(number)).strip()
    if not name or not re.fullmatch(r"[0-9]{1,3}", value) or int(value) > 255:  # noqa: PLR2004  uint8 masks
        msg = (
            f"row {number + 1}: wanted a name and a value from 0 to 255, found {name!r}, {value!r}"
        )
        raise ValueError(msg)
    ignored, rest = (_flag(record, column, number) for column in ("ignored", "rest"))
    file = (record.get("file") or "").strip() or None
    text = (record.get("colour") or "").strip()
    colour = _colour(text, number) if text else default_colour(number)
    return ClassInfo(name, int(value), colour, ignored, file, rest)


def _flag(record: dict[str, str], column: str, number: int) -> bool:
    text = (record.get(column) or "").strip().lower()
    if text not in _TRUE | _FALSE:
        msg = f"row {number + 1}: {column} must be yes or no, found {text!r}"
        raise ValueError(msg)
    return text in _TRUE


def _colour(text: str, number: int) -> Colour:
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
    parts = re.fullmatch(r"[\[(]?([0-9]{1,3})[ ,;]+([0-9]{1,3})[ ,;]+([0-9]{1,3})[\])]?", text)
    if parts is None or max(map(int, parts.groups())) > 255:  # noqa: PLR2004  a byte
        msg = f"row {number + 1}: colour must be '#rrggbb' or 'r g b', found {text!r}"
        raise ValueError(msg)
    red, green, blue = map(int, parts.groups())
    return red, green, blue


#: Of Okabe and Ito (2008): told apart by the colour-blind too, and light enough over dark images.
_APART: tuple[Colour, ...] = (
    (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115),
    (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip


def default_colour(number: int) -> Colour:
    """A colour per number (the first 256 differ): a few that all eyes tell apart, then PASCAL's."""
    if number < len(_APART):
        return _APART[number]
    red = green = blue = 0
    for bit in range(8):
        red |= (number >> 3 * bit & 1) << (7 - bit)
        green |= (number >> (3 * bit + 1) & 1) << (7 - bit)
        blue |= (number >> (3 * bit + 2) & 1) << (7 - bit)
    return red, green, blue
