"""The files a run's records are kept in."""

import csv
import os
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from glnet.recipe import VIEWS, Stage
from glnet.training.records import EpochRecord, Record, StepRecord

_COLUMNS = ["stage", "epoch", "loss", "learning_rate", "seconds", *VIEWS]


class StageLog:
    """Writes a stage's records to `metrics.csv` (a row per epoch) and TensorBoard (every step)."""

    def __init__(self, folder: Path, stage: Stage, length: int, step: int) -> None:
        """Append to what a run folder holds already.

        Args:
            folder: Of the run.
            stage: Whose records these are.
            length: Bytes of `metrics.csv` that still count: what a stopped run wrote after its
                checkpoint comes again.
            step: The last step whose record counts.
        """
        path = folder / "metrics.csv"
        if path.exists():
            os.truncate(path, min(length, path.stat().st_size))
        fresh = not path.exists() or not path.stat().st_size
        self._file = path.open("a", newline="", encoding="utf-8")
        self._csv = csv.DictWriter(self._file, _COLUMNS)
        if fresh:
            self._csv.writeheader()
        self._board = SummaryWriter(str(folder / "tensorboard" / stage), purge_step=step + 1)

    @property
    def length(self) -> int:
        """Bytes of `metrics.csv` so far."""
        self._file.flush()
        return os.fstat(self._file.fileno()).st_size

    def write(self, record: Record) -> None:
        """Keep one record."""
        if isinstance(record, StepRecord):
            for name, loss in record.losses.items():
                self._board.add_scalar(f"{record.stage}/{name}_loss", loss, record.step)
            rate = f"{record.stage}/learning_rate"
            self._board.add_scalar(rate, record.learning_rate, record.step)
        elif isinstance(record, EpochRecord):
            row = {key: getattr(record, key) for key in _COLUMNS[:4]}
            self._csv.writerow(row | {"seconds": record.pace.seconds} | record.mean_iou)
            self._file.flush()
            for view, score in record.mean_iou.items():
                self._board.add_scalar(f"{record.stage}/{view}_miou", score, record.epoch)

    def close(self) -> None:
        """Flush and close both."""
        self._file.close()
        self._board.close()
