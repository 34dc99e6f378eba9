"""Predictions that are stopped: killed, on a full disk, two at once; do they end as all others?

    python benchmarks/kills.py [--kills 16] [--disk] [--two] [--only-those] [-o FILE]

A small network with random weights and a texture that is cut into some tens of parts. Moments are
drawn by a seed, in stages that are told by what `glnet predict` prints and by the files on the
disk. Full disks are small ones in memory (tmpfs), and mounting needs root. Prints a Markdown
record; the status is 1 if anything was not as it should be.
"""

import argparse
import contextlib
import errno
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from facts import header
from interrupting import Moments, Story, Whole, differences, uninterrupted
from jobs import STAGES, Job
from paper_network import as_size, make_model, write_image

#: Kills of one raster, by stage.
_EACH = {"predicting": 4, "assembling": 4, "verifying": 4, "publishing": 2}

#: A full disk, by where the run is when it fills.
_FILLED = ("starting", *["predicting"] * 3, *["assembling"] * 3)
_DISK_MIB = 256

#: Two at once: the second starts with the first, or while that is at its last steps.
_PAIRS = (*["starting"] * 3, *["verifying"] * 3)


def main(arguments: argparse.Namespace) -> int:
    """Run, and print; the status."""
    random = np.random.default_rng(arguments.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = arguments.model or make_model(folder / "model", small=True)
        image = write_image(folder / "image.tif", arguments.size)
        job = Job(model, image, folder / "out", arguments.scene, ("--engine", "openvino"))
        whole = uninterrupted(job)
        height, width = arguments.size
        sections = [header("Predictions that are stopped", "cpu") + _about(height, width, whole)]
        problems: list[str] = []
        if not arguments.only_those:
            problems += _add(sections, kill(job, whole, random, arguments.kills))
        if arguments.disk:
            with small_disk(folder / "disk") as disk:
                problems += _add(sections, fill(replace(job, folder=disk / "out"), whole, random))
        if arguments.two:
            problems += _add(sections, pair(job, whole, random))
    verdict = "\n".join(f"- {problem}" for problem in problems) or "All as it should be."
    text = "\n".join([*sections, verdict])
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    return 1 if problems else 0


def _add(sections: list[str], found: tuple[str, list[str]]) -> list[str]:
    sections.append(found[0])
    return found[1]


def _about(height: int, width: int, whole: Whole) -> str:
    steps = ", ".join(f"{line} {seconds:.1f} s" for line, seconds in whole.steps.items())
    return (
        f"\n{height} x {width} px in {whole.parts} parts of {whole.part:.2f} s; uninterrupted: "
        f"{steps}, moving and removing {whole.publishing:.2f} s.\n"
    )


def kill(job: Job, whole: Whole, random: np.random.Generator, wanted: int) -> tuple[str, list[str]]:
    """Kill runs of a raster until every stage was hit often enough: a table, and problems.

    Args:
        job: The prediction.
        whole: What it comes to.
        random: Draws the moments.
        wanted: Kills in each stage; half of them while files are moved.
    """
    moments = Moments(job, whole, random)
    aims = {stage: wanted // (2 if stage == "publishing" else 1) for stage in STAGES}
    total, stories = dict.fromkeys(STAGES, 0), list[Story]()
    while any(total[stage] < aims[stage] for stage in STAGES):
        story = Story(job, whole, older=len(stories) % 2 == 1)
        job.empty(older=story.older)
        aimed = [s for s in STAGES for _ in range(min(_EACH[s], aims[s] - total[s]))]
        if all(story.killed(moments, stage) for stage in aimed):
            story.finish()
        for stage, count in story.kills.items():
            total[stage] += count
        stories.append(story)
        print(story.kills, story.problems, file=sys.stderr, flush=True)
    rows = [_row(number, story) for number, story in enumerate(stories, start=1)]
    starts, computed = (sum(getattr(s, n) for s in stories) for n in ("starts", "computed"))
    counts = " | ".join(str(total[stage]) for stage in STAGES)
    identical = _yes(not any(story.problems for story in stories))
    last = f"| all | | {counts} | {starts} | {computed} | | {identical} |"
    head = (
        f"## {sum(total.values())} kills\n\n"
        f"| raster | older outputs | {' | '.join(STAGES)} | starts | parts computed | "
        "found by the last start | identical, nothing left |\n" + 10 * "|---" + "|"
    )
    return "\n".join([head, *rows, last, ""]), [p for story in stories for p in story.problems]


def _row(number: int, story: Story) -> str:
    counts = " | ".join(str(story.kills[stage]) for stage in STAGES)
    older, sound = _yes(story.older), _yes(not story.problems)
    parts = f"{story.starts} | {story.computed} of {story.whole.parts} | {story.reused}"
    return f"| {number} | {older} | {counts} | {parts} | {sound} |"


@contextlib.contextmanager
def small_disk(folder: Path, mib: int = _DISK_MIB) -> Iterator[Path]:
    """A disk in memory.

    Raises:
        PermissionError: it cannot be mounted.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        msg = f"a tmpfs cannot be mounted, which needs root ({done.stderr.strip()})"
        raise PermissionError(msg)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607


def ballast(path: Path) -> Path:
    """A file that takes what room a disk has."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return path


def fill(
    job: Job, whole: Whole, random: np.random.Generator, stages: Sequence[str] = _FILLED
) -> tuple[str, list[str]]:
    """Fill the disk under a run at random moments, then make room: a table, and problems.

    Args:
        job: The prediction, on a disk of its own.
        whole: What it comes to.
        random: Draws the moments.
        stages: Where the run is when the disk fills; any other word: not yet started.
    """
    moments = Moments(job, whole, random)
    rows, problems = [], list[str]()
    waiting = list(stages)
    while waiting:
        stage = waiting.pop(0)
        story = Story(job, whole, older=len(rows) % 2 == 1)
        job.empty(older=story.older)
        began = job.places()
        if stage in STAGES:
            running = job.start()
            moments.reach(running, stage, began)
            filled = ballast(job.folder / "ballast")
        else:
            filled = ballast(job.folder / "ballast")
            running = job.start()
        status, lines = running.wait(), running.errors
        if status == 0 and not lines:  # all was written before the disk was full
            filled.unlink()
            waiting.insert(0, stage)
            continue
        if status != 1 or len(lines) != 1:
            story.problems.append(f"disk full while {stage}: status {status}, {lines}")
        story.moved = job.places() != began
        story.stopped()
        filled.unlink()
        kept = len(job.parts())
        story.finish()
        problems += story.problems
        said = lines[0].replace(f"{job.folder}/", "") if lines else ""
        sound = _yes(not story.problems)
        rows.append(f"| {stage} | {status} | {said} | {kept} | {story.reused} | {sound} |")
        print(rows[-1], file=sys.stderr, flush=True)
    head = (
        "## Full disks\n\n| filled while | status | line | parts kept | used again | identical |\n"
        "|---|---|---|---|---|---|"
    )
    return "\n".join([head, *rows, ""]), problems


def pair(job: Job, whole: Whole, random: np.random.Generator) -> tuple[str, list[str]]:
    """Start a job twice: a table, and problems."""
    moments = Moments(job, whole, random)
    rows, problems = [], list[str]()
    for stage in _PAIRS:
        job.empty()
        first, began = job.start(), job.places()
        if stage in STAGES:
            moments.reach(first, stage, began)
        both = [first, job.start()]
        statuses = [running.wait() for running in both]
        lines = [line for running in both for line in running.errors]
        found = differences(job, whole)
        refused = [r for r, status in zip(both, statuses, strict=True) if status]
        other = both[0] if refused == both[1:] else both[1]
        told = f"is being written by process {other.process.pid} on "
        sound = not refused or (len(refused) == 1 and len(lines) == 1 and told in lines[0])
        if not sound:
            found.append(f"statuses {statuses}, {lines}")
        problems += found
        outcome = "one was refused" if refused else "one after the other"
        rows.append(f"| {stage} | {statuses} | {outcome} | {_yes(not found)} |")
        print(rows[-1], lines, file=sys.stderr, flush=True)
    head = (
        "## Two at once\n\n| second started while the first is | statuses | outcome | identical |\n"
        "|---|---|---|---|"
    )
    return "\n".join([head, *rows, ""]), problems


def _yes(what: bool) -> str:
    return "yes" if what else "no"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=16, help="in each stage")
    parser.add_argument("--disk", action="store_true", help="full disks too; needs root")
    parser.add_argument("--two", action="store_true", help="two at once too")
    parser.add_argument("--only-those", action="store_true", help="no kills")
    parser.add_argument("--size", type=as_size, default=as_size("768x768"))
    parser.add_argument("--scene", type=int, default=192, help="longest side of a scene in px")
    parser.add_argument("--model", type=Path, help="a model folder; default: made anew")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", type=Path)
    sys.exit(main(parser.parse_args()))
