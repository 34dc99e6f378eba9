"""The memory that this process holds, and could get, as the system counts it."""

import contextlib
import os
import re
import sys
from pathlib import Path


def resident() -> int | None:
    """The memory that this process holds, in bytes; its peak is counted from here on.

    Where the system cannot begin anew, the peak so far stands for both.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return peak()
    return held()


def held() -> int | None:
    """The memory that this process holds now, in bytes; its peak where only that is told."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return peak()


def peak() -> int | None:
    """The most memory that this process has held, in bytes; Windows does not say."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    try:
        import resource  # noqa: PLC0415  not on every system
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def free() -> int | None:
    """Bytes that programs could still get; None where the system does not say."""
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        found = re.search(r"MemAvailable:\s*(\d+) kB", meminfo.read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # neither Windows nor macOS has it
        return None
