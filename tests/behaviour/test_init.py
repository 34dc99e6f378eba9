"""What `glnet init` promises: a recipe that loads and trains as it is, and nothing overwritten."""

import csv
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from rich.cells import cell_len
from torch.nn.modules.module import register_module_forward_hook

import glnet
from glnet.datasets.classes import read_classes
from glnet.datasets.manifest import Sample, read_manifest
from glnet.errors import RecipeError
from glnet.model import build_glnet
from glnet.planning.budget import StagePace
from glnet.planning.dividing import grouped
from glnet.planning.machine import rough_pace
from glnet.recipe import Recipe
from glnet.training.pace import measure_pace
from makers import (
    noise,
    write_classes,
    write_jpg,
    write_manifest,
    write_png,
    write_text,
    write_tif,
)
from networks import TINY


@pytest.fixture
def init(heard):
    """Run `glnet init` without measuring: its status, what it prints and what it complains of."""

    def run(*arguments):
        status, out, lines = heard("init", "--no-measure", *arguments)
        return status, out, "\n".join(lines)

    return run


def lay(folder, images=5, side=150, bands=3, dtype=np.uint8, split=""):
    """Index masks of three classes, one of them rare, beside images."""
    for kind in ("images", "labels"):
        (folder / split / kind).mkdir(parents=True)
    for number in range(images):
        pixels = noise(bands, side, side, seed=number, dtype=dtype)
        labels = (noise(side, side, seed=number) > 120).astype(np.uint8)
        labels[:2, :9] = 4
        write_tif(folder / split / "images" / f"{number}.tif", pixels)
        write_png(folder / split / "labels" / f"{number}.png", labels)
    return folder


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_of_images_trains_unedited(tmp_path, init):
    """The three files lie beside each other, and `glnet.train` takes them as they are."""
    recipe = tmp_path / "run" / "recipe.yaml"
    lay(tmp_path / "data", 3)

    status, out, _ = init(
        tmp_path / "data", "-o", recipe, "--hours", "0.001", "--trunk", "resnet18",
        "--trunk-weights", "none", "--device", "cpu",
    )  # fmt: skip

    assert status == 0
    assert f"glnet train {recipe}" in out
    splits = [row["split"] for row in rows_of(recipe.parent / "manifest.csv")]
    assert sorted(splits) == ["test", "train", "validation"]
    assert read_classes(recipe.parent / "classes.csv").names == ["class 0", "class 1", "class 4"]
    settings = glnet.load_recipe(recipe)
    assert settings.model.sharing == "global_to_local"
    for record in glnet.train(settings, tmp_path / "run" / "out"):
        assert record is not None
    assert (tmp_path / "run" / "out" / "model" / "config.json").is_file()


def test_every_number_stands_in_the_recipe_with_its_reason(tmp_path, init):
    """Under 90 lines of at most 100 characters; the rare class has its weight."""
    lay(tmp_path, side=400)
    init(tmp_path, "-o", tmp_path / "recipe.yaml", "--seed", "3", "--hours", "2")

    lines = (tmp_path / "recipe.yaml").read_text().splitlines()

    assert len(lines) < 90
    assert max(map(cell_len, lines)) <= 100
    written = yaml.safe_load("\n".join(lines))
    recipe = glnet.load_recipe(tmp_path / "recipe.yaml")
    assert written["preset"] == recipe.preset == "best"
    assert recipe.model.sharing == "global_to_local"
    assert set(written["train"]["stages"]) == set(recipe.model.stages)
    assert {"epochs", "batch", "learning_rate"} == set(written["train"]["stages"]["global"])
    weights = recipe.loss.class_weights
    assert weights[2] > 5 * weights[0]
    assert recipe.train.seed == 3
    for key in ("patch", "thumbnail", "mini_batch", "class_weights", "freeze_batch_norm", "input"):
        place = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{key}:"))
        above = [line for line in lines[:place] if line.strip()][-3:]
        assert any(line.strip().startswith("#") for line in above), key


def lay_blocks(folder, block, side=1600):
    """Two classes in squares."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for number in range(3):
        squares = noise(side // block, side // block, seed=number) % 2
        labels = np.kron(squares, np.ones((block, block))).astype(np.uint8)
        write_tif(folder / "images" / f"{number}.tif", np.stack([labels * 90 + 9] * 3))
        write_png(folder / "labels" / f"{number}.png", labels)
    return folder


@pytest.mark.parametrize(
    ("block", "hours", "asked", "shrink"),
    [(200, 0.01, (), 4), (200, 500, (), 1), (2, 0.01, (), 2), (1, 0.01, (), 1),
     (200, 500, ("--shrink", 3), 3)],
)  # fmt: skip
def test_images_are_shrunk_where_the_time_is_short_and_masks_are_coarse(
    tmp_path, init, block, hours, asked, shrink
):
    """Why is said above the setting; patches follow from it."""
    lay_blocks(tmp_path, block)
    recipe = tmp_path / "recipe.yaml"

    status, _, error = init(tmp_path, "-o", recipe, "--hours", hours, "--device", "cpu", *asked)

    assert (status, error) == (0, "")
    model = glnet.load_recipe(recipe).model
    assert model.shrink == shrink
    assert model.patch == min(500, 1600 / shrink // 3 // 4 * 4)
    lines = recipe.read_text().splitlines()
    place = lines.index(f"  shrink: {shrink}")
    assert "times" in "".join(lines[place - 4 : place])


@pytest.mark.parametrize(("trunk", "finest"), [("resnet18", 2), ("convnext_atto", 4)])
def test_the_finest_maps_are_such_as_the_trunk_has(tmp_path, init, trunk, finest):
    """A trunk whose first map lies at stride 4 is not asked for one at 2."""
    lay(tmp_path, side=400)

    init(tmp_path, "-o", tmp_path / "recipe.yaml", "--trunk", trunk, "--hours", "2")

    model = glnet.load_recipe(tmp_path / "recipe.yaml").model
    assert model.finest == finest
    assert build_glnet(model, 3).local_branch is not None


def test_bands_of_16_bit_are_normalised_as_measured(tmp_path, init):
    lay(tmp_path, bands=4, dtype=np.uint16)
    init(tmp_path, "-o", tmp_path / "recipe.yaml")

    found = glnet.load_recipe(tmp_path / "recipe.yaml").model

    assert found.bands == 4
    assert found.input.scale == 66000
    assert found.input.mean == pytest.approx([0.4965] * 4, abs=0.01)
    assert found.input.deviation == pytest.approx([0.2866] * 4, abs=0.01)


def test_single_patches_need_no_global_branch(tmp_path, init):
    lay(tmp_path, side=100)
    init(tmp_path, "-o", tmp_path / "recipe.yaml")

    assert glnet.load_recipe(tmp_path / "recipe.yaml").model.stages == ("global_to_local",)


def test_given_splits_are_kept_and_validation_is_taken_from_training(tmp_path, init):
    for split, images in (("train", 6), ("test", 2)):
        lay(tmp_path, images, split=split)
    init(tmp_path, "-o", tmp_path / "recipe.yaml")

    found = [
        (row["image"].split("/")[0], row["split"]) for row in rows_of(tmp_path / "manifest.csv")
    ]

    assert found.count(("train", "train")) == 5
    assert found.count(("train", "validation")) == 1
    assert found.count(("test", "test")) == 2


@pytest.mark.parametrize(("images", "splits"), [(1, {"train"}), (2, {"train", "validation"})])
def test_too_few_images_are_said(tmp_path, init, images, splits):
    """What is lacking, and what follows from it."""
    lay(tmp_path, images)

    _, out, _ = init(tmp_path, "-o", tmp_path / "recipe.yaml")

    assert {row["split"] for row in rows_of(tmp_path / "manifest.csv")} == splits
    assert "no test image" in out
    assert ("no validation image" in out) is (images == 1)


def test_folds_test_every_image_once(tmp_path, init):
    """K manifests, K recipes that name them, one class table."""
    lay(tmp_path, 5)
    status, _, _ = init(tmp_path, "-o", tmp_path / "out/recipe.yaml", "--folds", "3")

    assert status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["classes.csv"]
        + [f"{name}.fold{k}.{kind}" for k in (1, 2, 3) for name, kind in
           (("manifest", "csv"), ("recipe", "yaml"))]
    )  # fmt: skip
    tested = []
    for k in (1, 2, 3):
        recipe = glnet.load_recipe(tmp_path / f"out/recipe.fold{k}.yaml")
        assert recipe.data.manifest == tmp_path / f"out/manifest.fold{k}.csv"
        tested += [s.image.name for s in read_manifest(recipe.data.manifest, "test")]
        assert read_manifest(recipe.data.manifest, "validation")
    assert sorted(tested) == [f"{n}.tif" for n in range(5)]


def lay_patients(folder, patients=6, of_each=3):
    """Images of `patients`, told by their names alone."""
    lay(folder, patients * of_each, 64)
    for kind in ("images", "labels"):
        for path in [*(folder / kind).iterdir()]:
            path.rename(path.with_stem(f"P{int(path.stem) % patients}_{path.stem}"))
    return folder


def splits_of_groups(manifest):
    """Every group's splits; `read_manifest` refuses a group in two."""
    found = {}
    for sample in read_manifest(manifest):
        assert sample.group == sample.image.name[:2]
        found.setdefault(sample.group, set()).add(sample.split)
    return found


def test_groups_are_not_torn(tmp_path, init):
    """By name from a folder; by a column where a manifest has it, splits left empty; by folds."""
    lay_patients(tmp_path / "data")
    group = ("--group", "(P[0-9]+)_")

    status, out, _ = init(tmp_path / "data", "-o", tmp_path / "one/recipe.yaml", *group)
    assert status == 0
    assert "6 groups of images: each in one split" in out
    found = splits_of_groups(tmp_path / "one/manifest.csv")
    assert sorted(len(own) for own in found.values()) == [1] * 6
    assert {split for own in found.values() for split in own} == {"train", "validation", "test"}

    bare = [row | {"split": ""} for row in rows_of(tmp_path / "one/manifest.csv")]
    given = write_text(
        tmp_path / "one/bare.csv", ",".join(bare[0]), *map(",".join, map(dict.values, bare))
    )
    manifest = ("--manifest", given)
    status, out, _ = init(tmp_path / "data", "-o", tmp_path / "two/recipe.yaml", *manifest)
    assert status == 0
    assert f"{given} names no splits: they are chosen" in out
    assert splits_of_groups(tmp_path / "two/manifest.csv") == found
    status, _, err = init(tmp_path / "data", "-o", tmp_path / "x/r.yaml", *manifest, *group)
    assert (status, f"--group is for folders; {given} names groups" in err) == (1, True)

    init(tmp_path / "data", "-o", tmp_path / "k/recipe.yaml", *group, "--folds", "3")
    tested = [
        {s.group for s in read_manifest(tmp_path / f"k/manifest.fold{k}.csv", "test")}
        for k in (1, 2, 3)
    ]
    assert sorted(name for own in tested for name in own) == [f"P{i}" for i in range(6)]


def test_rows_of_one_image_are_not_torn_where_a_manifest_names_no_splits(tmp_path, init):
    """Whether they overlap, repeat each other, or lie apart: they are alike."""
    lay(tmp_path, 3)
    parts = ["0 0 75 150", "50 0 75 150", "0 0 75 150"]
    rows = [f"images/{n}.tif,labels/{n}.png,,{part}" for n in range(3) for part in parts]
    given = write_text(tmp_path / "all.csv", "image,mask,split,window", *rows)

    status, _, err = init(tmp_path, "-o", tmp_path / "out/recipe.yaml", "--manifest", given)

    assert status == 0, err
    found = {(s.image, s.split) for s in read_manifest(tmp_path / "out/manifest.csv")}
    assert len(found) == 3
    assert len({split for _, split in found}) == 3


def test_blanks_around_a_groups_name_are_none_of_it():
    """A manifest gives it back without: two groups would become one that is torn."""
    samples = [Sample(Path(f"d/{name}.tif"), Path("m.png"), "") for name in ("P1 a", "P1_b")]

    assert [sample.group for sample in grouped(samples, Path("d"), "P1 ?")] == ["P1", "P1"]


def test_a_group_is_what_the_first_brackets_hold():
    samples = [Sample(Path(f"d/{name}.tif"), Path("m.png"), "") for name in ("P1_a", "P2_b")]

    found = grouped(samples, Path("d"), "(P[0-9])_([a-z])")

    assert [sample.group for sample in found] == ["P1", "P2"]


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("Q[0-9]", "'Q[0-9]' finds nothing in images/"),
        ("Q*", "'Q*' finds nothing in images/"),
        ("(Q)?P", "'(Q)?P' finds nothing in images/"),
        ("(P", "'(P' is no regular expression"),
    ],
)
def test_a_group_that_cannot_be_found_is_told(tmp_path, init, pattern, told):
    lay_patients(tmp_path, 2, 1)

    status, _, err = init(tmp_path, "-o", tmp_path / "r.yaml", "--group", pattern)

    assert (status, told in err) == (1, True)


@pytest.mark.parametrize("splits", [("train", "test"), ("train", "validation", "test")])
def test_folders_that_tear_a_group_are_told(tmp_path, init, splits):
    """Splits by folders are the user's; the line says which group lies in both."""
    for split in splits:
        lay(tmp_path, 2, 64, split=split)

    status, _, err = init(tmp_path, "-o", tmp_path / "r.yaml", "--group", "([0-9])[.]tif")

    assert status == 1
    assert "the folders put images of the group '0' into 'test' and 'train'" in err


def test_a_fold_without_a_validation_image_is_told(tmp_path, init):
    """Of three images two are tested in one fold of two, and one is to train."""
    lay(tmp_path, 3)

    status, out, _ = init(tmp_path, "-o", tmp_path / "out/recipe.yaml", "--folds", "2")

    assert status == 0
    for k in (1, 2):
        found = read_manifest(tmp_path / f"out/manifest.fold{k}.csv")
        lacks = all(sample.split != "validation" for sample in found)
        assert (f"fold {k}: no validation image" in out) is lacks
    assert out.count("no validation image") == 1


def test_folds_keep_the_parts_of_an_image_together(tmp_path, init):
    """A manifest of windows is folded by image, and every fold names the windows again."""
    lay(tmp_path, 3)
    parts = ["0 0 75 150", "75 0 75 150"]
    rows = [f"images/{n}.tif,labels/{n}.png,train,{part}" for n in range(3) for part in parts]
    write_text(tmp_path / "all.csv", "image,mask,split,window", *rows)

    status, _, _ = init(
        tmp_path, "-o", tmp_path / "out/recipe.yaml", "--folds", "3", "--manifest",
        tmp_path / "all.csv",
    )  # fmt: skip

    assert status == 0
    tested = []
    for k in (1, 2, 3):
        manifest = tmp_path / f"out/manifest.fold{k}.csv"
        test = read_manifest(manifest, "test")
        assert len({sample.image for sample in test}) == 1
        assert {s.image for s in test}.isdisjoint(s.image for s in read_manifest(manifest, "train"))
        tested += [(s.image.name, s.window.top) for s in test]
    assert sorted(tested) == [(f"{n}.tif", top) for n in range(3) for top in (0, 75)]


def test_a_raster_alone_is_split_by_blocks(tmp_path, init):
    """That share no pixel and cover it; all three splits are there."""
    lay(tmp_path, 1, side=1500)

    status, out, _ = init(tmp_path, "-o", tmp_path / "out/recipe.yaml")

    assert status == 0
    assert "1 raster alone: split by blocks" in out
    samples = read_manifest(tmp_path / "out/manifest.csv")
    assert {sample.split for sample in samples} == {"train", "validation", "test"}
    covered = np.zeros((1500, 1500), int)
    for sample in samples:
        covered[sample.window.slices] += 1
    assert (covered == 1).all()


def test_a_fourth_band_that_counts_as_alpha_is_told(tmp_path, init):
    """Near infrared would be left out silently."""
    lay(tmp_path, 3, bands=4)

    status, out, _ = init(tmp_path, "-o", tmp_path / "out/recipe.yaml")

    assert status == 0
    assert "band 4 of the images counts as alpha and is left out" in out


def test_classes_are_not_looked_for_in_polygons(tmp_path, init):
    """One line asks for a class table."""
    lay(tmp_path, 3)
    write_text(tmp_path / "all.csv", "image,mask,split", "images/0.tif,labels/{class}.png,train")
    write_text(tmp_path / "labels/a.png", "")

    status, _, err = init(
        tmp_path, "-o", tmp_path / "out/recipe.yaml", "--manifest", tmp_path / "all.csv"
    )

    assert status == 1
    assert "give a class table by --classes" in err


def test_files_that_exist_are_kept_unless_forced(tmp_path, init):
    """All of them: nothing is written where one is there; and they are left as they were."""
    lay(tmp_path / "data")
    (tmp_path / "classes.csv").write_text("mine")
    target = tmp_path / "recipe.yaml"

    status, _, err = init(tmp_path / "data", "-o", target)

    assert status == 1
    assert "--force" in err
    assert (tmp_path / "classes.csv").read_text() == "mine"
    assert not target.exists()
    assert init(tmp_path / "data", "-o", target, "--force")[0] == 0
    assert read_classes(tmp_path / "classes.csv").values == [0, 1, 4]
    assert not list(tmp_path.glob("*.partial.*"))


def test_tables_that_are_there_are_used_as_they_are(tmp_path, init):
    """A manifest and a class table in the folder: neither is written again."""
    lay(tmp_path, 3)
    rows = [
        (f"images/{n}.tif", f"labels/{n}.png", s) for n, s in enumerate(("train", "train", "x"))
    ]
    manifest = write_manifest(tmp_path / "manifest.csv", *rows).read_bytes()
    names = tmp_path / "classes.csv"
    names.write_text("name,value,ignored\nland,0,\nwater,1,\nedge,4,yes\n")

    status, out, _ = init(tmp_path, "-o", tmp_path / "recipe.yaml")

    assert status == 0
    assert out.count("is used as it is") == 2
    assert "no validation image" in out
    assert (tmp_path / "manifest.csv").read_bytes() == manifest
    assert "water" in (tmp_path / "recipe.yaml").read_text()
    assert "edge" not in (tmp_path / "recipe.yaml").read_text()


def test_splits_are_shown_as_the_manifest_names_them(tmp_path, init):
    lay(tmp_path, 2)
    rows = [(f"images/{n}.tif", f"labels/{n}.png", s) for n, s in enumerate(("train", "[b]:x:"))]
    write_manifest(tmp_path / "manifest.csv", *rows)

    _, out, _ = init(tmp_path, "-o", tmp_path / "recipe.yaml")

    assert out.count("[b]:x:") == 2


def test_images_without_mask_are_named_and_left_out(tmp_path, init):
    lay(tmp_path)
    write_jpg(tmp_path / "images" / "lonely.jpg", noise(3, 20, 20))

    _, out, _ = init(tmp_path, "-o", tmp_path / "recipe.yaml")

    assert "left out, having no mask: 1 image: images/lonely.jpg" in out
    assert len(rows_of(tmp_path / "manifest.csv")) == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--folds", "1"], "--folds"),
        (["--folds", "9"], "from 2 to 5 folds"),
        (["--hours", "0"], "--hours"),
        (["--hours", "inf"], "--hours"),
        (["--memory", "much"], "--memory"),
        (["--trunk-weights", "nowhere.pth"], "nowhere.pth does not exist"),
        (["-o", "recipe.json"], "must end with .yaml"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(tmp_path, init, monkeypatch, options, said):
    """In one line, before anything is written."""
    lay(tmp_path / "data")
    monkeypatch.chdir(tmp_path)

    status, _, err = init(tmp_path / "data", *options)

    assert status == 1
    assert said in err
    assert "\n" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_images_are_not_enlarged(tmp_path):
    with pytest.raises(RecipeError, match="--shrink: wanted 1 or more, got 0"):
        glnet.plan(tmp_path, tmp_path / "recipe.yaml", glnet.Wishes(shrink=0, measure=False))


def test_folders_that_say_test_but_not_train_are_refused(tmp_path, init):
    lay(tmp_path, 2, split="test")

    status, _, err = init(tmp_path, "-o", tmp_path / "recipe.yaml")

    assert status == 1
    assert "the folders' names say test" in err


def test_names_and_paths_survive_as_they_are(tmp_path, init):
    """Commas, blanks and letters of any language, in folders, images and classes."""
    folder = lay(tmp_path / "see, größe", 3)
    write_classes(tmp_path / "table.csv")
    (tmp_path / "table.csv").write_text('name,value\n"wald, dicht",0\nfluß: 1,1\n# weg,4\n')

    status, _, err = init(
        folder, "-o", folder / "re zept.yaml", "--classes", tmp_path / "table.csv"
    )

    assert (status, err) == (0, "")
    recipe = glnet.load_recipe(folder / "re zept.yaml")
    assert read_classes(recipe.data.classes).names == ["wald, dicht", "fluß: 1", "# weg"]
    assert len(read_manifest(recipe.data.manifest)) == 3


def tiny_recipe(**model):
    return Recipe.model_validate({
        "data": {"manifest": "m", "classes": "c"},
        "model": {**TINY, "sharing": "global_to_local", **model},
        "train": {"patches": 8, "device": "cpu", "mini_batch": 2},
    })  # fmt: skip


@pytest.mark.parametrize(
    ("model", "dtype"),
    [
        ({}, "uint8"),
        ({"branches": "local", "sharing": "none"}, "uint8"),
        ({"bands": 5, "input": {"scale": 4000.0, "mean": [0.1] * 5, "deviation": [1.0] * 5}},
         "uint16"),
    ],
)  # fmt: skip
def test_pace_is_measured_for_the_stages_there_are(model, dtype, monkeypatch):
    """By real steps, whatever the network; more patches take longer to validate."""
    recipe = tiny_recipe(**model)
    # Time is how often modules ran: the same on a machine that is busy otherwise.
    runs = [0]
    monkeypatch.setattr(time, "perf_counter", lambda: float(runs[0]))

    def count(*_):
        runs[0] += 1

    drawn = torch.get_rng_state()
    with register_module_forward_hook(count):
        few, many = (measure_pace(recipe, 3, windows, dtype) for windows in (1, 500))

    assert tuple(few) == recipe.model.stages
    assert all(seconds > 0 for both in few.values() for seconds in both)
    assert many["global_to_local"][1] > 5 * few["global_to_local"][1]
    assert torch.equal(torch.get_rng_state(), drawn)  # who plans may draw numbers too


def test_a_rough_pace_has_the_same_stages():
    for changes in ({}, {"sharing": "shallow"}, {"branches": "local", "sharing": "none"}):
        recipe = tiny_recipe(**changes)

        pace = rough_pace(recipe, 9, "unknown")

        assert tuple(pace) == recipe.model.stages
        assert all(isinstance(own, StagePace) and min(own) > 0 for own in pace.values())


def test_a_class_table_may_be_named_by_a_string(tmp_path):
    """As every other path of a call."""
    lay(tmp_path / "data")
    glnet.plan(tmp_path / "data", tmp_path / "recipe.yaml", glnet.Wishes(measure=False)).write()
    wishes = glnet.Wishes(measure=False, classes=str(tmp_path / "classes.csv"))

    made = glnet.plan(tmp_path / "data", tmp_path / "again" / "recipe.yaml", wishes)

    assert "classes: ../classes.csv" in made.recipes[tmp_path / "again" / "recipe.yaml"]


def test_the_plan_can_be_had_without_writing(tmp_path):
    """From Python: text and facts first, files when asked for."""
    lay(tmp_path / "data")

    made = glnet.plan(tmp_path / "data", tmp_path / "recipe.yaml", glnet.Wishes(measure=False))

    assert [path.name for path in made.recipes] == ["recipe.yaml"]
    assert not (tmp_path / "recipe.yaml").exists()
    made.write()
    assert (tmp_path / "recipe.yaml").read_text() == made.recipes[tmp_path / "recipe.yaml"]
