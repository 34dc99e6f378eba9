"""Protocols: what an evaluation does with ground whose class is unknown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np

from glnet.errors import RecipeError

#: Label of pixels that are neither trained nor, but for the GLNet protocol, counted.
IGNORE = 255

#: Ground that is counted and of no class; at most 254 classes are trained, so it is free.
_NO_CLASS = 254

ProtocolName = Literal["ignore", "glnet"]
PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)


@dataclass(frozen=True, slots=True)
class Protocol:
    """What an evaluation does with unknown ground.

    Unknown is what the class table ignores, and a trained class that is called so: the authors'
    networks have one. Means are taken over the other classes, the known ones, in both protocols,
    and a prediction of unknown on known ground is a miss in both.

    Attributes:
        name: `ignore` counts no unknown ground, and leaves classes that neither occur nor are
            predicted out of means. `glnet` is how the paper's DeepGlobe numbers were made: unknown
            ground stays in the counts, so that whatever known class is predicted there has a false
            positive, and a class that neither occurs nor is predicted enters means as 0.
        unknown: Ids of trained classes that are unknown ground.
    """

    name: ProtocolName = "ignore"
    unknown: tuple[int, ...] = ()

    @classmethod
    def of(cls, name: ProtocolName, classes: Sequence[str]) -> Self:
        """The protocol for a network with these classes; which one is unknown its name says.

        Raises:
            RecipeError: no such protocol.
        """
        if name not in PROTOCOLS:
            msg = f"protocol {name!r}: wanted one of {', '.join(PROTOCOLS)}"
            raise RecipeError(msg)
        return cls(name, tuple(i for i, c in enumerate(classes) if c.casefold() == "unknown"))

    @property
    def counts_unknown(self) -> bool:
        """Does unknown ground stay in the counts?"""
        return self.name == "glnet"

    def ground(self, labels: np.ndarray) -> np.ndarray:
        """Labels in which `IGNORE` marks exactly the ground that is not counted; uint8."""
        if self.counts_unknown:
            return np.where(labels == IGNORE, np.uint8(_NO_CLASS), labels)
        if not self.unknown:
            return labels
        return np.where(np.isin(labels, self.unknown), np.uint8(IGNORE), labels)

    def known(self, values: np.ndarray) -> np.ndarray:
        """The known classes' part of an array whose last axis is the classes."""
        return np.delete(values, list(self.unknown), axis=-1)

    def mean(self, values: np.ndarray, whole: np.ndarray | None = None) -> np.ndarray:
        """Mean over the known classes (the last axis) of a set; NaN where none is defined.

        Args:
            values: Shape (..., classes).
            whole: Of the whole set, where `values` are of sets drawn from it, shape (classes,):
                only what the whole set lacks counts as 0, not what a drawn one happens to lack.
        """
        mean = self.image_mean(values)
        if not self.counts_unknown:
            return mean
        known = self.known(values if whole is None else whole)
        return np.asarray(mean * (~np.isnan(known)).mean(axis=-1))

    def image_mean(self, values: np.ndarray) -> np.ndarray:
        """Mean over the known classes that one image has or is predicted to have.

        In the GLNet protocol too: else an image of a single class could never be right.
        """
        known = self.known(values)
        return ratio(np.nansum(known, axis=-1), (~np.isnan(known)).sum(axis=-1))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part by whole, as floats; NaN where both are 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.true_divide(part, whole))
