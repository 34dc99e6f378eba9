"""A trained network folded into light graphs for prediction, exact to rounding.

Nothing after the trunks is non-linear, and resampling acts on places while a 1x1 convolution acts
on channels: the two commute. So

- the joining 3x3 convolution and the one to the classes after it are one 3x3 convolution to nine
  times the classes (what each of the second one's nine taps would read) and nine shifted adds;
  zero padding between the two stays exact, where a single 5x5 convolution would err at borders;
- a 3x3 convolution over maps that were cropped from the scene, or enlarged from a coarser level,
  is applied to the few cells before: products of channels for each tap, then resampling by
  matrices that hold the shifts (`glnet.sharing.with_taps`);
- what the local branch's 1x1 convolutions read of the global trunk is projected once per scene;
- batch norm becomes part of the convolution before it.

Each graph is a function of tensors alone, so that an exporter can write it down. The finest
level's own maps are computed in full: laying them onto the scene reads them. A direct map of 9x9
taps from there to the classes would save 3 of 47 GMAC per 508 px patch, and cost strips of its own
along every border.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from glnet.model.branch import Branch, SharedMaps, to_size
from glnet.model.glnet import GLNet
from glnet.model.trunk import Trunk
from glnet.recipe import View
from glnet.sharing import Exchange, Look, PatchOutput

_TAPS = 9


class Folded(NamedTuple):
    """The graphs of a network; None where it has no such branch."""

    global_: "GlobalGraph | None"
    local: "LocalGraph | None"
    refined: "RefinedGraph | None"


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
        self.normalise, self.branch = _Normalise(model), _light(branch)
        self.receives = local.receives if isinstance(local, Branch) else "nothing"
        self.lateral = nn.ModuleList()
        if isinstance(local, Branch) and self.receives == "all":
            for conv, channels in zip(local.lateral, branch.trunk.channels[::-1], strict=True):
                self.lateral.append(_conv(_of(conv)[:, channels:]))
        self.share = None
        if model.aggregation is not None and model.refined_global is None:
            self.share = _conv(_by_tap(_of(model.aggregation.conv).chunk(2, dim=1)[1]))

    def forward(self, pixels: Tensor) -> Look:
        """See `Look`."""
        maps, joined = self.branch.pyramid(self.normalise(pixels))
        share = () if self.share is None else (self.share(joined),)
        lent: tuple[Tensor, ...] = ()
        if self.receives == "narrowed":
            lent = maps.narrowed
        elif self.receives == "all":
            projected = (conv(level) for conv, level in zip(self.lateral, maps.trunk, strict=True))
            kinds = zip(projected, maps.top_down, maps.smoothed, maps.narrowed, strict=True)
            lent = tuple(torch.cat(kind, dim=1) for kind in kinds)
        return Look(self.branch.classify(joined), share, lent)


class RefinedGraph(nn.Module):
    """The refined global branch: thumbnails and laid maps to a `Look` that lends nothing."""

    def __init__(self, model: GLNet) -> None:
        """Fold its last convolutions."""
        super().__init__()
        branch, aggregation = _as_branch(model.refined_global), model.aggregation
        assert aggregation is not None  # noqa: S101  a refined branch comes with it
        self.normalise, self.branch = _Normalise(model), _light(branch)
        half = _of(aggregation.conv).chunk(2, dim=1)[1]
        self.share = _conv(*_through(half, branch.join), padding=1)
        self.head = _conv(*_through(_of(branch.classify), branch.join), padding=1)
        self.add = _adding(branch.classify)

    def forward(self, pixels: Tensor, laid: Sequence[Tensor]) -> Look:
        """See `Look`; `laid` as in `PatchOutput`, of whole scenes: (B, rows, columns, channels)."""
        width = self.branch.width
        kinds = [
            torch.split(level.permute(0, 3, 1, 2), [own, width, width, width // 2], dim=1)
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
        branch = _as_branch(model.local_branch)
        self.normalise, self.trunk, self.width = (
            _Normalise(model),
            _fused(branch.trunk),
            branch.width,
        )
        self.receives, width = branch.receives, branch.width
        self.lateral, self.smooth, self.narrow = (nn.ModuleList() for _ in range(3))
        self.smooth_lent, self.narrow_lent = nn.ModuleList(), nn.ModuleList()
        for level, channels in enumerate(branch.trunk.channels[::-1]):
            lateral, smooth, narrow = (
                branch.lateral[level],
                branch.smooth[level],
                branch.narrow[level],
            )
            self.lateral.append(_conv(_of(lateral)[:, :channels], lateral.bias))
            for conv, own, lent in (
                (smooth, self.smooth, self.smooth_lent),
                (narrow, self.narrow, self.narrow_lent),
            ):
                own.append(_conv(_of(conv)[:, :width], conv.bias, padding=1))
                if self.receives == "all":
                    lent.append(_conv(_by_tap(_of(conv)[:, width:])))
        last = {"local": branch.classify}
        if model.aggregation is not None:
            weight = _of(model.aggregation.conv).chunk(2, dim=1)[0]
            last["aggregated"] = _conv(weight, model.aggregation.conv.bias, padding=1)
        self.heads = nn.ModuleDict({view: _Head(branch, conv) for view, conv in last.items()})

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
        kinds: list[list[Tensor]] = [[], [], [], []]
        for level, (own, exchange) in enumerate(zip(trunk, exchanges, strict=True)):
            top_down = self.lateral[level](own)
            if self.receives == "all":
                lent = torch.split(exchange.lent, [*[self.width] * 3, self.width // 2], dim=1)
                top_down = top_down + _spread(
                    lent[0].permute(0, 2, 3, 1), exchange.rows, exchange.columns
                )
            if level:
                top_down = to_size(kinds[1][-1], top_down) + top_down
            smoothed = self.smooth[level](top_down)
            if self.receives == "all":
                taps = self.smooth_lent[level](lent[1])
                smoothed = smoothed + _convolved(taps, exchange.tap_rows, exchange.tap_columns)
            narrowed = self.narrow[level](smoothed)
            if self.receives == "all":
                taps = self.narrow_lent[level](lent[2])
                narrowed = narrowed + _convolved(taps, exchange.tap_rows, exchange.tap_columns)
            for kind, made in zip(kinds, (own, top_down, smoothed, narrowed), strict=True):
                kind.append(made)
        laid = []
        if lays:
            for made, exchange in zip(zip(*kinds, strict=True), exchanges, strict=True):
                axes = exchange.lay_rows, exchange.lay_columns
                laid.append(torch.cat([_lay(kind, *axes) for kind in made], dim=3))
        scores = tuple(self.heads[view](kinds[3], exchanges) for view in views)
        return PatchOutput(scores, tuple(laid))


class _Head(nn.Module):
    """From the narrowed maps, own and lent, through the joining convolution to the classes."""

    def __init__(self, branch: Branch, last: nn.Conv2d) -> None:
        """`last`: the convolution from joined features to the classes."""
        super().__init__()
        self.narrowed = branch.width // 2
        weight, bias, self.add = _of(last), last.bias, None
        if isinstance(branch.join, nn.Conv2d):
            weight, bias = _through(weight, branch.join)
            self.add = _adding(last)
        parts = torch.split(weight, self.narrowed, dim=1)
        own, lent = (parts[::2], parts[1::2]) if branch.receives != "nothing" else (parts, ())
        self.finest = _conv(own[-1], bias, padding=1)
        self.coarser = nn.ModuleList(_conv(_by_tap(part)) for part in own[:-1])
        self.lent = nn.ModuleList(_conv(_by_tap(part)) for part in lent)

    def forward(self, narrowed: Sequence[Tensor], exchanges: Sequence[Exchange]) -> Tensor:
        """Logits at the finest level's cells."""
        total = self.finest(narrowed[-1])
        for conv, level, exchange in zip(self.coarser, narrowed, exchanges, strict=False):
            total = total + _convolved(conv(level), exchange.up_rows, exchange.up_columns)
        for conv, exchange in zip(self.lent, exchanges, strict=False):
            taps = conv(exchange.lent[:, -self.narrowed :])
            total = total + _convolved(taps, exchange.fine_rows, exchange.fine_columns)
        return total if self.add is None else self.add(total)


class _Normalise(nn.Module):
    """Stored values to the trunk's input."""

    factor: Tensor
    offset: Tensor

    def __init__(self, model: GLNet) -> None:
        super().__init__()
        known = model.settings.input
        mean, deviation = torch.tensor(known.mean), torch.tensor(known.deviation)
        self.register_buffer("factor", (1 / (known.scale * deviation)).view(1, -1, 1, 1))
        self.register_buffer("offset", (-mean / deviation).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels * self.factor + self.offset


def _spread(cells: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Few cells to many, by one matrix per axis.

    Args:
        cells: (P, h, w, C); channels are last, so that a row of cells is one product.
        rows, columns: (P or 1, H, h) and (P or 1, W, w).

    Returns:
        (P, C, H, W).
    """
    across = columns[:, None] @ cells
    down = rows @ across.flatten(2)
    return down.unflatten(2, across.shape[2:]).permute(0, 3, 1, 2)


def _convolved(taps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The convolution whose taps are given (see `_by_tap`), on cells that are spread.

    Args:
        taps: (P, 9C, h, w).
        rows, columns: (P or 1, H, 3h) and (P or 1, W, 3w), see `with_taps`.

    Returns:
        (P, C, H, W).
    """
    by_tap = taps.unflatten(1, (3, 3, taps.shape[1] // _TAPS))
    side_by_side = by_tap.permute(0, 1, 4, 2, 5, 3).flatten(3, 4).flatten(1, 2)
    return _spread(side_by_side, rows, columns)


def _lay(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Many cells (P, C, h, w) to few, (P, H, W, C)."""
    cells = maps.permute(0, 2, 3, 1)
    down = rows @ cells.flatten(2)
    return columns[:, None] @ down.unflatten(2, cells.shape[2:])


def _as_branch(branch: object) -> Branch:
    if not isinstance(branch, Branch):
        raise TypeError(type(branch).__name__)
    return branch


def _light(branch: Branch) -> Branch:
    """The same branch without its joining convolution's weights, batch norm folded away."""
    light = copy.copy(branch)
    heavy = ("trunk", "join")
    light._modules = {k: v for k, v in branch._modules.items() if k not in heavy}  # noqa: SLF001
    light = copy.deepcopy(light)
    light.trunk, light.join = _fused(branch.trunk), nn.Identity()
    return light


def _fused(trunk: Trunk) -> Trunk:
    """A trunk with batch norm in its convolutions, where torch can trace it; else a copy."""
    light = copy.deepcopy(trunk).eval()
    try:
        light.body = fuse(light.body)
    except Exception:
        return light
    return light


def _of(conv: nn.Module) -> Tensor:
    assert isinstance(conv, nn.Conv2d)  # noqa: S101  ModuleList forgets what it holds
    return conv.weight.detach()


def _conv(weight: Tensor, bias: Tensor | nn.Module | None = None, padding: int = 0) -> nn.Conv2d:
    size = (int(weight.shape[2]), int(weight.shape[3]))
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], size, padding=padding, bias=bias is not None)
    conv.weight = nn.Parameter(weight.clone(memory_format=torch.contiguous_format), False)
    if isinstance(bias, Tensor):
        conv.bias = nn.Parameter(bias.detach().clone(), False)
    return conv


def _by_tap(weight: Tensor) -> Tensor:
    """A 3x3 kernel (O, N, 3, 3) as a 1x1 one (9O, N, 1, 1): tap by tap, rows first."""
    return weight.permute(2, 3, 0, 1).reshape(_TAPS * weight.shape[0], weight.shape[1], 1, 1)


def _through(outer: Tensor, inner: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of what each tap of `outer` (C, M, 3, 3) reads of `inner`'s input."""
    assert isinstance(inner, nn.Conv2d)  # noqa: S101
    taps = _by_tap(outer)[:, :, 0, 0].double()
    weight = taps @ inner.weight.detach().double().flatten(1)
    bias = torch.zeros(inner.out_channels) if inner.bias is None else inner.bias.detach()
    shape = (len(taps), *inner.weight.shape[1:])
    return weight.to(outer.dtype).reshape(shape), (taps @ bias.double()).to(outer.dtype)


def _adding(last: nn.Conv2d) -> nn.Conv2d:
    """Nine shifted adds, as a convolution of ones: (P, 9C, h, w) to (P, C, h, w)."""
    classes = last.out_channels
    weight = torch.zeros(3, 3, classes, classes, 3, 3)
    for row in range(3):
        for column in range(3):
            weight[row, column, :, :, row, column] = torch.eye(classes)
    kernel = weight.permute(3, 0, 1, 2, 4, 5).reshape(classes, _TAPS * classes, 3, 3)
    return _conv(kernel, last.bias, padding=1)
