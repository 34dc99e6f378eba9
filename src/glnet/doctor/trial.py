"""Reads, computes and writes once, in a process of its own: `python -m glnet.doctor.trial`.

A line of JSON per finding, as soon as it is known.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from glnet.bundle import BundleConfig, read_config
from glnet.datasets.classes import ClassInfo, ClassTable, default_colour
from glnet.doctor.finding import Finding
from glnet.doctor.probing import one_line
from glnet.engines.tables import table_of
from glnet.engines.threads import threads
from glnet.engines.vino import core, openvino
from glnet.errors import GlnetError
from glnet.geometry import Window
from glnet.prediction.layers import unused_value
from glnet.prediction.predict import predict, segment
from glnet.raster import Raster
from glnet.recipe import ModelSettings

_TOPIC = "trial"

#: The smallest network that has all branches.
_TINY = ModelSettings(
    trunk="resnet18", trunk_options={"channels": [8, 16, 32, 64]}, width=8, thumbnail=64,
    patch=64, overlap=16,
)  # fmt: skip

#: Metres, where a model knows of none.
_PIXEL = 0.5
_CRS = "EPSG:32632"

#: Of sums of a few numbers in single precision.
_ROUNDED = 1e-4

#: Labels of random scores that rounding may change, and that coarser arithmetic of a GPU may.
_SAME, _ALIKE = 0.999, 0.99


def _write(path: Path, config: BundleConfig) -> tuple[np.ndarray, Affine]:
    """A georeferenced image of noise, a patch and a quarter wide."""
    settings = config.model
    side = settings.patch + settings.patch // 4
    pixels = np.random.default_rng(0).integers(
        0, 256, (settings.bands, settings.patch, side), np.uint8
    )
    ground = (config.trained_on and config.trained_on.resolution) or _PIXEL
    transform = Affine(ground, 0, 500_000, 0, -ground, 5_200_000)
    bands, height, width = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=bands, height=height, width=width, dtype="uint8",
        crs=_CRS, transform=transform, tiled=True, blockxsize=64, blockysize=64,
        compress="deflate", photometric="minisblack", alpha="no",
    ) as file:  # fmt: skip
        file.write(pixels)
    return pixels, transform


def _reads(image: Path, pixels: np.ndarray, transform: Affine) -> Iterator[Finding]:
    window = Window(3, 5, 40, 50)
    with Raster(image) as raster:
        same = np.array_equal(raster.read(window), pixels[:, *window.slices])
        place = raster.georeference
        there = place is not None and place.crs == rasterio.CRS.from_string(_CRS)
        if not (same and there and place is not None and place.transform == transform):
            yield _wrong("a GeoTIFF that was written is read as another one")
            return
    yield Finding(_TOPIC, "ok", "a GeoTIFF was written and read as it was written")


def _computes() -> Iterator[Finding]:
    """A convolution by OpenVINO, and by NumPy."""
    random = np.random.default_rng(0)
    pixels, weights = (
        random.normal(size=shape).astype(np.float32) for shape in ((1, 4, 20, 24), (6, 4, 3, 3))
    )
    op = importlib.import_module("openvino.opset13")
    given = op.parameter(pixels.shape, np.float32)
    made = op.convolution(given, op.constant(weights), [1, 1], [0, 0], [0, 0], [1, 1])
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads()}
    compiled = core().compile_model(openvino.Model([made], [given]), "CPU", options)
    windows = np.lib.stride_tricks.sliding_window_view(pixels[0], (3, 3), axis=(1, 2))
    expected = np.einsum("ihwyx,oiyx->ohw", windows, weights)
    if np.abs(compiled([pixels])[0][0] - expected).max() > _ROUNDED * np.abs(expected).max():
        yield _wrong("OpenVINO computes another convolution than NumPy")
        return
    yield Finding(_TOPIC, "ok", "OpenVINO computes what NumPy does")


def _make_model(folder: Path) -> Iterator[Finding]:
    """A random network, its graphs exported."""
    models, network, start, export = (
        importlib.import_module(f"glnet.{name}")
        for name in ("engines.models", "model", "model.initialise", "engines.export")
    )
    rows = tuple(ClassInfo(name, i, default_colour(i)) for i, name in enumerate("abc"))
    importlib.import_module("torch").manual_seed(0)
    model = network.build_glnet(_TINY, len(rows))
    for branch in (model.global_branch, model.local_branch, model.refined_global):
        start.start_pyramid(branch, "unit")
    start.start_aggregation(model, "unit")
    models.save_model(folder, model.eval(), ClassTable(rows), "Random.")
    export.export_graphs(folder)
    yield Finding(_TOPIC, "ok", "torch builds a network, and its graphs are exported")


def _predicts(folder: Path, image: Path, model: Path, transform: Affine) -> Iterator[Finding]:
    out = folder / "mask.tif"
    report = predict(image, model, out, device="cpu")
    table = table_of(model, read_config(model))
    known = [row.value for row in table.rows] + [unused_value(table)]
    with Raster(image) as raster, Raster(out) as mask:
        labels, place = mask.read()[0], mask.georeference
        if mask.size != raster.size or place is None or place.crs != rasterio.CRS.from_string(_CRS):
            yield _wrong("the mask has another size or coordinate system than the image")
        elif place.transform != transform or not np.isin(labels, known).all():
            yield _wrong("the mask lies elsewhere than the image, or holds labels of no class")
        else:
            what = f"a mask was predicted by {report.engine} and lies where the image does"
            yield Finding(_TOPIC, "ok", what)


def _agrees(folder: Path, image: Path, model: Path, *, plain: bool) -> Iterator[Finding]:
    """What torch makes of the same image, layer by layer, and on a GPU."""
    with Raster(folder / "mask.tif") as mask:
        labels = mask.read()[0]
    if plain:
        share = (segment(image, model, device="cpu", engine="plain") == labels).mean()
        if share < _SAME:
            yield _wrong(f"torch and exported graphs agree on {share:.1%} of the labels alone")
        else:
            yield Finding(_TOPIC, "ok", "torch makes the same labels as the exported graphs")
    pick = importlib.import_module("glnet.engines.torch_engine").pick_device
    kind = pick("auto").type
    if kind != "cpu":
        share = (segment(image, model, device=kind, engine="torch") == labels).mean()
        if share < _ALIKE:
            what = f"{kind} and the processor agree on {share:.1%} of the labels alone"
            yield Finding(_TOPIC, "problem", what, "say --device cpu", stops=True)
        else:
            yield Finding(_TOPIC, "ok", f"{kind} makes the same labels as the processor")


def _wrong(what: str) -> Finding:
    return Finding(_TOPIC, "problem", what, "install glnet into a fresh environment", stops=True)


def _try(what: str, step: Callable[[], Iterator[Finding]], *, stops: bool) -> Iterator[Finding]:
    try:
        yield from step()
    except GlnetError as error:
        yield Finding(_TOPIC, "problem", f"{what}: {error}", stops=stops)
    except Exception as error:
        advice = "install glnet into a fresh environment"
        yield Finding(_TOPIC, "problem", f"{what}: {one_line(error)}", advice, stops=stops)


def trial(folder: Path, model: Path | None, *, torch: bool) -> Iterator[Finding]:
    """All steps that this installation can go.

    Args:
        folder: Empty; for what is written.
        model: To be tried; None: one is made, where torch works.
        torch: Does it?
    """
    config = BundleConfig(model=_TINY, classes=[], origin="") if model is None else None
    image = folder / "image.tif"
    try:
        pixels, transform = _write(image, config or read_config(model or ""))
    except Exception as error:
        yield _wrong(f"a GeoTIFF cannot be written: {one_line(error)}")
        return
    yield from _try("reading a GeoTIFF", lambda: _reads(image, pixels, transform), stops=True)
    yield from _try("computing by OpenVINO", _computes, stops=True)
    own = model is None
    if model is None:
        if not torch:
            what = "a network was not tried: there is no torch that works"
            yield Finding(_TOPIC, "note", what, "name a model: glnet doctor --model FOLDER")
            return
        model = made = folder / "model"
        found = list(_try("making a network", lambda: _make_model(made), stops=False))
        yield from found
        if any(each.level == "problem" for each in found):
            return
    tried = model
    yield from _try("predicting", lambda: _predicts(folder, image, tried, transform), stops=True)
    if torch and (folder / "mask.tif").is_file():
        compared = _try("comparing", lambda: _agrees(folder, image, tried, plain=own), stops=False)
        yield from compared


if __name__ == "__main__":
    _folder, _model, _torch = sys.argv[1:]
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # libraries may print
        tried = trial(Path(_folder), Path(_model) if _model else None, torch=_torch == "torch")
        for each in tried:
            print(json.dumps(asdict(each)), file=answers, flush=True)
