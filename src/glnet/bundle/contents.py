"""What lies in a model folder: its own files, and others, which are never read."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import get_args

from safetensors import SafetensorError, safe_open

from glnet.bundle.config import CARD, CONFIG, WEIGHTS
from glnet.bundle.graphs import COSTS, DIGEST, GRAPHS, INT8, Graph, check_graphs, graph_path
from glnet.errors import BundleError

#: What batch norms count while they train, beside their parameters.
_COUNTED = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, slots=True)
class Contents:
    """Of a model folder.

    Attributes:
        files: Bytes of those that glnet reads, by name.
        others: Names of what is not glnet's; folders end with a slash.
        parameters: How many were trained; None: the weights are not there.
        graphs: Those that were exported.
        int8: Are there some in int8?
        unusable: Why the exported graphs cannot be used; empty: they can.
    """

    files: dict[str, int]
    others: tuple[str, ...]
    parameters: int | None
    graphs: tuple[Graph, ...]
    int8: bool
    unusable: str


def contents_of(folder: str | Path) -> Contents:
    """List a model folder, count its parameters and compare its graphs with its weights.

    Raises:
        BundleError: the weights are damaged, or there is neither them nor a graph.
    """
    folder = Path(folder)
    try:
        found = list(_found(folder))
        files = {name: (folder / name).stat().st_size for name, own in found if own}
    except OSError as error:
        msg = f"{folder}: cannot be listed ({error.strerror})"
        raise BundleError(msg) from error
    graphs: tuple[Graph, ...] = tuple(
        graph for graph in get_args(Graph) if f"{GRAPHS}/{graph_path('', graph)}" in files
    )
    parameters = _count(folder / WEIGHTS) if WEIGHTS in files or not graphs else None
    unusable = ""
    if graphs:
        try:
            check_graphs(folder)
        except BundleError as error:
            unusable = str(error)
    int8 = any(name.startswith(f"{GRAPHS}/{INT8}/") for name in files)
    others = tuple(name for name, own in found if not own)
    return Contents(files, others, parameters, graphs, int8, unusable)


def _found(folder: Path) -> Iterator[tuple[str, bool]]:
    """Names, and whether glnet reads what they name; a foreign folder is not looked into."""
    graphs = {graph_path("", graph).name for graph in get_args(Graph)}
    known = {
        "": {CONFIG, WEIGHTS, CARD},
        f"{GRAPHS}/": {*graphs, DIGEST, COSTS},
        f"{GRAPHS}/{INT8}/": graphs,
    }
    for place, names in known.items():
        inside = folder / place
        for path in sorted(inside.iterdir()) if inside.is_dir() else []:
            name = place + path.name
            if not path.is_dir():
                yield name, path.name in names and path.is_file()
            elif f"{name}/" not in known:
                yield f"{name}/", False


def _count(weights: Path) -> int:
    """Trained numbers, by the table of contents; that refuses a file that is shorter."""
    try:
        with safe_open(weights, "numpy") as file:
            names = [name for name in file.keys() if not name.endswith(_COUNTED)]  # noqa: SIM118  no dict
            return sum(prod(file.get_slice(name).get_shape()) for name in names)
    except (OSError, SafetensorError) as error:
        msg = f"{weights}: cannot be read as weights ({error})"
        raise BundleError(msg) from error
