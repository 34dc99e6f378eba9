"""What a doctor makes of facts: of small containers, settings of strangers, broken libraries."""

import re
import tomllib
from pathlib import Path

import pytest

from glnet.doctor.facts import Imported, Memory, Place, Processor
from glnet.doctor.finding import Finding
from glnet.doctor.gathering import limit_of
from glnet.doctor.judging import judge_memory, judge_place, judge_processor, judge_settings
from glnet.doctor.libraries import LIBRARIES, judge_gpus, judge_libraries
from glnet.engines import threads as engine_threads
from glnet.engines.threads import groups_of, quota_of

MIB = 1 << 20
GIB = 1 << 30
WHOLE = {each.name: Imported(each.name, "1.0") for each in LIBRARIES}


def troubles(findings):
    return [(each.level, each.what, each.advice) for each in findings if each.level != "ok"]


def only(findings):
    (found,) = troubles(findings)
    return found


def test_the_libraries_are_those_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = {"": project["dependencies"], **project["optional-dependencies"]}
    names = {
        (extra, re.match(r"[\w-]+", line)[0].replace("-", "_").lower())
        for extra, lines in extras.items()
        for line in lines
        if not line.startswith("glnet[")
    }

    ours = {(each.extra, each.package.replace("-", "_").lower()) for each in LIBRARIES}

    assert ours <= names
    assert {each for each in names - ours if each[0] not in {"", "dev"}} == set()


# --- Libraries.


def test_whole_libraries_are_no_trouble():
    assert troubles(judge_libraries(WHOLE)) == []


def test_a_missing_extra_is_a_note_with_the_line_that_adds_it():
    found = WHOLE | {name: Imported(name) for name in ("pyogrio", "shapely")}

    level, what, advice = only(judge_libraries(found))

    assert (level, advice) == ("note", "pip install 'pyogrio>=0.10' 'shapely>=2.1'")
    assert "GeoPackages" in what


def test_a_torchvision_of_another_torch_is_a_problem_that_leaves_predicting():
    error = "RuntimeError: operator torchvision::nms does not exist"
    found = WHOLE | {"torchvision": Imported("torchvision", "0.20", error)}

    judged = list(judge_libraries(found))

    level, what, advice = only(judged)
    assert level == "problem"
    assert error in what
    assert "torch torchvision timm" in advice
    assert "torchvision 0.20" in advice
    assert not any(each.stops for each in judged)


def test_without_openvino_nothing_is_predicted():
    found = WHOLE | {"openvino": Imported("openvino", "2026.1", "ImportError: libtbb")}

    (stopping,) = [each for each in judge_libraries(found) if each.stops]

    assert "libtbb" in stopping.what


# --- GPUs.


CARD = ("NVIDIA T4, 550.1, 15360 MiB",)


@pytest.mark.parametrize(
    ("torch", "hidden", "named"),
    [
        (Imported("torch"), None, "not installed"),
        (Imported("torch", "2.10", "OSError: libcudart"), None, "does not work"),
        (Imported("torch", "2.10+cpu", told={"built": None}), None, "for processors alone"),
        (Imported("torch", "2.10", told={"built": "13"}), "", "CUDA_VISIBLE_DEVICES= hides"),
        (
            Imported("torch", "2.10", told={"built": "13", "why": "driver is too old"}),
            None,
            "driver is too old",
        ),
    ],
)
def test_a_gpu_that_is_not_used_has_a_reason(torch, hidden, named):
    level, what, advice = only(judge_gpus(torch, CARD, hidden))

    assert level == "note"
    assert CARD[0] in what
    assert named in what
    assert advice


def test_a_gpu_that_torch_was_not_built_for_is_told():
    gpu = {"name": "K80", "memory": "11GiB", "error": "no kernel image"}
    torch = Imported("torch", "2.10", told={"built": "13", "gpus": [gpu]})

    level, what, _ = only(judge_gpus(torch, CARD, None))

    assert (level, what) == ("note", "K80 cannot be used: no kernel image")


@pytest.mark.parametrize("nvidia", [(), CARD])
def test_a_gpu_that_works_is_no_trouble(nvidia):
    gpu = {"name": "T4", "memory": "15GiB", "error": ""}
    found = list(judge_gpus(Imported("torch", "2", told={"gpus": [gpu]}), nvidia, None))

    assert troubles(found) == []
    assert "T4" in found[0].what


# --- Processor.


def processor(threads, usable=8, quota=None, told=""):
    return Processor(16, usable, quota, told, threads)


def test_a_quota_of_one_and_a_half_cores_asks_for_two_threads():
    level, what, advice = only(judge_processor(processor(8, quota=1.5), "", (), {}))

    assert level == "note"
    assert "8 threads share 1.5" in what
    assert advice == "set OMP_NUM_THREADS=2"


@pytest.mark.parametrize(
    ("quota", "told", "wanted"),
    [("150000", "", 2), ("20000", "", 1), ("9900000", "", 3), ("max", "", 3), ("20000", "5", 5)],
)
def test_threads_are_no_more_than_a_containers_quota_keeps_busy(
    tmp_path, monkeypatch, quota, told, wanted
):
    """Of three cores; what is told counts all the same."""
    (tmp_path / "ours").write_text("0::/one\n")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "cpu.max").write_text(f"{quota} 100000\n")
    monkeypatch.setattr(engine_threads, "_GROUPS", tmp_path)
    monkeypatch.setattr(engine_threads, "_OURS", tmp_path / "ours")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", told)

    assert engine_threads.threads() == wanted


def test_words_for_threads_are_told():
    level, what, _ = only(judge_processor(processor(8, told="abc"), "", (), {}))

    assert level == "note"
    assert "OMP_NUM_THREADS=abc is no number" in what


@pytest.mark.parametrize(
    ("threads", "named"), [(9, "9 threads share 8 cores"), (7, "of 8 cores 7 are used"), (8, None)]
)
def test_threads_are_compared_with_cores(threads, named):
    found = troubles(judge_processor(processor(threads, told=str(threads)), "", (), {}))

    assert [what for _, what, _ in found] == [] if named is None else named in found[0][1]


def test_placed_threads_are_a_note_and_their_number_is_none():
    variables = {"KMP_AFFINITY": "compact", "OMP_NUM_THREADS": "8", "HOME": "/"}

    _, what, _ = only(judge_processor(processor(8, told="8"), "", (), variables))

    assert what.startswith("KMP_AFFINITY=compact: ")


@pytest.mark.parametrize(
    ("arithmetic", "there", "lacks"),
    [
        (("FP32", "INT8"), "--precision int8", "not here: bf16"),
        (("FP32", "BF16", "INT8"), "--precision bf16", None),
        (("FP32",), "nothing", "not here: bf16, int8"),
    ],
)
def test_precisions_follow_the_processor(arithmetic, there, lacks):
    last = list(judge_processor(processor(8), "", arithmetic, {}))[-1].what

    assert there in last
    assert "not here" not in last if lacks is None else last.endswith(lacks)


# --- Memory.


@pytest.mark.parametrize(
    ("facts", "level", "named"),
    [
        (Memory(8 * GIB, 4 * GIB), "ok", "4.0GiB can be had"),
        (Memory(8 * GIB, 2 * GIB), "ok", "2.0GiB can be had"),
        (Memory(8 * GIB, 2 * GIB - 1), "note", "2.0GiB can be had"),
        (Memory(8 * GIB, 4 * GIB, 1000 * MIB, 100 * MIB), "note", "900MiB can be had"),
        (Memory(8 * GIB, 299 * MIB), "problem", "too little"),
        (Memory(8 * GIB, 4 * GIB, 512 * MIB, 700 * MIB), "problem", "0MiB can be had"),
        (Memory(None, None), "note", "does not tell"),
    ],
)
def test_memory_is_the_least_of_machine_and_container(facts, level, named):
    (found,) = judge_memory(facts, 2 * GIB)

    assert found.level == level
    assert named in found.what
    assert found.stops == (level == "problem")


def test_little_memory_has_a_budget_that_fits():
    (found,) = judge_memory(Memory(None, 900 * MIB), 2 * GIB)

    assert found.advice.startswith("say --memory 675MiB")


def test_limits_are_the_least_of_all_groups_around(tmp_path):
    outer, inner = tmp_path / "pods", tmp_path / "pods/one"
    inner.mkdir(parents=True)
    (outer / "cpu.max").write_text("150000 100000\n")
    (inner / "cpu.max").write_text("max 100000\n")
    (outer / "memory.max").write_text(f"{900 * MIB}\n")
    (outer / "memory.current").write_text(f"{500 * MIB}\n")
    (outer / "memory.stat").write_text(f"anon 1\ninactive_file {300 * MIB}\n")
    (inner / "memory.max").write_text("max\n")
    (inner / "memory.current").write_text("1\n")

    groups = list(groups_of(tmp_path, "0::/pods/one\n"))

    assert quota_of(groups) == 1.5
    assert limit_of(groups) == (900 * MIB, 200 * MIB)


def test_limits_of_the_older_kind_are_read_too(tmp_path):
    for kind, files in {
        "cpu,cpuacct": {"cpu.cfs_quota_us": 50_000, "cpu.cfs_period_us": 100_000},
        "memory": {"memory.limit_in_bytes": 700 * MIB, "memory.usage_in_bytes": 5 * MIB},
    }.items():
        (tmp_path / kind / "x").mkdir(parents=True)
        (tmp_path / kind / "memory.limit_in_bytes").write_text(str(1 << 62))
        (tmp_path / kind / "memory.usage_in_bytes").write_text("0")
        for name, value in files.items():
            (tmp_path / kind / "x" / name).write_text(f"{value}\n")

    groups = list(groups_of(tmp_path, "4:memory:/x\n1:cpu,cpuacct:/x\n"))

    assert quota_of(groups) == 0.5
    assert limit_of(groups) == (700 * MIB, 5 * MIB)


def test_no_limit_is_none(tmp_path):
    (tmp_path / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")

    assert quota_of([tmp_path]) is None
    assert limit_of([tmp_path]) == (None, 0)


# --- Places.


def place(*, needed=True, **facts):
    return next(iter(judge_place(Place(Path("/data"), "masks into", needed, **facts))))


def test_places_are_judged_by_what_they_are_for():
    assert place(free=4 * GIB).level == "ok"
    assert place(free=GIB - 1).level == "note"
    refused = place(error="is no folder")
    assert (refused.level, refused.stops) == ("problem", True)
    assert "masks into /data: cannot be written (is no folder)" in refused.what
    assert (passing := place(error="full", needed=False)).level == "note"
    assert not passing.stops


def test_locks_that_nobody_sees_are_a_note_and_refused_ones_a_problem():
    assert place(free=4 * GIB, seen=False).level == "note"
    assert place(free=4 * GIB, seen=False, needed=False).level == "ok"
    refused = place(free=4 * GIB, lock="No locks available", seen=False)
    assert (refused.level, refused.stops) == ("problem", True)


# --- Settings.


def test_a_foreign_proj_that_works_is_a_note_and_one_that_does_not_a_problem():
    variables = {"PROJ_LIB": "/opt/qgis/proj", "GDAL_DATA": ""}

    level, _, advice = only(judge_settings(variables, "", None))
    assert (level, advice) == ("note", "unset PROJ_LIB")

    (found,) = judge_settings(variables, "CRSError: no proj.db", None)
    assert (found.level, found.stops, found.advice) == ("problem", True, "unset PROJ_LIB")
    assert "no proj.db" in found.what
    assert "/opt/qgis/proj" in found.what


def test_what_gdal_obeys_is_told_and_what_rasterio_sets_is_not():
    variables = {
        "GDAL_CACHEMAX": "8000", "GDAL_NUM_THREADS": "ALL_CPUS", "GTIFF_IGNORE_READ_ERRORS": "YES",
        "GDAL_CURL_CA_BUNDLE": "/cacert.pem", "PATH": "/bin",
    }  # fmt: skip

    told = [what.partition(": ")[0] for _, what, _ in troubles(judge_settings(variables, "", None))]

    assert told == [
        "GDAL_CACHEMAX=8000", "GDAL_NUM_THREADS=ALL_CPUS", "GTIFF_IGNORE_READ_ERRORS=YES"
    ]  # fmt: skip


@pytest.mark.parametrize(("files", "noted"), [(511, True), (512, False), (None, False)])
def test_few_open_files_are_a_note(files, noted):
    assert bool(troubles(judge_settings({}, "", files))) == noted


def test_a_finding_stops_nothing_unless_it_says_so():
    assert not Finding("a", "problem", "b").stops
