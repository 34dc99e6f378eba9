"""Several runs of training, by the workers of a Ray cluster."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from glnet.cluster import Cluster, connected, got, workers_of
from glnet.errors import GlnetError, RunError
from glnet.recipe import Recipe
from glnet.training.loop import train
from glnet.training.records import EpochRecord


class Trained(NamedTuple):
    """What became of a run.

    Attributes:
        folder: Of the run.
        last: Its last epoch; None where there was nothing left to do.
        error: Why it could not be done.
    """

    folder: Path
    last: EpochRecord | None = None
    error: GlnetError | None = None


def train_there(cluster: Cluster, runs: Mapping[Path, Recipe]) -> Iterator[Trained]:
    """Train each recipe as a task of a cluster; one that fails does not stop the others.

    A worker that is lost is started again, and goes on from the run's last checkpoint.

    Args:
        cluster: Which workers; folders and data have to be where they find them.
        runs: Recipes by the folders of their runs.

    Yields:
        What became of each, as they are finished.

    Raises:
        RunError: Ray is not installed, or cannot be reached.
    """
    gpus = any(recipe.train.device != "cpu" for recipe in runs.values())
    with connected(cluster) as ray:
        found = workers_of(ray, cluster, gpus=gpus)
        task = ray.remote(max_retries=-1)(_trained).options(**found.options)
        left = list(runs.items())
        running: list[Any] = []
        while left or running:
            while left and len(running) < found.number:
                folder, recipe = left.pop(0)
                running.append(task.remote(recipe, folder.absolute()))
            (first,), running = ray.wait(running, num_returns=1)
            yield got(ray, first)


def _trained(recipe: Recipe, folder: Path) -> Trained:
    """A run, in a worker. What a user can mend comes back as a value: an exception is retried."""
    last = None
    try:
        for record in train(recipe, folder):
            if isinstance(record, EpochRecord):
                last = record
    except GlnetError as error:
        return Trained(folder, last, error)
    except RuntimeError as error:
        return Trained(folder, last, RunError(f"{folder}: {' '.join(str(error).split())}"))
    return Trained(folder, last)
