"""What is said of evaluations, on a terminal and in reports alike."""

from collections.abc import Iterator

from glnet.evaluation.result import Evaluation
from glnet.metrics import Interval


def verdict(interval: Interval | None) -> str:
    """Whether the interval of the difference in mean IoU excludes 0, in a line."""
    if interval is None:
        return "No interval of the difference: it takes two labelled images, or groups of them."
    between = f"the 95 % interval {points(interval.low)} to {points(interval.high)}"
    if not interval.excludes_zero:
        return f"No clear difference in mean IoU: {between} includes 0."
    return f"A is {'better' if interval.low > 0 else 'worse'} in mean IoU: {between} excludes 0."


def remarks(result: Evaluation) -> Iterator[str]:
    """What a reader must know to read the numbers rightly."""
    if unknown := result.unknown:
        names, more = ", ".join(unknown), len(unknown) > 1
        counted = "is counted" if result.protocol.counts_unknown else "is not counted"
        yield f"Ground of {names} {counted}; the means leave {'them' if more else 'it'} out."
    if missed := int(result.matrices[result.view].missed.sum()):
        yield f"{missed} labelled pixels have no class in the predicted masks and count as missed."
    if result.groups:
        if result.group_count > 1:
            yield f"Intervals are over {result.group_count} groups of images, drawn whole."
        else:
            yield "No interval: it takes two groups of images, for they are drawn whole."
    if result.near:
        yield f"{result.near} pixels of the true masks were near-colours."
    patches = result.patches
    if patches and patches.computed < patches.whole:
        share = percent(patches.computed / patches.whole)
        yield f"The local branch saw {patches.computed} of {patches.whole} patches ({share} %)."
    yield from result.notes


def title(result: Evaluation) -> str:
    """What is shown, of how many images, by which protocol."""
    if result.protocol.counts_unknown:
        protocol = ", GLNet protocol"
    else:
        protocol = ", unknown ground ignored" if result.unknown else ""
    return f"IoU in %, {images(result)}{protocol}"


def images(result: Evaluation) -> str:
    """How many there are."""
    count = len(result.images)
    return f"{count} image{'s' * (count != 1)}"


def percent(share: float) -> str:
    """A share in [0, 1] in percent, a dash where there is none."""
    return "-" if share != share else f"{100 * share:.1f}"  # noqa: PLR0124  NaN


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign; a dash where there is none."""
    return "-" if difference != difference else f"{100 * difference:+.1f}"  # noqa: PLR0124  NaN
