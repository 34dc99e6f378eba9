"""What engines promise: the plain network's scores without torch, and one line where they cannot.

The smallest networks are exported once each; a graph is compiled anew for every size.
"""

import json
import os
import shutil
import subprocess
import sys
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import glnet
from glnet.bundle import GRAPHS, check_graphs
from glnet.cli.export import export_command
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.engines.export import export_graphs, export_if_possible
from glnet.engines.loading import load_engine
from glnet.engines.models import save_model
from glnet.engines.torch_engine import TorchEngine
from glnet.engines.turning import segment_turned
from glnet.engines.vino import core
from glnet.model import build_glnet
from makers import (
    a_folder,
    a_text,
    check_one_line,
    cut,
    noise,
    nothing,
    write_manifest,
    write_png,
    write_text,
)
from networks import NETWORKS, named, random_scene, seasoned, tiny_settings

#: One block a stage: half the graph of TINY, for half the time to compile it.
THIN = {"trunk_options": {"channels": [8, 16, 32, 64], "layers": [1, 1, 1, 1]}}
THREE = ClassTable(tuple(ClassInfo(name, i, (i, i, i)) for i, name in enumerate("abc")))
#: Of the largest score. The bar is the project's; what is found is below 5e-6.
BAR = 1e-4

#: Torch and what comes with it cannot be found, as where they are not installed.
HIDDEN = """
import sys

class Hides:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {
            "torch", "torchvision", "timm", "lightning_fabric", "tensorboard",
            "segmentation_models_pytorch", "matplotlib", "pyogrio", "shapely",
        }:
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Hides(finder) for finder in sys.meta_path]
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network and its model folder with graphs, each made once; options of trunks are pairs."""
    root = tmp_path_factory.mktemp("models")

    @cache
    def make(**changes):
        options = {k: dict(v) if k == "trunk_options" else v for k, v in changes.items()}
        model = seasoned(**(THIN | options))
        folder = root / str(len(list(root.iterdir())))
        save_model(folder, model, THREE, "Made for a test.")
        export_graphs(folder)
        return model, folder

    return make


def openvino_engine(folder):
    return load_engine(folder, "cpu", engine="openvino")[0]


def plain_engine(model):
    return TorchEngine(model, torch.device("cpu"))


def cells(segmented):
    return {view: np.asarray(scores.cells) for view, scores in segmented.views.items()}


def agree(plain, other):
    """Scores of every view, against the largest of them; as many patches."""
    assert plain.patches == other.patches
    plain, other = cells(plain), cells(other)
    assert plain.keys() == other.keys()
    for view, scores in plain.items():
        assert scores.shape == other[view].shape
        worst = np.abs(scores - other[view]).max() / np.abs(scores).max()
        assert worst < BAR, (view, float(worst))


@pytest.mark.parametrize("engine", ["torch", "plain"])
def test_random_numbers_stay_those_of_who_predicts(exported, engine):
    """A network is built at random before its weights are loaded."""
    _, folder = exported(sharing="bidirectional", alignment="exact")
    drawn = torch.get_rng_state()

    load_engine(folder, "cpu", engine=engine)

    assert torch.equal(torch.get_rng_state(), drawn)


def check_parity(exported, *sizes, **changes):
    model, folder = exported(**changes)
    engine, views = openvino_engine(folder), model.settings.views
    for size in sizes:
        scene = random_scene(*size)
        agree(plain_engine(model).segment(scene, views), engine.segment(scene, views))


@pytest.mark.parametrize("alignment", ["exact", "authors"])
@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_without_torch_the_scores_are_the_plain_ones(exported, network, alignment):
    """Scenes larger and smaller than a patch, of odd sides."""
    check_parity(exported, (37, 91), (101, 75), **network, alignment=alignment)


@pytest.mark.parametrize("alignment", ["exact", "authors"])
@pytest.mark.parametrize("branches", ["global", "local"])
def test_so_are_those_of_one_branch_alone(exported, branches, alignment):
    check_parity(exported, (37, 91), (131, 75), branches=branches, alignment=alignment)


@pytest.mark.parametrize(
    ("thumbnail", "patch", "alignment"), [(60, 76, "exact"), (76, 60, "authors")]
)
def test_sides_need_be_no_multiples_of_the_strides(exported, thumbnail, patch, alignment):
    check_parity(
        exported, (37, 91), (131, 75), thumbnail=thumbnail, patch=patch, alignment=alignment
    )  # fmt: skip


@pytest.mark.parametrize(
    ("trunk", "options", "branches", "pads"),
    [
        ("convnext_atto", (("depths", (1, 1, 1, 1)), ("dims", (8, 16, 24, 32))), "both", True),
        ("mobilenetv3_small_050", (), "local", False),
    ],
)
def test_so_are_those_of_other_trunks(exported, trunk, options, branches, pads):
    """Where images are padded the maps are cut: by the patch's own size, not the example's."""
    changes = {"trunk": trunk, "trunk_options": options, "branches": branches}
    assert exported(**changes)[0].local_branch.trunk._pads == pads

    check_parity(exported, (37, 91), (100, 75), **changes)


def test_coarse_to_fine_looks_at_the_same_boxes(tmp_path):
    """The threshold lies between two scores that are far from equal: no rounding decides."""
    model = seasoned(coarse_to_fine={"boxes": 2, "margin": 0.0}, **THIN)
    scene = random_scene(331, 283)
    with torch.no_grad():
        thumbnail = torch.from_numpy(scene.thumbnail(model.thumbnail_size))[None]
        logits = model.global_pass(thumbnail).logits[0]
        lead = (logits[1:].amax(0) - logits[0]).flatten().sort(descending=True).values
        gaps = lead[1:6] - lead[2:7]
        at = 1 + int(gaps.argmax())
        model.global_branch.classify.bias[0] += (lead[at] + lead[at + 1]) / 2
    save_model(tmp_path / "model", model, THREE, "Made for a test.")
    export_graphs(tmp_path / "model")
    views = model.settings.views

    plain = plain_engine(model).segment(scene, views)
    found = openvino_engine(tmp_path / "model").segment(scene, views)

    assert 0 < plain.patches.computed < plain.patches.whole
    agree(plain, found)


def test_turned_scores_are_the_plain_ones(exported):
    model, folder = exported(sharing="bidirectional", alignment="exact")
    scene, views = random_scene(75, 101), ["aggregated"]

    plain = segment_turned(plain_engine(model), scene, views)

    agree(plain, segment_turned(openvino_engine(folder), scene, views))


@pytest.mark.parametrize("sharing", ["shallow", "bidirectional"])
def test_scenes_leave_no_trace_in_each_other(exported, sharing):
    """The same bytes again after another scene, and what was given before stays as it is."""
    model, folder = exported(sharing=sharing, alignment="exact")
    engine, views = openvino_engine(folder), model.settings.views
    scenes = [random_scene(137, 91, seed=1), random_scene(137, 91, seed=2), random_scene(60, 70)]

    first = [engine.segment(scene, views) for scene in scenes]
    kept = [{view: scores.copy() for view, scores in cells(one).items()} for one in first]
    second = [engine.segment(scene, views) for scene in (*scenes, scenes[0])]

    for before, held, after in zip((*kept, kept[0]), (*first, first[0]), second, strict=True):
        for view in views:
            assert np.array_equal(before[view], cells(held)[view])
            assert np.array_equal(before[view], cells(after)[view])
    for view in views:
        assert not np.array_equal(kept[0][view], kept[1][view])


@pytest.mark.parametrize("sharing", ["shallow", "bidirectional"])
def test_a_view_alone_has_the_bytes_that_it_has_beside_others(exported, sharing):
    """Though the graph is another one: what nobody asks for is cut off it."""
    model, folder = exported(sharing=sharing, alignment="exact")
    engine, scene = openvino_engine(folder), random_scene(101, 75)
    together = cells(engine.segment(scene, model.settings.views))

    for view, scores in together.items():
        alone = cells(engine.segment(scene, [view]))
        assert list(alone) == [view]
        assert np.array_equal(alone[view], scores)


def test_many_sizes_do_not_fill_the_memory(exported):
    """One compiled form of each graph is held, whatever is run; it is made again as it was."""
    model, folder = exported(branches="local", alignment="exact")
    engine, views = openvino_engine(folder), model.settings.views
    scenes = [random_scene(40, 32 + 7 * side) for side in range(4)]

    first = [cells(engine.segment(scene, views))["local"] for scene in (*scenes, scenes[0])]

    assert np.array_equal(first[0], first[-1])
    assert len(engine.network._graphs._requests) == 1


# --- Where torch is not installed.


def without_torch(*arguments):
    """Run the command in a process that cannot find torch: status, stdout, lines on stderr."""
    code = HIDDEN + "from glnet.cli import main\nsys.argv[0] = 'glnet'\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr.splitlines()


@pytest.fixture
def bundle(exported):
    return exported(sharing="bidirectional", alignment="exact")[1]


@pytest.fixture
def image(tmp_path):
    return write_png(tmp_path / "scene.png", noise(3, 137, 201))


@pytest.fixture
def bare(tmp_path):
    """A model folder without graphs."""
    save_model(tmp_path / "bare", seasoned(**THIN), THREE, "Made for a test.")
    return tmp_path / "bare"


@pytest.fixture
def rival(tmp_path):
    torch.manual_seed(0)
    model = build_glnet(tiny_settings(network="unet", branches="local"), 3)
    save_model(tmp_path / "rival", model, THREE, "Made for a test.")
    return tmp_path / "rival"


def test_predicting_needs_no_torch(tmp_path, bundle, image):
    status, said, lines = without_torch("predict", image, "-m", bundle, "-o", tmp_path / "m.png")

    assert (status, lines) == (0, [])
    assert "m.png" in said
    plain = glnet.segment(image, bundle, device="cpu", engine="plain")
    mask = np.asarray(Image.open(tmp_path / "m.png"))
    assert mask.shape == plain.shape
    assert len(np.unique(plain)) > 1
    assert (mask == plain).mean() >= 0.9999


def test_predicting_tells_nobody(tmp_path, bundle, image):
    """OpenVINO's telemetry is not loaded, and nothing appears in the user's home."""
    home = tmp_path / "home"
    home.mkdir()
    code = (
        "import sys, glnet; glnet.segment(*sys.argv[1:], device='cpu', engine='openvino')\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry')]"
    )

    subprocess.run(
        [sys.executable, "-c", code, image, bundle],
        check=True,
        env=os.environ | {"HOME": str(home)},
    )

    assert not list(home.iterdir())


def test_evaluating_needs_no_torch(tmp_path, bundle, image):
    write_png(tmp_path / "mask.png", noise(137, 201) % 3)
    manifest = write_manifest(tmp_path / "manifest.csv", (image, tmp_path / "mask.png", "test"))

    status, _, lines = without_torch(
        "evaluate", "-m", bundle, "--manifest", manifest, "--against", bundle,
        "--engine", "openvino", "--json", tmp_path / "found.json",
    )  # fmt: skip

    assert (status, lines) == (0, [])
    found = json.loads((tmp_path / "found.json").read_text())
    plain = glnet.evaluate(bundle, manifest, device="cpu", engine="plain").as_dict()
    assert_close(found["model"], json.loads(json.dumps(plain)))


def assert_close(found, expected):
    """The same table of numbers, to a few pixels that rounding may decide."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert_close(found[name], value)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("model", "options", "named"),
    [
        ("bare", (), ("bare", "glnet export", "'torch>=")),
        ("bare", ("--engine", "openvino"), ("bare", "glnet export")),
        ("bundle", ("--engine", "plain"), ("not installed", "'torch>=", "openvino")),
        ("bundle", ("--device", "cuda"), ("not installed", "'torch>=", "openvino")),
        ("rival", (), ("rival", "unet", "'segmentation-models-pytorch")),
    ],
)
def test_what_needs_torch_says_so_in_one_line(tmp_path, image, request, model, options, named):
    folder, out = request.getfixturevalue(model), tmp_path / "mask.png"

    status, said, lines = without_torch("predict", image, "-m", folder, "-o", out, *options)

    check_one_line(status, lines, *named)
    assert said == ""
    assert not out.exists()


def test_exporting_without_torch_is_one_line(bundle):
    status, _, lines = without_torch("export", bundle)

    check_one_line(status, lines, "torch", "'torch>=")


# --- What cannot be run here.


def copy_of(bundle, folder):
    """A model folder that may be damaged."""
    for path in bundle.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(bundle)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize(
    ("graph", "share"),
    [("global", 0), ("global", None), ("local", 0.5), ("local", 0.999), ("refined", 0.9)],
)
def test_a_damaged_graph_is_named(tmp_path, glnet, bundle, image, graph, share):
    """Empty, cut or missing."""
    path = copy_of(bundle, tmp_path / "model") / GRAPHS / f"{graph}.onnx"
    if share is None:
        path.unlink()
    else:
        cut(path, share)

    status, lines = glnet(
        "predict", image, "-m", tmp_path / "model", "-o", tmp_path / "mask.png",
        "--device", "cpu",
    )  # fmt: skip

    check_one_line(status, lines, path, "glnet export")
    assert not (tmp_path / "mask.png").exists()


def test_a_class_that_only_the_config_has_is_refused(tmp_path, glnet, bundle, image):
    """Added or taken away by hand; the graphs know nothing of names."""
    model = copy_of(bundle, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    config["classes"].pop()
    (model / "config.json").write_text(json.dumps(config))

    status, lines = glnet(
        "predict", image, "-m", model, "-o", tmp_path / "mask.png", "--engine", "openvino"
    )

    check_one_line(status, lines, "gives 3 classes, the model's config names 2; name those")
    assert not (tmp_path / "mask.png").exists()


def other_weights(model):
    """One bit of the last weight, as a folder of another training might differ."""
    path = model / "model.safetensors"
    weights = bytearray(path.read_bytes())
    weights[-4] ^= 1
    path.write_bytes(weights)


def no_digest(model):
    """As an older glnet exported it."""
    (model / GRAPHS / "weights.sha256").unlink()


@pytest.mark.parametrize("engine", ["auto", "openvino"])
@pytest.mark.parametrize(
    ("change", "told"), [(other_weights, "from other weights"), (no_digest, "which weights")]
)
def test_graphs_that_may_be_of_other_weights_are_refused_until_exported_again(
    tmp_path, glnet, bundle, image, engine, change, told
):
    model, mask = copy_of(bundle, tmp_path / "model"), tmp_path / "mask.png"
    change(model)
    predict = (
        "predict", image, "-m", model, "-o", mask, "--engine", engine, "--device", "cpu",
    )  # fmt: skip

    status, lines = glnet(*predict)

    check_one_line(status, lines, model, told, f"run: glnet export {model}")
    assert not mask.exists()
    export_graphs(model)
    assert glnet(*predict)[0] == 0


def test_a_graph_that_leads_to_another_file_is_refused(tmp_path, glnet, bundle, image):
    """As a stranger's folder might, to any file of this machine."""
    model, secret = copy_of(bundle, tmp_path / "model"), tmp_path / "secret.bin"
    path = model / GRAPHS / "global.onnx"
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="inside.bin")
    (model / GRAPHS / "inside.bin").rename(secret)
    graph = onnx.load(path, load_external_data=False)
    for tensor in graph.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../../secret.bin"
    path.write_bytes(graph.SerializeToString())

    status, lines = glnet(
        "predict", image, "-m", model, "-o", tmp_path / "mask.png", "--device", "cpu"
    )

    check_one_line(status, lines, path, "leads to another file")
    assert not (tmp_path / "mask.png").exists()


def test_weights_replaced_by_hand_do_not_stop_torch(tmp_path, bundle):
    model = copy_of(bundle, tmp_path / "model")
    other_weights(model)

    assert load_engine(model, "cpu", engine="torch")[0].library.startswith("torch")


def test_graphs_run_where_they_were_copied_and_without_weights_beside_them(tmp_path, bundle):
    """Other times and another place, the same bytes."""
    model = copy_of(bundle, tmp_path / "copied")
    scene = random_scene(40, 40)
    first = cells(openvino_engine(model).segment(scene, ["aggregated"]))

    (model / "model.safetensors").unlink()

    second = cells(openvino_engine(model).segment(scene, ["aggregated"]))
    assert np.array_equal(first["aggregated"], second["aggregated"])


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--engine", "openvino", "--device", "cuda"), ("cuda", "--engine torch")),
        (("--engine", "openvino", "--precision", "fp16"), ("fp16", "fp32")),
        (("--engine", "openvino", "--precision", "bf16"), ("bf16", "fp32")),
    ],
)
def test_a_device_or_precision_that_openvino_lacks_is_named(
    tmp_path, glnet, bundle, image, command, options, named
):
    if "bf16" in options and "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has bf16")
    out = tmp_path / "mask.png"
    write_png(tmp_path / "truth.png", noise(137, 201) % 3)
    manifest = write_manifest(tmp_path / "manifest.csv", (image, tmp_path / "truth.png", "test"))
    task = (image, "-o", out) if command == "predict" else ("--manifest", manifest)

    status, lines = glnet(command, *task, "-m", bundle, *options)

    check_one_line(status, lines, *named)
    assert not out.exists()


# --- Exporting.


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_export_says_what_it_wrote_and_leaves_nothing_else(bare, capsys):
    before = contents(bare)

    export_command(bare)

    assert str(bare / GRAPHS) in capsys.readouterr().out
    assert {path.stem for path in (bare / GRAPHS).glob("*.onnx")} == {"global", "local", "refined"}
    new = contents(bare).keys() - before.keys()
    assert {path.parent for path in new} == {bare / GRAPHS}
    assert not list(bare.glob("*.partial"))


def test_a_model_that_is_written_again_has_no_stale_graphs(bare):
    export_graphs(bare)

    save_model(bare, seasoned(seed=3, **THIN), THREE, "Made again.")

    assert not (bare / GRAPHS).exists()
    assert not list(bare.glob("*graphs*"))


def test_a_rival_is_not_exported(glnet, rival):
    before = contents(rival)

    status, lines = glnet("export", rival)

    check_one_line(status, lines, rival, "unet")
    assert contents(rival) == before
    assert export_if_possible(rival) == []


def _other_tools_folder(path):
    path.mkdir()
    write_text(path / "config.json", '{"model_type": "segformer"}')
    return path


def _no_weights(path):
    save_model(path, seasoned(**THIN), THREE, "Made for a test.")
    (path / "model.safetensors").unlink()
    return path


@pytest.mark.parametrize("make", [nothing, a_folder, a_text, _other_tools_folder, _no_weights])
def test_what_is_no_model_is_not_exported(tmp_path, glnet, make):
    folder = make(tmp_path / "model")
    before = sorted(tmp_path.rglob("*"))

    status, lines = glnet("export", folder)

    check_one_line(status, lines, folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_named(glnet, bare):
    bare.chmod(0o555)
    if os.access(bare, os.W_OK):
        pytest.skip("this user may write everywhere")
    before = contents(bare)

    status, lines = glnet("export", bare)

    bare.chmod(0o755)
    check_one_line(status, lines, bare)
    assert contents(bare) == before


def test_a_trunk_whose_graphs_fit_one_size_alone_is_not_exported(tmp_path, glnet):
    """Tracing turns the sizes that its code computes into constants; torch runs such a model."""
    model = seasoned(trunk="mobilevit_xxs", trunk_options={}, branches="local")
    folder = tmp_path / "model"
    save_model(folder, model, THREE, "Made for a test.")
    before = contents(folder)

    status, lines = glnet("export", folder)

    check_one_line(status, lines, folder, "mobilevit_xxs")
    assert contents(folder) == before
    assert not list(folder.glob(f"{GRAPHS}*"))
    assert load_engine(folder, "cpu")[0].library.startswith("torch")


def test_graphs_that_cannot_be_written_leave_the_older_ones(tmp_path, glnet, bundle):
    """Something lies in the way."""
    model = copy_of(bundle, tmp_path / "model")
    write_text(model / f"{GRAPHS}.partial", "in the way")
    before = contents(model)

    status, lines = glnet("export", model)

    check_one_line(status, lines, model)
    assert contents(model) == before


def test_training_again_leaves_graphs_of_these_weights_alone(tmp_path, bundle):
    """Int8 graphs lie among them; other weights get others."""
    folder = shutil.copytree(bundle, tmp_path / "model")
    (folder / GRAPHS / "int8").mkdir()
    before = {path: path.stat().st_mtime_ns for path in (folder / GRAPHS).rglob("*")}

    assert export_if_possible(folder) == []
    assert {path: path.stat().st_mtime_ns for path in (folder / GRAPHS).rglob("*")} == before

    (folder / GRAPHS / "weights.sha256").write_text("0" * 64)
    assert export_if_possible(folder) == []
    assert not (folder / GRAPHS / "int8").exists()
    check_graphs(folder)


COME_AND_GO = """
import faulthandler, gc, os, signal, sys

from glnet.engines.loading import load_engine

faulthandler.enable()
held = [load_engine(sys.argv[1], "cpu", "fp32", "openvino") for _ in range(3)]
while held:
    held.pop(0)
    gc.collect()
signal.signal(signal.SIGINT, lambda *_: print("heard"))
os.kill(os.getpid(), signal.SIGINT)
"""


def test_ctrl_c_is_heard_after_networks_came_and_went(bundle):
    """The first to come is the first to go; each brings a stack for signals to the thread."""
    done = subprocess.run(
        [sys.executable, "-c", COME_AND_GO, bundle], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "heard\n")
