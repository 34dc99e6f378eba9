"""What several processes promise: together they train as one would."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import glnet
from glnet.engines.models import load_model
from glnet.recipe import BEST, STAGES, load_recipe
from glnet.training.records import EpochRecord, StepRecord
from runs import write_recipe

COMMAND = Path(sys.executable).with_name("glnet")


def trained_together(path, out):
    """The records of two processes that torchrun starts, by kind."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launch, COMMAND, "train", path, "--out", out, "--log-format", "json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {kind: [r for r in records if r["record"] == kind] for kind in ("step", "epoch")}


def test_two_processes_train_as_one(data, tmp_path):
    """The same losses, scores and weights as one process with the same images per step."""
    path = write_recipe(
        data, "team", (2, 2, 2), freeze_batch_norm=True, device="cpu", checkpoint_minutes=0
    )
    alone = list(glnet.train(load_recipe(path), tmp_path / "alone"))

    records = trained_together(path, tmp_path / "team")

    steps = [r for r in alone if isinstance(r, StepRecord)]
    found = records["step"]
    assert len(found) == len(steps) == 6
    for one, two in zip(steps, found, strict=True):
        assert two["losses"] == pytest.approx(one.losses, rel=1e-4)
    scores = [r.mean_iou for r in alone if isinstance(r, EpochRecord)]
    assert [r["mean_iou"] for r in records["epoch"]] == [
        pytest.approx(score, abs=0.02) for score in scores
    ]
    first, second = (
        load_model(tmp_path / run / "global_to_local/last")[0].state_dict()
        for run in ("alone", "team")
    )
    for key, value in first.items():
        assert torch.allclose(value, second[key], atol=1e-3), key


def test_a_process_may_have_no_image_of_a_step(data, tmp_path):
    """Three images by twos, and batch norms that learn: the last step is of one image."""
    rows = (data / "manifest.csv").read_text()
    (data / "three.csv").write_text(rows.replace(",validation", ",train"))
    path = write_recipe(data, "odd", (1, 1, 1), batch=2, device="cpu", freeze_batch_norm=False)
    path.write_text(path.read_text().replace("manifest.csv", "three.csv"))

    steps = trained_together(path, tmp_path / "team")["step"]

    assert [step["stage"] for step in steps] == [stage for stage in STAGES for _ in range(2)]


def test_a_mini_batch_is_normalised_as_by_one(data, tmp_path):
    """Batch norms that learn see a mini-batch of one image, whichever process has it."""
    path = write_recipe(
        data, "moving", (2, 2, 2), {"pyramid": "normed", "branches": "local"}, regulariser=0,
        device="cpu", freeze_batch_norm=False, mix_images=False,
    )  # fmt: skip
    alone = list(glnet.train(load_recipe(path), tmp_path / "alone"))

    steps = trained_together(path, tmp_path / "team")["step"]

    wanted = [r.losses for r in alone if isinstance(r, StepRecord)]
    assert len(steps) == len(wanted) == 2
    for step, losses in zip(steps, wanted, strict=True):
        assert step["losses"] == pytest.approx(losses, rel=1e-4)


def test_scores_told_are_those_of_the_model_left(data, tmp_path):
    """Each process validates its share of the images: with the statistics that are kept."""
    rows = (data / "manifest.csv").read_text()
    (data / "two.csv").write_text(rows.replace(",test", ",validation"))
    path = write_recipe(
        data, "statistics", (2, 2, 2), BEST["model"], regulariser=0, device="cpu",
        freeze_batch_norm=False,
    )  # fmt: skip
    path.write_text(path.read_text().replace("manifest.csv", "two.csv"))

    epochs = trained_together(path, tmp_path / "team")["epoch"]

    for stage in ("global", "global_to_local"):
        last = next(e for e in reversed(epochs) if e["stage"] == stage)
        found = glnet.evaluate(
            tmp_path / "team" / stage / "last", data / "two.csv", "validation",
            engine="plain", device="cpu", views=list(last["mean_iou"]),
        )  # fmt: skip
        for view, score in last["mean_iou"].items():
            assert found.matrices[view].scores().mean_iou == pytest.approx(score, abs=1e-9)
