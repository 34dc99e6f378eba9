"""What masks hold: a class table made from them, or counted by one that is given."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from glnet.datasets.classes import ClassInfo, ClassTable, default_colour
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelScene
from glnet.errors import DataError
from glnet.geometry import Size, Window
from glnet.metrics import IGNORE
from glnet.raster import Raster

#: RGB masks of more colours than this are taken for near-colours.
MOST_COLOURS = 32

#: A byte each, packed as one number.
_CHANNELS = 3

#: Rows read at a time: a multiple of usual TIFF blocks.
_STRIP = 512


def strips(size: Size) -> Iterator[Window]:
    """Windows of full width, from top to bottom."""
    for top in range(0, size.height, _STRIP):
        yield Window(top, 0, min(_STRIP, size.height - top), size.width)


def discover_classes(
    samples: Sequence[Sample], progress: Callable[[int, int], object] = lambda _, __: None
) -> ClassTable:
    """One class per value of index masks, or per colour of RGB masks; 255 is ignored.

    Masks of 0 and 255 alone are binary: there 255 is a class.

    Args:
        samples: Whose masks are read.
        progress: Told after every mask how many are done, and of how many.

    Raises:
        DataError: more colours than `MOST_COLOURS`, masks of both kinds, or one class only.
    """
    found: dict[int, set[int]] = {}
    for done, sample in enumerate(samples, start=1):
        with Raster(sample.mask) as mask:
            if mask.bands not in (1, _CHANNELS) or mask.dtype != np.uint8:
                msg = (
                    f"{mask.path}: wanted a mask of 1 or 3 bands of 8 bit, found {mask.bands} of "
                    f"{mask.dtype}"
                )
                raise DataError(msg)
            own = found.setdefault(mask.bands, set())
            for window in strips(mask.size):
                own |= set(np.unique(_packed(mask.read(window))).tolist())
            if mask.bands == _CHANNELS and len(own) > MOST_COLOURS:
                _refuse_near_colours(sample)
        progress(done, len(samples))
    if len(found) > 1:
        msg = f"{samples[0].mask.parent}: index masks and RGB masks together; give a class table "
        raise DataError(msg + "with values and colours by --classes")
    bands, values = next(iter(found.items()))
    rows = _by_value(sorted(values)) if bands == 1 else _by_colour(sorted(values))
    if sum(not row.ignored for row in rows) == 1:
        msg = f"{samples[0].mask}: all masks hold one value alone; there is nothing to tell apart"
        raise DataError(msg)
    try:
        return ClassTable(rows)
    except ValueError as error:
        msg = f"{samples[0].mask}: {error}; give a class table by --classes"
        raise DataError(msg) from error


def _refuse_near_colours(sample: Sample) -> None:
    msg = (
        f"{sample.mask}: more than {MOST_COLOURS} colours; they look like the near-colours of a "
        "JPEG, or this is no mask; give the true colours by --classes, with --tolerance"
    )
    raise DataError(msg)


def _packed(pixels: np.ndarray) -> np.ndarray:
    """(1 or 3, h, w) to one number per pixel."""
    if len(pixels) == 1:
        return pixels[0]
    red, green, blue = pixels.astype(np.int32)
    return np.asarray(red << 16 | green << 8 | blue)


def _by_value(values: Sequence[int]) -> tuple[ClassInfo, ...]:
    binary = set(values) <= {0, IGNORE}
    return tuple(
        ClassInfo(
            f"class {value}" if value != IGNORE or binary else "ignored",
            value,
            # White, which no small number has, so that 0 and 255 are seen apart.
            default_colour(value) if value != IGNORE else (255, 255, 255),
            value == IGNORE and not binary,
        )
        for value in values
    )


def _by_colour(packed: Sequence[int]) -> tuple[ClassInfo, ...]:
    return tuple(
        ClassInfo(f"class {number}", number, (colour >> 16, colour >> 8 & 255, colour & 255))
        for number, colour in enumerate(packed)
    )


#: How often images may be shrunk, along a side; they divide `_STRIP`.
SHRINKS = (2, 4, 8)


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """What one mask holds.

    Attributes:
        pixels, ignored: Of every class, and ignored ones.
        kept: (factors of `SHRINKS`, 2, classes): pixels where the mask agrees with itself, shrunk
            and enlarged again; and those where either has the class.
        seconds: To read and count it.
    """

    pixels: np.ndarray
    ignored: int
    kept: np.ndarray
    seconds: float


def count_labels(scene: LabelScene, classes: int) -> LabelCounts:
    """Read a mask once.

    Raises:
        DataError: a value or colour that is no class; the line names file and place.
    """
    counts, kept = np.zeros(IGNORE + 1, np.int64), np.zeros((len(SHRINKS), 2, classes), np.int64)
    seconds = 0.0
    for window in strips(scene.size):
        began = time.perf_counter()
        labels = scene.read(window)[0]
        counts += np.bincount(labels.ravel(), minlength=IGNORE + 1)
        seconds += time.perf_counter() - began
        kept += [_kept(labels, factor, classes) for factor in SHRINKS]
    return LabelCounts(counts[:classes], int(counts[IGNORE]), kept, seconds)


def _kept(labels: np.ndarray, factor: int, classes: int) -> np.ndarray:
    """Where labels agree with themselves, shrunk as training shrinks them, and all, (2, classes).

    What is left over at the right and at the bottom counts nowhere.
    """
    height, width = (side // factor * factor for side in labels.shape)
    labels = labels[:height, :width]
    picked = labels[factor // 2 :: factor, factor // 2 :: factor]
    enlarged = picked.repeat(factor, axis=0).repeat(factor, axis=1)
    known = (labels != IGNORE) & (enlarged != IGNORE)
    same, own, other = (
        np.bincount(some, minlength=classes)
        for some in (labels[known & (labels == enlarged)], labels[known], enlarged[known])
    )
    return np.stack([same, own + other - same])
