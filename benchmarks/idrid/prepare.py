"""Write a manifest and a class table for IDRiD: optic discs, lesions, both, or all six classes.

    python benchmarks/idrid/prepare.py DATA FOLDER [discs | lesions | both | all] [SHRINK]

DATA holds `train/` and `test/`, each with `images/NAME.jpg` and `labels/NAME.png` (0 background,
1 optic disc, 2 to 5 lesions); what is not asked for counts as background. The last six training
images are for validation. With SHRINK the images are written to FOLDER too, as tiled TIFFs: the
mean of SHRINK x SHRINK pixels, and the label that most of them have.
"""

import csv
import sys
from pathlib import Path

import rasterio
from rasterio.enums import Resampling

VALIDATION = 6
NAMES = {
    "discs": {1: "optic disc"},
    "lesions": dict.fromkeys((2, 3, 4, 5), "lesion"),
    "both": {1: "optic disc"} | dict.fromkeys((2, 3, 4, 5), "lesion"),
    "all": {1: "optic disc", 2: "haemorrhage", 3: "soft exudate", 4: "hard exudate",
            5: "microaneurysm"},
}  # fmt: skip
COLOURS = ("#000000", "#ffff00", "#ff0000", "#00ffff", "#00ff00", "#ff00ff")


def class_table(names: dict[int, str]) -> str:
    """A row a value: rows of one name are one class, and what has no name is background."""
    rows = [f"{names.get(value, 'background')},{value},{c}" for value, c in enumerate(COLOURS)]
    return "\n".join(["name,value,colour", *rows, ""])


def shrunk(source: Path, folder: Path, how: Resampling, by: int) -> Path:
    """A copy with shorter sides, tiled so that patches are read without the rest."""
    folder.mkdir(exist_ok=True)
    target = folder / f"{source.stem}.tif"
    with rasterio.open(source) as raster:
        height, width = raster.height // by, raster.width // by
        pixels = raster.read(out_shape=(raster.count, height, width), resampling=how)
    profile = {
        "driver": "GTiff", "height": height, "width": width, "count": len(pixels),
        "dtype": pixels.dtype, "tiled": True, "blockxsize": 256, "blockysize": 256,
    }  # fmt: skip
    with rasterio.open(target, "w", **profile) as raster:
        raster.write(pixels)
    return target


def main(data: Path, folder: Path, foreground: str = "discs", by: int = 1) -> None:
    """Write all of it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for split in ("train", "test"):
        images = sorted((data.resolve() / split / "images").glob("*.jpg"))
        held_out = images[-VALIDATION:] if split == "train" else []
        for image in images:
            pair = image, image.parents[1] / "labels" / f"{image.stem}.png"
            if by > 1:
                image_kind, mask_kind = Resampling.average, Resampling.mode
                pair = (
                    shrunk(pair[0], folder.resolve() / "images", image_kind, by),
                    shrunk(pair[1], folder.resolve() / "masks", mask_kind, by),
                )
            rows.append((*pair, "validation" if image in held_out else split))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "mask", "split"), *rows])
    (folder / "classes.csv").write_text(class_table(NAMES[foreground]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4], *map(int, sys.argv[4:]))
