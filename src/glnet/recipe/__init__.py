"""Recipes: every knob of the package, as pydantic models, in YAML files."""

from glnet.recipe.amounts import read_bytes, show_bytes
from glnet.recipe.files import check_settings, dump_recipe, load_recipe
from glnet.recipe.settings import (
    AUTHORS,
    STAGES,
    AugmentSettings,
    CoarseToFineSettings,
    DataSettings,
    InputSettings,
    LossSettings,
    ModelSettings,
    Network,
    Recipe,
    Settings,
    Sharing,
    Stage,
    StageSettings,
    TrainSettings,
    View,
)

__all__ = [
    "AUTHORS",
    "STAGES",
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
    "read_bytes",
    "show_bytes",
]
