"""What bad input promises: one line that names the file, a failed status, and nothing left behind.

Most commands run in this process, where PyTorch is imported once; capture is by file descriptor, so
that what C libraries print counts too. One runs as a user's would.
"""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from glnet.engines.models import save_model
from glnet.model import build_glnet
from makers import (
    TWO_CLASSES,
    a_folder,
    a_text,
    an_empty_file,
    box,
    check_one_line,
    cut,
    feature,
    noise,
    nothing,
    write_classes,
    write_geojson,
    write_jpg,
    write_manifest,
    write_png,
    write_text,
    write_tif,
)
from networks import TINY, tiny_settings

GLNET = Path(sys.executable).with_name("glnet")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A model folder of the smallest network, with two classes and random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(folder, build_glnet(tiny_settings(), 2), TWO_CLASSES, "Made for a test.")
    return folder


def _four_bands(path):
    return write_tif(path, noise(4, 80, 90), photometric="minisblack")


BAD_IMAGES = {
    "missing": ("scene.tif", nothing),
    "a folder": ("scene.tif", a_folder),
    "half a JPEG": ("scene.jpg", lambda path: cut(write_jpg(path, noise(3, 80, 90)), 0.5)),
    "half a PNG": ("scene.png", lambda path: cut(write_png(path, noise(3, 80, 90)), 0.5)),
    "half a TIFF": ("scene.tif", lambda path: cut(write_tif(path, noise(3, 80, 90)), 0.5)),
    "text named PNG": ("scene.png", a_text),
    "empty": ("scene.png", an_empty_file),
    "four bands": ("scene.tif", _four_bands),
}


@pytest.mark.parametrize(("name", "make"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_a_bad_image_leaves_no_mask(tmp_path, glnet, bundle, name, make):
    """Predicting what is no image of the model's kind names it and writes nothing."""
    image = make(tmp_path / name)
    out = tmp_path / "out"
    out.mkdir()

    status, lines = glnet(
        "predict", image, "-m", bundle, "-o", out / "mask.tif", "--scores", out / "scores.tif"
    )

    check_one_line(status, lines, image)
    assert not list(out.iterdir())


def test_the_real_command_says_the_same_one_line(tmp_path, bundle):
    """As a user runs it, with nothing else on stderr: no library's warnings, no log lines."""
    image = cut(write_tif(tmp_path / "scene.tif", noise(3, 80, 90)), 0.5)
    out = tmp_path / "out"
    out.mkdir()

    done = subprocess.run(
        [GLNET, "predict", image, "-m", bundle, "-o", out / "mask.tif"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    check_one_line(done.returncode, done.stderr.splitlines(), image)
    assert done.stdout == ""
    assert not list(out.iterdir())


def _write_pair(folder, image, mask, split="train"):
    """An image and its mask with a manifest, a class table and a recipe."""
    write_classes(folder / "classes.csv")
    write_manifest(folder / "manifest.csv", (image.name, mask.name, split))
    return write_recipe(folder)


def write_recipe(folder, **over):
    """A recipe for the smallest network over the folder's manifest."""
    stage = {"epochs": 1, "learning_rate": 1e-3}
    values = {
        "data": {"manifest": "manifest.csv", "classes": "classes.csv"},
        "model": TINY,
        "train": {
            "trunk_weights": "none",
            "stages": {"global": stage, "global_to_local": stage, "local_to_global": stage},
        },
    } | over
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def _other_size(folder):
    image = write_tif(folder / "scene.tif", noise(3, 80, 90))
    mask = write_png(folder / "scene_mask.png", np.zeros((80, 91), np.uint8))
    return image, mask, mask


def _unknown_colour(folder):
    image = write_tif(folder / "scene.tif", noise(3, 80, 90))
    colours = np.zeros((3, 80, 90), np.uint8)
    colours[1] = 128
    colours[:, 40, 50] = 9
    mask = write_png(folder / "scene_mask.png", colours)
    return image, mask, mask


def _half_a_mask(folder):
    image = write_tif(folder / "scene.tif", noise(3, 80, 90))
    mask = cut(write_tif(folder / "scene_mask.tif", noise(1, 80, 90) % 2), 0.5)
    return image, mask, mask


def _image_of_four_bands(folder):
    image = _four_bands(folder / "scene.tif")
    return image, write_png(folder / "scene_mask.png", np.zeros((80, 90), np.uint8)), image


BAD_PAIRS = [_other_size, _unknown_colour, _half_a_mask, _image_of_four_bands]


@pytest.mark.parametrize("make", BAD_PAIRS)
def test_a_bad_pair_leaves_no_scores(tmp_path, glnet, bundle, make):
    """Evaluating names the image or mask at fault and writes no numbers."""
    image, mask, guilty = make(tmp_path)
    _write_pair(tmp_path, image, mask, "test")
    out = tmp_path / "scores.json"

    status, lines = glnet(
        "evaluate", "-m", bundle, "--manifest", tmp_path / "manifest.csv", "--json", out
    )

    check_one_line(status, lines, guilty)
    assert not out.exists()


@pytest.mark.parametrize("make", BAD_PAIRS)
def test_a_bad_pair_starts_no_run(tmp_path, glnet, make):
    """Training finds it before the first step and makes no run folder."""
    image, mask, guilty = make(tmp_path)
    recipe = _write_pair(tmp_path, image, mask)

    status, lines = glnet("train", recipe, "-o", tmp_path / "run")

    check_one_line(status, lines, guilty)
    assert not (tmp_path / "run").exists()


def test_all_that_is_wrong_with_the_data_is_told_at_once(tmp_path, glnet):
    """One line each, in the manifest's order, files and contents alike; no run folder is made."""
    image, mask, _ = _unknown_colour(tmp_path)
    cut_mask = cut(write_tif(tmp_path / "cut.tif", noise(1, 80, 90) % 2), 0.5)
    other = write_tif(tmp_path / "other.tif", noise(3, 80, 90))
    recipe = _write_pair(tmp_path, image, mask)
    write_manifest(
        tmp_path / "manifest.csv",
        (image.name, mask.name, "train"),
        (other.name, "gone.png", "train"),
        (other.name, cut_mask.name, "validation"),
        (image.name, mask.name, "test"),
    )

    status, lines = glnet("train", recipe, "-o", tmp_path / "run")

    assert status == 1
    told = ["line 3: the mask", "lines 3 and 4: the splits", "lines 2 and 5: the splits",
            f"{mask}: unknown colour", f"{cut_mask}: cannot be decoded"]  # fmt: skip
    assert len(lines) == len(told), lines
    for line, words in zip(lines, told, strict=True):
        assert line.startswith("glnet: ")
        assert words in line
    assert not (tmp_path / "run").exists()


def test_an_unknown_colour_is_told_with_its_place(tmp_path, glnet, bundle):
    """The colour and where it first occurs."""
    image, mask, _ = _unknown_colour(tmp_path)
    _write_pair(tmp_path, image, mask, "test")

    status, lines = glnet("evaluate", "-m", bundle, "--manifest", tmp_path / "manifest.csv")

    check_one_line(status, lines, "(9, 9, 9) at row 40, column 50")


def _other_network(path):
    torch.save({"conv1.weight": torch.zeros(8, 3, 3, 3), "fc.bias": torch.zeros(5)}, path)


def _only_a_classifier(path):
    torch.save({"fpn_global.classify.bias": torch.zeros(2)}, path)


def _whole_model(path):
    torch.save(torch.nn.Linear(2, 2), path)


def _nested(path):
    torch.save({"state_dict": {"a": torch.zeros(1)}, "epoch": 3}, path)


def _list(path):
    torch.save([torch.zeros(1)], path)


def _numbered(path):
    torch.save({0: torch.zeros(1)}, path)


def _plain_pickle(path):
    path.write_bytes(pickle.dumps({"a": Path("somewhere")}))


def _cut_pickle(path):
    path.write_bytes(pickle.dumps({"fpn_global.classify.bias": [1.0, 2.0]}, protocol=2)[:8])


def _cut_checkpoint(path):
    torch.save({"fpn_global.classify.bias": torch.zeros(2)}, path)
    cut(path, 0.5)


@pytest.mark.parametrize(
    "make",
    [
        _other_network,
        _only_a_classifier,
        _whole_model,
        _nested,
        _list,
        _numbered,
        _plain_pickle,
        _cut_pickle,
        _cut_checkpoint,
        a_text,
        an_empty_file,
        a_folder,
        nothing,
    ],
)
def test_what_is_no_checkpoint_of_the_authors_makes_no_model(tmp_path, glnet, make):
    """Other networks, pickles of more than tensors and damaged files: named, refused, not run."""
    checkpoint = tmp_path / "checkpoint.pth"
    make(checkpoint)
    out = tmp_path / "models" / "imported"

    status, lines = glnet("import-weights", "--global", checkpoint, "--sharing", "none", "-o", out)

    check_one_line(status, lines, checkpoint.name)
    assert "weights_only" not in lines[0]  # torch's advice is to trust the file: never ours
    assert not (tmp_path / "models").exists()


class _Runs:
    """What a malicious pickle is: something that runs when it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_a_checkpoint_that_runs_code_is_not_run(tmp_path, glnet):
    """A pickle may call anything when it is loaded; nothing of it is called."""
    mark = tmp_path / "it ran"
    torch.save({"a": torch.zeros(1), "b": _Runs(mark)}, tmp_path / "checkpoint.pth")

    status, lines = glnet(
        "import-weights", "--global", tmp_path / "checkpoint.pth", "--sharing", "none",
        "-o", tmp_path / "imported",
    )  # fmt: skip

    check_one_line(status, lines, "checkpoint.pth")
    assert not mark.exists()
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    ("over", "wrong", "right"),
    [
        ({"modell": {}}, "modell", "'model'"),
        ({"loss": {"gama": 3}}, "loss.gama", "'gamma'"),
        ({"loss": {"gamma": "high"}}, "loss.gamma", "high"),
    ],
)
def test_a_bad_recipe_starts_no_run(tmp_path, glnet, over, wrong, right):
    """The setting is named, and for a misspelt one the right one is proposed."""
    recipe = write_recipe(tmp_path, **over)

    status, lines = glnet("train", recipe, "-o", tmp_path / "run")

    check_one_line(status, lines, recipe, wrong, right)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model": {"width": 1 << 40}}, "out of memory; close other programs"),
        ({"train": {"trunk_weights": "a.png"}}, "a.png: cannot be read as weights; wanted"),
        ({"train": {"precision": "fp16", "device": "cpu"}}, "fp16 is for GPUs; say fp32, or bf16"),
    ],
)
def test_what_no_network_can_be_made_of_is_one_line(tmp_path, glnet, settings, told):
    """More than any memory; an image for weights, which torch would advise to trust."""
    image, mask = (
        write_png(tmp_path / name, noise(1, 80, 90)[0] % 2) for name in ("a.png", "m.png")
    )
    _write_pair(tmp_path, image, mask)
    values = yaml.safe_load((tmp_path / "recipe.yaml").read_text())
    values["model"]["bands"] = 1
    for section, own in settings.items():
        values[section] |= own
    recipe = write_text(tmp_path / "recipe.yaml", yaml.safe_dump(values))

    status, lines = glnet("train", recipe, "-o", tmp_path / "run")

    check_one_line(status, lines, told)
    assert "weights_only" not in lines[0]


@pytest.mark.parametrize("name", ["manifest.csv", "classes.csv", "recipe.yaml"])
def test_a_missing_part_of_a_run_is_named(tmp_path, glnet, name):
    """Recipe, manifest or class table: the one that is missing is in the line."""
    image = write_tif(tmp_path / "scene.tif", noise(3, 80, 90))
    mask = write_png(tmp_path / "scene_mask.png", np.zeros((80, 90), np.uint8))
    recipe = _write_pair(tmp_path, image, mask)
    (tmp_path / name).unlink()

    status, lines = glnet("train", recipe, "-o", tmp_path / "run")

    check_one_line(status, lines, tmp_path / name)
    assert not (tmp_path / "run").exists()


def _below_a_file(folder):
    return write_text(folder / "notes.txt", "not a folder") / "mask.tif"


TARGETS = {
    "no such folder": lambda folder: folder / "gone" / "mask.tif",
    "below a file": _below_a_file,
    "not writable": lambda _: Path("/proc/self/mask.tif"),
    "a folder": lambda folder: a_folder(folder / "mask.tif"),
    "unknown type": lambda folder: folder / "mask.jpg",
}


@pytest.fixture
def image(tmp_path):
    """A sound image."""
    return write_png(tmp_path / "scene.png", noise(3, 80, 90))


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("option", ["-o", "--scores"])
def test_an_output_that_cannot_be_written_is_found_first(
    tmp_path, glnet, bundle, image, target, option
):
    """Before the network runs; the other output is not written either."""
    path = target(tmp_path)
    other = tmp_path / "other.tif"
    before = sorted(tmp_path.rglob("*"))
    outputs = {"-o": other, "--scores": other} | {option: path}

    status, lines = glnet(
        "predict", image, "-m", bundle, *(word for pair in outputs.items() for word in pair)
    )

    check_one_line(status, lines, path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("option", ["-o", "--scores"])
def test_an_image_is_never_overwritten_by_its_result(tmp_path, glnet, bundle, option):
    """An output with the image's own name is refused."""
    image = write_tif(tmp_path / "scene.tif", noise(3, 80, 90))
    before = image.read_bytes()
    outputs = {"-o": tmp_path / "mask.tif"} | {option: image}

    try:
        status, lines = glnet(
            "predict", image, "-m", bundle, *(word for pair in outputs.items() for word in pair)
        )
        check_one_line(status, lines, image)
    finally:
        assert image.read_bytes() == before


def test_two_outputs_of_one_name_are_refused(tmp_path, glnet, bundle, image):
    """Mask and scores cannot be one file."""
    out = tmp_path / "out.tif"

    status, lines = glnet("predict", image, "-m", bundle, "-o", out, "--scores", out)

    check_one_line(status, lines, out)
    assert not out.exists()


@pytest.mark.parametrize("option", ["--polygons", "--within"])
def test_a_report_overwrites_nothing(tmp_path, glnet, bundle, image, option):
    """It lies beside the mask, named like it."""
    name, square = tmp_path / "out.report.json", feature(box(0, 0, 9, 9))
    before = write_geojson(name, [square]).read_bytes()

    status, lines = glnet("predict", image, "-m", bundle, "-o", tmp_path / "out.tif", option, name)

    check_one_line(status, lines, name, "by this same command")
    assert name.read_bytes() == before


def test_numbers_without_a_folder_are_found_first(tmp_path, glnet, bundle):
    """`--json` into a folder that does not exist ends before anything is read."""
    out = tmp_path / "gone" / "scores.json"

    status, lines = glnet(
        "evaluate", "-m", bundle, "--manifest", tmp_path / "manifest.csv", "--json", out
    )

    check_one_line(status, lines, out)


def test_numbers_do_not_overwrite_labels(tmp_path, glnet, bundle):
    """Polygons are JSON too."""
    image = write_png(tmp_path / "scene.png", noise(3, 80, 90))
    labels = write_geojson(tmp_path / "scene.json", [feature(box(0, 0, 90, 80), name="land")])
    _write_pair(tmp_path, image, labels, "test")
    before = labels.read_bytes()

    status, lines = glnet(
        "evaluate", "-m", bundle, "--manifest", tmp_path / "manifest.csv", "--json", labels
    )

    check_one_line(status, lines, labels, "by this same command")
    assert labels.read_bytes() == before


def test_a_run_below_a_file_is_refused(tmp_path, glnet):
    """A run folder that cannot be made is one line."""
    image = write_tif(tmp_path / "scene.tif", noise(3, 80, 90))
    mask = write_png(tmp_path / "scene_mask.png", np.zeros((80, 90), np.uint8))
    recipe = _write_pair(tmp_path, image, mask)
    out = write_text(tmp_path / "notes.txt", "not a folder") / "run"

    status, lines = glnet("train", recipe, "-o", out)

    check_one_line(status, lines, out)


def _other_tools_folder(path):
    path.mkdir()
    write_text(path / "config.json", '{"model_type": "segformer"}')
    return path


def _broken_config(path):
    path.mkdir()
    write_text(path / "config.json", '{"format": 1, "model": {')
    return path


@pytest.mark.parametrize("make", [nothing, a_folder, a_text, _other_tools_folder, _broken_config])
def test_a_folder_that_is_no_model_is_named(tmp_path, glnet, image, make):
    """Nothing there, an empty folder, a file, another tool's model: the line names it."""
    model = make(tmp_path / "model")

    status, lines = glnet("predict", image, "-m", model, "-o", tmp_path / "mask.tif")

    check_one_line(status, lines, model)
    assert not (tmp_path / "mask.tif").exists()


def _no_weights(model):
    (model / "model.safetensors").unlink()


def _half_the_weights(model):
    cut(model / "model.safetensors", 0.5)


def _other_weights(model):
    other = tiny_settings(width=4)
    save_model(model.with_name("other"), build_glnet(other, 2), TWO_CLASSES, "Another.")
    (model.with_name("other") / "model.safetensors").replace(model / "model.safetensors")


def _two_classes_alike(model):
    config = (model / "config.json").read_text()
    write_text(model / "config.json", config.replace("water", "land"))


@pytest.mark.parametrize(
    "damage", [_no_weights, _half_the_weights, _other_weights, _two_classes_alike]
)
def test_a_damaged_model_is_named(tmp_path, glnet, bundle, image, damage):
    """Weights missing, cut or of another network, classes that cannot be: one line."""
    model = tmp_path / "model"
    model.mkdir()
    for file in bundle.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    damage(model)

    status, lines = glnet("predict", image, "-m", model, "-o", tmp_path / "mask.tif")

    check_one_line(status, lines, model)
    assert not (tmp_path / "mask.tif").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict"],
        ["predict", "a.tif", "-m", "model"],
        ["predict", "a.tif", "-m", "model", "-o", "b.tif", "--view", "sideways"],
        ["predict", "a.tif", "-m", "model", "-o", "b.tif", "--precision", "int4"],
        ["predict", "a.tif", "-m", "model", "-o", "b.tif", "--engine", "steam"],
        ["predict", "a.tif", "-m", "model", "-o", "b.tif", "--min-area", "5"],
        ["predict", "a.tif", "-m", "model", "-o", "b.tif", "--workers", "2"],
        ["evaluate"],
        ["evaluate", "--manifest", "m.csv", "--masks", "folder", "--classes", "c.csv", "--tta"],
        ["evaluate", "--manifest", "m.csv"],
        ["evaluate", "--manifest", "m.csv", "-m", "model", "--masks", "folder"],
        ["evaluate", "--manifest", "m.csv", "--masks", "folder"],
        ["evaluate", "--manifest", "m.csv", "-m", "model", "--tolerance", "128"],
        ["evaluate", "--manifest", "m.csv", "-m", "model", "--engine", "steam"],
        ["train"],
        ["train", "r.yaml", "--stage", "last"],
        ["train", "r.yaml", "--log-format", "xml"],
        ["train", "r.yaml", "--threads", "2"],
        ["import-weights", "-o", "model", "--sharing", "shallow"],
        ["segment", "a.tif"],
        ["--verbose"],
    ],
)
def test_wrong_usage_ends_with_status_2(tmp_path, glnet, monkeypatch, arguments):
    """Options that are missing, unknown or impossible are usage errors, and make nothing."""
    monkeypatch.chdir(tmp_path)

    status, lines = glnet(*arguments)

    assert status == 2
    assert lines
    assert not any("Traceback" in line for line in lines)
    assert not list(tmp_path.iterdir())
