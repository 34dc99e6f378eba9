"""Linear algebra of folding: convolutions taken apart into their taps, and applied to few cells."""

import torch
from torch import Tensor, nn

_TAPS = 9


class Taps(nn.Module):
    """A 3x3 convolution without bias on few cells, before they are spread to many."""

    def __init__(self, weight: Tensor) -> None:
        """`weight`: (C, N, 3, 3); kept as one matrix for each row of taps."""
        super().__init__()
        matrices = weight.permute(2, 1, 3, 0).flatten(2)
        self.weight = nn.Parameter(matrices.clone(memory_format=torch.contiguous_format), False)

    def forward(self, maps: Tensor, columns: Tensor) -> Tensor:
        """What each row of taps reads, spread along its row.

        Args:
            maps: (P, N, h, w).
            columns: (P or 1, W, 3w), see `with_taps`.

        Returns:
            (P, 3h, W, C): the rows that `with_taps` wants, still few.
        """
        cells = maps.flatten(2).transpose(1, 2)
        taps = torch.unflatten(cells[:, None] @ self.weight, 2, maps.shape[2:])
        by_row = torch.unflatten(taps, 4, (3, -1)).flatten(3, 4).flatten(1, 2)
        by_place = torch.unflatten(columns, 2, (3, -1)).transpose(2, 3).flatten(2)
        return by_place[:, None] @ by_row


def channels_last(maps: Tensor) -> Tensor:
    """(P, C, h, w) as (P, h, w, C).

    OpenVINO drops this behind a convolution with a sum, but not a transposition that comes first.
    """
    return torch.unflatten(maps.flatten(2).transpose(1, 2), 1, maps.shape[2:])


def spread_rows(rows: Tensor, across: Tensor) -> Tensor:
    """Rows (P or 1, H, h) by rows of cells (P, h, W, C), channels first: (P, C, H, W)."""
    together = rows @ across.flatten(2)
    return torch.unflatten(together, 2, (-1, across.shape[3])).permute(0, 3, 1, 2)


def spread(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Few cells to many, by one matrix per axis.

    Args:
        maps: (P, C, h, w).
        rows, columns: (P or 1, H, h) and (P or 1, W, w).

    Returns:
        (P, C, H, W).
    """
    return spread_rows(rows, columns[:, None] @ channels_last(maps))


def lay(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Many cells (P, C, h, w) to few, (P, H, W, C)."""
    cells = channels_last(maps)
    above = rows @ cells.flatten(2)
    return columns[:, None] @ torch.unflatten(above, 2, (-1, maps.shape[1]))


def weight_of(conv: nn.Module) -> Tensor:
    """A convolution's weight, without its history."""
    assert isinstance(conv, nn.Conv2d)  # noqa: S101  ModuleList forgets what it holds
    return conv.weight.detach()


def convolution(
    weight: Tensor, bias: Tensor | nn.Module | None = None, padding: int = 0
) -> nn.Conv2d:
    """A convolution of copies: `weight` (O, N, k, k), `bias` (O) or none."""
    size = (int(weight.shape[2]), int(weight.shape[3]))
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], size, padding=padding, bias=bias is not None)
    conv.weight = nn.Parameter(weight.clone(memory_format=torch.contiguous_format), False)
    if isinstance(bias, Tensor):
        conv.bias = nn.Parameter(bias.detach().clone(), False)
    return conv


def by_tap(weight: Tensor) -> Tensor:
    """A 3x3 kernel (O, N, 3, 3) as a 1x1 one (9O, N, 1, 1): tap by tap, rows first."""
    return weight.permute(2, 3, 0, 1).reshape(_TAPS * weight.shape[0], weight.shape[1], 1, 1)


def through(outer: Tensor, inner: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of what each tap of `outer` (C, M, 3, 3) reads of `inner`'s input."""
    assert isinstance(inner, nn.Conv2d)  # noqa: S101
    taps = by_tap(outer)[:, :, 0, 0].double()
    weight = taps @ inner.weight.detach().double().flatten(1)
    bias = torch.zeros(inner.out_channels) if inner.bias is None else inner.bias.detach()
    shape = (len(taps), *inner.weight.shape[1:])
    return weight.to(outer.dtype).reshape(shape), (taps @ bias.double()).to(outer.dtype)


def adding(last: nn.Conv2d) -> nn.Conv2d:
    """Nine shifted adds, as a convolution of ones: (P, 9C, h, w) to (P, C, h, w)."""
    classes = last.out_channels
    weight = torch.zeros(3, 3, classes, classes, 3, 3)
    for row in range(3):
        for column in range(3):
            weight[row, column, :, :, row, column] = torch.eye(classes)
    kernel = weight.permute(3, 0, 1, 2, 4, 5).reshape(classes, _TAPS * classes, 3, 3)
    return convolution(kernel, last.bias, padding=1)
