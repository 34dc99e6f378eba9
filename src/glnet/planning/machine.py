"""What this machine offers: memory, and the pace of training; PyTorch only where it is measured."""

from glnet.engines.held import free
from glnet.geometry import OUTPUT_STRIDE
from glnet.planning.budget import Estimate, StagePace
from glnet.recipe import BEST, LossSettings, ModelSettings, Recipe, Stage

#: The paper's memory, for devices whose free memory is not asked for.
PAPER_MEMORY = 2 << 30

#: Seconds per megapixel of network input, forward and in a whole training step, for a ResNet-50
#: with pyramids 256 wide: on two CPU cores, and roughly on a GPU.
_ROUGH = {"cpu": (4.0, 13.0), "gpu": (0.03, 0.1)}


def default_memory(kind: str) -> tuple[int, str]:
    """What training may take on `cpu` or another kind of device, in bytes, and why."""
    available = free() if kind == "cpu" else None
    if available is not None:
        return available // 2, "half of what is free now"
    return PAPER_MEMORY, "the paper's"


def device_kind(device: str, *, measured: bool) -> str:
    """`cpu`, `cuda`, `mps`; `unknown` for auto where PyTorch is not to be asked.

    Raises:
        RunError: no such device here.
    """
    if not measured:
        return "unknown" if device == "auto" else device.partition(":")[0]
    from glnet.engines.torch_engine import pick_device  # noqa: PLC0415  torch is an extra

    return pick_device(device).type


def finest(trunk: str) -> int:
    """The finest stride of the preset `best`, or 4 where the trunk has no map there.

    Without PyTorch nothing knows the trunk, and the preset's is taken.
    """
    best = int(BEST["model"]["finest"])
    try:
        from glnet.model.trunk import has_detail  # noqa: PLC0415  torch is an extra
    except ImportError:
        return best
    return best if has_detail(trunk) else OUTPUT_STRIDE


def estimator(
    model: ModelSettings, classes: int, loss: LossSettings, *, frozen: bool, image: int, device: str
) -> Estimate:
    """The estimate of a step's memory, as training makes it; see `estimate_memory`."""
    from glnet.training.memory import estimate_memory  # noqa: PLC0415

    return lambda stage, batch, mini: estimate_memory(
        model, classes, stage, batch, mini, frozen=frozen, loss=loss, image=image, device=device
    )


def measured_pace(recipe: Recipe, classes: int, windows: int, dtype: str) -> dict[Stage, StagePace]:
    """See `glnet.training.pace.measure_pace`."""
    from glnet.training.pace import measure_pace  # noqa: PLC0415

    seconds = measure_pace(recipe, classes, windows, dtype)
    return {stage: StagePace(*both) for stage, both in seconds.items()}


def rough_pace(recipe: Recipe, windows: int, kind: str) -> dict[Stage, StagePace]:
    """A stated guess instead: time by the megapixels that a stage takes forward and backward."""
    forward, step = _ROUGH["gpu" if kind in ("cuda", "mps") else "cpu"]
    model, patches = recipe.model, recipe.train.patches
    thumbnail, patch = model.thumbnail**2 / 1e6, model.patch**2 / 1e6
    drawn = windows if patches == "all" else min(windows, int(patches))
    scene = forward * (thumbnail + windows * patch)
    seen = forward * thumbnail
    every: dict[Stage, StagePace] = {
        "global": StagePace(step * thumbnail, seen),
        "global_to_local": StagePace(seen + step * drawn * patch, scene),
    }
    return {stage: every[stage] for stage in model.stages}
