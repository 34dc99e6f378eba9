"""What reports promise: the numbers of the evaluation, true pictures, one file, nothing foreign."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import glnet
from glnet.benchmark.measuring import Cost
from glnet.benchmark.page import against_memory
from glnet.benchmark.results import Result
from glnet.benchmark.rows import rows_of
from glnet.benchmark.study import load_study
from glnet.benchmark.table import write_tables
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.manifest import Sample
from glnet.engines.models import save_model
from glnet.evaluation.gallery import EACH, LONG_SIDE, Gallery, cells_of
from glnet.geometry import Size, Window
from glnet.model import build_glnet
from glnet.outputs.pictures import as_rgb
from glnet.raster import Raster
from glnet.reports.charts import scales
from glnet.reports.curves import curves, read_epochs
from glnet.reports.pictures import PLAIN, RIGHT, STRIPE, WRONG, shrunk
from makers import (
    check_one_line,
    noise,
    opened,
    write_classes,
    write_manifest,
    write_png,
    write_text,
    write_tif,
)
from networks import tiny_settings
from test_package import NO_TORCH

UNKNOWN, FIELD, FOREST = (9, 9, 9), (20, 200, 40), (200, 100, 0)
TABLE = ClassTable(
    (
        ClassInfo("unknown", 0, UNKNOWN, ignored=True),
        ClassInfo("<b>field</b>", 1, FIELD),
        ClassInfo('forest "&', 2, FOREST),
    )
)
FILE = "report.html"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Text, cells, values and pictures of a page, by the section that holds them."""

    def __init__(self, path):
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.tags, self.words, self.path = [], [], []
        self.rows, self.values, self.images = {}, {}, {}
        self.in_cell = False
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "section":
            self.path = [attrs["id"]]
        if tag == "div" and "id" in attrs:
            self.path = [self.path[0], attrs["id"]]
        here = self.path[-1] if self.path else ""
        if tag == "tr":
            self.rows.setdefault(here, []).append([])
        if tag in ("td", "th"):
            self.rows[here][-1].append("")
            self.in_cell = True
        if tag == "data":
            self.values.setdefault(here, []).append(float(attrs["value"]))
        if tag == "img":
            self.images.setdefault(here, []).append(attrs["src"])

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, data):
        self.words.append(data)
        if self.in_cell:
            self.rows[self.path[-1]][-1][-1] += data.strip()

    def row(self, section, name):
        """Cells of a table's row."""
        return next(row for row in self.rows[section] if row and row[0] == name)


def picture(uri):
    """A data URI's pixels, (height, width, 3)."""
    kind, _, content = uri.partition(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))


@pytest.fixture
def data(tmp_path):
    """Five images of 24 x 30 px; the prediction of number i is wrong in i of 6 columns of field."""
    rows = []
    (tmp_path / "masks").mkdir()
    for i in range(5):
        labels = np.full((24, 30), 1, np.uint8)
        labels[:, 15:] = 2
        labels[20:] = 0
        guess = np.where(labels == 0, 1, labels).astype(np.uint8)
        guess[:, :i] = 2
        write_png(tmp_path / f"{i}.png", noise(3, 24, 30, seed=i))
        write_png(tmp_path / f"{i}_mask.png", labels)
        write_png(tmp_path / "masks" / f"{i}.png", guess)
        rows.append((f"{i}.png", f"{i}_mask.png", "test"))
    write_manifest(tmp_path / "manifest.csv", *rows)
    write_classes(tmp_path / "classes.csv", TABLE)
    return tmp_path


@pytest.fixture
def command(data, monkeypatch, glnet):
    """Run `glnet evaluate` in the folder: its status and the lines on stderr."""
    monkeypatch.chdir(data)
    return partial(glnet, "evaluate", "--manifest", "manifest.csv")


MASKS = ("--masks", "masks", "--classes", "classes.csv")


def write_model(folder, seed=0):
    torch.manual_seed(seed)
    save_model(folder, build_glnet(tiny_settings(), 2), TABLE, "Made for a <test>.")
    return folder


def evaluated(data, **options):
    return glnet.evaluate_masks(
        data / "masks", data / "manifest.csv", data / "classes.csv", **options
    )


@pytest.mark.parametrize("protocol", ["ignore", "glnet"])
def test_numbers_are_those_of_the_evaluation(data, command, protocol):
    """Headline, classes, ground and every cell of the confusion matrix, to the last digit."""
    status, _ = command(*MASKS, "--boundary", "--protocol", protocol, "--report", "out")

    assert status == 0
    page, found = Page(data / "out" / FILE), evaluated(data, protocol=protocol, boundary=True)
    scores, boundary = found.scores(), found.boundary_iou()
    mean, spread = found.mean_image_iou()
    assert page.values["scores"] == [
        scores.mean_iou, *found.mean_iou_interval(), mean, *spread, scores.accuracy,
        scores.mean_f1, boundary.mean(),
    ]  # fmt: skip
    columns = (scores.iou, scores.precision, scores.recall, scores.f1, boundary)
    assert page.values["classes"] == [column[i] for i in range(2) for column in columns]
    assert page.row("classes", "<b>field</b>")[1:] == [f"{100 * c[0]:.1f}" for c in columns]
    matrix = found.matrices["masks"]
    rows = [*matrix.counts, *([matrix.ignored] if protocol == "glnet" else [])]
    shares = [count / row.sum() for row in rows for count in row if count]
    assert page.values["confusion"] == pytest.approx(shares, abs=0)
    assert page.row("confusion", "<b>field</b>")[-1] == f"{matrix.counts[0].sum():,}".replace(
        ",", "\u202f"
    )
    counted = [part for i in range(2) for part in (
        scores.pixels[i] / scores.pixels.sum(), scores.predicted[i] / scores.predicted.sum()
    )]  # fmt: skip
    assert page.values["ground"] == pytest.approx(counted, abs=0)
    assert scores.predicted.sum() == sum(row.sum() for row in rows)


def test_a_model_is_shown_with_all_views_and_scored_as_without_a_report(data, command):
    """The same numbers whether or not anybody looks on; and what the model's folder says."""
    write_model(data / "run" / "model")
    options = ("-m", "run/model", "--device", "cpu", "--engine", "torch")

    status, _ = command(*options, "--report", "out", "--json", "seen.json")
    command(*options, "--json", "unseen.json")

    assert status == 0
    assert (data / "seen.json").read_bytes() == (data / "unseen.json").read_bytes()
    page = Page(data / "out" / FILE)
    found = glnet.evaluate(data / "run" / "model", data / "manifest.csv", device="cpu")
    for view in ("aggregated", "global", "local"):
        shown = f"{100 * found.scores(view).mean_iou:.1f}"
        assert page.row("scores", view)[1] == shown
    words = " ".join(page.words)
    assert "Made for a <test>." in words
    for told in ("torch", "trunk resnet18", "megapixels per second", glnet.__version__):
        assert told in words
    assert "training" not in page.rows  # nothing beside the model tells of it
    assert 'id="training"' not in page.text


def test_a_report_shows_how_often_confidence_is_right(data, command):
    """Of every tenth a row and a point, of every view its error; none where it was not counted."""
    write_model(data / "model")
    write_model(data / "other", seed=1)

    options = ("--against", "other", "--calibration", "--report", "out")
    status, _ = command("-m", "model", *options)
    command("-m", "model", "--report", "without")

    assert status == 0
    page = Page(data / "out" / FILE)
    views, others = (
        glnet.evaluate(data / name, data / "manifest.csv", calibration=True).calibrations
        for name in ("model", "other")
    )
    sure, other = views["aggregated"], others["aggregated"]
    bins, total = list(sure.bins()), sure.pixels.sum()
    shown = [[b.pixels / total, b.confidence, b.right] for b in bins]
    assert page.values["confidence"] == [sure.error(), *(value for row in shown for value in row)]
    lines = [attrs["points"].split() for tag, attrs in page.tags if tag == "polyline"]
    assert [len(points) for points in lines] == [len(bins), 2]
    for view, found in views.items():
        assert page.row("scores", view)[-1] == f"{100 * found.error():.1f}"
    both = [f"{100 * each.error():.1f}" for each in (sure, other)]
    assert page.row("comparison", "calibration error")[1:3] == both
    assert 'id="confidence"' not in (data / "without" / FILE).read_text()


def test_pictures_hold_the_exact_pixels(data, command):
    """Truth and prediction in the classes' colours, errors pixel by pixel, ignored ground striped.

    Image 4 is wrong in its first four columns; below row 20 nothing is counted.
    """
    command(*MASKS, "--report", "out")

    page = Page(data / "out" / FILE)
    photo, truth, prediction, errors = map(picture, page.images["lowest"][:4])
    field, forest = np.array(FIELD), np.array(FOREST)
    assert truth.shape == (24, 30, 3)
    assert (truth[:20, :15] == field).all()
    assert (truth[:20, 15:] == forest).all()
    assert (prediction[:, :4] == forest).all()
    assert (prediction[:20, 4:15] == field).all()
    assert (prediction[20:, 4:] == field).all()
    assert (errors[:20, :4] == WRONG).all()
    assert (errors[:20, 4:] == RIGHT).all()
    for ignored in (truth[20:], errors[20:]):
        assert {tuple(map(int, pixel)) for pixel in ignored.reshape(-1, 3)} == {PLAIN, STRIPE}
    with Raster(data / "4.png") as raster:
        near = np.abs(photo.astype(int) - np.moveaxis(raster.read(), 0, -1))
    assert near.mean() < 20  # a JPEG of noise


def test_by_the_glnet_protocol_what_is_predicted_on_unknown_ground_is_wrong(data, command):
    command(*MASKS, "--protocol", "glnet", "--report", "out")

    errors = picture(Page(data / "out" / FILE).images["lowest"][3])
    assert (errors[20:] == WRONG).all()
    assert (errors[:20, 4:] == RIGHT).all()


def test_the_lowest_and_the_highest_are_shown_once(data, command):
    """Five images, the more wrong the higher their number: three from below, two from above."""
    command(*MASKS, "--report", "out")

    page = Page(data / "out" / FILE)
    own = evaluated(data).image_mean_ious()
    assert page.values["lowest"] == [own[4], own[3], own[2]]
    assert page.values["highest"] == [own[0], own[1]]
    names = re.findall(r"\b(\d)\.png", " ".join(page.words))
    assert names == ["4", "3", "2", "0", "1"]


def kept(scores):
    """The images that a gallery keeps of scores in order, by number: lowest and highest."""
    gallery, names = Gallery(), [Path(str(i)) for i in range(len(scores))]
    samples = [Sample(name, name, "test") for name in names]
    gallery.begin(samples)
    for sample, score in zip(samples, scores, strict=True):
        one = np.zeros((2, 3), np.uint8)
        gallery.paint(sample, Size(2, 3), Window(0, 0, 2, 3), one, one)
        gallery.finish(sample, score)
    return [
        [int(picture.image.name) for _, picture in half]
        for half in (gallery.lowest, gallery.highest)
    ]


def test_a_gallery_keeps_what_a_sort_of_all_would():
    """Against sorting all; with ties, with images of no score, with few images."""
    nan = float("nan")
    rng = np.random.default_rng(0)
    sets = [[], [nan], [0.5], [0.5, 0.5], [nan, 0.2, nan, 0.1, 0.2], [0.5] * 11]
    sets += [list(rng.integers(0, 6, 40) / 6) for _ in range(20)]
    for scores in sets:
        order = sorted((s, i) for i, s in enumerate(scores) if not np.isnan(s))
        lowest = [i for _, i in order[: min(EACH, (len(order) + 1) // 2)]]
        above = order[len(lowest) :]
        highest = [i for _, i in above[::-1][:EACH]]
        assert kept(scores) == [lowest, highest]
        assert not set(lowest) & set(highest)


def test_an_image_in_parts_is_one_picture(data):
    """Painted window by window, in any order and between other images', it is as in one piece."""
    rng = np.random.default_rng(0)
    labels, guess = rng.integers(0, 3, (2, 1000, 731)).astype(np.uint8)
    parts = [Window(0, 0, 333, 400), Window(333, 0, 667, 400), Window(0, 400, 1000, 331)]
    whole, cut = Gallery(), Gallery()
    one = Sample(data / "a.tif", data / "m.tif", "test")
    several = [Sample(one.image, one.mask, "test", part) for part in parts]
    other = Sample(data / "b.tif", data / "m.tif", "test")

    whole.begin([one])
    whole.paint(one, Size(1000, 731), Window(0, 0, 1000, 731), labels, guess)
    whole.finish(one, 0.5)
    cut.begin([several[2], other, several[0], several[1]])
    for sample in (several[2], other, several[0], several[1]):
        window = sample.window or Window(0, 0, 2, 2)
        inside = window.slices if sample.window else np.s_[:2, :2]
        whole_part = Window(0, 0, *window.size)
        cut.paint(sample, window.size, whole_part, labels[inside], guess[inside])
        cut.finish(sample, 0.9 if sample is other else 0.5)

    (_, expected), (_, found) = whole.lowest[0], cut.lowest[0]
    assert found.extent == expected.extent == Window(0, 0, 1000, 731)
    assert expected.labels.shape == cells_of(Size(1000, 731)) == (LONG_SIDE, 351)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.prediction, expected.prediction)
    middles = [(2 * np.arange(n) + 1) * side // (2 * n) for n, side in ((480, 1000), (351, 731))]
    np.testing.assert_array_equal(expected.labels, labels[np.ix_(*middles)])


def test_of_an_image_that_is_tested_in_part_that_part_is_shown(data, command):
    """Two windows of image 4: the box around them, stripes where neither is."""
    rows = [f"4.png,4_mask.png,test,{window}" for window in ("2 1 6 10", "10 3 5 20")]
    write_text(data / "manifest.csv", "image,mask,split,window", *rows)

    command(*MASKS, "--report", "out")

    page = Page(data / "out" / FILE)
    photo, truth, prediction, errors = map(picture, page.images["lowest"])
    assert "rows 2 to 15, columns 1 to 23" in page.words
    assert {each.shape for each in (photo, truth, prediction, errors)} == {(13, 22, 3)}
    assert (errors[:6, :3] == WRONG).all()
    assert (errors[:6, 3:10] == RIGHT).all()
    assert (errors[8:, 2] == WRONG).all()
    assert (errors[8:, 3:] == RIGHT).all()
    assert (truth[8:, 14:] == FOREST).all()
    for neither in (np.s_[6:8], np.s_[8:, :2], np.s_[:6, 10:]):
        for shown in (truth, prediction, errors):
            assert {tuple(map(int, p)) for p in shown[neither].reshape(-1, 3)} == {PLAIN, STRIPE}


def test_a_model_that_cuts_images_into_scenes_shows_them_whole(data, command):
    """Pictures of an image in four scenes are those of the masks that the model writes."""
    torch.manual_seed(0)
    large = noise(3, 96, 120)
    labels = noise(96, 120) // 128 + np.uint8(1)
    write_png(data / "0.png", large)
    write_png(data / "0_mask.png", labels)
    write_manifest(data / "manifest.csv", ("0.png", "0_mask.png", "test"))
    cut = tiny_settings(scene=64)
    save_model(data / "model", build_glnet(cut, 2), TABLE, "Made for a test.")

    command("-m", "model", "--device", "cpu", "--engine", "torch", "--report", "out")

    page = Page(data / "out" / FILE)
    _, truth, prediction, errors = map(picture, page.images["lowest"])
    colours = np.array([(0, 0, 0), FIELD, FOREST])
    np.testing.assert_array_equal(truth, colours[labels])
    assert "rows 0" not in " ".join(page.words)  # all of it is shown
    right = (truth == prediction).all(axis=2)
    np.testing.assert_array_equal(errors, np.where(right[..., None], RIGHT, WRONG))
    assert right.mean() == pytest.approx(page.values["scores"][2])


def test_images_are_shrunk_by_the_mean_of_every_cell(tmp_path):
    """Of a part of a file, strip by strip; other values than bytes are stretched to be seen."""
    pixels = noise(4, 150, 90, dtype=np.uint16)
    write_tif(tmp_path / "a.tif", pixels)
    with Raster(tmp_path / "a.tif") as raster:
        means = shrunk(raster, Window(10, 20, 120, 60), Size(40, 30))
        rgb = as_rgb(means, raster.dtype)

    inside = pixels[:, 10:130, 20:80].reshape(4, 40, 3, 30, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(means, inside)
    assert rgb.shape == (40, 30, 3)
    assert (rgb.min(), rgb.max()) == (0, 255)


@pytest.mark.parametrize("colours", [{1: (10,), 3: (50,)}, {1: (10, 20, 30), 3: (50, 60, 70)}])
def test_what_has_no_data_has_no_share_in_a_picture(tmp_path, colours):
    """A cell of nothing else has the mean of all; of a palette those of its colours."""
    pixels = np.full((1, 8, 8), 1, np.uint8)
    pixels[0, :, :4] = 3
    pixels[0, :4, 4:] = pixels[0, :, 1] = 0
    one, three = (np.array(colours[value], float) for value in (1, 3))
    if len(one) == 1:
        pixels = np.choose(pixels, [0, 10, 0, 50]).astype(np.uint8)
    path = write_tif(tmp_path / "a.tif", pixels, nodata=0)
    if len(one) > 1:
        with opened(path, "r+") as file:
            file.write_colormap(1, colours)

    with Raster(path) as raster:
        found = np.moveaxis(shrunk(raster, Window(0, 0, 8, 8), Size(2, 2)), 0, -1)

    np.testing.assert_allclose(found, [[three, (24 * three + 16 * one) / 40], [three, one]])


def test_a_report_is_one_file_that_needs_nothing(data, command):
    """No address, no script, no style sheet or font from elsewhere; every picture is inside."""
    write_model(data / "model")
    command("-m", "model", "--device", "cpu", "--engine", "torch", "--report", "out")

    page = Page(data / "out" / FILE)
    assert [path.name for path in (data / "out").iterdir()] == [FILE]
    assert not re.search(r"https?:|@import|@font-face|url\(", page.text)
    for tag, attrs in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        assert "href" not in attrs
        assert attrs.get("src", "data:image/").startswith("data:image/")
        assert not any(name.startswith("on") for name in attrs)


def test_names_are_shown_as_they_are(data, command):
    """A class that is called like a tag, and a folder that is, show as text."""
    (data / "masks").rename(data / "<i>&masks")

    command("--masks", "<i>&masks", "--classes", "classes.csv", "--report", "out")

    page = Page(data / "out" / FILE)
    assert "i" not in {tag for tag, _ in page.tags}
    assert "<b>field" not in page.text
    words = " ".join(page.words)
    for name in ("<b>field</b>", 'forest "&', "<i>&masks"):
        assert name in words


def luminance(colour):
    """As WCAG has it, of sRGB in 0..255."""
    share = np.asarray(colour, float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_what_is_written_can_be_read(data, command, dark):
    """A contrast of 4.5 on all grounds, that of the matrix' strongest cells among them."""
    command(*MASKS, "--report", "out")
    themes = Page(data / "out" / FILE).text.split(":root {")
    said = dict(re.findall(r"--([a-z-]+): ([^;]+);", themes[1 + dark].partition("}")[0]))

    def colour(name):
        text = said[name]
        if not text.startswith("#"):
            return np.array(text.split(), int)
        return np.array([int(c, 16) for c in re.findall("..", text[1:].rjust(6, text[1]))])

    for words, ground in (("ink", "paper"), ("dim", "paper"), ("dim", "panel"),
                          ("on-deep", "accent"), ("on-pale", "pale")):  # fmt: skip
        assert contrast(colour(words), colour(ground)) >= 4.5, (words, ground)
    assert contrast(colour("pale"), colour("panel")) >= 2.7
    for cell in ("accent", "warn"):
        for share in np.linspace(0, 1, 21) * float(said["tint"]):
            ground = share * colour(cell) + (1 - share) * colour("paper")
            assert contrast(colour("ink"), ground) >= 4.5, (cell, share)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_on_a_phone_long_names_stay_beside_their_colours(data, command):
    """Nothing makes the page wider than the screen."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    long = ("a_class_name_that_has_no_place_to_break_it_" * 2, "and one of many words " * 4)
    rows = (replace(row, name=name) for row, name in zip(TABLE.rows[1:], long, strict=True))
    write_classes(data / "classes.csv", ClassTable((TABLE.rows[0], *rows)))
    command(*MASKS, "--report", "out")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844}, java_script_enabled=False)
        page.goto((data / "out" / FILE).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        apart = page.evaluate("""[...document.querySelectorAll(".named")].map((name) => {
              const words = document.createRange();
              words.selectNodeContents(name.lastChild);
              const line = words.getClientRects()[0];
              const colour = name.querySelector(".swatch").getBoundingClientRect();
              return [line.left - colour.right, colour.top - line.top, line.bottom - colour.bottom];
            })""")
        browser.close()

    assert len(apart) > 10
    assert np.min(apart) >= 0


def test_a_comparison_shows_both_and_what_is_between(data, command):
    """Both scores and the paired interval, and what follows is of the first."""
    (data / "poor").mkdir()
    for i in range(5):
        write_png(data / "poor" / f"{i}.png", np.full((24, 30), 1 + i % 2, np.uint8))

    command(*MASKS, "--against", "poor", "--report", "out")

    ours = evaluated(data)
    theirs = glnet.evaluate_masks(data / "poor", data / "manifest.csv", data / "classes.csv")
    between = glnet.Comparison(ours, theirs)
    page = Page(data / "out" / FILE)
    assert page.values["comparison"][:9] == [
        ours.scores().mean_iou, *ours.mean_iou_interval(),
        theirs.scores().mean_iou, *theirs.mean_iou_interval(),
        between.mean_iou, *between.mean_iou_interval,
    ]  # fmt: skip
    assert page.values["scores"][0] == ours.scores().mean_iou
    assert "A is better in mean IoU" in " ".join(page.words)
    assert "behind" in page.images
    assert "ahead" not in page.images


def test_a_comparison_shows_the_images_that_are_farthest_apart(data, command):
    """Numbers 0 and 1 are better by A, 3 and 4 by B, 2 is the same: predictions and errors of both.

    A is wrong in i columns of number i; B in 4 - i.
    """
    (data / "other").mkdir()
    for i in range(5):
        shutil.copy(data / "masks" / f"{4 - i}.png", data / "other" / f"{i}.png")

    command(*MASKS, "--against", "other", "--report", "out")

    page, own = Page(data / "out" / FILE), evaluated(data).image_mean_ious()
    words = " ".join(page.words)
    assert re.findall(r"\b(\d)\.png", words) == ["0", "1", "4", "3"]
    assert words.index("B furthest behind A") < words.index("B furthest ahead of A")
    far, near = own[0] - own[4], own[1] - own[3]
    assert page.values["behind"] == [-far, own[0], own[4], -near, own[1], own[3]]
    assert page.values["ahead"] == [far, own[4], own[0], near, own[3], own[1]]
    for place, number in (("behind", 0), ("ahead", 4)):
        _, truth, *sides = map(picture, page.images[place][:6])
        assert (truth[:20, :15] == FIELD).all()
        for wrong, (prediction, errors) in zip(
            (number, 4 - number), (sides[:2], sides[2:]), strict=True
        ):
            assert (prediction[:, :wrong] == FOREST).all()
            assert (prediction[:20, wrong:15] == FIELD).all()
            assert (errors[:20, :wrong] == WRONG).all()
            assert (errors[:20, wrong:] == RIGHT).all()
    for caption in ("errors of A, masks", "errors of B, other"):
        assert caption in page.words


def test_sides_that_are_alike_show_no_image(data, command):
    shutil.copytree(data / "masks", data / "other")
    command(*MASKS, "--against", "other", "--report", "out")

    page = Page(data / "out" / FILE)
    assert page.images == {}
    assert "no image whose mean IoU" in " ".join(page.words)


def test_models_of_other_tables_are_shown_in_their_own_colours(data, command):
    """Both models see every image; the second has other colours for the same classes."""
    write_model(data / "a")
    rows = [replace(row, colour=(row.value, 90, 250)) for row in TABLE.rows]
    torch.manual_seed(1)
    save_model(
        data / "b", build_glnet(tiny_settings(), 2), ClassTable(tuple(rows)), "Made for a test."
    )
    computed = ("--device", "cpu", "--engine", "torch")

    status, _ = command("-m", "a", "--against", "b", *computed, "--report", "out")

    assert status == 0
    page = Page(data / "out" / FILE)
    assert page.images
    for images in page.images.values():
        for first in range(0, len(images), 6):
            _, truth, one, _, two, _ = map(picture, images[first : first + 6])
            assert {tuple(map(int, p)) for p in one.reshape(-1, 3)} <= {FIELD, FOREST}
            assert {tuple(map(int, p)) for p in two.reshape(-1, 3)} <= {(1, 90, 250), (2, 90, 250)}
            assert (truth[:20, :15] == FIELD).all()


def test_masks_are_reported_without_images_and_without_pytorch(data):
    """In a process where importing it fails, by the command; what is missing is said."""
    for i in range(5):
        (data / f"{i}.png").unlink()
    arguments = ["evaluate", "--manifest", "manifest.csv", *MASKS, "--report", "out"]
    code = f"sys.argv[1:] = {arguments}\nfrom glnet.cli import main\nmain()"

    subprocess.run([sys.executable, "-c", NO_TORCH + code], cwd=data, check=True)

    page = Page(data / "out" / FILE)
    assert "no image to be read" in page.words
    assert len(page.images["lowest"]) == 3 * 3


def test_images_without_labels_and_classes_without_pixels_are_dashes(data, command):
    """Nothing is divided by nothing: an image of ignored ground alone has no score, no picture."""
    for i in range(5):
        write_png(data / f"{i}_mask.png", np.zeros((24, 30), np.uint8))

    status, _ = command(*MASKS, "--report", "out")

    assert status == 0
    page = Page(data / "out" / FILE)
    assert "scores" not in page.values
    assert page.images == {}
    assert "nan" not in " ".join(page.words).lower()


def test_many_classes_are_listed_by_their_confusions(data, command):
    """40 classes, of which one is taken for another."""
    table = ClassTable(tuple(ClassInfo(f"class {i}", i, (i, i, 9)) for i in range(40)))
    write_classes(data / "classes.csv", table)
    for i in range(5):
        labels = np.arange(24 * 30).reshape(24, 30) % 40
        write_png(data / f"{i}_mask.png", labels.astype(np.uint8))
        write_png(data / "masks" / f"{i}.png", np.where(labels == 7, 31, labels).astype(np.uint8))

    command(*MASKS, "--report", "out")

    assert Page(data / "out" / FILE).rows["confusion"][1:] == [
        ["class 7", "class 31", "90", "100.0"]
    ]


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("manifest.csv", "is a file"),
        ("manifest.csv/deeper", "cannot be written there"),
        ("taken", "is a folder"),
        (f"{'m' * 300}", "cannot be written there"),
    ],
)
def test_a_folder_that_cannot_be_is_found_first(data, command, out, told):
    """In a line, before the work: the masks are gone, which an evaluation would miss."""
    (data / "taken" / FILE).mkdir(parents=True)
    (data / "masks" / "0.png").unlink()

    status, lines = command(*MASKS, "--report", out)

    check_one_line(status, lines, out, told)


def test_an_older_report_is_replaced_whole_or_stays(data, command):
    """A second command replaces it; one that fails leaves it, and nothing half written."""
    (data / "out").mkdir()
    write_text(data / "out" / FILE, "an older one " * 100_000)

    command(*MASKS, "--report", "out")
    first = (data / "out" / FILE).read_bytes()
    (data / "masks" / "3.png").unlink()
    status, _ = command(*MASKS, "--report", "out")

    assert b"an older one" not in first
    assert first.rstrip().endswith(b"</html>")
    assert status == 1
    assert (data / "out" / FILE).read_bytes() == first
    assert [path.name for path in (data / "out").iterdir()] == [FILE]


def test_training_is_drawn_where_the_run_is_around_the_model(tmp_path):
    """A line per stage for the loss, one per view for what validation found; nothing otherwise."""
    write_text(
        tmp_path / "metrics.csv",
        "stage,epoch,loss,learning_rate,seconds,aggregated,global,local",
        "global,1,2.0,0.1,1,,0.25,",
        "global,2,1.0,0.1,2,,0.50,",
        "global_to_local,1,4.0,0.1,3,0.75,0.5,0.5",
        "global_to_local,2,nan,0.1,4,,,",
    )
    for model in (tmp_path / "model", tmp_path / "global" / "best"):
        epochs = read_epochs(model)
        loss, scores = curves(epochs)
        places = [[x for x, _ in line.points] for line in loss.lines]
        assert places == [[loss.x(1), loss.x(2)], [loss.x(3)]]
        assert loss.lines[0].points[1][1] == loss.y(1.0) > loss.lines[0].points[0][1]
        assert scores.names == ["aggregated", "global", "local"]
        assert scores.lines[0].points == [(scores.x(3), scores.y(75))]
        assert [name for _, name in loss.parts] == ["global", "global_to_local"]
    for lines in (["stage"], ["stage,epoch,loss", "global,1,high"], []):
        write_text(tmp_path / "metrics.csv", *lines)
        assert curves(read_epochs(tmp_path / "model")) == []
    assert read_epochs(tmp_path / "none" / "model") == []


def test_axes_have_a_few_round_marks():
    """Whatever the values are, all alike too."""
    for ys in ([0.0, 1.0], [3.0, 3.0], [0.0], [1e-5, 2e-5], [87.3, 88.0, 1e6]):
        for axis in scales([0, 1], ys):
            texts = [text for _, text in axis.marks]
            assert 1 <= len(texts) <= 7
            assert len(set(texts)) == len(texts)


COST = Cost(1_500_000, 0.1, 2.5, 0.5, 321.0, None, None, "A processor <fast>")


@pytest.fixture
def study(data):
    """A study of two entries, one of them measured; the other has two seeds and no memory."""
    text = {
        "title": "Does <it> pay?",
        "recipe": {"data": {"manifest": "manifest.csv", "classes": "classes.csv"}},
        "seeds": [0, 1],
        "entries": [
            {"name": "one", "published": {"mean_iou": 70.9, "memory_mb": 1395}},
            {"name": "other & more", "settings": {"model": {"sharing": "none"}}},
        ],
    }
    write_text(data / "study.yaml", json.dumps(text))
    study, found = load_study(data / "study.yaml"), evaluated(data)
    jobs = {(job.entry.name, job.seed): job for job in study.jobs}
    return study, found, {
        jobs["one", 0]: Result.of({}, found, "masks", 60.0, COST),
        jobs["other & more", 0]: Result.of({}, found, "masks", 90.0, None),
        jobs["other & more", 1]: Result.of({}, found, "masks", 90.0, None),
    }  # fmt: skip


def test_a_benchmark_has_a_page_of_its_tables(data, study):
    """The cells of table.md, the runs' scores, all classes; unfinished is said; names are text."""
    study, found, results = study

    write_tables(study, results, data)

    page = Page(data / FILE)
    lines = [line for line in (data / "table.md").read_text().splitlines() if line[:1] == "|"]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert page.rows["entries"] == [["", *cells[0]], ["1", *cells[2]], ["2", *cells[3]]]
    assert page.rows["ious"] == [cells[4], *cells[6:8]]
    scores = found.scores()
    assert page.values["runs"] == [scores.mean_iou] * 3
    assert page.values["ious"] == [scores.iou[0]] * 2 + [scores.iou[1]] * 2
    words = " ".join(page.words)
    for told in ("Does <it> pay?", "A processor <fast>", "3 of 4 runs", "sharing: none"):
        assert told in words
    assert not re.search(r"https?:|url\(|<script|<link", page.text)


def test_the_chart_of_a_benchmark_stands_where_the_numbers_are(study):
    """What was measured above its memory, what was published pale; entries without one left out."""
    study, found, results = study

    chart = against_memory(rows_of(study, results))

    ours, theirs = chart.points
    low, high = found.mean_iou_interval()
    assert (ours.x, ours.y) == (chart.x(321), chart.y(100 * found.scores().mean_iou))
    assert (ours.low, ours.high) == (chart.y(100 * low), chart.y(100 * high))
    assert (theirs.x, theirs.y, theirs.pale) == (chart.x(1395), chart.y(70.9), True)
    assert {ours.text, theirs.text} == {"1"}
    assert against_memory(rows_of(study, dict(list(results.items())[1:]))) is None
