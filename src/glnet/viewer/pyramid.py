"""Tiles of a raster at any zoom: from its own overviews, or from smaller copies kept beside it.

Zoom `z` shows a raster at 2 ** (z - zooms) of its pixels; tile (x, y) is the square of `TILE` cells
from (y, x) times `TILE` on.
"""

import contextlib
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling

from glnet.errors import RasterError
from glnet.geometry import Size, Window, tiles
from glnet.outputs.files import check_target, silent, whole_or_nothing
from glnet.outputs.rasters import opened
from glnet.photo import unwarned
from glnet.raster import area
from glnet.reach import GDAL_OPTIONS

#: Side of a tile in pixels of the screen.
TILE = 256

#: What is larger needs overviews to be shown whole in no time.
LARGE = 4096

#: A copy of a raster that can be read by window begins at a quarter of its sides.
REDUCED = 4

#: Columns of a copy that are made at a time, where a raster can be read so; and rows.
_COLUMNS = 8 * TILE

_COPY = {
    "driver": "GTiff", "dtype": "uint8", "tiled": True, "blockxsize": TILE, "blockysize": TILE,
    "compress": "deflate", "zlevel": 1, "BIGTIFF": "IF_SAFER",
}  # fmt: skip

#: Of a window: uint8 (bands, rows, columns) to be shown, and boolean (rows, columns): known.
Part = Callable[[Window], tuple[np.ndarray, np.ndarray]]
Said = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Pyramid:
    """A raster as tiles are cut from it.

    Attributes:
        size: Height and width.
        bands: Which of the raster's are shown, counted from 1.
        own: Opens the raster itself; None: all tiles come from the copy.
        shown: From values of its pixels (bands, rows, columns) to what is shown; of a copy they
            are that already.
        smooth: Is a pixel of a smaller zoom the mean of those beneath it? Labels are not.
        copy: Of smaller sizes, with those bands only; None: the raster has overviews, or is small.
        reduced: How many pixels of the raster are one of the copy's, along a side.
    """

    size: Size
    bands: tuple[int, ...]
    own: Callable[[], Any] | None
    shown: Callable[[np.ndarray], np.ndarray]
    smooth: bool
    copy: Path | None = None
    reduced: int = 1
    _opened: threading.local = field(default_factory=threading.local)

    @property
    def zooms(self) -> int:
        """The zoom at which a pixel of the raster is one of the screen; at 0 one tile is all."""
        return zooms_of(self.size)

    def exists(self, zoom: int, x: int, y: int) -> bool:
        """Is there such a tile?"""
        if not 0 <= zoom <= self.zooms:
            return False
        side = TILE << (self.zooms - zoom)
        return 0 <= x * side < self.size.width and 0 <= y * side < self.size.height

    def tile(self, zoom: int, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
        """A tile that exists: uint8 (bands, rows, columns), and boolean (rows, columns): known.

        It is TILE x TILE, less where the raster ends.
        """
        scale = 1 << (self.zooms - zoom)
        side = TILE * scale
        square = Window(y * side, x * side, side, side)
        return self._read(square.common(Window(0, 0, *self.size)), scale)

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """All pixels of a window, and which mean something."""
        return self._read(window, 1)

    def pixel(self, row: int, column: int) -> tuple[np.ndarray, bool]:
        """The values of one pixel, and whether they mean something."""
        values, known = self._read(Window(row, column, 1, 1), 1)
        return values[:, 0, 0], bool(known[0, 0])

    def _read(self, window: Window, scale: int) -> tuple[np.ndarray, np.ndarray]:
        copied = self.copy is not None and (self.own is None or scale >= self.reduced)
        dataset = self._dataset(copied=copied)
        bands = [*range(1, dataset.count + 1)] if copied else list(self.bands)
        shape = window.size.cells(scale)
        by = self.reduced if copied else 1
        place = tuple(
            (start // by, -(-(start + length) // by))
            for start, length in (window.rows, window.columns)
        )
        how = Resampling.average if self.smooth and scale > 1 else Resampling.nearest
        with rasterio.Env(**GDAL_OPTIONS):
            pixels = dataset.read(
                bands, window=place, out_shape=(len(bands), *shape), resampling=how
            )
            known = dataset.dataset_mask(window=place, out_shape=shape) > 0
        if pixels.dtype.kind == "f":
            known = known & np.isfinite(pixels).all(axis=0)
        return pixels if copied else self.shown(pixels), known

    def _dataset(self, *, copied: bool) -> Any:  # noqa: ANN401  rasterio has no types
        """Of this thread: GDAL's are not to be shared."""
        held, which = self._opened.__dict__, "copy" if copied else "own"
        if which not in held:
            held[which] = self.own() if self.own and not copied else self._open_copy()
        return held[which]

    def _open_copy(self) -> Any:  # noqa: ANN401  rasterio has no types
        with unwarned():
            return rasterio.open(self.copy)


def zooms_of(size: Size) -> int:
    """How often a raster is halved until one tile holds it."""
    zooms = 0
    while max(size) > TILE << zooms:
        zooms += 1
    return zooms


def write_copy(
    path: Path,
    copy: Path,
    size: Size,
    part: Part,
    *,
    bands: int,
    labels: bool,
    strips: bool,
    said: Said,
) -> None:
    """Write smaller copies of a raster, unless they are there and the raster is as it was.

    Args:
        path: Of the raster.
        copy: Where they go.
        size: Of the first of them.
        part: Of the first, gives a window.
        bands: How many it has.
        labels: Do values stand for classes? The commonest is kept then, else the mean.
        strips: Is it read in whole rows, or in narrower windows?
        said: Told how many steps are done, and of how many.

    Raises:
        RasterError: there is no room, or no permission.
    """
    about = _about(path)
    with contextlib.suppress(Exception), opened(copy) as file:  # whatever is damaged is made anew
        if file.tags().get("glnet_of") == about and (file.height, file.width) == size:
            return
    factors = [2 ** (i + 1) for i in range(zooms_of(size))]
    windows = [*tiles(size, TILE, None if strips else _COLUMNS)]
    steps = len(windows) + len(windows) // 3  # overviews are a third of a picture
    shape = {"height": size.height, "width": size.width, "count": bands}
    try:
        check_target(copy, (".tif",), [path])
    except RasterError as error:
        msg = (
            f"{path}: is shown from smaller copies, which cannot be kept beside it ({error}); name "
            f"a folder for them with --cache, or make them: gdaladdo {path}"
        )
        raise RasterError(msg) from error
    options = {**GDAL_OPTIONS, "GDAL_TIFF_INTERNAL_MASK": True}
    with whole_or_nothing(copy) as partial, rasterio.Env(**options):
        with unwarned():
            file = rasterio.open(partial, "w", **shape, **_COPY)
        with file:
            file.update_tags(glnet_of=about)
            for done, window in enumerate(windows):
                pixels, known = part(window)
                with silent():
                    file.write(pixels, window=area(window))
                    file.write_mask(known, window=area(window))
                said(done + 1, steps)
        with silent(), opened(partial, mode="r+") as file:
            file.build_overviews(factors, Resampling.mode if labels else Resampling.average)
        said(steps, steps)


def _about(path: Path) -> str:
    found = path.stat()
    told = f"1 {path.resolve()} {found.st_size} {found.st_mtime_ns}"
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()
