"""Small pictures as data URIs: the image, the truth, the prediction, where they differ."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from glnet.datasets.classes import Colour
from glnet.errors import GlnetError
from glnet.evaluation.gallery import Picture, cells_of
from glnet.geometry import Size, Window
from glnet.metrics import IGNORE, Protocol
from glnet.outputs.pictures import as_rgb, data_uri
from glnet.raster import Raster

#: Of an error map: what is right, what is wrong.
RIGHT, WRONG = (222, 226, 231), (208, 32, 64)

#: What is not counted, or of no class: stripes of these two.
PLAIN, STRIPE = (250, 250, 250), (168, 174, 182)

#: Palette entries of those stripes; at most 254 classes are trained.
_PLAIN, _STRIPE = 255, 254

_RIGHT, _WRONG = 0, 1
_STRIPES = 6

#: Pixels of an image read at a time.
_PORTION = 1 << 20


@dataclass(frozen=True, slots=True)
class Side:
    """An image's own mean IoU, and the prediction and its errors as data URIs."""

    score: float
    prediction: str
    errors: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An image and its pictures as data URIs.

    Attributes:
        name: Of the file.
        place: Which part of it, in words; empty for all.
        size: Of the pictures.
        image: None where the file cannot be read.
        truth: See the module.
        sides: What was evaluated: one, or two of a comparison.
    """

    name: str
    place: str
    size: Size
    image: str | None
    truth: str
    sides: list[Side]


#: A score, and its picture, with the colours and the protocol of the evaluation that it is of.
Scored = tuple[float, Picture, list[Colour], Protocol]


def show(*sides: Scored) -> Shown:
    """A picture as a page shows it, by one evaluation or by two."""
    _, picture, colours, _ = sides[0]
    palette, extent = dict(enumerate(colours)), picture.extent
    photo, whole = _photo(picture)
    place = f"rows {extent.top} to {extent.bottom}, columns {extent.left} to {extent.right}"
    return Shown(
        picture.image.as_posix(),
        "" if whole == extent.size else place,
        Size(*picture.labels.shape),
        photo,
        _png(_striped(picture.labels, picture.labels == IGNORE), palette),
        [_side(*side) for side in sides],
    )


def _side(score: float, picture: Picture, colours: list[Colour], protocol: Protocol) -> Side:
    palette = dict(enumerate(colours))
    return Side(
        score,
        _png(_striped(picture.prediction, picture.prediction == IGNORE), palette),
        _png(error_map(picture, protocol), {_RIGHT: RIGHT, _WRONG: WRONG}),
    )


def error_map(picture: Picture, protocol: Protocol) -> np.ndarray:
    """Entries of a palette: right, wrong, and stripes where nothing is counted; (rows, columns)."""
    labels, prediction = picture.labels, picture.prediction
    ground = protocol.ground(labels)
    # On ignored ground a prediction of no class is counted nowhere, by any protocol.
    nowhere = (ground == IGNORE) | ((labels == IGNORE) & (prediction == IGNORE))
    wrong = np.where(ground == prediction, np.uint8(_RIGHT), np.uint8(_WRONG))
    return _striped(wrong, nowhere)


def shrunk(raster: Raster, extent: Window, cells: Size) -> np.ndarray:
    """The mean of the pixels with data in every cell, read strip by strip.

    Args:
        raster: An open image.
        extent: What is shown of it.
        cells: Rows and columns of the result, none more than there are pixels.

    Returns:
        float64, shape (bands, rows, columns); a palette's colours where the file has one. Cells
        without data have the mean of all.
    """
    rows, columns = (
        np.arange(count + 1) * length // count
        for count, length in zip(cells, extent.size, strict=True)
    )
    many = max(1, _PORTION // (extent.width * max(1, extent.height // cells.height)))
    strips = []
    for first in range(0, cells.height, many):
        edges = rows[first : first + many + 1]
        part = Window(int(edges[0]), 0, int(edges[-1] - edges[0]), extent.width)
        pixels, valid = raster.read_valid(extent.within(part))
        if raster.palette is not None and raster.bands == 1:
            known = np.minimum(pixels[0], len(raster.palette) - 1)
            pixels = np.moveaxis(raster.palette[known], -1, 0)
        counted = np.ones(part.size, bool) if valid is None else valid
        both = np.concatenate([np.where(counted, pixels, 0), counted[None]])
        down = np.add.reduceat(both, edges[:-1] - edges[0], axis=1, dtype=np.float64)
        strips.append(np.add.reduceat(down, columns[:-1], axis=2))
    *sums, counts = np.concatenate(strips, axis=1)
    found = np.array(sums)
    whole = found.sum(axis=(1, 2)) / max(1, counts.sum())
    return np.where(counts, found / np.maximum(counts, 1), whole[:, None, None])


def _photo(picture: Picture) -> tuple[str | None, Size | None]:
    """The image and its size; None for both where only masks are at hand."""
    extent = picture.extent
    try:
        with Raster(picture.image) as raster:
            if not extent.fits(raster.size):
                return None, None
            pixels = as_rgb(shrunk(raster, extent, cells_of(extent.size)), raster.dtype)
            size = raster.size
    except GlnetError:
        return None, None
    return data_uri(Image.fromarray(pixels), "jpeg", quality=90, subsampling=0), size


def _striped(entries: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Entries of a palette with diagonal stripes in some places."""
    diagonals = np.add.outer(*(np.arange(length) for length in entries.shape))
    stripe = diagonals % _STRIPES < _STRIPES // 3
    return np.where(where, np.where(stripe, _STRIPE, _PLAIN), entries).astype(np.uint8)


def _png(entries: np.ndarray, palette: dict[int, Colour]) -> str:
    colours = np.zeros((256, 3), np.uint8)
    for entry, colour in (palette | {_PLAIN: PLAIN, _STRIPE: STRIPE}).items():
        colours[entry] = colour
    image = Image.fromarray(entries)
    image.putpalette(colours.tobytes())
    return data_uri(image, "png", optimize=True)
