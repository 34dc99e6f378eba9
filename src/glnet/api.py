"""What a program calls; the command line calls the same."""

from collections.abc import Sequence
from pathlib import Path

from glnet.datasets.classes import ClassInfo, ClassTable, default_colour, read_classes
from glnet.engines.models import save_model
from glnet.errors import BundleError
from glnet.evaluation.masks import evaluate_masks
from glnet.evaluation.model import evaluate
from glnet.evaluation.result import Evaluation
from glnet.model import build_glnet
from glnet.model.authors import (
    authors_settings,
    count_classes,
    needed_checkpoints,
    read_checkpoint,
    translate,
)
from glnet.prediction.whole import predict
from glnet.recipe import Recipe, Sharing, load_recipe
from glnet.training.loop import train

__all__ = [
    "Evaluation", "Recipe", "evaluate", "evaluate_masks", "import_weights", "load_recipe",
    "predict", "train",
]  # fmt: skip

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
    checkpoints = {n: read_checkpoint(path) for n, path in given.items() if path is not None}
    count = count_classes(next(iter(checkpoints.values())))
    table = _numbered(count) if classes is None else read_classes(classes)
    if len(table.trained) != count:
        msg = f"{classes}: has {len(table.trained)} classes, the checkpoint {count}"
        raise BundleError(msg)
    model = build_glnet(authors_settings(sharing), count)
    model.load_state_dict(translate(sharing, checkpoints, model.state_dict()))
    files = " and ".join(Path(path).name for path in given.values() if path is not None)
    save_model(out, model, table, f"Imported from the GLNet authors' checkpoints {files}.")


def _numbered(count: int) -> ClassTable:
    named: Sequence[tuple[str, tuple[int, int, int]]] = _DEEPGLOBE
    if count != len(named):
        named = [(f"class {i}", default_colour(i)) for i in range(count)]
    return ClassTable(tuple(ClassInfo(n, i, colour) for i, (n, colour) in enumerate(named)))
