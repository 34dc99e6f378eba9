"""What coarse-to-fine training promises: it learns in boxes, says what it saved, and goes on."""

import csv
import json

import numpy as np
import pytest
import yaml

import glnet
from glnet.bundle import read_bundle
from glnet.datasets.classes import read_classes
from glnet.datasets.draws import TrainingImages
from glnet.datasets.manifest import read_manifest
from glnet.datasets.masks import LabelCoder
from glnet.datasets.samples import open_sample
from glnet.engines.torch_engine import TorchEngine, pick_device
from glnet.errors import RecipeError
from glnet.recipe import load_recipe
from glnet.training.coarse import coarse_masks
from glnet.training.records import NoteRecord
from makers import write_tif
from networks import TINY, tiny_network

SIDES = (230, 301)
#: Row and column of a disc's middle, in every image; one has none.
MIDDLES = [
    (60, 70), (150, 220), (100, 240), (40, 50), None, (200, 30), (30, 150), (120, 120), (205, 270),
    (45, 260), (170, 100),
]  # fmt: skip
SPLITS = ["train", "train", "validation", "test", *["train"] * 7]
RADIUS = 14


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Dark noise with one bright disc, 1 % of the image."""
    folder = tmp_path_factory.mktemp("discs")
    rows = [("image", "mask", "split")]
    for number, (middle, split) in enumerate(zip(MIDDLES, SPLITS, strict=True)):
        pixels = np.random.default_rng(number).integers(0, 90, (3, *SIDES), dtype=np.uint8)
        labels = np.zeros((1, *SIDES), np.uint8)
        if middle is not None:
            at = [np.arange(side) - m for side, m in zip(SIDES, middle, strict=True)]
            disc = np.hypot(at[0][:, None], at[1]) <= RADIUS
            labels[0][disc] = 1
            pixels[:, disc] += 150
        write_tif(folder / f"{number}.tif", pixels)
        write_tif(folder / f"{number}_mask.tif", labels)
        rows.append((f"{number}.tif", f"{number}_mask.tif", split))
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (folder / "classes.csv").write_text("name,value\nbackground,0\ndisc,1\n")
    return folder


def recipe_of(data, epochs=(40, 20, 4), search=None, **train):
    stages = ("global", "global_to_local", "local_to_global")
    recipe = {
        "data": {"manifest": str(data / "manifest.csv"), "classes": str(data / "classes.csv")},
        "model": {**TINY, "coarse_to_fine": {"boxes": 1, **(search or {})}},
        "loss": {"kind": "cross_entropy", "dice_weight": 1},
        "train": {
            "trunk_weights": "none", "mini_batch": 4, "weight_decay": 0,
            "validate_every": 20, **train,
            "stages": {
                stage: {"epochs": count, "learning_rate": 3e-3, "batch": 3}
                for stage, count in zip(stages, epochs, strict=True)
            },
        },
    }  # fmt: skip
    path = data / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return load_recipe(path)


def images_of(recipe, data, coarse, stage="global_to_local"):
    coder = LabelCoder(read_classes(data / "classes.csv"))
    return TrainingImages(
        read_manifest(data / "manifest.csv", "train"), coder, recipe, stage, coarse=coarse
    )


def blind_masks(data):
    """The masks of a network that finds nothing, so that the truth alone is left."""
    model = tiny_network(2, coarse_to_fine={})
    model.global_branch.classify.bias.data[0] += 1e4
    engine = TorchEngine(model, pick_device("cpu"))
    samples = read_manifest(data / "manifest.csv", "train")
    coder = LabelCoder(read_classes(data / "classes.csv"))
    return coarse_masks(engine, samples, coder, model.settings.coarse_to_fine)


def test_masks_hold_the_true_foreground_to_the_cell(data):
    """Of what the coarse mask misses, exactly the cells (16 x 16 over the scene) with a pixel."""
    masks, patches = blind_masks(data)

    for sample, mask in masks.items():
        coder = LabelCoder(read_classes(data / "classes.csv"))
        with open_sample(sample, coder, tiny_network(2).settings) as (_, labels):
            true = labels.read()[0] == 1
        expected = np.zeros((16, 16), bool)
        for row, column in np.argwhere(true):
            expected[int(row * 16 / SIDES[0]), int(column * 16 / SIDES[1])] = True
        assert (mask == expected).all()
    assert [mask.any() for mask in masks.values()].count(False) == 1
    assert 8 <= patches.computed < patches.whole == 9 * 5 * 7


def test_patches_follow_the_foreground_through_every_turn_and_scale(data):
    """All of the disc's pixels are in the labels that a step reads, and few patches are read."""
    recipe = recipe_of(data, augment={"scale": [0.7, 1.4]})
    masks, _ = blind_masks(data)
    images = images_of(recipe, data, masks)
    for epoch in range(12):
        for index in range(2):
            draw = images[epoch, index]
            covered = np.zeros(draw.size, bool)
            for window, labels in zip(draw.windows, draw.labels, strict=True):
                covered[window.slices] |= labels == 1
            whole = images_of(recipe, data, {})[epoch, index]
            truth = np.zeros(whole.size, bool)
            for window, labels in zip(whole.windows, whole.labels, strict=True):
                truth[window.slices] |= labels == 1
            assert truth.any()
            assert (covered == truth).all()
            assert len(draw.windows) < len(whole.windows)


def test_an_image_without_foreground_teaches_with_one_patch(data):
    recipe = recipe_of(data)
    masks, _ = blind_masks(data)
    images = images_of(recipe, data, masks)

    found = {images[epoch, 2].windows for epoch in range(8)}

    assert all(len(windows) == 1 for windows in found)
    assert len(found) > 1


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    notes = [r.text for r in glnet.train(recipe_of(data), out) if isinstance(r, NoteRecord)]
    return out, notes


def test_it_finds_a_small_thing_with_few_patches_and_says_so(data, trained, heard):
    """The disc of the unseen image is found; the command tells how many patches that took."""
    out, notes = trained
    assert any("boxes hold" in note and "'background'" in note for note in notes)
    scores = data / "scores.json"
    manifest = data / "manifest.csv"

    status, said, _ = heard(
        "evaluate", "--model", out / "model", "--json", scores, "--manifest", manifest,
        "--device", "cpu",
    )  # fmt: skip

    assert status == 0
    found = json.loads(scores.read_text())
    assert found["views"]["aggregated"]["classes"]["disc"]["iou"] > 0.5
    computed, whole = found["patches"]["computed"], found["patches"]["whole"]
    assert 0 < computed < whole / 2
    assert f"The local branch saw {computed} of {whole} patches" in said


def test_a_stopped_run_goes_on_in_the_same_boxes(data, tmp_path):
    """Stopped in the middle of the second stage, it ends with the bytes of one that was not."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    recipe = recipe_of(data, (4, 4, 1), checkpoint_minutes=0)
    notes = [r.text for r in glnet.train(recipe, whole) if isinstance(r, NoteRecord)]
    assert any("boxes hold" in note for note in notes)
    records = glnet.train(recipe, stopped)
    for record in records:
        if getattr(record, "stage", None) == "global_to_local" and getattr(record, "step", 0) > 3:
            break
    records.close()

    for _ in glnet.train(recipe, stopped):
        pass

    (_, one), (_, other) = read_bundle(whole / "model"), read_bundle(stopped / "model")
    assert one.keys() == other.keys()
    assert all((one[key] == other[key]).all() for key in one)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"coarse_to_fine": {"background": 2}}}, "no class 2; there are: 0 background"),
        ({"model": {"branches": "local"}}, "coarse_to_fine needs branches: both"),
        ({"model": {"alignment": "authors"}}, "coarse_to_fine needs branches: both"),
        ({"train": {"patches": 2, "rare_patches": 0.5}}, "leave train.rare_patches at 0"),
        ({"model": {"coarse_to_fine": {"boxes": 0}}}, "model.coarse_to_fine.boxes"),
        ({"model": {"coarse_to_fine": {"box": 2}}}, "did you mean 'boxes'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(data, tmp_path, changes, said):
    recipe_of(data)
    with pytest.raises(RecipeError) as caught:
        list(glnet.train(load_recipe(data / "recipe.yaml", changes), tmp_path))

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
