"""Rasters put together from pieces: a cloud-optimised GeoTIFF, or a PNG, checked piece by piece.

GDAL reads the pieces through a virtual raster, block by block, so memory does not grow with the
result, and no block is written twice.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from glnet.errors import RasterError
from glnet.geometry import Size, Window, tiles
from glnet.georeference import Georeference, Resolution
from glnet.outputs.files import silent
from glnet.photo import unwarned
from glnet.raster import area

#: What writing a raster raises; copying and closing one gives GDAL's own errors.
WRITE_ERRORS = (OSError, RasterioError, CPLE_BaseError)

TIFF_SUFFIXES = (".tif", ".tiff")
MASK_SUFFIXES = (*TIFF_SUFFIXES, ".png")

_CLASS_TAG = re.compile(r"class_([0-9]{1,3})")

#: Side of a block of what is written, in pixels.
BLOCK = 256

_TYPES = {"uint8": "Byte", "float32": "Float32"}

#: No files beside the one that is written; what GDAL has to say comes as an error.
_ALONE = {"GDAL_PAM_ENABLED": "NO"}

#: Fast to write: pieces do not live long. Blocks without data are not even stored.
_PIECE = {
    "driver": "GTiff", "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK,
    "compress": "deflate", "zlevel": 1, "BIGTIFF": "IF_SAFER", "SPARSE_OK": True,
}  # fmt: skip

_COG = {
    "driver": "COG", "COMPRESS": "DEFLATE", "BLOCKSIZE": BLOCK, "BIGTIFF": "IF_SAFER",
    "OVERVIEWS": "IGNORE_EXISTING", "NUM_THREADS": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Content:
    """What a raster says beside its pixels.

    Attributes:
        size: Height and width.
        bands: Their names.
        dtype: uint8 or float32.
        nodata: What stands for ground without data.
        georeference: None for pictures.
        palette: Colours of values, for one band of bytes.
        tags: Of the first band, as GDAL's metadata items.
        overviews: How they are made of the pixels.
        pixel: Metres that one is high and wide on a slide, told as TIFF does.
    """

    size: Size
    bands: tuple[str, ...]
    dtype: str
    nodata: float
    georeference: Georeference | None = None
    palette: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    overviews: Literal["mode", "average"] = "average"
    pixel: Resolution | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A file that holds a window of the whole."""

    path: Path
    window: Window


def class_tags(names: Mapping[int, str]) -> dict[str, str]:
    """Names of values as metadata items of a mask's band."""
    return {f"class_{value}": name for value, name in names.items()}


def class_names(tags: Mapping[str, str]) -> dict[int, str]:
    """The inverse of `class_tags`; other items are left out."""
    return {int(found[1]): tags[key] for key in tags if (found := _CLASS_TAG.fullmatch(key))}


def can_tell(crs: Any) -> bool:  # noqa: ANN401  rasterio has no types
    """Has GeoTIFF words for a coordinate system? For turned poles it has none."""
    shape = {"height": 1, "width": 1, "count": 1, "dtype": "uint8"}
    with rasterio.Env(**_ALONE), unwarned(), MemoryFile() as held:
        with held.open(driver="GTiff", crs=crs, **shape):
            pass
        with held.open() as file:
            return file.crs is not None


def create(path: Path, size: Size, bands: int, dtype: str, nodata: float) -> Any:  # noqa: ANN401  rasterio has no types
    """A piece to write to: a tiled GeoTIFF without a place on the ground."""
    with unwarned():
        return rasterio.open(
            path, "w", height=size.height, width=size.width, count=bands, dtype=dtype,
            nodata=nodata, **_PIECE,
        )  # fmt: skip


def assemble(folder: Path, path: Path, content: Content, pieces: Sequence[Piece]) -> None:
    """Write pieces as one file: a GeoTIFF with overviews, or a PNG, as the name ends.

    Args:
        folder: For what is needed meanwhile; the pieces lie below it.
        path: The file, in a folder where half of it may be left.
        content: What it says.
        pieces: They cover the raster.

    Raises:
        WRITE_ERRORS: it could not be written.
    """
    virtual = folder / f"{path.stem}.vrt"
    virtual.write_bytes(_virtual(folder, content, pieces))
    options: dict[str, Any] = {"driver": "PNG"}
    if path.suffix.lower() in TIFF_SUFFIXES:
        # Scores are noise in their last digits: packing them harder takes minutes for nothing.
        level = 6 if content.dtype == "uint8" else 1
        options = {**_COG, "LEVEL": level, "OVERVIEW_RESAMPLING": content.overviews.upper()}
    with opened(virtual) as whole, rasterio.Env(**_ALONE), silent():
        rasterio.shutil.copy(whole, path, **options)


def verify(path: Path, content: Content, pieces: Sequence[Piece]) -> None:
    """Read a file again, all of it, and compare it with its pieces.

    Raises:
        RasterError: it does not hold what was written.
        RasterioError: it cannot be read.
    """
    with opened(path) as file:
        found = (file.height, file.width, file.count, file.dtypes[0])
        sound = found == (*content.size, len(content.bands), content.dtype)
        sound = sound and all(_same(file, piece) for piece in pieces)
        smaller = len(file.overviews(1))
    for level in range(smaller):
        with opened(path, overview_level=level) as file:
            for strip in tiles(Size(file.height, file.width), BLOCK):
                file.read(window=area(strip))
    if not sound:
        msg = f"{path}: did not read back as written; is the disk full?"
        raise RasterError(msg)


def _same(file: Any, piece: Piece) -> bool:  # noqa: ANN401  rasterio has no types
    with opened(piece.path) as own:
        return all(
            np.array_equal(
                own.read(window=area(strip)),
                file.read(window=area(piece.window.within(strip))),
                equal_nan=own.dtypes[0] == "float32",
            )
            for strip in tiles(piece.window.size, BLOCK)
        )


@contextlib.contextmanager
def opened(path: Path, **options: Any) -> Iterator[Any]:  # noqa: ANN401  rasterio has no types
    """A raster of our own; that it lies nowhere is no warning."""
    with unwarned():
        file = rasterio.open(path, **options)
    with file:
        yield file


def _virtual(folder: Path, content: Content, pieces: Sequence[Piece]) -> bytes:
    """GDAL's virtual raster of the pieces, as XML."""
    height, width = content.size
    root = ET.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    ground = content.georeference
    if ground is not None:
        if ground.crs is not None:
            ET.SubElement(root, "SRS").text = ground.crs.to_wkt()
        numbers = ", ".join(repr(float(n)) for n in ground.transform.to_gdal())
        ET.SubElement(root, "GeoTransform").text = numbers
    if content.pixel is not None:
        _metadata(root, _per_centimetre(content.pixel))
    for number, name in enumerate(content.bands, start=1):
        kind = _TYPES[content.dtype]
        band = ET.SubElement(root, "VRTRasterBand", dataType=kind, band=str(number))
        ET.SubElement(band, "Description").text = name
        if number == 1:
            _metadata(band, content.tags)
        ET.SubElement(band, "NoDataValue").text = str(content.nodata)
        if content.palette:
            ET.SubElement(band, "ColorInterp").text = "Palette"
            table = ET.SubElement(band, "ColorTable")
            shown = {value: (*colour, 255) for value, colour in content.palette.items()}
            for entry_of in range(max(*shown, int(content.nodata)) + 1):
                colour = shown.get(entry_of, (0, 0, 0, 255 * (entry_of != content.nodata)))
                entry = dict(zip(("c1", "c2", "c3", "c4"), map(str, colour), strict=True))
                ET.SubElement(table, "Entry", entry)
        for piece in pieces:
            _source(band, number, kind, piece, folder)
    return ET.tostring(root, encoding="utf-8")


def _metadata(above: ET.Element, items: Mapping[str, str]) -> None:
    held = ET.SubElement(above, "Metadata")
    for key, value in items.items():
        ET.SubElement(held, "MDI", key=key).text = value


def _per_centimetre(pixel: Resolution) -> dict[str, str]:
    """GDAL makes tags of the file of them: 3 is TIFF's word for centimetres."""
    rows, columns = (repr(1 / (100 * length)) for length in pixel)
    return {
        "TIFFTAG_XRESOLUTION": columns, "TIFFTAG_YRESOLUTION": rows, "TIFFTAG_RESOLUTIONUNIT": "3",
    }  # fmt: skip


def _source(band: ET.Element, number: int, kind: str, piece: Piece, folder: Path) -> None:
    """A piece's place; its shape is told, or GDAL would open all of them at once."""
    source, window = ET.SubElement(band, "SimpleSource"), piece.window
    name = piece.path.relative_to(folder).as_posix()
    ET.SubElement(source, "SourceFilename", relativeToVRT="1").text = name
    ET.SubElement(source, "SourceBand").text = str(number)
    sides = {"RasterXSize": str(window.width), "RasterYSize": str(window.height)}
    blocks = {"BlockXSize": str(BLOCK), "BlockYSize": str(BLOCK)}
    ET.SubElement(source, "SourceProperties", {**sides, "DataType": kind, **blocks})
    extent = {"xSize": str(window.width), "ySize": str(window.height)}
    ET.SubElement(source, "SrcRect", {"xOff": "0", "yOff": "0", **extent})
    corner = {"xOff": str(window.left), "yOff": str(window.top)}
    ET.SubElement(source, "DstRect", {**corner, **extent})
