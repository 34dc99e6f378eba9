"""Facts of the machine, as its system tells them."""

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from glnet.doctor.facts import Memory, Processor
from glnet.engines.held import free
from glnet.engines.threads import own_groups, quota_of, text_of, threads, usable_cores

#: A container's limit of memory beyond this is none.
_NO_LIMIT = 1 << 60


def processor() -> Processor:
    """Of this machine, as far as this process may use it."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return Processor(os.cpu_count() or 1, usable_cores(), quota_of(own_groups()), told, threads())


def memory() -> Memory:
    """Of this machine, and of the container in it."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        total = None
    return Memory(total, free(), *limit_of(own_groups()))


def limit_of(groups: list[Path]) -> tuple[int | None, int]:
    """Bytes that groups may hold, and that they do; None: no limit.

    Files that were read count as held, but go as soon as they are in the way.
    """
    found = []
    for group in groups:
        with contextlib.suppress(ValueError):  # max, or nothing
            new = (group / "memory.max").is_file()
            limit = int(text_of(group / ("memory.max" if new else "memory.limit_in_bytes")))
            used = int(text_of(group / ("memory.current" if new else "memory.usage_in_bytes")))
            cached = re.search(
                r"^(?:total_)?inactive_file (\d+)", text_of(group / "memory.stat"), re.MULTILINE
            )
            if limit < _NO_LIMIT:
                found.append((limit, max(0, used - int(cached[1] if cached else 0))))
    return min(found, key=lambda each: each[0] - each[1], default=(None, 0))


def nvidia() -> tuple[str, ...]:
    """What NVIDIA's driver lists: name, driver and memory of each GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    asked = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(  # noqa: S603  the driver's own
            asked, check=True, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())


def open_files() -> int | None:
    """How many this process may hold open; None: no limit, or none that is known."""
    try:
        import resource  # noqa: PLC0415  not on every system
    except ImportError:
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if most == resource.RLIM_INFINITY else most
