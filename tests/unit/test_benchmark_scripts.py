"""What the benchmark scripts promise: multiply-adds as one counts them by hand."""

from collections import Counter

import torch
from torch import nn

from counting import multiply_adds


def test_multiply_adds_are_counted_as_by_hand():
    conv = nn.Conv2d(2, 3, 3, padding=1)
    counts = Counter()

    with torch.no_grad():
        with multiply_adds(counts, "convolution"):
            conv(torch.zeros(1, 2, 5, 4))
        with multiply_adds(counts, "product"):
            torch.zeros(7, 4, 5) @ torch.zeros(7, 5, 6)

    assert counts == {"convolution": 5 * 4 * 3 * 2 * 9, "product": 7 * 4 * 5 * 6}
