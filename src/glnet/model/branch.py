"""One branch: a trunk, and a pyramid that may be joined by the other branch's maps.

The paper's pyramid is linear. It has four kinds of map per level, each one convolution (or the
trunk) after the last: trunk -> top_down -> smoothed -> narrowed, then `joined` over all levels.

The normed one has batch norm and ReLU after every convolution, and hands the smoothed map on to the
next finer level: trunk -> top_down -> smoothed, and `joined` is the finest smoothed map. What a
coarse level knows comes to the classes by way of the finer ones alone.

Where a branch receives, every convolution reads the other branch's map of the same kind beside its
own. Levels go from coarse to fine: 5, 4, 3, 2.

Paper: "Collaborative Global-Local Networks", section 3 (deep feature map sharing).
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from glnet.model.norm import BatchNorm
from glnet.model.trunk import Trunk
from glnet.sharing import LEVELS

Levels = tuple[Tensor, ...]

#: What a branch reads of the other one: nothing, the narrowed maps, or all four kinds.
Receives = Literal["nothing", "narrowed", "all"]


class SharedMaps(NamedTuple):
    """The maps that one branch lends to the other: kinds of four levels, coarsest first.

    A kind that nobody reads is empty.
    """

    trunk: Levels
    top_down: Levels
    smoothed: Levels = ()
    narrowed: Levels = ()


class BranchOutput(NamedTuple):
    """What a branch made: logits and `joined` at stride 4, and the maps it can lend."""

    logits: Tensor
    joined: Tensor
    maps: SharedMaps


class Branch(nn.Module):
    """Trunk and pyramid. `receives` decides at construction what it is joined by.

    The plain global branch, the local branch and the refined global branch are three of these.

    Attributes:
        width: Channels of the lateral and smoothed maps.
        joined: Channels of what the classes read.
        lent: Channels, after the trunk's, of each kind of map that is shared in all levels.
    """

    lent: tuple[int, ...]

    def __init__(
        self, trunk: Trunk, width: int, classes: int, receives: Receives, *, joined: int, bias: bool
    ) -> None:
        """What both pyramids have; weights are random until `model.initialise` or a bundle.

        Args:
            trunk: Its own, not shared with another branch.
            width: See the class.
            classes: Channels of the logits.
            receives: See `Receives`.
            joined: Channels of `joined`.
            bias: Whether the convolutions at each level have one.
        """
        super().__init__()
        self.receives, self.width, self.joined = receives, width, joined
        self.trunk = trunk
        sources = 2 if receives == "all" else 1
        self.lateral = nn.ModuleList(
            nn.Conv2d(sources * channels, width, 1, bias=bias) for channels in trunk.channels[::-1]
        )
        self.smooth = nn.ModuleList(
            _conv3(sources * width, width, bias=bias) for _ in range(LEVELS)
        )
        self.narrow = nn.ModuleList()
        self.join: nn.Module = nn.Identity()
        self.classify = _conv3(joined, classes)

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
        return self._after_trunk(self.trunk(pixels), received)

    def _after_trunk(self, trunk: Levels, received: SharedMaps | None) -> tuple[SharedMaps, Tensor]:
        raise NotImplementedError


class LinearBranch(Branch):
    """With the paper's pyramid."""

    def __init__(self, trunk: Trunk, width: int, classes: int, receives: Receives) -> None:
        """See `Branch`; narrowed maps have half of the width."""
        half = width // 2
        super().__init__(trunk, width, classes, receives, joined=LEVELS * half, bias=True)
        self.lent = (width, width, half)
        sources = 2 if receives == "all" else 1
        self.narrow.extend(_conv3(sources * width, half) for _ in range(LEVELS))
        if receives != "nothing":
            self.join = _conv3(2 * LEVELS * half, LEVELS * half)

    def _after_trunk(self, trunk: Levels, received: SharedMaps | None) -> tuple[SharedMaps, Tensor]:
        lent = received if self.receives == "all" else None
        top_down: list[Tensor] = []
        laterals = (
            conv(own) for conv, own in zip(self.lateral, _beside(trunk, lent, 0), strict=True)
        )
        for lateral in laterals:
            above = to_size(top_down[-1], lateral) + lateral if top_down else lateral
            top_down.append(above)
        smoothed = _each(self.smooth, _beside(top_down, lent, 1))
        narrowed = _each(self.narrow, _beside(smoothed, lent, 2))

        finest = narrowed[-1]
        last = [to_size(level, finest) for level in _beside(narrowed, received, 3)]
        return SharedMaps(trunk, tuple(top_down), smoothed, narrowed), torch.cat(last, dim=1)


class Detail(nn.Module):
    """A level more below a normed pyramid, at stride 2. It is lent to nobody."""

    def __init__(self, channels: int, width: int, narrow: int) -> None:
        """`channels`: of the trunk's map at that stride; `narrow`: of the maps that it makes."""
        super().__init__()
        self.lateral = nn.Conv2d(channels, width, 1, bias=False)
        self.lateral_norm: nn.Module = BatchNorm(width)
        self.smooth = _conv3(width, narrow, bias=False)
        self.smooth_norm: nn.Module = BatchNorm(narrow)

    def forward(self, own: Tensor, above: Tensor) -> Tensor:
        """The finest maps, of the trunk's and of those at stride 4."""
        lateral = functional.relu(self.lateral_norm(self.lateral(own)))
        return functional.relu(self.smooth_norm(self.smooth(to_size(above, lateral) + lateral)))


class NormedBranch(Branch):
    """With the normed pyramid; with the trunk's map at stride 2 too where the trunk gives it."""

    def __init__(self, trunk: Trunk, width: int, classes: int, receives: Receives) -> None:
        """See `Branch`; it receives `nothing` or `all`, for there are no narrowed maps."""
        joined = width // 2 if trunk.detail else width
        super().__init__(trunk, width, classes, receives, joined=joined, bias=False)
        self.lent = (width,)
        self.lateral_norm = nn.ModuleList(BatchNorm(width) for _ in range(LEVELS))
        self.smooth_norm = nn.ModuleList(BatchNorm(width) for _ in range(LEVELS))
        self.detail = Detail(trunk.detail, width, joined) if trunk.detail else None

    def _after_trunk(self, trunk: Levels, received: SharedMaps | None) -> tuple[SharedMaps, Tensor]:
        trunk, finest = trunk[:LEVELS], trunk[LEVELS:]
        top_down: list[Tensor] = []
        smoothed = None
        for level, own in enumerate(_beside(trunk, received, 0)):
            above = functional.relu(self.lateral_norm[level](self.lateral[level](own)))
            if smoothed is not None:
                above = to_size(smoothed, above) + above
            top_down.append(above)
            beside = above
            if received is not None:
                beside = torch.cat((above, received.top_down[level]), dim=1)
            smoothed = functional.relu(self.smooth_norm[level](self.smooth[level](beside)))
        assert smoothed is not None  # noqa: S101  there are levels
        if self.detail is not None:
            smoothed = self.detail(*finest, smoothed)
        return SharedMaps(trunk, tuple(top_down)), smoothed


def _conv3(inputs: int, outputs: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


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
