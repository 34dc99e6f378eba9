"""The manifest: a CSV that names images, their masks and the split each belongs to."""

import csv
from dataclasses import dataclass
from pathlib import Path

from glnet.errors import DataError


@dataclass(frozen=True, slots=True)
class Sample:
    """One row; paths are absolute or relative to the working folder, ready to open."""

    image: Path
    mask: Path
    split: str


def read_manifest(path: str | Path, split: str | None = None) -> list[Sample]:
    """Read the rows of one split, or all of them; paths are relative to the manifest's folder.

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
    samples = [_sample(record, path, line) for line, record in records]
    chosen = [sample for sample in samples if split in (None, sample.split)]
    if not chosen:
        splits = ", ".join(sorted({sample.split for sample in samples}))
        msg = f"{path}: no row of the split '{split}'; there are: {splits}"
        raise DataError(msg)
    return chosen


def _sample(record: dict[str, str], manifest: Path, line: int) -> Sample:
    files = []
    for kind in ("image", "mask"):
        file = manifest.parent / (record[kind] or "").strip()
        if not file.is_file():
            msg = f"{manifest}, line {line}: the {kind} {file} does not exist or is no file"
            raise DataError(msg)
        files.append(file)
    image, mask = files
    return Sample(image, mask, (record["split"] or "").strip())
