"""What a model's graphs are fed when they predict images, for int8 to be calibrated on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from glnet.bundle import Graph
from glnet.engines.openvino_engine import OpenVinoGraphs

#: More patches move the ranges no further, and take time.
_MOST = 64

#: Of one graph's samples: laid maps of the paper's network are 80 MB a scene.
_MOST_BYTES = 1 << 30

#: Arrays by the names that graph files give them.
Sample = Mapping[str, np.ndarray]


class Draw:
    """An even draw from a stream of samples, the same for the same stream; see `_MOST`."""

    def __init__(self) -> None:
        """Of nothing yet."""
        self.kept: list[Sample] = []
        self._room, self._met = _MOST, 0
        self._random = np.random.default_rng(0)

    def add(self, sample: Sample) -> None:
        """Meet one more: each that was met is kept as likely as any other."""
        self._met += 1
        if len(self.kept) < self._room:
            self.kept.append(sample)
        elif (place := self._random.integers(self._met)) < self._room:
            self.kept[place] = sample
        while len(self.kept) > 1 and sum(map(_bytes, self.kept)) > _MOST_BYTES:
            self.kept.pop(self._random.integers(len(self.kept)))
            self._room = len(self.kept)


def _bytes(sample: Sample) -> int:
    return sum(array.nbytes for array in sample.values())


class RecordingGraphs(OpenVinoGraphs):
    """The graphs at fp32, and a draw of what each is fed.

    Attributes:
        draws: By graph, of those that ran.
    """

    def __init__(self, model: str | Path) -> None:
        """See `OpenVinoGraphs`."""
        super().__init__(model)
        self.draws: dict[Graph, Draw] = {}

    def _run(
        self, graph: Graph, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        self.draws.setdefault(graph, Draw()).add(inputs)
        return super()._run(graph, inputs, outputs)
