"""What a stopped prediction promises: the next one goes on, and ends as if never stopped."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from glnet.bundle import GRAPHS, weights_digest, write_digest
from glnet.errors import RasterError, RunError
from glnet.outputs.files import partial_of
from glnet.prediction.locks import locked, parts_folder
from glnet.prediction.predict import predict
from interrupting import differences, uninterrupted
from jobs import OLDER, Job
from kills import fill, kill, small_disk
from makers import check_one_line, cut, write_text, write_tif
from networks import exported_tiny, random_scene

SCENE, PARTS, CLASSES = 128, 9, 12


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    names = [f"c{i}" for i in range(CLASSES)]
    return exported_tiny(tmp_path_factory.mktemp("model") / "model", names, patch=SCENE)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    pixels = np.kron(random_scene(36, 35).pixels, np.ones((8, 8), np.uint8))
    return write_tif(tmp_path_factory.mktemp("image") / "image.tif", pixels)


@pytest.fixture(scope="module")
def job(model, image, tmp_path_factory):
    return Job(model, image, tmp_path_factory.mktemp("job") / "out", SCENE, ("--engine=openvino",))


@pytest.fixture(scope="module")
def whole(job):
    found = uninterrupted(job)
    assert found.parts == PARTS
    return found


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_runs_killed_at_random_moments_end_with_the_same_bytes(job, whole):
    """Two kills each while predicting, assembling and verifying, one while files are moved."""
    _, problems = kill(job, whole, np.random.default_rng(7), 2)

    assert problems == []


def test_a_full_disk_is_one_line_and_loses_no_part(job, whole, tmp_path):
    """It fills while parts are written; with room again the run goes on."""
    with contextlib.ExitStack() as stack:
        try:
            disk = stack.enter_context(small_disk(tmp_path / "disk", mib=64))
        except (PermissionError, FileNotFoundError) as error:
            pytest.skip(str(error))
        there = Job(job.model, job.image, disk / "out", job.scene, job.options)
        _, problems = fill(there, whole, np.random.default_rng(1), ["predicting"])

    assert problems == []


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux limits another process")
def test_a_file_that_cannot_be_written_to_its_end_is_one_line(job, whole):
    """Parts fit below the largest size that the system allows, the finished scores do not."""
    job.empty(older=True)
    running = job.start()
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    check_one_line(running.wait(), running.errors, "could not be written", "the disk")
    assert {path.read_bytes() for path in job.outputs} == {OLDER}

    again = job.start()

    assert again.wait() == 0
    assert differences(job, whole) == []
    assert json.loads(job.report.read_text())["reused"] == PARTS


def test_of_two_at_once_one_is_told_who_is_at_work(job, whole):
    """The first is held while the second starts; it is none the worse for it."""
    job.empty()
    first = job.start()
    while first.alive() and not first.said("memory:"):
        time.sleep(0.001)
    os.kill(first.process.pid, signal.SIGSTOP)
    second = job.start()
    status = second.wait()
    os.kill(first.process.pid, signal.SIGCONT)

    check_one_line(status, second.errors, job.outputs[0], f"process {first.process.pid} on ")
    assert first.wait() == 0
    assert differences(job, whole) == []


def run(image, model, out, stop="", **options):
    """Predict in this process; interrupted at the first line that begins so, if asked."""

    def said(line):
        if stop and line.startswith(stop):
            raise KeyboardInterrupt

    made = contextlib.suppress(KeyboardInterrupt) if stop else contextlib.nullcontext()
    with made:
        return predict(image, model, out, scene=SCENE, engine="openvino", said=said, **options)
    return None


@pytest.fixture(scope="module")
def left(image, model, tmp_path_factory):
    """What a run leaves that is stopped when all its parts are there; and what it would give."""
    folder = tmp_path_factory.mktemp("left")
    run(image, model, folder / "wanted.tif")
    out = folder / "out" / "mask.tif"
    out.parent.mkdir()
    run(image, model, out, stop="verifying")
    assert not out.exists()
    return out.parent, (folder / "wanted.tif").read_bytes()


@pytest.fixture
def stopped(left, tmp_path):
    """A copy of that."""
    return shutil.copytree(left[0], tmp_path / "out") / "mask.tif", left[1]


def parts(out):
    return sorted(out.parent.glob(f"{out.name}.parts/*/" + "[0-9]" * 6))


def names(out):
    return sorted(path.name for path in out.parent.iterdir())


def test_an_unchanged_command_goes_on_where_it_was(image, model, stopped):
    out, wanted = stopped

    report = run(image, model, out)

    assert (report.reused, report.computed) == (PARTS, 0)
    assert json.loads((out.parent / "mask.report.json").read_text())["reused"] == PARTS
    assert out.read_bytes() == wanted
    assert names(out) == ["mask.qml", "mask.report.json", "mask.tif"]


def test_parts_that_a_run_left_after_its_last_file_go(image, model, stopped, tmp_path):
    out, _ = stopped
    left = shutil.copytree(parts_folder(out), tmp_path / "left")
    run(image, model, out)
    shutil.copytree(left, parts_folder(out))

    run(image, model, out)

    assert names(out) == ["mask.qml", "mask.report.json", "mask.tif"]


def test_damaged_parts_are_computed_anew(image, model, stopped):
    """Bits that flipped, files that end early, that are empty or gone: never what was written."""
    out, wanted = stopped
    files = [folder / "mask.tif" for folder in parts(out)]
    note = files[0].with_name("note.txt")
    note.write_bytes(note.read_bytes().replace(b"failed", b"gailed"))
    for path, place in zip(files[1:4], (0.3, 0.6, 0.9), strict=True):
        content = bytearray(path.read_bytes())
        content[int(len(content) * place)] ^= 255
        path.write_bytes(content)
    for path, share in zip(files[4:7], (0.0, 0.4, 0.99), strict=True):
        cut(path, share)
    files[7].unlink()

    report = run(image, model, out)

    assert report.reused == PARTS - 8
    assert report.computed >= 8  # and what reaches into them
    assert out.read_bytes() == wanted
    assert names(out) == ["mask.qml", "mask.report.json", "mask.tif"]


def test_what_cannot_take_its_place_is_one_line_and_the_mask_comes_last(image, model, tmp_path):
    """A folder is where the scores go: the mask, which people look for, is not there without."""
    out, scores = tmp_path / "mask.tif", tmp_path / "scores.tif"

    def said(line):
        if line == "verifying mask.tif":
            scores.mkdir()

    with pytest.raises(RasterError, match=r"scores\.tif: could not be written \(.*parts are kept"):
        predict(image, model, out, scene=SCENE, engine="openvino", said=said, scores=scores)
    assert not out.exists()
    scores.rmdir()

    assert run(image, model, out, scores=scores).reused == PARTS


def test_a_mask_that_is_not_what_was_computed_is_refused(image, model, tmp_path):
    """It has not taken its place, and is made again of the parts."""
    out = tmp_path / "mask.tif"

    def said(line):
        if line == "verifying mask.tif":
            path = next(parts_folder(out).glob("*/finished/mask.tif"))
            write_tif(path, np.full((1, 288, 280), CLASSES - 1, np.uint8))

    with pytest.raises(RasterError, match=r"mask\.tif: could not be written \(.*parts are kept"):
        predict(image, model, out, scene=SCENE, engine="openvino", said=said)
    assert not out.exists()

    assert run(image, model, out).reused == PARTS


@pytest.mark.parametrize("changed", ["model", "image", "view", "scores"])
def test_another_command_finds_no_parts(image, model, stopped, tmp_path, changed):
    """Not one of another model, image or setting is used, and all are gone when it is done."""
    out, _ = stopped
    options = {}
    if changed == "model":
        model = shutil.copytree(model, tmp_path / "other")
        weights = bytearray((model / "model.safetensors").read_bytes())
        weights[-1] ^= 1
        (model / "model.safetensors").write_bytes(weights)
        write_digest(model / GRAPHS, str(weights_digest(model)))
    elif changed == "image":
        image = shutil.copy(image, tmp_path / "image.tif")  # the copy's time is another one
    else:
        told = {"view": "global", "scores": out.with_name("scores.tif")}
        options = {changed: told[changed]}

    report = run(image, model, out, **options)

    assert (report.reused, report.computed) == (0, PARTS)
    files = {Path(path).name for path in report.outputs}
    assert names(out) == sorted({"mask.report.json", *files})


def test_a_stopped_run_needs_no_more_room_than_it_did(image, model, tmp_path, monkeypatch):
    """A disk that was large enough is so still, full of parts as it is; others are refused."""
    out, options = tmp_path / "mask.tif", {"scores": tmp_path / "scores.tif"}
    run(image, model, out, stop="assembling", **options)
    room = 2 * 288 * 280 * CLASSES * 4
    kept = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, room - kept // 2)
    )

    with pytest.raises(RasterError, match=r"needs about .* on that disk"):
        run(image, model, tmp_path / "other.tif", scores=tmp_path / "more.tif")
    report = run(image, model, out, **options)

    assert report.reused == PARTS


def test_a_folder_that_cannot_be_written_is_one_line(glnet, image, model, tmp_path):
    folder = tmp_path / "folder"
    with contextlib.ExitStack() as stack:
        if os.geteuid() == 0:  # whom permissions do not stop
            try:
                stack.enter_context(small_disk(folder, mib=1))
            except PermissionError as error:
                pytest.skip(str(error))
            subprocess.run(["mount", "-o", "remount,ro", folder], check=True)  # noqa: S607
        else:
            folder.mkdir(mode=0o555)

        status, lines = glnet("predict", image, "-m", model, "-o", folder / "mask.tif")

        check_one_line(status, lines, folder / "mask.tif", "cannot be written there")


def test_a_file_being_written_is_not_touched_by_another_command(image, model, tmp_path):
    """It looks whether it could write there, and leaves what it finds."""
    out = tmp_path / "mask.tif"
    partial_of(out).write_bytes(b"half")

    with locked(out), pytest.raises(RunError, match=f"being written by process {os.getpid()} on"):
        run(image, model, out)

    assert partial_of(out).read_bytes() == b"half"


def test_a_folder_named_like_the_parts_is_nobodys_to_remove(image, model, tmp_path):
    """With all that lies in it, a finished mask would take it along."""
    out = tmp_path / "mask.tif"
    parts_folder(out).mkdir()
    kept = write_text(parts_folder(out) / "notes.txt", "mine")

    with pytest.raises(RasterError, match=rf"^{parts_folder(out)}: .*holds other files; move it"):
        run(image, model, out)

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


def test_a_lock_is_held_once_though_its_folder_comes_and_goes(tmp_path):
    """Many take it in turns: nobody is refused for what the one before took along."""
    out, failures = tmp_path / "mask.tif", []

    def work():
        done = 0
        while done < 40 and not failures:
            with contextlib.suppress(RunError):
                try:
                    with locked(out):
                        with (tmp_path / "busy").open("x"):
                            done += 1
                        (tmp_path / "busy").unlink()
                except (OSError, RasterError) as error:
                    failures.append(error)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert list(tmp_path.iterdir()) == []
