"""PyTorch: the network as it was trained, or folded, on the CPU, CUDA or MPS."""

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from glnet.engines.engine import Engine, Needed, Segmented
from glnet.errors import RunError
from glnet.geometry import Size
from glnet.model.batch_norm import fuse_batch_norm
from glnet.model.branch import BranchOutput, SharedMaps
from glnet.model.folding import Folded
from glnet.model.glnet import GLNet
from glnet.model.sending import sent
from glnet.model.sharing import Canvas
from glnet.recipe import ModelSettings, View
from glnet.scenes import Scene
from glnet.sharing import COARSE_FIRST, Exchange, Look, PatchOutput, Place

LIBRARY = f"torch {torch.__version__}"

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA, else MPS, else the CPU; any other name is taken as torch knows it.

    Raises:
        RunError: no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        msg = f"device '{name}' cannot be used here ({str(error).splitlines()[0]}); try auto or cpu"
        raise RunError(msg) from error


class _Arithmetic:
    """Where and how exactly torch computes."""

    def __init__(self, device: torch.device, precision: str) -> None:
        if precision not in _DTYPES or (precision == "fp16" and device.type == "cpu"):
            msg = f"precision {precision} cannot be used on {device.type}; wanted fp32, bf16, or "
            raise RunError(msg + "fp16 on a GPU")
        if precision == "fp32":
            # Left alone, CUDA rounds the inputs of fp32 convolutions to 10 bits.
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        self.device = device
        self._dtype = _DTYPES[precision]

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Without gradients, in the precision."""
        autocast = self._dtype is not torch.float32
        with torch.no_grad(), torch.autocast(self.device.type, self._dtype, enabled=autocast):
            yield

    def tensor(self, array: np.ndarray) -> Tensor:
        """An array as a tensor here; dtypes that torch lacks become float32."""
        if array.dtype not in (np.uint8, np.int16, np.float32):
            array = array.astype(np.float32)
        return sent(array, self.device)


class PlainNetwork:
    """The network as it was trained, layer by layer; see `engines.engine.Network`."""

    def __init__(self, model: GLNet, arithmetic: _Arithmetic) -> None:
        """Run `model`, which lies where the arithmetic is done."""
        self._model, self._arithmetic = model, arithmetic

    @property
    def settings(self) -> ModelSettings:
        """What it computes."""
        return self._model.settings

    @property
    def classes(self) -> int:
        """How many."""
        return self._model.classes

    def look(self, thumbnail: np.ndarray) -> BranchOutput:
        """The plain global branch."""
        with self._arithmetic():
            return _exact(self._model.global_pass(self._arithmetic.tensor(thumbnail)[None]))

    def canvas(self, scene: Size) -> Canvas:
        """The maps of the patches, as tensors."""
        return Canvas(scene, self._model.thumbnail_size, self.settings.alignment)

    def local(
        self,
        pixels: np.ndarray,
        places: Sequence[Place],
        seen: BranchOutput | None,
        canvas: Canvas | None,
        views: Sequence[View],
    ) -> dict[View, Tensor]:
        """The local branch."""
        with self._arithmetic():
            maps = seen.maps if seen is not None else None
            made = self._model.local_pass(self._arithmetic.tensor(pixels), places, maps)
            if canvas is not None:
                canvas.add(made.maps, [place.window for place in places], COARSE_FIRST)
            scores: dict[View, Tensor] = {}
            if "local" in views:
                scores["local"] = made.logits.float()
            if "aggregated" in views:
                scores["aggregated"] = self._model.local_share(made.joined).float()
            return scores

    def refine(self, thumbnail: np.ndarray, canvas: Canvas) -> BranchOutput:
        """The refined global branch."""
        with self._arithmetic():
            laid = SharedMaps(*(tuple(m[None] for m in kind) for kind in canvas.finished()))
            pixels = self._arithmetic.tensor(thumbnail)[None]
            return _exact(self._model.refined_global_pass(pixels, laid))

    def share(self, seen: BranchOutput, places: Sequence[Place]) -> Tensor:
        """The aggregation's global half under patches."""
        with self._arithmetic():
            return self._model.global_share(seen.joined, places).float()


def _exact(output: BranchOutput) -> BranchOutput:
    return output._replace(logits=output.logits.float())


class TorchEngine(Engine):
    """Runs a network as it is trained.

    Attributes:
        model: The network.
        device: Where it is.
    """

    def __init__(
        self, model: GLNet, device: torch.device, precision: str = "fp32", mini_batch: int = 6
    ) -> None:
        """Move the network to the device.

        Args:
            model: Any GLNet.
            device: See `pick_device`.
            precision: fp32, bf16 or fp16 (by autocast; fp16 on a GPU alone).
            mini_batch: Patches per forward pass.

        Raises:
            RunError: no such precision here.
        """
        self._arithmetic = _Arithmetic(device, precision)
        self.model = model.to(device)
        self.device = device
        network = PlainNetwork(self.model, self._arithmetic)
        super().__init__(network, LIBRARY, mini_batch, device.type)

    def segment(
        self, scene: Scene, views: Sequence[View], needed: Needed = lambda _: True
    ) -> Segmented:
        """See `Engine.segment`; the network is in evaluation mode meanwhile."""
        training = [module for module in self.model.modules() if module.training]
        self.model.eval()
        try:
            return super().segment(scene, views, needed)
        finally:
            for module in training:
                module.training = True

    def to_device(self, pixels: np.ndarray) -> Tensor:
        """Stored pixels as a tensor here; dtypes that torch lacks become float32."""
        return self._arithmetic.tensor(pixels)


class TorchGraphs:
    """Folded graphs, run by torch; see `engines.folded.Graphs`."""

    def __init__(self, folded: Folded, device: torch.device, precision: str = "fp32") -> None:
        """Move the graphs to the device.

        Raises:
            RunError: no such precision here.
        """
        self._arithmetic = _Arithmetic(device, precision)
        if precision != "fp32":
            for trunk in folded.trunks:
                fuse_batch_norm(trunk)
        self._global, self._local, self._refined = folded
        for graph in folded:
            if graph is not None:
                graph.to(device).to(memory_format=torch.channels_last)

    def array(self, values: np.ndarray) -> Tensor:
        """An array as these graphs take it."""
        return self._arithmetic.tensor(values)

    def look(self, pixels: Tensor) -> Look:
        """The plain global branch."""
        assert self._global is not None  # noqa: S101  the settings say who has one
        with self._arithmetic():
            return _rounded(self._global(_last(pixels)))

    def local(
        self, pixels: Tensor, exchanges: Sequence[Exchange], views: Sequence[View], *, lays: bool
    ) -> PatchOutput:
        """The local branch."""
        assert self._local is not None  # noqa: S101
        with self._arithmetic():
            made = self._local(_last(pixels), exchanges, views, lays=lays)
            return PatchOutput(
                tuple(scores.float() for scores in made.scores),
                tuple(maps.float() for maps in made.laid),
            )

    def refine(self, pixels: Tensor, laid: Sequence[Tensor]) -> Look:
        """The refined global branch."""
        assert self._refined is not None  # noqa: S101
        with self._arithmetic():
            return _rounded(self._refined(_last(pixels), laid))


def _last(pixels: Tensor) -> Tensor:
    return pixels.contiguous(memory_format=torch.channels_last)


def _rounded(look: Look) -> Look:
    """Scores as the mosaic adds them; what is lent stays in the graphs' precision."""
    return Look(look.logits.float(), tuple(share.float() for share in look.share), look.lent)
