"""Predicting an image file of any size: into files, or into memory."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio

from glnet import __version__
from glnet.bundle import BundleConfig, find_model, read_config
from glnet.datasets.classes import ClassTable
from glnet.engines.held import peak
from glnet.engines.loading import load_engine
from glnet.engines.memory import MemoryWish
from glnet.engines.tables import table_of
from glnet.engines.threads import threads
from glnet.errors import RasterError, RunError
from glnet.outputs.files import check_target
from glnet.outputs.rasters import MASK_SUFFIXES, TIFF_SUFFIXES
from glnet.outputs.styles import style_path
from glnet.outputs.tables import write_json
from glnet.prediction.blending import Scored, compose
from glnet.prediction.computing import score_parts
from glnet.prediction.facts import facts_of
from glnet.prediction.identity import key_of
from glnet.prediction.layers import Kind, Layer, compute, plan_layer, unused_value
from glnet.prediction.opening import Opened, open_source
from glnet.prediction.options import OnError, PredictOptions
from glnet.prediction.parts import Part
from glnet.prediction.report import Report, report_path
from glnet.prediction.run import Run
from glnet.prediction.store import PartStore, clear, kept_bytes, locked
from glnet.prediction.vectorise import PolygonWish
from glnet.raster import shown
from glnet.recipe import View
from glnet.recipe.amounts import read_bytes, show_bytes

#: Bytes that GDAL keeps of decoded blocks; left alone it takes a twentieth of the machine's memory.
_GDAL = {"GDAL_CACHEMAX": 64 << 20}

#: Copies of a scene's pixels alive at a time: the one that is computed, and the next one being
#: read, as stored, filled or resampled.
_COPIES = 3

#: A mask that is packed less than so many times cannot be promised a place.
_PACKED = 20


def predict(  # noqa: PLR0913  each by its name
    image: str | Path,
    model: str | Path,
    out: str | Path,
    *,
    confidence: str | Path | None = None,
    probabilities: str | Path | None = None,
    scores: str | Path | None = None,
    polygons: PolygonWish | None = None,
    view: View | None = None,
    device: str = "auto",
    precision: str = "fp32",
    engine: str = "auto",
    memory: str = "2GiB",
    tta: bool = False,
    bands: Sequence[int] | None = None,
    scene: int | None = None,
    resolution: float | Literal["native"] | None = None,
    within: str | Path | None = None,
    virtual: bool = False,
    on_error: OnError = "stop",
    mpp: float | None = None,
    glass: bool = False,
    remote: bool = False,
    said: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Report:
    """Segment an image file of any size into files; started again, it goes on where it stopped.

    Args:
        image: GeoTIFF, JPEG, PNG or whatever else GDAL reads by itself.
        model: A model folder, or a repository's name on the Hugging Face Hub.
        out: Where the mask goes: .tif (cloud-optimised GeoTIFF) or .png.
        confidence: Where the winning class's probability goes: .tif, its 254th parts as bytes, 255
            where there is no data.
        probabilities: Where those of all classes go, a band each, as bytes too.
        scores: Where the scores before softmax go: .tif, float32, a band per class.
        polygons: Where the mask's polygons go, and which.
        view: Which output; by default the model's first: aggregated, where it has two branches.
        device: auto, cpu, cuda, cuda:1, mps.
        precision: fp32, bf16, fp16 or int8.
        engine: auto, openvino, torch or plain; see `glnet.engines.loading.load_engine`.
        memory: What a prediction on the CPU may add to the process; the paper's GPUs had 2 GB.
        tta: Average over the eight flips and quarter turns.
        bands, scene, resolution, within, virtual, on_error, mpp, glass: See `PredictOptions`.
        remote: See `PredictOptions`.
        said: Takes the lines that tell how it is done.
        progress: Takes how many parts are done, and of how many.

    Returns:
        What was done; it lies beside the mask as JSON too.

    Raises:
        GlnetError: the image, the model, an output or the device cannot be used, found before the
            network runs where it can be; or parts failed, after the others were kept.
    """
    options = PredictOptions(
        view, tta, bands, scene, resolution, within, virtual, on_error, mpp=mpp, glass=glass,
        remote=remote,
    )  # fmt: skip
    wanted: dict[Kind, str | Path | None] = {
        "mask": out, "confidence": confidence, "probabilities": probabilities, "scores": scores,
    }  # fmt: skip
    paths = _targets(wanted, [path for path in (image, within) if path is not None])
    model, config, table = _read_model(model)
    layers = [plan_layer(kind, path, table) for kind, path in paths.items()]
    if polygons is not None:
        polygons.check(paths["mask"], [Path(image), *paths.values()], table)
    budget = _budget(memory)
    with contextlib.ExitStack() as stack:
        stack.enter_context(rasterio.Env(**_GDAL))
        with open_source(image, config, options, budget) as opened:
            _check_space(layers, opened)
        folder = stack.enter_context(locked(paths["mask"]))
        opened = stack.enter_context(open_source(image, config, options, budget, folder))
        opened.tell(said)
        wish = _wish(opened, budget, tta, said)
        loaded, _ = load_engine(model, device, precision, engine, wish)
        loaded.said = said
        chosen = loaded.chosen(view)
        settled = replace(options, view=chosen)
        facts = facts_of(Path(image), model, loaded, precision, opened, settled, layers)
        report = Report(
            shown(image), str(model), opened.size, opened.scene, chosen, loaded.library, precision,
            threads(), loaded.device_type, len(opened.parts), __version__,
        )  # fmt: skip
        run = Run(
            opened, table, chosen, options, layers,
            PartStore(folder, key_of(facts), layers), report, progress,
        )  # fmt: skip
        with _told(report, report_path(paths["mask"])):
            run.compute(loaded)
            del loaded  # the graphs' memory is what assembling needs
            run.finish(said)
            if polygons is not None:
                run.vectorise(polygons, said)
        clear(folder)
    return report


def segment(
    image: str | Path,
    model: str | Path,
    *,
    view: View | None = None,
    device: str = "auto",
    precision: str = "fp32",
    engine: str = "auto",
    memory: str = "2GiB",
    tta: bool = False,
) -> np.ndarray:
    """Segment an image file into memory: the mask that `predict` writes, as an array.

    Args:
        image, model, view, device, precision, engine, memory, tta: See `predict`.

    Returns:
        Class values as in the model's class table, uint8, shape (height, width).

    Raises:
        GlnetError: the image, the model or the device cannot be used.
    """
    options = PredictOptions(view, tta)
    model, config, table = _read_model(model)
    budget = _budget(memory)
    with rasterio.Env(**_GDAL), open_source(image, config, options, budget) as opened:
        wish = _wish(opened, budget, tta)
        loaded, _ = load_engine(model, device, precision, engine, wish)
        mask = np.full(opened.size, unused_value(table), np.uint8)
        layers = [plan_layer("mask", Path(), table)]
        scored = score_parts(opened, loaded, loaded.chosen(view), opened.parts, tta=tta)
        with contextlib.closing(scored):
            found = compose(opened.plan, opened.parts, {}, _sound(image, scored), tolerant=False)
            for part in found:
                for strip, made in compute(part, layers, table):
                    mask[part.part.core.within(strip).slices] = made["mask"][0]
    return mask


def _sound(
    image: str | Path, scored: Iterator[tuple[Part, Scored]]
) -> Iterator[tuple[Part, Scored]]:
    """The same, up to the first part that fails."""
    for part, found in scored:
        if found.why:
            msg = f"{image}: {found.why}"
            raise RasterError(msg)
        yield part, found


def _targets(wanted: dict[Kind, str | Path | None], taken: list[str | Path]) -> dict[Kind, Path]:
    """The outputs that are asked for, none of them an input or named twice."""
    used = [Path(path) for path in taken]
    targets: dict[Kind, Path] = {}
    for kind, path in wanted.items():
        if path is not None:
            target = Path(path)
            check_target(target, MASK_SUFFIXES if kind == "mask" else TIFF_SUFFIXES, used)
            used.append(target)
            targets[kind] = target
            if kind == "mask":
                style = style_path(target)
                check_target(style, (style.suffix,), used)
                used.append(style)
    return targets


def _read_model(model: str | Path) -> tuple[Path, BundleConfig, ClassTable]:
    folder = find_model(model)
    config = read_config(folder)
    return folder, config, table_of(folder, config)


def _budget(memory: str) -> int:
    try:
        return read_bytes(memory)
    except ValueError as error:
        msg = f"memory: {error}"
        raise RunError(msg) from error


def _wish(
    opened: Opened, budget: int, tta: bool, said: Callable[[str], None] = lambda _: None
) -> MemoryWish:
    """What reading takes: a scene at a time, and the next one meanwhile."""
    raster = opened.source.raster
    each = raster.bands * raster.dtype.itemsize
    stored, scene = (
        size.height * size.width * each for size in (opened.parts[0].scene.size, opened.scene)
    )
    copies = _COPIES if len(opened.parts) > 1 else 1
    whole = raster.size.height * raster.size.width * each if raster.decoded_whole else 0
    block = 0 if raster.decoded_whole else raster.block_bytes  # GDAL's, and a copy while it reads
    kept = copies * scene + whole + block
    scenes = len(opened.parts)
    return MemoryWish(budget, opened.scene, kept + 2 * stored + block, kept, tta, scenes, said)


@contextlib.contextmanager
def _told(report: Report, path: Path) -> Iterator[None]:
    """Write the report of what is done here, also of a run that fails."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(RasterError):  # a disk that is full for it too is no news
            _tell(report, path)
        raise
    _tell(report, path)


def _tell(report: Report, path: Path) -> None:
    report.memory = peak()
    if report.computed + report.reused + report.empty:
        write_json(path, report.as_dict())


def _check_space(layers: Sequence[Layer], opened: Opened) -> None:
    """Refuse a disk that cannot hold the outputs even if they pack well.

    Parts, and files that are not yet moved, lie beside the mask; what a stopped run left there
    counts as room.
    """
    height, width = opened.size
    beside = layers[0].path.parent.stat().st_dev
    needed: dict[int, int] = {}
    places: dict[int, Path] = {beside: layers[0].path}
    for layer in layers:
        packed = _PACKED if layer.kind == "mask" else 1
        each = len(layer.bands) * np.dtype(layer.dtype).itemsize
        size = height * width * each // packed
        needed[beside] = needed.get(beside, 0) + 2 * size
        disk = layer.path.parent.stat().st_dev
        if disk != beside:
            places.setdefault(disk, layer.path)
            needed[disk] = needed.get(disk, 0) + size
    for disk, path in places.items():
        free = shutil.disk_usage(path.parent).free
        if disk == beside:
            free += kept_bytes(path)
        if needed[disk] > free:
            msg = (
                f"{path}: needs about {show_bytes(needed[disk])} on that disk, of which "
                f"{show_bytes(free)} are free; make room, or name another folder"
            )
            raise RasterError(msg)
