"""One raster of any size, from file to files: nothing lost, nothing half-finished."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from glnet.datasets.classes import ClassTable
from glnet.engines.engine import Engine
from glnet.errors import GatheredError, RasterError
from glnet.outputs.files import publish
from glnet.outputs.rasters import WRITE_ERRORS, Content, Piece, assemble, class_tags, verify
from glnet.outputs.styles import style_path, write_style
from glnet.prediction.blending import Scored, compose
from glnet.prediction.computing import score_parts
from glnet.prediction.layers import Layer, compute
from glnet.prediction.opening import Opened
from glnet.prediction.options import PredictOptions
from glnet.prediction.parts import Part
from glnet.prediction.report import FailedPart, Report
from glnet.prediction.shelf import Shelf
from glnet.prediction.store import PartStore
from glnet.prediction.vectorise import PolygonWish
from glnet.recipe import View


@dataclass(frozen=True, slots=True)
class Run:
    """A raster on its way to its outputs.

    Attributes:
        opened: The raster and its parts.
        table: The model's classes.
        view: Which output of the network.
        options: What of the raster, and what to do about errors.
        layers: What is written.
        store: Where finished parts are kept.
        report: What is told at the end.
        progress: Is told how many of the parts are done.
    """

    opened: Opened
    table: ClassTable
    view: View
    options: PredictOptions
    layers: Sequence[Layer]
    store: PartStore
    report: Report
    progress: Callable[[int, int], None]

    def compute(self, engine: Engine) -> None:
        """Compute what is missing and keep it.

        Raises:
            StoreError: it cannot be kept.
            GatheredError: some parts failed, after the others were kept.
        """
        with self._clocked("looking for parts"):
            shelf = self._shelf()
            wanted = [part for part in self.opened.parts if not self.store.has(part)]
            needed = {one.number for part in wanted for one in self.opened.plan.over(part)}
            missing = [self.opened.parts[n] for n in sorted(needed) if n not in shelf]
        self.report.reused = len(self.opened.parts) - len(wanted)
        tta, tolerant = self.options.tta, self.options.on_error == "nodata"
        scored = score_parts(self.opened, engine, self.view, missing, tta=tta)
        # Closed whatever happens: the raster may not be while a thread reads it.
        with self._clocked("network"), contextlib.closing(scored):
            counted = self._counted(scored, len(missing))
            for found in compose(self.opened.plan, wanted, shelf, counted, tolerant=tolerant):
                self.store.write(found.part, compute(found, self.layers, self.table), found.why)
        failed = self.report.failed
        if failed and not tolerant:
            if len(failed) == len(self.opened.parts):
                raise RasterError(failed[0].why)
            raise GatheredError([*map(str, failed), self._advice()])

    def _shelf(self) -> MutableMapping[int, Scored]:
        """Where scenes wait for their neighbours; one alone has none."""
        return Shelf(self.store.folder / "scenes") if len(self.opened.parts) > 1 else {}

    def _counted(
        self, scored: Iterator[tuple[Part, Scored]], missing: int
    ) -> Iterator[tuple[Part, Scored]]:
        report, total = self.report, len(self.opened.parts)
        for done, (part, found) in enumerate(scored, start=total - missing + 1):
            if found.why:
                report.failed.append(FailedPart(part.core, found.why))
            elif found.scores is None:
                report.empty += 1
            else:
                report.computed += 1
                report.patches += found.patches
            yield part, found
            self.progress(done, total)

    def _advice(self) -> str:
        failed = len(self.report.failed)
        return (
            f"{failed} of {len(self.opened.parts)} parts failed, the others are kept in "
            f"{self.store.folder.parent}; start the command again to try these once more, or say "
            "--on-error nodata to write them as ground without data"
        )

    def finish(self, said: Callable[[str], None]) -> None:
        """Put the parts together, check the files against them, and move these to their places.

        Args:
            said: Takes a line as each step begins.

        Raises:
            RasterError: a file could not be written, or is not what was computed.
        """
        folder = self.store.folder / "finished"
        shutil.rmtree(folder, ignore_errors=True)
        finished = []
        for layer in self.layers:
            path = folder / f"{layer.kind}{layer.path.suffix.lower()}"
            pieces = [
                Piece(self.store.path(part, layer.kind), part.core) for part in self.opened.parts
            ]
            content = self._content(layer)
            try:
                folder.mkdir(exist_ok=True)
                said(f"assembling {layer.path.name}")
                with self._clocked("assembling"):
                    assemble(self.store.folder, path, content, pieces)
                said(f"verifying {layer.path.name}")
                with self._clocked("verifying"):
                    verify(path, content, pieces)
                finished.append((path, layer.path))
                if layer.kind == "mask":
                    style, table = style_path(path), self.table
                    write_style(style, table.legend, table.palette, int(layer.nodata))
                    finished.append((style, style_path(layer.path)))
            except (*WRITE_ERRORS, RasterError) as error:
                shutil.rmtree(folder, ignore_errors=True)
                raise self._refused(layer.path, error) from error
        for path, target in reversed(finished):  # the mask last: it is what people look for
            try:
                publish(path, target)
            except OSError as error:
                raise self._refused(target, error) from error
            self.report.outputs.append(str(target))

    def _refused(self, path: Path, error: Exception) -> RasterError:
        detail = " ".join(str(error.__cause__ or error).split())
        return RasterError(
            f"{path}: could not be written ({detail}); is the disk full? The parts are kept in "
            f"{self.store.folder.parent}: start the command again"
        )

    def vectorise(self, wish: PolygonWish, said: Callable[[str], None]) -> None:
        """Write the finished mask's polygons.

        Raises:
            RasterError: they could not be written; the mask is, and the parts are kept.
        """
        said(f"writing polygons into {wish.path.name}")
        mask = next(layer.path for layer in self.layers if layer.kind == "mask")
        with self._clocked("polygons"):
            self.report.polygons = wish.write(
                mask, self.table, self.progress, self.opened.downsample
            )
        self.report.outputs.append(str(wish.path))

    def _content(self, layer: Layer) -> Content:
        size, place = self.opened.size, self.opened.georeference
        pixel = self.opened.pixel
        if layer.kind != "mask":
            return Content(size, layer.bands, layer.dtype, layer.nodata, place, pixel=pixel)
        tags = class_tags(self.table.legend)
        palette = self.table.palette
        return Content(
            size, layer.bands, layer.dtype, layer.nodata, place, palette, tags, "mode", pixel
        )

    @contextlib.contextmanager
    def _clocked(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = self.report.seconds
            spent[what] = spent.get(what, 0.0) + time.perf_counter() - began
