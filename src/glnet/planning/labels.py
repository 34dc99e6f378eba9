"""What masks hold: a class table made from them, or counted by one that is given."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from glnet.datasets.classes import ClassInfo, ClassTable, Colour, default_colour
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelScene
from glnet.datasets.problems import listed
from glnet.errors import DataError
from glnet.geometry import tiles
from glnet.metrics import IGNORE
from glnet.raster import Raster

#: Masks of more colours, or of these greys, are taken for a lossy format's.
MOST_COLOURS, _GREYS = 32, {0, 253, 254, 255}

#: A byte each, packed as one number; and the most bytes of a value of an index mask.
_CHANNELS, _WIDEST = 3, 4

#: Rows read at a time: a multiple of usual TIFF blocks.
STRIP = 512


def discover_classes(
    samples: Sequence[Sample],
    notes: list[str],
    progress: Callable[[int, int], object] = lambda _, __: None,
) -> ClassTable:
    """One class per value of index masks, or per colour of RGB masks; 255 and nodata are ignored.

    Masks of 0 and 255 alone are binary: there 255 is a class. So is nodata beside one value alone.
    Where the first mask has a palette of a colour for each, classes have its colours.

    Args:
        samples: Whose masks are read.
        notes: Gets what is doubtful, a line each.
        progress: Told after every mask how many are done, and of how many.

    Raises:
        DataError: values or colours that are not a class each, masks of both kinds, or one class
            only.
    """
    found: dict[int, set[int]] = {}
    nodata, binary = set[int](), 0
    palette: np.ndarray | None = None
    for done, sample in enumerate(samples, start=1):
        with Raster(sample.mask) as mask:
            held, own_nodata = _held(mask, found.setdefault(mask.bands, set()))
            palette = mask.palette if done == 1 else palette
        nodata |= own_nodata
        binary += {value for value, _ in held.most_common(2)} == {0, IGNORE}
        progress(done, len(samples))
    if len(found) > 1:
        msg = f"{samples[0].mask.parent}: index masks and RGB masks together; give a class table "
        raise DataError(msg + "with values and colours by --classes")
    bands, values = next(iter(found.items()))
    nodata -= values
    if nodata and len(values) == 1:
        values |= nodata
        notes.append(f"beside nodata ({listed(nodata)}) the masks hold one value: both are classes")
        nodata = set()
    rows = _by_value(values, nodata, palette) if bands == 1 else _by_colour(sorted(values))
    if sum(not row.ignored for row in rows) == 1:
        msg = f"{samples[0].mask}: all masks hold one value alone; there is nothing to tell apart"
        raise DataError(msg)
    if nodata:
        notes.append(
            f"ignored, being nodata of the masks: {listed(nodata)}; if it is a class, say so in a "
            "table and give it by --classes"
        )
    if 2 * binary > len(samples) and any(row.ignored and row.value == IGNORE for row in rows):
        notes.append(_white(binary, len(samples), values))
    try:
        return ClassTable(rows)
    except ValueError as error:
        msg = f"{samples[0].mask}: {error}; give a class table by --classes"
        raise DataError(msg) from error


def _white(binary: int, masks: int, values: set[int]) -> str:
    """That 255 is ignored, where most masks look as if it were a class."""
    others = listed(sorted(values - {0, IGNORE}))
    return (
        f"255 is ignored, though {binary} of {masks} masks are mostly 0 and 255; if it is a class, "
        f"recode the masks with other values ({others}), or give a class table by --classes"
    )


def _held(mask: Raster, earlier: set[int]) -> tuple[Counter[int], set[int]]:
    """How often a mask holds each value or colour, added to the earlier ones; and its nodata."""
    index = mask.bands == 1 and mask.dtype.kind in "iu" and mask.dtype.itemsize <= _WIDEST
    if not index and not (mask.bands == _CHANNELS and mask.dtype == np.uint8):
        msg = (
            f"{mask.path}: wanted a mask of 1 band of integers or 3 bands of 8 bit, found "
            f"{mask.bands} of {mask.dtype}"
        )
        raise DataError(msg)
    held, nodata = Counter[int](), set[int]()
    # What is transparent in a PNG is seldom meant as nodata.
    declared = index and mask.may_miss and not mask.decoded_whole
    for window in tiles(mask.size, STRIP):
        pixels, valid = mask.read_valid(window) if declared else (mask.read(window), None)
        packed = _packed(pixels)
        if valid is not None:
            nodata |= set(np.unique(packed[~valid]).tolist()) & set(range(IGNORE + 1))
            packed = packed[valid]
        values, counts = np.unique(packed, return_counts=True)
        held.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        earlier.update(held)
        if index:
            _check_values(mask, set(held))
        elif len(earlier) > MOST_COLOURS:
            msg = (
                f"{mask.path}: more than {MOST_COLOURS} colours; they look like the near-colours "
                "of a JPEG, or this is no mask; give the true colours by --classes, with "
                "--tolerance"
            )
            raise DataError(msg)
    return held, nodata


def _check_values(mask: Raster, held: set[int]) -> None:
    """Refuse what an index mask cannot hold, and the greys that a lossy format makes of values."""
    odd = next((value for value in sorted(held) if not 0 <= value <= IGNORE), None)
    if odd is not None:
        msg = f"{mask.path}: wanted values from 0 to 255, found {odd}; recode the masks"
        raise DataError(msg)
    # So many classes that three reach up to white are more than a table can hold.
    if held.issuperset(_GREYS) or (mask.is_photo and not held <= {0, IGNORE}):
        msg = (
            f"{mask.path}: {len(held)} values ({listed(sorted(held))}), as lossy compression makes "
            "of few; save masks as PNG or TIFF with one value per class, e.g. 255 where the grey "
            "is over 127"
        )
        raise DataError(msg)


def _packed(pixels: np.ndarray) -> np.ndarray:
    """(1 or 3, h, w) to one number per pixel."""
    if len(pixels) == 1:
        return pixels[0]
    red, green, blue = pixels.astype(np.int32)
    return np.asarray(red << 16 | green << 8 | blue)


def _by_value(
    values: set[int], nodata: set[int], palette: np.ndarray | None
) -> tuple[ClassInfo, ...]:
    binary = values <= {0, IGNORE}
    colours = _colours(values | nodata, palette)

    def row(value: int) -> ClassInfo:
        colour = colours[value]
        if value in nodata:
            return ClassInfo("nodata", value, colour, ignored=True)
        if value == IGNORE and not binary:
            return ClassInfo("ignored", value, colour, ignored=True)
        return ClassInfo(f"class {value}", value, colour)

    return tuple(row(value) for value in sorted(values | nodata))


def _colours(values: set[int], palette: np.ndarray | None) -> dict[int, Colour]:
    """Of a palette, if it tells all values apart; else our own."""
    if palette is not None and max(values) < len(palette):
        found = {value: (r, g, b) for value, (r, g, b) in enumerate(palette.tolist())}
        found = {value: found[value] for value in values}
        if len(set(found.values())) == len(found):
            return found
    # White, which no small number has, so that 0 and 255 are seen apart.
    return {v: default_colour(v) if v != IGNORE else (255, 255, 255) for v in values}


def _by_colour(packed: Sequence[int]) -> tuple[ClassInfo, ...]:
    return tuple(
        ClassInfo(f"class {number}", number, (colour >> 16, colour >> 8 & 255, colour & 255))
        for number, colour in enumerate(packed)
    )


#: How often images may be shrunk, along a side; they divide `STRIP`.
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
    for window in tiles(scene.size, STRIP):
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
