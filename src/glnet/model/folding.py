"""A trained network folded into light graphs for prediction, exact to rounding.

Nothing in a linear pyramid is non-linear, and resampling acts on places while a 1x1 convolution
acts on channels: the two commute. So

- the joining 3x3 convolution and the one to the classes after it are one 3x3 convolution to nine
  times the classes (what each of the second one's nine taps would read) and nine shifted adds;
  zero padding between the two stays exact, where a single 5x5 convolution would err at borders;
- a 3x3 convolution over maps that were cropped from the scene, or enlarged from a coarser level,
  is applied to the few cells before: products of channels for each tap, then resampling by
  matrices that hold the shifts (`glnet.sharing.with_taps`);
- what the local branch's 1x1 convolutions read of the global trunk is projected once per scene.

A normed pyramid's batch norms are multiplied into the convolutions before them; what is received is
added before the ReLU, so that the last two hold for it too, and its classes need no folding.

Each graph is a function of tensors alone, so that an exporter can write it down. The finest
level's own maps are computed in full: laying them onto the scene reads them. A direct map of 9x9
taps from there to the classes would save 3 of 48 GMAC per 508 px patch, and cost strips of its own
along every border.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from glnet.model.batch_norm import fuse_pyramid
from glnet.model.branch import Branch, LinearBranch, NormedBranch, SharedMaps, to_size
from glnet.model.glnet import GLNet
from glnet.model.taps import (
    Taps,
    adding,
    by_tap,
    convolution,
    lay,
    spread,
    spread_rows,
    through,
    weight_of,
)
from glnet.model.trunk import Trunk
from glnet.recipe import View
from glnet.sharing import LEVELS, Exchange, Look, PatchOutput


class Folded(NamedTuple):
    """The graphs of a network; None where it has no such branch."""

    global_: "GlobalGraph | None"
    local: "LocalGraph | None"
    refined: "RefinedGraph | None"

    @property
    def trunks(self) -> list[Trunk]:
        """Of all graphs."""
        branches = [graph.branch for graph in (self.global_, self.refined) if graph]
        return [branch.trunk for branch in (*branches, self.local) if branch]


def fold(model: GLNet) -> Folded:
    """Light graphs of a network, which itself is left as it is.

    Raises:
        ValueError: the network is a rival, which has nothing to fold.
    """
    if model.settings.network != "glnet":
        msg = f"a {model.settings.network} has nothing to fold"
        raise ValueError(msg)
    with torch.no_grad():
        return Folded(
            GlobalGraph(model).eval() if model.global_branch else None,
            LocalGraph(model).eval() if model.local_branch else None,
            RefinedGraph(model).eval() if model.refined_global else None,
        )


class GlobalGraph(nn.Module):
    """The plain global branch, thumbnails (B, bands, H, W) to a `Look`."""

    def __init__(self, model: GLNet) -> None:
        """Fold what the local branch and the aggregation read of it."""
        super().__init__()
        branch, local = _as_branch(model.global_branch), model.local_branch
        self.normalise, self.branch = copy.deepcopy(model.normalise), _light(branch)
        self.receives = local.receives if isinstance(local, Branch) else "nothing"
        self.lateral = nn.ModuleList()
        if isinstance(local, Branch) and self.receives == "all":
            lateral = _after_trunk(local).lateral
            for conv, channels in zip(lateral, branch.trunk.channels[::-1], strict=True):
                self.lateral.append(convolution(weight_of(conv)[:, channels:]))
        self.share = None
        if model.aggregation is not None and model.refined_global is None:
            self.share = convolution(by_tap(model.aggregation.weights[1].detach()))

    def forward(self, pixels: Tensor) -> Look:
        """See `Look`."""
        maps, joined = self.branch.pyramid(self.normalise(pixels))
        share = () if self.share is None else (self.share(joined),)
        lent: tuple[Tensor, ...] = ()
        if self.receives == "narrowed":
            lent = maps.narrowed
        elif self.receives == "all":
            projected = tuple(
                conv(level) for conv, level in zip(self.lateral, maps.trunk, strict=True)
            )
            kinds = filter(None, (projected, *maps[1:]))
            lent = tuple(torch.cat(level, dim=1) for level in zip(*kinds, strict=True))
        return Look(self.branch.classify(joined), share, lent)


class RefinedGraph(nn.Module):
    """The refined global branch: thumbnails and laid maps to a `Look` that lends nothing."""

    def __init__(self, model: GLNet) -> None:
        """Fold its last convolutions."""
        super().__init__()
        branch, aggregation = _as_branch(model.refined_global), model.aggregation
        assert aggregation is not None  # noqa: S101  a refined branch comes with it
        self.normalise, self.branch = copy.deepcopy(model.normalise), _light(branch)
        half = aggregation.weights[1].detach()
        if isinstance(branch.join, nn.Conv2d):
            self.share = convolution(*through(half, branch.join), padding=1)
            self.head = convolution(*through(weight_of(branch.classify), branch.join), padding=1)
            self.add: nn.Module = adding(branch.classify)
        else:
            self.share = convolution(by_tap(half))
            self.head, self.add = self.branch.classify, nn.Identity()

    def forward(self, pixels: Tensor, laid: Sequence[Tensor]) -> Look:
        """See `Look`; `laid` as in `PatchOutput`, of whole scenes: (B, rows, columns, channels)."""
        kinds = [
            torch.split(level.permute(0, 3, 1, 2), [own, *self.branch.lent], dim=1)
            for level, own in zip(laid, self.branch.trunk.channels[::-1], strict=True)
        ]
        received = SharedMaps(*zip(*kinds, strict=True))
        _, beside = self.branch.pyramid(self.normalise(pixels), received)
        return Look(self.add(self.head(beside)), (self.share(beside),), ())


class LocalGraph(nn.Module):
    """The local branch on patches of one size, and what aggregation makes of it alone."""

    def __init__(self, model: GLNet) -> None:
        """Fold what reads the global branch's maps, and the ends of all views of patches."""
        super().__init__()
        whole = _as_branch(model.local_branch)
        branch = _after_trunk(whole)
        self.normalise = copy.deepcopy(model.normalise)
        self.trunk = copy.deepcopy(whole.trunk)
        self.normed = isinstance(branch, NormedBranch)
        self.detail = branch.detail if isinstance(branch, NormedBranch) else None
        self.receives, self.widths = branch.receives, [branch.width, *branch.lent]
        self.lateral = nn.ModuleList()
        for conv, channels in zip(branch.lateral, self.trunk.channels[::-1], strict=True):
            self.lateral.append(convolution(weight_of(conv)[:, :channels], conv.bias))
        self.smooth, self.smooth_lent = _halves(branch.smooth, branch)
        self.narrow, self.narrow_lent = _halves(branch.narrow, branch)
        last = {"local": whole.classify}
        if model.aggregation is not None:
            weight = model.aggregation.weights[0].detach()
            last["aggregated"] = convolution(weight, model.aggregation.conv.bias, padding=1)
        self.heads = nn.ModuleDict({view: _Head(whole, conv) for view, conv in last.items()})

    def forward(
        self,
        pixels: Tensor,
        exchanges: Sequence[Exchange],
        views: Sequence[View],
        *,
        lays: bool,
    ) -> PatchOutput:
        """See `PatchOutput`.

        Args:
            pixels: (P, bands, h, w), as stored.
            exchanges: How each level meets the scene, coarsest first.
            views: `local`, `aggregated`: which scores to give.
            lays: Whether to lay the maps onto the scene.
        """
        trunk = self.trunk(self.normalise(pixels))
        laid, last = [], []
        above: Tensor | None = None
        for level, (own, exchange) in enumerate(zip(trunk[:LEVELS], exchanges, strict=True)):
            top_down = self.lateral[level](own)
            lent: tuple[Tensor, ...] = ()
            if self.receives == "all":
                lent = torch.split(exchange.lent, self.widths, dim=1)
                top_down = top_down + spread(lent[0], exchange.rows, exchange.columns)
            top_down = self._active(top_down)
            if above is not None:
                top_down = to_size(above, top_down) + top_down
            smoothed = self.smooth[level](top_down)
            if lent:
                across = self.smooth_lent[level](lent[1], exchange.tap_columns)
                smoothed = smoothed + spread_rows(exchange.tap_rows, across)
            smoothed = self._active(smoothed)
            kinds = [own, top_down]
            if self.normed:
                above = smoothed
                last = [smoothed]
            else:
                above = top_down
                narrowed = self.narrow[level](smoothed)
                if lent:
                    across = self.narrow_lent[level](lent[2], exchange.tap_columns)
                    narrowed = narrowed + spread_rows(exchange.tap_rows, across)
                kinds += smoothed, narrowed
                last.append(narrowed)
            if lays:
                axes = exchange.lay_rows, exchange.lay_columns
                laid.append(torch.cat([lay(kind, *axes) for kind in kinds], dim=3))
        if self.detail is not None:
            last = [self.detail(*trunk[LEVELS:], *last)]
        scores = tuple(self.heads[view](last, exchanges) for view in views)
        return PatchOutput(scores, tuple(laid))

    def _active(self, maps: Tensor) -> Tensor:
        return functional.relu(maps) if self.normed else maps


class _Head(nn.Module):
    """From the narrowed maps, own and lent, through the joining convolution to the classes."""

    def __init__(self, branch: Branch, last: nn.Conv2d) -> None:
        """`last`: the convolution from joined features to the classes."""
        super().__init__()
        levels = LEVELS if isinstance(branch, LinearBranch) else 1
        self.narrowed = last.in_channels // levels
        weight, bias, self.add = weight_of(last), last.bias, None
        if isinstance(branch.join, nn.Conv2d):
            weight, bias = through(weight, branch.join)
            self.add = adding(last)
        parts = torch.split(weight, self.narrowed, dim=1)
        own, lent = (parts[::2], parts[1::2]) if self.add is not None else (parts, ())
        self.finest = convolution(own[-1], bias, padding=1)
        self.coarser, self.lent = (
            nn.ModuleList(Taps(part) for part in parts) for parts in (own[:-1], lent)
        )

    def forward(self, narrowed: Sequence[Tensor], exchanges: Sequence[Exchange]) -> Tensor:
        """Logits at the finest level's cells."""
        rows, across = [], []
        for taps, level, exchange in zip(self.coarser, narrowed, exchanges, strict=False):
            rows.append(exchange.up_rows)
            across.append(taps(level, exchange.up_columns))
        for taps, exchange in zip(self.lent, exchanges, strict=False):
            rows.append(exchange.fine_rows)
            across.append(taps(exchange.lent[:, -self.narrowed :], exchange.fine_columns))
        total = self.finest(narrowed[-1])
        if not across:
            return total
        count = len(across[0])
        # Adding up all levels is one product with all their rows.
        together = torch.cat([matrix.expand(count, -1, -1) for matrix in rows], dim=2)
        total = total + spread_rows(together, torch.cat(across, dim=1))
        return total if self.add is None else self.add(total)


def _as_branch(branch: object) -> Branch:
    if not isinstance(branch, Branch):
        raise TypeError(type(branch).__name__)
    return branch


def _halves(convolutions: nn.ModuleList, branch: Branch) -> tuple[nn.ModuleList, nn.ModuleList]:
    """Of 3x3 convolutions, what reads the own maps; and of those that receive, what reads lent."""
    own, lent = nn.ModuleList(), nn.ModuleList()
    for conv in convolutions:
        weight = weight_of(conv)
        own.append(convolution(weight[:, : branch.width], conv.bias, padding=1))
        if branch.receives == "all":
            lent.append(Taps(weight[:, branch.width :]))
    return own, lent


def _light(branch: Branch) -> Branch:
    """A copy of a branch without its joining convolution, its pyramid's norms multiplied in."""
    light = _after_trunk(branch)
    light.trunk, light.join = copy.deepcopy(branch.trunk), nn.Identity()
    return light


def _after_trunk(branch: Branch) -> Branch:
    """A copy of a branch's pyramid and classifier, its norms multiplied into the convolutions."""
    light = copy.copy(branch)
    heavy = ("trunk", "join")
    light._modules = {k: v for k, v in branch._modules.items() if k not in heavy}  # noqa: SLF001
    light = copy.deepcopy(light).eval()
    if isinstance(light, NormedBranch):
        fuse_pyramid(light)
    return light
