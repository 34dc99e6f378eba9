"""A folder of images by one process, by several, and by workers of Ray; what a million would take.

    python benchmarks/scaling.py OUT.md WORK [--images 8] [--side 1500]

Every process has one thread. Besides, what grows with the number of scenes or images is timed or
counted by itself: looking at a header, dealing a task, what a scene asks of the file system (by
strace, where it is installed). From these a table tells what a million scenes on a thousand workers
ask of the driver, the object store and the shared folder.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from facts import header
from glnet.cluster import Cluster, connected
from glnet.prediction.jobs import Job
from glnet.prediction.options import PredictOptions
from glnet.prediction.predictor import Predictor
from glnet.prediction.survey import amount
from large import COLOURS, make_model
from paper_network import as_size, write_image

COMMAND = [sys.executable, "-c", "from glnet.cli import main; main()", "predict"]
SCENE = 512

#: It takes longer than what is around it: ResNet-18, narrow pyramids.
NETWORK_OF = {**COLOURS, "patch": 256, "trunk_options": {}, "width": 32}

#: Calls that a server of files answers one by one.
_ASKED = ("openat", "mkdir", "rename", "unlink", "unlinkat", "rmdir", "fsync", "newfstatat", "stat")

#: What is calculated for, and what is assumed: an ordinary file server, a fast network.
SCENES, WORKERS = 1_000_000, 1_000
SERVER_CALLS, NETWORK = 20_000, 1.25e9


def run(work: Path, name: str, told: list[list[str]], *, again: bool = False) -> float:
    """Commands at once, then one that puts together what they left; seconds in all.

    Args:
        work: Where images and model lie.
        name: Of the outputs' folder.
        told: What each command is told besides.
        again: All is done; what is left are their starts.
    """
    out = work / name
    if not again:
        shutil.rmtree(out, ignore_errors=True)
    images, base = sorted(map(str, (work / "images").iterdir())), ["-m", str(work / "model")]
    command = [*COMMAND, *images, *base, "--out-dir", str(out), "--scene", str(SCENE)]
    quiet = os.environ | {"OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    processes = [
        subprocess.Popen([*command, *more], env=quiet, stdout=subprocess.DEVNULL)  # noqa: S603  our own
        for more in told
    ]
    if any(process.wait() for process in processes):
        raise SystemExit(name)
    if len(told) > 1:
        subprocess.run(command, check=True, env=quiet, stdout=subprocess.DEVNULL)  # noqa: S603
    return time.perf_counter() - began


def header_seconds(work: Path) -> tuple[int, float]:
    """Scenes of all images, and what looking at one of them takes."""
    predictor = Predictor(work / "model", PredictOptions(scene=SCENE))
    jobs = [Job(path, ()) for path in sorted((work / "images").iterdir())]
    amount(predictor, jobs[0])
    began = time.perf_counter()
    found = [amount(predictor, job).scenes for job in jobs]
    return sum(found), (time.perf_counter() - began) / len(jobs)


def task_seconds(count: int = 2000) -> float:
    """What Ray takes to deal a task that does nothing, and to hear of its end."""
    with connected(Cluster("local")) as ray:

        class Idle:
            def nothing(self, told: object) -> None:
                """As it says."""

        workers = [ray.remote(Idle).remote() for _ in range(2)]
        ray.get([worker.nothing.remote(0) for worker in workers])
        began = time.perf_counter()
        running = []
        for number in range(count):
            running.append(workers[number % 2].nothing.remote({"scenes": number}))
            if len(running) >= 2 * len(workers):
                done, running = ray.wait(running, num_returns=1)
                ray.get(done)
        ray.get(running)
        return (time.perf_counter() - began) / count


def calls(work: Path, scenes: int) -> float | None:
    """What a scene asks of the file system in the outputs' folder, by one of two shares."""
    strace, out, log = shutil.which("strace"), work / "traced", work / "strace.txt"
    if strace is None:
        return None
    shutil.rmtree(out, ignore_errors=True)
    images = sorted(map(str, (work / "images").iterdir()))
    subprocess.run(  # noqa: S603  our own
        [strace, "-f", "-y", "-s", "400", "-o", str(log), "-e", f"trace={','.join(_ASKED)}",
         *COMMAND, *images, "-m", str(work / "model"), "--out-dir", str(out),
         "--scene", str(SCENE), "--part", "1/1"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    pattern = re.compile(re.escape(f'"{out}/'))  # by name: of what is open the client knows
    with log.open(errors="replace") as lines:
        return sum(1 for line in lines if pattern.search(line)) / scenes


def million(scene: float, look: float, deal: float, asked: float, cells: float) -> str:
    """What the calculation says, as a table; scenes of 2448 px, seven classes.

    Args:
        scene, look, deal: Seconds for a scene, a header, a task.
        asked: Calls of the file system a scene.
        cells: Bytes of a scene's scores.
    """
    rate = WORKERS / scene
    rows = [
        ("workers", f"{SCENES * scene / WORKERS / 3600:.2f} h", f"{rate:.0f} scenes/s wanted"),
        ("headers, each process all of them", f"{SCENES * look / 3600:.1f} h before it begins",
         "counted once for all: survey.py; by Ray's workers, 64 a task"),
        ("driver, a task a scene", f"{1 / deal:.0f} scenes/s", "one task is up to 16 scenes"),
        ("driver, 16 scenes a task", f"{16 / deal:.0f} scenes/s", ""),
        ("object store to the driver", f"{NETWORK / cells:.0f} scenes/s",
         "only where no folder is shared"),
        ("shared folder, calls", f"{SERVER_CALLS / asked:.0f} scenes/s",
         f"{asked:.0f} calls a scene, {SERVER_CALLS} a second"),
        ("shared folder, bytes", f"{WORKERS * NETWORK / 100 / (2 * cells):.0f} scenes/s",
         "scores written and read once; 1 % of the workers' network"),
    ]  # fmt: skip
    lines = ["| who | how much | why |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def main() -> None:
    """Measure, calculate, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--side", default="1500x1500")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    work = arguments.work
    (work / "images").mkdir(parents=True, exist_ok=True)
    make_model(work / "model", **NETWORK_OF)
    for number in range(arguments.images):
        write_image(work / "images" / f"{number}.tif", as_size(arguments.side))
    scenes, look = header_seconds(work)
    ray = ["--ray", "local", "--threads", "1", "--workers"]
    ways = {
        "one process": [[]],
        "two processes, `--part`": [["--part", "1/2"], ["--part", "2/2"]],
        "Ray, one worker": [[*ray, "1"]],
        "Ray, two workers": [[*ray, "2"]],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for number, (name, told) in enumerate(ways.items()):
            seconds[name].append(run(work, f"out{number}", told))
            print(name, seconds[name][-1], flush=True)
    lines = ["| way | s, each round | s to start | scenes/s, the best, without |", "|" + "---|" * 4]
    for number, (name, each) in enumerate(seconds.items()):
        start = run(work, f"out{number}", ways[name], again=True)
        rounds = ", ".join(f"{one:.1f}" for one in each)
        rate = scenes / (min(each) - start)
        lines.append(f"| {name} | {rounds} | {start:.1f} | {rate:.2f} |")
    deal, asked = task_seconds(), calls(work, scenes) or np.nan
    facts = (
        f"{arguments.images} images, {scenes} scenes of at most {SCENE} px, one thread each. "
        f"A header takes {1000 * look:.1f} ms to look at, a task {1000 * deal:.2f} ms to deal, a "
        f"scene asks {asked:.0f} calls of the outputs' folder."
    )
    cells = 7 * 4 * (2448 / 4) ** 2
    tables = [million(scene, look, deal, asked, cells) for scene in (20.0, 0.5)]
    sections = [header("Scenes shared", "cpu"), *lines, "", facts]
    for scene, table in zip((20.0, 0.5), tables, strict=True):
        sections += ["", f"## A million scenes, a thousand workers, {scene} s a scene", "", table]
    arguments.out.write_text("\n".join(sections) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
