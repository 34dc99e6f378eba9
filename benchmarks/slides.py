"""A slide of gigapixels, predicted under a limit that the operating system enforces.

    python benchmarks/slides.py OUT.md WORK [--width 80000] [--height 60000]

Makes a pyramidal TIFF as Aperio's scanners write them, of glass with a few islands of tissue (all
glass is one tile), and predicts it at 2 microns per pixel in a process that may allocate no more
than 2 GiB beyond what importing took (RLIMIT_DATA, Linux). The network is small: what is measured
is reading, cutting, writing, assembling and verifying. Mask and polygons are then read back.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import openslide
from rasterio import Affine
from rasterio.features import rasterize

from facts import header
from glnet.outputs.rasters import opened
from large import COLOURS, LIMIT, make_model, row
from slide_files import Tile, aperio, write_slide

#: Side of a tile; and of a cell of the plan of islands, in pixels of the finest level.
SIDE, CELL = 256, 2048
MICRONS, WANTED, NODATA = 0.5, 2, 255
STEPS = (1, 4, 16)

#: Pixels of which not all are compared: OpenSlide shows ten million a second.
_MANY = 10**8
_STRIP = 2048

GLASS = np.full((SIDE, SIDE, 3), (243, 242, 244), np.uint8)

#: Predicts in a process whose memory is limited once everything is imported.
LIMITED = """
import json, re, resource, sys
from pathlib import Path
import glnet.engines.openvino_engine, openslide
from glnet.prediction.predict import predict
from glnet.prediction.vectorise import PolygonWish
held = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
limit = held + int(sys.argv[5])
began = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
report = predict(
    *sys.argv[1:4], device="cpu", engine="openvino", mpp=float(sys.argv[6]),
    polygons=PolygonWish(Path(sys.argv[4])), said=lambda line: print(line, file=sys.stderr),
)
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps(report.as_dict() | {"cpu": used.ru_utime + used.ru_stime - began}))
"""


def islands(height: int, width: int) -> np.ndarray:
    """Which cells of a slide are tissue: a few squares of them, boolean (rows, columns)."""
    cells = np.zeros((-(-height // CELL), -(-width // CELL)), bool)
    rows, columns = cells.shape
    for top, left in ((0.2, 0.15), (0.3, 0.6), (0.7, 0.4)):
        first, second = int(rows * top), int(columns * left)
        size = max(1, rows // 10)
        cells[first : first + size, second : second + size] = True
    return cells


def tile_of(cells: np.ndarray, step: int) -> Tile:
    """Of a level that has one pixel for `step` of the finest: four kinds of tissue, or glass."""
    rng = np.random.default_rng(step)
    tissue = [
        (np.array((200, 120, 170)) + rng.integers(-40, 40, (SIDE, SIDE, 3))).astype(np.uint8)
        for _ in range(4)
    ]

    def tile(row: int, column: int) -> np.ndarray:
        if SIDE * step <= CELL:
            found = cells[row * SIDE * step // CELL, column * SIDE * step // CELL]
            return tissue[(row + 2 * column) % 4] if found else GLASS
        across = SIDE * step // CELL  # a tile holds so many cells along a side
        part = cells[row * across : (row + 1) * across, column * across : (column + 1) * across]
        part = np.pad(part, [(0, across - n) for n in part.shape])
        where = part.repeat(SIDE // across, 0).repeat(SIDE // across, 1)[..., None]
        return np.where(where, tissue[0], GLASS)

    return tile


def make_slide(path: Path, height: int, width: int) -> tuple[Path, np.ndarray]:
    """The slide, and which of its cells are tissue."""
    cells = islands(height, width)
    sizes = [(height // step, width // step) for step in STEPS]
    tiles = [tile_of(cells, step) for step in STEPS]
    return write_slide(path, sizes, tiles, side=SIDE, description=aperio(MICRONS, 20)), cells


def measure(slide: Path, model: Path, out: Path, polygons: Path) -> dict:
    """Predict in a limited process; its report.

    Raises:
        subprocess.CalledProcessError: it failed; what it said went to stderr.
    """
    done = subprocess.run(  # noqa: S603  our own code
        [sys.executable, "-c", LIMITED, slide, model, out, polygons, str(LIMIT), str(WANTED)],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def check(out: Path, polygons: Path, cells: np.ndarray) -> list[str]:
    """Read mask and polygons back, and tell what was compared.

    Raises:
        AssertionError: something is not as it has to be.
    """
    lines = [_check_level(out, level) for level in range(3)]
    step = WANTED / MICRONS
    with opened(out) as file:
        mask = file.read(1)
    side = round(CELL / step)
    tissue = cells.repeat(side, 0).repeat(side, 1)[: mask.shape[0], : mask.shape[1]]
    _sure((mask[tissue] != NODATA).all(), "tissue was left out")
    lines.append(f"{tissue.mean():.2%} of the slide is tissue, {(mask != NODATA).mean():.2%} known")
    features = json.loads(polygons.read_text())["features"]
    shapes = [(one["geometry"], one["properties"]["value"]) for one in features]
    scaled = Affine.scale(step)
    burnt = rasterize(shapes, mask.shape, fill=NODATA, transform=scaled, dtype=np.uint8)
    _sure(np.array_equal(burnt, mask), "the polygons are not the mask")
    lines.append(f"{len(features)} polygons, burnt in again, are the mask")
    return lines


def _check_level(out: Path, level: int) -> str:
    """A level of the mask, as OpenSlide shows it and as GDAL reads it."""
    options = {"overview_level": level - 1} if level else {}
    with opened(out, **options) as file:
        labels, colours = file.read(1), file.colormap(1)
    palette = np.zeros((256, 3), np.uint8)
    palette[list(colours)] = [colour[:3] for colour in colours.values()]
    with openslide.OpenSlide(out) as slide:
        microns = float(slide.properties[openslide.PROPERTY_NAME_MPP_X])
        width, height = slide.level_dimensions[level]
        _sure((height, width) == labels.shape, "sizes differ")
        _sure(abs(microns - WANTED) < 1e-6, "it is of another resolution")
        step, every = 1 << level, 4 if height * width > _MANY else 1
        for top in range(0, height, _STRIP * every):
            rows = min(_STRIP, height - top)
            shown = np.asarray(slide.read_region((0, top * step), level, (width, rows)))[..., :3]
            _sure(np.array_equal(shown, palette[labels[top : top + rows]]), "colours differ")
    part = "a quarter of the rows" if every > 1 else "all rows"
    return f"mask, level {level}: {height} x {width}, {part} the same by OpenSlide and by GDAL"


def _sure(so: bool, words: str) -> None:
    if not so:
        raise AssertionError(words)


def main() -> None:
    """Make, predict, check, write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--width", type=int, default=80_000)
    parser.add_argument("--height", type=int, default=60_000)
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    model = make_model(work / "model", 3, **COLOURS)
    slide, cells = make_slide(work / "slide.svs", arguments.height, arguments.width)
    out, polygons = work / "mask.tif", work / "mask.geojson"
    report = measure(slide, model, out, polygons)
    head = ("slide", "pixels", "scenes", "s", "ms/Mpx", "CPU ms/Mpx", "network", "assembling",
            "verifying",
            "process, MiB")  # fmt: skip
    name = f"{arguments.height} x {arguments.width}"
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head), row(name, report), ""]
    lines += [f"{report['computed']} scenes computed, {report['empty']} hold glass alone.", ""]
    lines += [f"- {line}" for line in check(out, polygons, cells)]
    text = "\n".join([header("A slide of gigapixels", "cpu"), *lines])
    arguments.out.write_text(text + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
