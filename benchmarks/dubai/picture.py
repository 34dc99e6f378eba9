"""Image, truth and prediction of the Dubai test scenes, in one picture.

    python benchmarks/dubai/picture.py DATA WORK OUT.jpg

DATA and WORK as for `run.py`, which made the masks.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
TILES = (4, 8)
WIDTH, GAP, TOP, FOOT = 620, 14, 44, 44


def main(data: Path, work: Path, out: Path) -> None:
    """Draw and save."""
    Image.MAX_IMAGE_PIXELS = None
    classes = list(csv.DictReader((HERE / "classes.csv").open(encoding="utf-8")))
    palette = np.zeros((256, 3), np.uint8)
    for row in classes:
        palette[int(row["value"])] = [int(row["colour"][i : i + 2], 16) for i in (1, 3, 5)]
    rows = []
    for tile in TILES:
        image = Image.open(data / f"dubai/images/tile{tile}.jpg").convert("RGB")
        masks = (data / f"dubai/labels/tile{tile}.png", work / f"tile{tile}.png")
        coloured = [Image.fromarray(palette[np.asarray(Image.open(mask))]) for mask in masks]
        height = round(WIDTH * image.height / image.width)
        rows.append([panel.resize((WIDTH, height)) for panel in (image, *coloured)])
    height = TOP + sum(row[0].height + GAP for row in rows) + FOOT
    sheet = Image.new("RGB", (3 * WIDTH + 4 * GAP, height), "white")
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(("image (test scenes 4 and 8)", "truth", "GLNet")):
        pen.text((GAP + column * (WIDTH + GAP), 8), title, "black", ImageFont.load_default(24))
    top = TOP
    for row in rows:
        for column, panel in enumerate(row):
            sheet.paste(panel, (GAP + column * (WIDTH + GAP), top))
        top += row[0].height + GAP
    left = GAP
    for row in classes:
        pen.rectangle((left, top + 6, left + 20, top + 26), fill=row["colour"])
        pen.text((left + 28, top + 4), row["name"], "black", ImageFont.load_default(18))
        left += 170
    sheet.save(out, quality=85)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
