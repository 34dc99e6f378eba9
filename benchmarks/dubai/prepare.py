"""Write the Dubai scenes at a quarter of their resolution, or at another, with folds by scene.

    python benchmarks/dubai/prepare.py DATA/dubai FOLDER [SHRINK]

DATA/dubai holds `images/tileN.jpg` and `labels/tileN.png`. FOLDER gets `images` and `masks` (tiled
GeoTIFFs: the mean of SHRINK x SHRINK pixels, and the label that most of them have; SHRINK is 4 if
not given), `classes.csv`, and
`fold-0.csv` to `fold-3.csv`. Every scene is tested once; fold 0 is the split as it was given.
"""

import csv
import shutil
import sys
from pathlib import Path

import rasterio
from rasterio.enums import Resampling

#: Of each fold: the scenes to test, and the one to validate. All others are trained on.
FOLDS = (((4, 8), 6), ((1, 7), 2), ((3, 5), 1), ((2, 6), 3))
SCENES = range(1, 9)


def shrink(source: Path, target: Path, how: Resampling, by: int) -> None:
    """One raster with shorter sides, tiled so that patches are read without the rest."""
    with rasterio.open(source) as raster:
        height, width = raster.height // by, raster.width // by
        pixels = raster.read(out_shape=(raster.count, height, width), resampling=how)
    profile = {
        "driver": "GTiff", "height": height, "width": width, "count": len(pixels),
        "dtype": pixels.dtype, "tiled": True, "blockxsize": 128, "blockysize": 128,
        "compress": "deflate",
    }  # fmt: skip
    with rasterio.open(target, "w", **profile) as raster:
        raster.write(pixels)


def main(data: Path, folder: Path, by: int = 4) -> None:
    """Write all of it."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        tile = f"tile{scene}"
        shrink(data / f"images/{tile}.jpg", folder / f"images/{tile}.tif", Resampling.average, by)
        shrink(data / f"labels/{tile}.png", folder / f"masks/{tile}.tif", Resampling.mode, by)
    shutil.copy(Path(__file__).with_name("classes.csv"), folder)
    for number, (tested, validated) in enumerate(FOLDS):
        with (folder / f"fold-{number}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("image", "mask", "split"))
            for scene in SCENES:
                of_fold = "validation" if scene == validated else "train"
                split = "test" if scene in tested else of_fold
                rows.writerow((f"images/tile{scene}.tif", f"masks/tile{scene}.tif", split))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
