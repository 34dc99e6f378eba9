"""Where a run stands, on disk: one file, whole or absent, from which a stopped run goes on.

It holds what a step changes and nothing else: the weights of the stage at hand, the optimiser, the
random state, the best score. What a step reads depends on seed, epoch and image alone, so a run
that goes on from here ends with the weights of one that was never stopped.
"""

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from glnet.datasets.classes import ClassTable
from glnet.datasets.manifest import Sample
from glnet.errors import RunError
from glnet.outputs.files import whole_or_nothing
from glnet.recipe import Recipe, Stage

_NAME = "checkpoint.pt"

#: Settings that say how a run is computed, not what: they may change between two parts of it.
_FREE = ("device", "workers", "checkpoint_minutes", "memory")


@dataclass
class Standing:
    """How far a run has come.

    Attributes:
        run: What it is; see `identity`.
        finished: The stages that are done.
        stage: The one that was begun, if any.
        state: All that its next step needs.
    """

    run: dict[str, Any]
    finished: list[Stage] = field(default_factory=list)
    stage: Stage | None = None
    state: dict[str, Any] = field(default_factory=dict)

    def after(self, stage: Stage) -> "Standing":
        """With a stage done; what was trained on top of its earlier result no longer counts."""
        kept = self.finished[: self.finished.index(stage)] if stage in self.finished else None
        return Standing(self.run, [*(self.finished if kept is None else kept), stage])


def identity(recipe: Recipe, samples: list[Sample], table: ClassTable) -> dict[str, Any]:
    """What a run is: everything its result depends on, but for where its files lie."""
    settings = recipe.model_dump(mode="json", exclude={"data": {"manifest", "classes"}})
    for name in _FREE:
        del settings["train"][name]
    images = [[s.image.name, s.mask.name, s.split, s.window] for s in samples]
    known = {**settings, "images": images, "classes": table.as_dicts()}
    return dict(json.loads(json.dumps(known, default=str)))


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
            torch.save(vars(standing), partial)
        except RuntimeError as error:  # how torch tells that a write failed
            raise OSError(str(error).splitlines()[0]) from error
        with zipfile.ZipFile(partial) as file:
            damaged = file.testzip()
        if damaged is not None:
            msg = f"{damaged} did not read back as written"
            raise OSError(msg)


def difference(one: Any, other: Any, place: str = "") -> str | None:  # noqa: ANN401  JSON
    """The first place where two nested values differ, as a dotted name; None where they agree."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            found = difference(one.get(key), other.get(key), f"{place}.{key}" if place else key)
            if found is not None:
                return found
        return None
    return None if one == other else place
