"""Rasters far larger than memory, under a limit that the operating system enforces.

    python benchmarks/large.py OUT.md WORK [--sides 5000,100000] [--raster FILE] [--branches global]

Makes sparse GeoTIFFs (every pixel counts, none is stored) and predicts each in a process that may
allocate no more than 2 GiB beyond what importing took (RLIMIT_DATA, Linux). The network is small:
what is measured is reading, cutting, writing, assembling and verifying. A raster of one's own, of
one band of bytes, may be measured beside them.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import rasterio
from rasterio.transform import Affine

from facts import header
from glnet.recipe import ModelSettings

LIMIT = 2 << 30
PARTS = ("network", "assembling", "verifying")
CLASSES = 4
SETTINGS = {
    "trunk": "resnet18",
    "trunk_options": {"channels": [4, 8, 16, 16], "layers": [1, 1, 1, 1]},
    "width": 4,
    "thumbnail": 256,
    "patch": 1024,
    "overlap": 32,
    "bands": 1,
    "input": {"mean": [0.5], "deviation": [0.25]},
}

#: Predicts in a process whose memory is limited once everything is imported.
LIMITED = """
import json, re, resource, sys
from pathlib import Path
import glnet.engines.openvino_engine
from glnet.prediction.predict import predict
held = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
limit = held + int(sys.argv[4])
began = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
report = predict(*sys.argv[1:4], device="cpu", engine="openvino", said=lambda line: None)
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps(report.as_dict() | {"cpu": used.ru_utime + used.ru_stime - began}))
"""


#: Of a network for colours in the place of one band.
COLOURS = {"bands": 3, "input": {"mean": [0.5] * 3, "deviation": [0.25] * 3}}


def make_model(folder: Path, classes: int = CLASSES, **changes: object) -> Path:
    """A small random network with graphs; changes are of `SETTINGS`."""
    import torch  # noqa: PLC0415  the children do without

    from glnet.datasets.classes import ClassInfo, ClassTable, default_colour  # noqa: PLC0415
    from glnet.engines.export import export_graphs  # noqa: PLC0415
    from glnet.engines.models import save_model  # noqa: PLC0415
    from glnet.model import build_glnet  # noqa: PLC0415

    torch.manual_seed(0)
    rows = (ClassInfo(f"class {i}", i, default_colour(i)) for i in range(classes))
    model = build_glnet(ModelSettings.model_validate(SETTINGS | changes), classes).eval()
    save_model(folder, model, ClassTable(tuple(rows)), "Random weights, seed 0.")
    export_graphs(folder)
    return folder


def make_sparse(path: Path, side: int) -> Path:
    """A square raster of zeros, without nodata, that holds no block."""
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=1, dtype="uint8", tiled=True,
        blockxsize=512, blockysize=512, compress="deflate", SPARSE_OK=True, BIGTIFF="YES",
        crs="EPSG:32640", transform=Affine(1, 0, 0, 0, -1, side),
    ):  # fmt: skip
        return path


def measure(image: Path, model: Path, out: Path, limit: int = LIMIT) -> dict:
    """Predict in a limited process; its report.

    Raises:
        subprocess.CalledProcessError: it failed; what it said went to stderr.
    """
    done = subprocess.run(  # noqa: S603  our own code
        [sys.executable, "-c", LIMITED, image, model, out, str(limit)],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def row(name: str, report: dict) -> str:
    """A line of the table."""
    height, width = report["size"]
    megapixels, seconds = height * width / 1e6, report["seconds"]
    total = sum(seconds.values())
    cells = [
        name, f"{height} x {width}", str(report["parts"]), f"{total:.1f}",
        f"{1000 * total / megapixels:.1f}", f"{1000 * report['cpu'] / megapixels:.1f}",
        *(f"{1000 * seconds[part] / megapixels:.1f}" for part in PARTS),
        f"{report['memory'] / (1 << 20):.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, and write the table after each raster: a long one may be cut short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--sides", default="5000,100000")
    parser.add_argument("--raster", type=Path)
    parser.add_argument("--branches", choices=("both", "global"), default="both")
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    model = make_model(work / "model", branches=arguments.branches)
    head = ("raster", "pixels", "scenes", "s", "ms/Mpx", "CPU ms/Mpx", "network", "assembling",
            "verifying", "process, MiB")  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    sides = [int(side) for side in arguments.sides.split(",")]
    images = [make_sparse(work / f"{side}.tif", side) for side in sides]
    for image in [*images, *([arguments.raster] if arguments.raster else [])]:
        lines.append(row(image.stem, measure(image, model, work / f"{image.stem}.mask.tif")))
        print(lines[-1], flush=True)
        text = "\n".join([header("Rasters far larger than memory", "cpu"), *lines])
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
