"""Rivals: well-known networks of one branch, in the place of a `Branch`, on the recipe's trunk.

Their decoders are those of segmentation_models_pytorch (FCN's is torchvision's) and start as the
library draws them. The library takes seconds to import, so this module is imported only where a
recipe asks for a rival.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.encoders import TimmUniversalEncoder, get_encoder
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.segmentation.fcn import FCNHead

from glnet.errors import RecipeError
from glnet.model.branch import BranchOutput, SharedMaps
from glnet.model.norm import BatchNorm
from glnet.model.pretrained import load_pretrained
from glnet.recipe import ModelSettings, Network

#: A side that no stride divides.
_PROBE = 65

_NO_MAPS = SharedMaps((), (), (), ())


class Rival(nn.Module):
    """Trunk, decoder, classifier; as a branch that neither lends nor receives.

    Logits have the size of the input, whatever it is: it is padded to what the trunk divides by,
    and the logits are cut.
    """

    receives = "nothing"

    def __init__(self, settings: ModelSettings, classes: int) -> None:
        """Build; the trunk starts at random, all else as its library starts it.

        Raises:
            RecipeError: the rival cannot be built on this trunk.
        """
        super().__init__()
        name, trunk = settings.network, f"tu-{settings.trunk}"
        try:
            parts = _BUILDERS[name](
                encoder_name=trunk, encoder_weights=None,
                in_channels=settings.bands, classes=classes, **settings.trunk_options,
            )  # fmt: skip
            self.trunk = _Trunk(parts.encoder)
            self.decoder = _let_single_values_pass(parts.decoder)
            self.classify, self.enlarge = parts.segmentation_head[0], parts.segmentation_head[1]
            self._refuse_other_sizes(settings.bands)
        except Exception as error:  # timm's factories raise whatever their options lead to
            detail = " ".join(str(error).split())[:200] or type(error).__name__
            msg = (
                f"model.network: {name} cannot be built on the trunk '{settings.trunk}' ({detail})"
            )
            if "output_stride" in detail:
                msg += "; it dilates the last stages, which convolutional trunks alone allow"
            raise RecipeError(msg) from error

    def forward(self, pixels: Tensor, received: SharedMaps | None = None) -> BranchOutput:  # noqa: ARG002  as a Branch
        """Logits, and the decoder's features, of normalised pixels (B, bands, H, W)."""
        height, width = pixels.shape[-2:]
        below, right = -height % self.trunk.stride, -width % self.trunk.stride
        padded = functional.pad(pixels, (0, right, 0, below), mode="replicate")
        joined = self.decoder(self.trunk(padded))
        logits = self.enlarge(self.classify(joined))[..., :height, :width]
        return BranchOutput(logits, joined, _NO_MAPS)

    def _refuse_other_sizes(self, bands: int) -> None:
        """Some trunks take images of one size alone, or shrink them less than they should."""
        with torch.no_grad():
            logits = self.eval()(torch.zeros(1, bands, _PROBE, _PROBE)).logits
        if logits.shape[-2:] != (_PROBE, _PROBE):
            msg = f"of {_PROBE} pixels a side it made {logits.shape[-1]}"
            raise ValueError(msg)
        self.train()


class _Trunk(nn.Module):
    """The library's frame around a timm network: its input, then its stages, finest first."""

    def __init__(self, encoder: TimmUniversalEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.stride: int = encoder.output_stride

    def forward(self, pixels: Tensor) -> list[Tensor]:
        return self.encoder(pixels)

    def load(self, weights: str) -> None:
        """See `load_pretrained`."""
        load_pretrained(self.encoder.model, self.encoder.name, weights)


def _let_single_values_pass(module: nn.Module) -> nn.Module:
    """Put `BatchNorm` in the place of every batch norm below."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            setattr(module, name, BatchNorm(child.num_features, child.eps, child.momentum))
        else:
            _let_single_values_pass(child)
    return module


class _OnLastStage(nn.Module):
    """Layers on the last of a trunk's stages."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, stages: list[Tensor]) -> Tensor:
        return self.layers(stages[-1])


class _Parts(NamedTuple):
    """A network's parts, named as in segmentation_models_pytorch."""

    encoder: TimmUniversalEncoder
    decoder: nn.Module
    segmentation_head: nn.Module


def _fcn(
    encoder_name: str,
    encoder_weights: str | None,
    in_channels: int,
    classes: int,
    **options: Any,  # noqa: ANN401
) -> _Parts:
    """A head of torchvision on a trunk dilated to stride 8, as there."""
    encoder = get_encoder(
        encoder_name, in_channels, weights=encoder_weights, output_stride=8, **options
    )
    *layers, classify = FCNHead(encoder.out_channels[-1], classes)
    enlarge = nn.Upsample(scale_factor=8, mode="bilinear")
    return _Parts(encoder, _OnLastStage(*layers), nn.Sequential(classify, enlarge))


_BUILDERS: dict[Network, Callable[..., Any]] = {
    "unet": smp.Unet,
    "fpn": smp.FPN,
    # The library's own default stops at C3; the paper's network has all stages, dilated.
    "pspnet": partial(smp.PSPNet, encoder_depth=5, output_stride=8),
    # The library's default rates are the paper's for stride 8.
    "deeplabv3plus": partial(
        smp.DeepLabV3Plus, encoder_output_stride=16, decoder_atrous_rates=(6, 12, 18)
    ),
    "fcn": _fcn,
    "segformer": smp.Segformer,
    "upernet": smp.UPerNet,
}
