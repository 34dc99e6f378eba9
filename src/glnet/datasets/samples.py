"""One way to open a sample, whatever its labels are stored as, and to cut samples into scenes."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from glnet.datasets.class_files import open_class_files
from glnet.datasets.images import ImageScene
from glnet.datasets.manifest import CLASS_MARK, Sample
from glnet.datasets.masks import LabelCoder, LabelScene, MaskScene, check_size, lie_apart
from glnet.datasets.problems import Problems, gathering
from glnet.datasets.shapes import open_shapes
from glnet.datasets.vectors import VECTOR_SUFFIXES
from glnet.errors import DataError
from glnet.geometry import Window, scene_grid
from glnet.limits import check_scene
from glnet.raster import Raster
from glnet.recipe import ModelSettings


@contextlib.contextmanager
def open_sample(
    sample: Sample, coder: LabelCoder, model: ModelSettings
) -> Iterator[tuple[ImageScene, LabelScene]]:
    """A sample's pixels and labels, as two scenes of one size; see `open_labels`.

    Raises:
        DataError: the labels are not the image's, or cannot be read; see `open_labels`.
        RasterError: a file cannot be opened, the model cannot take the image, or it is too large
            for one scene.
    """
    with Raster(sample.image) as image:
        check_extent(sample, image)
        image.expect(model)
        with lay_labels(sample, image, coder) as labels:
            # The same scene for both: what it knows of its gaps it need not read twice.
            labels.image = scene = ImageScene(image, window_in(sample, image))
            yield scene, labels


@contextlib.contextmanager
def open_labels(sample: Sample, image: Raster, coder: LabelCoder) -> Iterator[LabelScene]:
    """A sample's labels, ignored where the image, open as a whole, has no data.

    Raises:
        DataError, RasterError: see `lay_labels`.
    """
    with lay_labels(sample, image, coder) as labels:
        labels.image = ImageScene(image, window_in(sample, image))
        yield labels


@contextlib.contextmanager
def lay_labels(sample: Sample, onto: Raster, coder: LabelCoder) -> Iterator[LabelScene]:
    """A sample's labels as they are stored, laid onto an open raster of the whole image's size.

    What the manifest calls the mask is one of: a raster of values or colours; a pattern with
    `{class}` in it, for one file per class; GeoJSON or a GeoPackage.

    Raises:
        DataError: the labels differ in size from `onto`, the window is not inside it, or the
            labels cannot be read.
        RasterError: a raster cannot be opened.
    """
    window = window_in(sample, onto)
    if CLASS_MARK in str(sample.mask):
        opened = open_class_files(sample.mask, onto, coder, window)
    elif sample.mask.suffix.lower() in VECTOR_SUFFIXES:
        opened = open_shapes(sample.mask, onto, coder, window)
    else:
        opened = _open_mask(sample, onto, coder, window)
    with opened as labels:
        yield labels


@contextlib.contextmanager
def _open_mask(
    sample: Sample, onto: Raster, coder: LabelCoder, window: Window
) -> Iterator[LabelScene]:
    with Raster(sample.mask) as mask:
        check_size(mask, onto)
        labels = MaskScene(mask, coder, window)
        labels.apart = lie_apart(mask, onto)
        yield labels


def window_in(sample: Sample, raster: Raster) -> Window:
    """The part of a raster that a sample is.

    Raises:
        DataError: a part of it lies outside.
    """
    window = sample.window or Window(0, 0, *raster.size)
    if not window.fits(raster.size):
        msg = (
            f"{sample.image}: the window {window.top} {window.left} {window.height} {window.width} "
            f"reaches beyond the image, which is {raster.size.height} x {raster.size.width}"
        )
        raise DataError(msg)
    return window


def check_extent(sample: Sample, image: Raster) -> None:
    """Refuse a sample that cannot be one scene.

    Raises:
        DataError: the window is not inside the image.
        RasterError: it is too large.
    """
    size = window_in(sample, image).size
    check_scene(sample.image, size, "set model.scene, to have it cut into scenes")


def scenes_of(
    samples: Sequence[Sample], side: int | None, problems: Problems | None = None
) -> list[Sample]:
    """Cut every image or window that is longer than `side` pixels into equal scenes.

    Args:
        samples: Rows of a manifest; of their images the headers are read.
        side: `ModelSettings.scene`; None: one row is one scene.
        problems: Gathers what is wrong, for the caller to refuse; such rows are left out.

    Raises:
        DataError: images that cannot be opened, and windows that are not inside them.
    """
    scenes = []
    with gathering(problems) as found:
        for sample in samples:
            with found.gathered(), Raster(sample.image) as image:
                whole = window_in(sample, image)
                if side is None or max(whole.size) <= side:
                    scenes.append(sample)
                    continue
                parts = scene_grid(whole.size, side)
                scenes += [replace(sample, window=whole.within(part)) for part in parts]
    return scenes
