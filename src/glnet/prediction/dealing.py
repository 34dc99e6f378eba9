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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glnet.cluster import Cluster, connected, got, workers_of
from glnet.errors import GlnetError
from glnet.prediction.beginning import amount
from glnet.prediction.blending import Scored
from glnet.prediction.computing import Asked, Network
from glnet.prediction.jobs import Job
from glnet.prediction.many import Outcome, Progress, carry_out
from glnet.prediction.predictor import Predictor
from glnet.prediction.run import Run
from glnet.prediction.worker import Worker

#: Scenes of a task at the most: what a lost worker has to do again, and what one lock is for.
_MOST_SCENES = 16

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
            yield from _in_shared_folder(team, predictor, jobs, progress)
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

    def results(
        self, tasks: "deque[Callable[[Any], Any]]"
    ) -> Iterator[tuple[Callable[[Any], Any], Any]]:
        """Tasks and what they gave, as they come; more may be appended meanwhile."""
        running: dict[Any, tuple[Callable[[Any], Any], Any]] = {}
        free = deque(worker for _ in range(_AHEAD) for worker in self.workers)
        while tasks or running:
            while tasks and free:
                task, worker = tasks.popleft(), free.popleft()
                running[task(worker)] = task, worker
            for reference in self.ray.wait([*running], num_returns=1)[0]:
                task, worker = running.pop(reference)
                free.append(worker)
                yield task, got(self.ray, reference)

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


def _in_shared_folder(
    team: _Team, predictor: Predictor, jobs: Sequence[Job], progress: Progress
) -> Iterator[Outcome]:
    """Runs of scenes of large images, then every image whole: by whoever is free."""
    tasks: deque[Callable[[Any], Any]] = deque()
    whole: dict[Callable[[Any], Any], Job] = {}
    waiting: dict[Callable[[Any], Any], tuple[Job, list[int]]] = {}
    for job in jobs:
        chunks = _chunks(amount(predictor, job).scenes, len(team.workers))
        if len(chunks) < 2:  # noqa: PLR2004  by one worker from beginning to end
            tasks.append(task := _finishing(job))
            whole[task] = job
            continue
        left = [len(chunks)]
        for scenes in chunks:
            tasks.append(task := _computing(job, scenes))
            waiting[task] = job, left
    total = len(tasks) + len(jobs) - len(whole)
    for done, (task, outcome) in enumerate(team.results(tasks), start=1):
        progress(done, total)
        if task in whole:
            yield outcome
            continue
        job, left = waiting.pop(task)
        left[0] -= 1
        if not left[0]:
            tasks.appendleft(last := _finishing(job))
            whole[last] = job


def _finishing(job: Job) -> Callable[[Any], Any]:
    return lambda worker: worker.finish.remote(job)


def _computing(job: Job, scenes: range) -> Callable[[Any], Any]:
    return lambda worker: worker.compute.remote(job, scenes)


def _chunks(scenes: int, workers: int) -> list[range]:
    """Runs of scenes, several for every worker, or one that is too short to share."""
    each = max(1, min(_MOST_SCENES, scenes // (_AHEAD * workers)))
    return [range(first, min(first + each, scenes)) for first in range(0, scenes, each)]


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
