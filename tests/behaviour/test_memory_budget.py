"""What `--memory` promises: a prediction stays within it, is the same for it, or is refused."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from glnet.bundle import Graph
from glnet.datasets.classes import ClassInfo, ClassTable, default_colour
from glnet.engines.engine import Engine
from glnet.engines.export import export_graphs
from glnet.engines.folded import FoldedNetwork
from glnet.engines.memory import GraphCost, MemoryWish, plan_device_memory, plan_memory
from glnet.engines.models import save_model
from glnet.engines.torch_engine import TorchGraphs
from glnet.errors import RunError
from glnet.geometry import Size
from glnet.model.folding import fold
from makers import write_jpg, write_tif
from networks import random_scene, tiny_network, tiny_settings

#: Predicts in a process of its own, and prints what that added to it at its peak.
PREDICT = """
import sys
from pathlib import Path
from glnet.engines import openvino_engine
from glnet.prediction.predict import predict
def held(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1])
before = held("VmRSS")
image, model, mask, memory, turns = sys.argv[1:]
predict(image, model, mask, engine="openvino", memory=memory, tta=bool(turns), said=print)
print(held("VmHWM") - before)
"""


#: The same for many images in one go, as a folder says it.
PREDICT_MANY = PREDICT.replace("import predict\n", "import predict_many\n").replace(
    "predict(image, model, mask, engine",
    "predict_many([*Path(image).iterdir()], model, mask, engine",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network with real weights to hold: a whole ResNet-18, wide pyramids."""
    folder = tmp_path_factory.mktemp("budget") / "model"
    network = tiny_network(
        classes=5, trunk_options={}, width=128, thumbnail=256, patch=256, overlap=32
    )
    names = ClassTable(tuple(ClassInfo(f"c{i}", i, default_colour(i)) for i in range(5)))
    save_model(folder, network, names, "Random.")
    export_graphs(folder)
    return folder


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("budget") / "image.tif"
    write_tif(path, random_scene(600, 900).pixels)
    return path


def predict(image, model, mask, memory, turns=""):
    return subprocess.run(
        [sys.executable, "-c", PREDICT, image, model, mask, memory, turns],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measured as Linux tells it")
@pytest.mark.parametrize("turns", ["", "turns"])
def test_the_smallest_budget_that_is_named_works_and_is_kept(model, image, tmp_path, turns):
    if turns:  # eight times the work, so less of it
        image = write_tif(tmp_path / "smaller.tif", random_scene(300, 450).pixels)
    refused = predict(image, model, tmp_path / "no.tif", "1MiB", turns)
    assert refused.returncode != 0
    assert not (tmp_path / "no.tif").exists()
    smallest = re.search(r"the smallest that works is --memory (\d+MiB)", refused.stderr)[1]

    tight, ample = (
        predict(image, model, tmp_path / f"{name}.tif", memory, turns)
        for name, memory in (("tight", smallest), ("ample", "8GiB"))
    )

    said, *_, added = tight.stdout.splitlines()
    assert "one by one" in said
    assert int(added) <= int(smallest.removesuffix("MiB")) << 20
    assert ("stay loaded" if turns else "one by one") in ample.stdout
    assert (tmp_path / "tight.tif").read_bytes() == (tmp_path / "ample.tif").read_bytes()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measured as Linux tells it")
def test_many_images_take_no_more_than_is_told(model, tmp_path):
    """One is read while another is computed and a third one written; photos are held whole."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(4):
        write_jpg(folder / f"{number}.jpg", random_scene(900, 1200, seed=number).pixels)

    done = subprocess.run(
        [sys.executable, "-c", PREDICT_MANY, folder, model, tmp_path / "out", "2GiB", ""],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    told, *_, added = done.stdout.splitlines()
    assert len(list((tmp_path / "out").glob("*.tif"))) == 4
    assert 0 < int(added) <= int(re.search(r"memory: about (\d+)MiB", told)[1]) << 20


COSTS: dict[Graph, GraphCost] = {
    "global": GraphCost(weights=100 << 20, maps=20 << 20, pixels=64 * 64, shared=1 << 20),
    "local": GraphCost(weights=100 << 20, maps=30 << 20, pixels=64 * 64, shared=0),
}


def wish(budget):
    return MemoryWish(budget, Size(100, 100), reading=30_000, kept=0, turns=True)


@pytest.mark.parametrize("plan", [plan_memory, partial(plan_device_memory, most=4)])
def test_no_plan_exceeds_its_budget_and_a_larger_one_is_used(plan):
    settings = tiny_settings(sharing="global_to_local")
    with pytest.raises(RunError, match="smallest that works") as caught:
        plan(wish(1), COSTS, settings, 3)
    smallest = int(re.search(r"(\d+)MiB$", str(caught.value))[1]) << 20

    plans = [plan(wish(smallest * k), COSTS, settings, 3) for k in range(1, 8)]

    assert all(made.total <= smallest * k for k, made in enumerate(plans, start=1))
    assert plans[0].mini_batch == 1
    assert (plans[-1].resident, plans[-1].mini_batch) > (plans[0].resident, plans[0].mini_batch)
    with pytest.raises(RunError):
        plan(wish(smallest - (2 << 20)), COSTS, settings, 3)


class SmallDevice(TorchGraphs):
    """Has no room for more than two patches."""

    def local(self, pixels, exchanges, views, *, lays):
        if len(pixels) > 2:
            msg = "CUDA out of memory."
            raise torch.OutOfMemoryError(msg)
        return super().local(pixels, exchanges, views, lays=lays)


def test_a_device_that_refuses_gets_half_and_the_scores_stay():
    network, scene, said = tiny_network(), random_scene(150, 200), []

    def engine(graphs, mini_batch):
        cpu = torch.device("cpu")
        folded = FoldedNetwork(network.settings, 3, graphs(fold(network), cpu))
        made = Engine(folded, "torch", mini_batch)
        made.said = said.append
        return made

    small, large = engine(SmallDevice, 9), engine(TorchGraphs, 1)
    found = small.segment(scene, network.settings.views).views
    wanted = large.segment(scene, network.settings.views).views

    assert small.mini_batch == 2
    assert said == [f"the device is out of memory; going on with {n} at a time" for n in (4, 2)]
    for view, scores in wanted.items():
        np.testing.assert_allclose(found[view].cells, scores.cells, atol=1e-5)
