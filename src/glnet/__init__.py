"""Semantic segmentation of images too large for the memory at hand, by global-local networks."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

#: Where each public name lives. Loaded when first used: reading a recipe needs no PyTorch.
_HOMES = {
    "Comparison": "evaluation.comparison",
    "Evaluation": "evaluation.result",
    "GlnetError": "errors",
    "PolygonWish": "prediction.vectorise",
    "Recipe": "recipe",
    "Report": "prediction.report",
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
