"""What a GPU promises: the scores, the gradients and the masks of the CPU, within its memory.

Skipped where there is none.
"""

import numpy as np
import pytest
import torch
from PIL import Image

import glnet
from glnet.datasets.classes import ClassInfo, ClassTable, read_classes
from glnet.datasets.draws import TrainingImages
from glnet.datasets.manifest import read_manifest
from glnet.datasets.masks import LabelCoder
from glnet.engines.loading import load_engine
from glnet.engines.models import save_model
from glnet.engines.torch_engine import TorchEngine
from glnet.model import build_glnet
from glnet.mosaic import on_host
from glnet.recipe import BEST, load_recipe, read_bytes
from glnet.training.losses import PixelLoss
from glnet.training.memory import estimate_memory
from glnet.training.parts import prepare
from glnet.training.stages import Step
from networks import NETWORKS, exported_tiny, named, random_scene, seasoned
from runs import STAGES, write_recipe
from scenes import CLASSES

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")

THREE = ClassTable(tuple(ClassInfo(name, i, (i, i, i)) for i, name in enumerate("abc")))
#: Of the largest score, in fp32: the project's bar.
BAR = 1e-4
#: With 8 bits of mantissa.
BAR_BF16 = 0.1
#: Every network, and one that sees its images shrunk.
SHRUNK = [*NETWORKS, {**NETWORKS[-1], "shrink": 2}]
#: The default, and the preset `best`, each with its weak coupling.
TRAINED = [({"pyramid": "linear"}, 0.15), (BEST["model"], 0)]
#: What kernels need beside tensors, and the allocator rounds up.
SLACK = 8 << 20


def worst(engine, other, views, size=(190, 257)):
    """The largest difference of scores over all views, as a share of the largest score."""
    scene = random_scene(*size)
    found, wanted = (e.segment(scene, views).views for e in (engine, other))
    pairs = [(on_host(found[view].cells), on_host(wanted[view].cells)) for view in views]
    return max(np.abs(one - two).max() / np.abs(two).max() for one, two in pairs)


@pytest.mark.parametrize("network", SHRUNK, ids=named)
def test_scores_are_those_of_the_cpu(network):
    model = seasoned(**network)
    on_cpu = TorchEngine(seasoned(**network), torch.device("cpu"))
    on_gpu = TorchEngine(model.cuda(), torch.device("cuda"))

    assert worst(on_gpu, on_cpu, model.settings.views) < BAR


@pytest.mark.parametrize("network", SHRUNK, ids=named)
def test_so_are_those_of_folded_graphs(tmp_path, network):
    save_model(tmp_path / "model", model := seasoned(**network), THREE, "Random.")
    on_cpu = TorchEngine(model, torch.device("cpu"))
    on_gpu = load_engine(tmp_path / "model", "cuda")[0]

    assert on_gpu.device_type == "cuda"
    assert worst(on_gpu, on_cpu, model.settings.views) < BAR


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_near(precision):
    on_cpu = TorchEngine(seasoned(), torch.device("cpu"))
    on_gpu = TorchEngine(seasoned().cuda(), torch.device("cuda"), precision)

    assert 0 < worst(on_gpu, on_cpu, on_gpu.settings.views) < BAR_BF16


def gradients(recipe, stage, data, device):
    torch.manual_seed(0)
    model = build_glnet(recipe.model.after(stage), len(CLASSES)).to(device)
    parameters = prepare(model, stage, freeze_batch_norm=True)
    engine = TorchEngine(model, torch.device(device))
    step = Step(engine, PixelLoss(recipe.loss, len(CLASSES)), recipe, lambda loss: loss.backward())
    samples = read_manifest(data / "manifest.csv", "train")
    images = TrainingImages(samples, LabelCoder(read_classes(data / "classes.csv")), recipe, stage)
    losses = step.run(stage, [images[1, i] for i in range(len(samples))])
    return losses, [parameter.grad.cpu() for parameter in parameters]


@pytest.mark.parametrize(("network", "regulariser"), TRAINED, ids=named)
@pytest.mark.parametrize("stage", STAGES)
def test_a_step_has_the_gradients_of_the_cpu(data, stage, network, regulariser):
    recipe = load_recipe(write_recipe(data, model=network, regulariser=regulariser))

    (wanted, grads), (found, others) = (
        gradients(recipe, stage, data, device) for device in ("cpu", "cuda")
    )

    assert found == pytest.approx(wanted, rel=1e-4)
    scale = max(float(grad.abs().max()) for grad in grads)
    for grad, other in zip(grads, others, strict=True):
        assert (grad - other).abs().max() < 1e-4 * scale


@pytest.mark.parametrize(("network", "regulariser"), TRAINED, ids=named)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_what_is_trained_predicts_on_both(data, tmp_path, precision, network, regulariser):
    """Training leaves folders that the CPU reads, and that give nearly the same mask there."""
    path = write_recipe(data, "both", model=network, regulariser=regulariser, precision=precision)
    recipe = load_recipe(path)
    for _ in glnet.train(recipe, tmp_path / "run"):
        pass

    masks = [
        glnet.segment(data / "3.tif", tmp_path / "run/model", device=device, engine="torch")
        for device in ("cpu", "cuda")
    ]

    assert (masks[0] == masks[1]).mean() > 0.999


def test_the_same_seed_gives_the_same_bits(data, tmp_path):
    recipe = load_recipe(write_recipe(data, "same", deterministic=True, freeze_batch_norm=True))
    for out in ("one", "two"):
        for _ in glnet.train(recipe, tmp_path / out):
            pass

    one, two = (
        (tmp_path / f"{out}/model/model.safetensors").read_bytes() for out in ("one", "two")
    )
    assert one == two
    torch.use_deterministic_algorithms(mode=False)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A network with real weights to hold."""
    folder = tmp_path_factory.mktemp("wide") / "model"
    sides = {"thumbnail": 256, "patch": 256, "overlap": 32}
    return exported_tiny(folder, ("a", "b", "c"), trunk_options={}, width=128, **sides)


@pytest.mark.parametrize("memory", ["400MiB", "1GiB"])
def test_a_prediction_keeps_to_its_memory(tmp_path, wide, memory):
    pixels = np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), dtype=np.uint8)
    image = tmp_path / "image.png"
    Image.fromarray(pixels).save(image)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()

    glnet.predict(image, wide, tmp_path / "mask.tif", device="cuda", memory=memory)

    assert torch.cuda.max_memory_allocated() - before < read_bytes(memory) + SLACK


@pytest.mark.parametrize(("network", "regulariser"), TRAINED, ids=named)
@pytest.mark.parametrize("stage", STAGES)
def test_a_step_takes_no_more_than_it_is_said_to(data, stage, network, regulariser):
    sides = {"thumbnail": 256, "patch": 256, "overlap": 32}
    changes = {**network, "trunk_options": {}, "width": 128, **sides}
    recipe = load_recipe(write_recipe(data, "wide", model=changes, regulariser=regulariser))
    samples = read_manifest(data / "manifest.csv", "train")
    told = estimate_memory(
        recipe.model, len(CLASSES), stage, len(samples), recipe.train.mini_batch,
        frozen=True, loss=recipe.loss, device="cuda",
    )  # fmt: skip
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()

    gradients(recipe, stage, data, "cuda")

    assert torch.cuda.max_memory_allocated() - before < told
