"""`glnet predict`."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from glnet.cli.options import (
    Device,
    EngineName,
    Model,
    Precision,
    Tta,
    bands_of,
    goes_with,
    one_of,
)
from glnet.cli.predict_into import expanded, predict_into
from glnet.cli.progress import progress_of
from glnet.cli.stopping import GOES_ON, NOTHING, when_stopped
from glnet.cli.unheard import libraries_unheard
from glnet.cluster import Cluster
from glnet.engines.loading import ENGINES, PRECISIONS
from glnet.recipe import VIEWS, View

ON_ERROR = ("stop", "nodata")
ALSO = ("confidence", "probabilities", "scores", "geojson", "gpkg")


@when_stopped(GOES_ON)
def predict_command(
    images: Annotated[
        list[str], typer.Argument(help="GeoTIFF, JPEG2000, PNG, JPEG, a slide, ... of any size.")
    ],
    model: Model,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Of one image, the mask: .tif or .png.")
    ] = None,
    out_dir: Annotated[
        Path | None, typer.Option(help="Of many, the folder of masks, named like the images.")
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="With --out-dir: images' folders below this one are kept there."),
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help=f"With --out-dir, beside each mask: {', '.join(ALSO)}; may be repeated."),
    ] = None,
    view: Annotated[
        str | None, typer.Option(help="aggregated, global or local; default: the model's own.")
    ] = None,
    confidence: Annotated[
        Path | None, typer.Option(help="The winning class's probability to write: .tif, bytes.")
    ] = None,
    probabilities: Annotated[
        Path | None, typer.Option(help="All classes' to write: .tif, bytes, a band per class.")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Class scores to write: .tif, float32, a band per class.")
    ] = None,
    polygons: Annotated[
        Path | None, typer.Option(help="The mask's polygons to write: .gpkg or .geojson.")
    ] = None,
    background: Annotated[
        list[str] | None, typer.Option(help="A class that gets no polygons; may be repeated.")
    ] = None,
    min_area: Annotated[
        float, typer.Option(min=0, help="Smaller polygons are left out, in pixels.")
    ] = 0.0,
    simplify: Annotated[
        float, typer.Option(min=0, help="How far polygons are simplified, in pixels.")
    ] = 0.0,
    bands: Annotated[
        str | None, typer.Option(help="Bands of the file in the model's order, e.g. 4,3,2.")
    ] = None,
    within: Annotated[
        Path | None, typer.Option(help="Polygons: only what lies in one. .geojson or .gpkg.")
    ] = None,
    scene: Annotated[
        int | None, typer.Option(min=64, help="Longest side of a scene in px; default: as trained.")
    ] = None,
    resolution: Annotated[
        str | None,
        typer.Option(help="Metres per pixel to read at, or native; default: as trained."),
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="The same of a slide, in microns per pixel.")
    ] = None,
    glass: Annotated[
        bool, typer.Option("--all", help="All of a slide, also where it holds no tissue.")
    ] = False,
    device: Device = "auto",
    precision: Precision = "fp32",
    engine: EngineName = "auto",
    memory: Annotated[
        str, typer.Option(help="What it may take of the memory here, or on CUDA of the device's.")
    ] = "2GiB",
    tta: Tta = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the CPU; parts of another number are not used.")
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(help="i/n: compute this share of all scenes and put nothing together."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(help="Let workers of a Ray cluster compute: its address, or local."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --ray, how many, of --threads each.")
    ] = None,
    virtual: Annotated[
        bool, typer.Option("--vrt", help="Take VRT files, which lead to other files.")
    ] = False,
    remote: Annotated[
        bool, typer.Option("--remote", help="Take a TIFF's address: https://, s3:// or gs://.")
    ] = False,
    on_error: Annotated[
        str, typer.Option(help="stop, or nodata: write parts that fail as ground without data.")
    ] = "stop",
    advise: Annotated[
        bool, typer.Option("--advise", help="Write nothing; try each precision on the image.")
    ] = False,
) -> None:
    """Segment images of any size.

    Started again, it goes on where it was stopped.
    """
    if view is not None:
        one_of(view, VIEWS, "--view")
    one_of(precision, PRECISIONS, "--precision")
    one_of(engine, ENGINES, "--engine")
    one_of(on_error, ON_ERROR, "--on-error")
    for kind in also or []:
        one_of(kind, ALSO, "--also")
    goes_with("--ray", ray, workers=workers)
    goes_with("--out-dir", out_dir, root=root)
    drawn: dict[str, Any] = {
        "background": background or (),
        "min_area": min_area,
        "simplify": simplify,
    }
    outlined = polygons or {"geojson", "gpkg"}.intersection(also or ())
    goes_with("--polygons, or --also geojson or gpkg", outlined, **drawn)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # before any library reads it
    found = expanded(images)
    if advise:
        if len(found) > 1:
            msg = f"--advise looks at one image, and there are {len(found)}"
            raise typer.BadParameter(msg)
        _advise(found[0], model, cast("View | None", view), device, engine)
        return
    how: dict[str, Any] = {
        "view": view, "device": device, "precision": precision, "engine": engine, "memory": memory,
        "tta": tta, "bands": bands_of(bands), "scene": scene, "within": within, "virtual": virtual,
        "resolution": _resolution(resolution), "on_error": on_error, "mpp": _microns(mpp),
        "glass": glass, "remote": remote, "part": part, "said": typer.echo,
        "cluster": None if ray is None else Cluster(ray, workers, threads),
    }  # fmt: skip
    single: dict[str, Any] = {
        "confidence": confidence, "probabilities": probabilities, "scores": scores,
        "polygons": polygons,
    }  # fmt: skip
    _check_targets(found, out, out_dir, [name for name, path in single.items() if path], also)
    # Deferred: an engine takes seconds to import, and --help should not.
    from glnet.prediction.predict import predict  # noqa: PLC0415
    from glnet.prediction.vectorise import PolygonWish  # noqa: PLC0415

    if out_dir is not None:
        predict_into(found, model, out_dir, root=root, also=also or (), **drawn, **how)
        return
    assert out is not None  # noqa: S101  see _check_targets
    if polygons is not None:
        single["polygons"] = PolygonWish(polygons, **drawn)
    with libraries_unheard(), progress_of("scenes") as progress:
        report = predict(found[0], model, out, **single, **how, progress=progress)
    for line in report.lines:
        typer.echo(line)
    if report.outputs:
        typer.echo(f"wrote {', '.join(report.outputs)}")


def _check_targets(
    images: list[str], out: Path | None, out_dir: Path | None, single: list[str],
    also: list[str] | None,
) -> None:  # fmt: skip
    """One image has a file, many have a folder; refuse what belongs to the other."""
    if out is not None and out_dir is not None:
        msg = "--out names one mask and --out-dir a folder for many; give one of the two"
        raise typer.BadParameter(msg)
    if out is None and out_dir is None:
        msg = "name the mask with --out, .tif or .png, or a folder for many with --out-dir"
        raise typer.BadParameter(msg)
    if out is not None and len(images) > 1:
        msg = f"--out names one mask, and there are {len(images)} images; say --out-dir FOLDER"
        raise typer.BadParameter(msg)
    if out is not None and also:
        msg = (
            "--also belongs to --out-dir; of one image say --confidence FILE, --polygons FILE, ..."
        )
        raise typer.BadParameter(msg)
    if out_dir is not None and single:
        msg = f"--{single[0]} names one file; with --out-dir say --also {single[0]}"
        msg = msg.replace("--also polygons", "--also geojson, or gpkg")
        raise typer.BadParameter(msg)


def _resolution(text: str | None) -> float | Literal["native"] | None:
    if text is None or text == "native":
        return cast("Literal['native'] | None", text)
    try:
        metres = float(text)
    except ValueError:
        metres = 0.0
    if not 0 < metres < float("inf"):
        msg = f"--resolution: wanted metres per pixel or native; got '{text}'"
        raise typer.BadParameter(msg)
    return metres


def _microns(mpp: float | None) -> float | None:
    if mpp is not None and not 0 < mpp < float("inf"):
        msg = f"--mpp: wanted microns per pixel; got '{mpp}'"
        raise typer.BadParameter(msg)
    return mpp


@when_stopped(NOTHING)
def _advise(image: str, model: Path, view: View | None, device: str, engine: str) -> None:
    from glnet.prediction.advice import advise  # noqa: PLC0415  see above

    first: float | None = None
    for found in advise(image, model, view=view, device=device, engine=engine):
        if found.seconds is None:
            typer.echo(f"{found.precision}: not here: {found.why_not}")
            continue
        first = first or found.seconds
        gain = f"{first / found.seconds:.1f} times as fast as fp32"
        changed = f"{found.changed:.3%} of the labels change"
        text = "the reference" if found.precision == "fp32" else f"{gain}, {changed}"
        typer.echo(f"{found.precision}: {found.seconds:.1f} s, {text}")
