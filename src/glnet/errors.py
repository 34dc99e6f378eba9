"""What can go wrong, as one small tree. Every message fits one line: wanted, found, what to do.

GlnetError
├── RecipeError    a recipe or a setting that cannot be used
├── DataError      a manifest, a class table or a mask that cannot be used
├── RasterError    an image file that cannot be read, or a mask that cannot be written
├── BundleError    a model folder or a checkpoint that cannot be used
└── RunError       a step that cannot run here: a missing earlier stage, a device, a diverged loss
"""


class GlnetError(Exception):
    """Anything a user can mend; the command line shows its message and ends with status 1."""


class RecipeError(GlnetError):
    """A recipe or a setting that cannot be used."""


class DataError(GlnetError):
    """A manifest, a class table or a mask that cannot be used."""


class RasterError(GlnetError):
    """An image file that cannot be read, or a mask that cannot be written."""


class BundleError(GlnetError):
    """A model folder or a checkpoint that cannot be used."""


class RunError(GlnetError):
    """A step that cannot run here: a missing earlier stage, a device, a diverged loss."""
