"""The last layer, over both branches' joined features (the authors' code calls it ensemble)."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Aggregation(nn.Module):
    """One 3x3 convolution over (local, global) features, applied half by half.

    A convolution is linear, so its two halves can run apart and be added: the local half as soon
    as a patch is done, the global half when the refined global maps exist. No patch's features
    need to be kept in between.

    Attributes:
        channels: Features of the local and of the global branch.
    """

    def __init__(self, local: int, global_: int, classes: int) -> None:
        """For so many features of each branch."""
        super().__init__()
        self.conv = nn.Conv2d(local + global_, classes, 3, padding=1)
        self.channels = (local, global_)

    @property
    def weights(self) -> tuple[Tensor, Tensor]:
        """What reads the local and what reads the global features, (classes, channels, 3, 3)."""
        local, global_ = torch.split(self.conv.weight, list(self.channels), dim=1)
        return local, global_

    def local_half(self, joined: Tensor) -> Tensor:
        """Local features (P, C, h, w) to their share of the logits, bias included."""
        return functional.conv2d(joined, self.weights[0], self.conv.bias, padding=1)

    def global_half(self, cropped: Tensor) -> Tensor:
        """Global features under the patches (P, C, h, w) to their share of the logits."""
        return functional.conv2d(cropped, self.weights[1], padding=1)
