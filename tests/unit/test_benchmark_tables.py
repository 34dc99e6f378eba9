"""What a study's tables promise: right means, spreads and intervals; one key for one stage."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import yaml

from glnet.benchmark.columns import counted
from glnet.benchmark.intervals import difference, mean_interval
from glnet.benchmark.process import decode
from glnet.benchmark.results import Result
from glnet.benchmark.rows import rows_of
from glnet.benchmark.stages import stage_key
from glnet.benchmark.study import load_study
from glnet.benchmark.table import markdown, write_tables
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.errors import RecipeError
from glnet.geometry import Size
from glnet.metrics.bootstrap import DRAWS, SEED
from glnet.recipe import ModelSettings
from glnet.resample import shrink
from makers import TWO_CLASSES, noise, write_tif

COST = {
    "parameters": 2_000_000, "megapixels": 4.0, "forward": 2.0, "file_to_mask": 1.0,
    "memory_mb": 300.0, "reserved_mb": None, "driver_mb": None, "machine": "a machine",
}  # fmt: skip


def result(pairs, images, seconds=60.0, boundary=(0.5, 0.25), patches=(3, 12), **cost):
    """A run with one confusion matrix per image, (images, 3, 2)."""
    return Result(
        identity={}, glnet="0", view="aggregated", classes=TWO_CLASSES.as_dicts(),
        protocol="ignore", images=list(images), pairs={"aggregated": pairs.tolist()},
        boundary=list(boundary), patches={"computed": patches[0], "whole": patches[1]},
        seconds=seconds, cost={**COST, **cost},
    )  # fmt: skip


def test_the_image_that_is_timed_has_the_models_bands(tmp_path):
    """GDAL calls the fourth band of 8-bit images alpha, near infrared too."""
    pixels = noise(4, 50, 60)

    scene = decode(write_tif(tmp_path / "a.tif", pixels), ModelSettings(bands=4, thumbnail=64))

    np.testing.assert_array_equal(scene.read(), pixels)
    np.testing.assert_array_equal(scene.thumbnail(Size(64, 64)), shrink(pixels, Size(64, 64)))


def matrices(images, seed):
    return np.random.default_rng(seed).integers(1, 50, (images, 3, 2))


def mean_iou(pairs):
    """Of summed matrices, by hand."""
    hits, missed, false = pairs[0, 0], pairs[0, 1], pairs[1, 0]
    other = pairs[1, 1]
    both = missed + false
    return (hits / (hits + both) + other / (other + both)) / 2


def study_file(folder, entries=None, **changes):
    recipe = {"data": {"manifest": "m.csv", "classes": "c.csv"}}
    entries = entries or [{"name": "one", "published": {"mean_iou": 71.6, "memory_mb": 1865}}]
    study = {"title": "A study", "recipe": recipe, "entries": entries, **changes}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


@pytest.fixture
def two_by_two(tmp_path):
    """A study with two seeds and two folds, and results for its four runs."""
    study = load_study(study_file(tmp_path, seeds=[3, 5], folds=["a.csv", "b.csv"]))
    results = {}
    for number, job in enumerate(study.jobs):
        images = [f"{job.fold}-{i}" for i in range(4 + job.fold)]
        pairs = matrices(len(images), number)
        memory = {"memory_mb": 300.0, "reserved_mb": 400.0, "driver_mb": 500.0}
        memory = {name: megabytes + number for name, megabytes in memory.items()}
        results[job] = result(pairs, images, 60.0 * number, **memory)
    return study, results


def test_a_row_is_the_mean_over_seeds_of_the_mean_over_folds(two_by_two):
    study, results = two_by_two

    (row,) = rows_of(study, results)

    by_seed = {3: [], 5: []}
    for job, found in results.items():
        by_seed[job.seed].append(mean_iou(np.sum(found.pairs["aggregated"], axis=0)))
    means = [np.mean(found) for found in by_seed.values()]
    assert row.mean_iou == pytest.approx(np.mean(means), abs=1e-12)
    assert row.spread == pytest.approx(abs(means[0] - means[1]) / 2**0.5, abs=1e-12)
    assert (row.images, row.runs, row.planned) == (9, 4, 4)
    assert row.patches == 0.25
    assert row.seconds == 90.0
    assert (row.memory_mb, row.reserved_mb, row.driver_mb) == (303.0, 403.0, 503.0)
    assert row.mean_boundary == pytest.approx(0.375)


def test_what_was_not_measured_is_not_known(tmp_path):
    """Nor is the boundary IoU of a class that no run had; one that some had is their mean."""
    study = load_study(study_file(tmp_path, seeds=[3, 5]))
    bounds = (None, 0.5), (None, None)
    found = [replace(result(matrices(3, 0), "abc", boundary=own), cost=None) for own in bounds]

    (row,) = rows_of(study, dict(zip(study.jobs, found, strict=True)))

    assert (row.parameters, row.memory_mb, row.forward, row.machine) == (None, None, None, "")
    assert row.boundary == pytest.approx({"land": np.nan, "water": 0.5}, nan_ok=True)
    assert row.mean_boundary == 0.5


def test_pooled_folds_are_one_set_of_images(two_by_two, tmp_path):
    """Scores, and draws of all images together; what is a mean over runs stays one."""
    study, results = two_by_two
    pooled = load_study(study_file(tmp_path, seeds=[3, 5], folds=["a.csv", "b.csv"], pooled=True))
    pairs = {3: [], 5: []}
    for job, found in results.items():
        pairs[job.seed] += found.pairs["aggregated"]

    (apart,) = rows_of(study, results)
    (row,) = rows_of(pooled, dict(zip(pooled.jobs, results.values(), strict=True)))

    means = [mean_iou(np.sum(own, axis=0)) for own in pairs.values()]
    assert row.mean_iou == pytest.approx(np.mean(means), abs=1e-12)
    assert row.mean_iou != pytest.approx(apart.mean_iou, abs=1e-6)
    rng = np.random.default_rng(SEED)
    drawn = [index for _ in range(0, DRAWS, 100) for index in rng.integers(0, 9, (100, 9))]
    draws = [
        [mean_iou(np.array(own)[index].sum(axis=0)) for index in drawn] for own in pairs.values()
    ]
    assert row.interval == pytest.approx(
        np.percentile(np.mean(draws, axis=0), [2.5, 97.5]), abs=1e-12
    )
    same = ("images", "runs", "planned", "patches", "seconds", "memory_mb")
    assert [getattr(row, name) for name in same] == [getattr(apart, name) for name in same]
    assert "2 folds as one set" in counted(pooled, [row])
    assert row.mean_boundary is None  # of which no counts were kept


def test_boundaries_of_pooled_folds_add_up(two_by_two, tmp_path):
    """Water is the first fold's alone; its boundary counts once, and so does every pixel of it."""
    _, results = two_by_two
    pooled = load_study(study_file(tmp_path, seeds=[3, 5], folds=["a.csv", "b.csv"], pooled=True))
    edges = {0: [[10, 6], [20, 8]], 1: [[1, 0], [60, 0]]}
    found = {
        job: replace(own, edges=edges[job.fold])
        for job, own in zip(pooled.jobs, results.values(), strict=True)
    }

    (row,) = rows_of(pooled, found)

    assert row.boundary == pytest.approx({"land": 11 / 80, "water": 6 / 8})
    assert row.mean_boundary == pytest.approx((11 / 80 + 6 / 8) / 2)


@pytest.mark.parametrize(("protocol", "mean"), [("ignore", 0.45), ("glnet", 0.3)])
def test_a_mean_boundary_iou_is_as_evaluate_has_it(tmp_path, protocol, mean):
    """Of each run first, an absent class counting as its protocol says."""
    study = load_study(study_file(tmp_path, seeds=[3, 5]))
    found = [
        replace(result(matrices(3, 0), "abc", boundary=own), protocol=protocol)
        for own in ((None, 0.6), (0.2, 0.4))
    ]

    (row,) = rows_of(study, dict(zip(study.jobs, found, strict=True)))

    assert row.mean_boundary == pytest.approx(mean)


def test_entries_with_other_classes_are_not_compared(tmp_path):
    """One ignores what the other scores: means of different things."""
    study = load_study(study_file(tmp_path, [{"name": "a"}, {"name": "b"}], against="a"))
    both = result(matrices(4, 0), "abcd")
    table = [{**row, "ignored": row["name"] == "water"} for row in both.classes]
    land = replace(result(matrices(4, 1)[:, [0, 2], :1], "abcd", boundary=(0.5,)), classes=table)

    rows = rows_of(study, dict(zip(study.jobs, (both, land), strict=True)))

    assert [row.against for row in rows] == [None, None]


def test_a_table_has_the_classes_of_all_entries(tmp_path):
    """And `runs.csv`, though the first entry ignores what the second scores."""
    study = load_study(study_file(tmp_path, [{"name": "a"}, {"name": "b"}]))
    both = result(matrices(4, 0), "abcd")
    table = [{**row, "ignored": row["name"] == "water"} for row in both.classes]
    land = replace(result(matrices(4, 1)[:, [0, 2], :1], "abcd", boundary=(0.5,)), classes=table)

    write_tables(study, dict(zip(study.jobs, (land, both), strict=True)), tmp_path)

    pairs = np.sum(both.pairs["aggregated"], axis=0)
    water = pairs[1, 1] / (pairs[1, 1] + pairs[0, 1] + pairs[1, 0])
    for name in ("table.csv", "runs.csv"):
        with (tmp_path / name).open() as file:
            first, second = csv.DictReader(file)
        assert first["iou_water"] == ""
        assert float(second["iou_water"]) == pytest.approx(water)


def test_a_seed_without_all_its_folds_does_not_count_yet(two_by_two):
    study, results = two_by_two
    *whole, last = study.jobs
    first = [job for job in whole if job.seed == 3]

    (row,) = rows_of(study, {job: results[job] for job in whole})
    (alone,) = rows_of(study, {job: results[job] for job in first})

    assert last.seed == 5
    assert (row.runs, row.planned) == (3, 4)
    assert (row.mean_iou, row.class_iou, row.seconds) == (
        alone.mean_iou, alone.class_iou, alone.seconds,
    )  # fmt: skip


def drawn_means(results):
    """The mean over seeds and folds of every drawn set of each fold's images, by a slow loop."""
    draws = []
    for job, found in results.items():
        pairs = np.array(found.pairs["aggregated"])
        rng, images = np.random.default_rng(SEED + job.fold), len(pairs)
        drawn = [i for _ in range(0, DRAWS, 100) for i in rng.integers(0, images, (100, images))]
        draws.append([mean_iou(pairs[index].sum(axis=0)) for index in drawn])
    return np.mean(draws, axis=0)


def test_the_interval_is_that_of_the_mean_over_seeds_and_folds(two_by_two):
    """Images are drawn within each fold, the same ones for every seed."""
    study, results = two_by_two

    (row,) = rows_of(study, results)

    low, high = np.quantile(drawn_means(results), (0.025, 0.975))
    assert row.interval == pytest.approx((low, high), abs=1e-9)


def test_the_interval_is_over_groups_where_there_are_any():
    """Every image twice, as a group of two: the interval is that of the images alone."""
    pairs = matrices(6, 0)
    alone = result(pairs, "abcdef")
    twice = replace(result(np.tile(pairs, (2, 1, 1)), "abcdefghijkl"), groups=["P", *"QRSTU"] * 2)

    assert mean_interval({0: {0: twice}}) == mean_interval({0: {0: alone}})


def test_the_interval_holds_the_mean_of_folds_that_differ(tmp_path):
    """One of many pixels, all of them right, counts as much as one of few."""
    study = load_study(study_file(tmp_path, folds=["a.csv", "b.csv"]))
    pairs = {0: np.array([[[900, 0], [0, 900], [0, 0]]] * 6), 1: matrices(6, 1)}
    results = {job: result(pairs[job.fold], [f"{job.fold}-{i}" for i in range(6)])
               for job in study.jobs}  # fmt: skip

    (row,) = rows_of(study, results)

    assert row.interval.low <= row.mean_iou <= row.interval.high


def test_entries_are_compared_on_the_same_drawn_images(tmp_path):
    """The difference, its paired interval, and nothing where a run is missing."""
    entries = [{"name": name} for name in ("base", "new")]
    path = study_file(tmp_path, entries, seeds=[3, 5], folds=["a.csv", "b.csv"], against="base")
    study = load_study(path)
    results = {
        job: result(matrices(5, number), [f"{job.fold}-{i}" for i in range(5)])
        for number, job in enumerate(study.jobs)
    }
    base, new = ({job: found for job, found in results.items() if job.entry.name == name}
                 for name in ("base", "new"))  # fmt: skip

    rows = rows_of(study, results)

    low, high = np.quantile(drawn_means(new) - drawn_means(base), (0.025, 0.975))
    assert rows[0].against is None
    assert rows[1].against.mean == pytest.approx(rows[1].mean_iou - rows[0].mean_iou)
    assert rows[1].against.interval == pytest.approx((low, high), abs=1e-9)
    assert f"({100 * low:.1f} to {100 * high:.1f})" in markdown(study, rows)
    del results[next(iter(base))]
    assert rows_of(study, results)[1].against is None


def test_an_image_that_counts_in_one_run_is_drawn_for_all():
    """By the GLNet protocol: its ground is unknown, which one run says, and one sees land there."""
    table = ClassTable((*TWO_CLASSES.rows, ClassInfo("unknown", 2, (9, 9, 9))))
    pairs = np.random.default_rng(0).integers(1, 50, (2, 6, 4, 3))
    pairs[:, 0] = 0
    pairs[[0, 1], 0, 2, [2, 0]] = 700
    says, sees = (
        replace(result(own, "abcdef"), classes=table.as_dicts(), protocol="glnet") for own in pairs
    )
    rng = np.random.default_rng(SEED)
    drawn = [index for _ in range(0, DRAWS, 100) for index in rng.integers(0, 6, (100, 6))]

    def by_hand(found):
        return np.mean([found[c, c] / (found[c].sum() + found[:, c].sum() - found[c, c])
                        for c in range(2)])  # fmt: skip

    draws = np.array([[by_hand(own[index].sum(axis=0)) for index in drawn] for own in pairs])
    apart = difference("seeing", {0: {0: says}}, {0: {0: sees}}).interval

    assert apart == pytest.approx(np.quantile(draws[0] - draws[1], (0.025, 0.975)))
    both = mean_interval({0: {0: says}, 1: {0: sees}})
    assert both == pytest.approx(np.quantile(draws.mean(axis=0), (0.025, 0.975)))


def test_runs_that_are_missing_are_said_to_be(two_by_two):
    study, results = two_by_two
    first = next(iter(results))

    (row,) = rows_of(study, {first: results[first]})

    assert (row.runs, row.planned) == (1, 4)
    assert np.isnan(row.spread)
    assert " 1/4 |" in markdown(study, [row])


def test_the_published_number_stands_beside_the_measured_one(two_by_two):
    study, results = two_by_two

    lines = markdown(study, rows_of(study, results)).splitlines()

    table = [line for line in lines if line.startswith("|")]
    header, _, row = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table[:3])
    cells = dict(zip(header, row, strict=True))
    assert cells["published"] == "71.6"
    assert cells["published MB"] == "1865"
    assert cells["memory, MB"] == "303"
    assert cells["parameters, M"] == "2.0"
    assert len({len(line) for line in table[:3]}) == 1


@pytest.mark.parametrize(
    ("entries", "changes", "said"),
    [
        ([{"name": "a", "settings": {"model": {"trunc": 1}}}], {}, "entry 'a': unknown setting"),
        ([{"name": "a", "setting": {}}], {}, "unknown setting"),
        ([{"name": "G->L"}, {"name": "G<->L"}], {}, "'G->L' and 'G<->L' must differ in letters"),
        ([{"name": "a", "view": "local", "settings": {"model": {"branches": "global"}}}], {},
         "entry 'a': the network has no view local"),
        ([{"name": "a"}], {"seeds": []}, "seeds"),
        ([{"name": "a"}], {"against": "b"}, "no entry 'b'; there are: a"),
        ([{"name": "a"}], {"protocol": "paper"}, "protocol"),
    ],
)  # fmt: skip
def test_a_study_that_cannot_be_is_refused_in_a_line(tmp_path, entries, changes, said):
    with pytest.raises(RecipeError) as caught:
        load_study(study_file(tmp_path, entries, **changes))

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_entry_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(RecipeError, match="no entry 'two'; there are: one"):
        load_study(study_file(tmp_path), only=["two"])


def test_a_part_is_asked_for_of_all_runs(tmp_path):
    """Seeds that the study does not name are added to its own."""
    study = load_study(
        study_file(tmp_path, [{"name": "a"}, {"name": "b"}], seeds=[0, 1]), only=["b"], seeds=[1, 7]
    )

    assert [(job.entry.name, job.seed) for job in study.asked] == [("b", 1), ("b", 7)]
    assert {(job.entry.name, job.seed) for job in study.jobs} == {
        (name, seed) for name in "ab" for seed in (0, 1, 7)
    }


def recipe(tmp_path, **over):
    (job,) = load_study(study_file(tmp_path), over=over).jobs
    return job.recipe


@pytest.mark.parametrize(
    ("over", "stage"),
    [
        ({"model": {"sharing": "none"}}, "global"),
        ({"model": {"branches": "global"}}, "global"),
        ({"model": {"coarse_to_fine": {}}}, "global"),
        ({"loss": {"regulariser": 0}}, "global"),
        ({"train": {"local_start": "drawn"}}, "global"),
        ({"train": {"stages": {"global_to_local": {"epochs": 1}}}}, "global"),
        ({"train": {"workers": 2, "checkpoint_minutes": 1}}, "global"),
        ({"model": {"sharing": "global_to_local"}}, "global_to_local"),
        ({"train": {"stages": {"local_to_global": {"epochs": 1}}}}, "global_to_local"),
    ],
)
def test_what_a_stage_does_not_read_leaves_its_key(tmp_path, over, stage):
    assert stage_key(recipe(tmp_path, **over), stage) == stage_key(recipe(tmp_path), stage)


@pytest.mark.parametrize(
    ("over", "stage"),
    [
        ({"train": {"weight_decay": 0}}, "global"),
        ({"train": {"stages": {"global": {"epochs": 1}}}}, "global_to_local"),
        ({"train": {"precision": "bf16"}}, "global"),
        ({"model": {"thumbnail": 508}}, "global"),
        ({"model": {"sharing": "shallow"}}, "global_to_local"),
        ({"model": {"coarse_to_fine": {}}}, "global_to_local"),
        ({"loss": {"regulariser": 0}}, "global_to_local"),
        ({"train": {"local_start": "drawn"}}, "global_to_local"),
        ({"loss": {"gamma": 3}}, "global"),
        ({"data": {"manifest": "other.csv"}}, "global"),
        ({"model": {"network": "unet", "branches": "global"}}, "global"),
    ],
)
def test_what_a_stage_depends_on_changes_its_key(tmp_path, over, stage):
    assert stage_key(recipe(tmp_path, **over), stage) != stage_key(recipe(tmp_path), stage)


def test_every_seed_has_stages_of_its_own(tmp_path):
    one, other = load_study(study_file(tmp_path, seeds=[0, 1])).jobs

    assert stage_key(one.recipe, "global") != stage_key(other.recipe, "global")


def test_networks_that_one_memory_fits_differently_share_no_stage(tmp_path):
    """The budget lowers the mini-batch by the largest stage, which two networks need not share."""
    budget = {"train": {"memory": "2GiB"}}
    both = recipe(tmp_path, **budget)
    alone = recipe(tmp_path, **budget, model={"branches": "global"})

    assert stage_key(both, "global") != stage_key(alone, "global")


def test_folds_lie_beside_the_study_or_in_the_data_that_is_named(tmp_path):
    path = study_file(tmp_path, folds=["a.csv", "b.csv"])
    data = tmp_path / "data"

    beside, named = load_study(path).jobs, load_study(path, data=data).jobs

    assert [job.recipe.data.manifest for job in beside] == [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert [job.recipe.data.manifest for job in named] == [data / "a.csv", data / "b.csv"]
    assert {job.recipe.data.classes for job in named} == {data / "classes.csv"}
