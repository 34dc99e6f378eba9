"""The class table of a model folder."""

from pathlib import Path

from glnet.bundle import BundleConfig
from glnet.datasets.classes import ClassTable
from glnet.errors import BundleError


def table_of(folder: str | Path, config: BundleConfig) -> ClassTable:
    """The classes of a model folder, from its config.

    Raises:
        BundleError: the config's classes cannot be used.
    """
    try:
        return ClassTable.from_dicts(config.classes)
    except (ValueError, KeyError) as error:
        msg = f"{folder}: the classes in its config cannot be used ({error})"
        raise BundleError(msg) from error
