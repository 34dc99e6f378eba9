"""Semantic segmentation of images too large for the memory at hand, by global-local networks."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: Where each public name lives. Loaded when first used: reading a recipe needs no PyTorch. Type
#: checkers cannot follow that and read `__init__.pyi`.
_HOMES = {
    "BundleError": "errors",
    "Cluster": "cluster",
    "Comparison": "evaluation.comparison",
    "DataError": "errors",
    "EpochRecord": "training.records",
    "Evaluation": "evaluation.result",
    "GlnetError": "errors",
    "NoteRecord": "training.records",
    "Outcome": "prediction.many",
    "Plan": "planning.plan",
    "PolygonWish": "prediction.vectorise",
    "RasterError": "errors",
    "Recipe": "recipe",
    "RecipeError": "errors",
    "Report": "prediction.report",
    "RunError": "errors",
    "StepRecord": "training.records",
    "Wishes": "planning.wishes",
    "compare": "evaluation.model",
    "evaluate": "evaluation.model",
    "evaluate_masks": "evaluation.masks",
    "import_weights": "engines.imported",
    "load_recipe": "recipe",
    "plan": "planning.plan",
    "predict": "prediction.predict",
    "predict_many": "prediction.predict",
    "segment": "prediction.predict",
    "train": "training.loop",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605  the table above is the list


def __getattr__(name: str) -> Any:  # noqa: ANN401  any public name
    if name not in _HOMES:
        msg = f"module 'glnet' has no attribute '{name}'"
        raise AttributeError(msg)
    return getattr(import_module(f"glnet.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
