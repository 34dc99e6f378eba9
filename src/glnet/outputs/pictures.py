"""Pictures to look at: any values as bytes, and files as text inside of a page."""

import base64
import io

import numpy as np
from PIL import Image

#: What is left out at either end where values are stretched to bytes, in percent.
TAIL = 2


def to_bytes(pixels: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Values as bytes of the same shape: dark at `low`, bright at `high`; NaN is dark."""
    shown = 255 * (pixels - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    return np.clip(np.rint(np.nan_to_num(shown)), 0, 255).astype(np.uint8)


def as_rgb(bands: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Colours to look at: the first three bands, or the first; other than bytes are stretched.

    Args:
        bands: Shape (bands, rows, columns).
        dtype: Of the file's values.

    Returns:
        uint8, shape (rows, columns, 3).
    """
    chosen = bands[[0, 1, 2] if len(bands) > 2 else [0, 0, 0]].astype(np.float64)  # noqa: PLR2004  colours
    if dtype == np.uint8:
        shown = np.rint(chosen).astype(np.uint8)
    else:
        low, high = np.nanpercentile(chosen, (TAIL, 100 - TAIL), axis=(1, 2), keepdims=True)
        shown = to_bytes(chosen, low, high)
    return np.moveaxis(shown, 0, -1)


def data_uri(picture: Image.Image, kind: str, **options: object) -> str:
    """A picture as an address that holds it.

    Args:
        picture: Any.
        kind: The format: png, jpeg.
        options: Pillow's, of that format.
    """
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
