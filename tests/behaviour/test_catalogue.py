"""What the catalogue promises: right manifests of data sets as downloaded, or one clear line."""

import csv
import hashlib
import re
import shutil
from functools import partial

import numpy as np
import pytest
from PIL import Image

from glnet.catalogue.found import PUBLISHED, find
from glnet.catalogue.published import fingerprint, listed_splits
from glnet.datasets.checks import check_samples
from glnet.datasets.classes import read_classes
from glnet.datasets.manifest import read_manifest
from glnet.datasets.masks import LabelCoder
from glnet.datasets.samples import open_sample
from glnet.geometry import Window
from glnet.metrics import IGNORE
from layouts import MAKERS, make_deepglobe, make_inria, make_landcover_ai, make_urur, save
from networks import tiny_settings

BY_NAME = {one.name: one for one in PUBLISHED}

#: Of every miniature, how many images (or parts) each split has.
SPLITS = {
    "deepglobe": {"train": 3, "validation": 3, "test": 3},
    "inria": {"validation": 2, "test": 2, "train": 1},
    "isic2018": {"train": 3, "validation": 3, "test": 3},
    "urur": {"train": 2, "validation": 2, "test": 2},
    "landcover-ai": {"train": 3, "validation": 1, "test": 1},
    "loveda": {"train": 2, "validation": 2},
    "potsdam": {"train": 2, "test": 1},
    "vaihingen": {"train": 2, "test": 1},
    "cityscapes": {"train": 2, "validation": 1},
}


@pytest.fixture
def run(heard):
    """`glnet data`: status, what was printed, and the lines of what is wrong."""
    return partial(heard, "data")


@pytest.mark.parametrize("name", MAKERS)
def test_a_layout_is_recognised_and_its_labels_are_what_was_painted(name, tmp_path, run):
    """Through the written files, pixel by pixel; the splits as published."""
    published, root, out = BY_NAME[name], tmp_path / "root", tmp_path / "out"
    painted = MAKERS[name](root)
    assert find(root)[0] is published

    status, _, wrong = run("index", root, "--out", out, "--partial")

    assert (status, wrong) == (0, [])
    table = read_classes(out / "classes.csv")
    coder = LabelCoder(table, published.tolerance)
    samples = read_manifest(out / "manifest.csv")
    counts = {}
    ids = {row.name: i for i, row in enumerate(table.trained)}
    wanted = np.array([IGNORE if row.ignored else ids[row.name] for row in table.rows])
    for sample in samples:
        counts[sample.split] = counts.get(sample.split, 0) + 1
        rows = painted[sample.image.name]
        if sample.window is not None:
            rows = rows[sample.window.slices]
        with open_sample(sample, coder, tiny_settings()) as (image, labels):
            assert tuple(image.size) == rows.shape
            assert (labels.read()[0] == wanted[rows]).all()
    assert counts == SPLITS[name]
    check_samples(samples, coder, tiny_settings())  # as training will
    assert run("check", root, "--partial")[0] == 0


def test_deepglobe_is_split_by_the_authors_lists(tmp_path, run):
    """All 803, with the published fingerprints, whole."""
    ids = list(listed_splits("deepglobe.csv"))
    make_deepglobe(tmp_path, (3, 3), ids)

    status, said, wrong = run("check", tmp_path)

    assert (status, wrong) == (0, [])
    assert said.count("as published") == 3
    for split, count in (("train", 454), ("validation", 207), ("test", 142)):
        assert re.search(rf"{split}\W+{count}\W+{count}\W", said)


def test_a_fingerprint_is_of_numerically_sorted_ids_a_line_each():
    lines = "119\n855\n10233\n"

    assert fingerprint(["10233", "855", "119"]) == hashlib.sha256(lines.encode()).hexdigest()[:16]


def test_isic_is_split_by_a_rule_that_anyone_can_redo():
    splits = listed_splits("isic2018.csv")
    order = sorted(splits, key=lambda name: hashlib.sha256(f"0 {name}".encode()).hexdigest())

    assert len(order) == 2594
    assert {splits[name] for name in order[:2074]} == {"train"}
    assert {splits[name] for name in order[2074:2334]} == {"validation"}
    assert {splits[name] for name in order[2334:]} == {"test"}


def test_inria_has_the_published_numbers_of_tiles(tmp_path, run):
    cities = ("austin", "chicago", "kitsap", "tyrol-w", "vienna")
    make_inria(tmp_path, (3, 3), [f"{city}{tile}" for city in cities for tile in range(1, 37)])

    status, _, wrong = run("index", tmp_path, "--out", tmp_path / "out")

    assert (status, wrong) == (0, [])
    with (tmp_path / "out/manifest.csv").open() as file:
        splits = [row["split"] for row in csv.DictReader(file)]
    assert {split: splits.count(split) for split in splits} == SPLITS_OF_INRIA


SPLITS_OF_INRIA = {"train": 126, "validation": 27, "test": 27}


def test_tiles_of_landcover_ai_are_counted_with_the_cut_ones(tmp_path, run):
    """A photo of 1100 x 1700 px has four tiles a row, the fourth cut: tile 6 is row 1, column 2."""
    make_landcover_ai(tmp_path)

    run("index", tmp_path, "--out", tmp_path / "out", "--partial")

    found = read_manifest(tmp_path / "out/manifest.csv")
    places = {(w.top, w.left) for s in found if (w := s.window) and s.split == "train"}
    assert places == {(0, 0), (0, 1024), (512, 0)}
    (test,) = [sample for sample in found if sample.split == "test"]
    assert test.window == Window(512, 1024, 512, 512)


def test_unknown_is_trained_where_that_is_asked_for(tmp_path, run):
    make_deepglobe(tmp_path / "root")
    run("index", tmp_path / "root", "--out", tmp_path / "a", "--partial")
    run("index", tmp_path / "root", "--out", tmp_path / "b", "--partial", "--train-unknown")

    assert "unknown" not in read_classes(tmp_path / "a/classes.csv").names
    assert read_classes(tmp_path / "b/classes.csv").names[0] == "unknown"


@pytest.mark.parametrize("command", ["check", "index"])
def test_a_layout_that_nobody_knows_is_one_line(tmp_path, run, command):
    (tmp_path / "images").mkdir()
    out = ("--out", tmp_path / "out") if command == "index" else ()

    status, _, wrong = run(command, tmp_path, *out)

    assert status == 1
    (line,) = wrong
    assert "not recognised; known are deepglobe, inria" in line
    assert "glnet init" in line
    assert not (tmp_path / "out").exists()


def break_missing_mask(root):
    (root / "train/label/train0.png").unlink()
    return "1 image has no mask: train/image/train0.png"


def break_missing_image(root):
    (root / "val/image/val1.png").unlink()
    return "1 mask has no image: val/label/val1.png"


def break_value(root):
    path = root / "test/label/test0.png"
    pixels = np.array(Image.open(path))
    pixels[5, 7] = (1, 2, 3)
    save(path, pixels)
    return "test0.png"


def break_size(root):
    save(root / "train/label/train1.png", np.zeros((24, 23, 3), np.uint8))
    return "train1.png"


def break_file(root):
    path = root / "test/image/test1.png"
    path.write_bytes(path.read_bytes()[:300])
    return "test1.png"


def break_splits(root):
    for kind in ("image", "label"):
        shutil.copy(root / "train" / kind / "train0.png", root / "test" / kind / "train0.png")
    return "1 image lies in two splits: train0 (train, test)"


FAULTS = [
    break_missing_mask, break_missing_image, break_value, break_size, break_file, break_splits,
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_one_line_that_names_the_file(fault, tmp_path, run, monkeypatch):
    """Of a data set that is otherwise sound, and as large as published."""
    make_urur(tmp_path)
    sound = BY_NAME["urur"]
    counts = {"train": 2, "validation": 2, "test": 2 + (fault is break_splits)}
    monkeypatch.setitem(vars(sound), "splits", counts)
    said = fault(tmp_path)

    status, _, wrong = run("check", tmp_path)

    assert status == 1
    (line,) = wrong
    assert said in line


def test_near_colours_are_told_with_the_setting_that_reads_them(tmp_path, run):
    make_deepglobe(tmp_path)
    sound = run("check", tmp_path, "--partial")[1]
    path = min(tmp_path.rglob("*_mask.png"))
    pixels = np.array(Image.open(path))
    pixels[5, 7:9] ^= 1
    save(path, pixels)

    printed = " ".join(run("check", tmp_path, "--partial")[1].split())

    assert "near-colours" not in sound
    assert "2 pixels of 1 masks are near-colours, which data.tolerance: 127 in" in printed


def test_what_is_missing_of_the_lists_is_named_and_may_be_left_out(tmp_path, run):
    make_deepglobe(tmp_path)

    status, _, wrong = run("index", tmp_path, "--out", tmp_path / "out")

    assert status == 1
    (line,) = wrong
    assert "794 images of the published lists are not there" in line
    assert "--partial" in line
    assert not (tmp_path / "out").exists()


def test_files_that_exist_are_not_overwritten_unasked(tmp_path, run):
    make_urur(tmp_path / "root")
    arguments = ("index", tmp_path / "root", "--out", tmp_path / "out", "--partial")
    assert run(*arguments)[0] == 0

    status, _, wrong = run(*arguments)

    assert status == 1
    assert "manifest.csv" in wrong[0]
    assert run(*arguments, "--force")[0] == 0


def test_the_list_names_every_data_set_with_its_licence(run):
    status, said, _ = run("list")

    assert status == 0
    for one in PUBLISHED:
        assert f"{one.name}: {one.title}" in said
        assert one.licence in said
