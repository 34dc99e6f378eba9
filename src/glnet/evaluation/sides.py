"""Pictures of two evaluations of the same images: of those whose scores are farthest apart."""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glnet.evaluation.gallery import EACH, Gallery, Picture
from glnet.geometry import Window


@dataclass(frozen=True, slots=True)
class Both:
    """An image as both sides have it, with its score by either."""

    scores: tuple[float, float]
    pictures: tuple[Picture, Picture]


class FirstSide(Gallery):
    """Keeps all pictures besides, compressed: the other side tells which of them are shown."""

    def __init__(self) -> None:
        """Start with no picture."""
        super().__init__()
        self._all: dict[Path, tuple[float, Window, tuple[int, ...], bytes]] = {}

    def _keep(self, score: float, picture: Picture) -> None:
        both = np.stack([picture.labels, picture.prediction])
        packed = zlib.compress(both.tobytes(), 1)
        self._all[picture.image] = score, picture.extent, both.shape, packed
        super()._keep(score, picture)

    def of(self, image: Path) -> tuple[float, Picture]:
        """Score and picture of any image."""
        score, extent, shape, packed = self._all[image]
        both = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(shape)
        return score, Picture(image, extent, *both)


class SecondSide(Gallery):
    """Keeps pictures by how far their scores are above the first side's."""

    def __init__(self, first: FirstSide) -> None:
        """Start with no picture; the first side is through by the time of the first one."""
        super().__init__()
        self._first = first

    def _keep(self, score: float, picture: Picture) -> None:
        super()._keep(score - self._first.of(picture.image)[0], picture)

    @property
    def behind(self) -> list[Both]:
        """Images of which the second side has the lower score, the farthest first."""
        return [self._both(d, picture) for d, _, picture in self._kept if d < 0][:EACH]

    @property
    def ahead(self) -> list[Both]:
        """The same where it has the higher one."""
        return [self._both(d, picture) for d, _, picture in reversed(self._kept) if d > 0][:EACH]

    def _both(self, difference: float, picture: Picture) -> Both:
        score, first = self._first.of(picture.image)
        return Both((score, score + difference), (first, picture))
