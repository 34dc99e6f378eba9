"""Ctrl-C: a line that says what is there, and how to go on."""

import contextlib
from collections.abc import Iterator

#: Of commands that keep what is finished.
GOES_ON = "the same command goes on from what is finished"

#: Of those whose work is written at its end.
NOTHING = "nothing was written"

#: Of their end.
WRITING = "while writing; some of the files may be there"


class Stopped(Exception):  # noqa: N818  it is no error
    """Ctrl-C; typer would end the command without a word."""


@contextlib.contextmanager
def when_stopped(words: str) -> Iterator[None]:
    """Ctrl-C in here leaves things as the words say; the innermost ones count.

    Raises:
        Stopped: it was pressed.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise Stopped(words) from error
