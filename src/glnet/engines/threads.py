"""How many threads an engine may use: always said, never left to a library."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

#: Where Linux shows the groups of processes that share a limit, and that of this one.
_GROUPS, _OURS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def threads() -> int:
    """How many threads this process should use: `OMP_NUM_THREADS`, as torch has it, or all.

    All are the cores that it may use, or as many as a container's quota of their time keeps busy.
    """
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdigit() and int(told):
        return int(told)
    return granted(usable_cores(), quota_of(own_groups()))


def granted(cores: int, quota: float | None) -> int:
    """How many of the cores a quota of their time keeps busy; all without one."""
    return cores if quota is None else min(cores, math.ceil(quota))


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def own_groups() -> list[Path]:
    """The folders of the groups that this process is in; see `groups_of`."""
    return list(groups_of(_GROUPS, text_of(_OURS)))


def groups_of(root: Path, told: str) -> Iterator[Path]:
    """The folders of the groups that a process is in, from its own outwards.

    Args:
        root: Where they are mounted.
        told: Lines of number, kinds and path; of the newer kind there is one, without a kind.
    """
    for line in told.splitlines():
        _, kinds, path = line.split(":", 2)
        above = root / kinds if kinds else root
        inner = Path(path.lstrip("/"))
        for each in (inner, *inner.parents):
            yield above / each


def quota_of(groups: list[Path]) -> float | None:
    """Cores' worth of time that groups may use, the least of them; None: no limit."""
    found = []
    for group in groups:
        told = text_of(group / "cpu.max").split()
        if not told:
            told = [text_of(group / f"cpu.cfs_{each}_us").strip() for each in ("quota", "period")]
        with contextlib.suppress(ValueError, IndexError):  # max, or nothing
            quota, period = int(told[0]), int(told[1])
            if quota > 0 < period:
                found.append(quota / period)
    return min(found, default=None)


def text_of(path: Path) -> str:
    """What a file says; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
