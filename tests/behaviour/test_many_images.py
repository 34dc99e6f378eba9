"""Many images at once, by one process or by several: what is written is what each alone gives."""

import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from batches import scene, scenes, start, written
from glnet.errors import BundleError, GatheredError, RunError
from glnet.evaluation.masks import evaluate_masks
from glnet.prediction.locks import locked, shared
from glnet.prediction.predict import predict, predict_many, segment
from glnet.prediction.vectorise import PolygonWish
from makers import check_one_line, cut, opened, write_tif
from networks import exported_tiny, random_scene

SCENE = 128


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported_tiny(tmp_path_factory.mktemp("model") / "model", ["a", "b", "c"], patch=64)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two images of one scene, two that are cut into 9 and 12."""
    sizes = {"one": (96, 120), "wide": (232, 360), "other": (128, 64), "square": (264, 264)}
    return scenes(tmp_path_factory.mktemp("images"), sizes)


@pytest.fixture(scope="module")
def alone(images, model, tmp_path_factory):
    """Every image by a call of its own."""
    folder = tmp_path_factory.mktemp("alone")
    for image in images:
        mask, confidence, polygons = (
            folder / f"{image.stem}{suffix}" for suffix in (".tif", ".confidence.tif", ".geojson")
        )
        wish = PolygonWish(polygons)
        predict(image, model, mask, confidence=confidence, polygons=wish, scene=SCENE)
    return written(folder)


ALSO = ("--also", "confidence", "--also", "geojson", "--scene", SCENE)


def test_a_folder_in_one_go_gives_what_each_image_gives_alone(images, model, alone, tmp_path):
    process = start(images[0].parent / "*.tif", "-m", model, "--out-dir", tmp_path / "d", *ALSO)
    lines, errors = process.communicate()

    assert process.returncode == 0, errors
    assert len(alone) == 4 * len(images)
    assert written(tmp_path / "d") == alone
    assert [line.split("]")[0] for line in lines.splitlines() if line.startswith("[")] == [
        "[1/4", "[2/4", "[3/4", "[4/4"
    ]  # fmt: skip
    kinds = {".tif", ".qml", ".json", ".geojson"}
    assert {path.suffix for path in (tmp_path / "d").iterdir()} == kinds  # no parts are left
    told = json.loads((tmp_path / "d" / "glnet-predict.json").read_text(encoding="utf-8"))
    assert [Path(one["image"]).stem for one in told] == ["one", "other", "square", "wide"]
    assert {one["status"] for one in told} == {"written"}


def test_four_processes_with_a_part_each_and_one_that_puts_together(images, model, alone, tmp_path):
    """All at once over one folder; the last command computes nothing."""
    told = [*images, "-m", model, "--out-dir", tmp_path / "d", *ALSO]
    shares = [start(*told, "--part", f"{index}/4") for index in range(1, 5)]
    for process in shares:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    assert not list((tmp_path / "d").glob("*.tif"))

    process = start(*told)
    _, errors = process.communicate()

    assert process.returncode == 0, errors
    assert written(tmp_path / "d") == alone
    assert not list((tmp_path / "d").glob("*.parts"))
    reports = [json.loads(path.read_text()) for path in (tmp_path / "d").glob("*.report.json")]
    assert [report["computed"] for report in reports] == [0] * 4
    assert sum(report["reused"] for report in reports) == sum(r["parts"] for r in reports)


def test_images_that_changed_since_shares_were_dealt_are_dealt_anew(model, tmp_path):
    """Processes count scenes once for all: the later ones trust the first while nothing changes."""
    image, other = scene(tmp_path / "a.tif", 264, 264), scene(tmp_path / "b.tif", 264, 264)
    folder, both = tmp_path / "d", [image, other]
    first = predict_many(both, model, folder, scene=SCENE, part="1/2")
    assert [(found.report.computed, found.report.parts) for found in first] == [(9, 9)]
    scene(other, 96, 264)

    shares = [predict_many(both, model, folder, scene=SCENE, part=f"{n}/2") for n in (1, 2)]

    assert [found.error for share in shares for found in share] == [None] * 3
    whole = predict_many(both, model, folder, scene=SCENE)
    assert [found.report.computed for found in whole] == [0, 0]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_what_a_lost_share_would_have_done_is_done_at_the_end(images, model, alone, tmp_path):
    wide = next(image for image in images if image.stem == "wide")
    for part in ("1/3", "3/3"):
        predict(wide, model, tmp_path / "wide.tif", scene=SCENE, part=part)

    report = predict(wide, model, tmp_path / "wide.tif", scene=SCENE)

    assert (tmp_path / "wide.tif").read_bytes() == alone["wide.tif"]
    assert report.parts == 12
    assert 0 < report.computed < 12


def test_several_failures_among_fifty_leave_forty_five_masks(model, tmp_path):
    """No image, a torn one, wrong bands, no file, and one that goes while others are computed."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(50):
        scene(folder / f"i{number:02}.tif", 64, 72, seed=number)
    (folder / "i03.tif").write_text("no image", encoding="utf-8")
    cut(folder / "i11.tif", 0.5)
    write_tif(folder / "i20.tif", random_scene(64, 72, bands=2).pixels)
    images = sorted(folder.iterdir())
    (folder / "i31.tif").unlink()

    process = start(*images, "-m", model, "--out-dir", out)
    for line in process.stdout:
        if line.startswith("[1/50]"):
            (folder / "i49.tif").unlink()
    errors = process.communicate()[1].splitlines()

    failed = [3, 11, 20, 31, 49]
    assert process.returncode == 1
    assert [line.split(":")[1].strip() for line in errors] == [str(images[n]) for n in failed]
    assert all(line.startswith("glnet: ") and "Traceback" not in line for line in errors)
    masks = sorted(out.glob("*.tif"))
    assert [path.name for path in masks] == [
        image.name for n, image in enumerate(images) if n not in failed
    ]
    for path in masks[::9]:
        with opened(path) as file:
            assert (file.read(1) == segment(folder / path.name, model)).all()
    assert not [path for path in out.iterdir() if ".parts" in path.name and any(path.iterdir())]


@pytest.mark.parametrize("second", ["sub/a.tif", "A.TIF", "a.png"])
def test_two_inputs_that_would_be_one_output_are_refused_before_any_work(
    model, tmp_path, glnet, second
):
    (tmp_path / "sub").mkdir()
    one, two = scene(tmp_path / "a.tif", 64, 64), tmp_path / second
    two.write_bytes(one.read_bytes())

    status, lines = glnet("predict", one, two, "-m", model, "--out-dir", tmp_path / "out")

    check_one_line(
        status, lines, f"{two}: would become", f"as {one} would; rename one, or keep their"
    )
    assert not (tmp_path / "out").exists()


def test_a_tree_of_images_of_equal_names_is_kept_and_can_be_evaluated(model, tmp_path):
    """Two sites whose tiles have the same names, and a mask for each where it is looked for."""
    tree, out = tmp_path / "sites", tmp_path / "out"
    for number, site in enumerate(("east/1", "west")):
        (tree / site).mkdir(parents=True)
        scene(tree / site / "a.tif", 64, 72 + 8 * number, seed=number)

    process = start(
        tree / "**/*.tif", "-m", model, "--out-dir", out, "--root", tree / "west" / ".."
    )

    lines, errors = process.communicate()
    assert process.returncode == 0, errors
    assert [line.split(":")[0] for line in lines.splitlines() if line.startswith("[")] == [
        "[1/2] east/1/a.tif",
        "[2/2] west/a.tif",
    ]
    masks = [out / "east/1/a.tif", out / "west/a.tif"]
    for mask, image in zip(masks, sorted(tree.rglob("*.tif")), strict=True):
        with opened(mask) as file:
            assert (file.read(1) == segment(image, model)).all()
    rows = "".join(f"sites/{mask.relative_to(out)},{mask},test\n" for mask in masks)
    (tmp_path / "manifest.csv").write_text(f"image,mask,split\n{rows}", encoding="utf-8")
    (tmp_path / "classes.csv").write_text("name,value\na,0\nb,1\nc,2\n", encoding="utf-8")
    found = evaluate_masks(out, tmp_path / "manifest.csv", tmp_path / "classes.csv")
    assert np.trace(found.matrices["masks"].counts) == 64 * (72 + 80)


def test_an_image_outside_of_the_tree_that_is_kept_is_refused(model, tmp_path, glnet):
    (tmp_path / "tree").mkdir()
    one, other = scene(tmp_path / "tree/a.tif", 64, 64), scene(tmp_path / "b.tif", 64, 64)

    status, lines = glnet(
        "predict", one, other, "-m", model, "--out-dir", tmp_path / "d", "--root", tmp_path / "tree"
    )

    check_one_line(status, lines, f"{other}: is not below --root", "name one that has all")
    assert not (tmp_path / "d").exists()


def test_a_folder_of_masks_that_holds_the_images_is_refused(model, tmp_path, glnet):
    one = scene(tmp_path / "a.tif", 64, 64)
    before = one.read_bytes()

    status, lines = glnet("predict", one, "-m", model, "--out-dir", tmp_path)

    check_one_line(status, lines, "is an image of this same command; name another folder")
    assert one.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("a.tif", "b.tif", "-o", "m.tif"), "say --out-dir"),
        (("a.tif",), "name the mask with --out"),
        (("a.tif", "-o", "m.tif", "--out-dir", "d"), "give one of the two"),
        (("a.tif", "--out-dir", "d", "--confidence", "c.tif"), "say --also confidence"),
        (("a.tif", "--out-dir", "d", "--polygons", "c.gpkg"), "say --also geojson, or gpkg"),
        (("a.tif", "-o", "m.tif", "--also", "scores"), "--also belongs to --out-dir"),
        (("a.tif", "--out-dir", "d", "--also", "everything"), "--also: wanted confidence"),
    ],
)
def test_options_that_do_not_go_together_are_told(arguments, said, glnet):
    status, lines = glnet("predict", *arguments, "-m", "model")

    assert status == 2
    assert said in " ".join(" ".join(lines).replace("│", " ").split())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"also": "scores"}, "also: wanted a list of confidence, .*; found 's'"),
        ({"also": ["polygons"]}, "also: wanted a list of confidence, .*; found 'polygons'"),
        ({"scene": 0}, "scene: wanted 64 px or more, got 0"),
        ({"resolution": 0}, "resolution: wanted metres per pixel or 'native', got 0"),
        ({"resolution": "0.5"}, "resolution: .* got '0.5'"),
        ({"mpp": float("nan")}, "mpp: wanted microns per pixel, got nan"),
        ({"on_error": "ignore"}, "on_error: wanted stop or nodata, got 'ignore'"),
    ],
)
def test_what_the_command_line_refuses_python_refuses_too(model, tmp_path, options, told):
    """Nothing is passed over in silence."""
    with pytest.raises(RunError, match=told):
        predict_many(["a.tif"], model, tmp_path / "d", **options)

    assert not (tmp_path / "d").exists()


def test_a_pattern_that_fits_nothing_is_one_line(model, tmp_path, glnet):
    pattern = tmp_path / "*.tif"

    status, lines = glnet("predict", pattern, "-m", model, "--out-dir", tmp_path / "d")

    check_one_line(status, lines, f"{pattern}: no file has such a name")


def outcomes(images, model, folder, **options):
    found = predict_many(iter(images), model, folder, scene=SCENE, **options)
    return {outcome.job.image.stem: outcome for outcome in found}


def test_what_is_done_is_known_by_its_content(images, model, alone, tmp_path):
    """Not by its name, its time or its place."""
    folder = tmp_path / "d"
    first = outcomes(images, model, folder)
    assert not any(outcome.before for outcome in first.values())
    (folder / "one.tif").touch()
    (folder / "wide.tif").write_bytes(alone["square.tif"])
    (folder / "other.tif").unlink()

    second = outcomes(images, model, folder)

    assert {name: found.before for name, found in second.items()} == {
        "one": True, "wide": False, "other": False, "square": True,
    }  # fmt: skip
    masks = {name: data for name, data in alone.items() if name.count(".") == 1}
    masks = {name: data for name, data in masks.items() if not name.endswith(".geojson")}
    assert written(folder) == masks
    more = outcomes(images, model, folder, also=["confidence"])
    assert not any(outcome.before for outcome in more.values())
    assert all(outcome.before for outcome in outcomes(images, model, folder).values())
    scene(images[0], 96, 120, seed=99)
    third = outcomes(images, model, folder)
    again = predict_many(images[1:], model, folder, scene=SCENE, part="1/1")
    assert all(found.before for found in again)
    assert not list(folder.glob("*.parts"))
    assert [name for name, found in third.items() if not found.before] == ["one"]
    scene(images[0], 96, 120, seed=0)


def test_one_image_is_not_predicted_twice_and_it_is_said(images, model, tmp_path):
    said = []
    first = predict(images[0], model, tmp_path / "m.tif")
    before = (tmp_path / "m.tif").stat().st_mtime_ns

    second = predict(images[0], model, tmp_path / "m.tif", said=said.append)

    assert (second, (tmp_path / "m.tif").stat().st_mtime_ns) == (first, before)
    assert "was made before, and nothing has changed since" in said[-1]


def test_an_output_is_not_put_together_while_others_compute(images, model, tmp_path):
    out = tmp_path / "mask.tif"
    who = f"being written by process {os.getpid()} on"
    with shared(out, "2-of-3"):
        with pytest.raises(RunError, match=who):
            predict(images[0], model, out)
        with pytest.raises(RunError, match=who):
            predict(images[0], model, out, part="2/3")
        with shared(out, "3-of-3"):
            pass
    with locked(out), pytest.raises(RunError, match=who):
        predict(images[1], model, out, scene=SCENE, part="1/3")

    assert predict(images[0], model, out).computed == 1


def test_a_scene_that_fails_fails_its_share_alone(images, model, tmp_path):
    """And what is torn in one place is told by whoever reads that place."""
    image = tmp_path / "torn.tif"
    wide = next(image for image in images if image.stem == "wide")
    image.write_bytes(wide.read_bytes())
    cut(image, 0.75)

    predict(image, model, tmp_path / "m.tif", scene=SCENE, part="1/4")
    with pytest.raises(
        GatheredError, match=r"rows 154 to 232, columns 90 to 180: .*cannot be decoded"
    ):
        predict(image, model, tmp_path / "m.tif", scene=SCENE, part="4/4")


def test_parts_of_another_number_of_threads_are_not_used_and_it_is_said(
    images, model, tmp_path, monkeypatch
):
    said = []
    wide = next(image for image in images if image.stem == "wide")
    predict(wide, model, tmp_path / "m.tif", scene=SCENE, part="1/2")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")

    report = predict(wide, model, tmp_path / "m.tif", scene=SCENE, said=said.append)

    assert report.computed == report.parts
    assert any(
        "parts that are not used, as they were made with other engine" in line for line in said
    )


@pytest.fixture
def damaged(model, tmp_path):
    """A model whose first graph is torn: it is found when the first scene is computed."""
    folder = shutil.copytree(model, tmp_path / "damaged")
    cut(next(folder.rglob("global.onnx")), 0.5)
    return folder


def test_nobody_reads_any_more_when_the_model_has_failed(images, damaged, tmp_path):
    """Not even while the error is told: the image is closed, and a thread would read on in it."""
    wide = next(image for image in images if image.stem == "wide")
    before = threading.active_count()

    with pytest.raises(BundleError) as caught:
        predict(wide, damaged, tmp_path / "m.tif", scene=SCENE, engine="openvino")

    assert caught.value.__traceback__ is not None
    assert threading.active_count() == before


def test_every_image_is_told_of_when_the_model_fails(images, model, damaged, tmp_path):
    """Also those that were being read meanwhile; what an earlier run has made stays made."""
    folder = tmp_path / "d"

    found = predict_many(images, damaged, folder, scene=SCENE, engine="openvino")

    assert [outcome.job.image for outcome in found] == images
    assert all(isinstance(outcome.error, BundleError) for outcome in found)
    assert not list(folder.glob("*.parts"))
    shutil.copytree(model, damaged, dirs_exist_ok=True)
    mended = predict_many(images, damaged, folder, scene=SCENE, engine="openvino")
    assert [outcome.error for outcome in mended] == [None] * len(images)
