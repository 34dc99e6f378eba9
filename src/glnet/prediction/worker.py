"""What one of several workers does; it runs in a process of its own, on whatever machine."""

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import rasterio

from glnet.errors import GlnetError
from glnet.mosaic import on_host
from glnet.prediction.blending import Scored
from glnet.prediction.computing import Network, score_part
from glnet.prediction.jobs import Job
from glnet.prediction.many import GDAL_BLOCKS, Outcome, carry_out
from glnet.prediction.opening import Opened
from glnet.prediction.predictor import Computes, Predictor
from glnet.prediction.shares import Amount, Own
from glnet.prediction.survey import amount


class Worker:
    """A model, loaded once. What a user can mend comes back as a value: an exception is retried."""

    def __init__(self, model: Path, how: dict[str, Any]) -> None:
        """See `Predictor`."""
        self._told = model, how
        self._opened: tuple[Job, Opened] | None = None
        self._held = contextlib.ExitStack()

    @cached_property
    def _predictor(self) -> Predictor:
        model, how = self._told
        predictor = Predictor(model, **how)
        predictor.stays = True
        return predictor

    def ready(self) -> Computes | GlnetError:
        """Load the model; what computes here."""
        try:
            return self._predictor.computes
        except GlnetError as error:
            return error

    def sees(self, path: Path) -> bool:
        """Is there such a file on this machine?"""
        return path.is_file()

    def amounts(self, jobs: Sequence[Job]) -> list[Amount]:
        """How much there is to do for images."""
        return [amount(self._predictor, job) for job in jobs]

    def compute(self, job: Job, own: Own) -> None:
        """Leave the parts of these scenes beside the output; what fails is left to `finish`."""
        with contextlib.closing(carry_out(self._predictor, [job], _ignore, [own])) as outcomes:
            next(outcomes)

    def finish(self, job: Job) -> Outcome:
        """Compute what is missing of an image, and put it together."""
        with contextlib.closing(carry_out(self._predictor, [job], _ignore)) as outcomes:
            return next(outcomes)

    def score(self, job: Job, number: int) -> Scored:
        """One scene of an image."""
        try:
            opened = self._open(job)
            self._predictor.keep_to(self._predictor.plan(opened))
            computes, tta = self._predictor.computes, self._predictor.options.tta
            network = Network(self._predictor.engine, computes.view, tta)
            found = score_part(opened, opened.parts[number], network)
        except GlnetError as error:
            return Scored(why=str(error))
        if found.scores is None:
            return found
        return replace(found, scores=replace(found.scores, cells=on_host(found.scores.cells)))

    def _open(self, job: Job) -> Opened:
        """An image; it stays open for its other scenes."""
        if self._opened is None or self._opened[0] != job:
            self._opened = None
            self._held.close()
            self._held.enter_context(rasterio.Env(**GDAL_BLOCKS))
            folder = Path(self._held.enter_context(tempfile.TemporaryDirectory()))
            self._opened = job, self._held.enter_context(self._predictor.open(job.image, folder))
        return self._opened[1]


def _ignore(_: int, __: int) -> None:
    """Nobody watches."""
