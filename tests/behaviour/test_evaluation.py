"""What evaluating promises: the same numbers by every way, on screen, as JSON and as CSV."""

import csv
import json
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from rasterio import Affine

import glnet
from glnet.boxes import PatchCount
from glnet.bundle import TrainedOn
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.manifest import Sample
from glnet.engines.models import save_model
from glnet.errors import DataError
from glnet.evaluation.tally import Tally
from glnet.metrics import IGNORE, BoundaryCounts, ConfusionMatrix, Protocol
from glnet.model import build_glnet
from glnet.raster import Raster
from makers import noise, write_classes, write_manifest, write_png, write_text, write_tif
from networks import tiny_settings
from test_package import NO_TORCH

NAMES = ("unknown", "field", "forest", "lake [deep]")
TRAINED, IGNORED = (
    ClassTable(
        tuple(
            ClassInfo(name, value, (value, 9, 9), ignored and name == "unknown")
            for value, name in enumerate(NAMES)
        )
    )
    for ignored in (False, True)
)


@pytest.fixture
def data(tmp_path):
    """Four images with masks in 16-pixel blocks, and two folders of predictions, one better."""
    rng = np.random.default_rng(0)
    rows = []
    for name in ("good", "poor"):
        (tmp_path / name).mkdir()
    for i in range(4):
        labels = np.kron(rng.integers(0, 4, (4, 5)), np.ones((16, 16), int)).astype(np.uint8)
        write_png(tmp_path / f"{i}.png", noise(3, 64, 80, seed=i))
        write_png(tmp_path / f"{i}_mask.png", labels)
        for name, share in (("good", 0.1), ("poor", 0.4)):
            wrong = (rng.random(labels.shape) < share) | (labels == 0)
            guess = np.where(wrong, rng.integers(1, 4, labels.shape), labels).astype(np.uint8)
            write_png(tmp_path / name / f"{i}.png", guess)
        rows.append((f"{i}.png", f"{i}_mask.png", "test"))
    write_manifest(tmp_path / "manifest.csv", *rows)
    write_manifest(tmp_path / "one.csv", rows[0])
    write_classes(tmp_path / "classes.csv", IGNORED)
    write_classes(tmp_path / "trained.csv", TRAINED)
    return tmp_path


def write_model(folder, seed=0, table=IGNORED):
    torch.manual_seed(seed)
    save_model(folder, build_glnet(tiny_settings(), len(table.trained)), table, "Made for a test.")
    return folder


def by_masks(data, folder="good", classes="classes.csv", manifest="manifest.csv", **options):
    return glnet.evaluate_masks(data / folder, data / manifest, data / classes, **options)


@pytest.fixture
def command(data, monkeypatch, heard):
    """Run `glnet evaluate` on 80 columns: its status, and what it printed on either stream."""
    monkeypatch.chdir(data)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        status, out, lines = heard("evaluate", "--manifest", "manifest.csv", *arguments)
        return status, out, "\n".join(lines)

    return run


MASKS = ("--masks", "good", "--classes", "classes.csv")


@pytest.mark.parametrize("tta", [False, True])
def test_ground_without_data_counts_nowhere(tmp_path, tta):
    """A model's scores are those of the masks that it predicts, compared with or without images."""
    pixels, labels = noise(3, 150, 190), (noise(150, 190, seed=1) % 4).astype(np.uint8)
    valid = np.ones((150, 190), bool)
    valid[:, 110:] = valid[30:60, 20:80] = False
    four = np.concatenate([pixels, valid[None] * np.uint8(255)])
    write_tif(tmp_path / "a.tif", four, photometric="rgb", alpha="yes")
    write_png(tmp_path / "a_mask.png", labels)
    write_manifest(tmp_path / "manifest.csv", ("a.tif", "a_mask.png", "test"))
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    for name, image in (("elsewhere", "gone/a.tif"), ("unread", "a.npy")):
        write_manifest(tmp_path / f"{name}.csv", (image, "a_mask.png", "test"))
    write_classes(tmp_path / "classes.csv", IGNORED)
    (tmp_path / "masks").mkdir()
    model = write_model(tmp_path / "model")
    glnet.predict(tmp_path / "a.tif", model, tmp_path / "masks/a.tif", tta=tta)

    scored = glnet.evaluate(model, tmp_path / "manifest.csv", tta=tta).pairs["aggregated"][0]

    assert scored[:3].sum() == (valid & (labels > 0)).sum()
    assert scored[3].sum() == (valid & (labels == 0)).sum()
    masks = by_masks(tmp_path, "masks").pairs["masks"][0]
    np.testing.assert_array_equal(masks, scored)
    for name in ("elsewhere.csv", "unread.csv"):
        alone = by_masks(tmp_path, "masks", manifest=name).pairs["masks"][0]
        np.testing.assert_array_equal(alone[:, :3], scored[:, :3])
        assert alone[:3, 3].sum() == (~valid & (labels > 0)).sum()
    write_png(tmp_path / "masks/a.png", np.ones_like(labels))  # of a tool that labels all
    (tmp_path / "masks/a.tif").unlink()
    assert by_masks(tmp_path, "masks").pairs["masks"][0].sum() == valid.sum()

    write_tif(tmp_path / "masks/a.confidence.tif", noise(1, 150, 190) % 255)  # the same
    options = {"protocol": "glnet", "calibration": True}
    for found in (
        glnet.evaluate(model, tmp_path / "manifest.csv", tta=tta, **options),
        by_masks(tmp_path, "masks", **options),
    ):
        (counted,) = {each.pixels.sum() for each in found.calibrations.values()}
        assert counted == valid.sum()


def test_an_image_without_any_data_is_one_of_the_set(tmp_path):
    """Nothing of it is computed or counted, and the others' scores are as they were."""
    for name, there in (("a", 1), ("b", 0)):
        write_tif(tmp_path / f"{name}.tif", (noise(3, 70, 90) // 2 + 1) * there, nodata=0)
        write_png(tmp_path / f"{name}_mask.png", (noise(70, 90, seed=1) % 4).astype(np.uint8))
    rows = [(f"{name}.tif", f"{name}_mask.png", "test") for name in "ab"]
    write_manifest(tmp_path / "one.csv", rows[0])
    write_manifest(tmp_path / "both.csv", *rows)
    model = write_model(tmp_path / "model")

    one, both = (glnet.evaluate(model, tmp_path / f"{name}.csv") for name in ("one", "both"))

    (alone,), (first, second) = one.pairs[one.view], both.pairs[both.view]
    np.testing.assert_array_equal(first, alone)
    assert not second.any()
    report = glnet.predict(tmp_path / "a.tif", model, tmp_path / "out.tif", device="cpu")
    assert both.patches == one.patches == PatchCount(report.patches, report.patches)


@pytest.mark.parametrize("protocol", ["ignore", "glnet"])
def test_masks_are_counted_pixel_by_pixel(data, protocol):
    """One matrix per image; set and image scores are those of the same pixels counted here."""
    found = by_masks(data, protocol=protocol, boundary=True)

    rule, whole, boundary = Protocol(protocol), ConfusionMatrix(3), BoundaryCounts(3)
    for i, row in enumerate(found.rows()):
        label = read_png(data / f"{i}_mask.png").astype(int) - 1
        label[label < 0] = IGNORE
        guess = read_png(data / f"good/{i}.png") - 1
        own = ConfusionMatrix(3)
        for matrix in (own, whole):
            matrix.add(label, guess)
        ground = np.where((label == IGNORE) & (protocol == "glnet"), 254, label)
        boundary.add(ground.astype(np.uint8), guess)
        scores = own.scores(rule)
        assert Path(row["image"]) == data / f"{i}.png"
        assert row["labelled_pixels"] == (label != IGNORE).sum()
        assert row["accuracy"] == scores.accuracy
        assert row["iou_lake [deep]"] == pytest.approx(scores.iou[2])
        assert row["mean_iou"] == pytest.approx(np.nanmean(scores.iou))
        assert row["mean_f1"] == pytest.approx(np.nanmean(scores.f1))
    np.testing.assert_array_equal(found.matrices["masks"].pairs, whole.pairs)
    np.testing.assert_array_equal(found.boundary_iou(), boundary.iou(rule))
    assert found.scores().mean_iou == whole.scores(rule).mean_iou
    assert found.mean_image_iou()[0] == pytest.approx(found.image_mean_ious().mean())


def test_a_model_scores_as_the_masks_it_writes(data):
    """In all views, by both protocols; so does a network that trained the unknown class."""
    for table, classes in ((IGNORED, "classes.csv"), (TRAINED, "trained.csv")):
        model = write_model(data / "model", table=table)
        for view in ("aggregated", "global", "local"):
            (data / view).mkdir(exist_ok=True)
            for i in range(4):
                out = data / view / f"{i}.png"
                sure = data / view / f"{i}.confidence.tif"
                options = {"view": view, "device": "cpu"}
                glnet.predict(data / f"{i}.png", model, out, confidence=sure, **options)
        for protocol in ("ignore", "glnet"):
            options = {"protocol": protocol, "boundary": True, "calibration": True}
            found = glnet.evaluate(model, data / "manifest.csv", device="cpu", **options)

            assert list(found.pairs) == ["aggregated", "global", "local"]
            for view, pairs in found.pairs.items():
                masks = by_masks(data, view, classes, **options)
                np.testing.assert_array_equal(pairs, masks.pairs["masks"])
                np.testing.assert_array_equal(found.boundary_iou(view), masks.boundary_iou())
                assert found.scores(view).mean_iou == masks.scores().mean_iou
                told, read = found.calibrations[view], masks.calibrations["masks"]
                np.testing.assert_array_equal(told.pixels, read.pixels)
                np.testing.assert_array_equal(told.right, read.right)
                assert told.right.sum() / told.pixels.sum() == found.scores(view).accuracy


@pytest.mark.parametrize("protocol", ["ignore", "glnet"])
def test_confidence_is_counted_where_it_is_right(data, protocol):
    """Of the part that a row takes, on the ground that the protocol counts."""
    rng = np.random.default_rng(1)
    sure = rng.integers(0, 256, (4, 64, 80)).astype(np.uint8)
    for i in range(4):
        write_tif(data / f"good/{i}.confidence.tif", sure[i][None], nodata=255)
    rows = [f"{i}.png,{i}_mask.png,test,{3 * i} {5 * i} 40 50" for i in range(4)]
    write_text(data / "parts.csv", "\n".join(["image,mask,split,window", *rows]))

    found = by_masks(data, manifest="parts.csv", protocol=protocol, calibration=True)

    pixels, right = np.zeros((2, 256), int)
    for i in range(4):
        part = np.s_[3 * i : 3 * i + 40, 5 * i : 5 * i + 50]
        label, guess = (
            read_png(data / f"{i}_mask.png")[part],
            read_png(data / f"good/{i}.png")[part],
        )
        counted = (label > 0) | (protocol == "glnet")
        pixels += np.bincount(sure[i][part][counted], minlength=256)
        right += np.bincount(sure[i][part][counted & (label == guess)], minlength=256)
    calibration = found.calibrations["masks"]
    np.testing.assert_array_equal(calibration.pixels, pixels[:255])
    np.testing.assert_array_equal(calibration.right, right[:255])


def test_confidence_that_is_not_of_the_mask_is_refused(data, command):
    status, _, told = command(*MASKS, "--calibration")
    assert status == 1
    assert told == (
        "glnet: good/0.png: wanted 0.confidence.tif beside it, as glnet predict --also confidence "
        "leaves it"
    )

    for i in range(4):
        write_tif(data / f"good/{i}.confidence.tif", np.zeros((1, 64, 80 + i // 3), np.uint8))
    status, _, told = command(*MASKS, "--calibration")
    assert status == 1
    assert "3.confidence.tif: the mask is 64 x 81, " in told

    write_tif(data / "good/3.confidence.tif", np.zeros((1, 64, 80), np.float32))
    status, _, told = command(*MASKS, "--calibration")
    assert status == 1
    assert "3.confidence.tif: wanted the confidence that glnet predict writes, 8 bit" in told


def test_calibration_is_shown_and_written(data, command):
    """Of every view its error, of the first one every tenth; nothing where it was not asked for."""
    write_model(data / "model")

    status, shown, _ = command("--model", "model", "--calibration", "--json", "s.json")
    _, against, _ = command("--model", "model", "--calibration", "--against", "model")
    _, without, _ = command("--model", "model", "--json", "t.json")

    assert status == 0
    views = json.loads((data / "s.json").read_text())["views"]
    found = glnet.evaluate(data / "model", data / "manifest.csv", calibration=True)
    for view, calibration in found.calibrations.items():
        assert views[view]["calibration_error"] == calibration.error()
        bins = views[view]["calibration"]
        assert sum(row["pixels"] for row in bins) == calibration.pixels.sum()
        assert [row["right"] for row in bins] == [each.right for each in calibration.bins()]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines()]
    errors = next(row for row in cells if row[:1] == ["calibration error"])
    assert errors[2:] == [f"{100 * each.error():.1f}" for each in found.calibrations.values()]
    sure = found.calibrations["aggregated"]
    table = [row for row in cells if row and "% to " in row[0]]
    assert [row[0] for row in table] == [f"{b.low:.0%} to {b.high:.0%}" for b in sure.bins()]
    assert table[-1][3:] == ["100.0%", f"{100 * found.scores().accuracy:.1f}"]
    error = f"{100 * sure.error():.1f}"
    compared = next(line for line in against.splitlines() if "calibration error" in line)
    assert [cell.strip() for cell in compared.split("│")[2:5]] == [error, error, "+0.0"]
    assert "calibration" not in without
    assert "calibration" not in (data / "t.json").read_text()


def test_near_colours_of_the_true_masks_are_counted(data):
    """Those of all images; of the predicted masks they are read, too, and not counted."""
    write_classes(data / "two.csv")
    write_manifest(data / "pair.csv", *((f"{i}.png", f"{i}_mask.png", "test") for i in range(2)))
    for i, off in enumerate((7, 2)):
        for path, number in ((data / f"{i}_mask.png", off), (data / f"good/{i}.png", 5)):
            colours = np.full((64, 80, 3), (0, 128, 0), np.uint8)
            colours[0, :number, 0] = 3
            write_png(path, np.moveaxis(colours, -1, 0))

    found = by_masks(data, classes="two.csv", manifest="pair.csv", tolerance=3)

    assert (found.near, found.scores().accuracy) == (7 + 2, 1)


def test_json_has_every_number(data, command):
    """Scores of classes, means, intervals, both kinds of counts, and how they were made."""
    status, *_ = command(*MASKS, "--boundary", "--protocol", "glnet", "--json", "s.json")

    assert status == 0
    found = json.loads((data / "s.json").read_text())
    assert (found["protocol"], found["unknown"], found["images"]) == ("glnet", ["unknown"], 4)
    assert found["bootstrap"] == {"draws": 2000, "seed": 0, "level": 0.95}
    view = found["views"]["masks"]
    result = by_masks(data, protocol="glnet", boundary=True)
    scores = result.scores()
    for i, name in enumerate(NAMES[1:]):
        assert view["classes"][name] == {
            "iou": scores.iou[i],
            "f1": scores.f1[i],
            "recall": scores.recall[i],
            "precision": scores.precision[i],
            "boundary_iou": result.boundary_iou()[i],
            "pixels": scores.pixels[i],
            "iou_interval": list(result.class_intervals("iou")[i]),
            "f1_interval": list(result.class_intervals("f1")[i]),
        }
    assert view["mean_iou"] == scores.mean_iou
    assert view["mean_boundary_iou"] == pytest.approx(result.boundary_iou().mean())
    assert view["mean_iou_interval"] == list(result.mean_iou_interval())
    low, high = view["mean_iou_interval"]
    assert low < view["mean_iou"] < high
    low, high = view["mean_image_iou_interval"]
    assert low < view["mean_image_iou"] < high
    assert np.sum(view["confusion"]) + np.sum(view["predicted_on_ignored"]) == 4 * 64 * 80
    assert view["not_predicted"] == [0, 0, 0]


def test_csv_has_a_row_per_image_and_empty_cells(data, command):
    """What is not defined is empty: a class that an image neither has nor is predicted."""
    write_png(data / "0_mask.png", np.full((64, 80), 1, np.uint8))
    write_png(data / "good/0.png", np.full((64, 80), 1, np.uint8))
    write_png(data / "1_mask.png", np.zeros((64, 80), np.uint8))

    status, *_ = command(*MASKS, "--csv", "s.csv")

    assert status == 0
    with (data / "s.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"{i}.png" for i in range(4)]
    assert rows[0] == {
        "image": "0.png",
        "view": "masks",
        "labelled_pixels": str(64 * 80),
        "accuracy": "1.0",
        "mean_iou": "1.0",
        "mean_f1": "1.0",
        "iou_field": "1.0",
        "iou_forest": "",
        "iou_lake [deep]": "",
        "f1_field": "1.0",
        "f1_forest": "",
        "f1_lake [deep]": "",
    }
    assert rows[1]["labelled_pixels"] == "0"
    assert {rows[1][key] for key in ("accuracy", "mean_iou", "mean_f1", "iou_field")} == {""}


def test_intervals_are_over_the_manifests_groups(data, command):
    """Copies of every image in its group change no interval; a row of the CSV names its group."""
    alone = by_masks(data)
    for folder in (data, data / "good", data / "poor"):
        for path in list(folder.glob("?.png")):
            path.with_stem(f"{path.stem}b").write_bytes(path.read_bytes())
    rows = [f"{i}{of}.png,{i}_mask.png,test,eye {i}" for i in range(4) for of in ("", "b")]
    write_text(data / "groups.csv", "image,mask,split,group", *rows)

    status, out, _ = command(
        "--masks", "good", "--against", "poor", "--classes", "classes.csv",
        "--manifest", "groups.csv", "--csv", "images.csv",
    )  # fmt: skip

    assert status == 0
    assert "Intervals are over 4 groups of images, drawn whole." in out
    with (data / "images.csv").open(newline="") as file:
        assert [row["group"] for row in csv.DictReader(file)] == [row[-5:] for row in rows]
    grouped, poor = (by_masks(data, name, manifest="groups.csv") for name in ("good", "poor"))
    assert grouped.mean_iou_interval() == alone.mean_iou_interval()

    one = [f"{i}.png,{i}_mask.png,test,eye" for i in range(4)]
    write_text(data / "one.csv", "image,mask,split,group", *one)
    _, out, _ = command("--masks", "good", "--classes", "classes.csv", "--manifest", "one.csv")
    assert "No interval: it takes two groups of images" in out
    assert grouped.mean_image_iou()[1] == pytest.approx(alone.mean_image_iou()[1])
    assert grouped.as_dict()["groups"] == 4
    difference = glnet.Comparison(grouped, poor).mean_iou_interval
    assert difference == glnet.Comparison(alone, by_masks(data, "poor")).mean_iou_interval


def test_an_image_without_a_group_is_one_of_its_own(data):
    """Two images of one eye beside two of which nothing is told are drawn as three."""
    rows = [f"{i}.png,{i}_mask.png,test,{group}" for i, group in enumerate(("eye", "eye", "", ""))]
    write_text(data / "some.csv", "image,mask,split,group", *rows)

    found = by_masks(data, manifest="some.csv")

    assert found.as_dict()["groups"] == 3
    assert found.mean_iou_interval() != by_masks(data).mean_iou_interval()


def test_one_image_has_no_interval(data, command):
    """Nor has its difference, nor one labelled image among others without; null in JSON."""
    one = by_masks(data, manifest="one.csv")
    difference = glnet.Comparison(one, one)
    assert one.mean_iou_interval() is difference.mean_iou_interval is None
    assert difference.class_iou_intervals == [None] * 3
    for i in range(1, 4):
        write_png(data / f"{i}_mask.png", np.zeros((64, 80), np.uint8))

    command(*MASKS, "--json", "s.json")

    view = json.loads((data / "s.json").read_text())["views"]["masks"]
    assert view["mean_iou_interval"] is None
    assert view["mean_image_iou_interval"] is None
    assert view["mean_image_iou"] == view["mean_iou"]


def test_the_table_fits_a_terminal_and_says_the_protocol(data, command):
    """Every line within 80 columns; class names as they are, whatever brackets they have."""
    _, plain, _ = command(*MASKS)
    _, detailed, _ = command(*MASKS, "--details", "--boundary", "--protocol", "glnet")

    for printed in (plain, detailed):
        assert max(map(len, printed.splitlines())) <= 80
        assert "lake [deep]" in printed
        assert "95 % interval" in printed
    assert "unknown ground ignored" in plain
    assert "GLNet protocol" in detailed
    assert "boundary IoU" not in plain
    assert "masks, scores in %" in detailed
    for column in ("precision", "recall", "F1", "boundary IoU"):
        assert column in detailed
    percent = f"{100 * by_masks(data).scores().mean_iou:.1f}"
    assert percent in plain


def test_better_masks_are_called_better(data, command):
    """By the sign of every difference, and in one line that the interval excludes 0."""
    status, printed, _ = command(*MASKS, "--against", "poor", "--json", "d.json", "--csv", "d.csv")

    assert status == 0
    assert any("A is better in mean IoU" in s and "excludes 0" in s for s in printed.splitlines())
    assert "A is better on 4 of 4 images" in printed
    assert max(map(len, printed.splitlines())) <= 80
    good, poor = by_masks(data, "good"), by_masks(data, "poor")
    found = json.loads((data / "d.json").read_text())
    assert found["model"]["views"]["masks"]["mean_iou"] == good.scores().mean_iou
    assert found["against"]["views"]["masks"]["mean_iou"] == poor.scores().mean_iou
    difference = found["difference"]
    low, high = difference["mean_iou_interval"]
    assert 0 < low < difference["mean_iou"] < high
    assert difference["mean_iou"] == good.scores().mean_iou - poor.scores().mean_iou
    low, high = difference["class_intervals"]["field"]
    assert 0 < low < difference["classes"]["field"] < high
    assert f"{100 * low:+.1f} to {100 * high:+.1f}" in printed
    assert difference["classes"]["field"] == good.scores().iou[0] - poor.scores().iou[0]
    with (data / "d.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["difference"]) for row in rows] == pytest.approx(
        good.image_mean_ious() - poor.image_mean_ious()
    )


def test_the_interval_of_a_difference_is_paired(data):
    """Equal masks differ by nothing in every resampled set; exchanged, the signs change."""
    good, poor = by_masks(data, "good"), by_masks(data, "poor")
    same = glnet.Comparison(good, by_masks(data, "good"))
    forth, back = glnet.Comparison(good, poor), glnet.Comparison(poor, good)

    assert same.mean_iou_interval == (0, 0)
    assert same.class_iou_intervals == [(0, 0)] * 3
    assert not same.mean_iou_interval.excludes_zero
    low, high = forth.mean_iou_interval
    assert back.mean_iou_interval == pytest.approx((-high, -low))
    assert forth.mean_iou == -back.mean_iou
    for (low, high), own in zip(forth.class_iou_intervals, back.class_iou_intervals, strict=True):
        assert own == pytest.approx((-high, -low))


def test_two_models_are_compared_as_each_is_evaluated(data, command):
    """`glnet.compare` and the command give the difference of two evaluations."""
    models = [write_model(data / name, seed) for seed, name in enumerate(("one", "two"))]

    found = glnet.compare(*models, data / "manifest.csv", device="cpu", protocol="glnet")
    command("-m", "one", "--against", "two", "--protocol", "glnet", "--device", "cpu",
            "--json", "d.json")  # fmt: skip

    ours, theirs = (
        glnet.evaluate(model, data / "manifest.csv", device="cpu", protocol="glnet")
        for model in models
    )
    assert found.mean_iou == ours.scores().mean_iou - theirs.scores().mean_iou
    difference = json.loads((data / "d.json").read_text())["difference"]
    assert difference["mean_iou"] == found.mean_iou
    assert difference["views"] == ["aggregated", "aggregated"]


@pytest.mark.parametrize("protocol", ["ignore", "glnet"])
def test_a_network_that_trained_unknown_is_compared_with_one_that_ignored_it(data, protocol):
    """The known classes are the same; equal masks differ by nothing."""
    trained = by_masks(data, classes="trained.csv", protocol=protocol)
    ignored = by_masks(data, classes="classes.csv", protocol=protocol)

    found = glnet.Comparison(trained, ignored)

    assert found.names == list(NAMES[1:])
    assert found.mean_iou == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(found.class_ious[0], found.class_ious[1])


def test_an_image_without_known_ground_counts_against_what_is_seen_there(data):
    """By the GLNet protocol, in the interval of a difference too: one says unknown, one does not.

    Elsewhere both are right, so that the whole difference is that image's.
    """
    for i in range(4):
        label = np.roll(np.arange(64 * 80).reshape(64, 80) % 3 + 1, i, 1).astype(np.uint8)
        write_png(data / f"{i}_mask.png", label if i else np.zeros_like(label))
        write_png(data / f"poor/{i}.png", label)
        write_png(data / f"good/{i}.png", label if i else np.zeros_like(label))
    good, poor = (
        by_masks(data, name, "trained.csv", protocol="glnet") for name in ("good", "poor")
    )

    found = glnet.Comparison(good, poor)

    assert np.isnan(good.image_mean_ious()[0])
    assert poor.image_mean_ious().tolist() == [0, 1, 1, 1]
    assert found.mean_iou == pytest.approx(1 - 3 / 4)
    low, high = found.mean_iou_interval
    assert low == 0
    # Of four draws two or more are that image in 26 % of the sets.
    assert high >= 1 / 2


def test_an_image_of_one_class_that_is_right_has_a_mean_of_one(data):
    """In rows and in means over images, by the GLNet protocol too; the set's mean differs."""
    write_png(data / "0_mask.png", np.full((64, 80), 1, np.uint8))
    write_png(data / "good/0.png", np.full((64, 80), 1, np.uint8))

    found = by_masks(data, manifest="one.csv", protocol="glnet")

    assert found.rows()[0]["mean_iou"] == 1
    assert found.mean_image_iou() == (1, None)
    assert found.scores().mean_iou == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (ClassInfo("river", 2, (2, 9, 9)), "'forest', value 2, against 'river', value 2"),
        (ClassInfo("forest", 7, (2, 9, 9)), "'forest', value 2, against 'forest', value 7"),
        (ClassInfo("forest", 2, (2, 9, 9), ignored=True), "'forest', value 2, against 'lake"),
    ],
)
def test_other_classes_are_not_compared(data, command, row, told):
    """One line says where the tables differ, before anything is segmented."""
    rows = tuple(row if r.name == "forest" else r for r in IGNORED.rows)
    write_model(data / "one")
    write_model(data / "two", table=ClassTable(rows))
    (data / "0.png").unlink()  # which an evaluation would miss

    status, _, said = command("-m", "one", "--against", "two", "--json", "d.json")

    assert status == 1
    assert len(said.splitlines()) == 1
    assert told in said
    assert not (data / "d.json").exists()


def test_other_images_and_protocols_are_not_compared(data):
    """An evaluation of fewer images, or by the other protocol, is refused."""
    found = by_masks(data)

    with pytest.raises(DataError, match="same images"):
        glnet.Comparison(found, by_masks(data, manifest="one.csv"))
    with pytest.raises(DataError, match="protocol ignore, the other by glnet"):
        glnet.Comparison(found, by_masks(data, protocol="glnet"))


def test_unknown_that_is_predicted_is_a_miss(data):
    """With the class in the table, and where the table ignores it."""
    guess = read_png(data / "good/0.png")
    label = read_png(data / "0_mask.png")
    right = (guess == label) & (label != 0)
    changed = np.where(right & (np.cumsum(right).reshape(right.shape) <= 30), 0, guess)
    write_png(data / "good/0.png", changed.astype(np.uint8))

    for protocol in ("ignore", "glnet"):
        for classes in ("trained.csv", "classes.csv"):
            row = by_masks(data, classes=classes, protocol=protocol, manifest="one.csv").rows()[0]
            hits = right.sum() - 30
            counted = (label != 0).sum() if protocol == "ignore" else label.size
            assert row["accuracy"] == pytest.approx(hits / counted)


def test_where_a_predicted_mask_has_nodata_known_ground_is_missed(data, command):
    """As written by `glnet predict` where an image has no data; true nodata is not counted."""
    label, guess = read_png(data / "0_mask.png"), read_png(data / "good/0.png")
    (data / "good/0.png").unlink()
    guess[:20], label[10:30] = 255, 99
    write_tif(data / "good/0.tif", guess[None], nodata=255)
    write_tif(data / "0_mask.png", label[None], nodata=99)

    status, printed, said = command(*MASKS, "--csv", "s.csv", "--json", "s.json")

    assert status == 0, said
    known = (label != 0) & (label != 99)
    missed = known[:10].sum()
    with (data / "s.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert int(row["labelled_pixels"]) == known.sum()
    assert float(row["accuracy"]) == pytest.approx((known & (guess == label)).sum() / known.sum())
    assert f"{missed} labelled pixels have no class in the predicted masks" in printed
    view = json.loads((data / "s.json").read_text())["views"]["masks"]
    assert sum(view["not_predicted"]) == missed


def test_what_is_odd_about_the_labels_is_told_under_the_scores(data, command):
    """Masks that lie elsewhere than the images, or than the predicted masks."""
    write_model(data / "model")
    for name, east in (("0.png", 0), ("good/0.png", 0), ("0_mask.png", 100_000)):
        place = Affine(1, 0, 500_000 + east, 0, -1, 5_000_000)
        pixels = read_png(data / name)[None].repeat(3 if name == "0.png" else 1, axis=0)
        write_tif(data / name, pixels, crs="EPSG:32633", transform=place)

    for how in (("-m", "model", "--device", "cpu"), MASKS):
        status, printed, said = command(*how, "--json", "s.json")

        assert status == 0, said
        (note,) = json.loads((data / "s.json").read_text())["notes"]
        assert note.startswith("a mask lies elsewhere on the ground")
        assert "0_mask.png" in note
        assert note in printed


def test_images_that_predict_would_show_otherwise_are_told(data, command):
    """Longer than a quarter more than the training scenes, or of other pixels on the ground."""
    for i, (metre, size) in enumerate([(1.0, 80), (1.05, 80), (2.0, 80), (1.0, 81), (None, 80)]):
        place = {
            "crs": "EPSG:32633",
            "transform": Affine(metre or 1, 0, 5e5, 0, -(metre or 1), 5e6),
        }
        write_tif(data / f"{i}.png", noise(3, 64, size), **(place if metre else {}))
        write_png(data / f"{i}_mask.png", noise(64, size) % 4)
    rows = [(f"{i}.png", f"{i}_mask.png", "test") for i in range(5)]
    write_manifest(data / "manifest.csv", *rows)
    write_manifest(data / "alike.csv", rows[0], rows[1], rows[4])
    torch.manual_seed(0)
    trained = TrainedOn(largest=64, median=64, resolution=1.0)
    save_model(
        data / "model", build_glnet(tiny_settings(), 3), IGNORED, "For a test.", trained_on=trained
    )

    status, printed, said = command("-m", "model", "--device", "cpu")

    assert status == 0, said
    assert "glnet predict cuts 2 of 5 images into scenes of its own, or resamples" in printed
    assert glnet.evaluate(data / "model", data / "alike.csv", device="cpu").notes == ()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda data, model: glnet.evaluate(model, data / "manifest.csv", protocol="GLNet"),
         "protocol 'GLNet': wanted one of ignore, glnet"),
        (lambda data, _: by_masks(data, protocol="glnet "), "protocol 'glnet '"),
        (lambda data, _: by_masks(data, tolerance=256), "tolerance 256: wanted .* 0 to 255"),
        (lambda data, model: glnet.evaluate(model, data / "manifest.csv", tolerance=-1),
         "tolerance -1"),
        (lambda data, model: glnet.segment(data / "0.png", model, engine="tensorrt"),
         "engine 'tensorrt': wanted one of auto, openvino, torch, plain"),
        (lambda _, model: glnet.segment(noise(8, 8, 3), model), "wanted the path .* found ndarray"),
        (lambda data, model: glnet.predict(noise(8, 8, 3), model, data / "m.tif"),
         "wanted the path .* found ndarray"),
        (lambda data, model: glnet.predict_many([noise(8, 8, 3)], model, data / "masks"),
         "wanted the path .* found ndarray"),
        (lambda data, model: glnet.predict_many("0.png", model, data / "masks"),
         "images: wanted a list of paths, found '0.png' alone"),
        (lambda data, _: next(glnet.train("recipe.yaml", data / "run")), "wanted a Recipe, .* str"),
    ],
)  # fmt: skip
def test_what_a_call_cannot_take_is_told_in_a_line(data, call, told):
    """Names and numbers that the command refuses by itself, and things that are no path."""
    with pytest.raises(glnet.GlnetError, match=told) as caught:
        call(data, write_model(data / "model"))

    assert len(str(caught.value).splitlines()) == 1


def test_all_is_every_split_by_every_way(data, command):
    """In Python as by the command, for masks and for a model; so is None."""
    rows = [(f"{i}.png", f"{i}_mask.png", split) for i, split in enumerate(("train", "test"))]
    write_manifest(data / "manifest.csv", *rows)
    model = write_model(data / "model")

    for split in ("all", None):
        assert len(by_masks(data, split=split).images) == 2
        found = glnet.evaluate(model, data / "manifest.csv", split, device="cpu")
        assert len(found.images) == 2
    assert command(*MASKS, "--split", "all", "--json", "s.json")[0] == 0
    assert json.loads((data / "s.json").read_text())["images"] == 2


@pytest.mark.parametrize("out", ["manifest.csv", "classes.csv", "gone/s.csv", "s.txt"])
def test_rows_go_only_where_they_may(data, command, out):
    """Not over the tables that are read, nor where they cannot be; found before the work."""
    before = {path: path.read_bytes() for path in data.glob("*.csv")}

    status, _, said = command(*MASKS, "--csv", out)

    assert status == 1
    assert out in said
    assert {path: path.read_bytes() for path in data.glob("*.csv")} == before


def test_a_failure_leaves_no_rows(data, command):
    """The last mask is missing: neither CSV nor JSON."""
    (data / "good/3.png").unlink()

    status, *_ = command(*MASKS, "--csv", "s.csv", "--json", "s.json")

    assert status == 1
    assert not list(data.glob("s.*"))


def test_masks_are_compared_without_pytorch(data):
    """In a process where importing it fails, by the command."""
    arguments = ["evaluate", "--manifest", "manifest.csv", *MASKS, "--against", "poor"]
    code = f"sys.argv[1:] = {[*arguments, '--boundary', '--details']}\n"
    code += "from glnet.cli import main\nmain()"

    found = subprocess.run(
        [sys.executable, "-c", NO_TORCH + code], cwd=data, check=True, capture_output=True
    )

    assert b"excludes 0" in found.stdout


def test_counting_keeps_no_image():
    """Once an image is counted, nothing holds its labels or predictions."""
    tally = Tally(IGNORED, ["aggregated", "local"], "glnet", boundary=True, calibration=True)
    labels, one, two, sure = np.zeros((4, 40, 50), np.uint8)
    held = [weakref.ref(image) for image in (labels, one, two, sure)]

    sample, found = Sample(Path("a.png"), Path("m.png"), "test"), {"aggregated": one, "local": two}
    tally.add(sample, labels, found, {"local": sure})
    del labels, one, two, sure, found

    assert [image() for image in held] == [None] * 4


def read_png(path):
    with Raster(path) as file:
        return file.read()[0]
