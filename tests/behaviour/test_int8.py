"""What int8 promises: convolutions in 8 bits, nearly the same labels, and nothing but OpenVINO.

Calibrating takes seconds however small the network, so one of each kind serves all tests.
"""

import os
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

import glnet
from glnet.bundle import GRAPHS, INT8
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.engines.calibration import Draw
from glnet.engines.export import export_graphs
from glnet.engines.int8 import export_int8
from glnet.engines.loading import load_engine
from glnet.engines.models import save_model
from glnet.model import build_glnet
from glnet.prediction.advice import advise
from makers import check_one_line, noise, write_png
from networks import random_scene, seasoned, tiny_settings

THIN = {"trunk_options": {"channels": [8, 16, 32, 64], "layers": [1, 1, 1, 1]}}
THREE = ClassTable(tuple(ClassInfo(name, i, (i, i, i)) for i, name in enumerate("abc")))

#: Operations that give the values that they take.
PASSES = {"Concat", "MaxPool", "Reshape", "Slice", "Split", "Transpose"}

#: Of the labels, on noise with random weights.
SHARE = 0.99


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return write_png(tmp_path_factory.mktemp("images") / "scene.png", noise(3, 137, 201))


def saved(folder, **changes):
    save_model(folder, seasoned(**THIN, **changes), THREE, "Made for a test.")
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, image):
    """A model of all three graphs, by the command, with what it found."""
    folder = saved(tmp_path_factory.mktemp("models") / "model")
    return folder, export_int8(folder, [image])


@pytest.fixture(scope="module")
def normed(tmp_path_factory, image):
    """The same with normed pyramids."""
    folder = saved(tmp_path_factory.mktemp("models") / "normed", pyramid="normed")
    return folder, export_int8(folder, [image])


@pytest.fixture(scope="module")
def small(tmp_path_factory, image):
    """The global branch alone: half the time."""
    folder = saved(tmp_path_factory.mktemp("models") / "small", branches="global")
    export_int8(folder, [image])
    return folder


@pytest.fixture
def fp32(tmp_path, bundle):
    """The same model with graphs, none of them in int8."""
    shutil.copytree(bundle[0], tmp_path / "fp32")
    shutil.rmtree(tmp_path / "fp32" / GRAPHS / INT8)
    return tmp_path / "fp32"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_graphs_lie_beside_the_others(bundle):
    folder, _ = bundle

    written = {path.name for path in (folder / GRAPHS / INT8).iterdir()}

    assert written == {"global.onnx", "local.onnx", "refined.onnx"}
    assert not list(folder.rglob("*partial*"))


@pytest.mark.parametrize("graph", ["global", "local", "refined"])
@pytest.mark.parametrize("made", ["bundle", "normed"])
def test_trunk_and_pyramid_are_quantised_and_nothing_else(request, made, graph):
    """Their maps and weights pass through 8 bits on their way into the convolution."""
    folder, _ = request.getfixturevalue(made)
    model = onnx.load(folder / GRAPHS / INT8 / f"{graph}.onnx")
    makers = {name: node for node in model.graph.node for name in node.output}
    stored = {array.name: array.data_type for array in model.graph.initializer}

    quantised = {True: 0, False: 0}
    for node in model.graph.node:
        if node.op_type not in {"Conv", "MatMul"}:
            continue
        named = any(name in node.name for name in ("/trunk/", "/lateral", "/smooth", "/narrow"))
        inner = named and node.op_type == "Conv"
        quantised[inner] += 1
        maps, weights = (_maker(makers, name) for name in node.input[:2])
        if inner:
            assert maps.op_type == weights.op_type == "DequantizeLinear"
            assert stored[weights.input[0]] == TensorProto.INT8
        else:
            assert all(one is None or one.op_type != "DequantizeLinear" for one in (maps, weights))

    assert quantised[True] >= 9 + (3 if made == "bundle" else 2) * 4
    assert quantised[False] > 0


def _maker(makers, name):
    """What computed these values, past operations that only move them; None for a constant."""
    while name in makers and makers[name].op_type in PASSES:
        name = makers[name].input[0]
    return makers.get(name)


def test_openvino_runs_them_in_8_bits(bundle):
    engine, _ = load_engine(bundle[0], "cpu", "int8")
    engine.segment(random_scene(137, 91), ["aggregated"])

    for _, request in engine.network._graphs._requests.values():
        layers = request.get_compiled_model().get_runtime_model().get_ordered_ops()
        told = [layer.get_rt_info() for layer in layers]
        kinds = Counter(
            info["runtimePrecision"].astype(str)
            for info in told
            if info["layerType"].astype(str) == "Convolution"
        )
        assert kinds["u8"] + kinds["i8"] >= 9 + 3 * 4
        assert kinds["f32"] <= 9  # to the classes


@pytest.mark.parametrize("made", ["bundle", "normed"])
def test_the_labels_are_nearly_those_of_fp32(request, tmp_path, made, image):
    """Also on an image of another size, with which it was not calibrated."""
    folder, changed = request.getfixturevalue(made)
    other = write_png(tmp_path / "other.png", noise(3, 90, 150, seed=1))

    shares = []
    for path in (image, other):
        exact, rounded = (
            glnet.segment(path, folder, device="cpu", precision=precision, engine="openvino")
            for precision in ("fp32", "int8")
        )
        assert len(np.unique(exact)) > 1
        shares.append((exact == rounded).mean())

    assert min(shares) >= SHARE
    assert 1 - shares[0] == pytest.approx(changed)


def test_the_scores_are_others(bundle):
    """Or int8 would not have been run."""
    scene = random_scene(137, 91)
    exact, rounded = (
        load_engine(bundle[0], "cpu", precision, "openvino")[0]
        .segment(scene, ["aggregated"])
        .views["aggregated"]
        .cells
        for precision in ("fp32", "int8")
    )

    assert 1e-4 < np.abs(exact - rounded).max() / np.abs(exact).max() < 0.2


def test_calibrating_twice_gives_the_same_bytes(small, image):
    before = contents(small)

    export_int8(small, [image])

    assert contents(small) == before


def test_the_command_tells_what_changes_and_nobody_else(tmp_path, image):
    """In a process of its own: NNCF keeps quiet where it sees pytest."""
    folder, home = saved(tmp_path / "model", branches="global"), tmp_path / "home"
    home.mkdir()
    code = (
        "import sys\nfrom glnet.cli.main import app\n"
        "app(['export', *sys.argv[1:], '--int8'], standalone_mode=False)\n"
        "assert 'nncf' in sys.modules\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry')]"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, folder, image],
        check=False, capture_output=True, text=True, env=os.environ | {"HOME": str(home)},
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    wrote, told = done.stdout.splitlines()
    assert str(folder / GRAPHS / INT8) in wrote
    assert "%" in told
    assert not [path for path in home.rglob("*") if path.is_file()], list(home.rglob("*"))


def test_predicting_needs_neither_nncf_nor_torch(tmp_path, bundle, image):
    code = (
        "import sys\n"
        "for name in ('torch', 'nncf', 'onnx', 'onnxruntime'):\n    sys.modules[name] = None\n"
        "from glnet.cli.main import app\napp(['predict', *sys.argv[1:]], standalone_mode=False)"
    )
    out = tmp_path / "mask.png"

    subprocess.run(
        [sys.executable, "-c", code, image, "-m", bundle[0], "-o", out, "--precision", "int8"],
        check=True,
    )

    assert out.exists()


def test_a_budget_is_kept_as_with_fp32(tmp_path, bundle, image):
    said = []
    for precision in ("fp32", "int8"):
        glnet.predict(
            image, bundle[0], tmp_path / "mask.png", device="cpu", precision=precision,
            engine="openvino", memory="300MiB", said=said.append,
        )  # fmt: skip

    plans = [line for line in said if line.startswith("memory:")]
    assert len(plans) == 2
    assert plans[0] == plans[1]


def test_advice_has_int8_or_says_how_to_come_by_it(bundle, fp32, image):
    for folder in (bundle[0], fp32):
        found = {one.precision: one for one in advise(image, folder, device="cpu")}["int8"]
        if folder == fp32:
            assert found.seconds is None
            assert "glnet export" in found.why_not
            assert "--int8" in found.why_not
        else:
            assert found.seconds > 0
            assert found.changed == pytest.approx(bundle[1])


def test_graphs_that_are_exported_again_have_no_older_int8(bundle, tmp_path):
    folder = shutil.copytree(bundle[0], tmp_path / "model")

    export_graphs(folder)

    assert not (folder / GRAPHS / INT8).exists()


# --- What is refused.


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ((), ("glnet export", "--int8")),
        (("--engine", "torch"), ("int8", "--engine openvino")),
        (("--engine", "plain"), ("int8", "--engine openvino")),
        (("--device", "cuda"), ("int8", "--device cpu")),
    ],
)
def test_where_int8_cannot_be_had_one_line_says_so(tmp_path, glnet, fp32, image, options, named):
    out = tmp_path / "mask.png"

    status, lines = glnet("predict", image, "-m", fp32, "-o", out, "--precision", "int8", *options)

    check_one_line(status, lines, *named)
    assert not out.exists()


def test_images_that_cannot_be_read_change_nothing(tmp_path, glnet, bundle, image):
    grey = write_png(tmp_path / "grey.png", noise(80, 90))
    before = contents(bundle[0])

    for bad in (tmp_path / "missing.png", grey):
        check_one_line(*glnet("export", bundle[0], image, bad, "--int8"), bad)

    assert contents(bundle[0]) == before


def test_a_rival_has_no_graphs_in_int8_either(tmp_path, glnet, image):
    torch.manual_seed(0)
    model = build_glnet(tiny_settings(network="unet", branches="local"), 3)
    save_model(tmp_path / "rival", model, THREE, "Made for a test.")

    check_one_line(*glnet("export", tmp_path / "rival", "--int8", image), "rival", "unet")


def test_the_option_and_the_images_go_together(glnet, bundle, image):
    for arguments in (("--int8",), (image,)):
        status, lines = glnet("export", bundle[0], *arguments)
        assert status == 2
        assert any("--int8" in line for line in lines)


def test_a_failed_write_is_one_line(tmp_path, bundle, image, glnet):
    """Something lies in the way."""
    folder = shutil.copytree(bundle[0], tmp_path / "model")
    (folder / f"{INT8}.partial").write_text("in the way")

    check_one_line(*glnet("export", folder, "--int8", image), folder)

    assert (folder / GRAPHS / INT8 / "local.onnx").exists()


# --- What is kept of all that a graph is fed.


def drawn(count, *shape):
    draw = Draw()
    for number in range(count):
        draw.add({"number": np.array(number), "maps": np.broadcast_to(np.float32(0), shape)})
    return [int(sample["number"]) for sample in draw.kept]


def test_few_samples_are_all_kept():
    assert drawn(64, 1) == list(range(64))


def test_of_many_an_even_draw_is_kept_the_same_each_time():
    kept = drawn(6400, 1)

    assert len(set(kept)) == 64
    assert kept == drawn(6400, 1)
    assert 2600 < np.mean(kept) < 3800
    assert min(kept) < 600
    assert max(kept) > 5800


def test_large_samples_are_fewer():
    """300 MiB each, of 1 GiB."""
    assert len(set(drawn(40, 300 << 18))) == 3
