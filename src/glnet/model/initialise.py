"""How the parts that no pretraining covers start."""

import copy
from collections.abc import Iterator
from typing import Literal

import torch
from torch import nn

from glnet.model.branch import Branch, NormedBranch
from glnet.model.glnet import GLNet
from glnet.model.trunk import Trunk
from glnet.sharing import LEVELS

Start = Literal["unit", "authors"]

#: Side of the noise that trunks are shown.
_SIDE = 256
#: Maps below it are taken as of this size.
_SMALLEST = 1e-6
#: Deviation of the authors' start.
_AUTHORS_DEVIATION = 0.01

#: A branch's convolutions that read the other one's maps behind the own ones.
_DOUBLED = ("lateral", "smooth", "narrow")


def start_pyramid(branch: Branch, how: Start) -> None:
    """Draw a branch's convolutions after the trunk, which has its weights; biases are zero.

    `unit` brings each of the trunk's maps to a mean square of one, and keeps the variance through
    this stack without non-linearities: trunks differ by a factor of sixty in how large their maps
    are, and logits that begin too large harm a pretrained trunk in the first steps. The authors'
    N(0, 0.01 squared) shrinks the maps at every layer.
    """
    for conv in pyramid_convolutions(branch):
        fan_in = conv.weight[0].numel()
        nn.init.normal_(conv.weight, std=fan_in**-0.5 if how == "unit" else _AUTHORS_DEVIATION)
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
    if how == "unit":
        laterals = [*branch.lateral]
        if isinstance(branch, NormedBranch) and branch.detail is not None:
            laterals.append(branch.detail.lateral)
        for lateral, size in zip(laterals, _sizes_of_maps(branch.trunk), strict=True):
            lateral.get_parameter("weight").data /= size


@torch.no_grad()
def _sizes_of_maps(trunk: Trunk) -> list[float]:
    """Root mean squares of a trunk's maps, coarsest first, of noise as large as its input is."""
    noise = torch.randn(1, trunk.bands, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    # A copy: where batch statistics move, this image shall not move them.
    maps = copy.deepcopy(trunk)(noise.to(next(trunk.parameters())))
    return [max(float(map_.square().mean().sqrt()), _SMALLEST) for map_ in maps]


def start_aggregation(model: GLNet, how: Start) -> None:
    """Draw the aggregation layer in the same manner."""
    if model.aggregation is not None:
        weight = model.aggregation.conv.weight
        fan_in = weight[0].numel()
        nn.init.normal_(weight, std=fan_in**-0.5 if how == "unit" else _AUTHORS_DEVIATION)
        if how == "unit" and model.aggregation.conv.bias is not None:
            nn.init.zeros_(model.aggregation.conv.bias)


@torch.no_grad()
def start_alone(model: GLNet) -> None:
    """Let the local branch start as it would alone, and the aggregation as its local half.

    What reads the global branch's maps is zero; from there it learns what helps, where drawn
    weights add the global maps to everything at once. As ControlNet starts (Zhang et al., 2023).
    """
    local, aggregation = model.local_branch, model.aggregation
    if not isinstance(local, Branch) or aggregation is None:
        return
    if local.receives == "all":
        for kind in _DOUBLED:
            for conv in getattr(local, kind):
                _read_own(conv, conv.in_channels // 2)
    _pass_own_maps(local.join)
    _read_own(aggregation.conv, aggregation.channels[0])


def _read_own(conv: nn.Conv2d, own: int) -> None:
    """Zero what reads the received maps; what reads the own, drawn for all, makes up for it."""
    conv.weight[:, :own] *= (conv.in_channels / own) ** 0.5
    conv.weight[:, own:] = 0


def pyramid_convolutions(branch: Branch) -> Iterator[nn.Conv2d]:
    """All convolutions of a branch after its trunk."""
    for name, module in branch.named_modules():
        if isinstance(module, nn.Conv2d) and not name.startswith("trunk."):
            yield module


@torch.no_grad()
def start_refined(model: GLNet, how: Literal["plain", "authors"]) -> None:
    """Give the refined global branch its start, from the trained plain one.

    `plain`: it begins as the plain branch, exactly: the other branch's half of every doubled
    convolution is zero, and the joining convolution passes the own maps through. `authors`: trunk
    and classifier are copied, all doubled convolutions drawn anew from N(0, 0.01 squared).
    """
    plain, refined = model.global_branch, model.refined_global
    if plain is None or refined is None:
        msg = "only a bidirectional network has a refined global branch"
        raise ValueError(msg)
    refined.trunk.load_state_dict(plain.trunk.state_dict())
    if how == "authors":
        start_pyramid(refined, "authors")
    else:
        for kind in _DOUBLED:
            for own, doubled in zip(getattr(plain, kind), getattr(refined, kind), strict=True):
                doubled.weight.zero_()
                doubled.weight[:, : own.weight.shape[1]] = own.weight
                if own.bias is not None:
                    doubled.bias.copy_(own.bias)
        if isinstance(plain, NormedBranch) and isinstance(refined, NormedBranch):
            refined.lateral_norm.load_state_dict(plain.lateral_norm.state_dict())
            refined.smooth_norm.load_state_dict(plain.smooth_norm.state_dict())
        _pass_own_maps(refined.join)
    refined.classify.load_state_dict(plain.classify.state_dict())


def _pass_own_maps(join: nn.Module) -> None:
    """Set a joining convolution to the identity on the own maps, which alternate with received."""
    if not isinstance(join, nn.Conv2d):
        return
    join.weight.zero_()
    if join.bias is not None:
        join.bias.zero_()
    half = join.out_channels // LEVELS
    for level in range(LEVELS):
        for channel in range(half):
            join.weight[level * half + channel, 2 * level * half + channel, 1, 1] = 1
