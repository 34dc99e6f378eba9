"""Recipes as YAML files, and what is said of a wrong one."""

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from glnet.errors import RecipeError
from glnet.recipe.model import Settings
from glnet.recipe.settings import Recipe, merged

S = TypeVar("S", bound=Settings)


def load_recipe(path: str | Path, over: dict[str, Any] | None = None) -> Recipe:
    """Read a recipe; its paths are made absolute against its own folder.

    Args:
        path: The YAML file.
        over: Settings laid over the file's, nested as there.

    Raises:
        RecipeError: no such file, not YAML, an unknown key (the nearest known one is proposed),
            or a value that cannot be.
    """
    path = Path(path)
    return recipe_from(merged(read_settings(path), over or {}), path.resolve().parent, str(path))


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a YAML file, unchecked.

    Raises:
        RecipeError: no such file, not YAML, or no mapping.
    """
    if not path.is_file():
        msg = f"{path}: no such file of settings"
        raise RecipeError(msg)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        detail = " ".join(str(error).split())
        msg = f"{path}: cannot be read as YAML ({detail})"
        raise RecipeError(msg) from error
    if not isinstance(values, dict):
        msg = f"{path}: wanted a mapping of settings, this is {type(values).__name__}"
        raise RecipeError(msg)
    return values


def recipe_from(values: dict[str, Any], folder: Path, where: str) -> Recipe:
    """Check the settings of a recipe, and make its paths absolute against a folder.

    Raises:
        RecipeError: see `check_settings`; `where` begins the line.
    """
    recipe = check_settings(Recipe, values, where)
    data = recipe.data.model_copy(
        update={
            "manifest": folder / recipe.data.manifest,
            "classes": folder / recipe.data.classes,
        }
    )
    train = recipe.train
    if train.trunk_weights not in ("imagenet", "none"):
        weights = str(folder / train.trunk_weights)
        train = train.model_copy(update={"trunk_weights": weights})
    if train.start_from is not None:
        train = train.model_copy(update={"start_from": str(folder / train.start_from)})
    return recipe.model_copy(update={"data": data, "train": train})


def dump_recipe(recipe: Settings) -> str:
    """A recipe as YAML, every setting written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def check_settings(kind: type[S], values: dict[str, Any], where: str) -> S:
    """Build settings, or say in one line which key or value is wrong.

    Raises:
        RecipeError: see above; `where` begins the line.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = _place(kind, first["loc"])
        if first["type"] == "extra_forbidden":
            message = f"unknown setting '{place}'{_proposal(kind, place)}"
        elif first["type"] == "missing":
            message = f"the setting '{place}' is missing"
        else:
            said = first["msg"].removeprefix("Value error, ")
            given = f", got {first['input']!r}" if not isinstance(first["input"], dict) else ""
            message = f"{place + ': ' if place else ''}{said}{given}{_nearest(first)}"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        msg = f"{where}: {message}{more}"
        raise RecipeError(msg) from error


def _nearest(error: ErrorDetails) -> str:
    """The word that was probably meant, where a setting is one of a few words."""
    words = re.findall("'(.+?)'", error.get("ctx", {}).get("expected", ""))
    near = difflib.get_close_matches(str(error["input"]), words, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _known(kind: type[BaseModel], prefix: str = "") -> dict[str, type[BaseModel]]:
    """Every setting below `kind` by its dotted name, and the settings it stands in."""
    found = {}
    for name, field in kind.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        found[path] = kind
        # Settings that may be left out are annotated as a union with None.
        for below in get_args(field.annotation) or (field.annotation,):
            if isinstance(below, type) and issubclass(below, BaseModel):
                found |= _known(below, f"{path}.")
    return found


def _place(kind: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """The dotted name of a setting; pydantic ends it with names of its own for unions."""
    parts = [str(part) for part in location]
    known = _known(kind)
    longest = max(
        (n for n in range(len(parts) + 1) if ".".join(parts[:n]) in known), default=len(parts)
    )
    parent = ".".join(parts[:-1])
    inside = not parent or any(path.startswith(f"{parent}.") for path in known)
    return ".".join(parts if inside else parts[:longest])


def _proposal(kind: type[BaseModel], place: str) -> str:
    """The known setting that an unknown one most resembles: beside it, else anywhere."""
    parent, _, name = place.rpartition(".")
    known = _known(kind)
    beside = {path.rpartition(".")[2]: path for path in known if path.rpartition(".")[0] == parent}
    near = difflib.get_close_matches(name, beside, n=1, cutoff=0.6)
    elsewhere = [path for path in known if path.rpartition(".")[2] == name]
    near = near or elsewhere[:1] or difflib.get_close_matches(name, beside, n=1, cutoff=0.4)
    return f"; did you mean '{near[0]}'?" if near else f"; known here: {', '.join(sorted(beside))}"
