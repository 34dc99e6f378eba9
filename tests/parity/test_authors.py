"""What importing the authors' checkpoints promises: their scores, losses and gradients.

The cases lie in `../shared/parity` beside the checkout and are skipped where it is missing; bars
are those of its README.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glnet.datasets.draws import Draw
from glnet.datasets.masks import nearest_labels
from glnet.engines.imported import import_weights
from glnet.engines.loading import load_engine
from glnet.engines.models import load_model
from glnet.engines.torch_engine import TorchEngine
from glnet.geometry import Size, patch_grid
from glnet.model import build_glnet
from glnet.model.authors import key_table, translate
from glnet.raster import Raster
from glnet.recipe import Recipe
from glnet.resample import shrink
from glnet.training.losses import PixelLoss
from glnet.training.parts import prepare
from glnet.training.stages import Step

CASES = Path(__file__).resolve().parents[3] / "shared" / "parity"
pytestmark = pytest.mark.skipif(
    not (CASES / "weights.py").is_file(), reason=f"no parity cases at {CASES}"
)

MODES = {"global": "none", "global_to_local": "global_to_local", "bidirectional": "bidirectional"}
STAGES = {
    "global": "global",
    "global_to_local": "global_to_local",
    "bidirectional": "local_to_global",
}
BAR = 1e-4
SAME = 0.9999
#: A cell of the wide image's thumbnail is 80 px; rounding decides three of its 16,129, near ties.
FOLDED_SAME = 0.9998


@pytest.fixture(autouse=True, scope="module")
def _two_threads():
    """These are whole ResNet-50s."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def weights():
    sys.path.insert(0, str(CASES))
    import weights as module  # noqa: PLC0415  lies beside the cases

    sys.path.remove(str(CASES))
    return module


@pytest.fixture(scope="module")
def bundles(weights, tmp_path_factory):
    """The three networks, imported from checkpoint files as the authors write them."""
    folder = tmp_path_factory.mktemp("authors")
    files = {"global_": folder / "g.pth", "collaborative": folder / "c.pth"}
    weights.write(files["global_"], "fixed_global")
    weights.write(files["collaborative"], "collaborative")
    needs = {
        "global": ("global_",),
        "global_to_local": ("collaborative",),
        "bidirectional": ("global_", "collaborative"),
    }
    for mode, names in needs.items():
        given = {name: files[name] for name in names}
        import_weights(folder / mode, sharing=MODES[mode], **given)
    yield folder
    shutil.rmtree(folder)


def engine_of(name, folder):
    """The network layer by layer, or folded, by either library."""
    if name == "plain":
        return TorchEngine(load_model(folder)[0], torch.device("cpu"))
    return load_engine(folder, "cpu", engine=name)[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("case", "engine"),
    [
        ("square", "plain"), ("wide", "plain"), ("square", "torch"), ("square", "openvino"),
        ("wide", "openvino"),
    ],
)  # fmt: skip
def test_scores_and_labels_are_the_authors(bundles, case, mode, engine):
    """Every recorded score agrees to 1e-4 of the largest, and 99.99 % of the class ids."""
    runs = engine_of(engine, bundles / mode)
    oracle = np.load(CASES / f"{case}.npz")
    truth = np.asarray(Image.open(CASES / f"{case}.{mode}.png"))

    with Raster(CASES / f"{case}.png") as scene:
        found = runs.segment(scene, runs.settings.views).views

    view = runs.settings.views[0]
    assert (found[view].labels() == truth).mean() >= (SAME if engine == "plain" else FOLDED_SAME)
    pixels = (slice(None), oracle["rows"], oracle["cols"])
    if mode == "global":
        assert_close(found["global"].cells, oracle["global/logits"])
        return
    assert_close(found["aggregated"].cells[pixels], oracle[f"{mode}/scores"])
    assert_close(found["local"].cells[pixels], oracle[f"{mode}/local_scores"])
    if mode == "bidirectional":
        assert_close(found["global"].cells, oracle["bidirectional/global_logits"])


def test_the_command_gives_the_authors_mask(bundles, tmp_path):
    """`glnet predict` with imported weights writes their class ids for the wide image."""
    command = Path(sys.executable).with_name("glnet")
    mask = tmp_path / "mask.tif"

    subprocess.run(
        [command, "predict", CASES / "wide.png", "--model", bundles / "bidirectional", "-o", mask],
        check=True,
    )

    truth = np.asarray(Image.open(CASES / "wide.bidirectional.png"))
    with Raster(mask) as file:
        assert (file.read()[0] == truth).mean() >= SAME


@pytest.mark.parametrize("mode", MODES)
def test_a_training_step_is_the_authors(weights, mode):
    """Loss of the last mini-batch to 1e-6, norm of every parameter's gradient to 1e-4."""
    oracle = np.load(CASES / f"training-{mode}.npz")
    branches = "global" if mode == "global" else "both"
    recipe = Recipe.model_validate(
        {
            "preset": "authors",
            "data": {"manifest": "-", "classes": "-"},
            "model": {
                "thumbnail": 124,
                "patch": 124,
                "sharing": MODES[mode],
                "branches": branches,
                # Their inputs were scaled in float32 before the float64 network saw them.
                "input": {"scale": 1.0},
            },
        }
    )
    checkpoints = {
        name: {k: torch.from_numpy(v) for k, v in weights.state_dict(file).items()}
        for name, file in (("global", "fixed_global"), ("collaborative", "collaborative"))
    }
    model = build_glnet(recipe.model, 7)
    model.load_state_dict(translate(MODES[mode], checkpoints, model.state_dict()))
    model.double()
    stage = STAGES[mode]
    trained = prepare(model, stage, freeze_batch_norm=False)
    losses = []

    def backward(loss):
        losses.append(loss.item())
        loss.backward()

    step = Step(
        TorchEngine(model, torch.device("cpu")), PixelLoss(recipe.loss, 7), recipe, backward
    )
    step.run(
        stage, [draw(*pair, stage) for pair in zip(oracle["images"], oracle["labels"], strict=True)]
    )

    # The refined global branch is walked back through last; theirs ends with the last patches.
    last = losses[-2] if stage == "local_to_global" else losses[-1]
    assert last == pytest.approx(float(oracle["last_loss"]), rel=1e-6)
    assert len(oracle["keys"]) == len(trained)
    frozen = "global_branch" if stage == "local_to_global" else "-"
    ours = {
        theirs: key
        for key, (_, theirs) in key_table(MODES[mode], model.state_dict()).items()
        if not key.startswith(frozen)
    }
    parameters = dict(model.named_parameters())
    for key, norm in zip(oracle["keys"], oracle["grad_norms"], strict=True):
        gradient = parameters[ours[str(key).removeprefix("module.")]].grad
        assert gradient.norm().item() == pytest.approx(float(norm), rel=1e-4), key


def draw(image: np.ndarray, labels: np.ndarray, stage: str) -> Draw:
    """All patches of one image of a training case, as the authors cut and resize them."""
    pixels = np.ascontiguousarray(np.moveaxis(image, -1, 0))
    size, cells = Size(*labels.shape), Size(31, 31)
    windows = patch_grid(size, 124, 50, "authors") if stage != "global" else ()
    return Draw(
        size,
        shrink(pixels, Size(124, 124)).astype(np.float32) / np.float32(255),
        nearest_labels(labels, cells),
        windows,
        [pixels[:, *w.slices].astype(np.float32) / np.float32(255) for w in windows],
        list(range(len(windows))),
        [nearest_labels(labels[w.slices], cells) for w in windows],
    )


def assert_close(found, wanted: np.ndarray) -> None:
    difference = np.abs(np.asarray(found) - wanted).max()
    assert difference <= BAR * np.abs(wanted).max()


def test_the_bundle_says_what_it_is(bundles):
    """An imported model keeps the preset in its config and DeepGlobe's classes."""
    model, table = load_model(bundles / "bidirectional")

    assert model.settings.alignment == "authors"
    assert (model.settings.thumbnail, model.settings.patch) == (508, 508)
    assert table.names[0] == "unknown"
    assert table.colours[5] == (0, 0, 255)
