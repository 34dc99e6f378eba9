"""What the account of training memory promises."""

import pytest

from glnet.datasets.manifest import Sample
from glnet.errors import RunError
from glnet.recipe import Recipe
from glnet.training.memory import estimate_memory, fit_memory
from makers import noise, write_tif
from networks import TINY, tiny_settings

STAGES = ("global", "global_to_local", "local_to_global")


@pytest.mark.parametrize("stage", STAGES)
def test_the_account_grows_with_what_is_run_at_once(stage):
    """With images where batch statistics move, and with patches where there are any."""
    model = tiny_settings()

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
    budget = estimate_memory(model, 3, "global_to_local", 6, 5, frozen=True)

    fitted, said = fit_memory(recipe(f"{budget}B"), 3, STAGES[1:2], samples, "cuda")
    whole, _ = fit_memory(recipe("100GiB"), 3, STAGES, samples, "cuda")

    assert fitted.train.mini_batch == 5
    assert "with 5 patches at a time" in said
    assert whole.train.mini_batch == 16


def test_too_little_memory_is_refused_with_what_would_do(tmp_path):
    """Before the first step; the line names the stage and the need."""
    samples = [Sample(write_tif(tmp_path / "a.tif", noise(3, 40, 50)), tmp_path / "m", "train")]

    with pytest.raises(RunError, match=r"50MiB is too little: .* stage \w+ needs about \d"):
        fit_memory(recipe("50MiB"), 3, STAGES, samples, "cpu")
