"""What is shown: the layers over one raster, and what is known of one of its pixels."""

import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image

from glnet.datasets.classes import Colour, read_classes
from glnet.datasets.masks import check_confidence, check_size
from glnet.geometry import Window
from glnet.georeference import Georeference, Resolution
from glnet.probability import STEPS
from glnet.raster import Raster, SlideWish
from glnet.viewer.legend import Entry, colours_of, legend_of, unnamed
from glnet.viewer.places import Places, places_of
from glnet.viewer.pyramid import TILE, Pyramid, Said
from glnet.viewer.shares import Shares, area_of_pixels, count
from glnet.viewer.sources import Copies, labels_of, picture_of

#: What is wrong, and what the network was not sure of.
_WRONG, _UNSURE = (230, 30, 90), (255, 140, 0)

#: Bytes of decoded blocks that GDAL keeps; by itself it takes a twentieth of the machine's memory.
_GDAL = {"GDAL_CACHEMAX": 64 << 20}


@dataclass(frozen=True, slots=True)
class Show:
    """Files of one size over each other.

    Attributes:
        name: Of the raster.
        image: Its pixels.
        labels: The mask and the truth, by their names, where given.
        confidence: How sure the network was, where given.
        legend: The classes of mask and truth; where none is named, all values there could be.
        named: Are they?
        ground: Where the raster lies.
        places: The same, on the Earth.
        resolution: Of its pixels, on the ground or on a slide's glass.
        shares: How much every class has of the mask; grows for a while.
    """

    name: str
    image: Pyramid
    labels: dict[str, Pyramid]
    confidence: Pyramid | None
    legend: tuple[Entry, ...]
    named: bool
    ground: Georeference | None
    places: Places | None
    resolution: Resolution | None
    shares: Shares = field(default_factory=Shares)

    @property
    def layers(self) -> list[str]:
        """Ids of all that can be shown, from the lowest up."""
        unsure = ["unsure"] if self.confidence is not None else []
        wrong = ["errors"] if len(self.labels) > 1 else []
        return ["image", *self.labels, *unsure, *wrong]

    def tile(self, layer: str, place: tuple[int, ...], without: frozenset[int]) -> bytes | None:
        """A tile as PNG, TILE x TILE; None: there is no such layer or tile.

        Args:
            layer: Its id.
            place: Zoom, x and y, see `Pyramid`.
            without: Values of classes that are not shown.
        """
        if layer not in self.layers or not self.image.exists(*place):
            return None
        if layer == "image":
            pixels, known = self.image.tile(*place)
            colours = np.broadcast_to(np.moveaxis(pixels, 0, -1), (*known.shape, 3))
            return _png(np.dstack([colours, known * np.uint8(255)]))
        if layer == "unsure":
            return _png(self._unsure(place))
        if layer == "errors":
            seen = [each.tile(*place) for each in self.labels.values()]
            wrong = self._differ(seen, without) > 0
            return _png(wrong[..., None] * np.array([*_WRONG, 255], np.uint8))
        values, known = self.labels[layer].tile(*place)
        return _png(colours_of(self.legend, without)[values[0]] * known[..., None])

    def _unsure(self, place: tuple[int, ...]) -> np.ndarray:
        values, known = self.confidence.tile(*place)  # type: ignore[union-attr]
        known = known & (values[0] <= STEPS)
        out = np.empty((*known.shape, 4), np.uint8)
        out[..., :3] = _UNSURE
        out[..., 3] = np.where(known, 255 - values[0].astype(np.uint16) * 255 // STEPS, 0)
        return out

    def _differ(
        self, seen: Sequence[tuple[np.ndarray, np.ndarray]], without: frozenset[int] = frozenset()
    ) -> np.ndarray:
        """-1 where mask or truth is unknown or not shown, 1 where they differ, else 0."""
        (mask, known), (truth, told) = seen
        classes = np.zeros(256, bool)
        classes[[entry.value for entry in self.legend if entry.value not in without]] = True
        compared = known & told & classes[truth[0]]
        return np.where(compared, (mask[0] != truth[0]).astype(np.int8), np.int8(-1))

    def pixel(self, row: int, column: int) -> dict[str, object] | None:
        """What is known of a pixel: classes, confidence, coordinates; None outside."""
        if not (0 <= row < self.image.size.height and 0 <= column < self.image.size.width):
            return None
        values, known = self.image.pixel(row, column)
        found: dict[str, object] = {"values": values.tolist() if known else None}
        for name, labels in self.labels.items():
            value, told = labels.pixel(row, column)
            found[name] = self._name(int(value[0])) if told else None
        if self.confidence is not None:
            sure, told = self.confidence.pixel(row, column)
            found["confidence"] = float(sure[0]) / STEPS if told and sure[0] <= STEPS else None
        return found | self._place(row, column)

    def _name(self, value: int) -> str:
        named = (entry.name for entry in self.legend if entry.value == value)
        return next(named, f"value {value}")

    def _place(self, row: int, column: int) -> dict[str, object]:
        if self.ground is None or self.ground.crs is None:
            return {}
        x, y = self.ground.transform @ (column + 0.5, row + 0.5)
        return {"x": x, "y": y} | (self.earth(row + 0.5, column + 0.5) or {})

    def earth(self, row: float, column: float) -> dict[str, object] | None:
        """Where a point lies, and how many metres a pixel is there; None: nowhere."""
        if self.places is None:
            return None
        ((longitude, latitude),) = self.places.on_earth(np.array([(column, row)])).tolist()
        if longitude != longitude:  # noqa: PLR0124  NaN
            return None
        pixel = Window(int(row), int(column), 1, 1)
        metres = area_of_pixels(self.ground, self.resolution)(pixel) ** 0.5
        return {"latitude": latitude, "longitude": longitude, "metres": metres}

    @property
    def entries(self) -> list[Entry]:
        """Of the legend what a page lists: classes with names, or values that were found so far."""
        return [e for e in self.legend if self.named or self.shares.found[e.value]]

    def facts(self) -> dict[str, object]:
        """What a page has to know before it asks for tiles."""
        size = self.image.size
        resolution = self.resolution
        named = self.ground is not None and self.ground.crs is not None
        return {
            "name": self.name, "height": size.height, "width": size.width, "tile": TILE,
            "zooms": self.image.zooms, "layers": self.layers, "counts": bool(self.labels),
            "metres": resolution and (resolution.rows * resolution.columns) ** 0.5,
            "placed": self.places is not None,
            "colours": {"errors": _hex(_WRONG), "unsure": _hex(_UNSURE)},
            "system": str(self.ground.crs) if named and self.ground else None,
        }  # fmt: skip

    def counted(self) -> dict[str, object]:
        """The classes that are known so far, and how much each has of the mask."""
        shares = self.shares
        done = shares.done if self.labels else 1.0  # first: what is told with 1 has to be all
        total = max(1, int(shares.pixels[[e.value for e in self.legend]].sum()))
        return {
            "done": done,
            "classes": [
                {
                    "value": e.value, "name": e.name, "colour": _hex(e.colour),
                    "share": int(shares.pixels[e.value]) / total,
                    "area": float(shares.area[e.value]) or None,
                }
                for e in self.entries
            ],
            "wrong": shares.wrong / shares.compared if shares.compared else None,
        }  # fmt: skip

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count meanwhile, in a thread of its own."""
        if not self.labels:
            yield
            return
        stop = threading.Event()
        area = area_of_pixels(self.ground, self.resolution)
        task = ([*self.labels.values()], self._differ, area, self.shares, stop)
        thread = threading.Thread(target=count, args=task, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@contextmanager
def opened_show(
    image: Path,
    mask: Path | None = None,
    truth: Path | None = None,
    *,
    confidence: Path | None = None,
    classes: Path | None = None,
    bands: tuple[int, ...] = (),
    cache: Path | None = None,
    said: Said = lambda _done, _steps: None,
) -> Iterator[Show]:
    """Open files to be looked at; smaller copies are made where they are needed.

    Args:
        image: Any raster.
        mask, truth, confidence: Of the same size.
        classes: A class table; None: the mask's own, or values go without names.
        bands: Of the image, counted from 1: one, or red, green, blue; empty: the first.
        cache: A folder for copies; None: beside the files.
        said: Told how far a copy is.

    Raises:
        GlnetError: a file cannot be used, or a copy cannot be written.
    """
    table = read_classes(classes) if classes else None
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(**_GDAL))
        copies = stack.enter_context(Copies(cache, said))
        paths = {"image": image, "mask": mask, "truth": truth, "confidence": confidence}
        rasters = {name: stack.enter_context(Raster(path)) for name, path in paths.items() if path}
        first = rasters["image"] = stack.enter_context(_at_their_level(rasters))
        for raster in rasters.values():
            raster.check_claim()
            check_size(raster, first)
        seen = picture_of(first, bands, copies)
        labels: dict[str, Pyramid] = {
            name: labels_of(rasters[name], table, copies)
            for name in ("mask", "truth")
            if name in rasters
        }
        sure = None
        if confidence is not None:
            check_confidence(rasters["confidence"], first)
            sure = labels_of(rasters["confidence"], None, copies)
        legend: tuple[Entry, ...] = ()
        for name in labels:
            legend = legend or legend_of(rasters[name], table)
        named = bool(legend)
        if labels and not named:
            legend = unnamed(rasters[next(iter(labels))])
        ground = first.georeference
        place = ground, places_of(ground, first.size), first.resolution
        show = Show(image.name, seen, labels, sure, legend, named, *place)
        with show.counting():
            yield show


def _at_their_level(rasters: Mapping[str, Raster]) -> Raster:
    """The image; of a slide, the level that the other files are of."""
    image = rasters["image"]
    sizes = {raster.size for name, raster in rasters.items() if name != "image"}
    for number, level in enumerate(image.levels):
        if number and level.size in sizes:
            return Raster(image.file, slide=SlideWish(level=number, generic=True))
    return image


def _hex(colour: Colour) -> str:
    return f"#{bytes(colour).hex()}"


def _png(pixels: np.ndarray) -> bytes:
    """RGBA (rows, columns, 4) as a PNG of a whole tile, transparent beyond the raster."""
    whole = np.zeros((TILE, TILE, 4), np.uint8)
    whole[: pixels.shape[0], : pixels.shape[1]] = pixels
    out = io.BytesIO()
    Image.fromarray(whole).save(out, "PNG", compress_level=1)
    return out.getvalue()
