"""The authors' released checkpoints: their key names, told in ours.

A checkpoint is one state dict over both branches. `fpn_global` holds two pyramids, a plain one and
a doubled one (`_ext`), which share a classifier; here each is a branch of its own. Levels are
numbered from coarse to fine on both sides.
"""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from glnet.errors import BundleError
from glnet.recipe import AUTHORS, ModelSettings, Sharing

#: (our branch, checkpoint, their trunk, their pyramid, suffix of doubled layers) per sharing.
_SOURCES: dict[Sharing, list[tuple[str, str, str, str, str]]] = {
    "none": [("global_branch", "global", "resnet_global", "fpn_global", "")],
    "global_to_local": [
        ("global_branch", "collaborative", "resnet_global", "fpn_global", ""),
        ("local_branch", "collaborative", "resnet_local", "fpn_local", ""),
    ],
    "bidirectional": [
        ("global_branch", "global", "resnet_global", "fpn_global", ""),
        ("local_branch", "collaborative", "resnet_local", "fpn_local", ""),
        ("refined_global", "collaborative", "resnet_global", "fpn_global", "_ext"),
    ],
}


def authors_settings(sharing: Sharing) -> ModelSettings:
    """The network of a released checkpoint; `none` is their first mode, the global branch alone."""
    branches = "global" if sharing == "none" else "both"
    return ModelSettings.model_validate(
        {**AUTHORS["model"], "branches": branches, "sharing": sharing}
    )


def needed_checkpoints(sharing: Sharing) -> set[str]:
    """Which of the two files, `global` and `collaborative`, a sharing is made of.

    Raises:
        BundleError: the authors released no network of this sharing.
    """
    if sharing not in _SOURCES:
        msg = f"the authors' code has no '{sharing}' sharing; choose {', '.join(_SOURCES)}"
        raise BundleError(msg)
    return {source[1] for source in _SOURCES[sharing]}


def key_table(sharing: Sharing, keys: Mapping[str, Tensor]) -> dict[str, tuple[str, str]]:
    """For every key of our state dict, the checkpoint and the key there.

    Args:
        sharing: The network.
        keys: Our state dict, to list the trunk's keys.
    """
    table = {}
    for branch, checkpoint, trunk, pyramid, suffix in _SOURCES[sharing]:
        prefix = f"{branch}.trunk.body."
        for key in keys:
            if key.startswith(prefix):
                table[key] = (checkpoint, f"{trunk}.{key.removeprefix(prefix)}")
        joins = branch != "global_branch"
        for ours, theirs in _pyramid_names(suffix, joins):
            for part in ("weight", "bias"):
                table[f"{branch}.{ours}.{part}"] = (checkpoint, f"{pyramid}.{theirs}.{part}")
    if sharing != "none":
        for part in ("weight", "bias"):
            table[f"aggregation.conv.{part}"] = ("collaborative", f"ensemble_conv.{part}")
    return table


def _pyramid_names(suffix: str, joins: bool) -> Iterator[tuple[str, str]]:
    for level, lateral in enumerate(("toplayer", "latlayer1", "latlayer2", "latlayer3")):
        yield f"lateral.{level}", f"{lateral}{suffix}"
        yield f"smooth.{level}", f"smooth{level + 1}_1{suffix}"
        yield f"narrow.{level}", f"smooth{level + 1}_2{suffix}"
    if joins:
        yield "join", "smooth"
    yield "classify", "classify"


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint file, the `module.` of a parallel wrapper taken off the keys.

    Raises:
        BundleError: no such file, not a checkpoint, or a pickle that holds more than tensors.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"{path}: no such checkpoint file"
        raise BundleError(msg)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        msg = f"{path}: refused: wanted a torch checkpoint of tensors and nothing else ({detail})"
        raise BundleError(msg) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        msg = f"{path}: wanted a state dict of tensors, found something else"
        raise BundleError(msg)
    return {key.removeprefix("module."): value for key, value in state.items()}


def translate(
    sharing: Sharing, checkpoints: Mapping[str, Mapping[str, Tensor]], ours: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The authors' tensors under our keys.

    Args:
        sharing: The network.
        checkpoints: `global` and `collaborative`, as far as needed.
        ours: State dict of a network with the right shapes.

    Raises:
        BundleError: a tensor is missing or of another shape: a checkpoint of another network.
    """
    out = {}
    for key, (name, theirs) in key_table(sharing, ours).items():
        found = checkpoints[name].get(theirs)
        if found is None or found.shape != ours[key].shape:
            state = "is missing" if found is None else f"has shape {tuple(found.shape)}"
            msg = (
                f"the {name} checkpoint is not the authors' GLNet: {theirs} {state}, "
                f"wanted {tuple(ours[key].shape)}"
            )
            raise BundleError(msg)
        out[key] = found
    return out


def count_classes(checkpoint: Mapping[str, Tensor]) -> int:
    """How many classes a checkpoint was trained for.

    Raises:
        BundleError: it has no classifier: a checkpoint of another network.
    """
    bias = checkpoint.get("fpn_global.classify.bias")
    if bias is None:
        msg = "the checkpoint is not the authors' GLNet: fpn_global.classify.bias is missing"
        raise BundleError(msg)
    return int(bias.numel())
