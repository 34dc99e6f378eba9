"""Predictions that are stopped at random moments; and what must hold then, and at the end."""

import hashlib
import json
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from jobs import OLDER, STAGES, Job, Running, digest

_POLL = 0.001


@dataclass(frozen=True, slots=True)
class Whole:
    """An uninterrupted run: what others must come to, and how long it is at what.

    Attributes:
        digests: Of the outputs.
        parts: How many there are.
        part: Seconds for one.
        steps: Seconds by line printed: of assembling and verifying each output.
        publishing: Seconds from the first output in its place to the end.
    """

    digests: list[str]
    parts: int
    part: float
    steps: Mapping[str, float]
    publishing: float


def uninterrupted(job: Job) -> Whole:
    """Run a job from beginning to end, and empty its folder.

    Raises:
        RuntimeError: it failed.
    """
    job.empty()
    running = job.start()
    while running.alive() and not any(job.places()):
        time.sleep(_POLL)
    moved = time.monotonic()
    while running.alive():
        time.sleep(_POLL)
    if running.wait() != 0:
        raise RuntimeError("\n".join(running.errors))
    report = json.loads(job.report.read_text(encoding="utf-8"))
    times = [(when, line) for when, line in running.lines if line.split(" ")[0] in STAGES]
    ends = [when for when, _ in times[1:]] + [moved]
    steps = {line: end - when for (when, line), end in zip(times, ends, strict=True)}
    whole = Whole(
        [digest(path) for path in job.outputs], report["parts"],
        report["seconds"]["network"] / report["parts"], steps, running.lines[-1][0] - moved,
    )  # fmt: skip
    job.empty()
    return whole


@dataclass(slots=True)
class Moments:
    """Random moments of a job's stages.

    Attributes:
        job, whole: Which one.
        random: Where they come from.
    """

    job: Job
    whole: Whole
    random: np.random.Generator

    def reach(self, running: Running, stage: str, began: list[int | None]) -> None:
        """Wait for a moment in a stage, or for the end.

        Args:
            running: The job, started just now.
            stage: One of `STAGES`.
            began: The job's places before it was started.
        """
        kept = len(self.job.parts())
        reached, seconds = self._stage(running, stage, kept, began)
        while running.alive() and not reached():
            time.sleep(_POLL)
        time.sleep(self.random.uniform(0, seconds))

    def _stage(
        self, running: Running, stage: str, kept: int, began: list[int | None]
    ) -> tuple[Callable[[], bool], float]:
        """Is a stage's beginning (of a part or of an output) reached, and how long is it?"""
        job, whole = self.job, self.whole
        if stage == "predicting":
            wanted = kept + int(self.random.integers(0, max(1, whole.parts - kept)))
            told = "memory:"  # the engine is loaded
            return lambda: running.said(told) and len(job.parts()) >= wanted, whole.part
        if stage == "publishing":
            return lambda: job.places() != began, whole.publishing
        line = f"{stage} {job.rasters[int(self.random.integers(len(job.rasters)))].name}"
        return lambda: running.said(line), whole.steps[line]


@dataclass(slots=True)
class Story:
    """A job until it is finished, however often it is stopped; then it is checked.

    Attributes:
        job, whole: Which one.
        older: Do older outputs stand in the places of its own?
        kills: By stage.
        starts, computed, reused: How often it was started, how many parts reached the disk in all,
            how many the last start found.
        moved: Was it ever killed when outputs of its own stood in their places?
        removing: Was that the last kill, and a part perhaps half removed?
        problems: What should not be.
    """

    job: Job
    whole: Whole
    older: bool = False
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    starts: int = 0
    computed: int = 0
    reused: int = 0
    moved: bool = False
    removing: bool = False
    problems: list[str] = field(default_factory=list)

    def killed(self, moments: Moments, stage: str) -> bool:
        """Start the job and kill it in a stage; if it was faster, it is finished."""
        before, began = set(self.job.parts()), self.job.places()
        told = self._told()
        running = self._start()
        moments.reach(running, stage, began)
        if not running.kill() or running.said("wrote"):
            self._finished(running, len(before), told)
            return False
        after = set(self.job.parts())
        moved = self.job.places() != began
        self.kills["publishing" if moved else running.step()] += 1
        self.computed += len(after - before)
        if not moved and not before <= after:
            self.problems.append(f"{len(before - after)} finished parts went")
        self.removing, self.moved = moved, self.moved or moved
        self.stopped()
        return True

    def stopped(self) -> None:
        """Check what a stopped job leaves: older outputs, or finished ones with the mask last."""
        before = hashlib.sha256(OLDER).hexdigest() if self.older else None
        found = [digest(path) if path.exists() else None for path in self.job.outputs]
        for path, now, whole in zip(self.job.outputs, found, self.whole.digests, strict=True):
            if now != before and not (self.moved and now == whole):
                self.problems.append(f"{path.name} is neither the older nor the finished one")
        if found[0] == self.whole.digests[0] and found != self.whole.digests:
            self.problems.append("the mask stands there before the others")
        known = {path.name for path in (*self.job.outputs, self.job.report)}
        more = self.job.files() - known - {"mask.tif.parts", "mask.report.partial.json", "ballast"}
        self.problems += [f"{name} was left" for name in more]

    def finish(self) -> None:
        """Start the job, and let it come to its end."""
        kept, told = len(self.job.parts()), self._told()
        running = self._start()
        running.wait()
        self._finished(running, kept, told)

    def _start(self) -> Running:
        self.starts += 1
        return self.job.start()

    def _told(self) -> bytes | None:
        return self.job.report.read_bytes() if self.job.report.exists() else None

    def _finished(self, running: Running, kept: int, told: bytes | None) -> None:
        if running.status not in {0, -signal.SIGKILL}:
            self.problems += [f"status {running.status}", *running.errors]
            return
        self.problems += differences(self.job, self.whole)
        if self._told() == told:
            return  # it was killed after its last word: all was there, and nothing was used
        report = json.loads(self.job.report.read_text(encoding="utf-8"))
        self.computed += report["computed"]
        self.reused = report["reused"]
        if self.reused not in ({kept, kept - 1} if self.removing else {kept}):
            self.problems.append(f"{kept} parts lay there, {self.reused} were used")


def differences(job: Job, whole: Whole) -> list[str]:
    """What is not as an uninterrupted run leaves it: outputs, byte for byte, and nothing else."""
    problems = [
        f"{path.name} differs"
        for path, wanted in zip(job.outputs, whole.digests, strict=True)
        if not path.exists() or digest(path) != wanted
    ]
    expected = {path.name for path in (*job.outputs, job.report)}
    return problems + [f"{name} was left" for name in job.files() - expected]
