"""Predicting image files of any size: into files, or into memory."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio

from glnet.errors import RasterError
from glnet.prediction.blending import Scored, compose
from glnet.prediction.computing import score_parts
from glnet.prediction.jobs import plan_job
from glnet.prediction.layers import Kind, compute, plan_layer, unused_value
from glnet.prediction.many import GDAL_BLOCKS, carry_out
from glnet.prediction.opening import open_source
from glnet.prediction.options import OnError, PredictOptions
from glnet.prediction.parts import Part
from glnet.prediction.predictor import Predictor
from glnet.prediction.report import Report
from glnet.prediction.vectorise import PolygonWish
from glnet.recipe import View


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
        bands, scene, resolution, within, virtual, on_error: See `PredictOptions`.
        said: Takes the lines that tell how it is done.
        progress: Takes how many parts are done, and of how many.

    Returns:
        What was done; it lies beside the mask as JSON too.

    Raises:
        GlnetError: the image, the model, an output or the device cannot be used, found before the
            network runs where it can be; or parts failed, after the others were kept.
    """
    options = PredictOptions(view, tta, bands, scene, resolution, within, virtual, on_error)
    predictor = Predictor(
        model, options, device=device, precision=precision, engine=engine, memory=memory, said=said
    )
    asked: dict[Kind, str | Path | None] = {
        "mask": out, "confidence": confidence, "probabilities": probabilities, "scores": scores,
    }  # fmt: skip
    wanted = {kind: Path(path) for kind, path in asked.items() if path is not None}
    taken = [] if within is None else [Path(within)]
    job = plan_job(Path(image), wanted, polygons, predictor.table, taken)
    with contextlib.closing(carry_out(predictor, [job], progress)) as outcomes:
        outcome = next(outcomes)
    if outcome.error is not None:
        raise outcome.error
    assert outcome.report is not None  # noqa: S101  one of both is there
    return outcome.report


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
    predictor = Predictor(
        model, options, device=device, precision=precision, engine=engine, memory=memory
    )
    opening = open_source(image, predictor.config, options, predictor.budget)
    with rasterio.Env(**GDAL_BLOCKS), opening as opened:
        predictor.keep_to(predictor.plan(opened))
        table, loaded = predictor.table, predictor.engine
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
