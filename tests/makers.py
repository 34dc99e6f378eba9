"""Small files and scenes for the tests: images of every format, tables, manifests, a network."""

import contextlib
import csv
import json
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pyogrio
import pyogrio.raw
import rasterio
import shapely
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from glnet.datasets.classes import ClassInfo, ClassTable

#: EXIF's tag for how a photo was held.
ORIENTATION = 0x0112

TWO_CLASSES = ClassTable((ClassInfo("land", 0, (0, 128, 0)), ClassInfo("water", 1, (0, 0, 255))))

#: As where torch is not installed, at the beginning of a script.
NO_TORCH = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "timm", "torchvision", "lightning_fabric"):
            raise ImportError(f"{name} is not wanted here")

sys.meta_path.insert(0, Refuse())
"""


def noise(*shape, seed=0, dtype=np.uint8):
    """Random pixels over the whole range of an integer dtype, or a normal draw."""
    rng = np.random.default_rng(seed)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    return rng.normal(size=shape).astype(dtype)


@contextlib.contextmanager
def opened(path, mode="r", **options):
    """Rasterio's dataset; that a file has no georeference is no warning here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, mode, **options) as file:
            yield file


def write_tif(path, pixels, **options):
    """A GeoTIFF of (bands, height, width) pixels; options are rasterio's."""
    bands, height, width = pixels.shape
    shape = {"count": bands, "height": height, "width": width, "dtype": pixels.dtype.name}
    with opened(path, "w", **({"driver": "GTiff"} | shape | options)) as file:
        file.write(pixels)
    return path


def write_png(path, pixels, palette=None):
    """A PNG of (height, width) or (1 to 4 bands, height, width) pixels."""
    if pixels.ndim == 3:
        pixels = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if palette is not None:
        image.putpalette(palette)
    image.save(path, format="PNG")
    return path


def write_jpg(path, pixels, orientation=None):
    """A JPEG of (height, width) or (3, height, width) pixels, held as EXIF says."""
    if pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, -1)
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(path, format="JPEG", quality=95, exif=exif)
    return path


def cut(path, share):
    """Leave only the first part of a file, as a broken download does."""
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    return path


def nothing(path):
    """No file at all."""
    return path


def a_folder(path):
    """A folder where a file is looked for."""
    path.mkdir()
    return path


def a_text(path):
    """Words where pixels or numbers are looked for."""
    return write_text(path, "No such thing at all.", "Two lines of text.")


def an_empty_file(path):
    """A file of no bytes."""
    path.touch()
    return path


def claim_size(path, height, width):
    """A small JPEG or PNG whose header claims another size."""
    if path.suffix == ".png":
        header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        whole = write_png(path, noise(3, 8, 8)).read_bytes()
        path.write_bytes(whole[:8] + chunk + whole[8 + len(chunk) :])
        return path
    whole = bytearray(write_jpg(path, noise(3, 8, 8)).read_bytes())
    frame = whole.index(b"\xff\xc0")
    whole[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    path.write_bytes(whole)
    return path


def check_one_line(status, lines, *named):
    """A failed status, and one line on stderr that names what it must."""
    assert status == 1
    assert len(lines) == 1, lines
    assert lines[0].startswith("glnet: ")
    assert "Traceback" not in lines[0]
    assert "\x1b" not in lines[0]
    for text in named:
        assert str(text) in lines[0]


def write_text(path, *lines):
    """A text file, line by line."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_classes(path, table=TWO_CLASSES):
    """A class table as a file."""
    rows = [
        (
            row.name,
            row.value,
            " ".join(map(str, row.colour)),
            "yes" if row.ignored else "",
            row.file,
            "yes" if row.rest else "no",
        )
        for row in table.rows
    ]
    return _write_csv(path, ("name", "value", "colour", "ignored", "file", "rest"), rows)


def write_manifest(path, *rows):
    """A manifest of (image, mask, split) rows."""
    return _write_csv(path, ("image", "mask", "split"), rows)


def feature(geometry, **properties):
    """A GeoJSON feature."""
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def box(left, top, right, bottom):
    """A rectangle as a GeoJSON geometry."""
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return {"type": "Polygon", "coordinates": [corners]}


def write_geojson(path, features, **members):
    """A GeoJSON file; members are what else the collection holds, its crs for one."""
    content = {"type": "FeatureCollection", **members, "features": features}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_gpkg(path, features, crs=None, layer="labels", **options):
    """A GeoPackage of the same features; all have the first one's properties."""
    shapes = [shapely.geometry.shape(one["geometry"]) for one in features]
    names = list(features[0]["properties"])
    columns = [[one["properties"][name] for one in features] for name in names]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no crs may be meant
        pyogrio.raw.write(
            path,
            shapely.to_wkb(np.array(shapes)),
            [np.array(cells, object if isinstance(cells[0], str) else None) for cells in columns],
            names,
            driver="GPKG",
            layer=layer,
            geometry_type="Unknown",
            crs=crs,
            **options,
        )
    return path


def _write_csv(path: Path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path
