"""Paths as recipes and manifests hold them, and files that are there already."""

import os
from collections.abc import Iterable
from pathlib import Path

from glnet.errors import RecipeError


def told(path: Path, folder: Path) -> str:
    """A path as a file in `folder` names it: relative, so that both can move together.

    Absolute where they have no folder in common but the root, or lie on two drives. Links in the
    name of the file itself are kept: the name may say more than what it points to.
    """
    absolute, base = path.parent.resolve() / path.name, folder.resolve()
    try:
        common = Path(os.path.commonpath([absolute, base]))
    except ValueError:  # two drives
        return absolute.as_posix()
    if common == common.parent:
        return absolute.as_posix()
    return Path(os.path.relpath(absolute, base)).as_posix()


def refuse_existing(paths: Iterable[Path]) -> None:
    """Raises RecipeError where one of the files exists: it may hold edits."""
    for path in paths:
        if path.exists():
            msg = f"{path}: exists, and may hold your edits; say --force to overwrite it, or name "
            raise RecipeError(msg + "another folder by --out")
