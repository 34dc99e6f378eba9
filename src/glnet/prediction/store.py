"""Finished parts on disk, beside the output, until the output is finished too.

Each is a folder of small GeoTIFFs that appears whole or not at all. The folder that holds them is
named by all that they depend on, so a changed model or setting finds none of them.
"""

import contextlib
import os
import shutil
import socket
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from glnet.errors import RasterError, RunError
from glnet.geometry import Window
from glnet.outputs.files import silent
from glnet.outputs.rasters import create, opened
from glnet.prediction.keeping import kept_whole, sound
from glnet.prediction.layers import Arrays, Kind, Layer
from glnet.prediction.parts import Part
from glnet.raster import area

_LOCK, _HOLDER = "lock", "holder"

#: Seconds that a held lock is waited for.
_PATIENCE = 0.2


def parts_folder(out: Path) -> Path:
    """Where the parts of an output lie."""
    return out.with_name(f"{out.name}.parts")


def kept_bytes(out: Path) -> int:
    """What a stopped run left beside an output; nothing where there was none."""
    total = 0
    for folder, _, names in os.walk(parts_folder(out)):
        for name in names:
            with contextlib.suppress(OSError):  # another process may be removing them
                total += Path(folder, name).stat().st_size
    return total


@contextlib.contextmanager
def locked(out: Path) -> Iterator[Path]:
    """The folder of an output's parts, for this process alone.

    Raises:
        RunError: another process works on the output.
        RasterError: the folder cannot be made.
    """
    folder = parts_folder(out)
    try:
        lock = _acquire(folder)
    except Timeout as error:
        msg = f"{out}: is being written by {_holder(folder)}; wait for it, or name another file"
        raise RunError(msg) from error
    except OSError as error:
        msg = f"{folder}: cannot be written ({error.strerror}); choose another folder"
        raise RasterError(msg) from error
    with lock:
        with contextlib.suppress(OSError):  # a full disk; it is told where it matters
            note = f"process {os.getpid()} on {socket.gethostname()}"
            (folder / _HOLDER).write_text(note, encoding="utf-8")
        try:
            yield folder
        finally:
            for path in [*folder.glob("*/*"), *folder.iterdir()]:
                with contextlib.suppress(OSError):
                    path.rmdir()  # of a run that kept no part and no scene
            if {path.name for path in folder.iterdir()} <= {_LOCK, _HOLDER}:
                shutil.rmtree(folder, ignore_errors=True)


def _acquire(folder: Path) -> FileLock:
    """Make the folder and lock it; another process may be about to remove it."""
    for last in (False, False, False, True):
        try:
            folder.mkdir(exist_ok=True)
            lock = FileLock(folder / _LOCK)
            # It may be free in a moment: whoever held it could have left, and taken the file along.
            lock.acquire(timeout=_PATIENCE, poll_interval=_PATIENCE / 4)
        except (FileNotFoundError, FileExistsError):
            if last:
                raise
        else:
            break
    return lock


def clear(folder: Path) -> None:
    """Remove finished parts, and whatever else lies there: the output has what they held."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in {_LOCK, _HOLDER}:
            path.unlink(missing_ok=True)


def _holder(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return (folder / _HOLDER).read_text(encoding="utf-8") or "another process"
    return "another process"


class PartStore:
    """The finished parts of one raster, one model and one set of settings."""

    def __init__(self, folder: Path, key: str, layers: Sequence[Layer]) -> None:
        """Open what lies there; what was left half-written goes.

        Args:
            folder: Of the output's parts; those of other keys are left alone.
            key: Of these parts, see `identity.key_of`.
            layers: What each part holds.
        """
        self.folder = folder / key
        self._layers = layers
        self.folder.mkdir(exist_ok=True)
        for left in self.folder.glob("*.partial"):
            shutil.rmtree(left)

    def path(self, part: Part, kind: Kind) -> Path:
        """Where a layer of a part lies."""
        return self._folder_of(part) / f"{kind}.tif"

    def has(self, part: Part) -> bool:
        """Is the part there, and sound? Reads all of it; what is damaged or failed goes."""
        folder = self._folder_of(part)
        if not folder.is_dir():
            return False
        told = sound(folder)
        there = told is not None and not told["failed"]
        if not there:
            shutil.rmtree(folder, ignore_errors=True)
        return there

    def write(self, part: Part, strips: Iterable[tuple[Window, Arrays]], failed: str = "") -> None:
        """Keep a finished part.

        Args:
            part: Which.
            strips: Of its core, from top to bottom.
            failed: Why this only stands for a part; another run tries it again.

        Raises:
            StoreError: the disk is full, or the folder cannot be written.
        """
        sums: list[tuple[Kind, Window, int]] = []
        with kept_whole(self._folder_of(part), {"failed": failed}) as folder:
            with silent(), contextlib.ExitStack() as stack:
                files: dict[Kind, Any] = {}
                for layer in self._layers:
                    path, bands = folder / f"{layer.kind}.tif", len(layer.bands)
                    made = create(path, part.core.size, bands, layer.dtype)
                    files[layer.kind] = stack.enter_context(made)
                for strip, arrays in strips:
                    for kind, array in arrays.items():
                        files[kind].write(array, window=area(strip))
                        sums.append((kind, strip, _checksum(array)))
            self._read_back(folder, sums)

    def _read_back(self, folder: Path, sums: Sequence[tuple[Kind, Window, int]]) -> None:
        """GDAL says nothing when the disk fills as it closes a file."""
        with contextlib.ExitStack() as stack:
            files = {
                layer.kind: stack.enter_context(opened(folder / f"{layer.kind}.tif"))
                for layer in self._layers
            }
            for kind, strip, checksum in sums:
                if _checksum(files[kind].read(window=area(strip))) != checksum:
                    msg = "it did not read back as written"
                    raise OSError(msg)

    def _folder_of(self, part: Part) -> Path:
        return self.folder / f"{part.number:06}"


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).tobytes())
