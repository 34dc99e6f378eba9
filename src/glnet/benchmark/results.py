"""What is kept of a run: enough to make every table again without running anything."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from glnet import __version__
from glnet.benchmark.measuring import Cost
from glnet.benchmark.study import Job, StudySettings
from glnet.boxes import PatchCount
from glnet.datasets.classes import ClassTable, read_classes
from glnet.datasets.manifest import read_manifest
from glnet.errors import RunError
from glnet.evaluation.result import Evaluation, plain
from glnet.metrics import Protocol, ProtocolName
from glnet.outputs.tables import write_json
from glnet.training.checkpoint import identity as run_identity

_NAME = "result.json"


@dataclass(frozen=True, slots=True)
class Result:
    """Of one run.

    Attributes:
        identity: What the result depends on.
        glnet: The version that made it.
        view: What was scored.
        classes: The class table's rows.
        protocol: Name of the protocol.
        images: What was counted.
        pairs: Confusion matrices, an image each, by view.
        boundary: Boundary IoU of every class in the scored view; None where it was not asked for.
        patches: Computed and whole.
        seconds: Of training.
        cost: Of a prediction; None where it could not be measured.
        groups: See `Evaluation`.
        edges: Pixels of every class that boundaries share and cover together, (2, classes), so
            that those of several runs add up; None where they were not counted.
    """

    identity: dict[str, Any]
    glnet: str
    view: str
    classes: list[dict[str, Any]]
    protocol: str
    images: list[str]
    pairs: dict[str, list[list[list[int]]]]
    boundary: list[float | None] | None
    patches: dict[str, int] | None
    seconds: float
    cost: dict[str, Any] | None
    groups: Sequence[str] = ()
    edges: list[list[int]] | None = None

    @classmethod
    def of(
        cls,
        identity: dict[str, Any],
        evaluation: Evaluation,
        view: str,
        seconds: float,
        cost: Cost | None,
    ) -> "Result":
        """What an evaluation and a measurement found."""
        boundary, edges = evaluation.boundary_iou(view), evaluation.boundaries.get(view)
        return cls(
            identity,
            __version__,
            view,
            evaluation.table.as_dicts(),
            evaluation.protocol.name,
            list(evaluation.images),
            {name: pairs.tolist() for name, pairs in evaluation.pairs.items()},
            None if boundary is None else [plain(value) for value in boundary],
            asdict(evaluation.patches) if evaluation.patches else None,
            seconds,
            asdict(cost) if cost else None,
            evaluation.groups,
            None if edges is None else [edges.intersections.tolist(), edges.unions.tolist()],
        )

    def evaluation(self) -> Evaluation:
        """The evaluation, of the scored view alone; boundaries are in `boundary`."""
        table = ClassTable.from_dicts(self.classes)
        return Evaluation(
            table,
            Protocol.of(cast("ProtocolName", self.protocol), table.names),
            tuple(self.images),
            {self.view: np.array(self.pairs[self.view])},
            {},
            0,
            PatchCount(**self.patches) if self.patches else None,
            groups=tuple(self.groups),
        )


def identity(job: Job, study: StudySettings) -> dict[str, Any]:
    """All that a result depends on, but for where its files lie.

    Raises:
        DataError: the manifest or the class table cannot be read.
    """
    data = job.recipe.data
    samples, table = read_manifest(data.manifest, files=()), read_classes(data.classes)
    counted = {"split": study.split, "protocol": study.protocol, "boundary": study.boundary}
    groups = [sample.group for sample in samples]
    known = {"view": job.view, **({"groups": groups} if any(groups) else {})}
    return {**run_identity(job.recipe, samples, table), **counted, **known}


def read_result(folder: Path) -> Result | None:
    """The result of a finished run; None where there is none.

    Raises:
        RunError: the file is damaged, or of another glnet.
    """
    path = folder / _NAME
    if not path.is_file():
        return None
    try:
        return Result(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        msg = f"{path}: cannot be read as a result ({error}); delete it, to measure it again"
        raise RunError(msg) from error


def write_result(folder: Path, result: Result) -> None:
    """Keep a result; it appears whole or not at all."""
    write_json(folder / _NAME, asdict(result))
