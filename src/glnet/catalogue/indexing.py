"""A manifest and a class table for a published data set."""

import contextlib
from dataclasses import replace
from pathlib import Path

from glnet.catalogue.survey import Survey
from glnet.datasets.classes import ClassTable, classes_csv, read_classes
from glnet.datasets.manifest import manifest_csv, read_manifest
from glnet.errors import DataError
from glnet.outputs.files import whole_or_nothing

#: As the protocols know it.
_UNKNOWN = "unknown"


def tables_in(folder: Path) -> tuple[Path, Path]:
    """Where manifest and class table will be."""
    return folder / "manifest.csv", folder / "classes.csv"


def write_tables(found: Survey, folder: Path, *, train_unknown: bool = False) -> None:
    """Write both files, or none: under other names first, re-read, then renamed.

    Args:
        found: What is there, with nothing wrong.
        folder: Made where there is none; paths are relative to it where they can be.
        train_unknown: Train ground of no class as one, as the paper does.

    Raises:
        DataError: there is no class called unknown to train.
        RasterError: the system refused a write.
    """
    table = _with_unknown(found) if train_unknown else found.table
    manifest, classes = tables_in(folder)
    folder.mkdir(parents=True, exist_ok=True)
    splits = [sample.split for sample in found.samples]
    with contextlib.ExitStack() as stack:
        # Renamed in reverse: where the manifest is, the classes are.
        partial = stack.enter_context(whole_or_nothing(manifest))
        partial.write_text(manifest_csv(found.samples, splits, folder), encoding="utf-8")
        read_manifest(partial)
        partial = stack.enter_context(whole_or_nothing(classes))
        partial.write_text(classes_csv(table), encoding="utf-8")
        read_classes(partial)


def _with_unknown(found: Survey) -> ClassTable:
    rows = found.table.rows
    if all(row.name != _UNKNOWN for row in rows):
        msg = f"--train-unknown: {found.published.name} has no class called {_UNKNOWN}"
        raise DataError(msg)
    return ClassTable(
        tuple(replace(row, ignored=row.ignored and row.name != _UNKNOWN) for row in rows)
    )
