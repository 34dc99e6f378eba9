"""A sample's image as a scene: ground without data is known, and filled as prediction fills it."""

import numpy as np

from glnet.geometry import Size, Window
from glnet.raster import Raster, filled, means
from glnet.resample import shrink


class ImageScene:
    """A raster, or a part of one, whose missing pixels have the mean of the others.

    Attributes:
        size: Height and width in pixels.
    """

    def __init__(self, raster: Raster, window: Window) -> None:
        """Read pixels from an open raster."""
        self._raster, self._part = raster, window
        self.size = window.size
        #: Of the whole scene, once it was read: where it has data, and the means of that.
        self._whole: tuple[np.ndarray | None, np.ndarray] | None = None

    def read(self, window: Window | None = None) -> np.ndarray:
        """Pixels of a window, or of all, shape (bands, height, width).

        Whichever window is asked for, what is missing has the mean of the whole scene.
        """
        pixels, valid = self._read(window)
        if valid is None:
            return pixels
        if self._whole is None:
            self._read(None)
        assert self._whole is not None  # noqa: S101  all of it was read
        return filled(pixels, valid, self._whole[1])

    def valid(self, window: Window | None = None) -> np.ndarray | None:
        """Which pixels of a window mean something, boolean (height, width); None: all of them."""
        if not self._raster.may_miss:
            return None
        if self._whole is None:
            return self._read(window)[1]
        known = self._whole[0]
        return known if known is None or window is None else known[window.slices]

    def thumbnail(self, size: Size) -> np.ndarray:
        """The whole scene resampled to `size`: what lies around a part has no share."""
        return shrink(self.read(), size)

    def _read(self, window: Window | None) -> tuple[np.ndarray, np.ndarray | None]:
        """Pixels as stored, and where they mean something; of the whole scene that is kept."""
        part = self._part.within(window) if window else self._part
        pixels, valid = self._raster.read_valid(part)
        if part == self._part:
            # Where there are no gaps, nothing is added up.
            self._whole = valid, np.empty(0) if valid is None else means(pixels, valid)
        return pixels, valid
