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
        self._means: np.ndarray | None = None

    def read(self, window: Window | None = None) -> np.ndarray:
        """Pixels of a window, or of all, shape (bands, height, width).

        Whichever window is asked for, what is missing has the mean of the whole scene.
        """
        pixels, valid = self._raster.read_valid(self._within(window))
        if valid is None:
            return pixels
        if self._means is None:
            whole = pixels.shape[1:] == self.size
            self._means = means(
                *((pixels, valid) if whole else self._raster.read_valid(self._part))
            )
        return filled(pixels, valid, self._means)

    def valid(self, window: Window | None = None) -> np.ndarray | None:
        """Which pixels of a window mean something, boolean (height, width); None: all of them."""
        if not self._raster.may_miss:
            return None
        return self._raster.read_valid(self._within(window))[1]

    def thumbnail(self, size: Size) -> np.ndarray:
        """The whole scene resampled to `size`: what lies around a part has no share."""
        return shrink(self.read(), size)

    def _within(self, window: Window | None) -> Window:
        return self._part.within(window) if window else self._part
