"""A folded network: its graphs, whoever computes them, and what moves between them.

Maps lie channels last on the canvas, as graphs give and take them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from array_api_compat import array_namespace, device

from glnet.geometry import Size
from glnet.recipe import ModelSettings, View
from glnet.sharing import (
    Exchange,
    ExchangeAxis,
    Look,
    PatchOutput,
    Place,
    exchange_axes,
    share_axis,
    spread_taps,
)

#: Rows and columns of a patch, coarsest level first.
PatchAxes = tuple[list[ExchangeAxis], list[ExchangeAxis]]


class Graphs(Protocol):
    """The three graphs of `glnet.model.folding`, computed somewhere; arrays are of one kind."""

    def array(self, values: np.ndarray) -> Any:  # noqa: ANN401  any array kind
        """An array as these graphs take it."""

    def look(self, pixels: Any) -> Look:  # noqa: ANN401
        """The plain global branch on thumbnails."""

    def local(
        self,
        pixels: Any,  # noqa: ANN401
        exchanges: Sequence[Exchange],
        views: Sequence[View],
        *,
        lays: bool,
    ) -> PatchOutput:
        """The local branch on patches."""

    def refine(self, pixels: Any, laid: Sequence[Any]) -> Look:  # noqa: ANN401
        """The refined global branch on thumbnails, with the laid maps."""


class FoldedNetwork:
    """See `engines.engine.Network`."""

    def __init__(self, settings: ModelSettings, classes: int, graphs: Graphs) -> None:
        """The graphs of a network with these settings."""
        self._settings, self._classes, self._graphs = settings, classes, graphs

    @property
    def settings(self) -> ModelSettings:
        """What it computes."""
        return self._settings

    @property
    def classes(self) -> int:
        """How many."""
        return self._classes

    def look(self, thumbnail: np.ndarray) -> Look:
        """The plain global branch."""
        return self._graphs.look(self._graphs.array(thumbnail[None]))

    def canvas(self, scene: Size) -> "LaidMaps":  # noqa: ARG002  the places tell it
        """The maps of the patches, added up."""
        return LaidMaps()

    def local(
        self,
        pixels: np.ndarray,
        places: Sequence[Place],
        seen: Look | None,
        canvas: "LaidMaps | None",
        views: Sequence[View],
    ) -> Mapping[View, Any]:
        """The local branch."""
        axes = [self._axes(place) for place in places]
        exchanges = exchanges_of(axes, seen.lent if seen else (), self._graphs.array)
        lays = canvas is not None
        made = self._graphs.local(self._graphs.array(pixels), exchanges, views, lays=lays)
        if canvas is not None:
            for index, (rows, columns) in enumerate(axes):
                canvas.add([level[index] for level in made.laid], rows, columns)
        return dict(zip(views, made.scores, strict=True))

    def refine(self, thumbnail: np.ndarray, canvas: "LaidMaps") -> Look:
        """The refined global branch."""
        return self._graphs.refine(self._graphs.array(thumbnail[None]), canvas.finished())

    def share(self, seen: Look, places: Sequence[Place]) -> list[Any]:
        """The aggregation's global half under patches."""
        maps, found = seen.share[0][0], []
        stride, alignment = self._settings.output_stride, self._settings.alignment
        for place in places:
            spans = place.window.rows, place.window.columns
            (rows, across), (columns, down) = (
                share_axis(maps.shape[1 + axis], place.scene[axis], *span, stride, alignment)
                for axis, span in enumerate(spans)
            )
            taps = self._graphs.array(across), self._graphs.array(down)
            found.append(spread_taps(maps[:, rows, columns], *taps))
        return found

    def _axes(self, place: Place) -> PatchAxes:
        thumbnail, alignment = self._settings.thumbnail_size, self._settings.alignment
        rows, columns = (exchange_axes(place, axis, thumbnail, alignment) for axis in range(2))
        return rows, columns


def exchanges_of(
    axes: Sequence[PatchAxes],
    lent: Sequence[Any],
    array: Callable[[np.ndarray], Any],
) -> list[Exchange]:
    """What the local graph reads beside the pixels, level by level.

    Args:
        axes: Of patches of one size.
        lent: The maps (1, C, rows, columns) that a global branch lends; none where nothing is read.
        array: Makes an array of the graphs' kind.
    """
    exchanges = []
    for level, pair in enumerate(zip(*axes[0], strict=True)):
        own = [(rows[level], columns[level]) for rows, columns in axes]
        under: Any = None
        if lent:
            cut = [lent[level][0, :, rows.read, columns.read] for rows, columns in own]
            under = array_namespace(lent[level]).stack(cut)
        matrices = (
            array(np.stack([getattr(patch[axis], name) for patch in own]))
            for name in ("crop", "tap", "fine")
            for axis in range(2)
        )
        up = (array(axis.up[None]) for axis in pair)
        lay = (array(np.stack([patch[axis].lay for patch in own])) for axis in range(2))
        exchanges.append(Exchange(under, *matrices, *up, *lay))
    return exchanges


class LaidMaps:
    """One scene's global maps being filled from its patches, level by level.

    Memory: one scene's shared maps at the thumbnail's resolution, however many patches there are.
    """

    def __init__(self) -> None:
        """Start empty; the first patch decides sizes, channels and array kind."""
        self._sums: list[Any] = []
        self._coverage: list[np.ndarray] = []

    def add(
        self, pieces: Sequence[Any], rows: list[ExchangeAxis], columns: list[ExchangeAxis]
    ) -> None:
        """Add a patch's pieces, (rows, columns, channels) each, where its axes say."""
        if not self._sums:
            for piece, tall, wide in zip(pieces, rows, columns, strict=True):
                xp = array_namespace(piece)
                shape = (len(tall.coverage), len(wide.coverage), piece.shape[2])
                self._sums.append(xp.zeros(shape, dtype=piece.dtype, device=device(piece)))
                self._coverage.append(np.zeros(shape[:2]))
        for level, piece in enumerate(pieces):
            tall, wide = rows[level], columns[level]
            self._sums[level][tall.write, wide.write] += piece
            self._coverage[level] += np.outer(tall.coverage, wide.coverage)

    def finished(self) -> list[Any]:
        """The laid maps, (1, rows, columns, channels): sums divided by coverage. Call it once."""
        for level, coverage in enumerate(self._coverage):
            # Only the authors' rounding leaves cells that nothing covers; they stay zero.
            divisor = np.where(coverage > 0, coverage, 1.0).astype(np.float32)
            sums = self._sums[level]
            self._sums[level] /= array_namespace(sums).asarray(divisor, device=device(sums))[
                :, :, None
            ]
        return [sums[None] for sums in self._sums]
