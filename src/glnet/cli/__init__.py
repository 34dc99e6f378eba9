"""The command line: parse, call, print. One file per command."""

import sys

try:
    from glnet.cli.main import main
except KeyboardInterrupt:  # it takes a second
    sys.exit(130)

__all__ = ["main"]
