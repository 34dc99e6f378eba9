"""The batch norm of pyramids and of rivals' decoders."""

from torch import Tensor, nn
from torch.nn import functional


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that passes a single value per channel by the running statistics.

    One image alone, of one cell, has no deviation to learn. PyTorch refuses it, and a run
    would end at the first step that is left with one image or patch.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name
        """As torch's; maps (B, C, h, w)."""
        if input.numel() > input.shape[1]:
            return super().forward(input)
        return functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )
