"""Two evaluations of the same images side by side."""

from dataclasses import dataclass

import numpy as np

from glnet.datasets.classes import ClassTable
from glnet.errors import DataError
from glnet.evaluation.result import Evaluation, plain
from glnet.metrics import Interval, Protocol
from glnet.metrics.bootstrap import defined_interval, set_ious, set_mean_ious


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A model against another one, or masks against others: differences are `model - against`.

    Each is taken by its default view.
    """

    model: Evaluation
    against: Evaluation

    def __post_init__(self) -> None:
        """Refuse what cannot be compared.

        Raises:
            DataError: other known classes, other images, or another protocol.
        """
        check_same_classes(self.model.table, self.against.table)
        if self.model.images != self.against.images:
            msg = "the evaluations are not of the same images; evaluate both by one manifest"
            raise DataError(msg)
        if self.model.protocol.name != self.against.protocol.name:
            ours, theirs = self.model.protocol.name, self.against.protocol.name
            msg = f"one evaluation is by the protocol {ours}, the other by {theirs}; take one"
            raise DataError(msg)

    @property
    def names(self) -> list[str]:
        """Of the known classes, which both have."""
        return [name for name, _ in known_classes(self.model.table)]

    @property
    def mean_iou(self) -> float:
        """The difference of the set's mean IoU."""
        return self.model.scores().mean_iou - self.against.scores().mean_iou

    @property
    def mean_iou_interval(self) -> Interval | None:
        """Its paired bootstrap interval: both are resampled alike; None with under two images."""
        if not (drawn := self._drawn):
            return None
        ours, theirs = (set_mean_ious(*each) for each in drawn)
        return defined_interval(ours - theirs)

    @property
    def class_iou_intervals(self) -> list[Interval | None]:
        """The same of the known classes' IoU, over the sets where both have one."""
        if not (drawn := self._drawn):
            return [None] * len(self.names)
        ours, theirs = (protocol.known(set_ious(own, protocol)) for own, protocol in drawn)
        return [defined_interval(differences) for differences in (ours - theirs).T]

    @property
    def _drawn(self) -> list[tuple[np.ndarray, Protocol]]:
        """What both are resampled from; nothing with under two images, which have no spread."""
        kept = ~np.isnan(self.image_mean_ious).all(axis=0)
        both = [(each.drawn_pairs(kept), each.protocol) for each in (self.model, self.against)]
        return both if len(both[0][0]) > 1 else []

    @property
    def class_ious(self) -> np.ndarray:
        """IoU of the known classes: shape (2, classes), the model's and the other's."""
        both = (self.model, self.against)
        return np.stack([each.protocol.known(each.scores().iou) for each in both])

    @property
    def image_mean_ious(self) -> np.ndarray:
        """Mean IoU of the images: shape (2, images), the model's and the other's."""
        return np.stack([each.image_mean_ious() for each in (self.model, self.against)])

    def rows(self) -> list[dict[str, object]]:
        """One row per image, for a table; None where a score is not defined."""
        return [
            {
                "image": image,
                **self.model.group_of(i),
                "mean_iou": plain(ours),
                "against_mean_iou": plain(theirs),
                "difference": plain(ours - theirs),
            }
            for i, (image, ours, theirs) in enumerate(
                zip(self.model.images, *self.image_mean_ious, strict=True)
            )
        ]

    def as_dict(self) -> dict[str, object]:
        """For programs: both evaluations, and what is between them."""
        difference = {
            "views": [self.model.view, self.against.view],
            "mean_iou": plain(self.mean_iou),
            "mean_iou_interval": self.mean_iou_interval,
            "classes": {
                name: plain(ours - theirs)
                for name, ours, theirs in zip(self.names, *self.class_ious, strict=True)
            },
            "class_intervals": dict(zip(self.names, self.class_iou_intervals, strict=True)),
            "images": self.rows(),
        }
        both = {"model": self.model.as_dict(), "against": self.against.as_dict()}
        return {**both, "difference": difference}


def check_same_classes(model: ClassTable, against: ClassTable) -> None:
    """Refuse two tables whose known classes are not the same; one may train its unknown class.

    Raises:
        DataError: names, values or their order differ; the line shows where first.
    """
    ours, theirs = known_classes(model), known_classes(against)
    if ours == theirs:
        return
    differing = [pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]]
    if differing:
        (name, value), (other, its) = differing[0]
        where = f"'{name}', value {value}, against '{other}', value {its}"
    else:
        where = f"{len(ours)} known classes against {len(theirs)}"
    msg = f"the class tables differ: {where}; compare what was trained on the same classes"
    raise DataError(msg)


def known_classes(table: ClassTable) -> list[tuple[str, int]]:
    """Name and value of the classes that are not unknown."""
    unknown = Protocol.of("ignore", table.names).unknown
    return [(row.name, row.value) for i, row in enumerate(table.trained) if i not in unknown]
