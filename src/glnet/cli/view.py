"""`glnet view`."""

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Annotated

import typer

from glnet.cli.options import bands_of
from glnet.cli.progress import progress_of
from glnet.cli.stopping import NOTHING, when_stopped
from glnet.errors import RunError
from glnet.extras import install


def view_command(
    raster: Annotated[Path, typer.Argument(help="Image file of any size.")],
    mask: Annotated[Path | None, typer.Argument(help="Its mask.")] = None,
    truth: Annotated[Path | None, typer.Argument(help="The true mask: errors are shown.")] = None,
    confidence: Annotated[
        Path | None, typer.Option(help="What glnet predict --confidence wrote.")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Class table; default: what the mask says of itself.")
    ] = None,
    bands: Annotated[
        str | None, typer.Option(help="One band, or red, green and blue: 4,3,2 (from 1).")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for smaller copies of large files; default: beside them."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port on this machine.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
) -> None:
    """Show a raster and its masks in the browser.

    Mask, truth and confidence lie over it, at any zoom; Ctrl-C ends it.
    """
    from glnet.viewer.show import opened_show  # noqa: PLC0415  see predict

    try:
        from glnet.viewer.server import serve  # noqa: PLC0415  of an extra
    except ImportError as error:
        msg = f"{error}; this needs: {install('view')}"
        raise RunError(msg) from error

    with ExitStack() as stack:
        with when_stopped(NOTHING), progress_of("rows of smaller copies") as said:
            show = stack.enter_context(
                opened_show(
                    raster, mask, truth, confidence=confidence, classes=classes,
                    bands=bands_of(bands) or (), cache=cache, said=said,
                )
            )  # fmt: skip
        # A script's background jobs ignore Ctrl-C but for the server, which ends without a word.
        with suppress(KeyboardInterrupt):
            serve(
                show,
                port,
                lambda address: typer.echo(f"{address} (Ctrl-C ends it)"),
                browser=browser,
            )
        typer.echo("closed")
