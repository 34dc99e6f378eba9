"""How far each engine's scores lie from the plain network's at fp32.

    python benchmarks/agreement.py [--image FILE | --size 2448x2448] [--engines torch:fp32,...]

For every view: the largest difference of scores as a share of plain's largest, and the share of
pixels of one label. The paper's network with random weights, or `--model FOLDER`.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from facts import header
from glnet.benchmark.process import decode
from glnet.engines.loading import load_engine
from glnet.errors import GlnetError
from glnet.mosaic import ScoreMap
from glnet.recipe import View
from glnet.scenes import Decoded
from paper_network import as_engines, as_size, calibrate, make_model, write_image
from prediction_table import REFERENCE, table

ENGINES = {
    "cpu": ["torch:fp32", "openvino:fp32", "openvino:bf16"],
    "cuda": ["torch:fp32", "plain:bf16", "torch:bf16", "plain:fp16", "torch:fp16"],
}


def main(arguments: argparse.Namespace) -> None:
    """Compute and print."""
    device: str = arguments.device
    engines: list[str] = arguments.engines or ENGINES[device.partition(":")[0]]
    rows = [("engine", "view", "largest difference", "equal labels")]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = arguments.model or make_model(folder / "model", small=arguments.small)
        image = arguments.image or write_image(folder / "image.tif", arguments.size)
        calibrate(model, image, engines)
        plain, _ = load_engine(model, device, "fp32", "plain")
        scene = decode(image, plain.settings)
        expected = plain.segment(scene, plain.settings.views).views
        del plain
        for name in engines:
            rows += compare(model, scene, name, device, expected)
    height, width = scene.size
    head = header("Agreement of engines", device)
    text = f"{REFERENCE} against each engine, one image of {height} x {width} px."
    report = f"{head}\n{text}\n\n{table(rows)}\n"
    print(report)
    if arguments.out:
        arguments.out.write_text(report, encoding="utf-8")


def compare(
    model: Path, scene: Decoded, name: str, device: str, expected: dict[View, ScoreMap]
) -> list[tuple[str, ...]]:
    """Rows of one engine; one that says why, where it cannot run."""
    kind, precision = name.split(":")
    try:
        engine, _ = load_engine(model, "cpu" if kind == "openvino" else device, precision, kind)
        found = engine.segment(scene, list(expected)).views
    except (GlnetError, RuntimeError, MemoryError) as error:
        return [(name, "", " ".join(str(error).split())[:200], "")]
    return [
        (name, view, f"{difference(plain, found[view]):.1e}", f"{equal(plain, found[view]):.4%}")
        for view, plain in expected.items()
    ]


def difference(plain: ScoreMap, other: ScoreMap) -> float:
    """The largest between their cells: enlarging to pixels is linear and makes it no larger."""
    cells, others = (on_host(scores.cells) for scores in (plain, other))
    return float(np.abs(cells - others).max() / np.abs(cells).max())


def equal(plain: ScoreMap, other: ScoreMap) -> float:
    """The share of pixels of one label."""
    return float((plain.labels() == other.labels()).mean())


def on_host(cells: object) -> np.ndarray:
    """An array of any kind as NumPy's."""
    return np.asarray(cells.cpu() if hasattr(cells, "cpu") else cells)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path)
    parser.add_argument("--size", type=as_size, default=as_size("2448x2448"))
    parser.add_argument("--engines", type=as_engines, help="torch:fp32,...")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--model", type=Path, help="a model folder; default: made anew")
    parser.add_argument("--small", action="store_true", help="a small network, to try the script")
    parser.add_argument("-o", "--out", type=Path)
    main(parser.parse_args())
