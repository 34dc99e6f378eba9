"""What is to be made of which image, found out before any work whether it could be written."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from glnet.datasets.classes import ClassTable
from glnet.errors import GatheredError, RunError
from glnet.outputs.files import check_target
from glnet.outputs.rasters import MASK_SUFFIXES, TIFF_SUFFIXES
from glnet.outputs.styles import check_style, style_path
from glnet.prediction.layers import Kind, Layer, plan_layer
from glnet.prediction.report import report_path
from glnet.prediction.vectorise import PolygonWish
from glnet.raster import address_of, shown

#: What may be written beside masks in a folder.
Also = Literal["confidence", "probabilities", "scores", "geojson", "gpkg"]

#: What is written of every pixel.
_KINDS: tuple[Kind, ...] = ("mask", "confidence", "probabilities", "scores")

_POLYGONS = ("geojson", "gpkg")


@dataclass(frozen=True, slots=True)
class Job:
    """An image and its outputs.

    Attributes:
        image: The file, or its address.
        layers: What is written of its pixels, the mask first.
        polygons: Which polygons, if any.
    """

    image: str | Path
    layers: tuple[Layer, ...]
    polygons: PolygonWish | None = None

    def absolute(self) -> "Job":
        """The same for a process that runs in another folder."""
        layers = tuple(replace(layer, path=layer.path.absolute()) for layer in self.layers)
        wish = self.polygons
        if wish is not None:
            wish = replace(wish, path=wish.file.absolute())
        image = self.image if address_of(self.image) else Path(self.image).absolute()
        return Job(image, layers, wish)

    @property
    def mask(self) -> Path:
        """Where the mask goes; what belongs to the run lies beside it."""
        return self.layers[0].path

    @property
    def outputs(self) -> dict[str, Path]:
        """Every file that is asked for, by what it is; of a class's colours, see `style_path`."""
        found: dict[str, Path] = {layer.kind: layer.path for layer in self.layers}
        return found if self.polygons is None else found | {"polygons": self.polygons.file}


def plan_job(
    image: str | Path,
    wanted: Mapping[Kind, Path],
    polygons: PolygonWish | None,
    table: ClassTable,
    taken: Sequence[Path] = (),
) -> Job:
    """One image's outputs, none of them an input or named twice.

    Args:
        image: The file.
        wanted: Where each layer goes, the mask first.
        polygons: Which polygons.
        table: The model's classes.
        taken: Other files that must not be overwritten.

    Raises:
        RasterError: a file could not be written.
        RunError: polygons that cannot be made.
    """
    used = [Path(image), *taken]
    for kind, target in wanted.items():
        check_target(target, MASK_SUFFIXES if kind == "mask" else TIFF_SUFFIXES, used)
        used.append(target)
        if kind == "mask":
            style = style_path(target)
            check_style(style, used)
            used.append(style)
    report = report_path(wanted["mask"])
    check_target(report, (report.suffix,), used)
    used.append(report)
    if polygons is not None:
        polygons.check(wanted["mask"], used, table)
    layers = tuple(plan_layer(kind, path, table) for kind, path in wanted.items())
    return Job(image, layers, polygons)


def jobs_into(
    folder: Path,
    images: Sequence[str | Path],
    also: Sequence[Also],
    table: ClassTable,
    polygons: PolygonWish,
    taken: Sequence[Path] = (),
    root: Path | None = None,
) -> list[Job]:
    """Many images' outputs in one folder, named like the images.

    Args:
        folder: Of all outputs; it is made.
        images: The files.
        also: What is written beside masks.
        table: The model's classes.
        polygons: How they are made, where they are asked for; its path does not matter.
        taken: Other files that must not be overwritten.
        root: Folder whose tree is kept: of ROOT/SUB/NAME the outputs lie in `folder`/SUB.

    Raises:
        GatheredError: names that two images would share, outputs that are inputs, or images that
            lie elsewhere than below `root`.
        RasterError, RunError: see `plan_job`.
    """
    unknown = [kind for kind in also if kind not in get_args(Also)]
    if unknown:
        msg = f"also: wanted a list of {', '.join(get_args(Also))}; found {unknown[0]!r}"
        raise RunError(msg)
    if set(_POLYGONS) <= set(also):
        msg = "polygons: geojson or gpkg, not both"
        raise RunError(msg)
    folders = _folders(folder, images, root)
    placed = [dict(_places(*one, also)) for one in zip(folders, images, strict=True)]
    _check_names(images, placed, kept=root is not None)
    for each in dict.fromkeys([folder, *folders]):
        try:
            each.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{each}: cannot be made a folder ({error.strerror}); name another one"
            raise RunError(msg) from error
    jobs = []
    for image, places in zip(images, placed, strict=True):
        wanted = {kind: places[kind] for kind in _KINDS if kind in places}
        shapes = next((places[kind] for kind in _POLYGONS if kind in places), None)
        wish = None if shapes is None else replace(polygons, path=shapes)
        jobs.append(plan_job(image, wanted, wish, table, taken))
    return jobs


def _places(folder: Path, image: str | Path, also: Sequence[Also]) -> Iterator[tuple[str, Path]]:
    """What is written of an image, and where."""
    stem = Path(shown(image)).stem
    yield "mask", folder / f"{stem}.tif"
    for kind in dict.fromkeys(also):
        suffix = f".{kind}" if kind in _POLYGONS else f".{kind}.tif"
        yield kind, folder / f"{stem}{suffix}"


def _folders(folder: Path, images: Sequence[str | Path], root: Path | None) -> list[Path]:
    """Of every image, the folder of its outputs."""
    if root is None:
        return [folder] * len(images)
    # Not resolved: a link's target may lie anywhere, and the tree that is seen is the one to keep.
    top, found, problems = os.path.abspath(root), [], []  # noqa: PTH100  Path.absolute keeps ..
    for image in images:
        own = Path(os.path.abspath(image)).parent  # noqa: PTH100
        if address_of(image) or not own.is_relative_to(top):
            problems.append(f"{shown(image)}: is not below --root {root}; name one that has all")
        else:
            found.append(folder / own.relative_to(top))
    if problems:
        raise GatheredError(problems)
    return found


def _check_names(
    images: Sequence[str | Path], placed: Sequence[dict[str, Path]], *, kept: bool
) -> None:
    """No output is another image's, or an image; on some systems A.tif and a.tif are one file."""
    owners: dict[str, str | Path] = {}
    inputs = {os.path.realpath(image).casefold() for image in images}
    problems = []
    way_out = "rename one" if kept else "rename one, or keep their folders by --root"
    for image, places in zip(images, placed, strict=True):
        for path in [*places.values(), report_path(places["mask"])]:
            owner = owners.setdefault(str(path).casefold(), image)
            if owner is not image:
                problems.append(
                    f"{shown(image)}: would become {path.name}, as {shown(owner)} would; {way_out}"
                )
                break
            if os.path.realpath(path).casefold() in inputs:
                problems.append(f"{path}: is an image of this same command; name another folder")
                break
    if problems:
        raise GatheredError(problems)
