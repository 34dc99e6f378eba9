"""What can go wrong, as one small tree. A message fits one line: wanted, found, what to do.

GlnetError
├── RecipeError    a recipe or a setting that cannot be used
├── DataError      a manifest, a class table or a mask that cannot be used
│   └── GatheredError  all that is wrong with some data, one line each
├── RasterError    an image file that cannot be read, or a mask that cannot be written
├── BundleError    a model folder or a checkpoint that cannot be used
└── RunError       a step that cannot run here: a missing earlier stage, a device, a diverged loss
"""

from collections.abc import Sequence


class GlnetError(Exception):
    """Anything a user can mend; the command line shows its message and ends with status 1."""


class RecipeError(GlnetError):
    """A recipe or a setting that cannot be used."""


class DataError(GlnetError):
    """A manifest, a class table or a mask that cannot be used."""


class GatheredError(DataError):
    """All that is wrong with some data; the message is one line per problem, the first of many."""

    #: Lines beyond this are counted only: who mends twenty will ask again.
    SHOWN = 20

    def __init__(self, problems: Sequence[str]) -> None:
        more = len(problems) - self.SHOWN
        tail = (f"... and {more} more",) if more > 0 else ()
        self.problems = tuple(" ".join(problem.split()) for problem in problems)
        self.lines = (*self.problems[: self.SHOWN], *tail)
        super().__init__("\n".join(self.lines))

    def __reduce__(self) -> tuple[type, tuple[Sequence[str]]]:
        """Sent to another process, it is made of its problems again."""
        return type(self), (self.problems,)


class RasterError(GlnetError):
    """An image file that cannot be read, or a mask that cannot be written."""


class BundleError(GlnetError):
    """A model folder or a checkpoint that cannot be used."""


class RunError(GlnetError):
    """A step that cannot run here: a missing earlier stage, a device, a diverged loss."""
