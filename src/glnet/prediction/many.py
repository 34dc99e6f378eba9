"""Many images through one model: the next is read while one is computed and one written."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

import rasterio

from glnet.engines.held import peak
from glnet.errors import GlnetError, RasterError
from glnet.outputs.tables import write_json
from glnet.prediction.beginning import begin
from glnet.prediction.blending import Scored
from glnet.prediction.computing import Asked, Network, score_asked
from glnet.prediction.finishing import finish
from glnet.prediction.jobs import Job
from glnet.prediction.locks import clear
from glnet.prediction.parts import Part
from glnet.prediction.predictor import Predictor
from glnet.prediction.report import Report, report_path
from glnet.prediction.run import Run
from glnet.prediction.shares import Own

#: Bytes that GDAL keeps of decoded blocks; left alone it takes a twentieth of the machine's memory.
GDAL_BLOCKS = {"GDAL_CACHEMAX": 64 << 20}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image.

    Attributes:
        job: The image and its outputs.
        report: What was done.
        error: Why it could not be done.
        before: Was all of it done by an earlier run?
    """

    job: Job
    report: Report | None = None
    error: GlnetError | None = None
    before: bool = False


#: Takes how many scenes of an image are done, and of how many.
Progress = Callable[[int, int], None]

#: What `score_asked` does, wherever.
Score = Callable[
    [Iterator[Asked[Run | Outcome]], Callable[[Run | Outcome], Network]],
    Generator[tuple[Asked[Run | Outcome], Scored | None], None, None],
]

_Scored = Iterator[tuple[Asked[Run | Outcome], Scored | None]]

#: An image, and the only scenes of it that are computed.
_ToDo = tuple[Job, Own | None]


def carry_out(
    predictor: Predictor,
    jobs: Sequence[Job],
    progress: Progress,
    share: Sequence[Own] | None = None,
    score: Score = score_asked,
) -> Generator[Outcome, None, None]:
    """Predict images one after another; one that fails does not stop the others.

    Close it when no more are wanted.

    Args:
        predictor: The model.
        jobs: The images and their outputs.
        progress: Is told how far the present one is.
        share: Of every image, the only scenes that are computed; nothing is put together.
        score: What computes them.

    Yields:
        What became of each image; of those that have no scene in the share nothing.

    Raises:
        GlnetError: the model cannot be used.
    """
    many = len(jobs) > 1 or predictor.stays
    owns = [None] * len(jobs) if share is None else share
    left = [one for one in zip(jobs, owns, strict=True) if one[1] is None or one[1].scenes]
    with rasterio.Env(**GDAL_BLOCKS):
        while left:  # what the network cannot do ends all that is on its way, of other images too
            yield from _on_one_way(predictor, left, progress, score, many=many)


def _on_one_way(
    predictor: Predictor, left: list[_ToDo], progress: Progress, score: Score, *, many: bool
) -> Iterator[Outcome]:
    """As many images as can be, from the first on; those that are told of are left no more."""
    held: list[Run] = []
    asked = _asked(predictor, tuple(left), held, many=many)
    with contextlib.ExitStack() as stack:
        stack.callback(_give_back, held)
        # Closed first: no raster may be while a thread reads it.
        scored = stack.enter_context(contextlib.closing(score(asked, _network())))
        for one, _ in scored:
            outcome = one.owner
            if isinstance(outcome, Run):
                run, outcome = outcome, _carried_out(outcome, _of(scored), progress)
                held.remove(run)
                run.held.close()
            del left[0]
            yield outcome


def _give_back(held: list[Run]) -> None:
    for run in held:
        run.held.close()


def _of(scored: _Scored) -> Iterator[tuple[Part, Scored]]:
    """The scenes of the present run, of all that come."""
    for one, found in scored:
        if one.part is None or found is None:
            break
        yield one.part, found


def _carried_out(run: Run, scored: Iterator[tuple[Part, Scored]], progress: Progress) -> Outcome:
    """Compute, and put together what is whole."""
    try:
        with _told(run):
            run.compute(scored, progress)
            if run.last:  # what the network holds is what assembling needs
                run.predictor.release()
            if run.own is None:
                finish(run, progress)
    except GlnetError as error:
        run.given_up = True
        for _ in scored:
            pass
        return Outcome(run.job, run.report, error)
    if run.own is None and not run.report.failed:
        clear(run.store.folder.parent)
    return Outcome(run.job, run.report)


@contextlib.contextmanager
def _told(run: Run) -> Iterator[None]:
    """Write the report of what is done here, also of a run that fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(RasterError):  # a disk that is full for it too is no news
            _tell(run)
        raise
    _tell(run)


def _tell(run: Run) -> None:
    report = run.report
    report.memory = peak()
    if run.own is None and report.computed + report.reused + report.empty:
        write_json(report_path(run.job.mask), report.as_dict())


def _asked(
    predictor: Predictor, left: Sequence[_ToDo], held: list[Run], *, many: bool
) -> Iterator[Asked[Run | Outcome]]:
    """The scenes of all images; a run comes once before its scenes, and once after them."""
    for number, (job, own) in enumerate(left, start=1):
        run = _begun(predictor, job, own, many=many)
        if isinstance(run, Outcome):
            yield Asked(run)
            continue
        held.append(run)
        yield Asked(run)
        for part in run.missing:
            if run.given_up:
                break
            yield Asked(run, run.opened, part)
        run.last = number == len(left)
        yield Asked(run)


def _begun(predictor: Predictor, job: Job, own: Own | None, *, many: bool) -> Run | Outcome:
    try:
        found = begin(predictor, job, many=many, own=own)
    except GlnetError as error:
        if predictor.unusable:
            raise
        return Outcome(job, error=error)
    return Outcome(job, found, before=True) if isinstance(found, Report) else found


def _network() -> Callable[[Run | Outcome], Network]:
    """What the scenes of runs go through, one run after another."""
    present: list[Run] = []

    def network(run: Run | Outcome) -> Network:
        assert isinstance(run, Run)  # noqa: S101  others have no scenes
        if present != [run]:
            present[:] = [run]
            run.predictor.keep_to(run.memory)
        predictor = run.predictor
        return Network(predictor.engine, predictor.computes.view, predictor.options.tta)

    return network
