"""The files a run's records are kept in."""

import csv
import dataclasses
from pathlib import Path
from typing import Self

from torch.utils.tensorboard import SummaryWriter

from glnet.training.records import EpochRecord, Record, StepRecord

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
