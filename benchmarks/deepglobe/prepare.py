"""Write the thirteen DeepGlobe images at hand at a quarter of their resolution, with folds.

    python benchmarks/deepglobe/prepare.py DATA/deepglobe FOLDER [SHRINK]

DATA/deepglobe holds `images/ID_sat.jpg` and `masks_rgb/ID_mask.png`. FOLDER gets `images` and
`masks` (tiled GeoTIFFs: the mean of SHRINK x SHRINK pixels, and the class that most of them have;
SHRINK is 4 if not given), `classes.csv`, and `fold-0.csv` to `fold-3.csv`. Every image is tested
once; fold 0 is the split as it was given.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.io import MemoryFile

from glnet.catalogue.deepglobe import DEEPGLOBE
from glnet.datasets.classes import classes_csv
from glnet.datasets.masks import LabelCoder

#: Of each fold: the images to test, and the one to validate. All others are trained on. Every class
#: is in the training images of every fold, and in the tested ones of most.
FOLDS = (
    ((10233, 10452, 119), 2774),
    ((104113, 482365, 855), 6399),
    ((172307, 19627, 2774), 482365),
    ((180902, 3484, 6399, 794214), 172307),
)
IMAGES = sorted(image for tested, _ in FOLDS for image in tested)


def class_values(colours: np.ndarray) -> np.ndarray:
    """(1, H, W) values of the class table from (3, H, W) colours; unknown ground is 0."""
    table = DEEPGLOBE.classes
    labels, _ = LabelCoder(table, DEEPGLOBE.tolerance).encode(colours)
    values = np.zeros(256, np.uint8)
    values[: len(table.values)] = table.values
    return values[labels][np.newaxis]


def write(pixels: np.ndarray, target: Path, how: Resampling, by: int) -> None:
    """A tiled GeoTIFF of `pixels`, (bands, H, W), with shorter sides."""
    count, height, width = pixels.shape
    whole = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": "uint8"}
    tiled = {"tiled": True, "blockxsize": 128, "blockysize": 128, "compress": "deflate"}
    small = whole | tiled | {"height": height // by, "width": width // by}
    with MemoryFile() as memory:
        with memory.open(**whole) as raster:
            raster.write(pixels)
        with memory.open() as raster, rasterio.open(target, "w", **small) as out:
            out.write(raster.read(out_shape=(count, height // by, width // by), resampling=how))


def main(data: Path, folder: Path, by: int = 4) -> None:
    """Write all of it."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for image in IMAGES:
        with rasterio.open(data / f"images/{image}_sat.jpg") as raster:
            write(raster.read(), folder / f"images/{image}.tif", Resampling.average, by)
        with rasterio.open(data / f"masks_rgb/{image}_mask.png") as raster:
            values = class_values(raster.read())
            write(values, folder / f"masks/{image}.tif", Resampling.mode, by)
    (folder / "classes.csv").write_text(classes_csv(DEEPGLOBE.classes))
    for number, (tested, validated) in enumerate(FOLDS):
        with (folder / f"fold-{number}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("image", "mask", "split"))
            for image in IMAGES:
                of_fold = "validation" if image == validated else "train"
                split = "test" if image in tested else of_fold
                rows.writerow((f"images/{image}.tif", f"masks/{image}.tif", split))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
