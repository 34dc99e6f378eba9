"""From files to pyramids: which files can be shown as they are, and what is copied of others."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from glnet.datasets.classes import ClassTable
from glnet.datasets.masks import LabelCoder
from glnet.errors import DataError, RasterError
from glnet.geometry import Size, Window
from glnet.limits import MAX_MEGAPIXELS
from glnet.metrics import IGNORE
from glnet.outputs.pictures import TAIL, to_bytes
from glnet.prediction.tiled import read_upright, tiled_copy
from glnet.raster import Raster
from glnet.resample import block_means
from glnet.viewer.pyramid import LARGE, REDUCED, Pyramid, Said, write_copy
from glnet.viewer.slides import SlideTiles

#: Copies of smaller rasters are made in no time, and are not kept.
_KEPT = LARGE * LARGE

#: Windows that tell which values are dark and bright: so many along a side, of so many pixels.
_SAMPLES, _SIDE = 8, 64

_COLOURS = 3

Shown = Callable[[np.ndarray], np.ndarray]

#: As `Raster.read_valid`.
Read = Callable[[Window], tuple[np.ndarray, np.ndarray | None]]


class Copies:
    """Where smaller copies go; a context manager that takes those of small rasters away."""

    def __init__(self, cache: Path | None, said: Said) -> None:
        """Keep copies in `cache`, by default beside the files; tell `said` how far one is."""
        self._cache, self.said = cache, said
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._passing = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def path_of(self, raster: Raster) -> Path:
        """Of a raster's copy."""
        name = f"{raster.path.name}.view.tif"
        if raster.size.area <= _KEPT:
            return Path(tempfile.mkdtemp(dir=self._passing)) / name
        return (self._cache or raster.file.parent) / name


def picture_of(raster: Raster, bands: tuple[int, ...], copies: Copies) -> Pyramid:
    """An image file as tiles of grey or of colours: 8 bit, 1 or 3 bands.

    Args:
        raster: Open.
        bands: Which are shown, counted from 1; empty: the first three, or the first.
        copies: For files that cannot be read by window, or are large and have no overviews.

    Raises:
        RasterError: it is damaged, has no such bands, or a copy cannot be written.
    """
    if bands:
        raster.select(bands)
    count = _COLOURS if raster.bands >= _COLOURS and len(bands) != 1 else 1
    if len(bands) not in {0, count}:
        msg = f"{raster.path}: wanted one band, or three for red, green and blue; got {len(bands)}"
        raise RasterError(msg)
    palette = raster.palette if count == 1 else None
    shown = _identity if palette is None else _painted(palette)
    if raster.dtype != np.uint8:
        shown = _stretched(raster, count)
    stored = bands or tuple(range(1, count + 1))
    made = count if palette is None else _COLOURS
    return _pyramid(raster, stored, shown, copies, count=made, smooth=palette is None)


def labels_of(raster: Raster, table: ClassTable | None, copies: Copies) -> Pyramid:
    """A mask file as tiles of class values: 8 bit, 1 band.

    Raises:
        RasterError, DataError: it is damaged, no mask, or coloured and no table says how.
    """
    if raster.dtype != np.uint8 or raster.bands not in {1, _COLOURS}:
        found = f"{raster.bands} of {raster.dtype}"
        msg = f"{raster.path}: wanted a mask, 1 or 3 bands of 8 bit; found {found}"
        raise DataError(msg)
    if raster.bands == 1:
        return _pyramid(raster, (1,), _identity, copies, count=1, smooth=False)
    if table is None:
        msg = f"{raster.path}: its classes are told by colours; say which: --classes TABLE.csv"
        raise DataError(msg)
    coder, values = LabelCoder(table), np.array([*table.values, *[IGNORE] * 256][:256], np.uint8)

    def decoded(pixels: np.ndarray) -> np.ndarray:
        try:
            return values[coder.encode(pixels)[0]][None]
        except DataError as error:
            msg = f"{raster.path}: {error}"
            raise DataError(msg) from error

    return _pyramid(raster, (1, 2, 3), decoded, copies, count=1, smooth=False)


def _pyramid(
    raster: Raster,
    bands: tuple[int, ...],
    shown: Shown,
    copies: Copies,
    *,
    count: int,
    smooth: bool,
) -> Pyramid:
    """Of what is shown, `count` bands; colours that stand for labels are shown by a copy alone."""
    # What is stored in long rows, or as a whole, is slow to read in squares.
    by_window = not raster.decoded_whole
    by_window = by_window and raster.blocks.width < max(LARGE, raster.size.width // 2)
    own = _opening(raster) if by_window and (smooth or len(bands) == 1) else None
    if own and (max(raster.size) <= LARGE or raster.has_overviews):
        return Pyramid(raster.size, bands, own, shown, smooth)
    reduced, path = REDUCED if own else 1, copies.path_of(raster)
    with _upright(raster, path) as read:

        def part(window: Window) -> tuple[np.ndarray, np.ndarray]:
            pixels, valid = read(_enlarged(window, reduced, raster.size))
            made = shown(pixels[: len(bands)])
            known = np.ones(made.shape[1:], bool) if valid is None else valid
            if reduced == 1:
                return made, known
            return (block_means if smooth else _middles)(made, known, reduced)

        size = raster.size.cells(reduced)
        write_copy(
            raster.file, path, size, part,
            bands=count, labels=not smooth, strips=own is None, said=copies.said,
        )  # fmt: skip
    return Pyramid(raster.size, bands, own, shown, smooth, path, reduced)


def _opening(raster: Raster) -> Callable[[], Any]:
    """What opens a raster once more, for a thread of its own."""
    if raster.slide is None:
        return raster.by_gdal
    return partial(SlideTiles, raster.file, raster.levels.index(raster.slide.level))


@contextmanager
def _upright(raster: Raster, beside: Path) -> Iterator[Read]:
    """Reads rows; what is decoded whole and is too large for that, from a copy meanwhile."""
    if not raster.decoded_whole or raster.size.area <= MAX_MEGAPIXELS * 10**6:
        yield raster.read_valid
        return
    whole = beside.with_suffix(".whole.tif")
    try:
        with tiled_copy(raster, whole) as (copied, turn):
            yield partial(read_upright, copied, turn)
    finally:
        whole.unlink(missing_ok=True)


def _enlarged(window: Window, by: int, size: Size) -> Window:
    """The pixels of a window of a copy that has one for `by` of a raster, along a side."""
    sides = window.top, window.left, window.height, window.width
    return Window(*(by * side for side in sides)).common(Window(0, 0, *size))


def _identity(pixels: np.ndarray) -> np.ndarray:
    return pixels


def _painted(palette: np.ndarray) -> Shown:
    whole = np.zeros((256, 3), np.uint8)
    whole[: len(palette)] = palette
    return lambda pixels: np.moveaxis(whole[pixels[0]], -1, 0)


def _stretched(raster: Raster, count: int) -> Shown:
    """From a raster's values to 8 bit, dark and bright told by samples of every band."""
    height, width = raster.size
    seen = []
    for top in np.linspace(0, max(0, height - _SIDE), _SAMPLES).astype(int):
        for left in np.linspace(0, max(0, width - _SIDE), _SAMPLES).astype(int):
            window = Window(int(top), int(left), min(_SIDE, height), min(_SIDE, width))
            pixels, valid = raster.read_valid(window)
            known = np.ones(pixels.shape[1:], bool) if valid is None else valid
            seen.append(pixels[:count, known])
    values = np.concatenate(seen, axis=1).astype(np.float64)
    if not values.size:
        return lambda pixels: np.zeros(pixels.shape, np.uint8)
    low, high = np.percentile(values, (TAIL, 100 - TAIL), axis=1)[..., None, None]
    return lambda pixels: to_bytes(pixels.astype(np.float64), low, high)


def _middles(labels: np.ndarray, known: np.ndarray, by: int) -> tuple[np.ndarray, np.ndarray]:
    """Of squares of pixels one each: what is near the middle, within the border."""
    rows, columns = (
        np.minimum(np.arange(0, length, by) + by // 2, length - 1) for length in known.shape
    )
    return labels[:, rows[:, None], columns], known[rows[:, None], columns]
