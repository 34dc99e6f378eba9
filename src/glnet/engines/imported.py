"""The authors' released checkpoints as a bundle."""

from collections.abc import Sequence
from pathlib import Path

from glnet.datasets.classes import ClassInfo, ClassTable, default_colour, read_classes
from glnet.engines.export import export_graphs
from glnet.engines.models import save_model
from glnet.errors import BundleError
from glnet.model.authors import load_released, needed_checkpoints
from glnet.recipe import Sharing

#: The DeepGlobe classes that the authors' checkpoints were trained on; unknown is one of them.
_DEEPGLOBE = (
    ("unknown", (0, 0, 0)), ("urban", (0, 255, 255)), ("agriculture", (255, 255, 0)),
    ("rangeland", (255, 0, 255)), ("forest", (0, 255, 0)), ("water", (0, 0, 255)),
    ("barren", (255, 255, 255)),
)  # fmt: skip


def import_weights(
    out: str | Path,
    *,
    global_: str | Path | None = None,
    collaborative: str | Path | None = None,
    sharing: Sharing = "bidirectional",
    classes: str | Path | None = None,
) -> None:
    """Turn the authors' released checkpoints into a bundle with the `authors` preset.

    Args:
        out: The bundle's folder.
        global_: The file that their first training mode writes.
        collaborative: The file that their second or third mode writes.
        sharing: `bidirectional` needs both files, `global_to_local` the collaborative one,
            `none` (the global branch alone) the global one.
        classes: Class table; by default DeepGlobe's seven, or numbered ones.

    Raises:
        BundleError: a file is missing, holds more than tensors, or is of another network.
    """
    given = {"global": global_, "collaborative": collaborative}
    needed = needed_checkpoints(sharing)
    for name, path in given.items():
        if (path is not None) != (name in needed):
            advice = "is needed" if name in needed else "is not read; leave it away"
            msg = f"sharing {sharing}: the {name} checkpoint {advice}"
            raise BundleError(msg)
    files = {name: Path(path) for name, path in given.items() if path is not None}
    model = load_released(sharing, files)
    table = _numbered(model.classes) if classes is None else read_classes(classes)
    if len(table.trained) != model.classes:
        msg = f"{classes}: has {len(table.trained)} classes, the checkpoint {model.classes}"
        raise BundleError(msg)
    names = " and ".join(path.name for path in files.values())
    save_model(out, model, table, f"Imported from the GLNet authors' checkpoints {names}.")
    export_graphs(out)


def _numbered(count: int) -> ClassTable:
    named: Sequence[tuple[str, tuple[int, int, int]]] = _DEEPGLOBE
    if count != len(named):
        named = [(f"class {i}", default_colour(i)) for i in range(count)]
    return ClassTable(tuple(ClassInfo(n, i, colour) for i, (n, colour) in enumerate(named)))
