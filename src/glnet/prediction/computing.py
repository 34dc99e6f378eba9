"""Parts through the network: the next one is read while one is computed and the last written."""

from collections.abc import Generator, Sequence

from glnet.engines.ahead import ahead
from glnet.engines.engine import Engine
from glnet.engines.turning import segment_turned
from glnet.errors import RasterError
from glnet.prediction.blending import Scored
from glnet.prediction.opening import Opened
from glnet.prediction.parts import Part
from glnet.prediction.source import ReadPart
from glnet.recipe import View


def score_parts(
    opened: Opened, engine: Engine, view: View, parts: Sequence[Part], *, tta: bool
) -> Generator[tuple[Part, Scored], None, None]:
    """Compute parts one after another; what one cannot give does not stop the others.

    Close it when no more are wanted: threads work ahead.

    Args:
        opened: The raster.
        engine: The network.
        view: Which of its outputs.
        parts: Which parts.
        tta: Average over the eight flips and quarter turns.
    """
    reads = ahead((part, _read(opened, part)) for part in parts)
    return ahead((part, _score(engine, view, read, tta=tta)) for part, read in reads)


def _read(opened: Opened, part: Part) -> ReadPart | str:
    """A part, or why it cannot be read."""
    try:
        return opened.source.read(part)
    except RasterError as error:
        return str(error)


def _score(engine: Engine, view: View, read: ReadPart | str, *, tta: bool) -> Scored:
    if isinstance(read, str):
        return Scored(why=read)
    if read.scene is None:
        return Scored(kept=read.kept)
    run = segment_turned if tta else Engine.segment
    try:
        found = run(engine, read.scene, [view], read.needed)
    except RuntimeError as error:  # whatever a library raises for one scene alone
        return Scored(why=" ".join(f"{type(error).__name__}: {error}".split()))
    scores = found.views[view].onto(read.part.scene.size)
    return Scored(scores, read.kept, found.patches.computed)
