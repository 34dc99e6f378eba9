"""From finished parts to finished files: put together, compared, and only then in their places."""

import shutil
from collections.abc import Callable
from pathlib import Path

from glnet.errors import RasterError
from glnet.outputs.files import publish
from glnet.outputs.rasters import WRITE_ERRORS, Content, Piece, assemble, class_tags, verify
from glnet.outputs.styles import style_path, write_style
from glnet.prediction.identity import digest
from glnet.prediction.layers import Layer
from glnet.prediction.run import Run


def finish(run: Run, progress: Callable[[int, int], None]) -> None:
    """Write all that is asked for of a raster whose parts are there.

    Args:
        run: The raster.
        progress: Is told how far the polygons are.

    Raises:
        RasterError: a file could not be written, or is not what was computed; parts are kept.
    """
    _write_rasters(run)
    _write_polygons(run, progress)
    with run.clocked("verifying"):
        run.report.digests = {kind: digest(path) for kind, path in run.job.outputs.items()}


def _write_rasters(run: Run) -> None:
    """Put the parts together, check the files against them, and move these to their places."""
    store, report = run.store, run.report
    folder = store.folder / "finished"
    shutil.rmtree(folder, ignore_errors=True)
    finished = []
    for layer in run.job.layers:
        path = folder / f"{layer.kind}{layer.path.suffix.lower()}"
        pieces = [Piece(store.path(part, layer.kind), part.core) for part in run.opened.parts]
        content = _content(run, layer)
        try:
            folder.mkdir(exist_ok=True)
            _say(run, f"assembling {layer.path.name}")
            with run.clocked("assembling"):
                assemble(store.folder, path, content, pieces)
            _say(run, f"verifying {layer.path.name}")
            with run.clocked("verifying"):
                verify(path, content, pieces)
            finished.append((path, layer.path))
            if layer.kind == "mask":
                style, table = style_path(path), run.predictor.table
                write_style(style, table.legend, table.palette, int(layer.nodata))
                finished.append((style, style_path(layer.path)))
        except (*WRITE_ERRORS, RasterError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise _refused(run, layer.path, error) from error
    for path, target in reversed(finished):  # the mask last: it is what people look for
        try:
            publish(path, target)
        except OSError as error:
            raise _refused(run, target, error) from error
        report.outputs.append(str(target))


def _say(run: Run, line: str) -> None:
    if run.predictor.steps:
        run.predictor.said(line)


def _refused(run: Run, path: Path, error: Exception) -> RasterError:
    detail = " ".join(str(error.__cause__ or error).split())
    return RasterError(
        f"{path}: could not be written ({detail}); is the disk full? The parts are kept in "
        f"{run.store.folder.parent}: start the command again"
    )


def _write_polygons(run: Run, progress: Callable[[int, int], None]) -> None:
    """Of the finished mask; where they cannot be written, it is there all the same."""
    wish = run.job.polygons
    if wish is None:
        return
    _say(run, f"writing polygons into {wish.file.name}")
    with run.clocked("polygons"):
        run.report.polygons = wish.write(
            run.job.mask, run.job.outputs.get("confidence"), run.predictor.table, progress,
            run.opened.downsample,
        )  # fmt: skip
    run.report.outputs.append(str(wish.path))


def _content(run: Run, layer: Layer) -> Content:
    size, place, pixel = run.opened.size, run.opened.georeference, run.opened.pixel
    if layer.kind != "mask":
        return Content(size, layer.bands, layer.dtype, layer.nodata, place, pixel=pixel)
    table = run.predictor.table
    tags, palette = class_tags(table.legend), table.palette
    return Content(
        size, layer.bands, layer.dtype, layer.nodata, place, palette, tags, "mode", pixel
    )
