"""What a report tells beside the scores: pictures, time, memory."""

import time
from collections.abc import Sequence

import numpy as np

from glnet.datasets.manifest import Sample
from glnet.engines.engine import Engine
from glnet.engines.held import peak
from glnet.evaluation.gallery import Gallery
from glnet.evaluation.sides import FirstSide, SecondSide
from glnet.geometry import Size, Window


class Observer:
    """Looks on while images are evaluated; the scores are the same without it.

    Attributes:
        gallery: Pictures of the images that score lowest and highest.
        pixels: Of all samples that are through.
        seconds: What they took, reading and counting included.
        memory: The most that the process held, in bytes; None where the system does not say.
        library: What computed, with its version; None for masks from disk.
        device: cpu, cuda or mps; None for masks from disk.
    """

    def __init__(self, gallery: Gallery | None = None) -> None:
        """Nothing was seen."""
        self.gallery = gallery or Gallery()
        self.pixels = 0
        self.seconds = 0.0
        self.memory: int | None = None
        self.library: str | None = None
        self.device: str | None = None
        self._began = 0.0

    def begin(self, samples: Sequence[Sample], engine: Engine | None = None) -> None:
        """All is checked and loaded, the first image comes next."""
        self.gallery.begin(samples)
        if engine is not None:
            self.library, self.device = engine.library, engine.device_type
        self._began = time.perf_counter()

    def see(
        self,
        sample: Sample,
        labels: np.ndarray,
        prediction: np.ndarray,
        size: Size | None = None,
        part: Window | None = None,
    ) -> None:
        """Look at a sample, or at a part of one.

        Args:
            sample: Which.
            labels, prediction: uint8, shape (height, width).
            size: Of the sample, where this is a part.
            part: Where the part lies in it.
        """
        shown = Size(*labels.shape)
        self.pixels += labels.size
        self.gallery.paint(sample, size or shown, part or Window(0, 0, *shown), labels, prediction)

    def finish(self, sample: Sample, score: float) -> None:
        """A sample is through; `score` is its image's own mean IoU so far."""
        self.gallery.finish(sample, score)
        self.seconds = time.perf_counter() - self._began
        self.memory = peak()


class BothObserver(Observer):
    """Looks on while the first side of a comparison is evaluated, `other` at the second one."""

    def __init__(self) -> None:
        """Nothing was seen."""
        first = FirstSide()
        super().__init__(first)
        self.sides = SecondSide(first)
        self.other = Observer(self.sides)
