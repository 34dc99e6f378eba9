"""Which stages of several runs are the same one, so that it is trained once."""

import json

from glnet.recipe import STAGES, Recipe, Stage
from glnet.training.checkpoint import FREE


def stage_key(recipe: Recipe, stage: Stage) -> str:
    """All that the weights of a stage, and of those before it, depend on.

    Two recipes with one key give the same weights; a setting that may matter is always part of it.
    """
    stages = recipe.model.stages
    upto = stages[: stages.index(stage) + 1]
    loss = recipe.loss.model_dump(mode="json")
    train = recipe.train.model_dump(mode="json")
    if stage == "global":
        # Read by the stage that trains the local branch alone.
        del loss["regulariser"], train["local_start"]
    for name in FREE:
        if name != "memory":
            del train[name]
    train["stages"] = {name: train["stages"][name] for name in upto}
    # A branch alone may be the first stage of a network of two, or all there is: both start alike.
    # But a budget of memory fits the mini-batch to the largest stage of the whole network.
    model = recipe.model if recipe.train.memory else recipe.model.after(stage)
    key = {
        "data": recipe.data.model_dump(mode="json"),
        "model": model.model_dump(mode="json"),
        "loss": loss,
        "train": train,
        "stages": [name for name in STAGES if name in upto],
    }
    return json.dumps(key, sort_keys=True)
