"""Finished parts on disk, beside the output, until the output is finished too.

Each is a folder of small GeoTIFFs that appears whole or not at all. The folder that holds them is
named by all that they depend on, so a changed model or setting finds none of them.
"""

import contextlib
import json
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glnet.geometry import Window
from glnet.outputs.files import silent
from glnet.outputs.rasters import create, opened
from glnet.prediction.keeping import kept_whole, sound
from glnet.prediction.layers import Arrays, Kind, Layer
from glnet.prediction.parts import Part
from glnet.raster import area

#: What the parts depend on, for people.
_FACTS = "facts.json"


class PartStore:
    """The finished parts of one raster, one model and one set of settings."""

    def __init__(
        self, folder: Path, key: str, layers: Sequence[Layer], *, alone: bool = True
    ) -> None:
        """Open what lies there.

        Args:
            folder: Of the output's parts; those of other keys are left alone.
            key: Of these parts, see `identity.key_of`.
            layers: What each part holds.
            alone: No other process uses it; what was left half-written goes.
        """
        self.folder = folder / key
        self._layers = layers
        self._seen: set[int] = set()
        self.folder.mkdir(exist_ok=True)
        for left in self.folder.glob("*.partial") if alone else ():
            shutil.rmtree(left)

    def tell(self, facts: Mapping[str, object]) -> Iterator[str]:
        """Keep what these parts depend on, and say how they differ from others that lie there.

        Args:
            facts: Plain values.

        Yields:
            A line for every other set of parts.
        """
        own = json.loads(json.dumps(facts, default=str))
        with contextlib.suppress(OSError):  # a full disk is told where it matters
            (self.folder / _FACTS).write_text(json.dumps(own), encoding="utf-8")
        for path in sorted(self.folder.parent.glob(f"*/{_FACTS}")):
            if path.parent != self.folder:
                with contextlib.suppress(OSError, ValueError):
                    other = json.loads(path.read_text(encoding="utf-8"))
                    names = [name for name in own if own[name] != other.get(name)]
                    yield (
                        f"{path.parent}: holds parts that are not used, "
                        f"as they were made with other {', '.join(names)}"
                    )

    def path(self, part: Part, kind: Kind) -> Path:
        """Where a layer of a part lies."""
        return self._folder_of(part) / f"{kind}.tif"

    def lies(self, part: Part) -> bool:
        """Is the part there, sound or not? What was seen once is not looked for again."""
        if part.number not in self._seen and self._folder_of(part).is_dir():
            self._seen.add(part.number)
        return part.number in self._seen

    def has(self, part: Part) -> bool:
        """Is the part there, and sound? Reads all of it; what is damaged or failed goes."""
        folder = self._folder_of(part)
        if not folder.is_dir():
            return False
        told = sound(folder)
        there = told is not None and not told["failed"]
        if not there:
            shutil.rmtree(folder, ignore_errors=True)
        return there

    def write(self, part: Part, strips: Iterable[tuple[Window, Arrays]], failed: str = "") -> None:
        """Keep a finished part.

        Args:
            part: Which.
            strips: Of its core, from top to bottom.
            failed: Why this only stands for a part; another run tries it again.

        Raises:
            StoreError: the disk is full, or the folder cannot be written.
        """
        sums: list[tuple[Kind, Window, int]] = []
        with kept_whole(self._folder_of(part), {"failed": failed}) as folder:
            with silent(), contextlib.ExitStack() as stack:
                files: dict[Kind, Any] = {}
                for layer in self._layers:
                    path, bands = folder / f"{layer.kind}.tif", len(layer.bands)
                    made = create(path, part.core.size, bands, layer.dtype, layer.nodata)
                    files[layer.kind] = stack.enter_context(made)
                for strip, arrays in strips:
                    for kind, array in arrays.items():
                        files[kind].write(array, window=area(strip))
                        sums.append((kind, strip, _checksum(array)))
            self._read_back(folder, sums)

    def _read_back(self, folder: Path, sums: Sequence[tuple[Kind, Window, int]]) -> None:
        """GDAL says nothing when the disk fills as it closes a file."""
        with contextlib.ExitStack() as stack:
            files = {
                layer.kind: stack.enter_context(opened(folder / f"{layer.kind}.tif"))
                for layer in self._layers
            }
            for kind, strip, checksum in sums:
                if _checksum(files[kind].read(window=area(strip))) != checksum:
                    msg = "it did not read back as written"
                    raise OSError(msg)

    def _folder_of(self, part: Part) -> Path:
        return self.folder / f"{part.number:06}"


def _checksum(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data)
