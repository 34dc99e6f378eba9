"""One image as one scene, whole in memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from glnet.datasets.classes import ClassTable
from glnet.engines.engine import Engine, segment_turned
from glnet.engines.loading import load_engine
from glnet.engines.memory import MemoryWish
from glnet.errors import RunError
from glnet.geometry import Window
from glnet.mosaic import ScoreMap
from glnet.outputs.files import check_target
from glnet.outputs.mask import MASK_SUFFIXES, SCORE_SUFFIXES, write_mask, write_scores
from glnet.raster import Raster, check_scene
from glnet.recipe import View
from glnet.recipe.amounts import read_bytes


def predict(  # noqa: PLR0913  each by its name
    image: str | Path,
    model: str | Path,
    out: str | Path | None = None,
    *,
    view: View | None = None,
    scores: str | Path | None = None,
    device: str = "auto",
    precision: str = "fp32",
    engine: str = "auto",
    memory: str = "2GiB",
    tta: bool = False,
    said: Callable[[str], None] = lambda _: None,
) -> np.ndarray:
    """Segment an image file.

    Args:
        image: JPEG, PNG, GeoTIFF or whatever else GDAL reads; at most 100 megapixels.
        model: A bundle.
        out: Where the mask goes: .tif (georeferenced, tiled, compressed, with palette) or .png.
        view: Which output; by default the model's first: aggregated, where it has two branches.
        scores: Where the class scores go, as a float32 .tif with one band per class.
        device: auto, cpu, cuda, cuda:1, mps.
        precision: fp32, bf16, fp16 or int8.
        engine: auto, openvino, torch or plain; see `glnet.engines.loading.load_engine`.
        memory: What a prediction on the CPU may add to the process; the paper's GPUs had 2 GB.
        tta: Average over the eight flips and quarter turns.
        said: Takes the lines that tell how it is done.

    Returns:
        The mask: class values as in the model's class table, uint8, shape (height, width).

    Raises:
        GlnetError: the image, the model, an output or the device cannot be used; found before
            the network runs where it can be.
    """
    taken = [Path(image)]
    for path, suffixes in ((out, MASK_SUFFIXES), (scores, SCORE_SUFFIXES)):
        if path is not None:
            check_target(Path(path), suffixes, taken)
            taken.append(Path(path))
    budget = _budget(memory)
    with Raster(image) as raster:
        wish = MemoryWish(budget, raster.size, raster.reading_bytes, raster.kept_bytes, tta, said)
        loaded, table = load_engine(model, device, precision, engine, wish)
        loaded.said = said
        settings = loaded.settings
        raster.expect(settings)
        check_scene(raster.path, raster.size, "cut it into parts")
        chosen = view or settings.views[0]
        run = segment_turned if tta else Engine.segment
        found = run(loaded, raster, [chosen]).views[chosen]
        del loaded  # the graphs' memory is what the labels need now
        mask = np.array(table.values, np.uint8)[found.labels()]
        _write(raster, table, mask, found, out, scores)
    return mask


def _budget(memory: str) -> int:
    try:
        return read_bytes(memory)
    except ValueError as error:
        msg = f"memory: {error}"
        raise RunError(msg) from error


def _write(
    raster: Raster,
    table: ClassTable,
    mask: np.ndarray,
    found: ScoreMap,
    out: str | Path | None,
    scores: str | Path | None,
) -> None:
    if scores is not None:
        strips = _on_host(found)
        write_scores(Path(scores), raster.size, table.names, strips, raster.georeference)
    if out is not None:
        palette = dict(zip(table.values, table.colours, strict=True))
        write_mask(Path(out), mask, palette, raster.georeference)


def _on_host(found: ScoreMap) -> Iterator[tuple[Window, np.ndarray]]:
    for window, strip in found.strips():
        yield window, np.asarray(strip.cpu() if hasattr(strip, "cpu") else strip)
