"""The manifest: a CSV that names images, their masks and the split each belongs to."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glnet.errors import DataError


@dataclass(frozen=True, slots=True)
class Sample:
    """One row; paths are absolute or relative to the working folder, ready to open."""

    image: Path
    mask: Path
    split: str


def read_manifest(
    path: str | Path,
    split: str | None = None,
    *,
    required: bool = True,
    files: Sequence[str] = ("image", "mask"),
) -> list[Sample]:
    """Read the rows of one split, or all of them; paths are relative to the manifest's folder.

    Args:
        path: The manifest.
        split: Which rows; None for all. Rows of other splits are not looked at.
        required: Refuse a split without rows.
        files: Which of the two files of a row must exist.

    Raises:
        DataError: not a CSV with the columns image, mask, split; a file that does not exist; a
            split without rows.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            records = [(reader.line_num, record) for record in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path}: cannot be read as a manifest ({error})"
        raise DataError(msg) from error
    wanted = {"image", "mask", "split"}
    if not records or not wanted <= set(records[0][1]):
        found = ", ".join(map(str, records[0][1])) if records else "no rows"
        msg = f"{path}: wanted CSV with the columns image, mask, split; found {found}"
        raise DataError(msg)
    splits_of = [(record["split"] or "").strip() for _, record in records]
    chosen = [
        _sample(record, path, line, files)
        for (line, record), own in zip(records, splits_of, strict=True)
        if split in (None, own)
    ]
    if required and not chosen:
        splits = ", ".join(sorted(set(splits_of)))
        msg = f"{path}: no row of the split '{split}'; there are: {splits}"
        raise DataError(msg)
    return chosen


def _sample(record: dict[str, str], manifest: Path, line: int, needed: Sequence[str]) -> Sample:
    image, mask = (manifest.parent / (record[kind] or "").strip() for kind in ("image", "mask"))
    for kind, file in (("image", image), ("mask", mask)):
        if kind in needed and not file.is_file():
            msg = f"{manifest}, line {line}: the {kind} {file} does not exist or is no file"
            raise DataError(msg)
    return Sample(image, mask, (record["split"] or "").strip())
