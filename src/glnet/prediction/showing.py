"""What a notebook shows of a prediction: the image beside its mask, small, and a legend."""

import html
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image

from glnet.errors import GlnetError, RasterError
from glnet.geometry import Size
from glnet.outputs.pictures import as_rgb, data_uri
from glnet.outputs.rasters import WRITE_ERRORS
from glnet.outputs.styles import style_path
from glnet.raster import Raster, SlideWish

#: Longest side of a picture, in pixels.
_SIDE = 480


def shown(image: str, outputs: Sequence[str], lines: Sequence[str]) -> str:
    """HTML that needs nothing else: pictures and legend where the files are there, and the lines.

    Args:
        image: What was predicted.
        outputs: What was written, the mask among them.
        lines: What people want to know.
    """
    words = "".join(f"<div>{html.escape(line)}</div>" for line in lines)
    return f'<div style="max-width:{2 * _SIDE + 20}px">{_pictures(image, outputs)}{words}</div>'


def _pictures(image: str, outputs: Sequence[str]) -> str:
    for path in map(Path, outputs):
        if path.suffix.lower() in (".tif", ".tiff", ".png") and path.is_file():
            try:
                return _photo(Path(image)) + _mask(path)
            except (GlnetError, ET.ParseError, LookupError, ValueError, *WRITE_ERRORS):
                return ""
    return ""


def _photo(path: Path) -> str:
    """Of the first three bands, or the first; nothing where the file is gone."""
    try:
        with Raster(path) as raster:
            size = _fitting(raster.size)
            if raster.slide:
                pixels = _coarsest(raster, size)
            elif raster.decoded_whole:
                pixels = raster.thumbnail(size)
            else:  # some of the pixels: nobody waits for all of a large file
                with raster.by_gdal() as file:
                    shape = (file.count, *size)
                    pixels = file.read(out_shape=shape)[: raster.bands]
            dtype = raster.dtype
    except (GlnetError, *WRITE_ERRORS):
        return ""
    return _img(Image.fromarray(as_rgb(pixels, dtype)), "image")


def _coarsest(raster: Raster, size: Size) -> np.ndarray:
    """Of a slide; nothing of one without small levels, which nobody waits for."""
    if not raster.has_overviews:
        msg = f"{raster.path}: has no small level"
        raise RasterError(msg)
    wish = SlideWish(level=len(raster.levels) - 1, generic=True)
    with Raster(raster.file, slide=wish) as level:
        return level.thumbnail(size)


def _mask(path: Path) -> str:
    """The mask in its colours, and what each means, with its share of what is shown."""
    entries = list(ET.parse(style_path(path)).iter("paletteEntry"))  # noqa: S314  ours
    with Raster(path) as mask, mask.by_gdal() as file:
        size = _fitting(mask.size)
        # Nearest, of the smallest overview that is large enough: a mean of classes is none.
        labels = file.read(1, out_shape=tuple(size))
    painted = np.zeros((*size, 4), np.uint8)
    known = np.isin(labels, [int(entry.attrib["value"]) for entry in entries])
    rows = []
    for entry in entries:
        where = labels == int(entry.attrib["value"])
        name, colour = entry.attrib["label"], entry.attrib["color"]
        painted[where] = (*bytes.fromhex(colour[1:]), 255)
        share = where.sum() / max(1, known.sum())
        box = f"display:inline-block;width:.9em;height:.9em;background:{colour}"
        edge = "border:1px solid #888;margin-right:.3em;vertical-align:-.1em"
        rows.append(
            f'<span style="margin-right:1em;white-space:nowrap"><span style="{box};{edge}">'
            f"</span>{html.escape(name)}: about {share:.1%}</span>"
        )
    return f"{_img(Image.fromarray(painted), 'mask')}<div>{' '.join(rows)}</div>"


def _fitting(size: Size) -> Size:
    """Rows and columns of its picture: no more than there are, of the same proportions."""
    scale = min(1.0, _SIDE / max(size))
    return Size(*(max(1, round(side * scale)) for side in size))


def _img(picture: Image.Image, what: str) -> str:
    style = "display:inline-block;margin:0 8px 8px 0;max-width:48%"
    return f'<img alt="{what}" style="{style}" src="{data_uri(picture, "png")}">'
