"""From an image file and a model's config to the parts that are to be computed."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glnet.bundle import ONE_SCENE, SAME_RESOLUTION, BundleConfig
from glnet.datasets.shapes import read_area
from glnet.errors import RasterError, RunError
from glnet.geometry import Size, Window
from glnet.georeference import Georeference, Resolution
from glnet.limits import check_blocks, check_scene
from glnet.outputs.rasters import can_tell
from glnet.prediction.identity import identities, key_of
from glnet.prediction.options import PredictOptions
from glnet.prediction.parts import Part, Plan, plan_parts
from glnet.prediction.source import AS_IT_IS, Source
from glnet.prediction.tiled import HELD, tiled_copy, wants_tiles
from glnet.prediction.tissue import tissue_of
from glnet.raster import Raster, SlideWish
from glnet.scenes import TURNS

#: Beyond this a raster shows nothing of what the model knows.
_MOST_ENLARGED = 4

#: Metres; no pixel of a slide is larger.
_COARSEST = 1e-3

#: A metre.
_MICRONS = 1e6

#: A million megapixels: what the plan of its parts can hold.
_MOST_PIXELS = 10**12

#: Of a window, which pixels are to be segmented: boolean.
Inside = Callable[[Window], np.ndarray]


@dataclass(frozen=True, slots=True)
class Opened:
    """A raster ready to be predicted.

    Attributes:
        source: Gives the pixels of its parts.
        plan: Its parts.
        georeference: Of the raster, for what is written.
        outside: Does no polygon of `within` reach into it?
    """

    source: Source
    plan: Plan
    georeference: Georeference | None
    outside: bool = False

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of them, row by row."""
        return self.plan.parts

    @property
    def size(self) -> Size:
        """Of the raster, upright."""
        return self.source.size

    @property
    def pixel(self) -> Resolution | None:
        """Of a slide: metres that a pixel is high and wide, for what is written."""
        raster = self.source.raster
        return raster.resolution if raster.slide else None

    @property
    def downsample(self) -> float:
        """How many pixels of a slide's finest level one is, along a side; of other rasters 1."""
        return self.source.raster.downsample

    def tell(self, said: Callable[[str], None]) -> None:
        """Say of a slide what is read of it, of any raster what hides its ground, or its place."""
        raster = self.source.raster
        if self.outside:
            said("no polygon of --within reaches into the image: nothing of it has data")
        if raster.alpha is not None:
            said(f"band {raster.alpha} counts as alpha: where it is 0 there is no data")
        if raster.control_points:
            said(
                "its place is given by ground control points, which are not carried over; "
                "gdalwarp it first"
            )
        crs = self.georeference.crs if self.georeference else None
        if crs is not None and not can_tell(crs):
            said(
                "its coordinate system is none that a GeoTIFF can tell: masks and polygons will "
                "have its coordinates and name no system; gdalwarp it first"
            )
        slide = raster.slide
        if slide is None:
            return
        own = "of unknown size"
        if slide.level.resolution is not None:
            own = f"{_MICRONS * slide.level.resolution.columns:.4g} µm"
            own += f", as its objective of {slide.power:g} x suggests" if slide.power else ""
        number, count = slide.levels.index(slide.level) + 1, len(slide.levels)
        said(f"a slide ({slide.vendor}), level {number} of {count}: pixels {own}")

    @property
    def scene(self) -> Size:
        """Of a part's scene in the network's pixels."""
        return self.source.scaled(self.parts[0].scene.size)


@contextlib.contextmanager
def open_source(
    image: str | Path,
    config: BundleConfig,
    options: PredictOptions,
    budget: int,
    folder: Path | None = None,
) -> Iterator[Opened]:
    """Open an image and plan its parts; all is judged by headers before anything is decoded.

    Args:
        image: The file.
        config: Of the model.
        options: What of it is read, and how.
        budget: Bytes; an image that is decoded whole and would take a quarter of it is copied,
            other images whose blocks do are refused.
        folder: For such a copy; None: it is refused as too large for one scene.

    Raises:
        RasterError: it cannot be read, or not by this model.
        RunError: settings that cannot be met.
        DataError: the polygons of `within` cannot be used.
    """
    with contextlib.ExitStack() as stack:
        wanted = _wanted(image, config, options)
        wish = SlideWish(wanted, generic=options.mpp is not None)
        virtual, remote = options.virtual, options.remote
        raster = Raster(image, virtual=virtual, slide=wish, remote=remote)
        stack.enter_context(raster)
        _choose_bands(raster, config, options)
        _check_size(raster, budget)
        scale = _scale(raster, wanted, options)
        longest, side = _sides(config, options)
        inside: Inside | None = None
        outside = False
        if options.within is not None:
            area = read_area(Path(options.within), raster)
            inside, outside = area.inside, not area.meets(raster.size)
        if raster.slide and not options.glass:
            inside = _both(inside, tissue_of(raster))
        unit = max(scale)
        plan = plan_parts(raster.size, longest / unit, side / unit, options.halo)
        read, turn = raster, TURNS[0]
        if folder is not None and wants_tiles(raster, plan.parts[0].scene.size, budget):
            copy = folder / f"source-{key_of({'raster': identities(raster.files)})}.tif"
            read, turn = stack.enter_context(tiled_copy(raster, copy))
            _choose_bands(read, config, options)
        source = Source(read, config.model.thumbnail_size, scale, inside, turn)
        opened = Opened(source, plan, raster.georeference, outside)
        check_scene(raster.path, opened.scene, "say --scene 2448, to have it cut into smaller ones")
        yield opened


def _sides(config: BundleConfig, options: PredictOptions) -> tuple[float, float]:
    """In the network's pixels: what a raster is one scene up to, but for a quarter; of others."""
    if options.scene:
        return options.scene / ONE_SCENE, options.scene
    trained = config.trained_on
    return config.largest, trained.median if trained else config.largest


def _choose_bands(raster: Raster, config: BundleConfig, options: PredictOptions) -> None:
    if options.bands is not None:
        raster.select(options.bands)
    raster.expect(config.model)


def _check_size(raster: Raster, budget: int) -> None:
    raster.check_claim()
    if raster.size.area > _MOST_PIXELS:
        msg = f"{raster.path}: {raster.size} pixels; at most a million megapixels can be read"
        raise RasterError(msg)
    if not raster.decoded_whole:
        check_blocks(raster.path, raster.blocks, raster.block_bytes, budget // HELD)


def _both(one: Inside | None, other: Inside | None) -> Inside | None:
    """What lies in both; None is everything."""
    if one is None or other is None:
        return one or other
    return lambda window: one(window) & other(window)


def _wanted(image: str | Path, config: BundleConfig, options: PredictOptions) -> float | None:
    """Metres per pixel that are asked for, or that the model knows; None: whatever there are."""
    if options.mpp is not None and options.resolution is not None:
        msg = f"{image}: --mpp and --resolution say the same in other units; give one"
        raise RunError(msg)
    if options.mpp is not None:
        return options.mpp / _MICRONS
    if options.resolution == "native":
        return None
    return options.resolution or (config.trained_on.resolution if config.trained_on else None)


def _scale(raster: Raster, wanted: float | None, options: PredictOptions) -> Resolution:
    """The network's pixels per pixel of the raster."""
    own, asked = raster.resolution, options.mpp or options.resolution
    if wanted is None:
        return AS_IT_IS
    if own is None and asked is not None:
        option = "--mpp" if options.mpp else "--resolution"
        msg = f"{raster.path}: does not say how large its pixels are; leave {option} away"
        raise RunError(msg)
    if own is None and raster.slide:
        msg = (
            f"{raster.path}: does not say how large its pixels are, and the model is made for "
            f"{_MICRONS * wanted:.3g} µm; say --resolution native to take its finest level"
        )
        raise RunError(msg)
    if raster.slide and asked is None and wanted > _COARSEST:
        msg = (
            f"{raster.path}: is a slide, and the model is made for pixels of {wanted:.3g} m on the "
            "ground; say --mpp or --resolution"
        )
        raise RunError(msg)
    if own is None:
        return AS_IT_IS
    scale = Resolution(own.rows / wanted, own.columns / wanted)
    if asked is None and all(abs(s - 1) <= SAME_RESOLUTION for s in scale):
        return AS_IT_IS
    if max(scale) > _MOST_ENLARGED:
        units, unit = (_MICRONS, "µm") if raster.slide else (1, "m")
        high, wide, model = (units * length for length in (*own, wanted))
        msg = (
            f"{raster.path}: its pixels are {high:.3g} x {wide:.3g} {unit}, the model's "
            f"{model:.3g} {unit}; say --resolution native to take them as they are"
        )
        raise RasterError(msg)
    return scale
