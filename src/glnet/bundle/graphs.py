"""Exported graphs in a model folder: where they lie, and whose weights they are of."""

import hashlib
import mmap
from pathlib import Path
from typing import Literal

from glnet.bundle.config import WEIGHTS
from glnet.errors import BundleError

#: The plain global branch, the local one, the refined global one.
Graph = Literal["global", "local", "refined"]

#: The folder of exported graphs, in a model folder that has them.
GRAPHS = "graphs"

#: In that folder.
DIGEST = "weights.sha256"
COSTS = "costs.json"

#: Within it, the folder of those in int8, where there are any.
INT8 = "int8"

#: How the key of a tensor's place outside of an ONNX file is written.
_ELSEWHERE = b"\x0a\x08location\x12"


def graph_path(folder: str | Path, graph: Graph) -> Path:
    """Where a graph lies in a folder of graphs."""
    return Path(folder) / f"{graph}.onnx"


def weights_digest(folder: str | Path) -> str | None:
    """SHA-256 of a model folder's weights; None where they cannot be read."""
    try:
        with (Path(folder) / WEIGHTS).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def write_digest(graphs: Path, digest: str) -> None:
    """Keep beside graphs which weights they are of."""
    (graphs / DIGEST).write_text(digest + "\n", encoding="ascii")


def check_graphs(folder: str | Path) -> None:
    """Refuse a model folder whose graphs are missing, of other weights, or lead to other files.

    Raises:
        BundleError: so it is, or an older glnet exported them; the line says what to run.
    """
    graphs, export = Path(folder) / GRAPHS, f"run: glnet export {folder}"
    if not graphs.is_dir():
        msg = f"{folder}: has no exported graphs; {export}"
        raise BundleError(msg)
    try:
        digest = (graphs / DIGEST).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        msg = f"{folder}: its graphs do not tell which weights they are of; {export}"
        raise BundleError(msg) from error
    for path in graphs.rglob("*.onnx"):
        if _leads_out(path):
            msg = f"{path}: leads to another file; {export}"
            raise BundleError(msg)
    # Graphs run without weights beside them.
    if weights_digest(folder) not in {digest, None}:
        msg = f"{folder}: its graphs were exported from other weights; {export}"
        raise BundleError(msg)


def _leads_out(path: Path) -> bool:
    """Does an ONNX file have tensors elsewhere? A stranger could name any file of this machine."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_ELSEWHERE) >= 0
