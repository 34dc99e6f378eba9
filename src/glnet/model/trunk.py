"""The trunk: four stages of a timm network, C2 to C5 at strides 4, 8, 16 and 32."""

from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from glnet.errors import RecipeError
from glnet.model.pretrained import load_pretrained
from glnet.sharing import COARSE_FIRST

#: Strides of the four stages, finest first.
STRIDES = COARSE_FIRST[::-1]

#: Of the map above them all, which some trunks have.
_DETAIL = 2

#: A side on which rounding up and down differ at every stride.
_PROBE = 65


class Trunk(nn.Module):
    """A timm backbone cut to four maps, for inputs of any size.

    A map at stride s of an input of n pixels always has ceil(n / s) cells. Residual networks give
    that by themselves; others are fed an input padded to a multiple of 32, and the maps are cut.

    Attributes:
        channels: Channels of C2 to C5.
        detail: Channels of C1, the map at stride 2, where it is asked for; else 0.
        bands: Channels of the input.
    """

    def __init__(
        self, name: str, bands: int, options: dict[str, Any], *, detail: bool = False
    ) -> None:
        """Build with random weights.

        Args:
            name, bands, options: What is built.
            detail: Give C1 too.

        Raises:
            RecipeError: timm knows no such model, or it lacks a stage at one of the strides.
        """
        super().__init__()
        try:
            body = timm.create_model(name, features_only=True, in_chans=bands, **options)
        except Exception as error:  # timm's factories raise whatever their options lead to
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            msg = f"model.trunk: timm cannot build '{name}' as a trunk ({why})"
            raise RecipeError(msg) from error
        reductions = body.feature_info.reduction()
        self._strides = (_DETAIL, *STRIDES) if detail else STRIDES
        if not set(self._strides) <= set(reductions):
            msg = f"model.trunk: '{name}' has stages at strides {reductions}, wanted {STRIDES}"
            if detail:
                msg += f", and {_DETAIL} for model.finest: {_DETAIL}; or say model.finest: 4"
            raise RecipeError(msg)
        # Of several maps at one stride the last is the stage's output.
        self._chosen = [len(reductions) - 1 - reductions[::-1].index(s) for s in self._strides]
        self.body = body
        self.name = name
        self.bands = bands
        channels = tuple(body.feature_info.channels()[i] for i in self._chosen)
        self.channels, self.detail = channels[-len(STRIDES) :], channels[0] if detail else 0
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
        return sides == [-(-_PROBE // stride) for stride in self._strides]

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
        """C5 to C2 of (B, bands, H, W), coarsest first as the pyramid reads them; then C1."""
        height, width = pixels.shape[-2:]
        if self._pads:
            below, right = (_cells(n, STRIDES[-1]) * STRIDES[-1] - n for n in (height, width))
            pixels = functional.pad(pixels, (0, right, 0, below), mode="replicate")
        maps = self._run(pixels)
        cut = [
            map_[..., : _cells(height, stride), : _cells(width, stride)]
            for map_, stride in zip(maps, self._strides, strict=True)
        ]
        return tuple(cut[::-1])

    def load(self, weights: str) -> None:
        """See `load_pretrained`."""
        load_pretrained(self.body, self.name, weights)


def has_detail(name: str) -> bool:
    """Has a timm network a map at stride 2? One that cannot be built has none."""
    try:
        with torch.device("meta"):
            body = timm.create_model(name, features_only=True)
    except Exception:  # timm's factories raise whatever a name leads to
        return False
    return _DETAIL in body.feature_info.reduction()


def _cells(length: int, stride: int) -> int:
    """Rounded up; of positive numbers alone, for ONNX rounds quotients towards zero."""
    return (length + stride - 1) // stride
