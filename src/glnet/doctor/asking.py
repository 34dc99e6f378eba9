"""Questions that may end the process that asks them, so another one does."""

import json
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata, util
from typing import Any

from glnet.doctor.facts import Imported
from glnet.doctor.libraries import Library

#: Seconds after which a library will not import any more; torch takes half a minute on a slow disk.
_PATIENCE = 300.0


def asked_apart(module: str, arguments: Iterable[str]) -> tuple[list[dict[str, Any]], str]:
    """Run a module of ours in a process of its own.

    Returns:
        The lines of JSON that it wrote, and how it ended; empty: well.
    """
    # Not from the folder that one happens to be in: any file there could be called torch.py.
    command = [sys.executable, "-P", "-m", module, *arguments]
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter and module
            command, check=False, capture_output=True, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired as late:
        return _lines(late.stdout), f"did not end within {_PATIENCE:.0f} s"
    if not done.returncode:
        return _lines(done.stdout), ""
    words = done.stderr.decode(errors="replace").strip().splitlines()
    last = f" ({words[-1][:200]})" if words else ""
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
    return _lines(done.stdout), f"ended the process with {how}{last}"


def _lines(said: bytes | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (said or b"").decode().splitlines()]


def import_all(libraries: Iterable[Library]) -> dict[str, Imported]:
    """Each library, by name: imported, or looked for where that takes long."""
    found: dict[str, Imported] = {}
    wanted = []
    for library in libraries:
        version = _version(library)
        found[library.name] = Imported(library.name, version)
        if version and library.tried:
            wanted.append(library.name)
    while wanted:
        answers, end = asked_apart("glnet.doctor.probing", wanted)
        for answer in answers:
            version = answer.pop("version", "").split("-")[0] or found[answer["name"]].version
            found[answer["name"]] = Imported(version=version, **answer)
        rest = wanted[len(answers) :]
        if rest:
            found[rest[0]] = Imported(rest[0], found[rest[0]].version, end or "told nothing")
        wanted = rest[1:]
    return found


def _version(library: Library) -> str:
    """That is installed; empty: none is."""
    try:
        if util.find_spec(library.name) is None:
            return ""
    except (ImportError, ValueError):  # hidden
        return ""
    try:
        return metadata.version(library.package)
    except metadata.PackageNotFoundError:  # lies there without having been installed
        return "of unknown version"
