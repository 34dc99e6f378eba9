"""All pixels of a data set, read once: what is damaged, and what is no class."""

from collections.abc import Callable

from glnet.catalogue.palettes import as_stored
from glnet.catalogue.survey import Survey
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.datasets.problems import Problems
from glnet.datasets.samples import open_labels
from glnet.errors import DataError
from glnet.raster import Raster


def whole_images(found: Survey) -> list[Sample]:
    """A sample for every image, however many parts of it are samples."""
    files = dict.fromkeys((sample.image, sample.mask) for sample in found.samples)
    return [Sample(image, mask, "") for image, mask in files]


def read_all(
    found: Survey, problems: Problems, progress: Callable[[int, int], object]
) -> list[str]:
    """Read every image and every mask; of each file the first that is wrong with it is gathered.

    Args:
        found: What is there.
        problems: Gathers what is wrong, for the caller to refuse.
        progress: Told after each image how many are done, and of how many.

    Returns:
        What a user should know, a line each.
    """
    coder = LabelCoder(found.table, found.published.tolerance)
    near, files = 0, 0
    images = whole_images(found)
    for done, sample in enumerate(images, start=1):
        own = _read(sample, found, coder, problems)
        near, files = near + own, files + (own > 0)
        progress(done, len(images))
    if not near:
        return []
    setting = f"data.tolerance: {found.published.tolerance}"
    return [f"{near} pixels of {files} masks are near-colours, which {setting} in the recipe reads"]


def _read(sample: Sample, found: Survey, coder: LabelCoder, problems: Problems) -> int:
    """How many pixels of the mask are near-colours."""
    near = 0
    with problems.gathered(), Raster(sample.image) as image:
        with problems.gathered():
            if as_stored(found.published.classes, sample.mask) != found.table:
                msg = f"{sample.mask}: its palette gives the classes other values than other masks"
                raise DataError(msg)
            with open_labels(sample, image, coder) as labels:
                labels.read()
            near = labels.near
        image.read_valid()
    return near
