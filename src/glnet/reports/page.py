"""From values to one HTML file: no script, and nothing from elsewhere."""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from glnet import __version__
from glnet.errors import RasterError
from glnet.outputs.files import check_target, whole_or_nothing

#: In the folder that a user names.
NAME = "report.html"


def report_in(folder: Path, taken: Sequence[Path] = ()) -> Path:
    """The report of a folder, which is made where it is missing.

    Args:
        folder: As a user names it.
        taken: Files that must not be overwritten.

    Raises:
        RasterError: it is no folder, or cannot be written to; found before the work.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        msg = f"{folder}: is a file; name a folder for the report"
        raise RasterError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{folder}: the report cannot be written there ({error}); choose another folder"
        raise RasterError(msg) from error
    check_target(folder / NAME, (".html",), taken)
    return folder / NAME


def write_page(path: Path, template: str, values: Mapping[str, object]) -> None:
    """Fill a template and write it; an older page is replaced as a whole.

    Raises:
        RasterError: the file could not be written.
    """
    # Deferred: most commands write no page.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("glnet.reports"),
        autoescape=True,  # names of classes and files are anyone's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "share": _share, "grouped": _grouped}
    shown = {"written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "versions": versions()}
    text = environment.get_template(template).render(shown | dict(values))
    with whole_or_nothing(path) as partial:
        # A name that is not UTF-8 is told by its bytes.
        partial.write_bytes(text.encode("utf-8", "backslashreplace"))


def versions() -> dict[str, str]:
    """Of what every report is made with."""
    return {"glnet": __version__, "Python": platform.python_version(), "NumPy": np.__version__}


def _percent(value: float | None, digits: int = 1) -> str:
    """A share in [0, 1] in percent, a dash where there is none."""
    return "-" if unknown(value) else f"{100 * float(value or 0):.{digits}f}"


def _share(value: float | None) -> str:
    """A share in [0, 1] as a length in CSS or an attribute; nothing where there is none."""
    return "0" if unknown(value) else f"{min(max(float(value or 0), 0.0), 1.0):.4f}"


def _grouped(value: float) -> str:
    """A whole number in groups of three digits."""
    return f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def unknown(value: float | None) -> bool:
    """Is there no number to show?"""
    return value is None or value != value  # noqa: PLR0124  NaN
