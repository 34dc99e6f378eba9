"""One branch: a trunk, and a pyramid that may be joined by the other branch's maps.

A pyramid has four kinds of map per level, each one convolution (or the trunk) after the last:
trunk -> top_down -> smoothed -> narrowed, then `joined` over all levels. Where a branch receives,
every convolution reads the other branch's map of the same kind beside its own. There is nothing
non-linear after the trunk. Levels go from coarse to fine: 5, 4, 3, 2.

Paper: "Collaborative Global-Local Networks", section 3 (deep feature map sharing).
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from glnet.model.trunk import Trunk
from glnet.sharing import LEVELS

Levels = tuple[Tensor, ...]

#: What a branch reads of the other one: nothing, the narrowed maps, or all four kinds.
Receives = Literal["nothing", "narrowed", "all"]


class SharedMaps(NamedTuple):
    """The maps that one branch lends to the other: four kinds of four levels, coarsest first."""

    trunk: Levels
    top_down: Levels
    smoothed: Levels
    narrowed: Levels


class BranchOutput(NamedTuple):
    """What a branch made: logits and `joined` at stride 4, and the maps it can lend."""

    logits: Tensor
    joined: Tensor
    maps: SharedMaps


class Branch(nn.Module):
    """Trunk and pyramid. `receives` decides at construction what it is joined by.

    The plain global branch, the local branch and the refined global branch are three of these.
    """

    def __init__(self, trunk: Trunk, width: int, classes: int, receives: Receives) -> None:
        """Build; weights are random until `model.initialise` or a bundle sets them.

        Args:
            trunk: Its own, not shared with another branch.
            width: Channels of the lateral and smoothed maps; narrowed ones have half.
            classes: Channels of the logits.
            receives: See `Receives`.
        """
        super().__init__()
        self.receives = receives
        early = 2 if receives == "all" else 1
        late = 1 if receives == "nothing" else 2
        self.width, half = width, width // 2
        coarsest_first = trunk.channels[::-1]
        self.trunk = trunk
        self.lateral = nn.ModuleList(nn.Conv2d(early * c, width, 1) for c in coarsest_first)
        self.smooth = nn.ModuleList(_conv3(early * width, width) for _ in range(LEVELS))
        self.narrow = nn.ModuleList(_conv3(early * width, half) for _ in range(LEVELS))
        self.join = _conv3(late * LEVELS * half, LEVELS * half) if late > 1 else nn.Identity()
        self.classify = _conv3(LEVELS * half, classes)

    def forward(self, pixels: Tensor, received: SharedMaps | None = None) -> BranchOutput:
        """Run on normalised pixels (B, bands, H, W).

        Args:
            pixels: The thumbnail or the patches.
            received: The other branch's maps under the same ground, already of this one's sizes.
        """
        maps, last = self.pyramid(pixels, received)
        joined = self.join(last)
        return BranchOutput(self.classify(joined), joined, maps)

    def pyramid(
        self, pixels: Tensor, received: SharedMaps | None = None
    ) -> tuple[SharedMaps, Tensor]:
        """All maps that can be lent, and what the joining convolution reads: see `forward`."""
        lent = received if self.receives == "all" else None
        trunk = self.trunk(pixels)

        top_down: list[Tensor] = []
        laterals = (
            conv(own) for conv, own in zip(self.lateral, _beside(trunk, lent, 0), strict=True)
        )
        for lateral in laterals:
            above = to_size(top_down[-1], lateral) + lateral if top_down else lateral
            top_down.append(above)
        smoothed = _each(self.smooth, _beside(top_down, lent, 1))
        narrowed = _each(self.narrow, _beside(smoothed, lent, 2))

        late = None if self.receives == "nothing" else received
        finest = narrowed[-1]
        last = [to_size(level, finest) for level in _beside(narrowed, late, 3)]
        return SharedMaps(trunk, tuple(top_down), smoothed, narrowed), torch.cat(last, dim=1)


def _conv3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _each(convolutions: nn.ModuleList, levels: list[Tensor]) -> Levels:
    return tuple(conv(level) for conv, level in zip(convolutions, levels, strict=True))


def _beside(own: Levels | list[Tensor], lent: SharedMaps | None, kind: int) -> list[Tensor]:
    """The other branch's maps of one kind put behind the own ones, channel-wise."""
    if lent is None:
        return list(own)
    return [torch.cat(pair, dim=1) for pair in zip(own, lent[kind], strict=True)]


def to_size(level: Tensor, finest: Tensor) -> Tensor:
    """A coarser level's maps enlarged to a finer one's cells."""
    size = finest.shape[-2:]
    if level.shape[-2:] == size:
        return level
    return functional.interpolate(level, size, mode="bilinear", align_corners=False)
