"""A recipe as text: settings in the order of a run, the reason for each above it."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from glnet.planning.choices import Choice

_WIDTH = 98

#: The order in which settings are written; others do not occur.
_ORDER = (
    "preset", "data.manifest", "data.classes", "data.tolerance",
    "model.branches", "model.sharing", "model.shrink", "model.scene",
    "model.thumbnail", "model.patch", "model.overlap",
    "model.trunk", "model.pyramid", "model.finest", "model.width", "model.view",
    "model.bands", "model.input",
    "loss.kind", "loss.dice_weight", "loss.class_weights", "loss.regulariser",
    "train.trunk_weights", "train.freeze_batch_norm", "train.patches", "train.rare_patches",
    "train.mini_batch", "train.memory", "train.weight_decay", "train.schedule",
    "train.warmup_steps", "train.validate_every", "train.augment", "train.seed", "train.device",
    "train.precision", "train.workers", "train.stages.global", "train.stages.global_to_local",
)  # fmt: skip


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted names as a recipe's tree."""
    tree: dict[str, Any] = {}
    for name in _ORDER:
        if name in settings:
            *above, last = name.split(".")
            place = tree
            for part in above:
                place = place.setdefault(part, {})
            place[last] = settings[name]
    return tree


def recipe_text(head: Sequence[str], choice: Choice) -> str:
    """The YAML of a recipe.

    Args:
        head: Paragraphs of the comment at the top.
        choice: All settings, and the reasons of some; a reason may stand above a whole group.
    """
    lines = [line for paragraph in head for line in _comment(paragraph, "")]
    lines += _body(nested(choice.settings), choice.reasons, "", 0)
    return "\n".join(lines) + "\n"


def _body(tree: Mapping[str, Any], reasons: Mapping[str, str], above: str, depth: int) -> list[str]:
    indent, lines = "  " * depth, list[str]()
    for key, value in tree.items():
        name = f"{above}{key}"
        if reasons.get(name):
            lines += _comment(reasons[name], indent)
        if name in _GROUPS:
            lines.append(f"{indent}{key}:")
            lines += _body(value, reasons, f"{name}.", depth + 1)
        else:
            lines.append(f"{indent}{key}: {_value(value)}")
    return lines


#: What is written as a block; every other mapping stands on one line.
_GROUPS = frozenset({"data", "model", "loss", "train", "train.stages"})


def _value(value: object) -> str:
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6
    )
    return text.removesuffix("\n").removesuffix("\n...")


def _comment(paragraph: str, indent: str) -> list[str]:
    mark = f"{indent}# "
    lines = textwrap.wrap(
        # A number and its unit stay together.
        paragraph.replace(" %", "\0%"), _WIDTH, initial_indent=mark, subsequent_indent=mark,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace("\0", " ") for line in lines]
