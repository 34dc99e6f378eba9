"""What each stage trains, what stays frozen, and which losses it has."""

from torch import Tensor, nn

from glnet.model.glnet import GLNet
from glnet.recipe import Stage

_PARTS: dict[Stage, tuple[str, ...]] = {
    "global": ("global_branch",),
    "global_to_local": ("local_branch", "aggregation"),
    "local_to_global": ("refined_global", "aggregation"),
}


def trained_parts(model: GLNet, stage: Stage) -> dict[str, nn.Module]:
    """The modules that a stage trains, by name; everything else is frozen."""
    parts = {name: getattr(model, name) for name in _PARTS[stage]}
    return {name: part for name, part in parts.items() if part is not None}


def prepare(model: GLNet, stage: Stage, *, freeze_batch_norm: bool) -> list[nn.Parameter]:
    """Freeze all but the stage's parts; batch statistics move only there. Gives what is trained.

    Trunks alone have statistics to keep: those of a rival's decoder start at nothing.
    """
    model.eval().requires_grad_(requires_grad=False)
    for part in trained_parts(model, stage).values():
        part.train().requires_grad_(requires_grad=True)
        for name, module in part.named_modules():
            of_trunk = name.startswith("trunk.")
            if freeze_batch_norm and of_trunk and isinstance(module, nn.BatchNorm2d):
                module.eval()
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def loss_kinds(model: GLNet, stage: Stage) -> tuple[str, ...]:
    """The kinds of loss of a stage, the main one first."""
    if stage == "global":
        return ("global",)
    if model.global_branch is None:
        return ("local",)
    return ("aggregated", "global") if stage == "local_to_global" else (
        "aggregated", "local", "coupling",
    )  # fmt: skip


def statistics_move(model: nn.Module) -> bool:
    """Does any batch norm learn from its batch, so that the images of a batch hang together?"""
    return any(isinstance(m, nn.BatchNorm2d) and m.training for m in model.modules())


def moving_statistics(model: nn.Module) -> list[Tensor]:
    """The running means and variances of all batch norms that learn from their batch."""
    norms = (m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.training)
    return [
        found
        for norm in norms
        for found in (norm.running_mean, norm.running_var)
        if found is not None
    ]
