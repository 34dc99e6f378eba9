"""What is wrong with the data, gathered so that it can be told all at once."""

import contextlib
from collections.abc import Iterable, Iterator

from glnet.errors import DataError, GatheredError, RasterError


class Problems:
    """A list of lines, each told once, however many scenes of one image run into it."""

    def __init__(self) -> None:
        """Start with none."""
        self._lines: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: str) -> None:
        """Note one."""
        self._lines[line] = None

    def note(self, error: DataError | RasterError) -> None:
        """Note what an error tells."""
        lines = error.problems if isinstance(error, GatheredError) else [str(error)]
        self._lines |= dict.fromkeys(lines)

    @contextlib.contextmanager
    def gathered(self) -> Iterator[None]:
        """Note what goes wrong with the data inside, and go on after it."""
        try:
            yield
        except (DataError, RasterError) as error:
            self.note(error)

    def refuse(self) -> None:
        """End here, if anything was noted.

        Raises:
            GatheredError: all of it.
        """
        if self._lines:
            raise self.as_error()

    def as_error(self) -> GatheredError:
        """All of it, to be raised."""
        return GatheredError(list(self._lines))


@contextlib.contextmanager
def gathering(problems: Problems | None) -> Iterator[Problems]:
    """The caller's list, which the caller will look at; or a new one, refused at the end."""
    found = Problems() if problems is None else problems
    yield found
    if problems is None:
        found.refuse()


def listed(paths: Iterable[object], most: int = 3) -> str:
    """Some names, and how many more."""
    names = [str(path) for path in paths]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
