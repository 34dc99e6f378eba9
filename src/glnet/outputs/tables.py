"""Numbers as files: CSV for spreadsheets, JSON for programs."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from glnet.outputs.files import whole_or_nothing


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows as CSV under a header of all their keys; None and what is missing are empty cells.

    Raises:
        RasterError: the file could not be written.
    """
    with (
        whole_or_nothing(path) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        keys = dict.fromkeys(key for row in rows for key in row)
        writer = csv.DictWriter(file, list(keys), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, values: object) -> None:
    """Write plain values as JSON.

    Raises:
        RasterError: the file could not be written.
    """
    with whole_or_nothing(path) as partial:
        text = json.dumps(values, indent=2, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")
