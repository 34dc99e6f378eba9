"""Images of every format, sound ones and such as only an enemy writes, all of a few bytes."""

import struct
import zlib

import numpy as np
import rasterio
import rasterio.shutil
from PIL import Image

from makers import opened, write_jpg, write_png, write_tif

BLOCKS = {"tiled": True, "blockxsize": 16, "blockysize": 32}


def copied(path, pixels, driver, **options):
    """By GDAL's drivers that only copy."""
    source = path.with_name(f"{path.name}.source.tif")
    write_tif(source, pixels)
    with opened(source) as file, rasterio.Env(GDAL_PAM_ENABLED="NO"):
        rasterio.shutil.copy(file, path, driver=driver, **options)
    source.unlink()
    return path


def masked(path, pixels):
    """A TIFF with a mask inside that takes a corner away."""
    shape = {"count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2]}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        opened(
            path, "w", driver="GTiff", dtype=pixels.dtype.name, compress="deflate", **shape
        ) as f,
    ):
        f.write(pixels)
        inside = np.full(pixels.shape[1:], 255, np.uint8)
        inside[:20, :30] = 0
        f.write_mask(inside)
    return path


def overviews(path, pixels):
    """A cloud-optimised GeoTIFF: smaller versions first, the pixels last."""
    return copied(
        path, pixels, "COG", BLOCKSIZE=128, OVERVIEWS="IGNORE_EXISTING", OVERVIEW_COUNT=2,
        COMPRESS="DEFLATE",
    )  # fmt: skip


def progressive(path, pixels):
    Image.fromarray(np.moveaxis(pixels, 0, -1)).save(path, quality=95, progressive=True)
    return path


def webp(path, pixels):
    return copied(path, pixels, "WEBP", LOSSLESS="YES")


def cmyk(path, pixels):
    Image.fromarray(np.moveaxis(pixels, 0, -1)).convert("CMYK").save(path, quality=95)
    return path


def palette(path, pixels):
    """Indexes of colours, in any format that has them."""
    image = Image.fromarray(np.ascontiguousarray(pixels[0]))
    image.putpalette(list(range(256)) * 3)
    image.save(path)
    return path


def one_bit(path, pixels):
    Image.fromarray(np.ascontiguousarray(pixels[0] > 127)).save(path)
    return path


def interlaced(path, pixels):
    """A PNG in Adam7's seven passes."""
    rows = np.moveaxis(pixels, 0, -1)
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2),
              (1, 2, 0, 1)]  # fmt: skip
    data = b"".join(
        b"\0" + row.tobytes()
        for top, down, left, across in passes
        for row in rows[top::down, left::across]
        if row.size
    )
    height, width = pixels.shape[1:]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))
    return path


def _chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def tif_header(path, height, width, tile=None, rows=None, bands=3, stored=b"\0" * 64, packed=8):
    """A TIFF of one block, or with none of its many, that claims any size."""
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, packed),
        (262, 3, 1, 1), (277, 3, 1, bands),
    ]  # fmt: skip
    if tile:
        entries += [(322, 4, 1, tile), (323, 4, 1, tile), (324, 4, 1, 8), (325, 4, 1, len(stored))]
    else:
        entries += [(273, 4, 1, 8), (278, 4, 1, rows), (279, 4, 1, len(stored))]
    body = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    place = struct.pack("<I", 8 + len(stored))
    path.write_bytes(b"II*\0" + place + stored + struct.pack("<H", len(entries)) + body + b"\0" * 4)
    return path


def patched(path, *changes):
    """Bytes of a file replaced: (after these bytes and so many more, these)."""
    whole = bytearray(path.read_bytes())
    for after, offset, new in changes:
        at = whole.index(after) + len(after) + offset
        whole[at : at + len(new)] = new
    path.write_bytes(whole)
    return path


def wide_jp2(path, pixels, height, width):
    """Its boxes and its codestream both claim the size."""
    copied(path, pixels, "JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES")
    size = struct.pack(">II", height, width)
    return patched(path, (b"ihdr", 0, size), (b"\xff\x51", 4, size[4:] + size[:4]))


def vrt(path, *sources, height=64, width=80, band=""):
    """A virtual raster whose bands come from these files."""
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{number}"{band}>'
        f"<SimpleSource><SourceFilename>{source}</SourceFilename>"
        f"<SourceBand>{number if len(set(sources)) == 1 else 1}</SourceBand></SimpleSource>"
        "</VRTRasterBand>"
        for number, source in enumerate(sources, start=1)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{bands}</VRTDataset>'
    )
    return path


#: By name: the file's suffix, how it is made, whether it keeps every pixel as it is.
FORMATS = {
    "striped TIFF": (".tif", lambda p, a: write_tif(p, a, blockysize=16), True),
    "tiled TIFF": (".tif", lambda p, a: write_tif(p, a, **BLOCKS), True),
    "planar TIFF": (".tif", lambda p, a: write_tif(p, a, interleave="band", **BLOCKS), True),
    "deflate TIFF": (".tif", lambda p, a: write_tif(p, a, compress="deflate", predictor=2), True),
    "LZW TIFF": (".tif", lambda p, a: write_tif(p, a, compress="lzw", **BLOCKS), True),
    "JPEG in TIFF": (
        ".tif", lambda p, a: write_tif(p, a, compress="jpeg", photometric="ycbcr", **BLOCKS), False
    ),
    "COG": (".tif", overviews, True),
    "TIFF with a mask": (".tif", masked, False),
    "TIFF with nodata": (".tif", lambda p, a: write_tif(p, a, nodata=7, compress="lzw"), False),
    "BigTIFF": (".tif", lambda p, a: write_tif(p, a, BIGTIFF="YES", ENDIANNESS="BIG"), True),
    "PNG": (".png", write_png, True),
    "interlaced PNG": (".png", interlaced, True),
    "JPEG": (".jpg", write_jpg, False),
    "progressive JPEG": (".jpg", progressive, False),
    "turned JPEG": (".jpeg", lambda p, a: write_jpg(p, a, orientation=6), False),
    "JPEG 2000": (
        ".jp2", lambda p, a: copied(p, a, "JP2OpenJPEG", QUALITY=100, REVERSIBLE="YES"), True
    ),
    "BMP": (".bmp", lambda p, a: copied(p, a, "BMP"), True),
    "WebP": (".webp", webp, True),
}  # fmt: skip

#: The same, for a network of one band, and for one of 16 bit.
ONE_BAND = {
    "palette PNG": (".png", palette, True),
    "1 bit PNG": (".png", one_bit, False),
    "1 bit TIFF": (".tif", lambda p, a: write_tif(p, a[:1] // 128, NBITS=1), False),
    "1 bit BMP": (".bmp", one_bit, False),
    "palette TIFF": (".tif", palette, True),
    "palette BMP": (".bmp", palette, True),
    "GIF": (".gif", palette, True),
}
DEEP = {
    "16 bit PNG": (".png", lambda p, a: copied(p, a * np.uint16(257), "PNG"), True),
    "16 bit TIFF": (".tif", lambda p, a: write_tif(p, a * np.uint16(257), compress="lzw"), True),
    "float TIFF": (".tif", lambda p, a: write_tif(p, a * np.float32(257), compress="lzw"), True),
}  # fmt: skip
