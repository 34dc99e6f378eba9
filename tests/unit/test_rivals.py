"""What rivals promise: logits at full size, a trunk that starts as GLNet's, no wish left silent."""

import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.engines.models import save_model
from glnet.engines.torch_engine import TorchEngine
from glnet.errors import RecipeError
from glnet.geometry import patch_grid
from glnet.model import build_glnet
from glnet.model.norm import BatchNorm
from glnet.model.trunk import Trunk
from glnet.recipe import Network, Recipe, check_settings
from glnet.training.memory import estimate_memory
from glnet.training.parts import prepare, statistics_move
from glnet.training.start import start_stage
from networks import TINY, random_scene, tiny_settings

RIVALS = get_args(Network)[1:]
EACH_RIVAL = pytest.mark.parametrize("network", RIVALS)
DATA = {"manifest": "-", "classes": "-"}


def rival(network, branches="local", classes=3, **changes):
    torch.manual_seed(0)
    return build_glnet(tiny_settings(network=network, branches=branches, **changes), classes)


def segment(model, scene, mini_batch=6):
    engine = TorchEngine(model, torch.device("cpu"), mini_batch=mini_batch)
    (scores,) = engine.segment(scene, model.settings.views).views.values()
    return torch.cat([strip for _, strip in scores.strips()], dim=1)


@EACH_RIVAL
@pytest.mark.parametrize(("height", "width"), [(37, 65), (64, 96), (1, 130)])
def test_logits_have_the_size_of_the_input(network, height, width):
    """Whatever it is; an input padded by hand to what the trunk divides by gives the same."""
    branch = rival(network).local_branch
    pixels = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))
    stride = branch.trunk.stride
    edges = ((0, 0), (0, 0), (0, -height % stride), (0, -width % stride))
    padded = torch.from_numpy(np.pad(pixels.numpy(), edges, mode="edge"))

    with torch.no_grad():
        found, whole = branch(pixels), branch(padded)

    assert found.logits.shape == (2, 3, height, width)
    assert torch.equal(found.logits, whole.logits[..., :height, :width])
    assert found.logits.std() > 0


@pytest.mark.parametrize(
    ("trunk", "options"),
    [("convnext_atto", {}), ("swin_s3_tiny_224", {"strict_img_size": False})],
)
def test_trunks_without_a_stage_at_half_the_size_do(trunk, options):
    """Such as keep their maps in another order, too."""
    model = rival("unet", trunk=trunk, trunk_options=options, bands=4)

    with torch.no_grad():
        logits = model.local_branch(torch.rand(1, 4, 45, 70)).logits

    assert logits.shape == (1, 3, 45, 70)


@torch.no_grad()
def slow_twin(model, scene):
    """Every patch alone, its logits added pixel by pixel in float64; and how many there are."""
    settings = model.settings
    sums, count = np.zeros((model.classes, *scene.size)), np.zeros(scene.size)
    mean, deviation = (
        np.array(values, np.float32).reshape(3, 1, 1)
        for values in (settings.input.mean, settings.input.deviation)
    )
    windows = patch_grid(scene.size, settings.patch, settings.overlap, settings.alignment)
    for window in windows:
        pixels = (scene.read(window).astype(np.float32) / 255 - mean) / deviation
        logits = model.local_branch(torch.from_numpy(pixels)[None]).logits[0]
        for row in range(window.height):
            for column in range(window.width):
                place = window.top + row, window.left + column
                sums[:, *place] += logits[:, row, column].double().numpy()
                count[place] += 1
    assert len(windows) > 1
    assert count.min() == 1 < count.max()
    return sums, count


@EACH_RIVAL
def test_the_scores_of_a_pixel_are_the_mean_of_its_patches(network):
    """At full resolution, on a scene whose sides nothing divides."""
    model, scene = rival(network), random_scene(107, 93)

    found = segment(model, scene, mini_batch=3)

    sums, count = slow_twin(model, scene)
    wanted = torch.from_numpy(sums / count)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_in_the_authors_alignment_they_are_the_sum():
    """As those of GLNet are there."""
    model, scene = rival("unet", alignment="authors"), random_scene(107, 93)

    found = segment(model, scene)

    wanted = torch.from_numpy(slow_twin(model, scene)[0])
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@EACH_RIVAL
def test_a_global_rival_sees_the_thumbnail(network):
    """Its logits there are enlarged to the scene."""
    model, scene = rival(network, "global"), random_scene(150, 131)
    thumbnail = torch.from_numpy(scene.thumbnail(model.thumbnail_size))[None]

    found = segment(model, scene)

    with torch.no_grad():
        logits = model.global_branch(model.normalise(thumbnail)).logits
    wanted = functional.interpolate(logits.double(), scene.size, mode="bilinear")[0]
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@EACH_RIVAL
def test_a_single_patch_can_be_learnt_from(network):
    """A mini-batch may hold one: what is pooled to a cell has no deviation then."""
    model = rival(network)
    parameters = prepare(model, "global_to_local", freeze_batch_norm=False)

    model.local_branch(torch.rand(1, 3, 64, 64)).logits.square().mean().backward()

    assert all(torch.isfinite(p.grad).all() for p in parameters)


def test_only_a_single_value_passes_by_the_running_statistics():
    """Else it is PyTorch's batch norm, bit for bit; the single value teaches it nothing."""
    own, theirs = BatchNorm(5), nn.BatchNorm2d(5)
    several, single = torch.randn(2, 5, 1, 1), torch.randn(1, 5, 1, 1)

    assert torch.equal(own(several), theirs(several))
    before = {key: value.clone() for key, value in own.state_dict().items()}
    passed = own(single)

    assert torch.equal(passed, theirs.eval()(single))
    for state in (before, theirs.state_dict()):
        assert all(torch.equal(value, state[key]) for key, value in own.state_dict().items())


@EACH_RIVAL
def test_frozen_statistics_are_those_of_the_trunk(network):
    """The decoder's start at nothing: as long as there are any, they are learnt."""
    model = rival(network)

    prepare(model, "global_to_local", freeze_batch_norm=True)

    normed = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert any("trunk" in name for name, _ in normed)
    for name, module in normed:
        assert module.training == ("trunk" not in name)
    assert statistics_move(model) == (network != "fpn")


@EACH_RIVAL
def test_a_trunk_starts_from_the_file_of_glnets_trunk(network, tmp_path):
    """All its weights are the file's; the rest starts as the library starts it."""
    trunk = Trunk(TINY["trunk"], 3, TINY["trunk_options"])
    save_file(trunk.body.state_dict(), tmp_path / "trunk.safetensors")
    model = rival(network)
    before = {key: value.clone() for key, value in model.state_dict().items()}

    start_stage(model, recipe(network, tmp_path / "trunk.safetensors"), "global_to_local", table())

    own, wanted = model.local_branch.trunk.encoder.model.state_dict(), trunk.body.state_dict()
    assert len(own) == len(wanted)
    assert all(torch.equal(value, wanted[key]) for key, value in own.items())
    for key, value in model.state_dict().items():
        assert "trunk" in key or torch.equal(value, before[key])


def recipe(network, weights="none", **train):
    model = {**TINY, "network": network, "branches": "local"}
    train = {"trunk_weights": str(weights), **train}
    return Recipe.model_validate({"data": DATA, "model": model, "train": train})


def table(names="abc"):
    return ClassTable(tuple(ClassInfo(n, i, (i, i, i)) for i, n in enumerate(names)))


def test_a_trunk_starts_from_torchvisions_file(tmp_path):
    """Under its names, classifier included."""
    state = torchvision.models.resnet18().state_dict()
    torch.save(state, tmp_path / "resnet18.pth")
    trunk = rival("unet", trunk_options={}).local_branch.trunk

    trunk.load(str(tmp_path / "resnet18.pth"))

    own = trunk.encoder.model.state_dict()
    assert len(own) == len(state) - 2  # without the classifier
    assert all(torch.equal(value, state[key]) for key, value in own.items())


def test_a_rival_starts_from_a_trained_one_class_by_class(tmp_path):
    """All but the classifier as it was; of this what the two have in common."""
    source = rival("fcn")
    save_model(tmp_path / "source", source, table("abc"), "A test.")
    torch.manual_seed(1)
    model = build_glnet(source.settings, 2)
    new = model.local_branch.classify.weight[0].clone()

    said = start_stage(
        model, recipe("fcn", start_from=str(tmp_path / "source")), "global_to_local", table("dc")
    )

    assert said.endswith("local_branch; new classes: d")
    for key, value in model.state_dict().items():
        assert "classify" in key or torch.equal(value, source.state_dict()[key])
    own, known = (m.local_branch.classify.weight for m in (model, source))
    assert torch.equal(own[0], new)
    assert torch.equal(own[1], known[2])


def test_a_rival_does_not_start_from_another_network(tmp_path):
    """One line names what is missing."""
    save_model(tmp_path / "unet", rival("unet"), table(), "A test.")

    with pytest.raises(RecipeError, match=r"another network .* local_branch\.decoder\.\S+ is miss"):
        start_stage(
            rival("fpn"), recipe("fpn", start_from=str(tmp_path / "unet")), "global_to_local",
            table(),
        )  # fmt: skip


@EACH_RIVAL
@pytest.mark.parametrize(
    ("branches", "stage"), [("global", "global"), ("local", "global_to_local")]
)
def test_the_account_of_memory_holds_a_rival(network, branches, stage):
    """Weights, gradients and Adam's means at the least; and what is run at once."""
    settings = tiny_settings(network=network, branches=branches)
    weights = sum(p.numel() * 4 for p in build_glnet(settings, 3).parameters())

    one, many = (estimate_memory(settings, 3, stage, count, count) for count in (2, 8))

    assert one > 4 * weights
    assert many - one > 6 * 3 * 4 * 64**2  # at least the logits of six more


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": {"network": "unet"}}, r"model: a unet is one branch: say branches: global"),
        ({"model": {"network": "une"}}, r"model\.network: .* did you mean 'unet'\?$"),
        ({"model": {"network": "deeplab"}}, r"did you mean 'deeplabv3plus'\?$"),
        (
            {"model": {"network": "fcn", "branches": "local"}, "loss": {"resolution": "quarter"}},
            r"a fcn has logits at full size",
        ),
        (
            {
                "model": {"network": "pspnet", "branches": "local"},
                "train": {"deterministic": True},
            },
            r"train\.deterministic: .* pooling of a pspnet",
        ),
    ],
)
def test_what_a_rival_cannot_is_refused(settings, said):
    """In one line, when the recipe is read."""
    with pytest.raises(RecipeError, match=said) as refused:
        check_settings(Recipe, {"data": DATA, **settings}, "recipe.yaml")

    assert "\n" not in str(refused.value)
    assert "more)" not in str(refused.value)


@pytest.mark.parametrize("network", ["pspnet", "deeplabv3plus", "fcn"])
def test_a_trunk_that_cannot_be_dilated_is_refused(network):
    """The line names both, and what the rival does with the trunk."""
    with pytest.raises(RecipeError, match=f"{network} cannot .* 'pvt_v2_b0' .* it dilates"):
        rival(network, trunk="pvt_v2_b0", trunk_options={})


@pytest.mark.parametrize(
    ("trunk", "options"), [("no_such", {}), ("swin_s3_tiny_224", {}), ("resnet18", {"no": 1})]
)
def test_a_trunk_that_cannot_serve_is_refused(trunk, options):
    """Unknown, of one size alone, or with an option that it has not."""
    with pytest.raises(RecipeError, match=f"unet cannot be built on the trunk '{trunk}'") as said:
        rival("unet", trunk=trunk, trunk_options=options)

    assert "\n" not in str(said.value)


def test_without_its_library_a_rival_says_what_to_install():
    """And GLNet is built as ever, without the seconds that importing it takes."""
    code = (
        "import sys\n"
        "from glnet.errors import RecipeError\n"
        "from glnet.model import build_glnet\n"
        "from glnet.recipe import ModelSettings\n"
        "thin = {'trunk': 'resnet18', 'trunk_options': {'channels': [8, 8, 8, 8]}}\n"
        "build_glnet(ModelSettings(branches='local', **thin), 2)\n"
        "assert 'segmentation_models_pytorch' not in sys.modules\n"
        "sys.modules['segmentation_models_pytorch'] = None\n"
        "try: build_glnet(ModelSettings(network='unet', branches='local', **thin), 2)\n"
        "except RecipeError as error: print(error)"
    )

    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert "unet needs: pip install 'lightning-fabric" in said.stdout
    assert said.stdout.count("\n") == 1
