"""What the account of training memory promises."""

import re

import pytest

from glnet.datasets.manifest import Sample
from glnet.errors import RunError
from glnet.geometry import Window
from glnet.recipe import BEST, LossSettings, ModelSettings, Recipe
from glnet.training.memory import estimate_memory, fit_memory
from makers import noise, write_png, write_tif
from networks import TINY, tiny_settings

STAGES = ("global", "global_to_local", "local_to_global")


@pytest.mark.parametrize("pyramid", ["linear", "normed"])
@pytest.mark.parametrize("stage", STAGES)
def test_the_account_grows_with_what_is_run_at_once(stage, pyramid):
    """With images where batch statistics move, and with patches where there are any."""
    model = tiny_settings(pyramid=pyramid)

    one, more_images, more_patches = (
        estimate_memory(model, 3, stage, batch, mini_batch)
        for batch, mini_batch in ((1, 1), (4, 1), (1, 4))
    )

    if stage != "global":
        assert more_patches > one
    if stage != "global_to_local":
        assert more_images > one


def test_frozen_statistics_let_images_follow_one_another():
    """More images a step then cost nothing."""
    model = tiny_settings()

    few, many = (
        estimate_memory(model, 3, "local_to_global", batch, 2, frozen=True) for batch in (1, 8)
    )

    assert few == many


#: The most that tensors took in a step on an H100, MiB; stage by stage, by preset and arithmetic.
TAKEN = {
    ("default", "fp32"): (1010, 8325, 4686),
    ("default", "bf16"): (784, 4065, 2734),
    ("best", "fp32"): (850, 8429, None),  # 6701: cuDNN's choice of algorithm, not told
    ("best", "bf16"): (676, 2879, 1565),
}


@pytest.mark.parametrize(("preset", "precision"), TAKEN)
def test_beside_a_gpu_a_step_is_told_what_it_took(preset, precision):
    """At least that, and less than twice that much; figures of the record of CUDA."""
    changes = {} if preset == "default" else BEST["model"] | {"sharing": "bidirectional"}
    model = ModelSettings(thumbnail=508, patch=508, overlap=50, **changes)
    loss = LossSettings(**({} if preset == "default" else BEST["loss"]))

    told = [
        estimate_memory(
            model, 7, stage, 1, 6, frozen=True, loss=loss, device="cuda", precision=precision
        ) / 2**20
        for stage in STAGES
    ]  # fmt: skip

    for need, most in zip(told, TAKEN[preset, precision], strict=True):
        assert most is None or most <= need < 2 * most + 200


def recipe(memory, mini_batch=16):
    return Recipe.model_validate(
        {
            "data": {"manifest": "-", "classes": "-"},
            "model": {**TINY, "thumbnail": 128, "patch": 128},
            "train": {"memory": memory, "mini_batch": mini_batch, "freeze_batch_norm": True},
        }
    )


def test_the_mini_batch_is_lowered_until_it_fits(tmp_path):
    """The largest that fits, and no larger than the recipe asks for."""
    samples = [Sample(write_tif(tmp_path / "a.tif", noise(3, 40, 50)), tmp_path / "m", "train")]
    model = recipe("2GiB").model
    batches = {"global": 6, "global_to_local": 6, "local_to_global": 6}
    budget = max(
        estimate_memory(model, 3, stage, batch, 5, frozen=True, device="cuda")
        for stage, batch in batches.items()
    )

    fitted, said = fit_memory(recipe(f"{budget}B"), 3, samples, "cuda")
    whole, _ = fit_memory(recipe("100GiB"), 3, samples, "cuda")

    assert fitted.train.mini_batch == 5
    assert "with 5 patches at a time" in said
    assert whole.train.mini_batch == 16


def test_too_little_memory_is_refused_with_what_would_do(tmp_path):
    """Before the first step; the line names the stage and the need."""
    samples = [Sample(write_tif(tmp_path / "a.tif", noise(3, 40, 50)), tmp_path / "m", "train")]

    with pytest.raises(RunError, match=r"50MiB is too little: .* stage \w+ needs about \d"):
        fit_memory(recipe("50MiB"), 3, samples, "cpu")


def test_of_a_scene_only_its_own_pixels_count(tmp_path):
    """Where the file is read by window; a PNG is decoded whole."""
    scene = Window(0, 0, 64, 64)
    large = noise(3, 2048, 2048)
    need = []
    for path in (
        write_tif(tmp_path / "a.tif", large, tiled=True),
        write_png(tmp_path / "a.png", large),
    ):
        sample = Sample(path, tmp_path / "m", "train", scene)
        with pytest.raises(RunError, match=r"needs about (\d+)MiB") as refused:
            fit_memory(recipe("50MiB"), 3, [sample], "cpu")
        need.append(int(re.search(r"needs about (\d+)MiB", str(refused.value))[1]))

    images = 3 + 3 * 6  # being decoded, and the patches of a step
    assert need[1] - need[0] == pytest.approx(images * (large.size - 3 * 64**2) / 2**20, abs=2)
