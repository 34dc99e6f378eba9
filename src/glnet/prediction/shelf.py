"""The scores of scenes on disk, until no neighbour waits for them any more."""

import contextlib
import shutil
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np

from glnet.geometry import Size
from glnet.mosaic import ScoreMap, on_host
from glnet.prediction.blending import Scored
from glnet.prediction.keeping import kept_whole, sound, told_by

_CELLS, _KEPT = "cells.npy", "kept.npy"


class Shelf(MutableMapping[int, Scored]):
    """A folder for each scene, by the part's number; it appears whole or not at all.

    Scores lie at the network's output stride, and are mapped into memory when read.
    """

    def __init__(self, folder: Path, *, alone: bool = True) -> None:
        """Open what lies there.

        Args:
            folder: Of the scenes.
            alone: No other process uses it; what is damaged or half-written goes.
        """
        self._folder = folder
        self._seen: set[int] = set()
        folder.mkdir(exist_ok=True)
        for path in list(folder.iterdir()) if alone else ():
            if path.suffix or sound(path) is None:
                shutil.rmtree(path, ignore_errors=True)

    def __setitem__(self, number: int, found: Scored) -> None:
        told: dict[str, Any] = {}
        with kept_whole(self._path(number), told) as folder:
            if found.scores is not None:
                scores = found.scores
                np.save(folder / _CELLS, on_host(scores.cells))
                told |= {
                    "extent": tuple(scores.extent),
                    "size": scores.size,
                    "alignment": scores.alignment,
                }
            if found.kept is not None:
                # A part of an array is written value by value.
                np.save(folder / _KEPT, np.ascontiguousarray(found.kept))

    def __getitem__(self, number: int) -> Scored:
        folder = self._path(number)
        if not folder.is_dir():
            raise KeyError(number)
        told = told_by(folder)
        kept = _mapped(folder / _KEPT) if (folder / _KEPT).exists() else None
        if "size" not in told:
            return Scored(kept=kept)
        extent, size = tuple(told["extent"]), Size(*told["size"])
        return Scored(ScoreMap(_mapped(folder / _CELLS), extent, size, told["alignment"]), kept)

    def __delitem__(self, number: int) -> None:
        self._seen.discard(number)
        # Another name first: half a folder must not be taken for a whole one.
        gone = self._path(number).with_suffix(".gone")
        with contextlib.suppress(OSError):  # another process was faster
            self._path(number).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def __contains__(self, number: object) -> bool:
        """What was seen once is not looked for again: a server of files may be asked."""
        if number not in self._seen and isinstance(number, int) and self._path(number).is_dir():
            self._seen.add(number)
        return number in self._seen

    def __iter__(self) -> Iterator[int]:
        return (int(path.name) for path in sorted(self._folder.iterdir()) if not path.suffix)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}"


def _mapped(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="r"))
