"""What training promises: each stage learns, touches only its own, and leaves bundles that run."""

import csv
import json

import numpy as np
import pytest
import rasterio
import torch
from rasterio import Affine

import glnet
from glnet.bundle import read_config
from glnet.datasets.classes import read_classes
from glnet.datasets.draws import EpochBatches, TrainingImages
from glnet.datasets.manifest import Sample, read_manifest
from glnet.datasets.masks import LabelCoder
from glnet.engines.loading import load_engine
from glnet.engines.models import load_model
from glnet.engines.scoring import score_samples
from glnet.engines.torch_engine import TorchEngine
from glnet.errors import DataError, RasterError, RecipeError, RunError
from glnet.geometry import Window
from glnet.model.branch import SharedMaps
from glnet.model.sharing import Canvas
from glnet.recipe import LossSettings, load_recipe
from glnet.sharing import COARSE_FIRST, Place
from glnet.training.data import read_data
from glnet.training.fetching import fetch
from glnet.training.keeper import Keeper
from glnet.training.losses import PixelLoss
from glnet.training.parts import prepare, trained_parts
from glnet.training.records import EpochRecord, StepRecord
from glnet.training.schedule import schedule
from glnet.training.stages import Step
from makers import noise, opened, write_text, write_tif
from networks import ArrayScene, named, tiny_network
from runs import STAGES, write_data, write_recipe
from scenes import CLASSES

#: Every kind of pyramid, and finer maps below.
PYRAMIDS = [{"pyramid": "linear"}, {"pyramid": "normed"}, {"pyramid": "normed", "finest": 2}]

OWN = {
    "global": ("global_branch.",),
    "global_to_local": ("local_branch.", "aggregation."),
    "local_to_global": ("refined_global.", "aggregation."),
}


def regulariser(model):
    """The default's, where the branches' last maps can be coupled."""
    return 0 if "finest" in model else 0.15


def step_of(recipe, stage, data, *, seed=0, freeze=False, ignored=False):
    """A network prepared for a stage, and a function that takes one step on the training data."""
    chosen = {name: getattr(recipe.model, name) for name in ("pyramid", "finest", "sharing")}
    model = tiny_network(len(CLASSES), seed, **chosen)
    parameters = prepare(model, stage, freeze_batch_norm=freeze)
    engine = TorchEngine(model, torch.device("cpu"))
    step = Step(engine, PixelLoss(recipe.loss, len(CLASSES)), recipe, lambda loss: loss.backward())
    coder = LabelCoder(read_classes(data / "classes.csv"))
    samples = read_manifest(data / "manifest.csv", "train")
    images = TrainingImages(samples, coder, recipe, stage)
    draws = [images[1, i] for i in range(len(samples))]
    if ignored:
        for number, draw in enumerate(draws):
            for labels in (draw.thumbnail_labels, *draw.labels):
                labels.setflags(write=True)
                labels[: 7 + 5 * number, :40] = 255
    return model, parameters, lambda: step.run(stage, draws)


@pytest.mark.parametrize("model", PYRAMIDS, ids=named)
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lowers_its_loss_and_changes_only_its_own(data, stage, model):
    """On one batch of unequal images; all else stays bit for bit, batch statistics too."""
    recipe = load_recipe(write_recipe(data, model=model, regulariser=regulariser(model)))
    model, parameters, step = step_of(recipe, stage, data)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    adam = torch.optim.Adam(parameters, lr=3e-3)
    losses = []

    for _ in range(8):
        losses.append(step()["loss"])
        adam.step()
        adam.zero_grad()

    assert losses[-1] < 0.9 * losses[0]
    changed = {
        key for key, value in model.state_dict().items() if not torch.equal(value, before[key])
    }
    assert all(key.startswith(OWN[stage]) for key in changed)
    for part in OWN[stage]:
        assert any(key.startswith(part) for key in changed)


@pytest.mark.parametrize("model", PYRAMIDS, ids=named)
def test_the_gathered_gradient_is_that_of_the_whole_graph(data, model):
    """Stage three's one walk back through the refined branch equals a retained graph's sum."""
    recipe = load_recipe(
        write_recipe(data, model=model, regulariser=regulariser(model), patches="all", mini_batch=3)
    )
    _, parameters, step = step_of(recipe, "local_to_global", data, freeze=True)
    step()
    gathered = [p.grad.clone() for p in parameters]
    model_again, parameters_again, _ = step_of(recipe, "local_to_global", data, freeze=True)
    coder = LabelCoder(read_classes(data / "classes.csv"))
    samples = read_manifest(data / "manifest.csv", "train")
    images = TrainingImages(samples, coder, recipe, "local_to_global")
    draws = [images[1, i] for i in range(len(samples))]

    # The features are not detached: one graph, one walk, no gathering.
    retained_loss(model_again, PixelLoss(recipe.loss, len(CLASSES)), draws).backward()

    for one, other in zip(gathered, parameters_again, strict=True):
        assert torch.allclose(one, other.grad, rtol=1e-3, atol=1e-6)


def retained_loss(model, loss, draws):
    """Stage three's loss as one expression over all patches, the way the paper writes it."""
    thumbnails = torch.from_numpy(np.stack([draw.thumbnail for draw in draws]))
    with torch.no_grad():
        maps = model.global_pass(thumbnails).maps
        local, laid = [], []
        for item, draw in enumerate(draws):
            canvas = Canvas(draw.size, model.thumbnail_size, model.settings.alignment)
            pixels = torch.from_numpy(np.stack(draw.patches))
            places = [Place(item, draw.size, window) for window in draw.windows]
            local.append(model.local_pass(pixels, places, maps))
            canvas.add(local[-1].maps, draw.windows, COARSE_FIRST)
            laid.append(canvas.finished())
        laid = SharedMaps(
            *(tuple(map(torch.stack, zip(*kind, strict=True))) for kind in zip(*laid, strict=True))
        )
    refined = model.refined_global_pass(thumbnails, laid)
    total = loss(
        refined.logits, torch.from_numpy(np.stack([draw.thumbnail_labels for draw in draws]))
    )
    pixels = sum(labels.size for draw in draws for labels in draw.labels)
    for item, draw in enumerate(draws):
        assert draw.drawn == list(range(len(draw.windows)))
        places = [Place(item, draw.size, window) for window in draw.windows]
        logits = model.aggregate(local[item].joined, model.global_features(refined.joined, places))
        truth = np.stack(draw.labels)
        total = total + loss(logits, torch.from_numpy(truth)) * truth.size / pixels
    return total


@pytest.mark.parametrize("stage", STAGES)
def test_averaged_gradients_do_not_depend_on_the_mini_batch(data, stage):
    """With fixed batch statistics: patches one by one, three at a time or all at once.

    Some ground is ignored and the classes weigh differently, so that no two patches weigh alike.
    """
    gradients, losses = [], []
    for size in (1, 3, 1000):
        recipe = load_recipe(write_recipe(data, mini_batch=size, patches="all"))
        weights = [1.0, 2.0, 0.5, 1.0, 3.0, 1.0, 4.0]
        changed = {"kind": "cross_entropy", "class_weights": weights, "dice_weight": 0.5}
        recipe = recipe.model_copy(update={"loss": recipe.loss.model_copy(update=changed)})
        model, parameters, step = step_of(recipe, stage, data, freeze=True, ignored=True)
        model.double()
        losses.append(step())
        gradients.append([p.grad.clone() for p in parameters])

    assert all(loss > 0 for loss in losses[0].values())
    assert losses[0].pop("loss") == pytest.approx(sum(losses[0].values()))
    for other in (1, 2):
        assert losses[other].pop("loss") == pytest.approx(sum(losses[other].values()))
        assert losses[other] == pytest.approx(losses[0], rel=1e-6)
        for one, again in zip(gradients[0], gradients[other], strict=True):
            assert (one - again).abs().max() <= 1e-5 * one.abs().max()


def test_summed_gradients_count_every_mini_batch_in_full(data):
    """As the authors have it: four of one patch each are about four times their mean."""
    norms = []
    for kind in ("averaged", "summed"):
        recipe = load_recipe(write_recipe(data, mini_batch=1, gradients=kind))
        _, parameters, step = step_of(recipe, "global_to_local", data, freeze=True)
        step()
        norms.append(torch.cat([p.grad.ravel() for p in parameters]).norm().item())

    assert norms[1] == pytest.approx(4 * norms[0], rel=0.1)


def test_the_coupling_pulls_the_local_branch(data):
    gradients = []
    for regulariser in (0, 10):
        recipe = load_recipe(write_recipe(data, regulariser=regulariser))
        model, _, step = step_of(recipe, "global_to_local", data, freeze=True)
        step()
        gradients.append(next(model.local_branch.parameters()).grad)

    assert not torch.allclose(*gradients)


def test_thumbnails_of_a_step_are_normalised_together(data):
    """Where batch norms learn; the size of a mini-batch of patches is none of theirs."""
    losses = []
    for size in (1, 1000):
        recipe = load_recipe(write_recipe(data, mini_batch=size))
        losses.append(step_of(recipe, "global", data)[2]())

    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_a_tiny_network_fits_two_scenes(data, tmp_path):
    """All stages together, from scratch, to a high score on their own training scenes."""
    path = write_recipe(
        data, "fit", (60, 120, 5), patches="all", mini_batch=16,
        model={"trunk_options": {"channels": [16, 32, 64, 64]}, "width": 16, "thumbnail": 96},
        augment={"flips": False, "quarter_turns": False}, validate_every=1000, warmup_steps=5,
    )  # fmt: skip
    for _ in glnet.train(load_recipe(path), tmp_path / "run"):
        pass

    found = glnet.evaluate(tmp_path / "run/model", data / "manifest.csv", "train", device="cpu")

    assert found.matrices["aggregated"].scores().accuracy > 0.8


@pytest.mark.parametrize("finest", [2, 4])
def test_finer_maps_tell_lines_of_two_pixels_apart(finest):
    """Every pixel of what was learnt; at stride 4 every cell holds one of each."""
    model = tiny_network(2, branches="local", sharing="none", pyramid="normed", finest=finest)
    labels = np.tile(np.array([0, 0, 1, 1], np.uint8), (64, 16))
    scene = ArrayScene(np.stack([200 * labels] * 3))
    pixels, truth = torch.from_numpy(scene.pixels[None]), torch.from_numpy(labels[None].copy())
    place = Place(0, scene.size, Window(0, 0, 64, 64))
    loss = PixelLoss(LossSettings(kind="cross_entropy"), 2)
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    model.train()

    for _ in range(60):
        loss(model.local_pass(pixels, [place], None).logits, truth).backward()
        adam.step()
        adam.zero_grad()

    found = TorchEngine(model, torch.device("cpu")).segment(scene, ["local"]).views["local"]
    right = (found.labels() == labels).mean()
    assert right == 1 if finest == 2 else right < 0.75


def test_larger_images_are_learnt_and_scored_scene_by_scene(data, tmp_path):
    """Every pixel counts once; the count of images stays that of the manifest."""
    path = write_recipe(
        data, "scenes", (1, 1, 1), model={"scene": 64, "branches": "global", "sharing": "none"}
    )

    first, *records = glnet.train(load_recipe(path), tmp_path / "run")
    found = glnet.evaluate(tmp_path / "run/model", data / "manifest.csv", "train", device="cpu")

    # 96 x 96 are four scenes, 90 x 131 are six, 50 x 150 are three.
    assert first.text.startswith("2 (10 scenes) training and 1 (3 scenes) validation images")
    assert max(record.steps for record in records if isinstance(record, StepRecord)) == 5
    assert len(found.images) == 2
    assert found.matrices["global"].counts.sum() == 96 * 96 + 90 * 131


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A whole short run and its records."""
    folder = tmp_path_factory.mktemp("run")
    records = list(glnet.train(load_recipe(write_recipe(data, "run")), folder))
    return folder, records


def test_every_stage_leaves_a_model_that_predicts(data, run):
    """`best` and `last` of each stage are bundles: the global branch alone, then GLNet."""
    folder, _ = run
    views = {"global": 1, "global_to_local": 3, "local_to_global": 3}
    for stage, count in views.items():
        for name in ("best", "last"):
            model, _ = load_model(folder / stage / name)

            assert len(model.settings.views) == count
            mask = glnet.segment(data / "3.tif", folder / stage / name, device="cpu")
            assert mask.shape == (96, 96)


def test_a_run_tells_what_it_does(run):
    """A record per step and epoch, the same numbers in the CSV, the recipe beside them."""
    folder, records = run
    epochs = [record for record in records if isinstance(record, EpochRecord)]
    steps = [record for record in records if isinstance(record, StepRecord)]

    assert [r.stage for r in epochs] == [stage for stage in STAGES for _ in range(2)]
    assert len(steps) == 6
    assert all(set(r.losses) >= {"loss"} and r.pace.remaining >= 0 for r in steps)
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [record.loss for record in epochs]
    assert rows[-1]["aggregated"] != ""
    resolved = load_recipe(folder / "resolved.yaml")
    assert resolved.train.stages.of("global").epochs == 2
    config = json.loads((folder / "model/config.json").read_text())
    assert config["recipe"]["train"]["patches"] == 2
    sides = {"largest": 131, "median": (96 + 131) // 2, "resolution": 0.5}
    assert config["trained_on"] == {**sides, "images": 2, "scenes": 2}
    assert config["licence"] is None
    assert list((folder / "tensorboard").iterdir())


def test_a_later_stage_keeps_the_earlier_ones_weights(run):
    """The plain global branch of the final model is the best of stage one, bit for bit."""
    folder, _ = run
    first = load_model(folder / "global/best")[0].state_dict()
    final = load_model(folder / "model")[0].state_dict()

    for key, value in first.items():
        assert torch.equal(value, final[key])


def test_the_same_seed_gives_the_same_weights(data, run, tmp_path):
    """Bit for bit on the CPU; another seed gives others."""
    again = {}
    for seed in (0, 1):
        recipe = load_recipe(write_recipe(data, f"seed{seed}", seed=seed))
        for _ in glnet.train(recipe, tmp_path / str(seed), ["global"]):
            pass
        again[seed] = load_model(tmp_path / str(seed) / "global/last")[0].state_dict()
    first = load_model(run[0] / "global/last")[0].state_dict()

    assert all(torch.equal(value, again[0][key]) for key, value in first.items())
    assert not all(torch.equal(value, again[1][key]) for key, value in first.items())


def test_a_stage_alone_needs_the_one_before(data, tmp_path):
    """It starts from the earlier stage's best in the same folder, and says so where it lacks."""
    recipe = load_recipe(write_recipe(data, "alone"))

    with pytest.raises(RunError, match="run stage global first"):
        list(glnet.train(recipe, tmp_path / "empty", ["global_to_local"]))
    single = recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"branches": "global"})}
    )
    with pytest.raises(RecipeError, match="no stage"):
        list(glnet.train(single, tmp_path / "empty", ["local_to_global"]))
    with pytest.raises(RecipeError, match="was given no stage to train; it has: global, "):
        list(glnet.train(recipe, tmp_path / "empty", []))


def test_a_stage_does_not_build_on_another_recipes_network(data, run):
    """Other model settings or classes in the same folder are refused, not half loaded."""
    recipe = load_recipe(write_recipe(data, "other", model={"overlap": 8}))

    with pytest.raises(RunError, match="other model settings or classes"):
        list(glnet.train(recipe, run[0], ["global_to_local"]))


def test_workers_change_nothing(data, run, tmp_path):
    """Read ahead by another process: the same weights, and errors stay one line."""
    recipe = load_recipe(write_recipe(data, "workers", workers=1))
    images = TrainingImages(
        [Sample(data / "none.tif", data / "none.tif", "train")], None, recipe, "global"
    )

    list(glnet.train(recipe, tmp_path / "run", ["global"]))

    first = load_model(run[0] / "global/last")[0].state_dict()
    again = load_model(tmp_path / "run/global/last")[0].state_dict()
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    with pytest.raises(RasterError, match=r"none.tif: no such file$"):
        list(fetch(images, EpochBatches(1, 1, 1, 0), workers=1))


@pytest.mark.parametrize("branches", ["global", "local"])
def test_a_single_branch_trains_alone(data, tmp_path, branches):
    """The first two rows of the ablation: one stage, one view."""
    recipe = load_recipe(write_recipe(data, branches, model={"branches": branches}))

    records = list(glnet.train(recipe, tmp_path / "run"))

    model, _ = load_model(tmp_path / "run/model")
    assert model.settings.views == (branches,)
    assert len({r.stage for r in records if isinstance(r, EpochRecord)}) == 1


@pytest.mark.parametrize("stage", ["global_to_local", "local_to_global"])
@pytest.mark.parametrize("view", [None, "global", "local", "validated"])
def test_a_model_gives_the_view_that_validated_best(data, tmp_path, view, stage):
    """Of each epoch the best view; of epochs the best by a view that the stage changes.

    One that stays as it was, here the global or the local view, would keep the first epoch.
    """
    model = tiny_network(len(CLASSES), view=view)
    recipe = load_recipe(write_recipe(data, "view", (5, 5, 5)))
    keeper = Keeper(recipe, tmp_path, stage, read_data(recipe))
    same, other = ("global", "local") if stage == "global_to_local" else ("local", "global")
    epochs = [
        {"aggregated": 0.30, same: 0.37, other: 0.29},
        {"aggregated": 0.28, same: 0.37, other: 0.35},
        {"aggregated": 0.33, same: 0.37, other: 0.38},
        {"aggregated": 0.36, same: 0.37, other: 0.20},
        {"aggregated": float("nan"), same: 0.39, other: 0.34},
    ]
    best, given = {
        None: ([True, False, True, True], ["aggregated"] * 4),
        same: ([True, True, True, False], [same] * 4),
        other: ([True, True, True, False], [other] * 4),
        "validated": ([True, True, True, False], [same, same, other, other]),
    }[view]
    for epoch, scores in enumerate(epochs[:4], 1):
        assert keeper.keep(model, scores, epoch, write=True) == best[epoch - 1]
        assert load_engine(tmp_path / stage / "best", "cpu")[0].chosen(None) == given[epoch - 1]

    assert not keeper.keep(model, epochs[4], 5, write=True)
    last = load_engine(tmp_path / stage / "last", "cpu")[0]
    assert last.chosen(None) == {None: "aggregated", "validated": same}.get(view, view)


def test_of_epochs_the_best_is_the_first_of_the_highest_known_score(data, tmp_path):
    """Nothing right is a score, too; only where none is known does the latest stand for it."""
    recipe = load_recipe(write_recipe(data, "scores", (9, 1, 1)))
    keeper = Keeper(recipe, tmp_path, "global", read_data(recipe))
    model, unknown = tiny_network(len(CLASSES), branches="global", sharing="none"), float("nan")

    scores = [unknown, unknown, 0.0, 0.0, unknown, 0.2, 0.1, 0.15]
    best = [keeper.keep(model, {"global": s}, n, write=False) for n, s in enumerate(scores, 1)]

    assert best == [True, True, True, False, False, True, False, False]
    assert keeper.best == 0.2
    assert not keeper.has_best, "another process writes"


def test_a_run_whose_view_validation_chooses_goes_through_all_stages(data, tmp_path):
    """Each stage takes up the one before, and the model predicts what its best view does."""
    recipe = load_recipe(write_recipe(data, "validated", model={"view": "validated"}))
    notes = [getattr(record, "text", "") for record in glnet.train(recipe, tmp_path)]

    told = read_config(tmp_path / "model")
    scores = {view: told.scores[f"validation mIoU, {view}"] for view in told.model.views}
    view = told.model.views[0]
    assert scores[view] == max(scores.values())
    assert f"predictions give the {view} view by default" in notes
    masks = [
        glnet.segment(data / "3.tif", tmp_path / "model", view=asked, device="cpu")
        for asked in (None, view)
    ]
    assert (masks[0] == masks[1]).all()


def test_a_third_stage_that_only_harms_keeps_its_start(data, tmp_path):
    """The best of stage three is at least the network that stage two left: here, that network."""
    path = write_recipe(data, "harm", (20, 20, 2), validate_every=20)
    recipe = load_recipe(path)
    stages = recipe.train.stages
    wild = stages.model_copy(
        update={"local_to_global": stages.local_to_global.model_copy(update={"learning_rate": 9.0})}
    )
    train = recipe.train.model_copy(update={"stages": wild})
    for _ in glnet.train(recipe.model_copy(update={"train": train}), tmp_path):
        pass

    second = read_config(tmp_path / "global_to_local/best")
    final = read_config(tmp_path / "model")
    score = "validation mIoU, aggregated"
    assert final.scores[score] >= second.scores[score] - 1e-3
    assert read_config(tmp_path / "local_to_global/last").scores[score] <= final.scores[score]
    kept, last = (load_model(tmp_path / of)[0] for of in ("model", "local_to_global/last"))
    for model, as_it_started in ((kept, True), (last, False)):
        weights = (branch.classify.weight for branch in (model.refined_global, model.global_branch))
        assert torch.equal(*weights) == as_it_started


@pytest.mark.parametrize("model", PYRAMIDS, ids=named)
def test_validation_scores_the_very_network_that_is_kept(data, tmp_path, model):
    """Batch norms are in evaluation mode meanwhile, and learn nothing of the validation images."""
    recipe = load_recipe(write_recipe(data, "kept", model=model, regulariser=regulariser(model)))
    for _ in glnet.train(recipe, tmp_path):
        pass

    samples = read_manifest(data / "manifest.csv", "validation")
    coder = LabelCoder(read_classes(data / "classes.csv"))
    for stage in STAGES:
        folder = tmp_path / stage / "last"
        model, _ = load_model(folder)
        engine = TorchEngine(model, torch.device("cpu"), "fp32", recipe.train.mini_batch)
        found = score_samples(engine, samples, coder, model.settings.views)
        assert read_config(folder).scores == {
            f"validation mIoU, {view}": matrix.scores().mean_iou for view, matrix in found.items()
        }


def test_a_trained_unknown_class_counts_in_validation_as_in_evaluation(data, tmp_path):
    """Not in the mean: the model's own score is what `glnet evaluate` finds."""
    text = (data / "classes.csv").read_text().replace(CLASSES[0][0], "unknown", 1)
    (data / "unknown.csv").write_text(text)
    recipe = load_recipe(write_recipe(data, "unknown", (1, 1, 1), classes="unknown.csv"))
    for _ in glnet.train(recipe, tmp_path, ["global"]):
        pass
    model = tmp_path / "global/last"

    found = glnet.evaluate(model, data / "manifest.csv", "validation", device="cpu", engine="plain")

    assert found.unknown == ["unknown"]
    kept = read_config(model).scores["validation mIoU, global"]
    assert kept == pytest.approx(found.scores("global").mean_iou, abs=1e-3)
    assert kept != pytest.approx(found.matrices["global"].scores().mean_iou, abs=1e-3)


def test_mixed_precision_trains_and_predicts(data, tmp_path):
    """bf16 on the CPU goes through every stage, and predicts nearly what fp32 does."""
    path = write_recipe(data, "bf16", (3, 3, 2), precision="bf16")
    records = list(glnet.train(load_recipe(path), tmp_path / "run"))
    model = tmp_path / "run/model"

    full = glnet.segment(data / "1.tif", model, device="cpu")
    # Any processor can do it in torch, if slowly.
    mixed = glnet.segment(data / "1.tif", model, device="cpu", precision="bf16", engine="torch")

    losses = [record.loss for record in records if isinstance(record, EpochRecord)]
    assert np.isfinite(losses).all()
    assert (full == mixed).mean() > 0.95


def take_away(data, name, first, value=0, label=None):
    """Leave no data from a column on; what it is labelled as there, if it changes."""
    with opened(data / f"{name}.tif") as image, opened(data / f"{name}_mask.tif") as mask:
        pixels, labels = image.read(), mask.read()
    pixels = pixels.astype(np.result_type(pixels, value))
    pixels[..., first:] = value
    labels[..., first:] = labels[..., first:] if label is None else label
    write_tif(data / f"{name}.tif", pixels, nodata=0)
    write_tif(data / f"{name}_mask.tif", labels)


def test_ground_without_data_is_not_learnt_from(tmp_path):
    """Whatever lies there, and whatever its labels say: the run is the same to the last digit."""
    models = []
    for name, value, label in (("a", np.float32(np.nan), 1), ("b", np.float32(np.inf), 2)):
        data = write_data(tmp_path / name)
        for i in range(4):
            take_away(data, i, 40, value, label)
        recipe = write_recipe(data, epochs=(1, 1, 1), model={"input": {"scale": 250}})
        list(glnet.train(load_recipe(recipe), data / "run"))
        models.append([f.read_bytes() for f in sorted((data / "run/model").glob("*.safetensors"))])

    assert models[0]
    assert models[0] == models[1]


def test_scenes_without_a_known_pixel_are_left_out(tmp_path):
    """They would be read, step by step, to teach nothing; a run of nothing else is refused."""
    data = write_data(tmp_path)
    recipe = load_recipe(write_recipe(data, model={"scene": 48}))
    whole = read_data(recipe)
    take_away(data, 1, 40)
    take_away(data, 2, 40)

    read = read_data(recipe)

    gone = {s for s in whole.train + whole.validation if s.image.stem > "0" and s.window.left >= 40}
    assert (whole.blank, read.blank) == (0, len(gone))
    assert read.train == [sample for sample in whole.train if sample not in gone]
    assert read.validation == [sample for sample in whole.validation if sample not in gone]
    assert read.trained_on.scenes == len(read.train)
    assert f"{len(gone)} scenes hold no pixel of a known class and are left out" in read.notes
    for i in (0, 1):
        take_away(data, i, 0)
    with pytest.raises(DataError, match="no pixel of the training split is of a known class"):
        read_data(recipe)


def test_what_was_found_in_the_data_is_told(tmp_path):
    """Images, their parts, and the middle size of a pixel, of all or of none."""
    data = write_data(tmp_path)
    recipe = load_recipe(write_recipe(data, model={"scene": 96}))
    with opened(data / "1.tif", "r+") as file:
        file.transform = Affine(4, 0, 500, 0, -1, 900)
    with opened(data / "0.tif", "r+") as file:
        file.transform = Affine(3, 0, 500, 0, -3, 900)
    first = read_data(recipe)
    write_tif(data / "0.tif", noise(3, 96, 96))

    second = read_data(recipe)

    # 96 x 96 are one scene, 90 x 131 and 50 x 150 are two.
    told, *others = first.notes
    assert told.startswith("2 (3 scenes) training and 1 (2 scenes) validation images; labelled")
    assert "near-colour" not in told
    assert "masks lie elsewhere on the ground" in others[0]
    found = first.trained_on
    assert (found.largest, found.median, found.resolution, found.images) == (96, 90, 2, 2)
    assert second.trained_on.resolution is None


def test_near_colours_are_taken_and_told_as_the_recipe_allows(tmp_path):
    data = write_data(tmp_path)
    with opened(data / "0_mask.tif") as file:
        labels = file.read(1)
    colours = np.array([row.colour for row in read_classes(data / "classes.csv").rows], np.uint8)
    painted = np.moveaxis(colours[labels], -1, 0)
    painted[1, 0, :5] += 2
    write_tif(data / "0_mask.tif", painted)
    recipe = load_recipe(write_recipe(data))
    tolerant = recipe.data.model_copy(update={"tolerance": 2})

    read = read_data(recipe.model_copy(update={"data": tolerant}))

    assert next(read.notes).endswith("; 5 near-colour pixels in 1 masks")
    with pytest.raises(DataError, match="unknown colour"):
        read_data(recipe)


def test_one_class_alone_is_refused(tmp_path):
    """Whatever is ignored beside it."""
    data = write_data(tmp_path)
    write_text(data / "one.csv", "name,value,ignored", "ground,0,", "cloud,1,yes")

    with pytest.raises(DataError, match=r"one\.csv: one class alone teaches nothing"):
        read_data(load_recipe(write_recipe(data, classes="one.csv")))


def test_a_diverged_loss_stops_the_run(data, tmp_path):
    """Not a night of NaN: one line that says where."""
    recipe = load_recipe(write_recipe(data, "nan", model={"input": {"scale": 1e-38}}))

    with pytest.raises(RunError, match=r"stage global, step \d+: the loss is"):
        list(glnet.train(recipe, tmp_path / "run"))


def test_schedules_fall_from_one_to_nothing():
    """Warm-up rises to the rate, poly is (1 - done)^0.9, cosine half at the middle."""
    train = load_train(schedule="poly", warmup_steps=0)
    assert schedule(train, 0, 10) == 1
    assert schedule(train, 5, 10) == pytest.approx(0.5**0.9)
    warm = load_train(schedule="cosine", warmup_steps=4)
    assert [schedule(warm, i, 24) for i in (0, 3, 4, 14)] == pytest.approx([0.2, 0.8, 1, 0.5])
    # A stage that is shorter than twice the warm-up reaches its rate all the same.
    assert [schedule(warm, i, 4) for i in range(4)] == pytest.approx([1 / 3, 2 / 3, 1, 0.5])


def load_train(**values):
    return glnet.Recipe.model_validate(
        {"data": {"manifest": "-", "classes": "-"}, "train": values}
    ).train


def test_the_command_trains_evaluates_and_predicts(data, tmp_path, monkeypatch, heard):
    """The whole way by the command line; the mask keeps the image's place on the ground."""
    recipe = write_recipe(data, "command", (1, 1, 1))
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        status, out, _ = heard(*arguments)
        assert status == 0
        return out

    lines = call("train", recipe, "--out", "run", "--log-format", "json").splitlines()
    records = [json.loads(line) for line in lines]
    call(
        "evaluate", "--model", "run/model", "--manifest", data / "manifest.csv", "--json", "s.json"
    )
    image = data / "3.tif"
    call("predict", image, "--model", "run/model", "-o", "mask.tif", "--scores", "scores.tif")

    assert {record["record"] for record in records} == {"note", "step", "epoch"}
    views = json.loads((tmp_path / "s.json").read_text())["views"]
    assert list(views) == ["aggregated", "global", "local"]
    with rasterio.open(image) as one, rasterio.open(tmp_path / "mask.tif") as two:
        assert (one.crs, one.transform) == (two.crs, two.transform)
        mask = two.read(1)
    with rasterio.open(tmp_path / "scores.tif") as file:
        assert (file.read().argmax(0) == mask).all()
    assert (glnet.segment(image, tmp_path / "run/model", device="cpu") == mask).all()
    assert call("train", recipe, "--out", "run2", "--quiet") == ""
    assert call("train", recipe, "--out", "run2", "--stage", "global").count("epoch 1/1") == 1


def test_trained_parts_cover_the_network_once():
    """Together the stages train everything; only the aggregation is trained twice."""
    model = tiny_network()
    parts = [id(part) for stage in STAGES for part in trained_parts(model, stage).values()]

    assert len(set(parts)) == 4
    assert len(parts) == 5
