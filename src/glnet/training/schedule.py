"""How fast a stage learns as it goes on."""

import math

from glnet.recipe import TrainSettings


def schedule(train: TrainSettings, step: int, steps: int) -> float:
    """The factor on the learning rate at a step, counted from 0: warm-up, then decay towards 0.

    At most half of the steps warm up, or a short stage would never reach its rate.
    """
    warmup = min(train.warmup_steps, steps // 2)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / (steps - warmup)
    if train.schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return float((1 - done) ** train.power)
