"""The command group, and what a failure looks like: a line each, status 1, no traceback."""

import io
import signal
import sys
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from glnet import __version__
from glnet.cli.stopping import Stopped
from glnet.errors import GatheredError, GlnetError

#: Status of what Ctrl-C ended.
_STOPPED = Stopped.status

_FULL = "out of memory; close other programs, or cut the image into parts"

#: The commands, as they are listed, and what begins their own help. Each lies in the module of its
#: name and is imported when it is asked for: all of them take half a second.
COMMANDS = {
    "data": "Check and index published data sets, as downloaded.",
    "init": "Write a recipe from a folder of images and masks.",
    "train": "Train a recipe; goes on where it was stopped.",
    "evaluate": "Score a model, or masks, against true masks.",
    "predict": "Segment images of any size.",
    "view": "Show a raster and its masks in the browser.",
    "info": "Show what a model folder holds.",
    "export": "Write graphs into a model: a CPU needs no PyTorch.",
    "benchmark": "Train and score several recipes for one table.",
    "doctor": "Find what hinders predicting here, and what to do.",
    "import-weights": "Make a model of the GLNet authors' checkpoints.",
}


class _Commands(TyperGroup):
    """The group of them."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  typer's
        super().__init__(**settings)
        unread: dict[str, Any] = dict.fromkeys(COMMANDS)
        self.commands = unread

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        module = import_module(f"glnet.cli.{name}")
        if cmd_name == "data":
            return typer.main.get_command(module.data)
        one = typer.Typer(add_completion=False, rich_markup_mode=None)
        one.command(cmd_name)(getattr(module, f"{name}_command"))
        return typer.main.get_command(one)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=_Commands,
    help="Segment images too large for the memory at hand, by global-local networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"glnet {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point of the `glnet` command."""
    _write_all_names()
    try:
        _heard()
    except GatheredError as error:
        _fail(1, *error.lines)
    except GlnetError as error:
        _fail(1, str(error))
    except ImportError as error:
        from glnet.extras import install  # noqa: PLC0415  not for every start

        _fail(1, f"{error}; this needs: {install('torch')}")
    except MemoryError:
        _fail(1, _FULL)
    except RuntimeError as error:
        if "can't allocate memory" in str(error):  # torch, on the CPU
            _fail(1, _FULL)
        if "out of memory" not in str(error):
            raise
        _fail(1, "out of device memory; use a smaller train.mini_batch, bf16, or --device cpu")
    except OSError as error:
        _fail(1, str(error))


def _write_all_names() -> None:
    """What an output's encoding has no letter for becomes a question mark there."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _heard() -> None:
    """The command; Ctrl-C ends it with a line, wherever it comes."""
    try:
        app()
    except Stopped as stopped:
        _interrupted(f"{stopped.told}; {stopped}", stopped.status)
    except KeyboardInterrupt:
        _interrupted("interrupted")
    except SystemExit as left:
        if left.code == _STOPPED:  # typer says nothing of Ctrl-C outside a command's own work
            _interrupted("interrupted")
        raise


def _interrupted(line: str, status: int = _STOPPED) -> NoReturn:
    # Whoever cannot wait for threads to end may press it again: no traceback then either.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _fail(status, line)


def _fail(status: int, *lines: str) -> NoReturn:
    for line in lines:
        print(f"glnet: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(status)
