"""All settings of one run, from the facts of its training images and what the machine offers."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from glnet.planning import choices
from glnet.planning.budget import (
    HOUR,
    Batches,
    Course,
    StagePace,
    choose_batches,
    choose_course,
    plan_course,
)
from glnet.planning.choices import Choice
from glnet.planning.machine import (
    default_memory,
    device_kind,
    estimator,
    finest,
    measured_pace,
    rough_pace,
)
from glnet.planning.measure import Facts
from glnet.planning.shrink import choose_shrink, views_of_ground, why_shrunk
from glnet.planning.text import nested
from glnet.planning.wishes import Wishes
from glnet.recipe import (
    BEST,
    LossSettings,
    ModelSettings,
    Recipe,
    Stage,
    check_settings,
    read_bytes,
    show_bytes,
)
from glnet.recipe.paths import told

#: So many times the hours may be taken before it is told.
_LATE = 1.2

#: Processes that read images ahead where a GPU would wait for them.
_WORKERS = 4


@dataclass(frozen=True)
class Proposal:
    """What is proposed for one run.

    Attributes:
        choice: Every setting but where the data are.
        shrink, views: How often images are shrunk, and then all ground is seen.
        pace: As measured or assumed, without reading files.
        expectation: Time and memory, in a sentence.
        notes: What should be known beside it.
    """

    choice: Choice
    shrink: int
    views: float
    pace: Mapping[Stage, StagePace]
    expectation: str
    notes: list[str]


def propose(
    facts: Facts,
    wishes: Wishes,
    folder: Path,
    earlier: Proposal | None,
    say: Callable[[str], object],
) -> Proposal:
    """Choose every setting.

    Args:
        facts: Of the training images.
        wishes: The user's.
        folder: Of the recipe.
        earlier: Of another fold, whose pace and shrinking are taken over; None: to be found out.
        say: Told what takes a while.

    Raises:
        GlnetError: the device or the trunk cannot be used.
    """
    if earlier is not None:
        return _proposal(facts, wishes, folder, earlier.shrink, earlier.pace, say)
    if wishes.shrink is not None:
        return _proposal(facts, wishes, folder, wishes.shrink, None, say)
    found = _proposal(facts, wishes, folder, 1, None, say)
    shrink = choose_shrink(facts.sizes, facts.kept, found.views)
    if shrink == 1:
        return found
    say(f"the time is too short for images as they are: shrinking them by {shrink}")
    return _proposal(facts, wishes, folder, shrink, None, say)


def _proposal(
    whole: Facts,
    wishes: Wishes,
    folder: Path,
    shrink: int,
    pace: Mapping[Stage, StagePace] | None,
    say: Callable[[str], object],
) -> Proposal:
    """With images shrunk so often; see `propose`."""
    kind = device_kind(wishes.device, measured=wishes.measure)
    sides = choices.choose_sides(whole.sizes, shrink)
    facts = whole.in_scenes(sides.settings["model.scene"])
    choice = sides.plus(_by_data(facts, sides)).plus(_by_wish(wishes, folder, kind))
    limit, memory = _memory(wishes, kind)
    model = check_settings(ModelSettings, nested(choice.settings)["model"], "the plan")
    classes = len(facts.names)
    pretrained = wishes.trunk_weights != "none"
    estimate = None
    if wishes.measure:
        loss = check_settings(LossSettings, nested(choice.settings)["loss"], "the plan")
        image = facts.largest_bytes if kind == "cpu" else 0
        estimate = estimator(model, classes, loss, frozen=pretrained, image=image, device=kind)
    if wishes.measure or wishes.memory is not None:
        choice = choice.plus(memory)
    batches = choose_batches(facts.images, model.stages, limit, estimate)
    fewest = min(batches.images.values())
    choice = choice.plus(
        choices.choose_norm(facts.images, fewest, batches.mini_batch, pretrained=pretrained)
    )
    windows = choices.typical_windows(facts.sizes, choice)
    if pace is None:
        pace = _pace(choice, batches, facts, windows, wishes, kind, say)
    read = {stage: _with_reading(own, facts.seconds, kind) for stage, own in pace.items()}
    course = plan_course(facts.images, facts.validation, read, wishes.hours)
    choice = choice.plus(choose_course(course, facts.images, batches, wishes.hours))
    expectation = _expectation(course, batches, limit, kind, measured=wishes.measure)
    views = views_of_ground(_draft(choice), facts.sizes, windows)
    choice = choice.plus(why_shrunk(shrink, whole.kept, views))
    notes = _notes(facts, course, batches, limit, wishes)
    return Proposal(choice, shrink, views, pace, expectation, notes)


def _by_data(facts: Facts, sides: Choice) -> Choice:
    spread = choices.choose_input(facts.bands, facts.dtype, facts.mean, facts.deviation, facts.high)
    loss = choices.choose_loss(facts.names, facts.shares)
    sampling = choices.choose_sampling(facts.names, facts.shares, facts.sizes, sides)
    return spread.plus(loss).plus(sampling)


def _by_wish(wishes: Wishes, folder: Path, kind: str) -> Choice:
    weights = wishes.trunk_weights
    if weights not in ("imagenet", "none"):
        weights = told(Path(weights), folder)
    settings = {
        "model.trunk": wishes.trunk,
        # Whether anything is shared is a matter of the images' sizes.
        **{f"model.{name}": value for name, value in BEST["model"].items() if name != "sharing"},
        "model.finest": finest(wishes.trunk),
        "train.trunk_weights": weights,
        "train.augment": {
            "flips": True, "quarter_turns": True, "scale": [1.0, 1.0], **BEST["train"]["augment"],
        },
        "train.seed": wishes.seed,
        "train.device": wishes.device,
        "train.precision": "fp32",
        "train.workers": _workers(kind),
    }  # fmt: skip
    paper = "The paper's trunk" if wishes.trunk == "resnet50" else "The trunk asked for"
    reasons = {
        "model.trunk": f"{paper}; any timm model with stages at strides 4, 8, 16 and 32.",
        "model.pyramid": (
            "After the trunk: normed has batch norm and ReLU, linear (the paper's) nothing but "
            "convolutions."
        ),
        "model.finest": (
            "Pixels per cell of the local branch's scores; the paper's 4 blur what is thinner."
        ),
        "model.width": (
            f"Channels of the pyramids. The paper's {ModelSettings().width} take five sixths of a "
            "patch's arithmetic; fewer channels and more patches learn more in the time."
        ),
        "model.view": (
            "What predictions give by default: the view that validates best; or name one of three."
        ),
        "train.trunk_weights": "imagenet is fetched by timm; or a file; or none: a random start.",
        "train.augment": (
            "quarter_turns: false where up is up; colour: largest change of gain and offset."
        ),
        "train.precision": "bf16 is faster on recent GPUs.",
        "train.workers": "Processes that read images ahead.",
    }
    return Choice(settings, reasons)


def _memory(wishes: Wishes, kind: str) -> tuple[int, Choice]:
    if wishes.memory is not None:
        limit, why = read_bytes(wishes.memory), "as asked for"
    else:
        limit, why = default_memory(kind)
    settings = {"train.memory": show_bytes(limit)}
    limit = read_bytes(settings["train.memory"])
    return limit, Choice(settings, {"train.memory": f"What a step may take: {why}."})


def _pace(
    choice: Choice, batches: Batches, facts: Facts, windows: int, wishes: Wishes, kind: str,
    say: Callable[[str], object],
) -> dict[Stage, StagePace]:  # fmt: skip
    stages = {f"train.stages.{stage}": {"batch": n} for stage, n in batches.images.items()}
    settings = choice.settings | {"train.mini_batch": batches.mini_batch} | stages
    # Where a patch lies takes no time, and random pixels have no rare places; nor are they shrunk.
    settings |= {"train.rare_patches": 0.0, "model.shrink": 1}
    draft = _draft(Choice(settings))
    if not wishes.measure:
        return rough_pace(draft, windows, kind)
    say(f"timing steps of every stage on {kind}: a minute or a few on a CPU")
    return measured_pace(draft, len(facts.names), windows, facts.dtype)


def _draft(choice: Choice) -> Recipe:
    """A recipe of settings so far; its data are nowhere."""
    data = {"data.manifest": "manifest.csv", "data.classes": "classes.csv"}
    return check_settings(Recipe, nested(choice.settings | data), "the plan")


def _workers(kind: str) -> int:
    return min(_WORKERS, os.cpu_count() or 1) if kind == "cuda" else 0


def _with_reading(pace: StagePace, seconds: float, kind: str) -> StagePace:
    """With the time to read an image; beside a GPU other processes read meanwhile."""
    training, validation = pace
    workers = _workers(kind)
    read = max(training, seconds / workers) if workers else training + seconds
    return StagePace(read, validation + seconds)


def _expectation(course: Course, batches: Batches, limit: int, kind: str, *, measured: bool) -> str:
    hours = sum(course.seconds.values()) / HOUR
    where = "" if kind == "unknown" else f" on {kind}"
    pace = "at the pace measured here" if measured else "at a rough pace, not measured"
    memory = (
        "memory was not estimated"
        if batches.memory is None
        else f"{show_bytes(batches.memory)} of memory, of {show_bytes(limit)}"
    )
    return f"Expected: {hours:.2g} h{where} {pace}; {memory}."


def _notes(facts: Facts, course: Course, batches: Batches, limit: int, wishes: Wishes) -> list[str]:
    notes = []
    hours = sum(course.seconds.values()) / HOUR
    if "least" in course.binding.values() and hours > _LATE * wishes.hours:
        notes.append(
            f"{wishes.hours:g} h are too few: one epoch of each stage takes {hours:.2g} h; give "
            "more --hours, a larger --shrink or a smaller --trunk"
        )
    elif "most" in course.binding.values() and hours < wishes.hours:
        notes.append(f"{hours:.2g} h are enough: ten times the released code's epochs")
    if batches.memory is not None and batches.memory > limit:
        notes.append(
            f"the smallest step takes {show_bytes(batches.memory)}, more than "
            f"{show_bytes(limit)}; take a smaller --trunk, or edit patch and thumbnail"
        )
    lacking = [name for name, n in zip(facts.names, facts.pixels, strict=True) if n == 0]
    if lacking:
        notes.append(
            f"no training image has {', '.join(lacking)}: it cannot be learned; ignore it in the "
            "class table, or label more"
        )
    return notes
