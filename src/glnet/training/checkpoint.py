"""Where a run stands, on disk: one file, whole or absent, from which a stopped run goes on.

It holds what a step changes and nothing else: the weights of the stage at hand, the optimiser, the
random state, the best score. What a step reads depends on seed, epoch and image alone, so a run
that goes on from here ends with the weights of one that was never stopped.
"""

import contextlib
import functools
import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from glnet.bundle import find_model, weights_digest
from glnet.datasets.class_files import class_file
from glnet.datasets.classes import ClassTable
from glnet.datasets.manifest import Sample
from glnet.errors import RunError
from glnet.outputs.files import whole_or_nothing
from glnet.recipe import STAGES, Recipe, Stage

_NAME = "checkpoint.pt"

_CHUNK = 1 << 20

#: Settings that say how a run is computed, not what: they may change between two parts of it.
FREE = ("device", "workers", "checkpoint_minutes", "memory")


@dataclass(frozen=True)
class Standing:
    """How far a run has come.

    Attributes:
        run: What it is; see `identity`.
        mini_batch: Patches per forward pass, fixed when the run began; None: not yet.
        finished: The stages that are done.
        stage: The one that was begun, if any.
        state: All that its next step needs; empty until its first checkpoint.
        log: Bytes of `metrics.csv` that count; what follows comes again.
    """

    run: dict[str, Any]
    mini_batch: int | None = None
    finished: tuple[Stage, ...] = ()
    stage: Stage | None = None
    state: dict[str, Any] = field(default_factory=dict)
    log: int = 0

    def begin(self, stage: Stage) -> "Standing":
        """With a stage begun anew: what was trained on top of its earlier result is void."""
        before = STAGES[: STAGES.index(stage)]
        finished = tuple(done for done in self.finished if done in before)
        return replace(self, finished=finished, stage=stage, state={})

    def end(self, log: int) -> "Standing":
        """With the stage at hand done."""
        finished = (*self.finished, self.stage) if self.stage else self.finished
        return replace(self, finished=finished, stage=None, state={}, log=log)


def identity(recipe: Recipe, samples: list[Sample], table: ClassTable) -> dict[str, Any]:
    """What a run is: everything its result depends on, but for where its files lie.

    Of images the names and lengths count, of labels and of the model to start from the content.
    """
    settings = settings_that_matter(recipe)
    images = [[s.name, _length(s.image), s.mask.name, s.split, s.window] for s in samples]
    labels: dict[str, int] = {}
    for file in dict.fromkeys(class_file(s.mask, row) for s in samples for row in table.rows):
        if file.is_file():
            found = file.stat()
            sum_ = _sum_of(file, found.st_size, found.st_mtime_ns)
            labels[file.name] = labels.get(file.name, 0) + sum_
    known = {**settings, "images": images, "labels": labels, "classes": table.as_dicts()}
    return dict(json.loads(json.dumps(known, default=str)))


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@functools.cache
def _sum_of(path: Path, _size: int, _written: int) -> int:
    """A checksum of a file; read again only where it has changed."""
    found = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found = zlib.crc32(chunk, found)
    return found


def settings_that_matter(recipe: Recipe) -> dict[str, Any]:
    """A recipe without how it is computed, where its files lie and its licence, as JSON has it."""
    settings = recipe.model_dump(
        mode="json", exclude={"licence": True, "data": {"manifest", "classes"}}
    )
    for name in FREE:
        del settings["train"][name]
    train = recipe.train
    settings["train"]["trunk_weights"] = Path(train.trunk_weights).name
    if train.start_from is not None:
        settings["train"]["start_from"] = weights_digest(find_model(train.start_from))
    return settings


def read_standing(out: Path) -> Standing | None:
    """How far the run in a folder has come; None where there is none.

    Raises:
        RunError: the file is damaged, or of another glnet.
    """
    path = out / _NAME
    if not path.is_file():
        return None
    try:
        return Standing(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file raises whatever its bytes happen to say
        msg = f"{path}: cannot be read as a checkpoint; train again with --restart ({error})"
        raise RunError(msg) from error


def write_standing(out: Path, standing: Standing) -> None:
    """Replace the folder's checkpoint, once the new one is known to be whole.

    Raises:
        RasterError: the disk is full or refuses; the old one is still in place.
    """
    with whole_or_nothing(out / _NAME) as partial:
        try:
            torch.save({f.name: getattr(standing, f.name) for f in fields(standing)}, partial)
            with zipfile.ZipFile(partial) as file:
                damaged = file.testzip()
        except (RuntimeError, zipfile.BadZipFile) as error:  # how torch tells of a failed write
            raise OSError(str(error).splitlines()[0]) from error
        if damaged is not None:
            msg = f"{damaged} did not read back as written"
            raise OSError(msg)


@contextlib.contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Hold a run's folder: two processes that write checkpoints there would undo each other.

    Raises:
        RunError: another process holds it; the system lets go of it with the process.
    """
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        msg = f"{out}: another process trains in this folder; wait for it, or name another one"
        raise RunError(msg) from error
    try:
        yield
    finally:
        lock.release()


def difference(one: Any, other: Any, place: str = "") -> str | None:  # noqa: ANN401  JSON
    """The first place where two nested values differ, as a dotted name; None where they agree."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            found = difference(one.get(key), other.get(key), f"{place}.{key}" if place else key)
            if found is not None:
                return found
        return None
    return None if one == other else place


def random_state() -> list[torch.Tensor]:
    """Of the CPU, and of every GPU: some trunks drop paths at random."""
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return [torch.get_rng_state(), *gpus]


def set_random_state(state: list[torch.Tensor]) -> None:
    """Go on with what `random_state` gave; of the GPUs if there are as many."""
    torch.set_rng_state(state[0])
    if torch.cuda.is_available() and len(state) == torch.cuda.device_count() + 1:
        torch.cuda.set_rng_state_all(state[1:])
