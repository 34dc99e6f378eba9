"""Parts through the network: the next one is read while one is computed and the last written."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import Generic, NamedTuple, TypeVar

from glnet.engines.ahead import ahead
from glnet.engines.engine import Engine
from glnet.engines.turning import segment_turned
from glnet.errors import RasterError
from glnet.prediction.blending import Scored
from glnet.prediction.opening import Opened
from glnet.prediction.parts import Part
from glnet.prediction.source import ReadPart
from glnet.recipe import View

Owner = TypeVar("Owner")


class Asked(NamedTuple, Generic[Owner]):
    """A part that is to be computed, or, without one, something that is only passed on.

    Attributes:
        owner: Whose it is.
        opened: Its raster.
        part: Which part.
    """

    owner: Owner
    opened: Opened | None = None
    part: Part | None = None


class Network(NamedTuple):
    """How scenes are computed.

    Attributes:
        engine: The network.
        view: Which of its outputs.
        tta: Average over the eight flips and quarter turns.
    """

    engine: Engine
    view: View
    tta: bool


def score_asked(
    asked: Iterator[Asked[Owner]], network: Callable[[Owner], Network]
) -> Generator[tuple[Asked[Owner], Scored | None], None, None]:
    """Compute parts one after another; what one cannot give does not stop the others.

    Close it when no more are wanted: threads work ahead, and what is asked for is drawn in one of
    them.

    Args:
        asked: Parts, of whatever rasters.
        network: Gives what an owner's parts go through, when the first of them does.
    """
    # Both are closed, the outer first: an error keeps its frames, and these would keep threads.
    with closing(ahead((one, _read(one)) for one in asked)) as reads:
        made = (
            (one, None if read is None else _score(network(one.owner), read)) for one, read in reads
        )
        with closing(ahead(made)) as scored:
            yield from scored


def score_parts(
    opened: Opened, engine: Engine, view: View, parts: Sequence[Part], *, tta: bool
) -> Generator[tuple[Part, Scored], None, None]:
    """The same for parts of one raster.

    Args:
        opened: The raster.
        engine, view, tta: See `Network`.
        parts: Which parts.
    """
    asked = (Asked(None, opened, part) for part in parts)
    network = Network(engine, view, tta)
    with closing(score_asked(asked, lambda _: network)) as scored:
        for one, found in scored:
            if one.part is not None and found is not None:
                yield one.part, found


def score_part(opened: Opened, part: Part, network: Network) -> Scored:
    """One part, and nothing ahead of it."""
    read = _read(Asked(None, opened, part))
    assert read is not None  # noqa: S101  there is a part
    return _score(network, read)


def _read(one: Asked[Owner]) -> ReadPart | str | None:
    """A part, or why it cannot be read; None where there is none."""
    if one.opened is None or one.part is None:
        return None
    try:
        return one.opened.source.read(one.part)
    except RasterError as error:
        return str(error)


def _score(network: Network, read: ReadPart | str) -> Scored:
    if isinstance(read, str):
        return Scored(why=read)
    if read.scene is None:
        return Scored()
    try:
        if network.tta:
            found = segment_turned(network.engine, read.scene, [network.view], read.needed)
        else:
            found = network.engine.segment(read.scene, [network.view], read.needed)
    except RuntimeError as error:  # whatever a library raises for one scene alone
        return Scored(why=" ".join(f"{type(error).__name__}: {error}".split()))
    scores = found.views[network.view].onto(read.part.scene.size)
    return Scored(scores, read.kept, found.patches.computed)
