"""The command group, and what a failure looks like: one line, status 1, no traceback."""

import sys
from typing import Annotated

import typer

from glnet import __version__
from glnet.cli.evaluate import evaluate_command
from glnet.cli.import_weights import import_weights_command
from glnet.cli.init import init_command
from glnet.cli.predict import predict_command
from glnet.cli.train import train_command
from glnet.errors import GlnetError

app = typer.Typer(
    help="Segment images too large for the memory at hand, by global-local networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init")(init_command)
app.command("train")(train_command)
app.command("predict")(predict_command)
app.command("evaluate")(evaluate_command)
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
        app()
    except GlnetError as error:
        _fail(str(error), 1)
    except ImportError as error:
        _fail(f"{error}; training and prediction need: pip install 'glnet[torch]'", 1)
    except MemoryError:
        _fail("out of memory; close other programs, or cut the image into parts", 1)
    except RuntimeError as error:
        if "out of memory" not in str(error):
            raise
        _fail("out of device memory; use a smaller train.mini_batch, bf16, or --device cpu", 1)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except OSError as error:
        _fail(str(error), 1)


def _fail(message: str, status: int) -> None:
    print(f"glnet: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)
