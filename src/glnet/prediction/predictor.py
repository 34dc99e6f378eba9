"""A model and how it is run, for any number of images."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from glnet.bundle import find_model, read_config
from glnet.engines.engine import Engine
from glnet.engines.loading import load_engine
from glnet.engines.memory import MemoryPlan, MemoryWish
from glnet.engines.tables import table_of
from glnet.engines.threads import threads
from glnet.errors import RunError
from glnet.prediction.identity import model_digests
from glnet.prediction.opening import Opened, open_source
from glnet.prediction.options import PredictOptions
from glnet.recipe import View
from glnet.recipe.amounts import read_bytes

#: Copies of a scene's pixels alive at a time: the one that is computed, and the next one being
#: read, as stored, filled or resampled.
_COPIES = 3

#: Among many images one is written meanwhile: GDAL's blocks, and a thread that compresses them.
_WRITING = 16 << 20


class Computes(NamedTuple):
    """What computes, as far as results may depend on it."""

    library: str
    device: str
    precision: str
    threads: int
    view: View


class Predictor:
    """One model, loaded when the first image is ready for it.

    Attributes:
        folder, config, table: Of the model.
        options: What of the images is read, and how.
        budget: Bytes that a prediction may add to the process, or to the device.
        said: Takes the lines that tell how it is done.
        steps: Are an image's last steps told too?
        stays: Is the model needed again, for images that nobody knows of yet?
        unusable: Did loading the model fail?
        how: All of it but the model's folder and what is said, for another process.
        remote: What computes elsewhere; then nothing is loaded here.
    """

    def __init__(
        self,
        model: str | Path,
        options: PredictOptions,
        *,
        device: str = "auto",
        precision: str = "fp32",
        engine: str = "auto",
        memory: str = "2GiB",
        said: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Read what the model is, no weights.

        Raises:
            BundleError: not a model folder.
            RunError: an amount of memory that is none.
        """
        self.how = {
            "options": options, "device": device, "precision": precision, "engine": engine,
            "memory": memory,
        }  # fmt: skip
        self.folder = find_model(model)
        self.config = read_config(self.folder)
        self.table = table_of(self.folder, self.config)
        self.options, self.said = options, said
        self.steps, self.stays, self.unusable = True, False, False
        self.remote: Computes | None = None
        self._engine = device, precision, engine
        self._plan = ""
        try:
            self.budget = read_bytes(memory)
        except ValueError as error:
            msg = f"memory: {error}"
            raise RunError(msg) from error

    @cached_property
    def engine(self) -> Engine:
        """The network.

        Raises:
            BundleError, RunError: it cannot be loaded, or has no such view.
        """
        self.unusable = True
        loaded, _ = load_engine(self.folder, *self._engine)
        loaded.chosen(self.options.view)
        loaded.said = self.said
        self.unusable = False
        return loaded

    def release(self) -> None:
        """Give the network's memory back: nothing more is computed, unless it `stays`."""
        if not self.stays:
            self.__dict__.pop("engine", None)

    @cached_property
    def computes(self) -> Computes:
        """What does."""
        if self.remote is not None:
            return self.remote
        engine, (_, precision, _) = self.engine, self._engine
        view = engine.chosen(self.options.view)
        return Computes(engine.library, engine.device_type, precision, threads(), view)

    def open(self, image: str | Path, folder: Path | None = None) -> AbstractContextManager[Opened]:
        """An image as this model reads it; see `open_source`."""
        return open_source(image, self.config, self.options, self.budget, folder)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Of all files of the model that a prediction reads."""
        return model_digests(self.folder)

    def plan(self, opened: Opened, *, many: bool = False) -> MemoryPlan | None:
        """How an image is kept within the budget; None: the engine does not count, or is elsewhere.

        Args:
            opened: The image.
            many: Others are read, or written, meanwhile.

        Raises:
            RunError: the budget is too small.
        """
        if self.remote is not None:
            return None
        keeper = self.engine.keeper
        return None if keeper is None else keeper.plan(self._wish(opened, many=many))

    def keep_to(self, plan: MemoryPlan | None) -> None:
        """Run so from now on, and say so where it is news."""
        if plan is None or self.engine.keeper is None:
            return
        if str(plan) != self._plan:
            self._plan = str(plan)
            self.said(self._plan)
        self.engine.keeper.keep(plan)

    def _wish(self, opened: Opened, *, many: bool) -> MemoryWish:
        """What reading takes: a scene at a time, and the next one meanwhile."""
        raster = opened.source.raster
        stored, scene = (
            size.area * raster.pixel_bytes for size in (opened.parts[0].scene.size, opened.scene)
        )
        scenes = max(len(opened.parts), 2 if many else 1)
        copies = _COPIES if scenes > 1 else 1
        # Of what is not decoded whole GDAL holds a block, and a copy as it reads.
        whole = raster.size.area * raster.pixel_bytes if raster.decoded_whole else 0
        block = 0 if raster.decoded_whole else raster.block_bytes
        kept = copies * scene + (2 if many else 1) * whole + block + (_WRITING if many else 0)
        # Turned scores add up at the image's own size.
        size = (
            opened.scene if self.options.tta else opened.scene.scaled(1 / self.config.model.shrink)
        )
        return MemoryWish(
            self.budget, size, kept + 2 * stored + block, kept, self.options.tta, scenes
        )
