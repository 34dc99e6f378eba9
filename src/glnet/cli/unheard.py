"""C libraries print what they think of a damaged file; users get one line, and it is ours."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def libraries_unheard() -> Iterator[None]:
    """What is printed on stderr past Python is lost meanwhile; what goes through it is shown."""
    try:
        shown = os.fdopen(os.dup(2), "w", errors="backslashreplace")
    except OSError:  # there is no stderr
        yield
        return
    with shown, contextlib.redirect_stderr(shown):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        try:
            yield
        finally:
            os.dup2(shown.fileno(), 2)
