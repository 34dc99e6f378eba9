"""One picture: image, truth and predictions of three held-out scenes, with a legend."""

from pathlib import Path

import numpy as np
import rasterio
from PIL import Image, ImageDraw, ImageFont

from scenes import CLASSES

_TILE, _GAP, _TOP, _FOOT = 320, 12, 96, 48
_TITLES = {"global_only": "global only", "local_only": "local only", "glnet": "GLNet"}
_INK, _SOFT, _PAPER = (25, 25, 25), (95, 95, 95), (255, 255, 255)


def draw_picture(
    path: Path,
    scenes: Path,
    masks: dict[str, list[Path]],
    scores: dict[str, float],
    captions: dict[str, str],
    steps: int,
) -> None:
    """Write the picture.

    Args:
        path: Of the PNG.
        scenes: Folder of the scenes and true masks.
        masks: Under `image` the scenes' files, under each network its masks.
        scores: Mean IoU of each network.
        captions: What each network was given.
        steps: Optimiser steps of each network.
    """
    columns = ["image", "truth", *_TITLES]
    rows = len(masks["image"])
    width = len(columns) * (_TILE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, _TOP + rows * (_TILE + _GAP) + _FOOT), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, column in enumerate(columns):
        left = _GAP + number * (_TILE + _GAP)
        title, below = _heading(column, scores, captions)
        pen.text((left, 14), title, _INK, ImageFont.load_default(24))
        pen.text((left, 48), below, _SOFT, ImageFont.load_default(15))
        for row, image in enumerate(masks["image"]):
            file = scenes / f"{image.stem}_mask.tif" if column == "truth" else masks.get(column)
            source = file[row] if isinstance(file, list) else file
            sheet.paste(_panel(source), (left, _TOP + row * (_TILE + _GAP)))
    _legend(pen, sheet.height - _FOOT + 8, steps)
    sheet.save(path)


def _heading(column: str, scores: dict[str, float], captions: dict[str, str]) -> tuple[str, str]:
    if column in _TITLES:
        return f"{_TITLES[column]}: mIoU {100 * scores[column]:.0f}", captions[column]
    return column, {"image": "768 x 768 px, held out", "truth": "seven classes"}[column]


def _panel(path: Path) -> Image.Image:
    """An image, or a mask in the classes' colours."""
    with rasterio.open(path) as file:
        pixels = file.read()
    if len(pixels) == 1:
        colours = [tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for _, c in CLASSES]
        shown = np.array(colours, np.uint8)[pixels[0]]
        return Image.fromarray(shown).resize((_TILE, _TILE), Image.Resampling.BOX)
    shown = np.moveaxis(pixels, 0, -1)
    return Image.fromarray(shown).resize((_TILE, _TILE), Image.Resampling.LANCZOS)


def _legend(pen: ImageDraw.ImageDraw, top: int, steps: int) -> None:
    left = _GAP
    font = ImageFont.load_default(16)
    for name, colour in CLASSES:
        pen.rectangle((left, top, left + 18, top + 18), fill=colour)
        pen.text((left + 25, top - 1), name, _INK, font)
        left += 45 + round(pen.textlength(name, font))
    note = f"each network: same trunk, trained alone for {steps} steps"
    pen.text((left + 24, top - 1), note, _SOFT, font)
