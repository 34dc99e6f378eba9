"""What training a rival promises: the run of GLNet, with another network in it."""

import itertools
from typing import get_args

import numpy as np
import pytest
import torch

import glnet
from glnet.engines.loading import load_engine
from glnet.engines.models import load_model
from glnet.errors import RunError
from glnet.recipe import Network, load_recipe
from glnet.training.records import EpochRecord, StepRecord
from networks import random_scene
from runs import write_recipe

RIVALS = get_args(Network)[1:]


def recipe_of(data, network, branches, epochs=1, **train):
    """One image a step and one patch of it: the smallest mini-batches there are."""
    model = {"network": network, "branches": branches}
    train = {"batch": 1, "patches": 1, **train}
    return load_recipe(write_recipe(data, f"{network}-{branches}", (epochs,) * 3, model, **train))


@pytest.mark.parametrize("branches", ["global", "local"])
@pytest.mark.parametrize("network", RIVALS)
def test_a_rival_trains_and_its_model_gives_the_same_bytes(data, tmp_path, network, branches):
    """Two steps, a validation, a model folder; read twice it scores alike, and predicts."""
    records = list(glnet.train(recipe_of(data, network, branches), tmp_path))

    steps = [record for record in records if isinstance(record, StepRecord)]
    (epoch,) = (record for record in records if isinstance(record, EpochRecord))
    assert len(steps) == 2
    assert all(np.isfinite(list(step.losses.values())).all() for step in steps)
    assert list(epoch.mean_iou) == [branches]
    scene = random_scene(90, 131)
    first, again = (
        load_engine(tmp_path / "model", "cpu")[0].segment(scene, [branches]).views[branches]
        for _ in range(2)
    )
    assert torch.equal(first.cells, again.cells)
    mask = glnet.segment(data / "1.tif", tmp_path / "model", device="cpu")
    assert mask.shape == (90, 131)
    for options in ({"precision": "int8"}, {"engine": "openvino"}):
        with pytest.raises(RunError, match=f"{network} has no graphs.*say --engine torch"):
            load_engine(tmp_path / "model", "cpu", **options)
    assert f"- {network} on the trunk resnet18" in (tmp_path / "model/README.md").read_text()


@pytest.mark.parametrize(("network", "branches"), [("unet", "local"), ("deeplabv3plus", "global")])
def test_a_rival_fits_two_scenes(data, tmp_path, network, branches):
    """The loss of its own training images falls to less than half."""
    recipe = recipe_of(data, network, branches, 25, batch=2, patches=4, validate_every=1000)

    losses = [r.loss for r in glnet.train(recipe, tmp_path) if isinstance(r, EpochRecord)]

    assert losses[-1] < 0.5 * losses[0]


def test_a_stopped_rival_goes_on_bit_for_bit(data, tmp_path):
    """What its decoder drops at random, and the statistics that it learns, included."""
    recipe = recipe_of(data, "deeplabv3plus", "local", 3, checkpoint_minutes=0)
    for _ in glnet.train(recipe, tmp_path / "whole"):
        pass

    stopped = glnet.train(recipe, tmp_path / "stopped")
    steps = (record for record in stopped if isinstance(record, StepRecord))
    assert [record.step for record in itertools.islice(steps, 3)] == [1, 2, 3]
    stopped.close()
    went_on = list(glnet.train(recipe, tmp_path / "stopped"))

    assert min(r.step for r in went_on if isinstance(r, StepRecord)) > 1
    whole, again = (
        load_model(tmp_path / run / "global_to_local/last")[0].state_dict()
        for run in ("whole", "stopped")
    )
    assert all(torch.equal(value, again[key]) for key, value in whole.items())
