"""Do the borders between scenes show? Label changes across them against those inside.

    python benchmarks/seams.py OUT.md MODEL IMAGE [--scene PX] [--halos 0,0.0625,0.125]

Of all pairs of neighbouring pixels the share whose labels differ is counted twice: pairs across a
border of two cores, and pairs inside cores. The same ground without seams would give about 1 for
their ratio; a halo is wide enough where it does not exceed 1.1.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from facts import header
from glnet.bundle import read_config
from glnet.engines.loading import load_engine
from glnet.geometry import Size
from glnet.mosaic import best_class
from glnet.prediction.blending import compose
from glnet.prediction.computing import score_parts
from glnet.prediction.opening import Opened, open_source
from glnet.prediction.options import PredictOptions

_MEMORY = 4 << 30


def labels_of(opened: Opened, model: Path) -> np.ndarray:
    """The class ids of a raster, part by part."""
    engine, _ = load_engine(model, "cpu")
    labels = np.zeros(opened.size, np.uint8)
    scored = score_parts(opened, engine, engine.settings.views[0], opened.parts, tta=False)
    for found in compose(opened.plan, opened.parts, {}, scored, tolerant=False):
        labels[found.part.core.slices] = best_class(found.read(found.part.core))
    return labels


def seams(labels: np.ndarray, opened: Opened) -> tuple[float, float]:
    """Shares of pairs of neighbours that differ: across borders of cores, and inside cores."""
    tops = sorted({part.core.top for part in opened.parts} - {0})
    lefts = sorted({part.core.left for part in opened.parts} - {0})
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    rows, columns = np.array(tops, int) - 1, np.array(lefts, int) - 1
    across = np.concatenate([down[rows].ravel(), right[:, columns].ravel()])
    inside = np.delete(down, rows, axis=0).sum() + np.delete(right, columns, axis=1).sum()
    pairs = down.size + right.size - across.size
    return float(across.mean()), float(inside / pairs)


def main() -> None:
    """Measure every halo; the table is written after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--scene", type=int)
    parser.add_argument("--halos", default="0,0.03125,0.0625,0.125,0.1875")
    arguments = parser.parse_args()
    lines = ["| halo | scenes | across | inside | ratio | s |", "|---|---|---|---|---|---|"]
    for halo in map(float, arguments.halos.split(",")):
        options = PredictOptions(scene=arguments.scene, halo=halo)
        began = time.perf_counter()
        config = read_config(arguments.model)
        with open_source(arguments.image, config, options, _MEMORY) as opened:
            across, inside = seams(labels_of(opened, arguments.model), opened)
            scene: Size = opened.parts[0].scene.size
        lines.append(
            f"| {halo:.1%} of {max(scene)} px | {len(opened.parts)} | {across:.3%} | {inside:.3%} "
            f"| {across / inside:.2f} | {time.perf_counter() - began:.0f} |"
        )
        print(lines[-1], flush=True)
        text = "\n".join([header("Seams between scenes", "cpu"), *lines])
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
