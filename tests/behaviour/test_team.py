"""What several processes promise: together they train as one would."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import glnet
from glnet.engines.models import load_model
from glnet.recipe import load_recipe
from glnet.training.records import EpochRecord, StepRecord
from runs import write_data, write_recipe

COMMAND = Path(sys.executable).with_name("glnet")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


def together(*arguments):
    """`glnet train` in two processes that torchrun starts."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [*launch, COMMAND, "train", *arguments], capture_output=True, text=True, check=False
    )


def test_two_processes_train_as_one(data, tmp_path):
    """The same losses, scores and weights as one process with the same images per step."""
    path = write_recipe(
        data, "team", (2, 2, 2), freeze_batch_norm=True, device="cpu", checkpoint_minutes=0
    )
    alone = list(glnet.train(load_recipe(path), tmp_path / "alone"))

    done = together(path, "--out", tmp_path / "team", "--log-format", "json")

    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    steps = [r for r in alone if isinstance(r, StepRecord)]
    found = [r for r in records if r["record"] == "step"]
    assert len(found) == len(steps) == 6
    for one, two in zip(steps, found, strict=True):
        assert two["losses"] == pytest.approx(one.losses, rel=1e-4)
    scores = [r.mean_iou for r in alone if isinstance(r, EpochRecord)]
    assert [r["mean_iou"] for r in records if r["record"] == "epoch"] == [
        pytest.approx(score, abs=0.02) for score in scores
    ]
    first, second = (
        load_model(tmp_path / run / "global_to_local/last")[0].state_dict()
        for run in ("alone", "team")
    )
    for key, value in first.items():
        assert torch.allclose(value, second[key], atol=1e-3), key


@pytest.mark.parametrize(
    ("pyramid", "frozen", "wanted"),
    [
        ("linear", False, "set train.freeze_batch_norm: true, or a trunk with another norm"),
        ("normed", True, "statistics that stay: set model.pyramid: linear"),
    ],
)
def test_moving_statistics_are_refused(data, tmp_path, pyramid, frozen, wanted):
    """Each process would keep its own; one line says what to set."""
    path = write_recipe(
        data, "moving", (1, 1, 1), {"pyramid": pyramid}, device="cpu", freeze_batch_norm=frozen
    )

    done = together(path, "--out", tmp_path / "run")

    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("glnet: ")]
    assert said
    assert all(wanted in line for line in said)
