"""What a doctor says."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of it.

    Attributes:
        topic: What it is about, in a word.
        level: `ok`; `note`: good to know; `problem`: something cannot work.
        what: Was found.
        advice: What to do about it; empty: nothing.
        stops: A problem with which nothing can be predicted.
    """

    topic: str
    level: Level
    what: str
    advice: str = ""
    stops: bool = False
