"""How fast a stage learns as it goes on."""

import math

from glnet.recipe import TrainSettings


def schedule(train: TrainSettings, step: int, steps: int) -> float:
    """The factor on the learning rate at a step, counted from 0: warm-up, then decay towards 0."""
    if step < train.warmup_steps:
        return (step + 1) / (train.warmup_steps + 1)
    done = (step - train.warmup_steps) / max(1, steps - train.warmup_steps)
    if train.schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return float((1 - done) ** train.power)
