"""How far long work is: a bar in a terminal, a line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
)
from rich.text import Text

from glnet.engines.held import held
from glnet.recipe.amounts import show_bytes

#: Seconds between two lines where nobody watches.
_EVERY = 30.0


class Watch:
    """Steps of work as they are done, and what they lead to expect.

    Attributes:
        what: Is done, in words: the unit, or a step that nobody can count.
        done, total: How many; a total of 0 is not known.
    """

    def __init__(self, what: str) -> None:
        """Nothing is done yet."""
        self.say(what)

    def say(self, what: str) -> None:
        """Something else begins."""
        self.what, self.done, self.total = what, 0, 0
        self._first: tuple[float, int] | None = None

    def __call__(self, done: int, total: int) -> None:
        """So many are done, of so many; fewer than before is another count."""
        self._last = time.monotonic()
        # What a stopped run had finished is no measure of this one: the first to be told is.
        if self._first is None or done < self.done:
            self._first = self._last, done
        self.done, self.total = done, total

    @property
    def pace(self) -> list[str]:
        """Rate, time that remains and memory, as far as they are known."""
        known = []
        if self._first is not None and self.done > self._first[1]:
            seconds = max(self._last - self._first[0], 1e-9)
            rate = (self.done - self._first[1]) / seconds
            waited = time.monotonic() - self._last
            left = max(0.0, (self.total - self.done) / rate - waited)
            known = [_rate(rate), f"{clock(left)} left"]
        return known + memory_now()


def memory_now() -> list[str]:
    """What this process holds now, in words; nothing where the system does not say."""
    bytes_ = held()
    return [] if bytes_ is None else [show_bytes(bytes_)]


def clock(seconds: float) -> str:
    """Hours where there are any, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextlib.contextmanager
def progress_of(what: str) -> Iterator[Watch]:
    """Something to tell how many are done, and of how many; one alone is not worth a line."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(what)
        return
    pace = _Pace()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    # Else what is piped would be shown above the bar, and be missing from the pipe.
    apart = not sys.stdout.isatty()
    with Progress(
        *columns, pace, console=console, transient=True, redirect_stdout=not apart
    ) as bar:
        pace.watch = watch = _Drawn(what, bar)
        yield watch


class _Lines(Watch):
    """Of work that nobody watches."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self._told = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        super().__call__(done, total)
        if total > 1 and time.monotonic() - self._told > _EVERY:
            self._told = time.monotonic()
            typer.echo(f"{self.what}: {', '.join([f'{done} of {total}', *self.pace])}", err=True)


class _Pace(ProgressColumn):
    """As it is at the moment it is drawn."""

    max_refresh = 0.5
    watch: Watch | None = None

    def render(self, _: Task) -> Text:
        return Text(", ".join(self.watch.pace) if self.watch else "")


class _Drawn(Watch):
    """Of the one bar of a terminal."""

    def __init__(self, what: str, bar: Progress) -> None:
        self._bar, self._task = bar, bar.add_task(what, total=None)
        super().__init__(what)

    def say(self, what: str) -> None:
        super().say(what)
        self._bar.reset(self._task, total=None, description=what)

    def __call__(self, done: int, total: int) -> None:
        super().__call__(done, total)
        last = done == total
        self._bar.update(self._task, completed=done, total=total, refresh=last)


def _rate(each_second: float) -> str:
    if each_second < 0.1:  # noqa: PLR2004  a few digits
        return f"{1 / each_second:.0f} s each"
    return f"{each_second:.2f}/s" if each_second < 10 else f"{each_second:.0f}/s"  # noqa: PLR2004
