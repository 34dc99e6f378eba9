"""One function per group of settings: from measured facts to numbers, each with its reason.

Pure: no files, no clock, no device. Keys are the recipe's dotted names.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from glnet.geometry import OUTPUT_STRIDE, Size, patch_grid
from glnet.recipe import BEST

#: The paper's thumbnail and patch, and the smallest that are proposed.
PAPER_SIDE, SMALLEST_SIDE = 500, 128

#: Below this share of the labelled pixels a class is rare.
RARE = 0.05

#: The largest ratio between two classes' weights.
WEIGHT_CAP = 10.0

#: The longest side that is shrunk to one thumbnail, and what longer images are cut to: the largest
#: images of the paper.
_LONGEST_SCENE, _SCENE = 7000, 5000

#: Images longer than so many times the median are cut too, to scenes of the median's length.
_UNEVEN = 2

#: Patches drawn per image and step, where images have more.
PATCHES = 8


@dataclass(frozen=True)
class Choice:
    """Settings by their dotted names, and reasons by the name of what they stand above."""

    settings: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def plus(self, other: "Choice") -> "Choice":
        """Both; the other's settings stand."""
        return Choice(self.settings | other.settings, self.reasons | other.reasons)


def choose_sides(sizes: Sequence[Size], shrink: int = 1) -> Choice:
    """Thumbnail, patch, overlap, branches and sharing, from the sizes of the training images.

    Args:
        sizes: Of the images as they are.
        shrink: How often they are shrunk.
    """
    median = statistics.median(min(size) for size in sizes) / shrink
    typical = statistics.median(max(size) for size in sizes)
    longest = max(max(size) for size in sizes)
    side, thumbnail = _third(median), _third(median * shrink)
    settings: dict[str, Any] = {"model.branches": "both", "model.sharing": "global_to_local"}
    reasons = {}
    seen = f"{median:g} px" + (", shrunk" if shrink > 1 else "")
    if longest <= side * shrink:
        settings |= {"model.branches": "local", "model.sharing": "none"}
        reasons["model.branches"] = (
            f"No image is longer than one patch ({longest} px at most), so a shrunk view of the "
            "whole has nothing to add."
        )
    else:
        reasons["model.branches"] = (
            f"The images (median shorter side {seen}) are larger than a patch: both branches, "
            "sharing from global to local. To refine the global branch too (bidirectional, the "
            "paper's best) gained nothing in our studies, and takes a third stage."
        )
    small = "" if side == PAPER_SIDE else (
        f" Patches of {PAPER_SIDE} px would be more than a third of the shorter side ({seen})."
    )  # fmt: skip
    reasons["model.thumbnail"] = (
        f"Sides in pixels, multiples of {OUTPUT_STRIDE}; patches share a tenth at least."
        + (small or " As in the paper.")
    )
    long, uneven = longest > _LONGEST_SCENE, longest > _UNEVEN * typical
    if long:
        reasons["model.scene"] = (
            "Longer images are cut into equal scenes: of more than "
            f"{_LONGEST_SCENE} px the thumbnail would show too little."
        )
    elif uneven:
        reasons["model.scene"] = (
            f"Longer images are cut into equal scenes: the longest has {longest} px, half of them "
            f"at most {typical:g}; whole, their thumbnails would show ground at other scales, and "
            "a step would learn as few patches of the large ones as of the small."
        )
    else:
        reasons["model.scene"] = (
            f"null: every image is one scene; none is longer than {_LONGEST_SCENE} px, or than "
            f"{_UNEVEN} times the median."
        )
    settings |= {
        "model.shrink": shrink,
        "model.scene": (
            max(min(_SCENE, int(typical)), 2 * side * shrink) if long or uneven else None
        ),
        "model.thumbnail": thumbnail,
        "model.patch": side,
        "model.overlap": round(side / 10),
    }
    return Choice(settings, reasons)


def _third(length: float) -> int:
    """A side of the network's inputs, for images so long."""
    third = int(length / 3) // OUTPUT_STRIDE * OUTPUT_STRIDE
    return min(PAPER_SIDE, max(SMALLEST_SIDE, third))


def choose_input(
    bands: int, dtype: str, mean: Sequence[float], deviation: Sequence[float], high: float
) -> Choice:
    """From stored values to the network's input; see `InputSettings`.

    Args:
        bands, dtype: Of the images.
        mean, deviation: Measured, per band, of stored values.
        high: A value that hardly any pixel exceeds.
    """
    if (bands, dtype) == (3, "uint8"):
        reason = "8-bit RGB: mean and deviation are those of the trunk's pretraining (null)."
        settings: dict[str, Any] = {"scale": 255.0, "mean": None, "deviation": None}
        return _input(bands, settings, reason)
    if dtype == "uint8":
        scale, why = 255.0, "8 bit"
    else:
        scale = _two_digits(high)
        why = f"{dtype}: 99.9 % of the values lie below the scale"
    settings = {
        "scale": scale,
        "mean": [_four_digits(value / scale) for value in mean],
        # A band that never changes would be divided by zero.
        "deviation": [_four_digits(value / scale) or 1.0 for value in deviation],
    }
    reason = f"{why}. (value / scale - mean) / deviation, measured on the training images."
    return _input(bands, settings, reason)


def _input(bands: int, settings: dict[str, Any], reason: str) -> Choice:
    return Choice({"model.bands": bands, "model.input": settings}, {"model.input": reason})


def _two_digits(value: float) -> float:
    """Rounded up to two digits; never 0, and never 255, which stands for bytes."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    rounded = float(f"{math.ceil(value / unit - 1e-9) * unit:.6g}")
    return rounded if rounded != 255 else 256.0  # noqa: PLR2004


def _four_digits(value: float) -> float:
    return float(f"{value:.4g}")


def choose_loss(names: Sequence[str], shares: Sequence[float]) -> Choice:
    """Loss and class weights, from the classes' shares of the labelled pixels."""
    rarest = min(shares)
    rare = f"{names[list(shares).index(rarest)]} has {percent(rarest)}"
    settings: dict[str, Any] = {
        "loss.kind": BEST["loss"]["kind"],
        "loss.dice_weight": BEST["loss"]["dice_weight"],
        "loss.class_weights": None,
        "loss.regulariser": BEST["loss"]["regulariser"],
    }
    reasons = {
        "loss.kind": (
            "The paper's focal loss (gamma: 6) learns slowly at first; cross-entropy suits a "
            "bounded time."
        ),
        "loss.dice_weight": "Soft Dice looks at each class's overlap, however few its pixels.",
        "loss.regulariser": (
            "Weak coupling of the branches (paper: 0.15); in our studies it costs more than it "
            "gives."
        ),
    }
    if rarest < RARE:
        settings["loss.class_weights"] = balanced(shares)
        reasons["loss.class_weights"] = (
            f"{', '.join(names)}: one over the root of the share, at most {WEIGHT_CAP:g} to 1, "
            f"mean weight of a labelled pixel 1; {rare}."
        )
    else:
        reasons["loss.class_weights"] = f"None: no class is below {RARE:.0%}."
    return Choice(settings, reasons)


def balanced(shares: Sequence[float]) -> list[float]:
    """Capped inverse square roots of the shares; a labelled pixel's expected weight is 1."""
    most = max(shares)
    ratios = [
        min(WEIGHT_CAP, math.sqrt(most / share)) if share > 0 else WEIGHT_CAP for share in shares
    ]
    expected = sum(share * ratio for share, ratio in zip(shares, ratios, strict=True))
    return [round(ratio / expected, 3) for ratio in ratios]


def choose_sampling(
    names: Sequence[str], shares: Sequence[float], sizes: Sequence[Size], sides: Choice
) -> Choice:
    """How many patches of an image a step sees, and how many of them seek rare classes."""
    windows = typical_windows(sizes, sides)
    rare = [name for name, share in zip(names, shares, strict=True) if share < RARE]
    every = windows <= PATCHES and not rare
    reasons = {
        "train.patches": f"Patches drawn per image and step, of about {windows:g}"
        + ("; the paper takes all." if every else "; the paper takes all: slower, less noise."),
    }
    if rare:
        reasons["train.rare_patches"] = (
            f"Share of them centred on a pixel of a class, each equally likely: {', '.join(rare)} "
            f"{'is' if len(rare) == 1 else 'are'} below {RARE:.0%}."
        )
    settings = {
        # All patches of the grid leave none to be moved to rare classes.
        "train.patches": "all" if every else min(windows, PATCHES),
        "train.rare_patches": 0.33 if rare else 0.0,
    }
    return Choice(settings, reasons)


def typical_windows(sizes: Sequence[Size], sides: Choice) -> int:
    """The mean number of patches of an image, at least 1."""
    patch, overlap = sides.settings["model.patch"], sides.settings["model.overlap"]
    factor = 1 / sides.settings["model.shrink"]
    counts = [len(patch_grid(size.scaled(factor), patch, overlap)) for size in sizes]
    return max(1, round(statistics.mean(counts)))


def choose_norm(images: int, batch: int, mini_batch: int, *, pretrained: bool) -> Choice:
    """Whether the trunks keep their pretrained batch statistics."""
    few = images < 200 or min(batch, mini_batch) < 8  # noqa: PLR2004  enough for sound statistics
    if not pretrained:
        reason = "A trunk that starts at random has no statistics worth keeping."
    elif few:
        reason = (
            f"Kept as pretrained: statistics of {images} images, {min(batch, mini_batch)} at a "
            "time, would say little."
        )
    else:
        reason = "Learnt: there are enough images, and enough at a time."
    frozen = pretrained and few
    return Choice({"train.freeze_batch_norm": frozen}, {"train.freeze_batch_norm": reason})


def percent(share: float) -> str:
    """A share in %, with two more digits where it is small."""
    if 0 < share < 0.0001:  # noqa: PLR2004
        return "< 0.01 %"
    return f"{100 * share:.{1 if share >= 0.1 else 2}f} %"  # noqa: PLR2004
