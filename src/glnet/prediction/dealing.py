"""Scenes as tasks of a Ray cluster.

Where all workers see the folder of the outputs, they do everything and this process only deals out
runs of scenes, and then images to be put together. Where they do not, scores come back through the
object store, and this process does the rest. Either way a worker that is lost is started again, and
its task is done again.
"""

import contextlib
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from glnet.cluster import Cluster, connected, got, workers_of
from glnet.errors import GlnetError
from glnet.prediction.blending import Scored
from glnet.prediction.computing import Asked, Network
from glnet.prediction.jobs import Job
from glnet.prediction.many import Outcome, Progress, carry_out
from glnet.prediction.predictor import Predictor
from glnet.prediction.run import Run
from glnet.prediction.shares import Amount, Own
from glnet.prediction.worker import Worker

#: Scenes of a task at the most: what a lost worker has to do again, and what one lock is for.
_MOST_SCENES = 16

#: Images that a worker looks at for the number of their scenes, in a task.
_SURVEYED = 64

#: Tasks that every worker has, or that wait for it: it should not wait for this process.
_AHEAD = 2


def carry_out_there(
    cluster: Cluster, predictor: Predictor, jobs: Sequence[Job], progress: Progress
) -> Generator[Outcome, None, None]:
    """`carry_out` by the workers of a cluster.

    Args:
        cluster: Which workers.
        predictor: The model; images, and its folder, have to be where workers find them.
        jobs: The images and their outputs.
        progress: Is told how many tasks are done, and of how many.

    Raises:
        GlnetError: Ray is not installed, cannot be reached, or the model cannot be used there.
    """
    jobs = [job.absolute() for job in jobs]
    with _team(cluster, predictor) as team:
        places = {path.parent for job in jobs for path in job.outputs.values()}
        if all(team.see(place) for place in places):
            yield from _in_shared_folder(team, jobs, progress)
        else:
            predictor.said("workers do not see the outputs' folder: scores come back to here")
            predictor.remote = team.computes
            yield from carry_out(predictor, jobs, progress, score=team.score)


@dataclass(frozen=True, slots=True)
class _Team:
    """Ray's actors.

    Attributes:
        ray: The library.
        workers: Of them.
        computes: What computes there.
    """

    ray: Any
    workers: Sequence[Any]
    computes: Any

    def see(self, folder: Path) -> bool:
        """Do all workers see a folder of this machine's?"""
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".glnet-") as file:
            path = Path(file.name).absolute()
            return all(got(self.ray, [worker.sees.remote(path) for worker in self.workers]))

    def results(self, tasks: "deque[Task]") -> Iterator[Outcome | None]:
        """What becomes of tasks, as they are done; more may be appended meanwhile."""
        running: dict[Any, tuple[Any, Callable[[Any], Outcome | None]]] = {}
        free = deque(worker for _ in range(_AHEAD) for worker in self.workers)
        while tasks or running:
            while tasks and free:
                (method, arguments, then), worker = tasks.popleft(), free.popleft()
                running[getattr(worker, method).remote(*arguments)] = worker, then
            for reference in self.ray.wait([*running], num_returns=1)[0]:
                worker, then = running.pop(reference)
                free.append(worker)
                yield then(got(self.ray, reference))

    def score(
        self,
        asked: Iterator[Asked[Run | Outcome]],
        _: Callable[[Run | Outcome], Network],
    ) -> Generator[tuple[Asked[Run | Outcome], Scored | None], None, None]:
        """See `score_asked`: in the order in which they are asked for."""
        window: deque[tuple[Asked[Run | Outcome], Any]] = deque()
        turn = 0
        for one in asked:
            reference = None
            if one.part is not None:
                job = one.owner.job
                worker = self.workers[turn % len(self.workers)]
                reference, turn = worker.score.remote(job, one.part.number), turn + 1
            window.append((one, reference))
            while sum(held is not None for _, held in window) >= _AHEAD * len(self.workers):
                yield self._first(window)
        while window:
            yield self._first(window)

    def _first(
        self, window: "deque[tuple[Asked[Run | Outcome], Any]]"
    ) -> tuple[Asked[Run | Outcome], Scored | None]:
        one, reference = window.popleft()
        return one, None if reference is None else got(self.ray, reference)


#: What is asked of a worker, given as its method and arguments; and what is done with its answer.
Task = tuple[str, tuple[object, ...], Callable[[Any], Outcome | None]]


def _in_shared_folder(team: _Team, jobs: Sequence[Job], progress: Progress) -> Iterator[Outcome]:
    """By whoever is free: how large images are, runs of scenes of large ones, then each whole."""
    dealer = _Dealer(len(team.workers))
    for first in range(0, len(jobs), _SURVEYED):
        some = jobs[first : first + _SURVEYED]
        dealer.tasks.append(("amounts", (some,), partial(dealer.deal, some)))
    finished = 0
    for outcome in team.results(dealer.tasks):
        if outcome is not None:
            finished += 1
            progress(finished, len(jobs))
            yield outcome


@dataclass(slots=True)
class _Dealer:
    """What is to be done next.

    Attributes:
        workers: How many there are.
        tasks: That nobody has yet.
    """

    workers: int
    tasks: deque[Task] = field(default_factory=deque)

    def deal(self, jobs: Sequence[Job], amounts: Sequence[Amount]) -> None:
        """Images whose scenes are counted."""
        for job, amount in zip(jobs, amounts, strict=True):
            runs = _runs(amount.scenes, self.workers)
            if len(runs) == 1:
                self.tasks.append(self._finish(job))
                continue
            left = set(runs)
            self.tasks += (
                ("compute", (job, own), partial(self._done, job, left, own)) for own in runs
            )

    def _done(self, job: Job, left: set[Own], own: Own, _: None) -> None:
        left.remove(own)
        if not left:
            self.tasks.appendleft(self._finish(job))

    def _finish(self, job: Job) -> Task:
        return "finish", (job,), lambda outcome: outcome


def _runs(scenes: int, workers: int) -> list[Own]:
    """Runs of scenes, several for every worker, or one that is too short to share."""
    each = max(1, min(_MOST_SCENES, scenes // (_AHEAD * workers)))
    if scenes <= each:
        return [Own("all", range(scenes), scenes)]
    firsts = range(0, scenes, each)
    return [Own(f"{n}-{n + each}", range(n, min(n + each, scenes)), scenes) for n in firsts]


@contextlib.contextmanager
def _team(cluster: Cluster, predictor: Predictor) -> Iterator[_Team]:
    """Reach the cluster, and load the model in its workers."""
    with connected(cluster) as ray:
        found = workers_of(ray, cluster, gpus=predictor.how["device"] != "cpu")
        kind = ray.remote(max_restarts=-1, max_task_retries=-1)(Worker).options(**found.options)
        options = predictor.options
        if options.within is not None:
            options = replace(options, within=Path(options.within).absolute())
        how = {**predictor.how, "options": options}
        workers = [kind.remote(predictor.folder.absolute(), how) for _ in range(found.number)]
        for reference in [worker.ready.remote() for worker in workers]:
            told = got(ray, reference)
            if isinstance(told, GlnetError):
                raise told
        each = "1 thread" if told.threads == 1 else f"{told.threads} threads"
        predictor.said(f"{found.number} workers of {each}, {told.library} on {told.device}")
        yield _Team(ray, workers, told)
