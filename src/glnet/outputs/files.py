"""Nothing is finished until it is verified and renamed."""

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from rasterio.errors import RasterioError

from glnet.errors import RasterError

#: Of `silent`: two threads that give stderr back out of turn would lose it.
_ONE_AT_A_TIME = threading.RLock()


def check_target(path: Path, suffixes: tuple[str, ...], taken: Sequence[Path] = ()) -> None:
    """Find out before the work whether an output could be written.

    Args:
        path: The output.
        suffixes: What its name may end with.
        taken: Files that must not be overwritten: the input, other outputs.

    Raises:
        RasterError: unknown file type, a file that is taken, an impossible name, no such folder,
            or no permission.
    """
    if path.suffix.lower() not in suffixes:
        msg = f"{path}: the output's name must end with {' or '.join(suffixes)}"
        raise RasterError(msg)
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        msg = f"{path}: is a name that image libraries cannot write; choose one in UTF-8"
        raise RasterError(msg) from error
    # Not Path.resolve, which fails on links that lead round in circles.
    real = set(map(os.path.realpath, taken))
    if os.path.realpath(path) in real:
        msg = f"{path}: is read or written by this same command; name another file"
        raise RasterError(msg)
    probe = partial_of(path)
    if os.path.realpath(probe) in real:
        msg = (
            f"{path}: until it is whole it is called {probe.name}, read or written by this "
            "same command; name another file"
        )
        raise RasterError(msg)
    folder = path.parent
    if not folder.is_dir():
        msg = f"{path}: the folder {folder} does not exist; make it first"
        raise RasterError(msg)
    try:
        if path.is_dir():
            msg = f"{path}: is a folder; name a file"
            raise RasterError(msg)
        with contextlib.suppress(FileExistsError):  # another process may be writing it
            probe.touch(exist_ok=False)
            probe.unlink()
    except OSError as error:
        msg = f"{path}: cannot be written there ({error.strerror}); choose another folder"
        raise RasterError(msg) from error


def partial_of(path: Path) -> Path:
    """The name that a file has until it is whole."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


@contextlib.contextmanager
def whole_or_nothing(path: Path) -> Iterator[Path]:
    """Give a partial name to write and verify; rename it at the end, remove it after a failure.

    Raises:
        RasterError: the system refused a write.
    """
    partial = partial_of(path)
    try:
        partial.unlink(missing_ok=True)  # of a run that was killed
        yield partial
        flush(partial)
        partial.replace(path)
    except (OSError, RasterioError) as error:
        msg = f"{path}: could not be written ({error}); is the disk full?"
        raise RasterError(msg) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep libraries in C from printing: those that write TIFF do, beside the error they return."""
    with _ONE_AT_A_TIME, contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a process without a stderr
            kept = os.dup(2)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, 2)  # before: Ctrl-C may come in between
            with contextlib.suppress(AttributeError, ValueError):
                sys.stderr.flush()
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
        yield


def flush(path: Path) -> None:
    """See to it that a file's content outlives a power cut."""
    with path.open("r+b") as file:  # Windows flushes writable files alone
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """See to it that what was renamed into a folder outlives a power cut."""
    if os.name == "nt":  # there a folder cannot be opened, and renaming needs no help
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def publish(finished: Path, path: Path) -> None:
    """Move a finished file to its place, where it appears whole or not at all.

    Raises:
        OSError: the system refused.
    """
    flush(finished)
    if finished.stat().st_dev == path.parent.stat().st_dev:
        finished.replace(path)
    else:
        partial = partial_of(path)
        try:
            shutil.copyfile(finished, partial)
            flush(partial)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    flush_folder(path.parent)
