"""Predicting image files of any size: into files, or into memory."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio

from glnet.cluster import Cluster
from glnet.errors import RasterError, RunError
from glnet.prediction.blending import Scored, compose
from glnet.prediction.computing import score_parts
from glnet.prediction.jobs import Also, Job, jobs_into, plan_job
from glnet.prediction.layers import Kind, compute, plan_layer, unused_value
from glnet.prediction.many import GDAL_BLOCKS, Outcome, carry_out
from glnet.prediction.options import OnError, PredictOptions
from glnet.prediction.parts import Part
from glnet.prediction.predictor import Predictor
from glnet.prediction.report import Report
from glnet.prediction.shares import Own, read_share
from glnet.prediction.survey import forget, survey
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
    mpp: float | None = None,
    glass: bool = False,
    remote: bool = False,
    part: str | None = None,
    cluster: Cluster | None = None,
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
        polygons: Where the mask's polygons go, and which; with `confidence` they have its mean.
        view: Which output; by default the model's own: `aggregated` where it has two branches,
            unless another one validated better (`model.view: validated`).
        device: auto, cpu, cuda, cuda:1, mps.
        precision: fp32, bf16, fp16 or int8.
        engine: auto, openvino, torch or plain; see `glnet.engines.loading.load_engine`.
        memory: What a prediction on the CPU may add to the process, or take of a CUDA device.
        tta: Average over the eight flips and quarter turns.
        bands, scene, resolution, within, virtual, on_error: See `PredictOptions`.
        mpp, glass, remote: See `PredictOptions` too.
        part: i/n: only this share of the scenes is computed, and nothing is put together; several
            processes may be at one each, and the same call without it puts their work together.
        cluster: Workers of Ray that compute the scenes.
        said: Takes the lines that tell how it is done.
        progress: Takes how many parts are done, and of how many.

    Returns:
        What was done; it lies beside the mask as JSON too. Outputs that the same call made before,
        and nobody has changed, are left as they are.

    Raises:
        GlnetError: the image, the model, an output or the device cannot be used, found before the
            network runs where it can be; or parts failed, after the others were kept.
    """
    _check_path(image)
    options = PredictOptions(
        view,
        tta,
        bands,
        scene,
        resolution,
        within,
        virtual,
        on_error,
        mpp=mpp,
        glass=glass,
        remote=remote,
    )
    predictor = Predictor(
        model, options, device=device, precision=precision, engine=engine, memory=memory, said=said
    )
    asked: dict[Kind, str | Path | None] = {
        "mask": out, "confidence": confidence, "probabilities": probabilities, "scores": scores,
    }  # fmt: skip
    wanted = {kind: Path(path) for kind, path in asked.items() if path is not None}
    taken = [] if within is None else [Path(within)]
    job = plan_job(image, wanted, polygons, predictor.table, taken)
    with _carried_out(predictor, [job], progress, part, cluster) as outcomes:
        outcome = next(outcomes)
    if outcome.error is not None:
        raise outcome.error
    assert outcome.report is not None  # noqa: S101  one of both is there
    if outcome.before:
        said(f"{out}: was made before, and nothing has changed since; what follows tells of then")
    return outcome.report


def predict_many(  # noqa: PLR0913  each by its name
    images: Iterable[str | Path],
    model: str | Path,
    out_dir: str | Path,
    *,
    root: str | Path | None = None,
    also: Sequence[Also] = (),
    background: Sequence[str] = (),
    min_area: float = 0.0,
    simplify: float = 0.0,
    device: str = "auto",
    precision: str = "fp32",
    engine: str = "auto",
    memory: str = "2GiB",
    part: str | None = None,
    cluster: Cluster | None = None,
    said: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda _, __: None,
    told: Callable[[Outcome], None] = lambda _: None,
    **options: Any,  # noqa: ANN401  as `PredictOptions` has them
) -> list[Outcome]:
    """Segment many images into one folder, by one model; started again, it goes on.

    The next image is read while one is computed and one is written. One that fails does not stop
    the others; one that is done, by its content and all settings, is not done again.

    Args:
        images: The files.
        model: See `predict`.
        out_dir: Where masks go, named like the images: NAME.tif; made where it does not exist.
        root: Folder whose tree is kept in `out_dir`: of ROOT/SUB/NAME the mask is SUB/NAME.tif.
        also: What else is written: confidence, probabilities, scores (NAME.KIND.tif), geojson or
            gpkg (polygons).
        background, min_area, simplify: Of the polygons, see `PolygonWish`.
        device, precision, engine, memory, said: See `predict`.
        part: i/n: only this share of all images' scenes, taken as one list; see `predict`.
        cluster: See `predict`.
        progress: Takes how many scenes of the present image are done, and of how many.
        told: Takes what became of each image.
        options: Of `PredictOptions`.

    Returns:
        What became of every image; of a share, of those that have scenes in it.

    Raises:
        GlnetError: the model, or any image's outputs, cannot be used; found before any work.
    """
    if isinstance(images, str | Path):
        msg = f"images: wanted a list of paths, found '{images}' alone; say [...], or glnet.predict"
        raise RunError(msg)
    images = list(images)
    for image in images:
        _check_path(image)
    predictor = Predictor(
        model, PredictOptions(**options), device=device, precision=precision, engine=engine,
        memory=memory, said=said,
    )  # fmt: skip
    predictor.steps = len(images) == 1
    within = predictor.options.within
    wish = PolygonWish(Path(), background, min_area, simplify)
    jobs = jobs_into(
        Path(out_dir), images, also, predictor.table, wish,
        [] if within is None else [Path(within)], None if root is None else Path(root),
    )  # fmt: skip
    outcomes = []
    with _carried_out(predictor, jobs, progress, part, cluster, Path(out_dir)) as carried:
        for outcome in carried:
            outcomes.append(outcome)
            told(outcome)
    if part is None:
        forget(Path(out_dir))
    return outcomes


def _carried_out(
    predictor: Predictor,
    jobs: Sequence[Job],
    progress: Callable[[int, int], None],
    part: str | None,
    cluster: Cluster | None,
    folder: Path | None = None,
) -> "contextlib.closing[Generator[Outcome, None, None]]":
    """The jobs, by whoever is to compute them."""
    if part is not None and cluster is not None:
        msg = "--part and --ray are two ways to share work; choose one"
        raise RunError(msg)
    if cluster is not None:
        from glnet.prediction.dealing import carry_out_there  # noqa: PLC0415  Ray is an extra

        return contextlib.closing(carry_out_there(cluster, predictor, jobs, progress))
    own = None if part is None else _own(predictor, jobs, part, folder)
    return contextlib.closing(carry_out(predictor, jobs, progress, own))


def _own(predictor: Predictor, jobs: Sequence[Job], part: str, folder: Path | None) -> list[Own]:
    """What a share has of every image.

    Raises:
        RunError: it is no share, or has nothing.
    """
    share = read_share(part)
    amounts = survey(predictor, jobs, folder)
    found = [
        Own(share.name, scenes, amount.scenes)
        for scenes, amount in zip(share.of(amounts), amounts, strict=True)
    ]
    if not any(own.scenes for own in found):
        msg = f"--part {part}: there are fewer scenes than that; nothing is left for it"
        raise RunError(msg)
    return found


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
    _check_path(image)
    options = PredictOptions(view, tta)
    predictor = Predictor(
        model, options, device=device, precision=precision, engine=engine, memory=memory
    )
    with rasterio.Env(**GDAL_BLOCKS), predictor.open(image) as opened:
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


def _check_path(image: object) -> None:
    if not isinstance(image, str | Path):
        msg = f"wanted the path of an image file, found {type(image).__name__}; save it"
        raise RunError(msg)


def _sound(
    image: str | Path, scored: Iterator[tuple[Part, Scored]]
) -> Iterator[tuple[Part, Scored]]:
    """The same, up to the first part that fails."""
    for part, found in scored:
        if found.why:
            msg = f"{image}: {found.why}"
            raise RasterError(msg)
        yield part, found
