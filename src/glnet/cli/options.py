"""Options that several commands share, defined once."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

#: What a model is given as.
MODEL_HELP = "Model folder, or ORG/NAME on the Hugging Face Hub"

Model = Annotated[Path, typer.Option("--model", "-m", help=f"{MODEL_HELP}.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Precision = Annotated[str, typer.Option(help="fp32, bf16, fp16 or int8.")]
EngineName = Annotated[
    str, typer.Option("--engine", help="openvino, torch, plain (not folded) or auto.")
]
Tta = Annotated[bool, typer.Option("--tta", help="Average over 8 flips and quarter turns.")]
Tolerance = Annotated[
    int, typer.Option(min=0, max=127, help="Largest difference per channel of a near-colour.")
]


def plain_console() -> Console:
    """Where names are printed as they are: no markup, no highlighting, no emoji."""
    return Console(highlight=False, markup=False, emoji=False)


def harmless(text: str) -> str:
    """A stranger's text without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def one_of(value: str, known: tuple[str, ...], option: str) -> str:
    """`value` where it is known, else a usage error that lists what is."""
    if value not in known:
        msg = f"{option}: wanted {', '.join(known)}; got '{value}'"
        raise typer.BadParameter(msg)
    return value


def goes_with(needed: str, there: object, **given: object) -> None:
    """Refuse options that would do nothing, for they need another one."""
    idle = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if idle and not there:
        msg = f"{', '.join(idle)}: only with {needed}"
        raise typer.BadParameter(msg)


def bands_of(text: str | None) -> tuple[int, ...] | None:
    """Numbers of bands, as in 4,3,2; None stays None."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        msg = f"--bands: wanted numbers like 4,3,2; got '{text}'"
        raise typer.BadParameter(msg)
    return tuple(int(part) for part in parts)
