"""Synthetic scenes in which neither view is enough.

Fields (stripes) and woods (dots) have the same mean colour and a texture a few pixels long, and
roads are three pixels wide on flanks that cancel them out: on a thumbnail they are gone. Whether a
field or a wood is `near` or `far` depends on which half of the scene it lies in, as seen from the
lake: in most patches nothing tells. Roads, textures and ground are alike everywhere.
"""

import csv
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image, ImageDraw
from rasterio.transform import from_origin

CLASSES = [
    ("ground", "#a98f6b"),
    ("lake", "#2f6db5"),
    ("field near", "#e8d44d"),
    ("field far", "#c98a1b"),
    ("wood near", "#6cc04a"),
    ("wood far", "#1f6b3a"),
    ("road", "#d7263d"),
]
GROUND, LAKE, FIELD, WOOD, ROAD = 0, 1, 2, 4, 6

_COLOURS = np.array([[148, 132, 108], [70, 98, 138], [106, 134, 88], [106, 134, 88]], float)
_PERIOD = 6.0
_CONTRAST = 26.0
_NOISE = 10.0


def make_scene(rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    """One scene: pixels (3, side, side) uint8 and labels (side, side) uint8."""
    rows, columns = np.mgrid[:side, :side].astype(float)
    angle = rng.uniform(0, 2 * np.pi)
    towards = np.array([np.sin(angle), np.cos(angle)])
    centre = side * (0.5 + 0.36 * towards)
    wobble = _smooth(rng, side, 5)
    distance = np.hypot(rows - centre[0], columns - centre[1])
    lake = distance < side * (0.13 + 0.03 * wobble)
    far = (rows - side / 2) * towards[0] + (columns - side / 2) * towards[1] < 0

    field = _smooth(rng, side, 9) > 0.45
    wood = (_smooth(rng, side, 9) > 0.45) & ~field
    kind = np.select([lake, field, wood], [1, 2, 3], 0)
    labels = np.array([GROUND, LAKE, FIELD, WOOD], np.uint8)[kind]
    labels[far & ((kind == 2) | (kind == 3))] += 1

    turn = rng.uniform(0, np.pi)
    along = rows * np.cos(turn) + columns * np.sin(turn)
    across = columns * np.cos(turn) - rows * np.sin(turn)
    wave = 2 * np.pi / _PERIOD
    texture = np.select(
        [kind == 2, kind == 3],
        [np.sin(wave * along), np.sin(wave * along) * np.sin(wave * across) * np.sqrt(2)],
        0.0,
    )
    relief = texture * _CONTRAST
    road, flank = _roads(rng, side)
    road &= ~lake
    relief[flank & ~lake] = -0.75 * _CONTRAST
    relief[road] = _CONTRAST
    labels[road] = ROAD

    tone = rng.normal(0, 6, 3) + rng.normal(0, 6)
    pixels = _COLOURS[kind] + tone + relief[..., None] + rng.normal(0, _NOISE, (side, side, 3))
    return np.moveaxis(np.clip(pixels, 0, 255).astype(np.uint8), -1, 0), labels


def _smooth(rng: np.random.Generator, side: int, knots: int) -> np.ndarray:
    """Smooth noise of unit deviation, with about `knots` hills per side."""
    coarse = Image.fromarray(rng.normal(size=(knots, knots)).astype(np.float32))
    fine = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    return fine / fine.std()


def _roads(rng: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Roads three pixels wide, and the two darker pixels on each side that cancel them."""
    layers = [Image.new("1", (side, side)) for _ in range(2)]
    for _ in range(6):
        start, end = rng.uniform(0, side, 2), rng.uniform(0, side, 2)
        across = rng.random() < 0.5
        at = np.linspace(0, side, 60)
        bend = np.linspace(start[0], end[0], 60) + side * 0.04 * np.sin(at / side * 9 + start[1])
        line = list(zip(bend, at, strict=True) if across else zip(at, bend, strict=True))
        for layer, width in zip(layers, (3, 7), strict=True):
            ImageDraw.Draw(layer).line(line, fill=1, width=width, joint="curve")
    return np.asarray(layers[0]).copy(), np.asarray(layers[1]).copy()


def write_scenes(folder: Path, counts: dict[str, int], side: int, seed: int) -> None:
    """Write scenes as georeferenced TIFFs with a manifest and a class table.

    Args:
        folder: To be made.
        counts: Scenes per split.
        side: Pixels along a side.
        seed: Every seed is another set of scenes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "classes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "colour"), *CLASSES])
    rows, number = [], 0
    for split, count in counts.items():
        for _ in range(count):
            pixels, labels = make_scene(np.random.default_rng([seed, number]), side)
            names = f"scene{number:03}.tif", f"scene{number:03}_mask.tif"
            for name, bands in zip(names, (pixels, labels[None]), strict=True):
                _write(folder / name, bands, number)
            rows.append((*names, split))
            number += 1
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "mask", "split"), *rows])


def _write(path: Path, bands: np.ndarray, number: int) -> None:
    """An uncompressed GeoTIFF at half a metre per pixel, scenes side by side."""
    count, height, width = bands.shape
    corner = from_origin(500_000 + number * width / 2, 2_780_000, 0.5, 0.5)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=count,
        dtype="uint8",
        crs="EPSG:32640",
        transform=corner,
    ) as file:
        file.write(bands)
