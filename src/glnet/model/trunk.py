"""The trunk: four stages of a timm network, C2 to C5 at strides 4, 8, 16 and 32."""

import re
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn
from torch.nn import functional

from glnet.errors import BundleError, RecipeError

#: Strides of the four stages, finest first.
STRIDES = (4, 8, 16, 32)

#: A side on which rounding up and down differ at every stride.
_PROBE = 65


class Trunk(nn.Module):
    """A timm backbone cut to four maps, for inputs of any size.

    A map at stride s of an input of n pixels always has ceil(n / s) cells. Residual networks give
    that by themselves; others are fed an input padded to a multiple of 32, and the maps are cut.

    Attributes:
        channels: Channels of C2 to C5.
        mean, deviation: What the trunk's pretraining expects of inputs in [0, 1].
    """

    def __init__(self, name: str, bands: int, options: dict[str, Any]) -> None:
        """Build with random weights.

        Raises:
            RecipeError: timm knows no such model, or it lacks a stage at one of the strides.
        """
        super().__init__()
        try:
            body = timm.create_model(name, features_only=True, in_chans=bands, **options)
        except Exception as error:  # timm's factories raise whatever their options lead to
            detail = str(error).splitlines()[0] if str(error) else type(error).__name__
            msg = f"model.trunk: timm cannot build '{name}' as a trunk ({detail})"
            raise RecipeError(msg) from error
        reductions = body.feature_info.reduction()
        if not set(STRIDES) <= set(reductions):
            msg = f"model.trunk: '{name}' has stages at strides {reductions}, wanted {STRIDES}"
            raise RecipeError(msg)
        # Of several maps at one stride the last is the stage's output.
        self._chosen = [len(reductions) - 1 - reductions[::-1].index(s) for s in STRIDES]
        self.body = body
        self.name = name
        self.channels = tuple(body.feature_info.channels()[i] for i in self._chosen)
        config = timm.get_pretrained_cfg(name)
        self.mean = list(config.mean) if config else [0.5] * 3
        self.deviation = list(config.std) if config else [0.5] * 3
        self._channels_last = str(getattr(body, "output_fmt", "NCHW")).endswith("NHWC")
        self._pads = not self._rounds_up(bands)
        if self._pads:
            self._refuse_fixed_size(bands)

    def _rounds_up(self, bands: int) -> bool:
        """Does the body take any size, and round the number of cells up?"""
        training = self.body.training
        self.body.eval()
        try:
            with torch.no_grad():
                maps = self._run(torch.zeros(1, bands, _PROBE, _PROBE))
        except (AssertionError, RuntimeError, ValueError):
            return False
        finally:
            self.body.train(training)
        sides = [map_.shape[-1] for map_ in maps]
        return sides == [-(-_PROBE // stride) for stride in STRIDES]

    def _refuse_fixed_size(self, bands: int) -> None:
        """Some transformers take images of one size alone."""
        try:
            with torch.no_grad():
                self.eval()(torch.zeros(1, bands, _PROBE, _PROBE))
        except Exception as error:
            msg = (
                f"model.trunk: '{self.name}' does not take images of any size ({error}); "
                "if it is a Swin, say trunk_options: {strict_img_size: false}"
            )
            raise RecipeError(msg) from error
        self.train()

    def _run(self, pixels: Tensor) -> list[Tensor]:
        maps = self.body(pixels)
        chosen = [maps[i] for i in self._chosen]
        return [m.permute(0, 3, 1, 2) for m in chosen] if self._channels_last else chosen

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """C5, C4, C3, C2 (coarsest first, as the pyramid reads them) of (B, bands, H, W)."""
        height, width = pixels.shape[-2:]
        if self._pads:
            below, right = -height % STRIDES[-1], -width % STRIDES[-1]
            pixels = functional.pad(pixels, (0, right, 0, below), mode="replicate")
        maps = self._run(pixels)
        cut = [
            map_[..., : -(-height // stride), : -(-width // stride)]
            for map_, stride in zip(maps, STRIDES, strict=True)
        ]
        return tuple(cut[::-1])

    def load(self, weights: str) -> None:
        """Start from `imagenet` (fetched by timm) or from a local file of the same architecture.

        The file holds tensors under timm's or torchvision's names; a classifier in it is left out,
        and a stem of three bands is adapted to any number.

        Raises:
            BundleError: the weights cannot be had or belong to another network.
        """
        found = self._imagenet() if weights == "imagenet" else _read_tensors(Path(weights))
        own = self.body.state_dict()
        # timm's feature lists flatten `stages.0` to `stages_0`.
        for key in own:
            head, _, rest = key.partition(".")
            unflattened = re.sub(r"_(\d+)", r".\1", head) + "." + rest
            if key not in found and unflattened in found:
                found[key] = found[unflattened]
        stem = next(key for key, value in own.items() if value.ndim == 4)  # noqa: PLR2004  (O,I,h,w)
        if stem in found and found[stem].shape[1] != own[stem].shape[1]:
            found[stem] = self._adapted(weights, found[stem], own[stem].shape[1])
        # Old files lack the batch counters, which nothing here reads.
        missing = [k for k in own if k not in found and not k.endswith("num_batches_tracked")]
        wrong = [k for k in own if k in found and found[k].shape != own[k].shape]
        if missing or wrong:
            problem = f"lacks {missing[0]}" if missing else f"has another shape of {wrong[0]}"
            msg = f"{weights}: these are not weights of '{self.name}': the file {problem}"
            raise BundleError(msg)
        self.body.load_state_dict({k: v for k, v in found.items() if k in own}, strict=False)

    def _adapted(self, weights: str, stem: Tensor, bands: int) -> Tensor:
        try:
            return adapt_input_conv(bands, stem)
        except NotImplementedError as error:
            msg = f"{weights}: its stem takes {stem.shape[1]} bands, the model {bands}; "
            raise BundleError(msg + "only weights of three bands can be adapted") from error

    def _imagenet(self) -> dict[str, Tensor]:
        """Pretrained weights in this trunk's key names, through timm's hub and cache."""
        try:
            source = timm.create_model(
                self.name, pretrained=True, features_only=True, in_chans=self._bands
            )
        except Exception as error:  # the hub client raises a different family in every release
            detail = " ".join(str(error).split())[:200]
            msg = (
                f"train.trunk_weights: the ImageNet weights of '{self.name}' could not be fetched; "
                f"connect once, or name a local file, or say none for a random start ({detail})"
            )
            raise BundleError(msg) from error
        return dict(source.state_dict())

    @property
    def _bands(self) -> int:
        stem = next(value for value in self.body.state_dict().values() if value.ndim == 4)  # noqa: PLR2004
        return int(stem.shape[1])


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
        detail = " ".join(str(error).split())[:200]
        msg = f"{path}: holds no plain tensors that could be weights ({detail})"
        raise BundleError(msg) from error
