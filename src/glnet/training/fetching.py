"""Images on their way to the steps: read, resized and augmented while the step before computes."""

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from glnet.datasets.draws import Draw, EpochBatches, TrainingImages
from glnet.engines.ahead import ahead
from glnet.errors import GlnetError


def fetch(images: TrainingImages, batches: EpochBatches, workers: int) -> Iterator[list[Draw]]:
    """The draws of every step of a stage, in order.

    Args:
        images: What to read.
        batches: Which images make a step.
        workers: Processes that read ahead; with 0 a thread of this process reads one step ahead.

    Raises:
        GlnetError: an image or a mask cannot be used; the same one line either way.
    """
    if not workers:
        yield from ahead([images[key] for key in keys] for keys in batches)
        return
    loader: DataLoader[Draw | GlnetError] = DataLoader(
        _Guarded(images),
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=list,
        multiprocessing_context="spawn",
        # Of its own: the loader would draw from the generator that trunks drop paths by.
        generator=torch.Generator(),
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
