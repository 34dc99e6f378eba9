"""`glnet doctor`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from glnet.cli.options import MODEL_HELP, harmless, plain_console
from glnet.cli.progress import progress_of
from glnet.cli.stopping import NOTHING, when_stopped
from glnet.doctor.examine import examine
from glnet.doctor.finding import Finding

_STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}
_WIDTH = max(map(len, _STYLES))


@when_stopped(NOTHING)
def doctor_command(
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help=f"{MODEL_HELP}: can it run here?")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where masks would be written.")] = Path(),
    trial: Annotated[
        bool, typer.Option("--trial/--no-trial", help="Predict a small image, too.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Find what hinders predicting here, and what to do.

    The status is 1 where nothing could be predicted.
    """
    console, topic = plain_console(), ""
    found: list[Finding] = []
    with progress_of("looking") as progress:
        for each in examine(folder.absolute(), model, trial=trial, said=progress.say):
            found.append(each)
            if not as_json:
                if each.topic != topic:
                    console.print(each.topic, style="bold")
                topic = each.topic
                _show(console, each)
    stops = [each for each in found if each.stops]
    if as_json:
        told = {"predicts": not stops, "findings": [asdict(each) for each in found]}
        typer.echo(json.dumps(told, indent=2))
    else:
        _sum_up(console, found)
    if stops:
        raise typer.Exit(1)


def _show(console: Console, finding: Finding) -> None:
    console.print(f"  {finding.level:{_WIDTH}} ", style=_STYLES[finding.level], end="")
    console.print(harmless(finding.what), soft_wrap=True)
    if finding.advice:
        console.print(f"  {'':{_WIDTH}} -> {harmless(finding.advice)}", soft_wrap=True)


def _sum_up(console: Console, found: list[Finding]) -> None:
    counts = {level: sum(each.level == level for each in found) for level in ("problem", "note")}
    words = [f"{n} {level}{'' if n == 1 else 's'}" for level, n in counts.items() if n]
    stops = any(each.stops for each in found)
    verdict = "nothing can be predicted here" if stops else "glnet can predict here"
    console.print(f"{verdict}; {', '.join(words) or 'nothing to say'}", style="bold")
