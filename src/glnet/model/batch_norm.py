"""Batch norm of a trained network, in the two forms in which a prediction can afford it.

Multiplied into the weights before it, it costs nothing; but the products are rounded anew, which
moves the scores of ill-conditioned weights: by up to 1.4e-4 of the largest in the authors' recorded
cases, against 7e-5 for a scale after the convolution. So fp32, the reference, keeps the scale,
but for the ends of residual blocks: what is added to a sum moves it no more than that (7e-5), and
inference engines add within the convolution only where nothing lies between the two.
"""

import operator

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse
from torch.nn.utils.fusion import fuse_conv_bn_eval

from glnet.model.branch import NormedBranch
from glnet.model.trunk import Trunk

#: Finite, and larger than any value: clamping to it changes nothing.
_BEYOND = 3e38


def fuse_batch_norm(trunk: Trunk) -> None:
    """Multiply a trunk's batch norms into its convolutions, where torch can trace it."""
    try:
        trunk.body = fuse(trunk.body)
    except Exception:
        return


def fuse_added_batch_norm(trunk: Trunk) -> None:
    """Multiply batch norms that are only added into convolutions, where torch can trace it."""
    try:
        graph = fx.symbolic_trace(trunk.body).graph
    except Exception:
        return
    modules = dict(trunk.body.named_modules())
    for node in graph.nodes:
        norm, before = modules.get(str(node.target)), node.args[0] if node.args else None
        if type(norm) is not nn.BatchNorm2d or not _is_only_added(node):
            continue
        if not isinstance(before, fx.Node) or len(before.users) > 1:
            continue
        conv = modules.get(str(before.target))
        if type(conv) is nn.Conv2d:
            trunk.body.set_submodule(str(before.target), fused_convolution(conv, norm))
            trunk.body.set_submodule(str(node.target), nn.Identity())


def fuse_pyramid(branch: NormedBranch) -> None:
    """Multiply the batch norms after a trunk into the convolutions before them."""
    for kind in ("lateral", "smooth"):
        convolutions, norms = getattr(branch, kind), getattr(branch, f"{kind}_norm")
        for level, (conv, norm) in enumerate(zip(convolutions, norms, strict=True)):
            convolutions[level], norms[level] = fused_convolution(conv, norm), nn.Identity()
        if (detail := branch.detail) is not None:
            conv, norm = getattr(detail, kind), getattr(detail, f"{kind}_norm")
            setattr(detail, kind, fused_convolution(conv, norm))
            setattr(detail, f"{kind}_norm", nn.Identity())


def fused_convolution(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """A convolution and the trained batch norm behind it, as one convolution."""
    if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
        raise TypeError(type(conv).__name__, type(norm).__name__)
    # In double precision, so that every weight is rounded once.
    return fuse_conv_bn_eval(conv.double(), norm.double()).float()


def _is_only_added(node: fx.Node) -> bool:
    return len(node.users) == 1 and all(
        user.op == "call_function" and user.target in {operator.add, operator.iadd, torch.add}
        for user in node.users
    )


def unroll_batch_norm(module: nn.Module) -> None:
    """Put a scale and a shift in the place of every batch norm below."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d and child.running_var is not None:
            setattr(module, name, _Scale(child))
        else:
            unroll_batch_norm(child)


class _Scale(nn.Module):
    """What a batch norm does once it is trained, out of reach of optimisers.

    Inference engines multiply a scale into the weights before it; the clamp between the two, which
    they run for nothing in the same loop, keeps them from it.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        state = {name: value.double() for name, value in norm.state_dict().items()}
        scale = state.get("weight", torch.ones(())) / (state["running_var"] + norm.eps).sqrt()
        shift = state.get("bias", torch.zeros(())) - state["running_mean"] * scale
        self.register_buffer("scale", scale.float().view(1, -1, 1, 1))
        self.register_buffer("shift", shift.float().view(1, -1, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return maps.clamp(-_BEYOND, _BEYOND) * self.scale + self.shift
