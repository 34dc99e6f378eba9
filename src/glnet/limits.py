"""What is refused from an image's header, before anything of it is decoded."""

from pathlib import Path

from glnet.errors import RasterError
from glnet.geometry import Size

#: Larger scenes are refused.
MAX_MEGAPIXELS = 100

#: No JPEG or PNG holds more bytes of pixels per byte of file: what claims to is no image.
_DENSEST = 1500


def check_scene(path: object, size: Size, advice: str) -> None:
    """Refuse what is too large for one scene.

    Raises:
        RasterError: the size, the limit, and the advice, in one line that begins with the path.
    """
    megapixels = size.area / 1e6
    if megapixels > MAX_MEGAPIXELS:
        msg = (
            f"{path}: {size} is {megapixels:.0f} megapixels; at most {MAX_MEGAPIXELS} fit into one "
            f"scene, {advice}"
        )
        raise RasterError(msg)


def check_claim(path: Path, size: Size, bits: int) -> None:
    """Refuse a JPEG or PNG too small for the pixels that it claims, however well they pack.

    Args:
        path: The file.
        size: That it claims.
        bits: Of a pixel as stored, all bands.

    Raises:
        RasterError: both, in one line that begins with the path.
    """
    stored = path.stat().st_size
    if size.area * bits > 8 * _DENSEST * stored:
        msg = (
            f"{path}: claims to be {size} pixels, which a file of {stored} bytes cannot hold; is "
            "it damaged?"
        )
        raise RasterError(msg)


def check_blocks(path: object, blocks: Size, held: int, most: int) -> None:
    """Refuse what cannot be read in parts, for its smallest part is too large.

    Args:
        path: The file.
        blocks: What is decoded at a time, in pixels.
        held: Bytes of one.
        most: That may be held.

    Raises:
        RasterError: the size, the limit and how to do it better, in one line.
    """
    if held > most:
        msg = (
            f"{path}: is stored in blocks of {blocks} pixels, {held >> 20} MiB each, and the "
            f"memory budget leaves {most >> 20} MiB for one; write it in small ones "
            "(gdal_translate -co TILED=YES), or give more --memory"
        )
        raise RasterError(msg)
