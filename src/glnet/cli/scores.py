"""Evaluations and comparisons as tables for people."""

from rich.table import Table

from glnet.cli.options import plain_console
from glnet.evaluation.comparison import Comparison
from glnet.evaluation.result import Evaluation
from glnet.evaluation.words import images, percent, points, remarks, title, verdict
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
    of_images = [result.mean_image_iou(view) for view in scores]
    means = [percent(found.mean_iou) for found in scores.values()]
    table.add_row("mean IoU", "", *means, style="bold")
    if len(result.images) > 1:
        table.add_row(*_spread(*(result.mean_iou_interval(view) for view in scores)))
        table.add_row("mean IoU of an image", "", *(percent(mean) for mean, _ in of_images))
        table.add_row(*_spread(*(interval for _, interval in of_images)))
    if result.boundaries:
        shares = (_mean_boundary(result, view) for view in scores)
        table.add_row("mean boundary IoU", "", *map(percent, shares))
    if result.calibrations:
        errors = (each.error() for each in result.calibrations.values())
        table.add_row("calibration error", "", *map(percent, errors))
    table.add_row("mean F1", "", *(percent(found.mean_f1) for found in scores.values()))
    table.add_row("accuracy", "", *(percent(found.accuracy) for found in scores.values()))
    console = plain_console()
    console.print(title(result), style="bold", soft_wrap=True)
    console.print(table)
    for line in remarks(result):
        console.print(line, style="dim", soft_wrap=True)


def show_details(result: Evaluation, whose: str = "") -> None:
    """Every score of every class in the default view."""
    table = _table("class", "ground")
    scores, boundary = result.scores(), result.boundary_iou()
    columns = {"IoU": scores.iou, "precision": scores.precision, "recall": scores.recall}
    if boundary is not None:
        columns["boundary"] = boundary
    columns["F1"] = scores.f1
    for column in (*columns, "95 %"):
        table.add_column(column, justify="right", no_wrap=True)
    spread = result.class_intervals("f1")
    for i, (name, share) in enumerate(_shares(result)):
        own = (percent(values[i]) for values in columns.values())
        table.add_row(name, share, *own, _between(spread[i]))
    table.add_section()
    means = (percent(float(result.protocol.mean(values))) for values in columns.values())
    table.add_row("mean", "", *means, style="bold")
    console = plain_console()
    console.print(
        f"\n{_whose(result, whose)}, scores in %; F1 is Dice, with its interval",
        style="bold",
        soft_wrap=True,
    )
    console.print(table)


def show_calibration(result: Evaluation, whose: str = "") -> None:
    """How often the default view's confidence is right, the most confident ground first."""
    found = result.calibrations[result.view]
    table = _table("confidence", "ground", "right", "so sure or more", "right")
    total, pixels, right = found.pixels.sum(), 0, 0.0
    for each in found.bins():
        pixels, right = pixels + each.pixels, right + each.pixels * each.right
        table.add_row(
            f"{each.low:.0%} to {each.high:.0%}", f"{each.pixels / total:.1%}",
            percent(each.right), f"{pixels / total:.1%}", percent(right / pixels),
        )  # fmt: skip
    console = plain_console()
    heading = f"\n{_whose(result, whose)}, how often its confidence is right, in %"
    console.print(heading, style="bold", soft_wrap=True)
    console.print(table)


def _whose(result: Evaluation, whose: str) -> str:
    return f"{whose}, {result.view}" if whose else result.view


def show_comparison(found: Comparison, names: tuple[str, str]) -> None:
    """IoU of every class of both and the difference; whether it is more than chance, in a line."""
    model, against = found.model, found.against
    table = _table("class", "A", "B", "A - B", "95 %")
    columns = *found.class_ious, found.class_iou_intervals
    for name, ours, theirs, spread in zip(found.names, *columns, strict=True):
        row = percent(ours), percent(theirs), points(ours - theirs), _between_points(spread)
        table.add_row(name, *row)
    table.add_section()
    for score, kind in (("mean IoU", "mean_iou"), ("mean F1", "mean_f1"), ("accuracy", "accuracy")):
        pair = [getattr(each.scores(), kind) for each in (model, against)]
        table.add_row(score, *map(percent, pair), points(pair[0] - pair[1]))
    if model.boundaries:
        pair = [_mean_boundary(each, each.view) for each in (model, against)]
        table.add_row("mean boundary IoU", *map(percent, pair), points(pair[0] - pair[1]))
    if model.calibrations:
        pair = [each.calibrations[each.view].error() for each in (model, against)]
        table.add_row("calibration error", *map(percent, pair), points(pair[0] - pair[1]))
    console = plain_console()
    console.print(f"A: {names[0]}, {model.view}\nB: {names[1]}, {against.view}", soft_wrap=True)
    console.print(title(model), style="bold", soft_wrap=True)
    console.print(table)
    console.print(verdict(found.mean_iou_interval), style="bold", soft_wrap=True)
    ours, theirs = found.image_mean_ious
    better, worse = (ours > theirs).sum(), (ours < theirs).sum()
    console.print(f"A is better on {better} of {images(model)}, worse on {worse}.")
    for line in remarks(model):
        console.print(line, style="dim", soft_wrap=True)


def _table(first: str, *columns: str) -> Table:
    table = Table()
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _shares(result: Evaluation) -> list[tuple[str, str]]:
    """Every class's name and its share of the counted ground of classes."""
    pixels = result.scores().pixels
    total = max(1, pixels.sum())
    shares = [(name, f"{n / total:.1%}") for name, n in zip(result.names, pixels, strict=True)]
    for i in () if result.protocol.counts_unknown else result.protocol.unknown:
        shares[i] = (result.names[i], "-")
    return shares


def _spread(*intervals: Interval | None) -> tuple[str, ...]:
    return ("  95 % interval", "", *map(_between, intervals))


def _between(interval: Interval | None) -> str:
    if interval is None:
        return "-"
    return f"{percent(interval.low)}-{percent(interval.high)}"


def _between_points(spread: Interval | None) -> str:
    return "-" if spread is None else f"{points(spread.low)} to {points(spread.high)}"


def _mean_boundary(result: Evaluation, view: str) -> float:
    found = result.boundary_iou(view)
    return float("nan") if found is None else float(result.protocol.mean(found))
