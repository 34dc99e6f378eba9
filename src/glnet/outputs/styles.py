"""How a mask is shown: a style beside it, which QGIS loads with the raster of the same stem."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from glnet.errors import RasterError
from glnet.outputs.files import check_target

#: Of the QGIS whose styles look so; newer ones read them.
_QGIS = "3.16.0"

#: XML has no way to write these; class names may hold anything.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: How a style begins; QGIS leaves the comment out of what it saves, and so it tells whose it is.
BEGIN = (
    b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
    b"<!-- by glnet, replaced with its mask -->\n"
)


def style_path(mask: Path) -> Path:
    """Where QGIS looks for a raster's style."""
    return mask.with_suffix(".qml")


def check_style(path: Path, taken: Sequence[Path] = ()) -> None:
    """Refuse, before any work, to write where the style of something else lies.

    Args:
        path: Of the style; it may be there, if it is one of ours.
        taken: Files that must not be overwritten.

    Raises:
        RasterError: see `files.check_target`; or it was not written here.
    """
    check_target(path, (path.suffix,), taken)
    if path.exists() and not path.read_bytes().startswith(BEGIN):
        msg = (
            f"{path}: is a style that was not written with a mask, and would be lost; move it, or "
            "give the mask another name"
        )
        raise RasterError(msg)


def write_style(
    path: Path,
    names: Mapping[int, str],
    colours: Mapping[int, tuple[int, int, int]],
    nodata: int,
) -> None:
    """Write a QGIS 3 style of a raster of class values, and read it back.

    Args:
        path: The file, in a folder where half of it may be left.
        names: Of every value; they become labels.
        colours: Of every value.
        nodata: Shown as nothing, also where a file does not say that it is no class.

    Raises:
        OSError: a write was refused, or other bytes came back.
    """
    content = _style(names, colours, nodata)
    path.write_bytes(content)
    if path.read_bytes() != content:
        msg = "it did not read back as written"
        raise OSError(msg)


def _style(
    names: Mapping[int, str], colours: Mapping[int, tuple[int, int, int]], nodata: int
) -> bytes:
    root = ET.Element("qgis", version=_QGIS, styleCategories="Symbology")
    pipe = ET.SubElement(root, "pipe")
    # A class has sharp borders: nothing may be blended.
    methods = ("zoomedInResamplingMethod", "zoomedOutResamplingMethod")
    nearest = dict.fromkeys(methods, "nearestNeighbour")
    ET.SubElement(ET.SubElement(pipe, "provider"), "resampling", {"enabled": "false", **nearest})
    shown = {"type": "paletted", "band": "1", "opacity": "1", "alphaBand": "-1"}
    renderer = ET.SubElement(pipe, "rasterrenderer", {**shown, "nodataColor": ""})
    # Not an entry of the palette: it would be a class in the legend.
    clear = ET.SubElement(ET.SubElement(renderer, "rasterTransparency"), "singleValuePixelList")
    value = str(nodata)
    ET.SubElement(clear, "pixelListEntry", min=value, max=value, percentTransparent="100")
    palette = ET.SubElement(renderer, "colorPalette")
    for entry, name in names.items():
        colour = f"#{bytes(colours[entry]).hex()}"
        label = _UNWRITABLE.sub("\ufffd", name)
        ET.SubElement(
            palette, "paletteEntry", value=str(entry), color=colour, alpha="255", label=label
        )
    ET.SubElement(pipe, "brightnesscontrast", brightness="0", contrast="0", gamma="1")
    ET.SubElement(pipe, "huesaturation", saturation="0", grayscaleMode="0")
    ET.SubElement(pipe, "rasterresampler", maxOversampling="2")
    ET.SubElement(root, "blendMode").text = "0"
    ET.indent(root)
    return BEGIN + ET.tostring(root, encoding="utf-8") + b"\n"
