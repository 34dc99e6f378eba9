"""What a run tells while it goes on: plain records, in order."""

from dataclasses import dataclass, field

from glnet.recipe import Stage


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One optimiser step: mean losses, learning rate, seconds of the stage done and left."""

    stage: Stage
    epoch: int
    step: int
    steps: int
    losses: dict[str, float]
    learning_rate: float
    seconds: float
    remaining: float


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch: its mean loss, and what validation found (empty where there was none)."""

    stage: Stage
    epoch: int
    epochs: int
    loss: float
    learning_rate: float
    seconds: float
    remaining: float
    mean_iou: dict[str, float] = field(default_factory=dict)
    best: bool = False


@dataclass(frozen=True, slots=True)
class NoteRecord:
    """A sentence worth reading: what was found in the data, where a stage starts from."""

    text: str


Record = StepRecord | EpochRecord | NoteRecord
