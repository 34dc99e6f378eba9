"""One raster on its way to its outputs: nothing lost, nothing half-finished."""

import contextlib
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field

from glnet.engines.memory import MemoryPlan
from glnet.errors import GatheredError, RasterError
from glnet.prediction.blending import Scored, compose
from glnet.prediction.jobs import Job
from glnet.prediction.layers import compute
from glnet.prediction.opening import Opened
from glnet.prediction.parts import Part
from glnet.prediction.predictor import Predictor
from glnet.prediction.report import FailedPart, Report
from glnet.prediction.shelf import Shelf
from glnet.prediction.store import PartStore


@dataclass(slots=True)
class Run:
    """What a command does for one image.

    Attributes:
        predictor: The model.
        job: The image and its outputs.
        opened: Its pixels and its parts.
        memory: How the engine keeps to its budget meanwhile.
        store: Where finished parts are kept.
        report: What is told at the end.
        held: Gives the raster and the lock back when closed.
        own: The scenes that this process computes; None: all, and nobody else does.
        shelf: Where scores wait for their neighbours.
        wanted: The parts that are to be made.
        missing: The scenes that are to be computed for that.
        given_up: Are no more of them wanted?
        last: Is it the last one of its command?
    """

    predictor: Predictor
    job: Job
    opened: Opened
    memory: MemoryPlan | None
    store: PartStore
    report: Report
    held: contextlib.ExitStack
    own: range | None = None
    shelf: MutableMapping[int, Scored] = field(default_factory=dict)
    wanted: Sequence[Part] = ()
    missing: Sequence[Part] = ()
    given_up: bool = False
    last: bool = False

    def look(self) -> None:
        """Find out what is there already."""
        parts, plan = self.opened.parts, self.opened.plan
        with self.clocked("looking for parts"):
            if len(parts) > 1:  # one alone has no neighbours to wait for
                self.shelf = Shelf(self.store.folder / "scenes", alone=self.own is None)
            scenes = parts if self.own is None else [parts[n] for n in self.own]
            reached = {part.number for scene in scenes for part in plan.under(scene)}
            wanted = [parts[n] for n in sorted(reached) if not self.store.has(parts[n])]
            needed = {one.number for part in wanted for one in plan.over(part)}
            self.missing = [s for s in scenes if s.number in needed and s.number not in self.shelf]
            self.wanted = wanted
        self.report.reused = len(reached) - len(wanted)

    def compute(
        self, scored: Iterator[tuple[Part, Scored]], progress: Callable[[int, int], None]
    ) -> None:
        """Keep what is computed.

        Args:
            scored: The missing scenes.
            progress: Is told how many scenes are done, and of how many.

        Raises:
            StoreError: it cannot be kept.
            GatheredError: some parts failed, after the others were kept.
        """
        report, plan = self.report, self.opened.plan
        tolerant = self.predictor.options.on_error == "nodata" and self.own is None
        others = None if self.own is None else self.store.lies
        with self.clocked("network"):
            counted = self._counted(scored, progress)
            for found in compose(
                plan, self.wanted, self.shelf, counted, tolerant=tolerant, others=others
            ):
                made = compute(found, self.job.layers, self.predictor.table)
                self.store.write(found.part, made, found.why)
        if report.failed and not tolerant:
            if len(report.failed) == len(self.opened.parts):
                raise RasterError(report.failed[0].why)
            raise GatheredError([*map(str, report.failed), self._advice()])

    def _counted(
        self, scored: Iterator[tuple[Part, Scored]], progress: Callable[[int, int], None]
    ) -> Iterator[tuple[Part, Scored]]:
        report = self.report
        total = len(self.opened.parts) if self.own is None else len(self.own)
        for done, (part, found) in enumerate(scored, start=total - len(self.missing) + 1):
            if found.why:
                report.failed.append(FailedPart(part.core, found.why))
            elif found.scores is None:
                report.empty += 1
            else:
                report.computed += 1
                report.patches += found.patches
            yield part, found
            progress(done, total)

    def _advice(self) -> str:
        failed = len(self.report.failed)
        return (
            f"{failed} of {len(self.opened.parts)} parts failed, the others are kept in "
            f"{self.store.folder.parent}; start the command again to try these once more, or say "
            "--on-error nodata to write them as ground without data"
        )

    @contextlib.contextmanager
    def clocked(self, what: str) -> Iterator[None]:
        """Report the seconds that pass meanwhile."""
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = self.report.seconds
            spent[what] = spent.get(what, 0.0) + time.perf_counter() - began
