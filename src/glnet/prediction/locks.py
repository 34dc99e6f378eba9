"""The folder of an output's parts, for one process alone, or for several that share the work.

Whoever shares holds a lock of his own and looks whether somebody is there alone; whoever wants to
be alone holds the one lock and looks whether somebody shares: of two that come at once, one sees
the other.
"""

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from glnet.errors import RasterError, RunError

_LOCK, _HOLDER, _SHARING = "lock", "holder", "sharing"

#: Seconds that a held lock is waited for: those who look hold it for a moment.
_PATIENCE = 0.2

#: The same for one of a thousand that look at once.
_MORE_PATIENCE = 5.0


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
        RasterError: the folder cannot be made, or is somebody else's.
    """
    _refuse_strangers(out)
    with _explained(out), _acquired(parts_folder(out) / _LOCK, _PATIENCE):
        folder = parts_folder(out)
        _refuse_sharers(out, folder / _SHARING)
        _sign(folder / _HOLDER)
        try:
            yield folder
        finally:
            for path in [*folder.glob("*/*")]:
                with contextlib.suppress(OSError):
                    path.rmdir()
            for path in [*folder.iterdir()]:
                if path.is_dir() and not any(below.is_dir() for below in path.iterdir()):
                    shutil.rmtree(path, ignore_errors=True)  # no part was kept, and no scene
            if all(
                path.name in {_LOCK, _HOLDER} or path.suffix == ".lock" for path in folder.iterdir()
            ):
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def shared(out: Path, name: str) -> Iterator[Path]:
    """The folder of an output's parts, for one of several processes.

    Args:
        out: The output.
        name: Of the process's share: nobody else may have it.

    Raises:
        RunError: another process is there alone, or has the same share.
        RasterError: the folder cannot be made, or is somebody else's.
    """
    _refuse_strangers(out)
    folder = parts_folder(out)
    own = folder / _SHARING / f"{name}.lock"
    with _explained(out, own.with_suffix(".holder")), _acquired(own, _PATIENCE):
        _sign(own.with_suffix(".holder"))
        with _explained(out), _acquired(folder / _LOCK, _MORE_PATIENCE):
            pass  # nobody is there alone
        try:
            yield folder
        finally:
            with contextlib.suppress(OSError):
                own.with_suffix(".holder").unlink()


def clear(folder: Path) -> None:
    """Remove finished parts, and whatever else lies there: the output has what they held."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name not in {_LOCK, _HOLDER}:
            path.unlink(missing_ok=True)


def _refuse_strangers(out: Path) -> None:
    """The folder goes at the end with all that it holds: it must have been made for that."""
    folder, names = parts_folder(out), set[str]()
    with contextlib.suppress(OSError):  # none is there, or it goes just now
        names = {path.name for path in folder.iterdir()}
    if names and not any(n in {_LOCK, _HOLDER, _SHARING} or n.endswith(".lock") for n in names):
        msg = f"{folder}: is where the parts of {out.name} would lie, and holds other files; "
        raise RasterError(msg + "move it, or name another output")


def _refuse_sharers(out: Path, folder: Path) -> None:
    """Find those who share the work, and what those left who died."""
    for path in folder.glob("*.lock"):
        with _explained(out, path.with_suffix(".holder")), _acquired(path, _PATIENCE):
            pass
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _explained(out: Path, holder: Path | None = None) -> Iterator[None]:
    folder = parts_folder(out)
    try:
        yield
    except Timeout as error:
        who = _holder(holder or folder / _HOLDER)
        msg = f"{out}: is being written by {who}; wait for it, or name another file"
        raise RunError(msg) from error


@contextlib.contextmanager
def _acquired(path: Path, patience: float) -> Iterator[None]:
    """Hold a lock; another process may be about to remove its folder.

    Raises:
        Timeout: another process holds it.
        RasterError: its folder cannot be made.
    """
    # Taken in one thread, given back in another.
    lock = FileLock(path, thread_local=False)
    for last in (False, False, False, True):
        try:
            path.parent.mkdir(exist_ok=True, parents=path.parent.name == _SHARING)
            # It may be free in a moment: whoever held it could have left, and taken the file along.
            lock.acquire(timeout=patience, poll_interval=patience / 4)
            break
        except (FileNotFoundError, FileExistsError) as error:
            if last:
                raise _not_made(path.parent, error) from error
        except Timeout:
            raise
        except OSError as error:
            raise _not_made(path.parent, error) from error
    try:
        yield
    finally:
        lock.release()


def _not_made(folder: Path, error: OSError) -> RasterError:
    return RasterError(f"{folder}: cannot be written ({error.strerror}); choose another folder")


def _sign(path: Path) -> None:
    with contextlib.suppress(OSError):  # a full disk; it is told where it matters
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8") or "another process"
    return "another process"
