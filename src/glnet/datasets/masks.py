"""From stored masks to labels: index masks and RGB-coloured ones, checked pixel by pixel."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from glnet.datasets.classes import ClassInfo, ClassTable, Colour
from glnet.datasets.images import ImageScene
from glnet.errors import DataError, RecipeError
from glnet.geometry import Size, Window
from glnet.metrics import IGNORE
from glnet.raster import Raster

#: In a lookup: no class has this value or colour. 254 classes at most, so it is free.
_UNKNOWN = 254


@dataclass(frozen=True)
class LabelCoder:
    """Translates masks to labels (class ids, 255 = ignore).

    `tolerance` is the largest difference per channel at which a colour still counts as the nearest
    class colour's; how many pixels needed it is reported, never silent.
    """

    table: ClassTable
    tolerance: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no difference of bytes.

        Raises:
            RecipeError: a tolerance below 0 or above 255.
        """
        if not 0 <= self.tolerance <= 255:  # noqa: PLR2004  a byte
            msg = f"tolerance {self.tolerance}: wanted a difference per channel, 0 to 255"
            raise RecipeError(msg)

    @cached_property
    def _by_value(self) -> np.ndarray:
        lookup = np.full(256, _UNKNOWN, np.uint8)
        for row in self.table.rows:
            lookup[row.value] = self.label(row)
        return lookup

    @cached_property
    def _by_colour(self) -> np.ndarray:
        lookup = np.full(1 << 24, _UNKNOWN, np.uint8)
        for row in self.table.rows:
            lookup[_packed(row.colour)] = self.label(row)
        return lookup

    @cached_property
    def rest(self) -> int:
        """The label of what no file and no polygon claims."""
        return next((self.label(row) for row in self.table.rows if row.rest), IGNORE)

    def label(self, row: ClassInfo) -> int:
        """The label of a row of the class table: its class's id, or 255."""
        return IGNORE if row.ignored else self.table.names.index(row.name)

    def encode(self, pixels: np.ndarray, valid: np.ndarray | None = None) -> tuple[np.ndarray, int]:
        """Labels of a mask's pixels.

        Args:
            pixels: Shape (1, height, width): class values, of any integer type; or
                (3, height, width): colours, uint8.
            valid: Where the file does not declare that values mean nothing, boolean (height,
                width); None: everywhere. Such a value is ignored, but for one of the class table.

        Returns:
            Labels, uint8, shape (height, width), and how many pixels were near-colours.

        Raises:
            DataError: a value or colour that is no class, with its place.
        """
        if len(pixels) == 1 and pixels.dtype.kind in "iu":
            labels = self._by_value[pixels[0].astype(np.uint8, copy=False)]
            labels[(pixels[0] < 0) | (pixels[0] >= len(self._by_value))] = _UNKNOWN
            if valid is not None:
                labels[(labels == _UNKNOWN) & ~valid] = IGNORE
            self._refuse_unknown(labels, pixels, "value")
            return labels, 0
        if len(pixels) != 3 or pixels.dtype != np.uint8:  # noqa: PLR2004  red, green, blue
            told = f"{len(pixels)} of {pixels.dtype}"
            msg = f"wanted 1 band of whole numbers or 3 of 8 bit, found {told}"
            raise DataError(msg)
        red, green, blue = pixels.astype(np.int32)
        packed = red << 16 | green << 8 | blue
        labels = self._by_colour[packed]
        near = 0
        if self.tolerance and (odd := labels == _UNKNOWN).any():
            found, where = np.unique(packed[odd], return_inverse=True)
            labels[odd] = np.array([self._nearest(c) for c in found], np.uint8)[where]
            near = int(odd.sum())
        self._refuse_unknown(labels, pixels, "colour")
        return labels, near

    def _nearest(self, packed: int) -> int:
        """The label of the nearest class colour within the tolerance."""
        colour = np.array([packed >> 16 & 255, packed >> 8 & 255, packed & 255])
        distances = [int(np.abs(colour - row.colour).max()) for row in self.table.rows]
        best = int(np.argmin(distances))
        if distances[best] > self.tolerance:
            return _UNKNOWN
        return self.label(self.table.rows[best])

    def _refuse_unknown(self, labels: np.ndarray, pixels: np.ndarray, what: str) -> None:
        unknown = labels == _UNKNOWN
        if not unknown.any():
            return
        row, column = (int(i) for i in np.argwhere(unknown)[0])
        found = tuple(int(v) for v in pixels[:, row, column])
        shown = found[0] if len(found) == 1 else found
        if what == "value":
            known = ", ".join(f"{r.value} {r.name}" for r in self.table.rows)
            advice = f"known values: {known}"
        else:
            advice = "add the colour to the class table, or raise data.tolerance for near-colours"
        msg = (
            f"unknown {what} {shown} at row {row}, column {column} "
            f"({int(unknown.sum())} such pixels); {advice}"
        )
        raise DataError(msg)


class LabelScene(ABC):
    """Labels as a scene: shape (1, height, width), so that they turn like their image.

    Attributes:
        size: Height and width in pixels.
        near: Pixels read so far that were near-colours.
        skipped: Geometries that were left out, being empty or invalid.
        apart: Does a raster of labels lie elsewhere on the ground than the image?
        image: What they are labels of; where it has no data, they are ignored. None: not known.
        unseen: Labelled pixels read so far where the image has no data.
    """

    def __init__(self, window: Window) -> None:
        """The labels of a part of a raster."""
        self._part = window
        self.size = window.size
        self.near = 0
        self.skipped = 0
        self.apart = False
        self.image: ImageScene | None = None
        self.unseen = 0

    def read(self, window: Window | None = None) -> np.ndarray:
        """Labels of a window, or of all."""
        labels = self._labels(self._part.within(window) if window else self._part)
        valid = None if self.image is None else self.image.valid(window)
        if valid is not None:
            unseen = ~valid & (labels != IGNORE)
            self.unseen += int(unseen.sum())
            labels[unseen] = IGNORE
        return labels[None]

    def thumbnail(self, size: Size) -> np.ndarray:
        """The label at the middle of every cell of the thumbnail."""
        return nearest_labels(self.read()[0], size)[None]

    @abstractmethod
    def _labels(self, window: Window) -> np.ndarray:
        """Labels of a window of the whole raster: uint8, shape (height, width)."""


class MaskScene(LabelScene):
    """Labels from an index mask or an RGB mask."""

    def __init__(self, raster: Raster, coder: LabelCoder, window: Window | None = None) -> None:
        """Read labels from an open raster, or from a part of it."""
        super().__init__(window or Window(0, 0, *raster.size))
        self._raster, self._coder = raster, coder

    def _labels(self, window: Window) -> np.ndarray:
        try:
            labels, near = self._coder.encode(*self._raster.read_valid(window))
        except DataError as error:
            whole = window.size == self._raster.size
            within = "" if whole else f" of the part {window.top}, {window.left}"
            msg = f"{self._raster.path}{within}: {error}"
            raise DataError(msg) from error
        self.near += near
        return labels


def check_size(mask: Raster, onto: Raster) -> None:
    """Refuse a mask that does not belong to an image.

    Raises:
        DataError: the sizes differ.
    """
    if mask.size != onto.size:
        msg = (
            f"{mask.path}: the mask is {mask.size.height} x {mask.size.width}, "
            f"{onto.path.name} is {onto.size.height} x {onto.size.width} (height x width)"
        )
        raise DataError(msg)


def check_confidence(confidence: Raster, onto: Raster) -> None:
    """Refuse what is not the confidence of an image's mask.

    Raises:
        DataError: the sizes differ, or it is of another kind than `glnet predict` writes.
    """
    check_size(confidence, onto)
    if confidence.dtype != np.uint8 or confidence.bands != 1:
        msg = f"{confidence.path}: wanted the confidence that glnet predict writes, 8 bit"
        raise DataError(msg)


def lie_apart(mask: Raster, onto: Raster) -> bool:
    """Do both say where they lie, and not the same? Rasters of one size; see `Georeference`."""
    one, other = mask.georeference, onto.georeference
    return one is not None and other is not None and one.apart(other, onto.size)


def nearest_labels(labels: np.ndarray, size: Size) -> np.ndarray:
    """Labels (height, width) resized by picking the pixel at each cell's middle, by Pillow."""
    shape = (size.width, size.height)
    return np.asarray(Image.fromarray(labels).resize(shape, Image.Resampling.NEAREST))


def _packed(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]
