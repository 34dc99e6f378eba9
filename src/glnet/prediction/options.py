"""How a raster is predicted: everything that the command line can say, each with its default."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from glnet.errors import RunError
from glnet.prediction.parts import HALO
from glnet.recipe import View

OnError = Literal["stop", "nodata"]

#: Pixels; smaller scenes would be all halo.
LEAST_SCENE = 64


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """See `glnet.predict`; what computes is chosen apart from what is computed.

    Attributes:
        view: Which output; None: the model's own.
        tta: Average over the eight flips and quarter turns.
        bands: Of the file, counted from 1, in the model's order; None: as they lie there.
        scene: Longest side of a scene in pixels of the network's input; None: by what the model was
            trained on.
        resolution: Metres per pixel at which the raster is read; `native`: as it is; None: the
            model's, where both are known and differ by more than a tenth.
        within: A file of polygons; only what lies in one is segmented.
        virtual: Take VRT files, which lead to others.
        on_error: `stop`: a part that fails fails the run, after the others were saved; `nodata`: it
            is written as ground without data, and reported; the same call tries it again.
        halo: What is read around a core, as a share of its scene's side.
        mpp: Microns per pixel at which a slide is read, in the place of `resolution`; any tiled
            TIFF without a place on the ground counts as a slide then.
        glass: Segment all of a slide, not only where it holds tissue.
        remote: Take the address of a TIFF on a server, too.
    """

    view: View | None = None
    tta: bool = False
    bands: Sequence[int] | None = None
    scene: int | None = None
    resolution: float | Literal["native"] | None = None
    within: str | Path | None = None
    virtual: bool = False
    on_error: OnError = "stop"
    halo: float = HALO
    mpp: float | None = None
    glass: bool = False
    remote: bool = False

    def __post_init__(self) -> None:
        """Refuse what the command line cannot say.

        Raises:
            RunError: a scene that is too small, a pixel of no size, no such `on_error`.
        """
        if self.scene is not None and not self.scene >= LEAST_SCENE:
            msg = f"scene: wanted {LEAST_SCENE} px or more, got {self.scene}"
            raise RunError(msg)
        if self.resolution != "native":
            _check_pixel("resolution", self.resolution, "metres per pixel or 'native'")
        _check_pixel("mpp", self.mpp, "microns per pixel")
        if self.on_error not in get_args(OnError):
            msg = f"on_error: wanted {' or '.join(get_args(OnError))}, got {self.on_error!r}"
            raise RunError(msg)


def _check_pixel(name: str, side: float | str | None, wanted: str) -> None:
    if side is not None and (isinstance(side, str) or not 0 < side < math.inf):
        msg = f"{name}: wanted {wanted}, got {side!r}"
        raise RunError(msg)
