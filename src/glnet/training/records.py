"""What a run tells: records as they come, and the files they are kept in."""

import csv
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from glnet.recipe import Stage


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One optimiser step: mean losses, learning rate, seconds since the stage began."""

    stage: Stage
    epoch: int
    step: int
    steps: int
    losses: dict[str, float]
    learning_rate: float
    seconds: float

    @property
    def remaining(self) -> float:
        """Seconds left in the stage at the pace so far."""
        return self.seconds / self.step * (self.steps - self.step)


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch: its mean loss, and what validation found (empty where there was none)."""

    stage: Stage
    epoch: int
    epochs: int
    loss: float
    learning_rate: float
    seconds: float
    mean_iou: dict[str, float] = field(default_factory=dict)
    best: bool = False


@dataclass(frozen=True, slots=True)
class NoteRecord:
    """A sentence worth reading: what was found in the data, where a stage starts from."""

    text: str


Record = StepRecord | EpochRecord | NoteRecord

_COLUMNS = ["stage", "epoch", "loss", "learning_rate", "seconds", "aggregated", "global", "local"]


class RunLog:
    """Writes records to `metrics.csv` (a row per epoch) and TensorBoard (every step)."""

    def __init__(self, folder: Path) -> None:
        """Append to what a run folder holds already."""
        fresh = not (folder / "metrics.csv").exists()
        self._file = (folder / "metrics.csv").open("a", newline="", encoding="utf-8")
        self._csv = csv.DictWriter(self._file, _COLUMNS)
        if fresh:
            self._csv.writeheader()
        self._board = SummaryWriter(str(folder / "tensorboard"))

    def write(self, record: Record) -> None:
        """Keep one record."""
        if isinstance(record, StepRecord):
            for name, loss in record.losses.items():
                self._board.add_scalar(f"{record.stage}/{name}_loss", loss, record.step)
            rate = f"{record.stage}/learning_rate"
            self._board.add_scalar(rate, record.learning_rate, record.step)
        elif isinstance(record, EpochRecord):
            row = dataclasses.asdict(record)
            row = {key: row[key] for key in _COLUMNS[:5]} | record.mean_iou
            self._csv.writerow(row)
            self._file.flush()
            for view, score in record.mean_iou.items():
                self._board.add_scalar(f"{record.stage}/{view}_miou", score, record.epoch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._board.close()
