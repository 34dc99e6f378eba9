"""How much memory a training step takes: told before it runs, from the network itself.

The step's network runs once without numbers (on torch's `meta` device), and every tensor that the
backward pass would keep is counted. What depends on the arithmetic library, its workspaces, is a
measured surcharge.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from glnet.datasets.manifest import Sample
from glnet.errors import RunError
from glnet.geometry import Size, Window
from glnet.model import GLNet, build_glnet
from glnet.model.branch import BranchOutput
from glnet.raster import Raster
from glnet.recipe import LossSettings, ModelSettings, Recipe, Stage, read_bytes, show_bytes
from glnet.sharing import Place
from glnet.training.losses import PixelLoss
from glnet.training.parts import prepare, statistics_move

#: Weights, gradients and Adam's two means of a trained parameter, against one of it.
_COPIES = 4

#: Share of the kept maps that convolutions and the backward walk take on top, measured.
_SURCHARGE = 0.5

#: On CUDA by arithmetic: what cuDNN takes beside, and the size of kept maps against fp32, measured
#: (benchmarks/records/2026-11-27-cuda-best.md); fp16 is taken to be as bf16.
_ON_CUDA = {"fp32": (1.35, 1.0), "bf16": (1.15, 0.6), "fp16": (1.15, 0.6)}

#: Buffers of the arithmetic library and of the allocator, whatever the network.
_FLOOR = 150 << 20


def estimate_memory(  # noqa: PLR0913  all that a step depends on
    model: ModelSettings,
    classes: int,
    stage: Stage,
    batch: int,
    mini_batch: int,
    *,
    frozen: bool = False,
    loss: LossSettings | None = None,
    image: int = 0,
    device: str = "cpu",
    precision: str = "fp32",
) -> int:
    """Bytes that a step of a stage takes: weights, optimiser, maps; on the CPU pixels too.

    Args:
        model: The network of the whole run.
        classes: How many are trained.
        stage: Which step.
        batch: Images per step.
        mini_batch: Patches per forward pass.
        frozen: Batch statistics stay; images of a step then follow one another.
        loss: By default the default preset's.
        image: Bytes of the largest image's pixels; 0 where they wait on the host, beside a GPU.
        device: `cpu`, `cuda` or `mps`.
        precision: Of the arithmetic; it counts on `cuda` alone.
    """
    with torch.device("meta"):
        network = build_glnet(model.after(stage), classes)
        parameters = prepare(network, stage, freeze_batch_norm=frozen)
    moves = statistics_move(network)
    weights = sum(map(_bytes, [*network.parameters(), *network.buffers()]))
    trained = (_COPIES - 1) * sum(map(_bytes, parameters))
    pixel_loss = PixelLoss(loss or LossSettings(), classes)
    count = _Probe(network, pixel_loss)
    together = batch if moves else 1
    if stage == "global":
        kept = count.thumbnails(batch if moves else min(batch, mini_batch))
    elif stage == "global_to_local":
        kept = count.patches(mini_batch) + min(batch, mini_batch) * count.shared_maps()
    else:
        kept = count.refined(together) + max(
            count.maps_of_patches(mini_batch), count.aggregated(mini_batch)
        )
    pixels = image * _images_held(stage, batch)
    beside, size = _ON_CUDA[precision] if device == "cuda" else (1.0, 1.0)
    return round(beside * (weights + trained + (1 + _SURCHARGE) * size * kept + _FLOOR + pixels))


def fit_memory(
    recipe: Recipe, classes: int, samples: Sequence[Sample], device: str
) -> tuple[Recipe, str]:
    """Lower a recipe's mini-batch until every stage fits into its memory.

    Args:
        recipe: `train.memory` says how much there is.
        classes: How many are trained.
        samples: What is read; on the CPU their pixels count.
        device: `cpu`, `cuda` or `mps`.

    Returns:
        The recipe that fits, and what was chosen, in a sentence.

    Raises:
        RunError: not even one patch at a time fits; the line names the smallest memory that works.
    """
    train = recipe.train
    budget = read_bytes(str(train.memory))
    largest = max(map(_pixel_bytes, samples)) if device == "cpu" else 0

    def needs(mini_batch: int) -> tuple[int, Stage]:
        return max(
            (
                estimate_memory(
                    recipe.model, classes, stage, train.stages.of(stage).batch, mini_batch,
                    frozen=train.freeze_batch_norm, loss=recipe.loss, image=largest, device=device,
                    precision=train.precision,
                ),
                stage,
            )
            for stage in recipe.model.stages
        )  # fmt: skip

    need, stage = needs(1)
    if need <= budget:
        # The largest that fits: what a step needs only grows with it.
        sizes = range(1, train.mini_batch + 1)
        mini_batch = bisect_right(sizes, budget, key=lambda size: needs(size)[0])
        changed = train.model_copy(update={"mini_batch": mini_batch})
        said = f"a step needs about {show_bytes(needs(mini_batch)[0])} of {train.memory}"
        patches = f"{mini_batch} patch{'es' * (mini_batch > 1)} at a time"
        if mini_batch < train.mini_batch and not train.freeze_batch_norm:
            patches += ", of which batch norm learns its statistics: consider freeze_batch_norm"
        return recipe.model_copy(update={"train": changed}), f"{said}, with {patches}"
    msg = (
        f"train.memory: {train.memory} is too little: with one patch at a time stage {stage} needs "
        f"about {show_bytes(need)}; allow that, or lower its batch, model.width, thumbnail or patch"
    )
    raise RunError(msg)


def _images_held(stage: Stage, batch: int) -> int:
    """Images whose pixels lie in memory: being decoded; and in the last stage, their patches."""
    return 3 if stage != "local_to_global" else 3 + 3 * batch


def _pixel_bytes(sample: Sample) -> int:
    """Of a scene; of the whole file where it cannot be read by window."""
    with Raster(sample.image) as image:
        part = None if image.decoded_whole else sample.window
        return (part.size if part else image.size).area * image.pixel_bytes


class _Probe:
    """Counts what the passes of a network would keep, on tensors without numbers."""

    def __init__(self, network: GLNet, loss: PixelLoss) -> None:
        self._network, self._loss = network, loss
        self._settings = network.settings
        side = self._settings.patch
        self._place = Place(0, Size(4 * side, 4 * side), Window(0, 0, side, side))
        self._own = {_address(t) for t in [*network.parameters(), *network.buffers()]}

    def thumbnails(self, count: int) -> int:
        """The plain global branch in training."""
        pixels = self._pixels(count, self._settings.thumbnail)
        return self._kept(lambda: self._with_loss(self._network.global_pass(pixels).logits, pixels))

    def patches(self, count: int) -> int:
        """The local branch and the aggregation in training."""
        network, places = self._network, [self._place] * count
        seen = self._seen()
        pixels = self._pixels(count, self._settings.patch)

        def run() -> list[Tensor]:
            local = network.local_pass(pixels, places, seen.maps if seen else None)
            losses = self._with_loss(local.logits, pixels)
            if seen is not None:
                under = network.global_features(seen.joined, places)
                losses += self._with_loss(network.aggregate(local.joined, under), pixels)
                losses.append(under)
            return losses

        return self._kept(run)

    def refined(self, count: int) -> int:
        """The refined global branch in training, with the maps laid for it."""
        network = self._network
        pixels = self._pixels(count, self._settings.thumbnail)
        with torch.no_grad():
            laid = network.global_pass(pixels).maps
        kept = self._kept(
            lambda: self._with_loss(network.refined_global_pass(pixels, laid).logits, pixels), laid
        )
        return kept + sum(_bytes(level) for kind in laid for level in kind)

    def maps_of_patches(self, count: int) -> int:
        """The local branch without gradient: its maps, and those cropped for it."""
        seen = self._seen()
        pixels = self._pixels(count, self._settings.patch)
        with torch.no_grad():
            local = self._network.local_pass(
                pixels, [self._place] * count, seen.maps if seen else None
            )
        return 2 * sum(_bytes(level) for kind in local.maps for level in kind)

    def aggregated(self, count: int) -> int:
        """The aggregation in training, on features that come without gradient."""
        cells = self._place.window.size.cells(self._settings.output_stride)
        pixels = self._pixels(count, self._settings.patch)
        aggregation = self._network.aggregation
        assert aggregation is not None  # noqa: S101  or there is no such stage
        local, under = (
            torch.empty((count, channels, *cells), device="meta")
            for channels in aggregation.channels
        )
        under.requires_grad_()
        return self._kept(lambda: self._with_loss(self._network.aggregate(local, under), pixels))

    def shared_maps(self) -> int:
        """The plain global branch's maps of one image."""
        seen = self._seen()
        return sum(_bytes(level) for kind in seen.maps for level in kind) if seen else 0

    def _seen(self) -> BranchOutput | None:
        if self._network.global_branch is None:
            return None
        with torch.no_grad():
            return self._network.global_pass(self._pixels(1, self._settings.thumbnail))

    def _pixels(self, count: int, side: int) -> Tensor:
        shape = (count, self._settings.bands, side, side)
        return torch.empty(shape, dtype=torch.uint8, device="meta")

    def _with_loss(self, logits: Tensor, pixels: Tensor) -> list[Tensor]:
        labels = torch.empty((len(logits), *pixels.shape[-2:]), dtype=torch.uint8, device="meta")
        return [self._loss.in_full_precision(logits, labels)]  # autocast knows no meta

    def _kept(self, run: Callable[[], list[Tensor]], given: Iterable[object] = ()) -> int:
        """Bytes of all tensors that the backward pass reads, but for weights and what was given."""
        storages: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storages[_address(tensor)] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            out = run()
        known = self._own | {
            _address(tensor)
            for kind in given
            for tensor in kind  # type: ignore[attr-defined]
        }
        del out
        return sum(size for address, size in storages.items() if address not in known)


def _address(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001  meta tensors have no data pointer


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
