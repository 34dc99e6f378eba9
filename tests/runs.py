"""Small labelled data and recipes, for tests that train."""

import csv

import numpy as np
import rasterio
import yaml

from networks import TINY
from scenes import CLASSES, make_scene

SIZES = [(96, 96), (90, 131), (50, 150), (96, 96)]
STAGES = ("global", "global_to_local", "local_to_global")


def write_data(folder):
    """Four small scenes of differing sizes with a manifest: two to train, one to validate."""
    folder.mkdir(exist_ok=True)
    rows = [("image", "mask", "split")]
    for i, ((height, width), split) in enumerate(
        zip(SIZES, ["train", "train", "validation", "test"], strict=True)
    ):
        pixels, labels = make_scene(np.random.default_rng(i), 160)
        for name, bands in ((f"{i}.tif", pixels), (f"{i}_mask.tif", labels[None])):
            with rasterio.open(
                folder / name, "w", driver="GTiff", height=height, width=width,
                count=len(bands), dtype="uint8", crs="EPSG:32640",
                transform=rasterio.transform.Affine(0.5, 0, 500, 0, -0.5, 900),
            ) as file:  # fmt: skip
                file.write(bands[:, :height, :width])
        rows.append((f"{i}.tif", f"{i}_mask.tif", split))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with (folder / "classes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("name", "colour"), *CLASSES])
    return folder


def write_recipe(
    folder, name="recipe", epochs=(2, 2, 2), model=None, batch=2, classes="classes.csv",
    regulariser=0.15, **train,
):  # fmt: skip
    """A recipe for that data, small enough to train in a test."""
    stages = {
        stage: {"epochs": count, "learning_rate": 2e-3, "batch": batch}
        for stage, count in zip(STAGES, epochs, strict=True)
    }
    recipe = {
        "data": {"manifest": "manifest.csv", "classes": classes},
        "model": {**TINY, **(model or {})},
        "loss": {"kind": "cross_entropy", "regulariser": regulariser},
        "train": {
            "trunk_weights": "none", "patches": 2, "mini_batch": 4, "weight_decay": 0,
            "schedule": "cosine", "stages": stages, **train,
        },
    }  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path
