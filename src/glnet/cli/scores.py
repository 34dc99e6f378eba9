"""Evaluations and comparisons as tables for people."""

from collections.abc import Iterator

from rich.table import Table

from glnet.cli.options import plain_console
from glnet.evaluation.comparison import Comparison
from glnet.evaluation.result import Evaluation
from glnet.metrics import Interval


def show_evaluation(result: Evaluation) -> None:
    """IoU of every class in every view, and the means with their intervals."""
    table = _table("class", "ground")
    scores = {view: result.scores(view) for view in result.pairs}
    for view in scores:
        table.add_column(view, justify="right")
    for i, (name, share) in enumerate(_shares(result)):
        table.add_row(name, share, *(percent(found.iou[i]) for found in scores.values()))
    table.add_section()
    images = [result.mean_image_iou(view) for view in scores]
    means = [percent(found.mean_iou) for found in scores.values()]
    table.add_row("mean IoU", "", *means, style="bold")
    if len(result.images) > 1:
        table.add_row(*_spread(*(result.mean_iou_interval(view) for view in scores)))
        table.add_row("mean IoU of an image", "", *(percent(mean) for mean, _ in images))
        table.add_row(*_spread(*(interval for _, interval in images)))
    if result.boundaries:
        shares = (_mean_boundary(result, view) for view in scores)
        table.add_row("mean boundary IoU", "", *map(percent, shares))
    table.add_row("mean F1", "", *(percent(found.mean_f1) for found in scores.values()))
    table.add_row("accuracy", "", *(percent(found.accuracy) for found in scores.values()))
    console = plain_console()
    console.print(_title(result), style="bold", soft_wrap=True)
    console.print(table)
    for line in _remarks(result):
        console.print(line, style="dim", soft_wrap=True)


def show_details(result: Evaluation, title: str = "") -> None:
    """Every score of every class in the default view."""
    heading = f"{title}, {result.view}" if title else result.view
    table = _table("class", "ground")
    scores, boundary = result.scores(), result.boundary_iou()
    columns = {"IoU": scores.iou, "precision": scores.precision, "recall": scores.recall}
    columns["F1"] = scores.f1
    if boundary is not None:
        columns["boundary IoU"] = boundary
    for column in columns:
        table.add_column(column, justify="right")
    for i, (name, share) in enumerate(_shares(result)):
        table.add_row(name, share, *(percent(values[i]) for values in columns.values()))
    table.add_section()
    means = (percent(float(result.protocol.mean(values))) for values in columns.values())
    table.add_row("mean", "", *means, style="bold")
    console = plain_console()
    console.print(f"\n{heading}, scores in %; F1 is Dice", style="bold", soft_wrap=True)
    console.print(table)


def show_comparison(found: Comparison, names: tuple[str, str]) -> None:
    """IoU of every class of both and the difference; whether it is more than chance, in a line."""
    model, against = found.model, found.against
    table = _table("class", "A", "B", "A - B")
    for name, ours, theirs in zip(found.names, *found.class_ious, strict=True):
        table.add_row(name, percent(ours), percent(theirs), points(ours - theirs))
    table.add_section()
    for title, kind in (("mean IoU", "mean_iou"), ("mean F1", "mean_f1"), ("accuracy", "accuracy")):
        pair = [getattr(each.scores(), kind) for each in (model, against)]
        table.add_row(title, *map(percent, pair), points(pair[0] - pair[1]))
    if model.boundaries:
        pair = [_mean_boundary(each, each.view) for each in (model, against)]
        table.add_row("mean boundary IoU", *map(percent, pair), points(pair[0] - pair[1]))
    console = plain_console()
    console.print(f"A: {names[0]}, {model.view}\nB: {names[1]}, {against.view}", soft_wrap=True)
    console.print(_title(model), style="bold", soft_wrap=True)
    console.print(table)
    console.print(_verdict(found.mean_iou_interval), style="bold", soft_wrap=True)
    ours, theirs = found.image_mean_ious
    better, worse = (ours > theirs).sum(), (ours < theirs).sum()
    console.print(f"A is better on {better} of {_images(model)}, worse on {worse}.")
    for line in _remarks(model):
        console.print(line, style="dim", soft_wrap=True)


def _verdict(interval: Interval | None) -> str:
    """Whether the interval of the difference in mean IoU excludes 0, in a line."""
    if interval is None:
        return "No interval of the difference: it takes two labelled images."
    between = f"the 95 % interval {points(interval.low)} to {points(interval.high)}"
    if not interval.excludes_zero:
        return f"No clear difference in mean IoU: {between} includes 0."
    return f"A is {'better' if interval.low > 0 else 'worse'} in mean IoU: {between} excludes 0."


def _remarks(result: Evaluation) -> Iterator[str]:
    """What a reader must know to read the numbers rightly."""
    if unknown := result.unknown:
        names, more = ", ".join(unknown), len(unknown) > 1
        counted = "is counted" if result.protocol.counts_unknown else "is not counted"
        yield f"Ground of {names} {counted}; the means leave {'them' if more else 'it'} out."
    if result.near:
        yield f"{result.near} pixels of the true masks were near-colours."
    patches = result.patches
    if patches and patches.computed < patches.whole:
        share = percent(patches.computed / patches.whole)
        yield f"The local branch saw {patches.computed} of {patches.whole} patches ({share} %)."


def _table(first: str, *columns: str) -> Table:
    table = Table()
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _title(result: Evaluation) -> str:
    if result.protocol.counts_unknown:
        protocol = ", GLNet protocol"
    else:
        protocol = ", unknown ground ignored" if result.unknown else ""
    return f"IoU in %, {_images(result)}{protocol}"


def _images(result: Evaluation) -> str:
    count = len(result.images)
    return f"{count} image{'s' * (count != 1)}"


def _shares(result: Evaluation) -> list[tuple[str, str]]:
    """Every class's name and its share of the counted ground of classes."""
    pixels = result.scores().pixels
    total = max(1, pixels.sum())
    shares = [(name, f"{n / total:.1%}") for name, n in zip(result.names, pixels, strict=True)]
    for i in () if result.protocol.counts_unknown else result.protocol.unknown:
        shares[i] = (result.names[i], "-")
    return shares


def _spread(*intervals: Interval | None) -> tuple[str, ...]:
    return ("  95 % interval", "", *("-" if i is None else _between(i) for i in intervals))


def _between(interval: Interval) -> str:
    return f"{percent(interval.low)}-{percent(interval.high)}"


def _mean_boundary(result: Evaluation, view: str) -> float:
    found = result.boundary_iou(view)
    return float("nan") if found is None else float(result.protocol.mean(found))


def percent(share: float) -> str:
    """A share in [0, 1] in percent, a dash where there is none."""
    return "-" if share != share else f"{100 * share:.1f}"  # noqa: PLR0124  NaN


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign; a dash where there is none."""
    return "-" if difference != difference else f"{100 * difference:+.1f}"  # noqa: PLR0124  NaN
