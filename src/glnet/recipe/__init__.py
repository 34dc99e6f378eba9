"""Recipes: every knob of the package, as pydantic models, in YAML files."""

from glnet.recipe.amounts import read_bytes, show_bytes
from glnet.recipe.files import (
    check_settings,
    dump_recipe,
    load_recipe,
    read_settings,
    recipe_from,
)
from glnet.recipe.model import (
    STAGES,
    VIEWS,
    CoarseToFineSettings,
    InputSettings,
    ModelSettings,
    Network,
    Settings,
    Sharing,
    Stage,
    View,
)
from glnet.recipe.settings import (
    AUTHORS,
    BEST,
    AugmentSettings,
    DataSettings,
    LossSettings,
    Recipe,
    StageSettings,
    TrainSettings,
    merged,
)

__all__ = [
    "AUTHORS",
    "BEST",
    "STAGES",
    "VIEWS",
    "AugmentSettings",
    "CoarseToFineSettings",
    "DataSettings",
    "InputSettings",
    "LossSettings",
    "ModelSettings",
    "Network",
    "Recipe",
    "Settings",
    "Sharing",
    "Stage",
    "StageSettings",
    "TrainSettings",
    "View",
    "check_settings",
    "dump_recipe",
    "load_recipe",
    "merged",
    "read_bytes",
    "read_settings",
    "recipe_from",
    "show_bytes",
]
