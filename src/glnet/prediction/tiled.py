"""Images that cannot be read by window, as a temporary file that can be."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from filelock import FileLock

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.limits import MAX_MEGAPIXELS
from glnet.outputs.files import flush, silent
from glnet.outputs.rasters import WRITE_ERRORS
from glnet.prediction.keeping import this_process
from glnet.raster import Raster
from glnet.reach import GDAL_OPTIONS
from glnet.scenes import TURNS, Turn

#: EXIF's orientations 1 to 8 as positions in `TURNS`: how stored pixels become upright.
_UPRIGHT = (0, 4, 2, 6, 5, 3, 7, 1)

#: A budget's share beyond which a decoded image, or a block of one, is not held in memory.
HELD = 4

#: Strips across so many scenes would be decoded again for each of them.
_MOST_ACROSS = 2

_TILED = {
    "driver": "GTiff", "TILED": "YES", "COMPRESS": "DEFLATE", "ZLEVEL": 1, "BIGTIFF": "IF_SAFER",
    "INTERLEAVE": "PIXEL",
}  # fmt: skip


def wants_tiles(raster: Raster, scene: Size, budget: int) -> bool:
    """Is it decoded whole and too large for that, or in strips across many scenes?

    A photo's pixels depend on who decodes it, so for photos the budget has no say.
    """
    pixels = raster.size.area
    if raster.slide:
        return False
    if raster.decoded_whole:
        most = MAX_MEGAPIXELS * 10**6
        return pixels > (
            most if raster.is_photo else min(most, budget // HELD // raster.pixel_bytes)
        )
    across = raster.blocks.width == raster.size.width > _MOST_ACROSS * scene.width
    return across and raster.blocks.height < raster.size.height


@contextlib.contextmanager
def tiled_copy(raster: Raster, path: Path) -> Iterator[tuple[Raster, Turn]]:
    """A tiled copy of an image, and how its pixels become upright; kept for the next run.

    Args:
        raster: Open.
        path: Of the copy.

    Raises:
        RasterError: the image is damaged, or the disk is too small.
    """
    # Processes that share the work wait for the one that makes it.
    with FileLock(path.with_suffix(".lock"), thread_local=False):
        if not path.exists():
            _copy(raster, path)
    turn = TURNS[_UPRIGHT[raster.orientation - 1]]
    with Raster(path) as copied:
        yield copied, turn


def _copy(raster: Raster, path: Path) -> None:
    _check(raster, path.parent)
    partial = path.with_suffix(f".{this_process()}.tif")
    options = {**GDAL_OPTIONS, "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES", "GDAL_PAM_ENABLED": "NO"}
    try:
        with rasterio.Env(**options), silent(), raster.by_gdal() as whole:
            rasterio.shutil.copy(whole, partial, **_TILED)
        flush(partial)
        partial.rename(path)
    except WRITE_ERRORS as error:
        partial.unlink(missing_ok=True)
        detail = " ".join(str(error.__cause__ or error).split())
        msg = f"{raster.path}: cannot be decoded; is it damaged, or the disk full? ({detail})"
        raise RasterError(msg) from error


def read_upright(
    raster: Raster, turn: Turn, window: Window
) -> tuple[np.ndarray, np.ndarray | None]:
    """`Raster.read_valid` of a window of the upright image."""
    if turn == TURNS[0]:
        return raster.read_valid(window)
    pixels, valid = raster.read_valid(turn.window(window, turn.size(raster.size)))
    return turn.apply(pixels), None if valid is None else turn.apply(valid)


def _check(raster: Raster, folder: Path) -> None:
    """Refuse, before anything is decoded, what the disk cannot hold."""
    held, free = raster.size.area * raster.pixel_bytes, shutil.disk_usage(folder).free
    if held > free:
        msg = (
            f"{raster.path}: {raster.size} pixels have to be copied to be read in parts: "
            f"{held >> 20} MiB, {free >> 20} MiB are free beside the output; make it a tiled "
            "GeoTIFF elsewhere"
        )
        raise RasterError(msg)
