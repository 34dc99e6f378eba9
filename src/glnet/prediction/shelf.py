"""The scores of scenes on disk, until no neighbour waits for them any more."""

import json
import shutil
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import numpy as np

from glnet.errors import RasterError
from glnet.geometry import Size
from glnet.mosaic import ScoreMap
from glnet.outputs.files import flush, flush_folder
from glnet.prediction.blending import Scored
from glnet.prediction.identity import digest

_CELLS, _KEPT, _TOLD = "cells.npy", "kept.npy", "scene.json"


class StoreError(RasterError):
    """Something that cannot be kept: nothing else could be."""


class Shelf(MutableMapping[int, Scored]):
    """A folder for each scene, by the part's number; it appears whole or not at all.

    Scores lie at the network's output stride, and are mapped into memory when read.
    """

    def __init__(self, folder: Path) -> None:
        """Open what lies there; what is damaged or half-written goes."""
        self._folder = folder
        folder.mkdir(exist_ok=True)
        for path in list(folder.iterdir()):
            if path.suffix or not _is_sound(path):
                shutil.rmtree(path, ignore_errors=True)

    def __setitem__(self, number: int, found: Scored) -> None:
        final = self._path(number)
        partial = final.with_suffix(".partial")
        told: dict[str, object] = {"patches": found.patches}
        try:
            partial.mkdir()
            if found.scores is not None:
                scores = found.scores
                np.save(partial / _CELLS, on_host(scores.cells))
                told |= {
                    "extent": tuple(scores.extent),
                    "size": scores.size,
                    "alignment": scores.alignment,
                }
            if found.kept is not None:
                np.save(partial / _KEPT, found.kept)
            told["digests"] = {path.name: digest(path) for path in partial.iterdir()}
            (partial / _TOLD).write_text(json.dumps(told), encoding="utf-8")
            for path in partial.iterdir():
                flush(path)
            partial.rename(final)
            flush_folder(self._folder)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            msg = (
                f"{final}: cannot be written ({error}); is the disk full? "
                "Finished parts are kept: start the command again"
            )
            raise StoreError(msg) from error

    def __getitem__(self, number: int) -> Scored:
        folder = self._path(number)
        try:
            told = json.loads((folder / _TOLD).read_text(encoding="utf-8"))
        except OSError as error:
            raise KeyError(number) from error
        kept = np.load(folder / _KEPT) if (folder / _KEPT).exists() else None
        if "size" not in told:
            return Scored(kept=kept, patches=told["patches"])
        cells = np.asarray(np.load(folder / _CELLS, mmap_mode="r"))
        scores = ScoreMap(cells, tuple(told["extent"]), Size(*told["size"]), told["alignment"])
        return Scored(scores, kept, told["patches"])

    def __delitem__(self, number: int) -> None:
        # Another name first: half a folder must not be taken for a whole one.
        gone = self._path(number).with_suffix(".gone")
        self._path(number).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self._path(number).is_dir()

    def __iter__(self) -> Iterator[int]:
        return (int(path.name) for path in sorted(self._folder.iterdir()) if not path.suffix)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}"


def _is_sound(folder: Path) -> bool:
    try:
        told = json.loads((folder / _TOLD).read_text(encoding="utf-8"))
        return all(digest(folder / name) == one for name, one in told["digests"].items())
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def on_host(array: object) -> np.ndarray:
    """An array of any kind as NumPy's."""
    return np.asarray(array.cpu() if hasattr(array, "cpu") else array)
