"""Labels from one mask file per class: what is not zero is that class."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from glnet.datasets.classes import ClassInfo
from glnet.datasets.manifest import CLASS_MARK
from glnet.datasets.masks import LabelCoder, LabelScene, check_size, lie_apart
from glnet.errors import DataError
from glnet.geometry import Window
from glnet.raster import Raster

#: Grey or index; RGB; RGB with a fourth band that the file does not call alpha, but is.
_GREY, _BANDS = 1, (1, 3, 4)


class ClassFilesScene(LabelScene):
    """The files laid on each other in the class table's order: a later row hides earlier ones."""

    def __init__(
        self, files: Sequence[tuple[int, Raster]], coder: LabelCoder, window: Window
    ) -> None:
        """Read labels from open rasters, each with the label that it stands for."""
        super().__init__(window)
        self._files, self._rest = files, coder.rest

    def _labels(self, window: Window) -> np.ndarray:
        labels = np.full(window.size, self._rest, np.uint8)
        for label, raster in self._files:
            labels[_claimed(raster, window)] = label
        return labels


def _claimed(raster: Raster, window: Window) -> np.ndarray:
    """Where a file is not zero; of colours (a palette's too) black is zero."""
    pixels = raster.read(window)
    if raster.palette is not None and len(pixels) == _GREY:
        coloured = np.zeros(np.iinfo(pixels.dtype).max + 1, bool)
        coloured[: len(raster.palette)] = raster.palette.any(axis=1)
        return coloured[pixels[0]]
    return np.asarray(pixels[:3].any(axis=0))


def class_file(pattern: Path, row: ClassInfo) -> Path:
    """Where a row's own file would lie; a mask that is no pattern is every row's."""
    return Path(str(pattern).replace(CLASS_MARK, row.file or row.name))


@contextlib.contextmanager
def open_class_files(
    pattern: Path, onto: Raster, coder: LabelCoder, window: Window
) -> Iterator[LabelScene]:
    """Open the files of a pattern such as `masks/1_{class}.tif`; a class without one has no pixel.

    Raises:
        DataError: no file exists, or one is a JPEG, differs in size from `onto`, or has bands that
            are neither grey nor colour.
        RasterError: a file cannot be opened.
    """
    looked_for = [(coder.label(row), class_file(pattern, row)) for row in coder.table.rows]
    existing = [(label, path) for label, path in looked_for if path.is_file()]
    if not existing:
        names = ", ".join(dict.fromkeys(path.name for _, path in looked_for))
        msg = (
            f"{pattern}: no class has a file there; looked for {names}; where an image shows no "
            "class, one of them all zero says so"
        )
        raise DataError(msg)
    with contextlib.ExitStack() as stack:
        files = [(label, stack.enter_context(Raster(path))) for label, path in existing]
        for _, raster in files:
            check_size(raster, onto)
            if raster.is_photo:
                msg = (
                    f"{raster.path}: what is not zero is the class, and a JPEG is not zero around "
                    "edges; save it as PNG or TIFF, 255 where the grey is over 127 and else 0"
                )
                raise DataError(msg)
            if raster.bands not in _BANDS:
                msg = f"{raster.path}: wanted one band or RGB, found {raster.bands} bands"
                raise DataError(msg)
        labels = ClassFilesScene(files, coder, window)
        labels.apart = any(lie_apart(raster, onto) for _, raster in files)
        yield labels
