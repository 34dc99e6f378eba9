"""A model that sees its images shrunk, from training to masks: all else is at the images' size."""

import numpy as np
import pytest
import rasterio

import glnet
from glnet.datasets.classes import read_classes
from glnet.datasets.draws import TrainingImages
from glnet.datasets.manifest import read_manifest
from glnet.datasets.masks import LabelCoder
from glnet.engines.models import load_model
from glnet.engines.torch_engine import TorchEngine, pick_device
from glnet.geometry import Size, patch_grid
from glnet.recipe import load_recipe
from glnet.training.coarse import coarse_masks
from networks import tiny_network
from runs import write_recipe
from scenes import CLASSES


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Patches of 32 px, 64 of the image's, in all three stages."""
    model = {"shrink": 2, "patch": 32, "overlap": 8, "pyramid": "normed", "finest": 2}
    recipe = write_recipe(data, epochs=(6, 6, 1), model=model, regulariser=0)
    out = tmp_path_factory.mktemp("run") / "out"
    for _ in glnet.train(load_recipe(recipe), out):
        pass
    return out / "model"


def test_the_model_remembers_and_tells(trained, heard):
    assert load_model(trained)[0].settings.shrink == 2

    assert "images shrunk by 2" in heard("info", trained)[1]
    assert "images shrunk by 2" in (trained / "README.md").read_text()


def test_masks_are_of_the_images_own_size_and_place(data, trained, tmp_path):
    """Predicted to a file, as an array, and evaluated: the same mask, pixel for pixel."""
    rows = read_manifest(data / "manifest.csv", "test")
    labels, counted = [], np.zeros((len(CLASSES), len(CLASSES)), int)
    for row in rows:
        out = tmp_path / f"{row.image.stem}.tif"
        glnet.predict(row.image, model=trained, out=out, device="cpu")
        with rasterio.open(out) as mask, rasterio.open(row.image) as image:
            assert mask.shape == image.shape
            assert mask.transform == image.transform
            assert mask.crs == image.crs
            labels.append(mask.read(1))
        np.testing.assert_array_equal(labels[-1], glnet.segment(row.image, model=trained))
        coder = LabelCoder(read_classes(data / "classes.csv"))
        with rasterio.open(row.mask) as mask:
            truth, _ = coder.encode(mask.read())
        np.add.at(counted, (truth.ravel(), labels[-1].ravel()), 1)

    found = glnet.evaluate(trained, data / "manifest.csv", "test", device="cpu")

    np.testing.assert_array_equal(found.matrices["aggregated"].counts, counted)


@pytest.mark.parametrize("stage", ["global", "global_to_local", "local_to_global"])
def test_a_step_reads_patches_of_the_shrunk_image(data, stage):
    """Each shows what a picture of the shrunk image shows there, its labels picked from it."""
    model = {"shrink": 2, "patch": 32, "overlap": 8}
    recipe = load_recipe(
        write_recipe(
            data, "still", model=model, patches="all",
            augment={"flips": False, "quarter_turns": False},
        )
    )  # fmt: skip
    coder = LabelCoder(read_classes(data / "classes.csv"))
    samples = read_manifest(data / "manifest.csv", "train")
    images = TrainingImages(samples, coder, recipe, stage)

    for index, sample in enumerate(samples):
        draw = images[1, index]

        with rasterio.open(sample.image) as image, rasterio.open(sample.mask) as mask:
            whole, truth = image.read().astype(float), coder.encode(mask.read())[0]
        size = Size(*(round(side / 2) for side in truth.shape))
        assert draw.size == size
        assert list(draw.windows) == ([] if stage == "global" else list(patch_grid(size, 32, 8)))
        for window, patch in zip(draw.windows, draw.patches, strict=True):
            # In the middle of every four pixels; Pillow's triangle reaches two more.
            rows = (np.arange(*_ends(window.rows)) + 0.5) * truth.shape[0] / size.height
            columns = (np.arange(*_ends(window.columns)) + 0.5) * truth.shape[1] / size.width
            for band, seen in zip(whole, patch, strict=True):
                around = [
                    band[np.ix_(_near(rows, i, band.shape[0]), _near(columns, j, band.shape[1]))]
                    for i in range(-2, 2)
                    for j in range(-2, 2)
                ]
                assert (seen <= np.max(around, axis=0) + 1).all()
                assert (seen >= np.min(around, axis=0) - 1).all()
            if stage == "global_to_local":
                labels = draw.labels[draw.drawn.index(draw.windows.index(window))]
                picked = truth[np.ix_(rows.astype(int), columns.astype(int))]
                np.testing.assert_array_equal(labels, picked)


def _ends(span):
    start, length = span
    return start, start + length


def _near(places, step, side):
    """The pixels so many steps from the border below the places."""
    return np.clip(np.round(places).astype(int) + step, 0, side - 1)


def test_coarse_to_fine_counts_patches_of_the_shrunk_image(data):
    model = tiny_network(len(CLASSES), coarse_to_fine={}, shrink=2, patch=32, overlap=8)
    samples = read_manifest(data / "manifest.csv", "train")
    coder = LabelCoder(read_classes(data / "classes.csv"))
    engine = TorchEngine(model, pick_device("cpu"))

    _, patches = coarse_masks(engine, samples, coder, model.settings.coarse_to_fine)

    sizes = []
    for sample in samples:
        with rasterio.open(sample.image) as image:
            sizes.append(Size(round(image.height / 2), round(image.width / 2)))
    assert patches.whole == sum(len(patch_grid(size, 32, 8)) for size in sizes)
