"""Scenes as tasks of a real Ray cluster: the same bytes as on one machine, whoever is lost."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from batches import COMMAND, scenes, start, written
from glnet.cluster import Cluster
from glnet.errors import RunError
from glnet.prediction.predict import predict
from glnet.recipe import load_recipe
from glnet.training.loop import train
from networks import exported_tiny
from runs import write_data, write_recipe

SCENE = 96
IMAGES = {"long": (96, 1200), "small": (64, 64), "square": (264, 264)}
BASH = "/bin/bash"
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
RAY = Path(sys.executable).with_name("ray")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return scenes(tmp_path_factory.mktemp("images"), IMAGES)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported_tiny(tmp_path_factory.mktemp("model") / "model", ["a", "b", "c"], patch=64)


@pytest.fixture(scope="module")
def alone(images, model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    for image in images:
        predict(image, model, folder / image.name, scene=SCENE)
    return written(folder)


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster of this machine; it is not anybody else's who tests here."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--block"]
    with subprocess.Popen(
        [RAY, "start", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | QUIET,
    ) as head:  # fmt: skip
        while head.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
        head.terminate()


def workers():
    """Of Ray, as the system lists processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::Worker"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(
    not Path("/proc/self/cmdline").exists(), reason="workers are found as Linux has them"
)
def test_two_workers_one_of_them_killed_in_the_middle_give_the_same_files(
    images, model, alone, tmp_path
):
    there = set(workers())
    process = start(
        *images, "-m", model, "--out-dir", tmp_path, "--scene", SCENE,
        "--ray", "local", "--workers", 2, "--threads", 1,
    )  # fmt: skip
    while process.poll() is None and not list(tmp_path.glob("*.parts/*/*/note.txt")):
        time.sleep(0.01)
    killed = sorted(set(workers()) - there)
    os.kill(killed[0], signal.SIGKILL)

    lines, errors = process.communicate()

    assert process.returncode == 0, errors
    assert len(killed) == 2
    assert written(tmp_path) == alone
    assert "2 workers of 1 thread, OpenVINO" in lines
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.skipif(sys.platform != "linux", reason="folders are hidden as Linux can")
def test_without_a_shared_folder_scores_come_back_by_the_object_store(
    images, model, alone, tmp_path, cluster
):
    """The command sees another folder by the outputs' name than the workers do."""
    hidden, kept = tmp_path / "hidden", tmp_path / "kept"
    hidden.mkdir()
    kept.mkdir()
    hide = shutil.which("unshare")
    if not hide or subprocess.run([hide, "--mount", "true"], check=False).returncode:
        pytest.skip("this user may not hide a folder from other processes")
    script = 'mount -t tmpfs none "$1"; "${@:3}" && cp "$1"/* "$2"'
    arguments = [*images, "-m", model, "--out-dir", hidden, "--scene", SCENE, "--ray", cluster]
    arguments += ["--workers", "2", "--threads", "1"]
    done = subprocess.run(
        [hide, "--mount", BASH, "-c", script, "bash", hidden, kept,
         sys.executable, "-c", COMMAND, "predict", *map(str, arguments)],
        check=False, capture_output=True, text=True, env=os.environ | QUIET,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "scores come back to here" in done.stdout
    assert written(kept) == alone
    assert not list(hidden.iterdir())


def test_a_cluster_that_nobody_runs_is_one_line(images, model, tmp_path):
    with pytest.raises(RunError, match=r"--ray 127.0.0.1:1: cannot be reached"):
        predict(images[0], model, tmp_path / "m.tif", cluster=Cluster("127.0.0.1:1"))

    assert not list(tmp_path.iterdir())


def test_a_share_of_a_share_is_refused(images, model, tmp_path):
    with pytest.raises(RunError, match="choose one"):
        predict(images[0], model, tmp_path / "m.tif", cluster=Cluster("local"), part="1/2")


def test_without_ray_the_extra_is_named(images, model, tmp_path):
    script = f"import sys; sys.modules['ray'] = None; {COMMAND}"
    arguments = ["predict", images[0], "-m", model, "-o", tmp_path / "m.tif", "--ray", "local"]

    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], check=False, capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stderr.startswith("glnet: --ray: this needs: pip install 'ray")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_recipes_are_trained_side_by_side_to_the_weights_that_one_alone_has(tmp_path, cluster):
    """One of them cannot be: it is told at the end, and the others are there."""
    data = write_data(tmp_path / "data")
    small = {"epochs": (1, 1, 1), "model": {"branches": "global"}, "device": "cpu"}
    for seed, name in enumerate(("one", "two")):
        write_recipe(data, name, seed=seed, **small)
    write_recipe(data, "bad", classes="none.csv", **small)
    for record in train(load_recipe(data / "two.yaml"), tmp_path / "alone"):
        assert record

    recipes = [data / f"{name}.yaml" for name in ("one", "bad", "two")]
    arguments = ["train", *map(str, recipes), "--ray", cluster, "--workers", "2", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments], cwd=tmp_path, check=False,
        capture_output=True, text=True, env=os.environ | QUIET,
    )  # fmt: skip

    assert done.returncode == 1
    assert [line[:11] for line in done.stderr.splitlines()[-1:]] == ["glnet: bad:"]
    assert sorted(line.split(":")[0] for line in done.stdout.splitlines()) == ["one", "two"]
    weights = "model/model.safetensors"
    alone = (tmp_path / "alone" / weights).read_bytes()
    assert (tmp_path / "runs/two" / weights).read_bytes() == alone
    assert (tmp_path / "runs/one" / weights).read_bytes() != alone
