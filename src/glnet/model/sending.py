"""From NumPy to the device."""

import numpy as np
import torch
from torch import Tensor


def sent(array: np.ndarray, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """An array as a tensor there, of another dtype if one is named."""
    # CUDA is not waited for: it has read memory that is not pinned when the call returns. MPS has
    # not, and may read what was freed.
    return torch.from_numpy(array).to(device, dtype, non_blocking=device.type == "cuda")
