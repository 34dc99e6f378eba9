"""Time and memory of predictions: the plain network, and the folded one in torch and OpenVINO.

    python benchmarks/predict.py [--sizes 2448x2448 ...] [--engines plain:fp32 ...] [-o FILE]

The paper's network with random weights, on textures; `--small` tries the script in a minute, on a
small size. Rounds are interleaved, and every measurement has a process of its own. What is measured
goes to stderr as it comes, a Markdown record to stdout at the end; with -o, to a file too, after
every round.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from counting import Work, count_work, matrix_peak
from facts import header
from glnet.geometry import Size
from paper_network import as_engines, as_size, calibrate, make_model, write_image
from prediction_cost import Cost
from prediction_table import EXPLAINED, REFERENCE, Rounds, size_section

SIZES = ["2448x2448", "5000x5000", "4499x6748"]
ENGINES = {
    "cpu": [REFERENCE, "torch:fp32", "openvino:fp32", "openvino:bf16"],
    "cuda": [REFERENCE, "torch:fp32", "plain:bf16", "torch:bf16", "plain:fp16", "torch:fp16"],
}
_COST = Path(__file__).with_name("prediction_cost.py")
_COMMAND = "from glnet.cli import main; main()"


def main(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    sizes: list[Size] = arguments.sizes
    device: str = arguments.device
    engines: list[str] = arguments.engines or ENGINES[device.partition(":")[0]]
    rows = {size: {engine: Rounds() for engine in engines} for size in sizes}
    peaks = dict.fromkeys((engine.split(":")[1] for engine in engines), 0.0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = arguments.model or make_model(folder / "model", small=arguments.small)
        images = {size: write_image(folder / f"{size}.tif", size) for size in sizes}
        calibrate(model, next(iter(images.values())), engines)
        work = {size: {e: count_work(model, e, size) for e in ("plain", "torch")} for size in sizes}
        for number in range(arguments.rounds):
            for size in sizes:
                for engine, row in rows[size].items():
                    if not row.failure:
                        told = [str(model), str(images[size]), *engine.split(":"), device]
                        run(row, number, told, arguments.passes)
                        _log(size, engine, number, row)
            for precision in _measured(rows):
                peaks[precision] = max(peaks[precision], matrix_peak(device, precision))
            text = report(device, rows, work, peaks)
            if arguments.out:
                arguments.out.write_text(text, encoding="utf-8")
    print(text)


def run(row: Rounds, number: int, told: list[str], passes: int) -> None:
    """One round of one engine on one image; a failure is kept as a line.

    Args:
        row: To be filled.
        number: Of the round.
        told: Model, image, engine, precision, device.
        passes: Forward passes.
    """
    done = subprocess.run(  # noqa: S603  our own interpreter and script
        [sys.executable, str(_COST), *told, str(passes)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        row.failure = _reason(done.returncode, done.stderr)
        return
    cost = Cost(**json.loads(done.stdout.splitlines()[-1]))
    model, image, engine, precision, device = told
    options = ["--engine", engine, "--precision", precision, "--device", device]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
        out = str(Path(folder) / "mask.tif")
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603  what the glnet command runs
            [sys.executable, "-c", _COMMAND, "predict", image, "-m", model, "-o", out, *options],
            stdout=said, stderr=said,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            row.failure = _reason(process.returncode, said.read().decode())
            return
    row.costs[number] = cost
    row.wall.append(wall)
    row.cpu.append(usage.ru_utime + usage.ru_stime)


def _reason(status: int, said: str) -> str:
    """Why a process failed: its last words, without the exception's name."""
    if status < 0:
        return f"killed by signal {-status}"
    last = (said.strip().splitlines() or [f"status {status}"])[-1]
    return last.partition("Error: ")[2] or last


def _log(size: Size, engine: str, number: int, row: Rounds) -> None:
    what = {"size": size, "engine": engine, "round": number + 1}
    if row.failure:
        what["failure"] = row.failure
    else:
        what |= asdict(row.costs[number]) | {"wall": row.wall[-1], "cpu": row.cpu[-1]}
    print(json.dumps(what), file=sys.stderr, flush=True)


def _measured(rows: dict[Size, dict[str, Rounds]]) -> list[str]:
    """Precisions that some engine has: without the arithmetic a matrix product takes minutes.

    None of int8, for which torch has no product to compare with.
    """
    found = (e.split(":")[1] for some in rows.values() for e, row in some.items() if row.costs)
    return [name for name in dict.fromkeys(found) if name != "int8"]


def report(
    device: str,
    rows: dict[Size, dict[str, Rounds]],
    work: dict[Size, dict[str, Work]],
    peaks: dict[str, float],
) -> str:
    """The record, as far as it is measured."""
    measured = ", ".join(f"{name} {value:.0f}" for name, value in peaks.items() if value)
    sections = [size_section(size, rows[size], work[size], peaks) for size in rows]
    head = header("Time and memory of predictions", device)
    text = EXPLAINED.format(reference=REFERENCE)
    peak = f"Matrix products, GMAC/s: {measured or 'none'}."
    return "\n\n".join([head.rstrip(), f"{text}{peak}", *sections]) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=as_size, nargs="+", default=[as_size(s) for s in SIZES])
    parser.add_argument("--engines", type=as_engines, help="plain:fp32,...")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--passes", type=int, default=1, help="forward passes; the best counts")
    parser.add_argument("--model", type=Path, help="a model folder; default: made anew")
    parser.add_argument("--small", action="store_true", help="a small network, to try the script")
    parser.add_argument("-o", "--out", type=Path)
    main(parser.parse_args())
