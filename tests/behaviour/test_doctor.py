"""`glnet doctor` in processes of its own, on machines that are made ill."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from makers import NO_TORCH, write_text
from networks import exported_tiny

COMMAND = [sys.executable, "-c", "from glnet.cli import main; main()", "doctor"]


@pytest.fixture
def doctor(tmp_path):
    """Run it: status, stdout, stderr; the folders that it may write in must be empty again."""
    work, passing, path = (tmp_path / name for name in ("work", "passing", "path"))
    for each in (work, passing, path):
        each.mkdir()

    def run(*arguments, files=(), **variables):
        for name, text in dict(files).items():
            (path / name).parent.mkdir(exist_ok=True)
            (path / name).write_text(text)
        paths = os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)], cwd=work, check=False, capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": paths, "TMPDIR": str(passing)} | variables,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert [*work.iterdir(), *passing.iterdir()] == []
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported_tiny(tmp_path_factory.mktemp("model") / "model", ["land", "water"])


def by_level(stdout, level):
    return [each for each in json.loads(stdout)["findings"] if each["level"] == level]


def test_a_whole_installation_predicts(doctor):
    status, said, _ = doctor("--json", OMP_NUM_THREADS="1")

    assert status == 0
    assert json.loads(said)["predicts"] is True
    assert by_level(said, "problem") == []
    tried = [each["what"] for each in by_level(said, "ok") if each["topic"] == "trial"]
    assert tried[0] == "a GeoTIFF was written and read as it was written"
    assert tried[1] == "OpenVINO computes what NumPy does"
    assert "lies where the image does" in tried[3]
    assert tried[4] == "torch makes the same labels as the exported graphs"
    threads = next(each for each in by_level(said, "ok") if each["topic"] == "processor")
    assert "1 threads (OMP_NUM_THREADS)" in threads["what"]


def test_without_torch_the_rest_is_tried(doctor):
    status, said, _ = doctor(files={"sitecustomize.py": NO_TORCH}, OMP_NUM_THREADS="abc")

    assert status == 0
    lines = said.splitlines()
    missing = next(n for n, line in enumerate(lines) if "extra torch is not installed" in line)
    assert lines[missing + 1].strip().startswith("-> pip install 'lightning-fabric>=")
    assert any("OMP_NUM_THREADS=abc is no number of threads" in line for line in lines)
    assert any("OpenVINO computes what NumPy does" in line for line in lines)
    assert any("a network was not tried" in line for line in lines)
    assert lines[-1].startswith("glnet can predict here; ")


def test_a_file_in_place_of_the_folder_stops_predicting(doctor, tmp_path):
    place = write_text(tmp_path / "masks", "no folder")

    status, said, _ = doctor(
        "--json", "--no-trial", "--folder", place, files={"sitecustomize.py": NO_TORCH}
    )

    assert status == 1
    (problem,) = by_level(said, "problem")
    assert problem["stops"]
    assert f"{place}: cannot be written (is no folder)" in problem["what"]


def test_a_broken_torchvision_is_told_and_predicting_goes_on(doctor):
    broken = "raise RuntimeError('operator torchvision::nms does not exist')"

    status, said, _ = doctor("--json", files={"torchvision/__init__.py": broken})

    assert status == 0
    told = {each["what"].split()[0]: each for each in by_level(said, "problem")}
    assert set(told) == {"torchvision", "timm"}
    assert "operator torchvision::nms does not exist" in told["torchvision"]["what"]
    assert "torch torchvision timm" in told["torchvision"]["advice"]
    assert any("a network was not tried" in each["what"] for each in by_level(said, "note"))


def test_a_torch_that_ends_the_process_ends_not_this_one(doctor):
    files = {"torch/__init__.py": "import os\nprint('noise', flush=True)\nos.abort()"}

    status, said, _ = doctor("--json", "--no-trial", files=files)

    assert status == 0
    told = {each["what"].split()[0]: each["what"] for each in by_level(said, "problem")}
    assert "ended the process with signal 6" in told["torch"]
    assert any("pyogrio" in each["what"] for each in by_level(said, "ok"))


def test_coordinate_systems_of_another_installation_stop_predicting(doctor, tmp_path):
    (tmp_path / "qgis").mkdir()
    place = str(tmp_path / "qgis")

    status, said, _ = doctor(
        "--json", "--no-trial", files={"sitecustomize.py": NO_TORCH}, PROJ_DATA=place
    )

    assert status == 1
    (problem,) = by_level(said, "problem")
    assert place in problem["what"]
    assert problem["advice"] == "unset PROJ_DATA"


def test_a_model_is_tried_without_torch(doctor, model):
    status, said, _ = doctor("--json", "-m", model, files={"sitecustomize.py": NO_TORCH})

    assert status == 0
    told = [each["what"] for each in by_level(said, "ok")]
    assert any("OpenVINO runs its graphs (global, local, refined) in fp32" in t for t in told)
    assert any(t.startswith("an 8-bit scene of") for t in told)
    assert any("lies where the image does" in t for t in told)


def test_a_model_that_cannot_run_is_a_problem_with_its_remedy(doctor, model, tmp_path):
    model = shutil.copytree(model, tmp_path / "model")
    (model / "graphs/weights.sha256").write_text("0" * 64)

    status, said, _ = doctor("--json", "-m", model, files={"sitecustomize.py": NO_TORCH})

    assert status == 1
    (problem,) = by_level(said, "problem")
    assert "other weights" in problem["what"]
    assert f"glnet export {model}" in problem["advice"]


def test_what_is_no_model_is_told(doctor, tmp_path):
    status, said, _ = doctor(
        "-m", tmp_path / "none", "--no-trial", files={"sitecustomize.py": NO_TORCH}
    )

    assert status == 1
    assert "not a glnet model folder" in said
    assert said.splitlines()[-1].startswith("nothing can be predicted here; ")
