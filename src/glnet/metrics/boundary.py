"""Boundary IoU (Cheng et al., CVPR 2021), added up image by image."""

from collections.abc import Callable

import numpy as np

from glnet.metrics.protocol import IGNORE, Protocol, ratio

#: How far a boundary reaches into its mask, as a share of the image's diagonal (the paper's).
_SHARE = 0.02

#: Pixels counted at a time.
_CHUNK = 1 << 20


class BoundaryCounts:
    """Intersections and unions of the boundaries of truth and prediction, over a set of images.

    A class's boundary is its mask less the mask's erosion: the pixels within `reach` of ground of
    another class or of the image's edge, for ground outside the image is not of the mask. Ignored
    pixels are counted nowhere and make no contour: for the erosion they belong to every class, in
    truth and prediction alike.

    Attributes:
        intersections, unions: Pixels per class.
    """

    def __init__(self, classes: int) -> None:
        """Start with nothing counted."""
        self.intersections, self.unions = np.zeros((2, classes), np.int64)

    def add(self, labels: np.ndarray, prediction: np.ndarray) -> None:
        """Count one whole image; memory: some 8 bytes per pixel, whatever the classes.

        Args:
            labels: uint8, shape (height, width), with `IGNORE` where nothing is counted.
            prediction: The same; what is no class, here and in the labels, is ground of none.
        """
        distance, counted = reach(*labels.shape), labels != IGNORE
        of_truth = contour(labels, counted, distance) & counted
        of_prediction = contour(prediction, counted, distance) & counted
        both = of_truth & of_prediction & (labels == prediction)
        shared = self._per_class(labels[both])
        self.intersections += shared
        self.unions += self._per_class(labels[of_truth])
        self.unions += self._per_class(prediction[of_prediction]) - shared

    def _per_class(self, values: np.ndarray) -> np.ndarray:
        # In portions: NumPy counts 8-byte integers.
        starts = range(0, len(values), _CHUNK)
        counts = (np.bincount(values[i : i + _CHUNK], minlength=256) for i in starts)
        return sum(counts, np.zeros(256, np.int64))[: len(self.unions)]

    def iou(self, protocol: Protocol) -> np.ndarray:
        """Boundary IoU of every class; NaN where neither has a boundary."""
        found = ratio(self.intersections, self.unions)
        if not protocol.counts_unknown:
            found[list(protocol.unknown)] = np.nan
        return found


def reach(height: int, width: int) -> int:
    """How many pixels a boundary is wide in an image of this size; at least one."""
    return max(1, round(_SHARE * float(np.hypot(height, width))))


def contour(classes: np.ndarray, counted: np.ndarray, distance: int) -> np.ndarray:
    """True where a pixel's square of side 2 x distance + 1 leaves the image or its class.

    A counted pixel is of one class alone, so one look at the square's least and greatest class
    does for all classes what an erosion does for each. Pixels that are not counted are passed
    over in the square; what is said at them means nothing.

    Args:
        classes: uint8, shape (height, width).
        counted: The same shape, bool.
        distance: In pixels, at least 1.
    """
    height, width = classes.shape
    out = np.ones((height, width), bool)
    if min(height, width) > 2 * distance:
        least = _over_squares(np.minimum, np.where(counted, classes, np.uint8(255)), distance)
        most = _over_squares(np.maximum, np.where(counted, classes, np.uint8(0)), distance)
        out[distance : height - distance, distance : width - distance] = least < most
    return out


_Reduce = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _over_squares(reduce: _Reduce, values: np.ndarray, distance: int) -> np.ndarray:
    """The least or greatest value of every square that lies inside, by rows, then by columns."""
    rows = _over_runs(reduce, values, 2 * distance + 1)
    return _over_runs(reduce, rows.T, 2 * distance + 1).T


def _over_runs(reduce: _Reduce, values: np.ndarray, length: int) -> np.ndarray:
    """The least or greatest of every `length` consecutive rows, in log2(length) passes.

    Two runs that may overlap make one of up to twice their length.
    """
    done = 1
    while done < length:
        step = min(done, length - done)
        values = reduce(values[:-step], values[step:])
        done += step
    return values
