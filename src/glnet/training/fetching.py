"""Images on their way to the steps, read ahead by other processes where a recipe says so."""

from collections.abc import Iterator

from torch.utils.data import DataLoader, Dataset

from glnet.datasets.draws import Draw, EpochBatches, TrainingImages
from glnet.errors import GlnetError


def fetch(images: TrainingImages, batches: EpochBatches, workers: int) -> Iterator[list[Draw]]:
    """The draws of every step of a stage, in order.

    Args:
        images: What to read.
        batches: Which images make a step.
        workers: Processes that read ahead; 0 reads in this one.

    Raises:
        GlnetError: an image or a mask cannot be used; the same one line as without workers.
    """
    loader: DataLoader[Draw | GlnetError] = DataLoader(
        _Guarded(images),
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=list,
        multiprocessing_context="spawn" if workers else None,
    )
    for fetched in loader:
        draws = []
        for found in fetched:
            if isinstance(found, GlnetError):
                raise found
            draws.append(found)
        yield draws


class _Guarded(Dataset[Draw | GlnetError]):
    """Hands errors on as values: a worker process would turn them into a traceback."""

    def __init__(self, images: TrainingImages) -> None:
        self._images = images

    def __getitem__(self, key: tuple[int, int]) -> Draw | GlnetError:
        try:
            return self._images[key]
        except GlnetError as error:
            return error
