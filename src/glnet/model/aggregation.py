"""The last layer, over both branches' joined features (the authors' code calls it ensemble)."""

from torch import Tensor, nn
from torch.nn import functional


class Aggregation(nn.Module):
    """One 3x3 convolution over (local, global) features, applied half by half.

    A convolution is linear, so its two halves can run apart and be added: the local half as soon
    as a patch is done, the global half when the refined global maps exist. No patch's features
    need to be kept in between.
    """

    def __init__(self, channels: int, classes: int) -> None:
        """For `channels` features of each branch."""
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, classes, 3, padding=1)
        self.channels = channels

    def local_half(self, joined: Tensor) -> Tensor:
        """Local features (P, C, h, w) to their share of the logits, bias included."""
        weight = self.conv.weight[:, : self.channels]
        return functional.conv2d(joined, weight, self.conv.bias, padding=1)

    def global_half(self, cropped: Tensor) -> Tensor:
        """Global features under the patches (P, C, h, w) to their share of the logits."""
        return functional.conv2d(cropped, self.conv.weight[:, self.channels :], padding=1)
