"""What to install where a library of an extra is not there, and what one cannot do."""

import re
from importlib import metadata
from pathlib import Path


def install(extra: str) -> str:
    """The command that brings an extra's libraries: those that are missing, else all of them.

    It names the libraries, not `glnet[extra]`: where glnet came from a clone, an index would bring
    what is called glnet there.
    """
    try:
        wanted = metadata.requires("glnet") or []
    except metadata.PackageNotFoundError:  # run from its sources
        return f"pip install '.[{extra}]', in glnet's folder"
    brings = [
        requirement.strip()
        for requirement, _, marker in (line.partition(";") for line in wanted)
        if re.search(rf"extra == ['\"]{extra}['\"]", marker)
    ]
    missing = [each for each in brings if not _there(each)]
    return " ".join(["pip install", *(f"'{each}'" for each in missing or brings)])


def misnamed(path: Path) -> bool:
    """Would pyogrio open another file? It reads some names as addresses: of `a;b` it opens `a`."""
    from pyogrio.util import vsi_path  # noqa: PLC0415  an extra

    return bool(vsi_path(path) != str(path))


def _there(requirement: str) -> bool:
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
