"""Parts through the network: the next one is read while one is computed."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import zip_longest

from glnet.engines.engine import Engine
from glnet.engines.turning import segment_turned
from glnet.errors import RasterError
from glnet.mosaic import ScoreMap
from glnet.prediction.opening import Opened
from glnet.prediction.parts import Part
from glnet.prediction.source import ReadPart
from glnet.recipe import View


@dataclass(frozen=True, slots=True)
class Computed:
    """What became of a part.

    Attributes:
        read: What was read of it, its pixels left out; None where that failed.
        scores: Of its scene, on the raster's grid; None where nothing was to be segmented.
        patches: How many the local branch saw.
        why: What failed; empty: nothing.
    """

    read: ReadPart | None = None
    scores: ScoreMap | None = None
    patches: int = 0
    why: str = ""


def compute_parts(
    opened: Opened, engine: Engine, view: View, parts: Sequence[Part], *, tta: bool
) -> Iterator[tuple[Part, Computed]]:
    """Compute parts one after another; what one cannot give does not stop the others.

    Args:
        opened: The raster.
        engine: The network.
        view: Which of its outputs.
        parts: Which parts.
        tta: Average over the eight flips and quarter turns.
    """
    with ThreadPoolExecutor(max_workers=1) as reader:
        ahead = reader.submit(opened.source.read, parts[0]) if parts else None
        for part, following in zip_longest(parts, parts[1:]):
            error = ahead.exception() if ahead else None
            read = ahead.result() if ahead and error is None else None
            ahead = reader.submit(opened.source.read, following) if following else None
            if isinstance(error, RasterError):
                yield part, Computed(why=str(error))
            elif error is not None:
                raise error
            elif read is not None:
                yield part, _compute(engine, view, read, tta=tta)


def _compute(engine: Engine, view: View, read: ReadPart, *, tta: bool) -> Computed:
    scene, bare = read.scene, replace(read, scene=None)
    if scene is None:
        return Computed(bare)
    run = segment_turned if tta else Engine.segment
    try:
        found = run(engine, scene, [view], read.needed)
    except RuntimeError as error:  # whatever a library raises for one scene alone
        return Computed(why=" ".join(f"{type(error).__name__}: {error}".split()))
    scores = found.views[view].onto(read.part.scene.size)
    return Computed(bare, scores, found.patches.computed)
