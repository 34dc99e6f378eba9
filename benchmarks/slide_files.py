"""Pyramidal TIFFs as slide scanners write them: levels of tiles, each told by a function.

Tiles that are the same array lie in the file once, so that a slide of gigapixels with a few
islands of tissue is small and quickly made.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

#: Of the tags written here: their type (3: 16 bit, 4: 32 bit, 5: a ratio) as TIFF counts them.
_SHORT, _LONG, _RATIO, _TEXT = 3, 4, 5, 2
_PACKED = {_SHORT: "H", _LONG: "I", _RATIO: "II"}

#: Adobe's deflate, and RGB.
_DEFLATE, _RGB = 8, 2

#: Pixels of a level's tile: row and column of tiles to uint8 (side, side, 3), or None: it is empty.
Tile = Callable[[int, int], np.ndarray | None]

#: Arrays by which they are, held so that none takes another's place; and where each lies.
Kept = dict[int, tuple[np.ndarray, tuple[int, int]]]


def aperio(microns: float | None, power: float | None) -> str:
    """What an Aperio scanner says of its image."""
    told = [f"|MPP = {microns}"] * (microns is not None) + [f"|AppMag = {power}"] * (
        power is not None
    )
    return "Aperio Image Library v12.0.0\r\nmade for glnet" + "".join(told)


def write_slide(
    path: Path,
    sizes: Sequence[tuple[int, int]],
    tiles: Sequence[Tile],
    *,
    side: int = 256,
    description: str | None = None,
    microns: float | None = None,
) -> Path:
    """Write a slide.

    Args:
        path: Of the file.
        sizes: Of its levels, (height, width), the finest first.
        tiles: Of each level.
        side: Of a tile in pixels.
        description: Of the first level.
        microns: That a pixel of it is wide, told as TIFF does; not as scanners do.
    """
    kept: Kept = {}
    with path.open("wb") as file:
        file.write(b"II*\0\0\0\0\0")
        link = 4
        for level, ((height, width), tile) in enumerate(zip(sizes, tiles, strict=True)):
            places = [
                _placed(file, tile(row, column), kept)
                for row in range(-(-height // side))
                for column in range(-(-width // side))
            ]
            tags: dict[int, tuple[int, Sequence[int] | bytes]] = {
                254: (_LONG, [min(level, 1)]), 256: (_LONG, [width]), 257: (_LONG, [height]),
                258: (_SHORT, [8] * 3), 259: (_SHORT, [_DEFLATE]), 262: (_SHORT, [_RGB]),
                277: (_SHORT, [3]), 284: (_SHORT, [1]), 322: (_LONG, [side]), 323: (_LONG, [side]),
                324: (_LONG, [place for place, _ in places]),
                325: (_LONG, [length for _, length in places]),
            }  # fmt: skip
            if description and not level:
                tags[270] = _TEXT, description.encode() + b"\0"
            if microns is not None:
                per = [round(1e7 / microns / (sizes[0][1] / width)), 1000]
                tags |= {282: (_RATIO, per), 283: (_RATIO, per), 296: (_SHORT, [3])}
            link = _directory(file, tags, link)
    return path


def _placed(file: BinaryIO, pixels: np.ndarray | None, kept: Kept) -> tuple[int, int]:
    """Where a tile lies, and its length."""
    if pixels is None:
        return 0, 0
    if id(pixels) not in kept:
        data = zlib.compress(np.ascontiguousarray(pixels).tobytes(), 1)
        kept[id(pixels)] = pixels, (file.tell(), len(data))
        file.write(data)
    return kept[id(pixels)][1]


def _directory(file: BinaryIO, tags: dict, link: int) -> int:
    """Write one, led to from `link`; where the next one's place goes."""
    entries = []
    for number, (kind, values) in sorted(tags.items()):
        if isinstance(values, bytes):
            count, data = len(values), values
        else:
            count = len(values) // len(_PACKED[kind])
            data = struct.pack(f"<{len(values)}{_PACKED[kind][0]}", *values)
        if len(data) > 4:
            place = file.seek(0, 2)
            file.write(data)
            data = struct.pack("<I", place)
        entries.append(struct.pack("<HHI", number, kind, count) + data.ljust(4, b"\0"))
    place = file.seek(0, 2)
    file.write(struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4))
    end = file.tell() - 4
    file.seek(link)
    file.write(struct.pack("<I", place))
    file.seek(0, 2)
    return end
