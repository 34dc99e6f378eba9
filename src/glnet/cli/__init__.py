"""The command line: parse, call `glnet.api`, print. One file per command."""

from glnet.cli.main import main

__all__ = ["main"]
