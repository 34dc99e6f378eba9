"""Masks and scores as files: GeoTIFF with georeference and palette, or PNG with palette."""

import warnings
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.georeference import Georeference
from glnet.outputs.files import whole_or_nothing
from glnet.raster import Raster

MASK_SUFFIXES = (".tif", ".tiff", ".png")
SCORE_SUFFIXES = (".tif", ".tiff")

_LAYOUT = {
    "driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256,
    "compress": "deflate", "BIGTIFF": "IF_SAFER",
}  # fmt: skip


def write_mask(
    path: Path,
    mask: np.ndarray,
    palette: dict[int, tuple[int, int, int]],
    georeference: Georeference | None,
) -> None:
    """Write class values, uint8 (height, width), with their colours.

    Args:
        path: Ends with one of `MASK_SUFFIXES`; PNG carries no georeference.
        mask: Class values as in the class table.
        palette: Colour of every value.
        georeference: Of the image, handed on.

    Raises:
        RasterError: the file could not be written, or did not read back the same.
    """
    with whole_or_nothing(path) as partial:
        if path.suffix.lower() == ".png":
            _write_png(partial, mask, palette)
        else:
            with _create(partial, Size(*mask.shape), 1, "uint8", georeference) as file:
                # Before the pixels, or the file is marked as grey instead of as a palette.
                file.write_colormap(1, {v: (*colour, 255) for v, colour in palette.items()})
                file.write(mask, 1)
        with Raster(partial) as back:
            if not np.array_equal(back.read()[0], mask):
                msg = f"{path}: did not read back as written; is the disk full?"
                raise RasterError(msg)


def write_scores(
    path: Path,
    size: Size,
    names: Sequence[str],
    strips: Iterable[tuple[Window, np.ndarray]],
    georeference: Georeference | None,
) -> None:
    """Write class scores (before softmax) as a float32 GeoTIFF, one band per class.

    Args:
        path: Ends with one of `SCORE_SUFFIXES`.
        size: Of the scene.
        names: Of the classes; become band descriptions.
        strips: From top to bottom, (classes, rows, width) each; never all in memory.
        georeference: Of the image, handed on.

    Raises:
        RasterError: the file could not be written, or did not read back the same.
    """
    written = []
    with whole_or_nothing(path) as partial:
        with _create(partial, size, len(names), "float32", georeference) as file:
            for window, scores in strips:
                file.write(scores, window=_area(window))
                written.append((window, _checksum(scores)))
            for band, name in enumerate(names, start=1):
                file.set_band_description(band, name)
        with Raster(partial) as back:
            for window, checksum in written:
                if _checksum(back.read(window)) != checksum:
                    msg = f"{path}: did not read back as written; is the disk full?"
                    raise RasterError(msg)


def _write_png(path: Path, mask: np.ndarray, palette: dict[int, tuple[int, int, int]]) -> None:
    coloured = Image.fromarray(mask).convert("L").copy()
    flat = [channel for value in range(256) for channel in palette.get(value, (0, 0, 0))]
    coloured.putpalette(flat)  # turns grey values into palette indexes
    coloured.save(path, format="PNG", optimize=False)


def _create(
    path: Path, size: Size, bands: int, dtype: str, georeference: Georeference | None
) -> Any:  # noqa: ANN401  rasterio has no types
    place = {} if georeference is None else {
        "crs": georeference.crs, "transform": georeference.transform,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(
            path, "w", height=size.height, width=size.width, count=bands, dtype=dtype,
            **_LAYOUT, **place,
        )  # fmt: skip


def _checksum(values: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(values, np.float32).tobytes())


def _area(window: Window) -> tuple[tuple[int, int], tuple[int, int]]:
    return (window.top, window.bottom), (window.left, window.right)
