"""How many threads an engine may use: always said, never left to a library."""

import os


def threads() -> int:
    """How many threads this process should use: `OMP_NUM_THREADS`, as torch has it, or all."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdigit() and int(told):
        return int(told)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
