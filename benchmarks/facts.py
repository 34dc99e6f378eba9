"""What stands above every table: command, commit, date, hardware, versions."""

import os
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from glnet import __version__
from glnet.benchmark.process import processor
from glnet.engines.threads import threads

_HERE = Path(__file__).resolve().parent
_GIB = 1 << 30


def header(title: str, device: str) -> str:
    """Of a record, in Markdown."""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    today = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"{processor()}, {cores} cores, {threads()} threads{_memory()}{_gpu(device)}"
    found = ", ".join(f"{n} {_version(n)}" for n in ("numpy", "torch", "timm", "openvino"))
    python = sys.version.split()[0]
    return (
        f"# {title}\n\n`{command}`, commit {_commit()}, {today}.\n"
        f"{machine}; Python {python}, glnet {__version__}, {found}.\n"
    )


def _commit() -> str:
    head = _said("git", "-C", str(_HERE), "rev-parse", "--short", "HEAD")
    changed = _said("git", "-C", str(_HERE), "status", "--porcelain", "--untracked-files=no")
    return f"{head} with changes" if changed else head or "unknown"


def _memory() -> str:
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return ""
    return f", {size / _GIB:.0f} GiB"


def _gpu(device: str) -> str:
    query = ("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    said = _said(*query) if device.startswith("cuda") else ""
    return f"; {said.splitlines()[0]}" if said else ""


def _said(*command: str) -> str:
    """What a command prints; nothing where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    return "" if done.returncode else done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(none)"
