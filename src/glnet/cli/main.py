"""The command group, and what a failure looks like: a line each, status 1, no traceback."""

import signal
import sys
from typing import Annotated, NoReturn

import typer

from glnet import __version__
from glnet.cli.benchmark import benchmark_command
from glnet.cli.data import data
from glnet.cli.doctor import doctor_command
from glnet.cli.evaluate import evaluate_command
from glnet.cli.export import export_command
from glnet.cli.import_weights import import_weights_command
from glnet.cli.info import info_command
from glnet.cli.init import init_command
from glnet.cli.predict import predict_command
from glnet.cli.stopping import Stopped
from glnet.cli.train import train_command
from glnet.cli.view import view_command
from glnet.errors import GatheredError, GlnetError
from glnet.extras import install

#: Status of what Ctrl-C ended.
_STOPPED = 130

app = typer.Typer(
    help="Segment images too large for the memory at hand, by global-local networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data, name="data")
app.command("init")(init_command)
app.command("train")(train_command)
app.command("predict")(predict_command)
app.command("view")(view_command)
app.command("evaluate")(evaluate_command)
app.command("benchmark")(benchmark_command)
app.command("export")(export_command)
app.command("info")(info_command)
app.command("doctor")(doctor_command)
app.command("import-weights")(import_weights_command)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"glnet {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point of the `glnet` command."""
    try:
        _heard()
    except GatheredError as error:
        _fail(1, *error.lines)
    except GlnetError as error:
        _fail(1, str(error))
    except ImportError as error:
        _fail(1, f"{error}; this needs: {install('torch')}")
    except MemoryError:
        _fail(1, "out of memory; close other programs, or cut the image into parts")
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        _fail(1, "out of device memory; use a smaller train.mini_batch, bf16, or --device cpu")
    except OSError as error:
        _fail(1, str(error))


def _heard() -> None:
    """The command; Ctrl-C ends it with a line, wherever it comes."""
    try:
        app()
    except Stopped as stopped:
        _interrupted(f"interrupted; {stopped}")
    except KeyboardInterrupt:
        _interrupted("interrupted")
    except SystemExit as left:
        if left.code == _STOPPED:  # typer says nothing of Ctrl-C outside a command's own work
            _interrupted("interrupted")
        raise


def _interrupted(line: str) -> NoReturn:
    # Whoever cannot wait for threads to end may press it again: no traceback then either.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _fail(_STOPPED, line)


def _fail(status: int, *lines: str) -> NoReturn:
    for line in lines:
        print(f"glnet: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(status)
