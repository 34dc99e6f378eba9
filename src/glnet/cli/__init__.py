"""The command line: parse, call, print. One file per command."""

from glnet.cli.main import main

__all__ = ["main"]
