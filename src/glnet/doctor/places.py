"""Whether a folder can be written, and whether a lock in it keeps others out."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from glnet.doctor.facts import Place

#: Of the process that must not get the lock.
_KEPT_OUT = 3
_TRIES = f"""
import sys
from filelock import FileLock, Timeout
try:
    FileLock(sys.argv[1]).acquire(timeout=0)
except Timeout:
    sys.exit({_KEPT_OUT})
"""


def look_at(path: Path, what: str, *, needed: bool) -> Place:
    """Write a file there and lock it; nothing is left behind."""
    if not path.is_dir():
        error = "is no folder" if path.exists() else "does not exist"
        return Place(path, what, needed, error=error)
    free = None
    try:
        free = shutil.disk_usage(path).free
        with tempfile.TemporaryDirectory(prefix=".glnet-doctor-", dir=path) as scratch:
            lock, seen = _locked(Path(scratch) / "lock")
            return Place(path, what, needed, free, lock=lock, seen=seen)
    except OSError as refused:
        return Place(path, what, needed, free, error=str(refused.strerror or refused))


def _locked(path: Path) -> tuple[str, bool]:
    """Why it cannot be locked, and whether another process is kept out."""
    path.write_bytes(b"some")
    try:
        lock = FileLock(path)
        lock.acquire(timeout=0)
    except (OSError, NotImplementedError) as refused:  # a timeout among them
        return str(refused), False
    with lock:
        command = [sys.executable, "-P", "-c", _TRIES, str(path)]
        done = subprocess.run(command, check=False, capture_output=True)  # noqa: S603  our own
        return "", done.returncode == _KEPT_OUT
