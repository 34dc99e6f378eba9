"""What a run tells while it goes on: plain records, in order."""

from dataclasses import dataclass, field

from glnet.recipe import Stage


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a stage goes.

    Attributes:
        seconds: Of the stage, done so far.
        remaining: Seconds left, at the pace so far.
        images: Per second.
        waiting: Share of the time spent waiting for images to be read.
    """

    seconds: float
    remaining: float
    images: float
    waiting: float


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One optimiser step: mean losses, learning rate, pace."""

    stage: Stage
    epoch: int
    step: int
    steps: int
    losses: dict[str, float]
    learning_rate: float
    pace: Pace


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch: its mean loss, and what validation found (empty where there was none)."""

    stage: Stage
    epoch: int
    epochs: int
    loss: float
    learning_rate: float
    pace: Pace
    mean_iou: dict[str, float] = field(default_factory=dict)
    best: bool = False


@dataclass(frozen=True, slots=True)
class NoteRecord:
    """A sentence worth reading: what was found in the data, where a stage starts from."""

    text: str


Record = StepRecord | EpochRecord | NoteRecord
