"""What a trunk's pretraining left: its weights, and what it expects of its input."""

import re
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

from glnet.errors import BundleError


def input_statistics(name: str) -> tuple[list[float], list[float]]:
    """Mean and deviation of inputs in [0, 1] that a trunk was pretrained on."""
    config = timm.get_pretrained_cfg(name)
    return (list(config.mean), list(config.std)) if config else ([0.5] * 3, [0.5] * 3)


def load_pretrained(body: nn.Module, name: str, weights: str) -> None:
    """Start a trunk from `imagenet` (fetched by timm) or from a local file of its architecture.

    The file holds tensors under timm's or torchvision's names; a classifier in it is left out,
    and a stem of three bands is adapted to any number.

    Args:
        body: timm's network, as features.
        name: What timm calls it.
        weights: `imagenet`, or a path.

    Raises:
        BundleError: the weights cannot be had or belong to another network.
    """
    own = body.state_dict()
    stem = next(key for key, value in own.items() if value.ndim == 4)  # noqa: PLR2004  (O,I,h,w)
    bands = own[stem].shape[1]
    found = _imagenet(name, bands) if weights == "imagenet" else _read_tensors(Path(weights))
    # timm's feature lists flatten `stages.0` to `stages_0`.
    for key in own:
        head, _, rest = key.partition(".")
        unflattened = re.sub(r"_(\d+)", r".\1", head) + "." + rest
        if key not in found and unflattened in found:
            found[key] = found[unflattened]
    if stem in found and found[stem].shape[1] != bands:
        found[stem] = _adapted(weights, found[stem], bands)
    # Old files lack the batch counters, which nothing here reads.
    missing = [k for k in own if k not in found and not k.endswith("num_batches_tracked")]
    wrong = [k for k in own if k in found and found[k].shape != own[k].shape]
    if missing or wrong:
        problem = f"lacks {missing[0]}" if missing else f"has another shape of {wrong[0]}"
        msg = f"{weights}: these are not weights of '{name}': the file {problem}"
        raise BundleError(msg)
    body.load_state_dict({k: v for k, v in found.items() if k in own}, strict=False)


def _adapted(weights: str, stem: Tensor, bands: int) -> Tensor:
    try:
        return adapt_input_conv(bands, stem)
    except NotImplementedError as error:
        msg = f"{weights}: its stem takes {stem.shape[1]} bands, the model {bands}; "
        raise BundleError(msg + "only weights of three bands can be adapted") from error


def _imagenet(name: str, bands: int) -> dict[str, Tensor]:
    """Pretrained weights in the trunk's key names, through timm's hub and cache."""
    try:
        source = timm.create_model(name, pretrained=True, features_only=True, in_chans=bands)
    except Exception as error:  # the hub client raises a different family in every release
        detail = " ".join(str(error).split())[:200]
        msg = (
            f"train.trunk_weights: the ImageNet weights of '{name}' could not be fetched; "
            f"connect once, or name a local file, or say none for a random start ({detail})"
        )
        raise BundleError(msg) from error
    return dict(source.state_dict())


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file or of a torch checkpoint that holds nothing else."""
    if not path.is_file():
        msg = f"train.trunk_weights: {path} does not exist; name a file, 'imagenet' or 'none'"
        raise BundleError(msg)
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        # Torch's own words are an advice to trust the file.
        msg = (
            f"{path}: cannot be read as weights; wanted a .safetensors file, or a torch checkpoint "
            "that holds named tensors and nothing else"
        )
        raise BundleError(msg) from error
