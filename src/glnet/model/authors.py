"""The authors' released checkpoints: their key names, told in ours.

A checkpoint is one state dict over both branches. `fpn_global` holds two pyramids, a plain one and
a doubled one (`_ext`), which share a classifier; here each is a branch of its own. Levels are
numbered from coarse to fine on both sides.
"""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from glnet.errors import BundleError
from glnet.model.glnet import GLNet, build_glnet
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
    msg = f"{path}: refused: wanted a torch checkpoint that holds named tensors and nothing else"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to say
        raise BundleError(msg) from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
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
        BundleError: a tensor is missing, of another shape or not of finite numbers: a checkpoint
            of another network, or a damaged one.
    """
    out = {}
    for key, (name, theirs) in key_table(sharing, ours).items():
        found = checkpoints[name].get(theirs)
        if found is None and key.endswith(".num_batches_tracked"):
            out[key] = ours[key]  # PyTorch before 0.4.1 wrote no counts, and nothing reads them
            continue
        if found is None or found.shape != ours[key].shape:
            state = "is missing" if found is None else f"has shape {tuple(found.shape)}"
            msg = (
                f"the {name} checkpoint is not the authors' GLNet: {theirs} {state}, "
                f"wanted {tuple(ours[key].shape)}"
            )
            raise BundleError(msg)
        if not found.isfinite().all():
            msg = f"the {name} checkpoint is damaged: {theirs} holds numbers that are not finite"
            raise BundleError(msg)
        out[key] = found
    return out


def load_released(sharing: Sharing, files: Mapping[str, Path]) -> GLNet:
    """The authors' network, with the weights of their released files.

    Args:
        sharing: See `authors_settings`.
        files: The checkpoints that `needed_checkpoints` names.

    Raises:
        BundleError: a file holds more than tensors, or is of another network.
    """
    checkpoints = {name: read_checkpoint(path) for name, path in files.items()}
    try:
        model = build_glnet(authors_settings(sharing), _count_classes(checkpoints))
        model.load_state_dict(translate(sharing, checkpoints, model.state_dict()))
    except BundleError as error:
        names = " and ".join(map(str, files.values()))
        msg = f"{names}: {error}"
        raise BundleError(msg) from error
    return model


def _count_classes(checkpoints: Mapping[str, Mapping[str, Tensor]]) -> int:
    """How many classes the checkpoints were trained for."""
    name, checkpoint = next(iter(checkpoints.items()))
    bias = checkpoint.get("fpn_global.classify.bias")
    if bias is None:
        msg = f"the {name} checkpoint is not the authors' GLNet: it has no fpn_global.classify.bias"
        raise BundleError(msg)
    return int(bias.numel())
