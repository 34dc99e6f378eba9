"""What Ctrl-C promises: one line that is true, nothing half-written; and what is seen till then."""

import contextlib
import csv
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
import yaml

from layouts import make_deepglobe
from makers import write_manifest, write_tif
from networks import exported_tiny, random_scene
from runs import write_recipe
from scenes import CLASSES

#: Started from a shell's background, a process would not hear Ctrl-C.
COMMAND = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from glnet.cli import main; main()"
)
GOES_ON = "glnet: interrupted; the same command goes on from what is finished"
NOTHING = "glnet: interrupted; nothing was written"

#: What a terminal obeys and does not show.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def start(*arguments, stderr=subprocess.PIPE):
    """A command in a process group of its own, as a shell starts it."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True,
    )  # fmt: skip


def finished(*arguments):
    """All that a command says on a pipe, once it is done."""
    done = start(*arguments)
    out, errors = done.communicate()
    assert done.returncode == 0, errors
    return out, errors


def press(process):
    """Ctrl-C: a terminal tells the whole group."""
    os.killpg(process.pid, signal.SIGINT)


def stopped(process):
    """The lines on stderr of a command that was stopped, and what else it said."""
    out, errors = process.communicate()
    assert process.returncode == 130
    return errors.splitlines(), out


@contextlib.contextmanager
def watched(*arguments):
    """A command whose stderr is a terminal of 100 columns: the process, and what is shown there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = start(*arguments, stderr=theirs)
    os.close(theirs)
    try:
        yield process, _shown(ours)
    finally:
        process.kill()
        process.communicate()
        os.close(ours)


def _shown(terminal):
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(terminal, 1 << 16):
            yield part.decode(errors="replace")


def stopped_at(text, *arguments):
    """Ctrl-C when a text is on the terminal: the last line there."""
    with watched(*arguments) as (process, shown):
        seen = ""
        for part in shown:
            if text not in seen and text in (seen := seen + part):
                press(process)
            else:
                seen += part
        process.wait()
    plain = CONTROL.sub("", seen)
    assert text in plain
    assert process.returncode == 130
    assert "Traceback" not in plain
    return re.split(r"[\r\n]+", plain.strip())[-1]


def files(folder):
    """All below a folder, byte for byte."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    names = [name for name, _ in CLASSES]
    return exported_tiny(tmp_path_factory.mktemp("model") / "model", names, patch=128)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    pixels = np.kron(random_scene(60, 60).pixels, np.ones((10, 10), np.uint8))
    return write_tif(tmp_path_factory.mktemp("image") / "image.tif", pixels)


@pytest.fixture(scope="module")
def many(data, tmp_path_factory):
    """A manifest of as many images as take a while."""
    folder = tmp_path_factory.mktemp("many")
    rows = []
    for number in range(200):
        names = f"{number}.tif", f"{number}_mask.tif"
        for name, source in zip(names, ("0.tif", "0_mask.tif"), strict=True):
            shutil.copy(data / source, folder / name)
        rows.append((*names, "test" if number else "train"))
    shutil.copy(data / "classes.csv", folder)
    return write_manifest(folder / "manifest.csv", *rows)


def test_predict_goes_on_where_it_was_stopped(model, image, tmp_path):
    wanted, out = tmp_path / "wanted" / "mask.tif", tmp_path / "out" / "mask.tif"
    for path in (wanted, out):
        path.parent.mkdir()
    command = ("predict", image, "-m", model, "--scene", 128, "-o")
    finished(*command, wanted)

    process = start(*command, out)
    assert process.stdout.readline().startswith("memory:")
    while not any(out.parent.glob("mask.tif.parts/*/000003")):
        assert process.poll() is None
        time.sleep(0.002)
    press(process)
    lines, said = stopped(process)
    kept = len(list(out.parent.glob("mask.tif.parts/*/" + 6 * "[0-9]")))
    there = {path.name for path in out.parent.iterdir()}
    again, _ = finished(*command, out)

    assert lines == [GOES_ON]
    assert "wrote" not in said
    assert kept >= 4
    assert there == {"mask.tif.parts", "mask.report.json"}
    assert f"{kept} kept from before" in again
    assert out.read_bytes() == wanted.read_bytes()
    assert {path.name for path in out.parent.iterdir()} == {
        path.name for path in wanted.parent.iterdir()
    }


def test_train_goes_on_where_it_was_stopped(data, tmp_path):
    """Stopped twice: when it has seen an epoch, and when it has just gone on."""
    recipe = write_recipe(data, "often", (3, 2, 1), batch=1, checkpoint_minutes=0)
    finished("train", recipe, "-o", tmp_path / "wanted")

    out = tmp_path / "out"
    for words in ("global epoch 1/3", "goes on after step"):
        process = start("train", recipe, "-o", out)
        assert any(line.startswith(words) for line in process.stdout)
        press(process)
        lines, said = stopped(process)
        assert lines == [GOES_ON]
        assert "the trained model" not in said
    finished("train", recipe, "-o", out)

    weights = [
        {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("model.safetensors")}
        for run in (tmp_path / "wanted", out)
    ]
    assert weights[0] == weights[1]
    assert len(weights[0]) == 7
    assert not list(out.rglob("*.partial"))


def test_train_that_is_terminated_keeps_its_last_step(data, tmp_path):
    """As schedulers do, some seconds before they kill; no checkpoint was due."""
    recipe = write_recipe(data, "terminated", (50, 1, 1), checkpoint_minutes=60)
    process = start("train", recipe, "-o", tmp_path / "out")
    assert any(line.startswith("global epoch 1/50") for line in process.stdout)

    process.terminate()
    said, errors = process.communicate()

    assert process.returncode == 128 + signal.SIGTERM
    assert errors == GOES_ON.replace("interrupted", "terminated") + "\n"
    steps = [int(epoch) for epoch in re.findall(r"epoch (\d+)/50", said)]
    process = start("train", recipe, "-o", tmp_path / "out")
    notes = (re.fullmatch(r"goes on after step (\d+) .*\n", line) for line in process.stdout)
    goes_on = int(next(note for note in notes if note)[1])
    process.kill()
    process.communicate()
    assert goes_on - max([1, *steps]) in (0, 1)  # an epoch is one step; its line may be missing


def test_train_that_forgets_says_what_to_leave_out(data, tmp_path):
    recipe = write_recipe(data, "long", (50, 1, 1), checkpoint_minutes=0)

    process = start("train", recipe, "--restart", "-o", tmp_path / "out")
    assert any(line.startswith("global epoch 1/50") for line in process.stdout)
    press(process)
    lines, _ = stopped(process)

    assert lines == [GOES_ON.replace("; ", "; without --restart ")]


@pytest.mark.parametrize("step", ["masks checked", "images"])
def test_evaluate_writes_nothing(model, many, tmp_path, step):
    targets = ("--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv", "--report", tmp_path)

    last = stopped_at(step, "evaluate", "-m", model, "--manifest", many, *targets)

    assert last == NOTHING
    assert list(tmp_path.iterdir()) == []


def test_init_writes_nothing(many, tmp_path):
    command = ("init", many.parent, "--manifest", many, "--trunk-weights", "none")

    last = stopped_at("images and masks", *command, "-o", tmp_path / "new" / "recipe.yaml")

    assert last == NOTHING
    assert list(tmp_path.iterdir()) == []


def test_export_leaves_the_model_as_it_was(model, tmp_path):
    own = shutil.copytree(model, tmp_path / "model")
    before = files(own)

    last = stopped_at("tracing the graphs", "export", own)

    assert last == NOTHING
    assert files(own) == before


def test_export_of_int8_leaves_the_model_as_it_was(model, image, tmp_path):
    own = shutil.copytree(model, tmp_path / "model")
    before = files(own)

    last = stopped_at("graphs quantised", "export", own, "--int8", image)

    assert last == "glnet: interrupted; no int8 graph was written"
    assert files(own) == before
    assert {path.name for path in own.rglob("*") if path.is_dir()} == {"graphs"}


def test_checking_a_data_set_writes_nothing(tmp_path):
    make_deepglobe(tmp_path, size=(900, 900))
    before = files(tmp_path)

    last = stopped_at("images and masks", "data", "check", tmp_path)

    assert last == NOTHING
    assert files(tmp_path) == before


def test_a_benchmark_goes_on_where_it_was_stopped(data, tmp_path):
    """While another process of it measures: no table, and not a word of that process."""
    recipe = write_recipe(data, "benchmark", (1, 1, 1))
    study = {
        "title": "Stopped", "recipe": yaml.safe_load(recipe.read_text()),
        "entries": [{"name": "one", "settings": {"model": {"branches": "global"}}}],
    }  # fmt: skip
    (data / "study.yaml").write_text(yaml.safe_dump(study))
    out = tmp_path / "out"

    last = stopped_at("measuring a prediction", "benchmark", data / "study.yaml", "-o", out)

    assert last == GOES_ON
    assert not (out / "table.csv").exists()
    assert not [path for path in out.rglob("*") if ".partial" in path.name]
    assert (out / "runs/one/seed-0-fold-0/model").is_dir()


def test_a_terminal_shows_how_far_it_is(model, image, tmp_path):
    """Done and total, the rate, the time that remains, and the memory; then it is gone."""
    command = ("predict", image, "-m", model, "--scene", 128, "-o", tmp_path / "mask.tif")

    with watched(*command) as (process, shown):
        seen = "".join(shown)
        out = process.stdout.read()

    assert process.wait() == 0
    last = r"scenes ━+ (\d+)/(\d+) [\d.]+/s, \d+:\d\d left, [\d.]+[MG]iB"
    bars = re.findall(last, CONTROL.sub("", seen))
    assert bars
    assert bars[-1][0] == bars[-1][1] == "49"
    # What goes into a pipe is there, and nowhere else.
    assert out.startswith("memory:")
    assert "memory:" not in seen


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_pipe_gets_no_control_characters(model, image, many, tmp_path, command):
    given = {
        "predict": (image, "--scene", 128, "-o", tmp_path / "mask.tif"),
        "evaluate": ("--manifest", many, "--split", "train"),
    }[command]

    out, errors = finished(command, *given, "-m", model)

    assert errors == ""
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out)


def test_every_image_is_told_of_where_nobody_watches(model, many, glnet, monkeypatch):
    """With no time between two lines each has one: how many of how many, and the pace."""
    monkeypatch.setattr("glnet.cli.progress._EVERY", 0.0)
    rows = list(csv.reader(many.read_text().splitlines()))
    few = write_manifest(many.with_name("few.csv"), *rows[1:4])

    status, lines = glnet("evaluate", "-m", model, "--manifest", few, "--split", "test")

    assert status == 0
    shape = r"images: 2 of 2, \S+/s, 0:00 left, [\d.]+[MG]iB"
    assert len([line for line in lines if re.fullmatch(shape, line)]) == 1
