"""Folders that appear whole or not at all, and tell of themselves when they are damaged."""

import contextlib
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glnet.errors import RasterError
from glnet.outputs.files import flush, flush_folder
from glnet.outputs.rasters import WRITE_ERRORS
from glnet.prediction.identity import digest

#: Digests of the other files, and what else is told: GDAL reads many a damaged file without a word.
#: A line of JSON, and one with its own digest.
_NOTE = "note.txt"


class StoreError(RasterError):
    """Something that cannot be kept: nothing else could be."""


@contextlib.contextmanager
def kept_whole(final: Path, told: dict[str, Any]) -> Iterator[Path]:
    """Give a partial folder to fill; it takes its name once all of it is on the disk, or goes.

    Its name until then is this process's own: others may be filling theirs, and the first counts.

    Args:
        final: The folder.
        told: Plain values, kept with it; read at the end.

    Raises:
        StoreError: the disk is full, or the folder cannot be written.
    """
    partial = final.with_suffix(f".{this_process()}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # a container that starts again has its old name
        partial.mkdir()
        yield partial
        note = told | {"digests": {path.name: digest(path) for path in partial.iterdir()}}
        text = json.dumps(note)
        (partial / _NOTE).write_text(f"{text}\n{_sum(text)}", encoding="utf-8")
        for path in partial.iterdir():
            flush(path)
        _rename(partial, final)
        flush_folder(final.parent)
    except WRITE_ERRORS as error:
        shutil.rmtree(partial, ignore_errors=True)
        detail = " ".join(str(error.__cause__ or error).split())
        msg = (
            f"{final}: cannot be written ({detail}); is the disk full? "
            "Finished parts are kept: start the command again"
        )
        raise StoreError(msg) from error


def this_process() -> str:
    """A name that no other process has, on whatever machine."""
    return f"{socket.gethostname()}-{os.getpid()}"


def _rename(partial: Path, final: Path) -> None:
    try:
        partial.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        shutil.rmtree(partial, ignore_errors=True)  # of the same content


def told_by(folder: Path) -> dict[str, Any]:
    """What is kept with a folder.

    Raises:
        OSError, ValueError: it has no note, or a damaged one.
    """
    text, _, own = (folder / _NOTE).read_text(encoding="utf-8").partition("\n")
    if own != _sum(text):
        msg = f"{folder}: its note is damaged"
        raise ValueError(msg)
    note: dict[str, Any] = json.loads(text)
    return note


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sound(folder: Path) -> dict[str, Any] | None:
    """What is kept with a folder of which every byte is as it was; None where one is not."""
    try:
        note = told_by(folder)
        same = all(digest(folder / name) == one for name, one in note["digests"].items())
    except (OSError, ValueError):
        return None
    return note if same else None
