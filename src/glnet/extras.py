"""What to install where a library of an extra is not there."""

import re
from importlib import metadata


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


def _there(requirement: str) -> bool:
    name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
