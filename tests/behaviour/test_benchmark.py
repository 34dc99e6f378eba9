"""What a benchmark promises: every entry alike, what is shared trained once, nothing done twice."""

import csv
import multiprocessing
import shutil
import time

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import glnet
from glnet.benchmark.results import read_result
from glnet.benchmark.run import benchmark
from glnet.benchmark.study import load_study
from glnet.bundle import read_bundle, read_config
from glnet.datasets.manifest import read_manifest
from glnet.errors import GatheredError, RunError
from makers import write_png
from runs import write_data, write_recipe

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["glnet.benchmark.run"])

#: The paper's seven rows, the coarse-to-fine network and two rivals.
ENTRIES = {
    "local only": {"model": {"branches": "local"}},
    "global only": {"model": {"branches": "global"}},
    "aggregated": {"model": {"sharing": "none"}, "loss": {"regulariser": 0}},
    "regularised": {"model": {"sharing": "none"}},
    "shallow": {"model": {"sharing": "shallow"}},
    "deep": {"model": {"sharing": "global_to_local"}},
    "deep both ways": {"model": {"sharing": "bidirectional"}},
    "validated": {"model": {"sharing": "none", "view": "validated"}},
    "coarse to fine": {"model": {"coarse_to_fine": {"boxes": 2}}},
    "unet patches": {"model": {"network": "unet", "branches": "local"}},
    "fcn thumbnails": {"model": {"network": "fcn", "branches": "global"}},
}


def write_study(data, entries, name="study", **changes):
    """A study file over the miniature data; entries are names with settings."""
    recipe = yaml.safe_load(write_recipe(data, epochs=(1, 1, 1)).read_text())
    listed = [{"name": entry, "settings": over} for entry, over in entries.items()]
    study = {"title": "Miniature", "recipe": recipe, "boundary": True, "entries": listed, **changes}
    path = data / f"{name}.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The study of all entries, run through once."""
    out = tmp_path_factory.mktemp("whole")
    study = write_study(data, ENTRIES)
    records = [getattr(r, "text", "") for r in benchmark(load_study(study), out)]
    return out, study, records


def run_of(out, entry, seed=0):
    return out / "runs" / entry.replace(" ", "-") / f"seed-{seed}-fold-0"


def runs_csv(out):
    with (out / "runs.csv").open() as file:
        return {row["entry"]: float(row["mean_iou"]) for row in csv.DictReader(file)}


def stages_trained(folder):
    with (folder / "metrics.csv").open() as file:
        return list(dict.fromkeys(row["stage"] for row in csv.DictReader(file)))


def test_every_entry_is_a_row_with_all_that_was_measured(whole):
    out, _, _ = whole
    with (out / "table.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert [row["entry"] for row in rows] == list(ENTRIES)
    for row in rows:
        assert 0 <= float(row["mean_iou"]) <= 1
        assert 0 <= float(row["mean_boundary_iou"]) <= 1
        for column in ("parameters", "memory_mb", "forward_mps", "training_seconds"):
            assert float(row[column]) > 0, (row["entry"], column)
    text = (out / "table.md").read_text()
    assert all(f"| {entry} " in text for entry in ENTRIES)
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_says_what_evaluate_says(whole, data):
    out, _, _ = whole
    for entry in ("deep both ways", "unet patches"):
        model = run_of(out, entry) / "model"

        found = glnet.evaluate(model, data / "manifest.csv", device="cpu")

        assert runs_csv(out)[entry] == found.scores().mean_iou


def test_a_row_whose_view_validation_chooses_is_scored_in_that(whole):
    out, _, _ = whole
    with (out / "runs.csv").open() as file:
        scored = {row["entry"]: row["view"] for row in csv.DictReader(file)}
    told = read_config(run_of(out, "validated") / "model")
    prefix = "validation mIoU, "
    scores = {name.removeprefix(prefix): score for name, score in told.scores.items()}

    assert scored["validated"] == told.model.views[0] == max(scores, key=scores.get)
    assert scored["aggregated"] == "aggregated"


def test_stages_that_entries_share_are_trained_once(whole):
    """Seven rows of the ablation take one global stage, and one second stage less than rows."""
    out, _, _ = whole
    trained = {entry: stages_trained(run_of(out, entry)) for entry in ENTRIES}

    assert trained == {
        "local only": ["global_to_local"],
        "global only": ["global"],
        "aggregated": ["global_to_local"],
        "regularised": ["global_to_local"],
        "shallow": ["global_to_local"],
        "deep": ["global_to_local"],
        "deep both ways": ["local_to_global"],
        "validated": ["global_to_local"],
        "coarse to fine": ["global_to_local", "local_to_global"],
        "unet patches": ["global_to_local"],
        "fcn thumbnails": ["global"],
    }


def test_a_shared_stage_gives_the_bytes_of_one_trained_apart(whole, tmp_path):
    out, study, _ = whole
    (job,) = load_study(study, only=["deep both ways"]).asked

    for _ in glnet.train(job.recipe, tmp_path):
        pass

    _, apart = read_bundle(tmp_path / "model")
    _, shared = read_bundle(run_of(out, "deep both ways") / "model")
    assert apart.keys() == shared.keys()
    assert all(np.array_equal(apart[key], shared[key]) for key in apart)


def test_what_is_finished_is_not_done_again(whole):
    out, study, _ = whole
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}

    texts = [getattr(record, "text", None) for record in benchmark(load_study(study), out)]

    assert len(texts) == len(ENTRIES)
    assert all(str(text).endswith("done before") for text in texts)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == before


def go(study, out):
    """In a process of its own, computing as the tests do."""
    torch.set_num_threads(1)
    for _ in benchmark(load_study(study, only=["deep", "deep both ways"]), out):
        pass


def test_killed_half_way_it_goes_on_to_the_same_table(whole, tmp_path):
    """Killed in the second entry; the first one's result stays, and the end is the same."""
    _, study, _ = whole
    child = PROCESSES.Process(target=go, args=(study, tmp_path))
    child.start()
    second = run_of(tmp_path, "deep both ways")
    while child.is_alive() and not second.exists():
        time.sleep(0.01)
    child.kill()
    child.join()
    assert read_result(run_of(tmp_path, "deep")) is not None
    assert read_result(second) is None

    go(study, tmp_path)

    entries = ("deep", "deep both ways")
    assert runs_csv(tmp_path) == {entry: runs_csv(whole[0])[entry] for entry in entries}


def test_an_entry_that_fails_leaves_the_others(data, tmp_path, heard):
    """It is told in a line, the table has the rest, and the status is 1."""
    entries = {
        "sound": {"model": {"branches": "global"}},
        "lost": {"model": {"branches": "global"}, "train": {"trunk_weights": "missing.pth"}},
    }
    study = write_study(data, entries, "failing")

    status, said, (line,) = heard("benchmark", study, "--out", tmp_path / "out", "--quiet")

    assert status == 1
    assert "lost, seed 0" in line
    assert "missing.pth" in line
    rows = [line.split()[1] for line in said.splitlines() if line.startswith("│")]
    assert rows == ["sound"]


def test_a_bad_image_in_one_fold_leaves_the_others(tmp_path):
    """Trained and then not scored, it is named with its fold; mended, it is only scored."""
    data, out = write_data(tmp_path / "data"), tmp_path / "out"
    whole = (data / "manifest.csv").read_text()
    (data / "other.csv").write_text(whole.replace("3.tif,", "bad.tif,"))
    (data / "bad.tif").write_bytes((data / "3.tif").read_bytes()[:4000])
    entries = {"a": {"model": {"branches": "global"}}}
    folds = ["manifest.csv", "other.csv"]
    study = load_study(write_study(data, entries, "folds", folds=folds))
    with pytest.raises(GatheredError, match=r"^a, seed 0, fold 1: [^\n]*bad\.tif[^\n]*$"):
        list(benchmark(study, out))
    before = (out / "runs/a/seed-0-fold-1/model/model.safetensors").stat().st_mtime_ns
    (data / "bad.tif").write_bytes((data / "3.tif").read_bytes())

    list(benchmark(study, out))

    assert (out / "runs/a/seed-0-fold-1/model/model.safetensors").stat().st_mtime_ns == before
    one, other = (read_result(out / f"runs/a/seed-0-fold-{fold}") for fold in range(2))
    assert one.pairs == other.pairs


def test_a_damaged_table_of_a_run_stops_no_other(data, tmp_path):
    """Its own result stays; who shares its stages says in a line what is missing."""
    entries = {name: {"model": {"branches": "global"}} for name in "ab"}
    entries["c"] = {"model": {"branches": "local"}}
    path = write_study(data, entries, "cut")
    list(benchmark(load_study(path, only=["a"]), tmp_path))
    table = run_of(tmp_path, "a") / "metrics.csv"
    table.write_text("stage,epoch\nglobal,1\n")

    with pytest.raises(GatheredError, match=r"^b, seed 0: [^\n]*metrics\.csv[^\n]*$"):
        list(benchmark(load_study(path), tmp_path))

    assert list(runs_csv(tmp_path)) == ["a", "c"]


def test_a_part_of_a_study_leaves_the_rest(data, tmp_path):
    """What was shared from a run that is not asked for keeps its time; the table has all."""
    path = write_study(data, {name: {"model": {"sharing": "none"}} for name in "ab"}, "parts")
    list(benchmark(load_study(path), tmp_path))
    times = [read_result(run_of(tmp_path, name)).seconds for name in "ab"]
    (run_of(tmp_path, "b") / "result.json").unlink()

    list(benchmark(load_study(path, only=["b"], seeds=[0]), tmp_path))

    assert [read_result(run_of(tmp_path, name)).seconds for name in "ab"] == times
    assert times[0] == times[1] > 0
    assert list(runs_csv(tmp_path)) == ["a", "b"]


def test_a_run_without_enough_memory_leaves_the_others(data, tmp_path):
    entries = {
        "huge": {"model": {"branches": "global", "width": 10**9}},
        "sound": {"model": {"branches": "global"}},
    }
    study = load_study(write_study(data, entries, "huge"))

    with pytest.raises(GatheredError, match=r"^huge, seed 0: [^\n]*memory[^\n]*$"):
        list(benchmark(study, tmp_path))

    assert list(runs_csv(tmp_path)) == ["sound"]


def test_results_of_other_labels_are_not_mixed(tmp_path):
    """Labels that were corrected under the same name; a copy of the same data is the same."""
    study = write_study(write_data(tmp_path / "data"), {"a": {"model": {"branches": "global"}}})
    out = tmp_path / "out"
    list(benchmark(load_study(study), out))
    shutil.copytree(tmp_path / "data", tmp_path / "copy", copy_function=shutil.copy)
    copied = load_study(tmp_path / "copy" / study.name, data=tmp_path / "copy")

    (record,) = benchmark(copied, out)
    mask = read_manifest(tmp_path / "copy" / "manifest.csv")[0].mask
    pixels = np.array(Image.open(mask))
    write_png(mask, np.flipud(pixels))

    assert record.text.endswith("done before")
    with pytest.raises(RunError, match=r"they differ in labels\."):
        list(benchmark(copied, out))


def test_results_of_other_settings_are_not_mixed(whole, data, heard):
    """Nor is the table of the old ones shown as if it were theirs."""
    out, _, _ = whole
    changed = write_study(data, ENTRIES, "changed", protocol="glnet")

    status, said, (line,) = heard("benchmark", changed, "--out", out)

    assert status == 1
    assert "they differ in protocol" in line
    assert line.endswith("--restart --only 'local only'")
    assert "mIoU" not in said


@pytest.mark.parametrize(
    ("file", "place"), [("manifest.csv", "images"), ("classes.csv", "classes")]
)
def test_results_of_other_data_are_not_mixed(whole, data, tmp_path, glnet, file, place):
    """The same study over a folder that lacks an image, or names its classes otherwise."""
    out, study, _ = whole
    texts = {name: (data / name).read_text() for name in ("manifest.csv", "classes.csv")}
    texts["manifest.csv"] = "\n".join(
        line if number == 0 else ",".join(str(data / cell) for cell in line.split(",")[:2])
        + "," + line.split(",", 2)[2]
        for number, line in enumerate(texts["manifest.csv"].splitlines())
    )  # fmt: skip
    changed = {"manifest.csv": lambda t: t.rsplit("\n", 1)[0], "classes.csv": str.swapcase}
    for name, text in texts.items():
        made = changed[name](text) if name == file else text
        header, rest = made.split("\n", 1)
        (tmp_path / name).write_text(f"{header.lower()}\n{rest}\n")

    status, (line,) = glnet("benchmark", study, "--out", out, "--data", tmp_path)

    assert status == 1
    assert f"they differ in {place}" in line


def test_another_folder_of_data_and_other_settings_can_be_laid_over(data, tmp_path):
    study = write_study(data, {"one": {}}, "elsewhere")
    other = tmp_path / "other"
    other.mkdir()
    for name in ("manifest.csv", "classes.csv"):
        (other / name).write_text((data / name).read_text())

    (job,) = load_study(study, data=other, over={"train": {"device": "cpu"}}, seeds=[7]).asked

    assert job.recipe.data.manifest == other / "manifest.csv"
    assert job.recipe.data.classes == other / "classes.csv"
    assert (job.recipe.train.device, job.recipe.train.seed, job.seed) == ("cpu", 7, 7)


def test_a_prediction_is_measured_once_an_entry(data, tmp_path):
    study = load_study(write_study(data, {"local": {"model": {"branches": "local"}}}), seeds=[1, 2])

    list(benchmark(study, tmp_path))

    first, second = (read_result(run_of(tmp_path, "local", seed)) for seed in (1, 2))
    assert first.cost["forward"] > 0
    assert second.cost is None
    with (tmp_path / "table.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["forward_mps"]) == pytest.approx(first.cost["forward"])
