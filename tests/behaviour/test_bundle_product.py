"""What a model folder promises as a product, and its results where people open them."""

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import numpy as np
import pystac
import pytest
import yaml
from pystac.stac_object import STACObjectType
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from rasterio.transform import Affine
from stac_model.schema import MLModelProperties

import glnet as api
from glnet.bundle import FORMAT, GRAPHS, INT8, TrainedOn, write_digest
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.engines.export import export_graphs
from glnet.engines.models import save_model
from glnet.errors import RasterError
from makers import check_one_line, noise, opened, write_manifest, write_png, write_tif
from networks import seasoned
from runs import write_data, write_recipe

AWKWARD = 'road, "paved" & <new>\n\x01é'
TABLE = ClassTable(
    (
        ClassInfo("land", 3, (9, 143, 0)),
        ClassInfo(AWKWARD, 7, (0, 9, 255)),
        ClassInfo("unknown", 9, (1, 1, 1), ignored=True),
        ClassInfo("lake", 250, (47, 109, 9)),
        ClassInfo("lake", 251, (47, 109, 10)),
    )
)
THIN = {"trunk_options": {"channels": [8, 16, 32, 64], "layers": [1, 1, 1, 1]}}
GROUND = {"crs": "EPSG:32640", "transform": Affine(0.5, 0, 500, 0, -0.5, 900)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model folder without graphs."""
    folder = tmp_path_factory.mktemp("models") / "model"
    save_model(folder, seasoned(**THIN), TABLE, "Made for a test.")
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model folder of which much is known, with graphs."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    save_model(
        folder, seasoned(**THIN), TABLE, "Made for a <test>.",
        trained_on=TrainedOn(largest=2448, median=2000, resolution=0.5, images=7, scenes=21),
        scores={"validation mIoU, aggregated": 0.71234}, licence="CC-BY-4.0",
        recipe={"preset": "authors"},
    )  # fmt: skip
    export_graphs(folder)
    return folder


@pytest.fixture
def copy(exported, tmp_path):
    """A copy of it, to be spoilt."""
    return shutil.copytree(exported, tmp_path / "copy")


def predict(image, model, out, **options):
    return api.predict(image, model, out, device="cpu", engine="torch", **options)


# A style for QGIS.


@pytest.mark.parametrize("name", ["mask.tif", "mask.v1.TIFF", "mask.png"])
def test_a_mask_has_a_style_with_its_own_colours_and_names(model, tmp_path, name):
    """By value, against the file's colour table and, of a GeoTIFF, its metadata."""
    image = write_tif(tmp_path / "a.tif", noise(3, 90, 100))
    out = tmp_path / name

    report = predict(image, model, out)

    style = out.with_suffix(".qml")
    assert set(report.outputs) == {str(out), str(style)}
    root = ET.fromstring(style.read_bytes())  # noqa: S314  our own
    renderer = root.find("pipe/rasterrenderer")
    assert (renderer.get("type"), renderer.get("band"), renderer.get("alphaBand")) == (
        "paletted", "1", "-1",
    )  # fmt: skip
    entries = {int(one.get("value")): one for one in renderer.iter("paletteEntry")}
    assert list(entries) == [3, 7, 250]
    with opened(out) as file:
        colours, tags, nodata = file.colormap(1), file.tags(1), file.nodata
    for value, entry in entries.items():
        assert entry.get("color") == f"#{bytes(colours[value][:3]).hex()}"
        assert int(entry.get("alpha")) == colours[value][3] == 255
    labels = {value: entry.get("label") for value, entry in entries.items()}
    assert labels == {3: "land", 7: AWKWARD.replace("\x01", "\ufffd"), 250: "lake"}
    if "tif" in name.lower():
        assert labels[250] == tags["class_250"]
        assert labels[3] == tags["class_3"]
    (clear,) = renderer.iter("pixelListEntry")
    assert float(clear.get("min")) == float(clear.get("max")) == nodata == 255
    assert clear.get("percentTransparent") == "100"
    assert colours[255][3] == 0


def test_a_style_is_replaced_with_its_mask_and_not_before(model, tmp_path):
    """Of a run that is stopped nothing of the older result is touched."""
    image = write_tif(tmp_path / "a.tif", noise(3, 90, 100))
    out, style = tmp_path / "mask.tif", tmp_path / "mask.qml"
    predict(write_tif(tmp_path / "b.tif", noise(3, 50, 60)), model, out)
    older = out.read_bytes(), style.read_bytes() + b"<!-- older -->"
    style.write_bytes(older[1])

    def stop(line):
        if line.startswith("verifying"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(image, model, out, said=stop)
    assert (out.read_bytes(), style.read_bytes()) == older
    report = predict(image, model, out)

    assert (report.reused, report.computed) == (1, 0)
    assert style.read_bytes() == older[1].removesuffix(b"<!-- older -->")
    assert out.read_bytes() != older[0]


def test_a_style_of_another_raster_is_not_lost(model, tmp_path):
    """QGIS dictates its name: that of the image, which may be the mask's too."""
    image = write_tif(tmp_path / "scene.tif", noise(3, 90, 100))
    style = tmp_path / "scene.qml"
    style.write_text("<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n<qgis/>")

    with pytest.raises(RasterError, match=r"scene\.qml: is a style that was not written with"):
        predict(image, model, tmp_path / "scene.png")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["scene.qml", "scene.tif"]
    assert style.read_text().endswith("<qgis/>")


def test_a_style_that_cannot_be_written_is_told_before_the_work(model, tmp_path):
    image = write_tif(tmp_path / "a.tif", noise(3, 90, 100))
    (tmp_path / "mask.qml").mkdir()

    with pytest.raises(RasterError, match=r"mask\.qml: is a folder"):
        predict(image, model, tmp_path / "mask.tif")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "mask.qml"]


# Polygons for QuPath.


def test_polygons_of_a_picture_are_annotations_in_pixels(model, tmp_path):
    """Filled as any viewer would fill them they are the mask, class by class."""
    image = write_png(tmp_path / "a.png", noise(3, 90, 100))
    out, path = tmp_path / "mask.tif", tmp_path / "a.geojson"

    predict(image, model, out, polygons=api.PolygonWish(path))

    with opened(out) as file:
        mask = file.read(1)
    found = np.zeros_like(mask)
    for one in json.loads(path.read_text(encoding="utf-8"))["features"]:
        facts = one["properties"]
        name, colour = facts["classification"]["name"], facts["classification"]["color"]
        assert facts["objectType"] == "annotation"
        assert facts["class"] == name == TABLE.legend[facts["value"]]
        assert tuple(colour) == TABLE.palette[facts["value"]]
        assert "color" not in facts  # as text QuPath takes the whole file for broken
        assert "id" not in one
        outer, *holes = (np.array(ring) for ring in one["geometry"]["coordinates"])
        inside = _inside(outer, mask.shape) & ~np.any(
            [np.zeros(mask.shape, bool), *(_inside(hole, mask.shape) for hole in holes)], axis=0
        )
        assert not found[inside].any()
        found[inside] = facts["value"]
    np.testing.assert_array_equal(found, mask)


def _inside(ring, shape):
    """Which pixels' middles a ring of (x, y) winds around: crossings to the right are odd."""
    inside = np.zeros(shape, bool)
    for (x, top), (other, bottom) in pairwise(ring.tolist()):
        if x == other:
            inside[min(top, bottom) : max(top, bottom), :x] ^= True
    return inside


def test_polygons_on_the_ground_are_nobodys_annotations(model, tmp_path):
    """Coordinates of a map mean nothing to QuPath; there colours are those of web maps."""
    image = write_tif(tmp_path / "a.tif", noise(3, 90, 100), **GROUND)
    path = tmp_path / "a.geojson"

    predict(image, model, tmp_path / "mask.tif", polygons=api.PolygonWish(path))

    for one in json.loads(path.read_text(encoding="utf-8"))["features"]:
        assert set(one["properties"]) == {"class", "value", "color", "area_px", "area"}


# The card.


def card_of(folder):
    """Front matter, and the text of every section."""
    _, front, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    parts = text.split("\n## ")
    return yaml.safe_load(front), dict(part.split("\n", 1) for part in parts[1:])


def rows_of(text):
    """A table's cells, without its header."""
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_a_card_tells_what_is_known(exported):
    front, card = card_of(exported)

    assert front == {
        "library_name": "glnet",
        "pipeline_tag": "image-segmentation",
        "license": "cc-by-4.0",
        "tags": ["glnet", "semantic-segmentation"],
    }
    assert rows_of(card["Classes"])[:2] == [
        ["3", "land", "`#098f00`", ""],
        ["7", 'road, "paved" & \\<new\\> é', "`#0009ff`", ""],
    ]
    assert rows_of(card["Classes"])[2][3].startswith("ignored")
    assert "7 images in 21 scenes" in card["Data"]
    assert "2000 px (median), at most 2448 px" in card["Data"]
    assert "0.5 m per pixel" in card["Data"]
    assert "preset authors" in card["Data"]
    assert rows_of(card["Scores"]) == [["validation mIoU, aggregated", "0.7123"]]
    assert "3 bands" in card["Use and limits"]
    assert "divided by 255" in card["Use and limits"]
    assert "0.5 m per pixel" in card["Use and limits"]
    assert "CC-BY-4.0" in card["Licence"]
    files = {row[0].strip("`"): row[1] for row in rows_of(card["Files"])}
    own = {str(path.relative_to(exported)): path for path in exported.rglob("*.*")}
    del own["README.md"]
    assert files == {name: f"{path.stat().st_size:,}" for name, path in own.items()}
    assert f"{GRAPHS}/local.onnx" in files


def test_a_card_invents_nothing(model):
    front, card = card_of(model)

    assert "license" not in front
    assert "How many images, of which sizes and resolution: not known." in card["Data"]
    assert "Recipe: not known." in card["Data"]
    assert card["Scores"].strip() == "None were measured."
    assert "At which ground resolution it works is not known." in card["Use and limits"]
    assert card["Licence"].strip() == "Not stated."
    assert "not exported" in card["Files"]


def test_a_card_that_people_wrote_in_is_theirs(model, tmp_path):
    """Exporting renews a card that is glnet's, and leaves every other one."""
    folder = shutil.copytree(model, tmp_path / "model")
    card = folder / "README.md"
    card.write_text(card.read_text(encoding="utf-8") + "More.\n", encoding="utf-8")
    written = card.read_bytes()

    export_graphs(folder)

    assert card.read_bytes() == written
    assert not list(folder.glob("*.partial"))


def test_a_recipe_states_the_licence_and_may_change_its_mind(tmp_path):
    """A licence changes nothing that is trained: the finished run is the same run."""
    model = {"branches": "global", "sharing": "none"}
    path = write_recipe(write_data(tmp_path / "data"), epochs=(1, 1, 1), model=model)
    text = path.read_text()
    for licence in ("CC-BY-4.0", "MIT"):
        path.write_text(f"{text}licence: {licence}\n")
        list(api.train(api.load_recipe(path), tmp_path / "run"))

    front, card = card_of(tmp_path / "run/model")
    assert front["license"] == "cc-by-4.0"
    assert card["Licence"].strip() == "Of the weights: CC-BY-4.0."
    assert "Trained on 2 images in 2 scenes." in card["Data"]
    assert "validation mIoU, global" in card["Scores"]


# glnet info.


def told(run, *arguments):
    """Stdout of a command that succeeds."""
    status, out, errors = run(*arguments)
    assert (status, errors) == (0, [])
    return out


def test_info_tells_programs_what_a_model_is(heard, copy):
    """And people the same; a stranger's names cannot steer a terminal."""
    for name in ("evil.pkl", "best.pt", "run.py", "a\x1b[31m.txt"):
        (copy / name).write_bytes(b"x")
    (copy / GRAPHS / "more.onnx").write_bytes(b"x")
    (copy / ".cache").mkdir()

    found = json.loads(told(heard, "info", copy, "--json"))
    shown = told(heard, "info", copy)

    assert found["folder"] == str(copy)
    assert [row["name"] for row in found["classes"]] == [row.name for row in TABLE.rows]
    assert found["model"]["trunk"] == "resnet18"
    assert found["trained_on"]["images"] == 7
    assert found["scores"] == {"validation mIoU, aggregated": 0.71234}
    assert found["licence"] == "CC-BY-4.0"
    assert found["parameters"] == sum(p.numel() for p in seasoned(**THIN).parameters())
    assert found["graphs"] == {
        "exported": ["global", "local", "refined"], "int8": False, "usable": True, "why_not": "",
    }  # fmt: skip
    sizes = {name: (copy / name).stat().st_size for name in found["files"]}
    assert found["files"] == sizes
    assert set(sizes) == {
        "README.md", "config.json", "model.safetensors",
        *(f"{GRAPHS}/{name}" for name in (
            "global.onnx", "local.onnx", "refined.onnx", "costs.json", "weights.sha256")),
    }  # fmt: skip
    others = [".cache/", "a\x1b[31m.txt", "best.pt", "evil.pkl", "run.py", f"{GRAPHS}/more.onnx"]
    assert sorted(found["others"]) == sorted(others)
    assert "evil.pkl: not glnet's, never read" in shown
    assert "\x1b[31m" not in shown
    assert f"{found['parameters']:,}" in shown
    assert "scenes of 2000 px (median) to 2448 px, 0.5 m per pixel" in shown
    ends = [line.split("│")[-2].strip() for line in shown.splitlines() if "#" in line]
    assert ends == ["", "", "ignored", "", "read, not written"]
    assert "#2f6d09" in shown
    assert "0.7123" in shown


def test_info_says_once_what_is_alike(heard, tmp_path):
    """No column of nothing, no median of sizes that are one."""
    table = ClassTable((ClassInfo("land", 0, (0, 0, 0)), ClassInfo("lake", 1, (0, 0, 9))))
    known = TrainedOn(largest=768, median=768, resolution=None, images=2, scenes=2)
    save_model(tmp_path / "model", seasoned(**THIN), table, "Made for a test.", trained_on=known)

    shown = told(heard, "info", tmp_path / "model")

    assert "trained on: 2 images, scenes of 768 px\n" in shown
    assert [len(line.split("│")) for line in shown.splitlines() if "#" in line] == [5, 5]


@pytest.mark.parametrize("state", ["other weights", "int8", "no weights", "none"])
def test_info_tells_whether_graphs_are_of_the_weights(heard, copy, state):
    if state == "other weights":
        write_digest(copy / GRAPHS, "0" * 64)
    elif state == "int8":
        (copy / GRAPHS / INT8).mkdir()
        (copy / GRAPHS / INT8 / "local.onnx").write_bytes(b"x")
    elif state == "no weights":
        (copy / "model.safetensors").unlink()
    else:
        shutil.rmtree(copy / GRAPHS)

    found = json.loads(told(heard, "info", copy, "--json"))

    graphs = found["graphs"]
    assert graphs["usable"] == (state in {"int8", "no weights"})
    assert graphs["int8"] == (state == "int8")
    assert bool(graphs["exported"]) == (state != "none")
    assert ("other weights" in graphs["why_not"]) == (state == "other weights")
    assert (found["parameters"] is None) == (state == "no weights")


def spoilt(folder, content):
    (folder / "config.json").write_text(content, encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.pop("format"), "tells no format"),
        (lambda c: c.update(format=str(FORMAT)), "tells no format"),
        (lambda c: c.update(format=True), "tells no format"),
        (lambda c: c.update(format=0), "model format 0 does not exist"),
        (
            lambda c: c.update(format=FORMAT + 1, glnet="7.1.0", news=1),
            "get glnet 7.1.0 or a newer",
        ),
        (lambda c: c.update(format=2, glnet="\x1b[31m"), "get glnet unknown or"),
        (lambda c: c.update(news=1), "news: "),
        (lambda c: c["model"].update(trunk=3), "model.trunk: "),
        (lambda c: c.update(licence="do what you like"), "licence: "),
    ],
)
def test_another_format_is_one_line(glnet, copy, change, named):
    values = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    change(values)
    spoilt(copy, json.dumps(values))

    status, lines = glnet("info", copy)

    check_one_line(status, lines, copy, named)


@pytest.mark.parametrize("content", ["[]", '"glnet"', "7", "null", "", "{", "[" * 100_000])
def test_a_config_that_is_none_is_one_line(glnet, copy, content):
    spoilt(copy, content)

    status, lines = glnet("info", copy)

    check_one_line(status, lines, copy, "not a glnet model folder")


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "no config", "weights"])
def test_a_damaged_folder_is_one_line(glnet, copy, damage):
    weights = copy / "model.safetensors"
    if damage == "gone":
        shutil.rmtree(copy)
    elif damage == "empty":
        weights.write_bytes(b"")
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "no config":
        (copy / "config.json").unlink()
    else:
        weights.unlink()
        shutil.rmtree(copy / GRAPHS)

    status, lines = glnet("info", copy)

    check_one_line(status, lines, copy)


# Models of the Hugging Face Hub. Nothing is fetched: processes are offline, the cache is laid here.

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def cache(exported, tmp_path_factory):
    """The hub's own layout: files are links into a folder of blobs."""
    home = tmp_path_factory.mktemp("home")
    repository = home / "hub" / "models--some-org--a.model_1"
    for folder in ("blobs", "refs", f"snapshots/{REVISION}"):
        (repository / folder).mkdir(parents=True)
    for name in ("main", "v1.0"):
        (repository / "refs" / name).write_text(REVISION)
    for number, path in enumerate(sorted(exported.rglob("*.*"))):
        blob = repository / "blobs" / f"{number:040x}"
        shutil.copy(path, blob)
        link = repository / "snapshots" / REVISION / path.relative_to(exported)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return home


@pytest.fixture
def offline(cache, tmp_path):
    """Run code or the command in an offline process of its own, in an empty folder."""

    def run(*arguments, code="", refused=""):
        text = f"{REFUSE.format(refused)}\n" + (code or "from glnet.cli import main; main()")
        return subprocess.run(
            [sys.executable, "-c", text, *map(str, arguments)],
            env=os.environ | {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1"},
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


REFUSE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{}":
            raise ImportError("No module named " + name)

sys.meta_path.insert(0, Refuse())
"""


@pytest.mark.parametrize(
    "name", ["some-org/a.model_1", "hf://some-org/a.model_1", "hf://some-org/a.model_1@v1.0"]
)
def test_a_repository_is_a_model_folder(offline, cache, exported, name):
    done = offline("info", name, "--json")

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["folder"] == str(cache / "hub/models--some-org--a.model_1/snapshots" / REVISION)
    assert found["graphs"]["usable"]
    assert found["others"] == []
    assert found["files"] == {
        path.relative_to(exported).as_posix(): path.stat().st_size for path in exported.rglob("*.*")
    }


def test_predictions_of_a_repository_are_the_folders(offline, exported, tmp_path):
    """By the command, by the function, and in an evaluation; by OpenVINO, which reads the links."""
    image = write_tif(tmp_path / "a.tif", noise(3, 90, 100))
    wanted = api.segment(image, exported, device="cpu", engine="openvino")
    write_tif(tmp_path / "truth.tif", wanted[None])
    write_manifest(tmp_path / "m.csv", (image, tmp_path / "truth.tif", "test"))
    name, with_openvino = "some-org/a.model_1", ("--engine", "openvino", "--device", "cpu")

    done = offline("predict", image, "-m", name, "-o", "mask.tif", *with_openvino)
    code = (
        "import glnet, numpy; numpy.save('mask.npy', glnet.segment('a.tif', 'some-org/a.model_1', "
    )
    again = offline(code=code + "device='cpu', engine='openvino'))", refused="torch")
    scored = offline("evaluate", "-m", name, "--manifest", "m.csv", "--json", "s.json",
                     *with_openvino)  # fmt: skip

    assert [one.stderr for one in (done, again, scored)] == ["", "", ""]
    with opened(tmp_path / "mask.tif") as file:
        np.testing.assert_array_equal(file.read(1), wanted)
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), wanted)
    told_scores = json.loads((tmp_path / "s.json").read_text())
    assert told_scores["views"]["aggregated"]["accuracy"] == 1


def test_a_folder_comes_before_a_repository(offline, model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "some-org" / "a.model_1")

    done = offline("info", "some-org/a.model_1", "--json")

    assert json.loads(done.stdout)["parameters"] > 0
    assert json.loads(done.stdout)["graphs"]["exported"] == []
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("name", "refused", "named"),
    [
        ("some-org/other", "", "Hugging Face Hub"),
        ("hf://some-org/a.model_1@v2", "", "Hugging Face Hub"),
        ("some-org/a.model_1", "huggingface_hub", "pip install 'huggingface-hub"),
        ("some-org/a.model_1@v1.0", "huggingface_hub", "not a glnet model folder"),
        ("some-org/../a", "huggingface_hub", "not a glnet model folder"),
        ("hf://some-org/a@../main", "huggingface_hub", "not a glnet model folder"),
        ("a/b/c", "huggingface_hub", "not a glnet model folder"),
        ("./a", "huggingface_hub", "not a glnet model folder"),
    ],
)
def test_a_repository_that_is_not_to_be_had_is_one_line(offline, name, refused, named):
    done = offline("info", name, refused=refused)

    check_one_line(done.returncode, done.stderr.splitlines(), named)
    assert done.stdout == ""


# A STAC Item.


def is_valid(item):
    """By the specification's schema, and the MLM extension's own package."""
    JsonSchemaSTACValidator().validate_core(item, STACObjectType.ITEM, item["stac_version"])
    pystac.Item.from_dict(item)
    return MLModelProperties(**item["properties"])


def test_a_catalogue_is_told_what_a_model_is(heard, exported, tmp_path):
    out = tmp_path / "land cover.json"

    told(heard, "export", exported, "--stac", out)

    item = json.loads(out.read_text(encoding="utf-8"))
    found = is_valid(item)
    assert item["id"] == "land cover"
    assert item["stac_extensions"][0].startswith("https://stac-extensions.github.io/mlm/v1.")
    assert (found.name, found.architecture, found.framework) == ("land-cover", "GLNet", "PyTorch")
    assert list(found.tasks) == ["semantic-segmentation"]
    assert item["properties"]["license"] == "CC-BY-4.0"
    (taken,) = found.input
    assert taken.input.shape == [1, 3, -1, -1]
    settings = seasoned(**THIN).settings
    pixel = 37.0
    for scaling, mean, deviation in zip(
        taken.value_scaling, settings.input.mean, settings.input.deviation, strict=True
    ):
        wanted = (pixel / settings.input.scale - mean) / deviation
        assert (pixel - scaling.mean) / scaling.stddev == pytest.approx(wanted, abs=1e-9)
    (given,) = item["properties"]["mlm:output"]
    assert given["classification:classes"] == [
        {"value": 3, "name": "land", "description": "land", "color_hint": "098F00"},
        {"value": 7, "name": "road-paved-new", "description": AWKWARD, "color_hint": "0009FF"},
        {"value": 250, "name": "lake", "description": "lake", "color_hint": "2F6D09"},
    ]
    assert {"model.safetensors", f"{GRAPHS}/local.onnx"} < set(item["assets"])
    assert "mlm:model" in item["assets"]["model.safetensors"]["roles"]
    assert item["assets"]["model.safetensors"]["mlm:artifact_type"]
    for name, asset in item["assets"].items():
        assert asset["href"].startswith("../")
        path = out.parent / unquote(asset["href"])
        assert path.samefile(exported / name)
        assert asset["file:size"] == path.stat().st_size


@pytest.mark.parametrize("place", ["copy", ".", "copy/graphs"])
def test_links_lead_from_where_the_item_lies(heard, copy, monkeypatch, tmp_path, place):
    """Also where model and item are told in different ways, and names need quoting."""
    folder = copy.rename(tmp_path / "a model #1")
    (tmp_path / "copy").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    out = Path(place) / "x.json"

    told(heard, "export", "a model #1", "--stac", out)

    for name, asset in json.loads(out.read_text())["assets"].items():
        assert " " not in asset["href"]
        assert "#" not in asset["href"]
        assert (out.parent / unquote(asset["href"])).samefile(folder / name)
    assert json.loads(out.read_text())["properties"]["mlm:name"] == "glnet-model-x"


def test_graphs_of_other_weights_are_not_the_models(heard, copy, tmp_path):
    write_digest(copy / GRAPHS, "0" * 64)

    told(heard, "export", copy, "--stac", tmp_path / "model.json")

    item = json.loads((tmp_path / "model.json").read_text())
    is_valid(item)
    assert list(item["assets"]) == ["model.safetensors", "config.json", "README.md"]


@pytest.mark.parametrize("out", ["model.txt", "copy/config.json", "nowhere/model.json"])
def test_an_item_that_cannot_be_is_one_line(glnet, copy, tmp_path, out):
    before = (copy / "config.json").read_bytes()

    status, lines = glnet("export", copy, "--stac", tmp_path / out)

    check_one_line(status, lines, tmp_path / out)
    assert (copy / "config.json").read_bytes() == before


def test_a_model_without_weights_is_in_no_catalogue(glnet, copy, tmp_path):
    (copy / "model.safetensors").unlink()

    status, lines = glnet("export", copy, "--stac", tmp_path / "model.json")

    check_one_line(status, lines, copy, "weights")
    assert not (tmp_path / "model.json").exists()
