"""Short names for files and settings: what a finished part is found again by."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from glnet.bundle import GRAPHS

#: Of a large input, so many bytes at either end are compared; and its length and time.
_ENDS = 1 << 20

_KEY = 16


def key_of(facts: Mapping[str, object]) -> str:
    """A name for all that parts depend on."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY]


def model_digests(folder: Path) -> dict[str, str]:
    """Of all files that a prediction reads of a model folder."""
    files = [folder / "config.json", folder / "model.safetensors", *(folder / GRAPHS).rglob("*.*")]
    return {str(path.relative_to(folder)): digest(path) for path in files if path.is_file()}


def digest(path: Path) -> str:
    """Of a whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(path: Path) -> list[object]:
    """What tells a file from another one, without reading all of it."""
    told = path.stat()
    with path.open("rb") as file:
        ends = hashlib.sha256(file.read(_ENDS))
        file.seek(max(0, told.st_size - _ENDS))
        ends.update(file.read(_ENDS))
    return [told.st_size, told.st_mtime_ns, ends.hexdigest()]


def stamp(path: Path) -> list[int] | None:
    """The same at a glance, of one of many files; None where there is none."""
    try:
        told = path.stat()
    except OSError:
        return None
    return [told.st_size, told.st_mtime_ns]


def identities(files: Sequence[Path]) -> list[object]:
    """Of an image: of its own file, which comes first, and of others that it depends on."""
    return [identity(files[0]), *map(stamp, files[1:])]
