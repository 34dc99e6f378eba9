"""What a stopped run promises: it goes on where it was, and ends as if never stopped."""

import csv
import multiprocessing
import shutil
import time

import numpy as np
import pytest
import rasterio
import torch

import glnet
from glnet.datasets.manifest import read_manifest
from glnet.engines.models import load_model
from glnet.errors import GlnetError, RasterError, RunError
from glnet.recipe import load_recipe
from glnet.training.checkpoint import read_standing
from glnet.training.records import EpochRecord, NoteRecord, StepRecord
from makers import opened
from runs import STAGES, write_data, write_recipe

#: In each stage.
KILLS = 7

#: Children start with everything imported, so that a kill falls into the training.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["glnet.training.loop", "runs"])


def often(data, name="often", **train):
    """A recipe of two steps an epoch that writes a checkpoint after every step."""
    return write_recipe(data, name, (2, 3, 4), batch=1, checkpoint_minutes=0, **train)


def go(recipe, out, restart=False):
    """Train to the end, as a process of its own would."""
    torch.set_num_threads(1)
    for _ in glnet.train(load_recipe(recipe), out, restart=restart):
        pass


def in_process(recipe, out, stage=None, seconds=0.0):
    """Train in a process of its own; killed so long after it wrote a checkpoint of a stage.

    Says whether it was; a run that is past that stage already goes to its end.
    """
    found = written(out)
    child = PROCESSES.Process(target=go, args=(recipe, out))
    child.start()
    if stage is not None:
        while child.is_alive() and not (written(out) != found and in_stage(out, stage)):
            time.sleep(0.01)
    child.join(None if stage is None else seconds)
    killed = child.is_alive()
    if killed:
        child.kill()
    child.join()
    assert killed or child.exitcode == 0
    return killed


def written(out):
    """When the last checkpoint was."""
    path = out / "checkpoint.pt"
    return path.stat().st_mtime_ns if path.exists() else None


def in_stage(out, stage):
    found = read_standing(out)
    return found is not None and found.stage == stage


def files(folder):
    """Every file below a folder, byte for byte."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def weights(run):
    """Every file of weights that a run left, byte for byte."""
    return {
        str(path.relative_to(run)): path.read_bytes() for path in run.rglob("model.safetensors")
    }


def scores(run):
    """The rows of the run's table, but for the time that they took."""
    with (run / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(data, tmp_path):
    """Twenty-one kills over all stages: in steps, checkpoints, validations, writing of models."""
    recipe = often(data)
    whole, run = tmp_path / "whole", tmp_path / "killed"
    in_process(recipe, whole)
    moments = np.random.default_rng(5)

    def compare():
        assert weights(run) == weights(whole)
        assert scores(run) == scores(whole)
        assert not list(run.rglob("*.partial*"))
        shutil.rmtree(run)

    for stage in STAGES:
        kills = 0
        while kills < KILLS:
            if in_process(recipe, run, stage, moments.uniform(0.0, 0.4)):
                kills += 1
            else:
                compare()
    in_process(recipe, run)
    compare()


def test_a_run_that_is_left_goes_on_from_there(data, tmp_path):
    """Left once at every record, without a checkpoint in between: no step is done twice."""
    recipe = load_recipe(write_recipe(data, "left", (1, 1, 1), batch=1))
    whole, run = tmp_path / "whole", tmp_path / "run"

    wanted = list(glnet.train(recipe, whole))
    found, notes, ended = [], set(), False
    while not ended:
        ended = True
        for record in (records := glnet.train(recipe, run)):
            found.append(record)
            if not isinstance(record, NoteRecord) or record.text not in notes:
                notes.add(getattr(record, "text", ""))
                records.close()
                ended = False

    assert learnt(found) == learnt(wanted)
    assert weights(run) == weights(whole)
    assert scores(run) == scores(whole)


def learnt(records):
    """What is told of steps and epochs, in order, but for the time that they took."""
    return [
        (r.stage, r.epoch, r.learning_rate, r.losses if isinstance(r, StepRecord) else r.loss)
        for r in records
        if not isinstance(r, NoteRecord)
    ]


def test_a_finished_run_is_left_as_it_is(data, tmp_path):
    """Until it is told to begin anew; another recipe is refused by the name of what differs."""
    recipe = load_recipe(write_recipe(data, "done", (1, 1, 1)))
    list(glnet.train(recipe, tmp_path))
    (tmp_path / "model/README.md").write_text("by hand")
    (tmp_path / "model/graphs/int8").mkdir()
    (tmp_path / "model/graphs/int8/local.onnx").write_text("calibrated")
    before = files(tmp_path / "model")

    again = list(glnet.train(recipe, tmp_path))
    other = load_recipe(write_recipe(data, "other", (1, 2, 1)))
    with pytest.raises(RunError, match=r"differ in train.stages.global_to_local.epochs\)"):
        list(glnet.train(other, tmp_path))

    assert not [record for record in again if isinstance(record, (StepRecord, EpochRecord))]
    assert files(tmp_path / "model") == before
    assert len(list(glnet.train(other, tmp_path, restart=True))) > len(again)


def test_a_model_is_of_stages_that_belong_together(data, tmp_path):
    """Another recipe's last stage alone: the stages before it, and then it again, are its own."""
    list(glnet.train(load_recipe(write_recipe(data, "one", (1, 1, 1))), tmp_path))
    other = load_recipe(write_recipe(data, "two", (2, 1, 1)))
    list(glnet.train(other, tmp_path, ["local_to_global"]))

    trained = [r.stage for r in glnet.train(other, tmp_path) if isinstance(r, EpochRecord)]

    assert list(dict.fromkeys(trained)) == list(STAGES)
    first, whole = (
        load_model(tmp_path / kept)[0].state_dict() for kept in ("global/best", "model")
    )
    assert all(torch.equal(first[key], whole[key]) for key in first if key.startswith("global_b"))


def test_a_run_on_other_labels_is_refused(tmp_path):
    """However its files are called and wherever they lie; a copy of the same is the same."""
    data = write_data(tmp_path / "data")
    path = write_recipe(data, "done", (1, 1, 1), {"branches": "global"})
    list(glnet.train(load_recipe(path), tmp_path / "run"))
    shutil.copytree(data, tmp_path / "copy")
    mask = read_manifest(tmp_path / "copy/manifest.csv", "train")[0].mask
    copied = load_recipe(tmp_path / "copy" / path.name)
    resolved = (tmp_path / "run/resolved.yaml").read_bytes()

    notes = [record.text for record in glnet.train(copied, tmp_path / "run")]
    assert any("is trained already" in note for note in notes)
    assert (tmp_path / "run/resolved.yaml").read_bytes() == resolved

    with opened(mask) as file:
        labels, profile = file.read(), file.profile
    with rasterio.open(mask, "w", **profile) as file:
        file.write(labels[:, ::-1])
    with pytest.raises(RunError, match=rf"other data .they differ in labels\.{mask.name}"):
        list(glnet.train(copied, tmp_path / "run"))


def test_a_run_that_failed_before_it_trained_goes_on_with_its_image_mended(tmp_path):
    """Its folder holds nothing that could be mixed up."""
    data = write_data(tmp_path / "data")
    recipe = load_recipe(write_recipe(data, "bad", (1, 1, 1), {"branches": "global"}))
    image = read_manifest(data / "manifest.csv", "train")[0].image
    whole = image.read_bytes()
    image.write_bytes(whole[:4000])
    with pytest.raises(RasterError, match=image.name):
        list(glnet.train(recipe, tmp_path / "run"))
    image.write_bytes(whole)

    list(glnet.train(recipe, tmp_path / "run"))

    assert (tmp_path / "run/model/config.json").is_file()


def test_a_run_from_another_model_is_refused(data, tmp_path):
    """All models lie in folders of one name."""
    whole = write_recipe(data, "whole", (1, 1, 1), {"branches": "global"})
    for name in ("one", "two"):
        list(glnet.train(load_recipe(whole, {"train": {"seed": ord(name[0])}}), tmp_path / name))
    tuned = [
        load_recipe(whole, {"train": {"start_from": str(tmp_path / name / "model")}})
        for name in ("one", "two")
    ]
    list(glnet.train(tuned[0], tmp_path / "tuned"))

    with pytest.raises(RunError, match=r"differ in train\.start_from"):
        list(glnet.train(tuned[1], tmp_path / "tuned"))


def test_a_stage_run_again_voids_what_was_built_on_it(data, tmp_path):
    """Stopped or not: the later stages are trained anew, and the old model is not called done."""
    recipe = load_recipe(often(data, "again"))
    list(glnet.train(recipe, tmp_path))
    for record in glnet.train(recipe, tmp_path, ["global"]):
        if isinstance(record, StepRecord) and record.step == 3:
            break

    assert read_standing(tmp_path).finished == ()
    again = [r for r in glnet.train(recipe, tmp_path) if isinstance(r, StepRecord)]

    assert (again[0].stage, again[0].step) == ("global", 4)
    assert {record.stage for record in again} == set(STAGES)


def test_named_stages_go_on_where_they_were_stopped(data, tmp_path):
    """What of them is finished is not run again."""
    recipe = load_recipe(often(data, "named"))
    for record in glnet.train(recipe, tmp_path, STAGES[:2]):
        if isinstance(record, StepRecord) and (record.stage, record.step) == (STAGES[1], 2):
            break

    again = list(glnet.train(recipe, tmp_path, STAGES[:2]))

    assert {r.stage for r in again if isinstance(r, StepRecord)} == {STAGES[1]}


def test_an_unfinished_stage_is_not_forgotten(data, tmp_path):
    """Another stage by name is refused; so is a second process in the folder."""
    recipe = load_recipe(often(data, "busy"))
    records = glnet.train(recipe, tmp_path)
    for record in records:
        if isinstance(record, StepRecord) and record.step == 3:
            break
    with pytest.raises(RunError, match="another process trains in this folder"):
        next(glnet.train(recipe, tmp_path))
    records.close()

    with pytest.raises(RunError, match="stage global was stopped there and is not finished"):
        list(glnet.train(recipe, tmp_path, [STAGES[1]]))


def test_a_stop_before_the_first_checkpoint_leaves_no_rows(data, tmp_path):
    """What comes again is in the table once."""
    recipe = load_recipe(write_recipe(data, "early", (2, 2, 2)))
    for record in glnet.train(recipe, tmp_path):
        if isinstance(record, EpochRecord):
            break
    (tmp_path / "checkpoint.pt").unlink()  # which a kill would not have written

    list(glnet.train(recipe, tmp_path))

    rows = [(row["stage"], row["epoch"]) for row in scores(tmp_path)]
    assert rows == [(stage, str(epoch)) for stage in STAGES for epoch in (1, 2)]


def test_a_begun_run_keeps_its_mini_batch(data, tmp_path):
    """Memory says how a run is computed; what was chosen at its start stays."""
    first = load_recipe(often(data, "roomy", memory="8GiB"))
    for record in glnet.train(first, tmp_path, ["global"]):
        if isinstance(record, StepRecord) and record.step == 2:
            break

    again = list(
        glnet.train(load_recipe(often(data, "tight", memory="160MiB")), tmp_path, ["global"])
    )

    assert load_recipe(tmp_path / "resolved.yaml").train.mini_batch == first.train.mini_batch
    assert next(r.step for r in again if isinstance(r, StepRecord)) == 3


def test_what_says_how_and_not_what_may_change(data, tmp_path):
    """Workers, checkpoints and the like do not make it another run."""
    first = load_recipe(often(data, "slow"))
    for record in glnet.train(first, tmp_path, ["global"]):
        if isinstance(record, StepRecord) and record.step == 3:
            break

    second = load_recipe(often(data, "fast", workers=1))
    again = list(glnet.train(second, tmp_path, ["global"]))

    assert next(record.step for record in again if isinstance(record, StepRecord)) == 4


def test_a_file_that_vanishes_leaves_the_last_checkpoint(tmp_path):
    """One line that names it; once it is back, the run ends as if nothing had been."""
    data = write_data(tmp_path / "data")
    recipe = often(data)
    go(recipe, tmp_path / "whole")
    run = tmp_path / "run"
    records = glnet.train(load_recipe(recipe), run)
    for record in records:
        if isinstance(record, StepRecord) and record.step == 2:
            (data / "0.tif").rename(data / "away")
            break

    with pytest.raises(GlnetError, match=r"0.tif: no such file$"):
        list(records)
    standing = read_standing(run)
    (data / "away").rename(data / "0.tif")
    go(recipe, run)

    assert standing.finished != STAGES
    assert weights(run) == weights(tmp_path / "whole")


def test_a_full_disk_leaves_the_last_checkpoint(data, tmp_path, monkeypatch):
    """A write that the system refuses: one line, and the older file is still whole."""
    recipe, run = load_recipe(often(data)), tmp_path / "run"
    written = torch.save

    def refuse(state, path):
        if state["state"].get("counts", {}).get("step") == 3:
            path.write_bytes(b"half")
            msg = "PytorchStreamWriter failed writing file data/0: file write failed"
            raise RuntimeError(msg)
        written(state, path)

    monkeypatch.setattr(torch, "save", refuse)
    with pytest.raises(RasterError, match=r"checkpoint.pt: could not be written .* disk full"):
        list(glnet.train(recipe, run))

    assert read_standing(run).state["counts"]["step"] == 2
    assert not list(run.glob("*.partial*"))


def test_a_diverged_run_keeps_what_was_learnt_before(data, tmp_path):
    """The checkpoint is of a step whose weights are numbers."""
    recipe = load_recipe(often(data, "wild"))
    stages = recipe.train.stages
    fast = stages.global_.model_copy(update={"learning_rate": 1e30})
    train = recipe.train.model_copy(
        update={"stages": stages.model_copy(update={"global_": fast}), "warmup_steps": 0}
    )
    run = tmp_path / "run"

    with pytest.raises(RunError, match=r"the loss is (nan|inf)"):
        list(glnet.train(recipe.model_copy(update={"train": train}), run))

    standing = read_standing(run)
    tensors = standing.state.get("parts", {}).get("global_branch", {}).values()
    assert all(torch.isfinite(tensor).all() for tensor in tensors if tensor.is_floating_point())


def test_a_damaged_checkpoint_is_refused(data, tmp_path):
    """Not taken for a fresh run, and not for the end of one."""
    recipe = load_recipe(often(data))
    (tmp_path / "checkpoint.pt").write_bytes(b"no zip")

    with pytest.raises(RunError, match="cannot be read as a checkpoint; train again with"):
        list(glnet.train(recipe, tmp_path))


def test_fine_tuning_starts_from_another_models_weights(data, tmp_path):
    """Class layers go class by class, by name; what has no name there starts anew."""
    recipe = load_recipe(write_recipe(data, "first", (2, 2, 1)))
    list(glnet.train(recipe, tmp_path / "first"))
    rows = (data / "classes.csv").read_text().splitlines()
    (data / "fewer.csv").write_text(
        "\n".join(
            ["name,value,colour,ignored", *(
                f"{name if i != 3 else 'new'},{i},{colour},{'yes' if i == 1 else 'no'}"
                for i, (name, colour) in enumerate(row.split(",") for row in rows[1:])
            )]
        )
    )  # fmt: skip
    path = write_recipe(
        data, "second", (1, 1, 1), classes="fewer.csv", start_from=str(tmp_path / "first/model"),
    )  # fmt: skip
    tuned = load_recipe(path)
    slow = tuned.train.stages.global_.model_copy(update={"learning_rate": 1e-30})
    stages = tuned.train.stages.model_copy(update={"global_": slow})
    tuned = tuned.model_copy(update={"train": tuned.train.model_copy(update={"stages": stages})})

    records = list(glnet.train(tuned, tmp_path / "second", ["global"]))

    one, known = load_model(tmp_path / "first/model")
    two, table = load_model(tmp_path / "second/global/last")
    ours, theirs = two.global_branch.classify.weight, one.global_branch.classify.weight
    assert table.names == [known.names[0], known.names[2], "new", *known.names[4:]]
    for i, name in enumerate(table.names):
        same = name != "new" and torch.equal(ours[i], theirs[known.names.index(name)])
        assert same == (name != "new")
    lateral = [branch.global_branch.lateral[0].weight for branch in (one, two)]
    assert torch.equal(*lateral)
    notes = [record.text for record in records if isinstance(record, NoteRecord)]
    assert any("global_branch; new classes: new" in note for note in notes)


def test_fine_tuning_refuses_another_network(data, tmp_path):
    """Another width is named, not half loaded."""
    recipe = load_recipe(write_recipe(data, "narrow", (1, 1, 1)))
    list(glnet.train(recipe, tmp_path / "narrow", ["global"]))
    path = write_recipe(
        data, "wide", (1, 1, 1), model={"width": 16},
        start_from=str(tmp_path / "narrow/global/best"),
    )  # fmt: skip

    with pytest.raises(GlnetError, match=r"start_from: .* of another network .* has shape"):
        list(glnet.train(load_recipe(path), tmp_path / "wide"))


def test_fine_tuning_takes_something_or_refuses(data, tmp_path):
    """A global branch is no start for a local one; other input scaling is told."""
    first = write_recipe(data, "global", (1, 1, 1), {"branches": "global"})
    list(glnet.train(load_recipe(first), tmp_path / "global"))
    start = {"train": {"start_from": str(tmp_path / "global/model")}}
    alone = write_recipe(data, "local", (1, 1, 1), {"branches": "local", "sharing": "none"})
    scaled = {"model": {"input": {"scale": 1, "mean": [0, 0, 0], "deviation": [1, 1, 1]}}}

    with pytest.raises(GlnetError, match="has a global branch alone, wanted a local branch"):
        list(glnet.train(load_recipe(alone, start), tmp_path / "local"))
    notes = [r.text for r in glnet.train(load_recipe(first, start | scaled), tmp_path / "scaled")
             if isinstance(r, NoteRecord)]  # fmt: skip

    assert any("it learnt from pixels of another scale" in note for note in notes)
