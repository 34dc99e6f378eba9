"""What is asked of a machine before anything is judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of importing a library.

    Attributes:
        name: As it is imported.
        version: Empty: not installed.
        error: Why it cannot be imported.
        told: What it says of this machine, see `probing`.
    """

    name: str
    version: str = ""
    error: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def works(self) -> bool:
        """Is it there, and whole?"""
        return bool(self.version) and not self.error


@dataclass(frozen=True, slots=True)
class Processor:
    """What computes.

    Attributes:
        cores: Of the machine.
        usable: That the system lets this process use.
        quota: Of processor time that a container grants, in cores; None: no limit.
        told: `OMP_NUM_THREADS`; empty: not set.
        threads: That glnet uses.
    """

    cores: int
    usable: int
    quota: float | None
    told: str
    threads: int


@dataclass(frozen=True, slots=True)
class Memory:
    """In bytes; None: the system does not say.

    Attributes:
        total: Of the machine.
        free: That programs could still get.
        limit, used: Of a container.
    """

    total: int | None
    free: int | None
    limit: int | None = None
    used: int = 0

    @property
    def room(self) -> int | None:
        """What this process could still get."""
        left = None if self.limit is None else max(0, self.limit - self.used)
        known = [each for each in (self.free, left) if each is not None]
        return min(known) if known else None


@dataclass(frozen=True, slots=True)
class Place:
    """A folder.

    Attributes:
        path: Of it.
        what: It is for.
        needed: Nothing can be predicted without.
        free: Bytes; None: the system does not say.
        error: Why no file can be written there.
        lock: Why no file can be locked there.
        seen: Does another process see a lock?
    """

    path: Path
    what: str
    needed: bool
    free: int | None = None
    error: str = ""
    lock: str = ""
    seen: bool = True
