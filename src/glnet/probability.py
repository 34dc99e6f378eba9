"""Probabilities as bytes: how they are written, shown and counted."""

import numpy as np

#: A byte of probability is its so manieth part; the one above means that there is none.
STEPS, UNSAID = 254, 255


def probabilities(scores: np.ndarray) -> np.ndarray:
    """The softmax over classes, in 254th parts.

    Args:
        scores: float32, shape (classes, rows, columns).

    Returns:
        uint8, of the same shape.
    """
    shares = np.exp(scores - scores.max(axis=0))
    shares /= shares.sum(axis=0)
    return np.rint(STEPS * shares).astype(np.uint8)
