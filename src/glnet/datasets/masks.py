"""From stored masks to labels: index masks and RGB-coloured ones, checked pixel by pixel."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from glnet.datasets.classes import ClassTable, Colour
from glnet.datasets.manifest import Sample
from glnet.errors import DataError
from glnet.geometry import Size, Window
from glnet.metrics import IGNORE
from glnet.raster import Raster
from glnet.recipe import ModelSettings

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

    @cached_property
    def _by_value(self) -> np.ndarray:
        lookup = np.full(256, _UNKNOWN, np.uint8)
        for row in self.table.rows:
            lookup[row.value] = self._label(row.name)
        return lookup

    @cached_property
    def _by_colour(self) -> np.ndarray:
        lookup = np.full(1 << 24, _UNKNOWN, np.uint8)
        for row in self.table.rows:
            lookup[_packed(row.colour)] = self._label(row.name)
        return lookup

    def _label(self, name: str) -> int:
        names = self.table.names
        return names.index(name) if name in names else IGNORE

    def encode(self, pixels: np.ndarray) -> tuple[np.ndarray, int]:
        """Labels of a mask's pixels.

        Args:
            pixels: Shape (1, height, width): class values; or (3, height, width): colours. uint8.

        Returns:
            Labels, uint8, shape (height, width), and how many pixels were near-colours.

        Raises:
            DataError: a value or colour that is no class, with its place.
        """
        if pixels.shape[0] not in (1, 3) or pixels.dtype != np.uint8:
            msg = f"wanted 1 or 3 bands of 8 bit, found {pixels.shape[0]} of {pixels.dtype}"
            raise DataError(msg)
        if pixels.shape[0] == 1:
            labels = self._by_value[pixels[0]]
            self._refuse_unknown(labels, pixels, "value")
            return labels, 0
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
        return self._label(self.table.rows[best].name)

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


class MaskScene:
    """A mask as a scene of labels: shape (1, height, width), so that it turns like its image."""

    def __init__(self, raster: Raster, coder: LabelCoder) -> None:
        """Read labels from an open raster."""
        self._raster, self._coder = raster, coder
        self.near = 0

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self._raster.size

    def read(self, window: Window | None = None) -> np.ndarray:
        """Labels of a window, or of all."""
        window = window or Window(0, 0, *self.size)
        try:
            labels, near = self._coder.encode(self._raster.read(window))
        except DataError as error:
            within = "" if window.size == self.size else f" of the part {window.top}, {window.left}"
            msg = f"{self._raster.path}{within}: {error}"
            raise DataError(msg) from error
        self.near += near
        return labels[None]

    def thumbnail(self, size: Size) -> np.ndarray:
        """The label at the middle of every cell of the thumbnail."""
        return nearest_labels(self.read()[0], size)[None]


def nearest_labels(labels: np.ndarray, size: Size) -> np.ndarray:
    """Labels (height, width) resized by picking the pixel at each cell's middle, by Pillow."""
    shape = (size.width, size.height)
    return np.asarray(Image.fromarray(labels).resize(shape, Image.Resampling.NEAREST))


@dataclass(frozen=True, slots=True)
class DataReport:
    """What the masks of some samples hold."""

    pixels: np.ndarray
    ignored: int
    near: int
    near_files: int


def check_samples(samples: list[Sample], coder: LabelCoder, model: ModelSettings) -> DataReport:
    """Read every mask once, and every image's header, before a long run depends on them.

    Raises:
        GlnetError: an image and its mask differ in size, an image has other bands than the model,
            or a mask holds something that is no class; the line names the file and the place.
    """
    pixels = np.zeros(len(coder.table.trained), np.int64)
    ignored = near = near_files = 0
    for sample in samples:
        with Raster(sample.image) as image, Raster(sample.mask) as mask:
            check_pair(image, mask, model)
            scene = MaskScene(mask, coder)
            counts = np.bincount(scene.read().ravel(), minlength=256)
        pixels += counts[: len(pixels)]
        ignored += int(counts[IGNORE])
        near += scene.near
        near_files += scene.near > 0
    return DataReport(pixels, ignored, near, near_files)


def check_pair(image: Raster, mask: Raster, model: ModelSettings) -> None:
    """Refuse an image and a mask that do not belong together, or that the model cannot take.

    Raises:
        DataError: the sizes differ.
        RasterError: see `Raster.expect`.
    """
    if image.size != mask.size:
        msg = (
            f"{mask.path}: the mask is {mask.size.height} x {mask.size.width}, its image "
            f"{image.path.name} is {image.size.height} x {image.size.width} (height x width)"
        )
        raise DataError(msg)
    image.expect(model)


def _packed(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]
