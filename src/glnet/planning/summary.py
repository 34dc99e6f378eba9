"""What was found, in words: for the head of a recipe."""

from collections.abc import Sequence
from pathlib import Path

from glnet.datasets.problems import listed
from glnet.planning.choices import percent
from glnet.planning.measure import Facts, ImageFacts

#: Classes that are named with their shares; a table of more is not readable anyway.
_NAMED = 24


def head(
    folder: Path, recipe: Path, images: Sequence[ImageFacts], splits: Sequence[str], facts: Facts
) -> list[str]:
    """Paragraphs for the top of a recipe: its origin, the images, the classes."""
    counts = ", ".join(f"{splits.count(name)} {name}" for name in in_order(splits))
    mean, deviation = (_numbers(values) for values in (facts.mean, facts.deviation))
    shares = [
        f"{name} {percent(share)}" for name, share in zip(facts.names, facts.shares, strict=True)
    ]
    found = f"Images: {counts}; {span(images)} px (height x width); {facts.bands} bands of"
    labelled = f"Labelled training pixels: {listed(shares, _NAMED)};"
    return [
        f"Made by glnet init from {folder.as_posix()}; every number may be edited.",
        f"To train: glnet train {recipe.name}",
        f"{found} {facts.dtype}.",
        f"Bands of the training images: mean {mean}; deviation {deviation}.",
        f"{labelled} ignored {percent(ignored(images))} of all.",
    ]


def in_order(splits: Sequence[str]) -> list[str]:
    """The splits that occur: train, validation, test, then others."""
    known = ("train", "validation", "test")
    return [name for name in known if name in splits] + sorted(set(splits) - set(known))


def span(images: Sequence[ImageFacts]) -> str:
    """The smallest and the largest image's height and width."""
    sizes = sorted((image.size for image in images), key=lambda size: size.area)
    small, large = sizes[0], sizes[-1]
    return str(small) if small == large else f"{small} to {large}"


def ignored(images: Sequence[ImageFacts]) -> float:
    """Share of the pixels that are ignored."""
    pixels = sum(image.size.area for image in images)
    return sum(image.ignored for image in images) / max(1, pixels)


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.4g}" for value in values)
