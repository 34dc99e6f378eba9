"""Miniature copies of published data sets, in the layouts that they are downloaded in.

Every maker paints a few small images, whose colours show their classes, and returns what it
painted: of every image's file name, the row of the class table at each pixel.
"""

import zlib

import numpy as np
from PIL import Image

from glnet.catalogue.cityscapes import CITYSCAPES
from glnet.catalogue.deepglobe import DEEPGLOBE
from glnet.catalogue.inria import INRIA
from glnet.catalogue.isic import ISIC2018
from glnet.catalogue.isprs import POTSDAM, VAIHINGEN
from glnet.catalogue.landcover_ai import LANDCOVER_AI
from glnet.catalogue.loveda import LOVEDA
from glnet.catalogue.published import listed_splits
from glnet.catalogue.urur import URUR
from makers import write_tif

#: How far an image's colours stray from its classes'.
_NOISE = 12


def paint(name, table, size):
    """Rows of the class table in blocks, and pixels that show them."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    height, width = size
    blocks = rng.integers(0, len(table.rows), (3, 3))
    rows = blocks[np.arange(height)[:, None] * 3 // height, np.arange(width) * 3 // width]
    colours = np.array([row.colour for row in table.rows])
    pixels = colours[rows] + rng.integers(-_NOISE, _NOISE + 1, (*size, 3))
    return rows, np.clip(pixels, 0, 255).astype(np.uint8)


def values_of(table, rows):
    return np.array([row.value for row in table.rows], np.uint8)[rows]


def colours_of(table, rows):
    return np.array([row.colour for row in table.rows], np.uint8)[rows]


def save(path, pixels, **options):
    """A picture of (height, width) or (height, width, 3); TIFFs by rasterio."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        bands = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        write_tif(path, bands)
    else:
        Image.fromarray(pixels).save(path, **options)


def _pair(image, mask, table, size, stored):
    rows, pixels = paint(image.name, table, size)
    save(image, pixels, **({"quality": 95} if image.suffix == ".jpg" else {}))
    save(mask, stored(table, rows))
    return rows


def some_ids(file, each):
    """The first ids of every split of a list."""
    splits = listed_splits(file)
    kinds = dict.fromkeys(splits.values())
    return [i for kind in kinds for i in [n for n, s in splits.items() if s == kind][:each]]


def make_deepglobe(root, size=(24, 24), ids=None):
    ids = ids or some_ids("deepglobe.csv", 3)
    folder = root / "train"
    return {
        f"{i}_sat.jpg": _pair(
            folder / f"{i}_sat.jpg", folder / f"{i}_mask.png", DEEPGLOBE.classes, size, colours_of
        )
        for i in ids
    }


def make_inria(root, size=(24, 24), ids=("austin8", "austin1", "austin2", "vienna7", "vienna3")):
    folder = root / "AerialImageDataset" / "train"
    return {
        f"{i}.tif": _pair(
            folder / "images" / f"{i}.tif", folder / "gt" / f"{i}.tif", INRIA.classes, size,
            values_of,
        )
        for i in ids
    }  # fmt: skip


def make_isic2018(root, size=(24, 32), ids=None):
    ids = ids or some_ids("isic2018.csv", 3)
    images, masks = (
        root / "ISIC2018_Task1-2_Training_Input",
        root / "ISIC2018_Task1_Training_GroundTruth",
    )
    return {
        f"{i}.jpg": _pair(
            images / f"{i}.jpg", masks / f"{i}_segmentation.png", ISIC2018.classes, size, values_of
        )
        for i in ids
    }


def make_urur(root, size=(24, 24)):
    painted = {}
    for split in ("train", "val", "test"):
        for number in range(2):
            name = f"{split}{number}.png"
            painted[name] = _pair(
                root / split / "image" / name, root / split / "label" / name, URUR.classes, size,
                colours_of,
            )  # fmt: skip
    return painted


def make_landcover_ai(root, size=(1100, 1700)):
    """One photo of 2 x 3 whole tiles and cut ones at its right and lower border."""
    name = "M-33-7-A-d-2-3"
    rows = _pair(
        root / "images" / f"{name}.tif", root / "masks" / f"{name}.tif", LANDCOVER_AI.classes,
        size, values_of,
    )  # fmt: skip
    for split, tiles in (("train", (0, 2, 4)), ("val", (1,)), ("test", (6,))):
        (root / f"{split}.txt").write_text("".join(f"{name}_{k}\n" for k in tiles))
    return {f"{name}.tif": rows}


def make_loveda(root, size=(24, 24)):
    painted = {}
    for number, (split, area) in enumerate(
        (split, area) for split in ("Train", "Val") for area in ("Urban", "Rural")
    ):
        name = f"{number}.png"
        folder = root / split / area
        painted[name] = _pair(
            folder / "images_png" / name, folder / "masks_png" / name, LOVEDA.classes, size,
            values_of,
        )  # fmt: skip
    return painted


def make_potsdam(root, size=(24, 24), ids=("2_10", "3_11", "2_13")):
    return {
        f"top_potsdam_{i}_RGB.tif": _pair(
            root / "2_Ortho_RGB" / f"top_potsdam_{i}_RGB.tif",
            root / "5_Labels_all" / f"top_potsdam_{i}_label.tif",
            POTSDAM.classes, size, colours_of,
        )
        for i in ids
    }  # fmt: skip


def make_vaihingen(root, size=(24, 30), ids=(1, 3, 2)):
    return {
        f"top_mosaic_09cm_area{i}.tif": _pair(
            root / "top" / f"top_mosaic_09cm_area{i}.tif",
            root / "gts_for_participants" / f"top_mosaic_09cm_area{i}.tif",
            VAIHINGEN.classes, size, colours_of,
        )
        for i in ids
    }  # fmt: skip


def make_cityscapes(root, size=(16, 32)):
    painted = {}
    for split, city in (("train", "aachen"), ("train", "bochum"), ("val", "lindau")):
        name = f"{city}_000000_000019"
        painted[f"{name}_leftImg8bit.png"] = _pair(
            root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png",
            root / "gtFine" / split / city / f"{name}_gtFine_labelIds.png",
            CITYSCAPES.classes, size, values_of,
        )  # fmt: skip
    return painted


MAKERS = {
    "deepglobe": make_deepglobe,
    "inria": make_inria,
    "isic2018": make_isic2018,
    "urur": make_urur,
    "landcover-ai": make_landcover_ai,
    "loveda": make_loveda,
    "potsdam": make_potsdam,
    "vaihingen": make_vaihingen,
    "cityscapes": make_cityscapes,
}
