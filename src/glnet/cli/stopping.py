"""Ctrl-C and SIGTERM: a line that says what is there, and how to go on."""

import contextlib
import signal
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")

#: Of commands that keep what is finished.
GOES_ON = "the same command goes on from what is finished"

#: Of those whose work is written at its end.
NOTHING = "nothing was written"

#: Of their end.
WRITING = "while writing; some of the files may be there"


class Stopped(Exception):  # noqa: N818  it is no error
    """Ctrl-C; typer would end the command without a word."""

    status, told = 128 + signal.SIGINT, "interrupted"


class Terminated(Stopped):
    """SIGTERM, which schedulers send some seconds before they kill."""

    status, told = 128 + signal.SIGTERM, "terminated"


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


def until_terminated(items: Generator[T, None, None], words: str) -> Iterator[T]:
    """The items; after SIGTERM their generator is closed at the next one. A second ends all.

    Args:
        items: What closes in good order.
        words: How that leaves things.

    Raises:
        Terminated: SIGTERM came.
    """
    heard = []

    def hear(*_: object) -> None:
        heard.append(True)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = signal.signal(signal.SIGTERM, hear)
    try:
        with contextlib.closing(items):
            for item in items:
                yield item
                if heard:
                    raise Terminated(words)
    finally:
        signal.signal(signal.SIGTERM, before)
