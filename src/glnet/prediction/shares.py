"""One flat list of the scenes of many images, and which of them are whose."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from glnet.errors import RunError


class Amount(NamedTuple):
    """The scenes of an image: how many, and what one of them takes, in any unit."""

    scenes: int
    each: float


class Own(NamedTuple):
    """What a share has of an image.

    Attributes:
        name: Of the share.
        scenes: Of the image, which.
        total: How many it has in all.
    """

    name: str
    scenes: range
    total: int


@dataclass(frozen=True, slots=True)
class Share:
    """The i-th of n, counted from 1; what it takes of a list is one run, so neighbours meet little.

    Attributes:
        index, count: i and n.
    """

    index: int
    count: int

    @property
    def name(self) -> str:
        """Of this share, for files."""
        return f"{self.index}-of-{self.count}"

    def of(self, amounts: Sequence[Amount]) -> list[range]:
        """Of every image, the scenes that are in this share.

        All shares together take each scene once, and about as long as each other.
        """
        total = sum(scenes * each for scenes, each in amounts)
        found, before = [], 0.0
        for scenes, each in amounts:
            # A scene is whose the middle of its time is.
            first, last = (
                min(scenes, max(0, round((total * k / self.count - before) / each)))
                for k in (self.index - 1, self.index)
            )
            found.append(range(first, scenes if self.index == self.count else last))
            before += scenes * each
        return found


def read_share(text: str) -> Share:
    """A share written i/n.

    Raises:
        RunError: it is not one.
    """
    index, slash, count = text.partition("/")
    if slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count):
        return Share(int(index), int(count))
    msg = f"--part: wanted one of so many, as in 1/4; got '{text}'"
    raise RunError(msg)
