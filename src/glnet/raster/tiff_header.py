"""The first directory of a TIFF, read without a library: enough to tell what the file may be."""

import struct
from pathlib import Path
from typing import Any, BinaryIO

#: By the first four bytes: byte order, and how places, counts and entries are packed.
_KINDS = {
    b"II*\0": ("<", "I", "H", "I"), b"MM\0*": (">", "I", "H", "I"),
    b"II+\0": ("<", "Q", "Q", "Q"), b"MM\0+": (">", "Q", "Q", "Q"),
}  # fmt: skip

#: A directory of more entries is none.
_MOST_ENTRIES = 1000

SAMPLES, TILE_WIDTH, XMP = 277, 322, 700

#: Scale, tie points, matrix and keys of a GeoTIFF.
_PLACED = {33550, 33922, 34264, 34735}

#: Of Hamamatsu's own.
_HAMAMATSU = 65420


def may_be_slide(path: Path) -> bool:
    """Is it a TIFF without a place on the ground, laid out as slides are: colours, in tiles?"""
    tags = _first_tags(path)
    if tags is None or tags.keys() & _PLACED:
        return False
    tiled = TILE_WIDTH in tags and tags.get(SAMPLES) == 3  # noqa: PLR2004  red, green, blue
    return tiled or bool(tags.keys() & {XMP, _HAMAMATSU})


def _first_tags(path: Path) -> dict[int, int] | None:
    """Each entry's number and what its value's field begins with; None: no TIFF."""
    with path.open("rb") as file:
        kind = _KINDS.get(file.read(4))
        if kind is None:
            return None
        try:
            return _entries(file, *kind)
        except struct.error:  # cut short
            return None


def _entries(
    file: BinaryIO, order: str, place: str, count: str, length: str
) -> dict[int, int] | None:
    def read(form: str) -> tuple[Any, ...]:
        form = order + form
        return struct.unpack(form, file.read(struct.calcsize(form)))

    if place == "Q":
        read("HH")  # how long places are: eight bytes
    file.seek(read(place)[0])
    (entries,) = read(count)
    if entries > _MOST_ENTRIES:
        return None
    tags = {}
    for _ in range(entries):
        number, _, _, value = read(f"HH{length}{struct.calcsize(order + place)}s")
        (tags[number],) = struct.unpack(order + "H", value[:2])
    return tags
