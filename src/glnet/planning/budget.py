"""Time and memory divided over the stages. Pure: the pace and the estimates are given.

All times are seconds; a pace is per image, as images of the typical size take it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from glnet.planning.choices import Choice
from glnet.recipe import BEST, Stage

#: Of the time, of each of the two stages that a plan has: the local branch learns the most.
TIME_SHARES: dict[Stage, float] = {"global": 0.375, "global_to_local": 0.625}

#: The released code's epochs, how often they are exceeded at most, and the fewest.
_RELEASED: dict[Stage, int] = {"global": 120, "global_to_local": 50}
_TIMES, FEWEST = 10, 1

#: The largest share of the time that validation may take.
VALIDATING = 0.15

#: A stage of fewer steps gets fewer images a step, so that there are more.
WANTED_STEPS = 100

#: Stages of fewer steps than this learn at higher rates than the paper's.
_LONG = 5000
_PAPER_RATES: dict[Stage, float] = {"global": 1e-4, "global_to_local": 2e-5}
_SHORT_RATE = 5e-4

#: Patches per forward pass that are tried, the most first.
_MINI_BATCHES = (8, 6, 4, 3, 2, 1)

#: Bytes that a step of a stage takes, with so many images and so many patches per forward pass.
Estimate = Callable[[Stage, int, int], int]

HOUR = 3600


class StagePace(NamedTuple):
    """Seconds per image, of training and of validation."""

    training: float
    validation: float


@dataclass(frozen=True)
class Batches:
    """Images per step at most, patches per forward pass, and the memory these take (or None)."""

    images: dict[Stage, int]
    mini_batch: int
    memory: int | None


def choose_batches(
    images: int, stages: Sequence[Stage], limit: int, estimate: Estimate | None
) -> Batches:
    """As much at a time as the memory allows, and as the number of images makes sensible.

    Args:
        images: For training.
        stages: That the network has.
        limit: Bytes.
        estimate: None: not known; then four patches and the images' number alone count.
    """
    most = min(images, max(2, min(6, images // 4)))
    if estimate is None:
        return Batches(dict.fromkeys(stages, most), 4, None)
    mini_batch = next(
        (
            mini
            for mini in _MINI_BATCHES
            if all(estimate(stage, 1, mini) <= limit for stage in stages)
        ),
        1,
    )
    counts = {
        stage: next((n for n in range(most, 1, -1) if estimate(stage, n, mini_batch) <= limit), 1)
        for stage in stages
    }
    memory = max(estimate(stage, count, mini_batch) for stage, count in counts.items())
    return Batches(counts, mini_batch, memory)


@dataclass(frozen=True)
class Course:
    """What every stage does with its time.

    Attributes:
        epochs: Per stage.
        validate_every: Epochs.
        seconds: Per stage, validation included.
        validating: Its share of all.
        binding: Stages that the fewest epochs (`least`) or the most (`most`) decided.
    """

    epochs: dict[Stage, int]
    validate_every: int
    seconds: dict[Stage, float]
    validating: float
    binding: dict[Stage, str]


def plan_course(
    images: int, validation: int, pace: Mapping[Stage, StagePace], hours: float
) -> Course:
    """Divide the hours: epochs, and validations no more often than their share allows.

    Args:
        images, validation: How many of each.
        pace: Of every stage that the network has.
        hours: In all.
    """
    every, course = 1, _course(images, validation, pace, hours, 1)
    while course.validating > VALIDATING and every < max(course.epochs.values()):
        # A larger step once it is large, for stages of a thousand short epochs.
        every += 1 + every // 10
        course = _course(images, validation, pace, hours, every)
    return course


def _course(
    images: int,
    validation: int,
    pace: Mapping[Stage, StagePace],
    hours: float,
    every: int,
) -> Course:
    shares = {stage: TIME_SHARES[stage] for stage in pace}
    epochs, seconds, binding = dict[Stage, int](), dict[Stage, float](), dict[Stage, str]()
    validating = 0.0
    for stage, own in pace.items():
        given = hours * HOUR * shares[stage] / sum(shares.values())
        epoch, check = images * own.training, validation * own.validation
        fit = math.floor(given / max(1e-9, epoch + check / every))
        most = _TIMES * _RELEASED[stage]
        epochs[stage] = min(most, max(FEWEST, fit))
        if fit != epochs[stage]:
            binding[stage] = "least" if fit < FEWEST else "most"
        checks = math.ceil(epochs[stage] / every)
        seconds[stage] = epochs[stage] * epoch + checks * check
        validating += checks * check
    share = validating / max(1e-9, sum(seconds.values()))
    return Course(epochs, every, seconds, share, binding)


def step_images(images: int, most: int, epochs: int, least: int) -> int:
    """The most images per step that still make `WANTED_STEPS`; no fewer than `least`."""
    enough = (n for n in range(most, least, -1) if epochs * math.ceil(images / n) >= WANTED_STEPS)
    return next(enough, min(least, most))


def choose_course(course: Course, images: int, batches: Batches, hours: float) -> Choice:
    """The course as settings, with what each stage takes.

    A step has two images at least, for the normed pyramids learn batch statistics.

    Args:
        course: The epochs.
        images: For training.
        batches: The most images per step, and the mini-batch.
        hours: That were divided.
    """
    least = min(2, images)
    batch = {
        stage: step_images(images, batches.images[stage], epochs, least)
        for stage, epochs in course.epochs.items()
    }
    steps = {s: epochs * math.ceil(images / batch[s]) for s, epochs in course.epochs.items()}
    warmup = min(0.05 * max(steps.values()), 0.2 * min(steps.values()))
    settings: dict[str, object] = {
        "train.mini_batch": batches.mini_batch,
        "train.weight_decay": 5e-4,
        "train.schedule": BEST["train"]["schedule"],
        "train.warmup_steps": max(1, round(warmup)),
        "train.validate_every": course.validate_every,
    }
    reasons = {
        "train.mini_batch": "Patches per forward pass: "
        + ("the most that fit." if batches.memory else "a cautious number; memory not estimated."),
        "train.warmup_steps": "5 % of the longest stage's steps, at most a fifth of any's.",
        "train.validate_every": (
            f"Epochs; validation takes {100 * course.validating:.0f} % of the time "
            f"({100 * VALIDATING:.0f} % at most, where that can be)."
        ),
    }
    short = [stage for stage, count in steps.items() if count < _LONG]
    for stage, epochs in course.epochs.items():
        rate = _SHORT_RATE if stage in short else _PAPER_RATES[stage]
        key = f"train.stages.{stage}"
        settings[key] = {"epochs": epochs, "batch": batch[stage], "learning_rate": rate}
        reasons[key] = (
            f"{course.seconds[stage] / HOUR:.2g} h, {steps[stage]} steps"
            f"{_bound(course.binding.get(stage), stage)}."
        )
    reasons["train.stages"] = _why_so_long(course, short, hours)
    return Choice(settings, reasons)


def _bound(binding: str | None, stage: Stage) -> str:
    if binding == "least":
        return "; one epoch is the least, whatever the time"
    if binding == "most":
        return f"; {_TIMES} times the released code's {_RELEASED[stage]} epochs are enough"
    return ""


def _why_so_long(course: Course, short: Sequence[Stage], hours: float) -> str:
    shares = " / ".join(f"{100 * TIME_SHARES[stage]:.0f}" for stage in course.epochs)
    text = f"{hours:g} h, divided {shares}. batch is images per step: fewer where steps are few."
    if not short:
        return text + " The learning rates are the paper's."
    paper = ", ".join(f"{_PAPER_RATES[stage]:g}" for stage in short)
    return (
        f"{text} The paper's rates ({paper}) are for tens of thousands of steps: with so few, "
        "stages that start anew need higher ones."
    )
