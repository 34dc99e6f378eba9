"""The network and the images under test, all seeded.

    python benchmarks/paper_network.py FOLDER [--small]

The paper's network (ResNet-50, pyramids 256 wide, 508 px, both ways of sharing) with random
weights and exported graphs. Its batch norms have seen the test images' kind, so activations are
sane; speed does not depend on weights, but agreement would on exploding ones.
"""

import argparse
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image

from glnet.bundle import GRAPHS, INT8
from glnet.geometry import Size
from glnet.recipe import ModelSettings

ENGINES, PRECISIONS = ("plain", "torch", "openvino"), ("fp32", "bf16", "fp16", "int8")
CLASSES = 7
PAPER = ModelSettings(thumbnail=508, patch=508, overlap=50)
#: Of the same make, for trying a script.
SMALL = ModelSettings(
    trunk="resnet18",
    trunk_options={"channels": [8, 16, 32, 64]},
    width=16,
    thumbnail=128,
    patch=128,
    overlap=16,
)

#: Pixels between the nodes of each layer of a texture, and how far its values spread.
_LAYERS = ((512, 35.0), (128, 25.0), (24, 15.0))
_NOISE, _GREY = 8.0, 120.0
_SIDE, _COUNT = 256, 4


def make_model(folder: Path, *, small: bool = False, seed: int = 0) -> Path:
    """Build, season, save and export the network."""
    # The children of predict.py must not import torch.
    from glnet.datasets.classes import ClassInfo, ClassTable, default_colour  # noqa: PLC0415
    from glnet.engines.export import export_graphs  # noqa: PLC0415
    from glnet.engines.models import save_model  # noqa: PLC0415

    rows = (ClassInfo(f"class {i}", i, default_colour(i)) for i in range(CLASSES))
    model = random_network(SMALL if small else PAPER, seed)
    save_model(folder, model, ClassTable(tuple(rows)), f"Random weights, seed {seed}.")
    export_graphs(folder)
    return folder


def random_network(settings: ModelSettings, seed: int):  # noqa: ANN201  torch is not imported here
    """Random weights, and batch norms that have seen textures."""
    import torch  # noqa: PLC0415
    from torch import nn  # noqa: PLC0415

    from glnet.model import build_glnet  # noqa: PLC0415
    from glnet.model.initialise import start_aggregation, start_pyramid  # noqa: PLC0415

    torch.manual_seed(seed)
    model = build_glnet(settings, CLASSES)
    side = min(_SIDE, settings.patch)
    images = np.stack([texture(Size(side, side), seed + i) for i in range(_COUNT)])
    pixels = model.normalise(torch.from_numpy(images))
    for branch in (model.global_branch, model.local_branch, model.refined_global):
        norms = [m for m in branch.trunk.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            # Left alone, the last norm of every residual block is zero: a trunk of few layers.
            nn.init.uniform_(norm.weight, 0.5, 1.0)
            nn.init.normal_(norm.bias, std=0.1)
            norm.momentum = None
        with torch.no_grad():
            branch.trunk.train()(pixels)
        branch.trunk.eval()
        start_pyramid(branch, "unit")
    start_aggregation(model, "unit")
    return model.eval()


def calibrate(model: Path, image: Path, engines: list[str]) -> None:
    """Where one of the engines runs int8 graphs and the model has none: make them from an image."""
    if "openvino:int8" in engines and not (model / GRAPHS / INT8).is_dir():
        from glnet.engines.int8 import export_int8  # noqa: PLC0415  it imports torch

        export_int8(model, [image])


def texture(size: Size, seed: int) -> np.ndarray:
    """Smooth random ground with fine noise: (3, height, width) bytes."""
    rng = np.random.default_rng(seed)
    bands = []
    for _ in range(3):
        values = rng.normal(_GREY, _NOISE, size).astype(np.float32)
        for step, spread in _LAYERS:
            nodes = rng.normal(0, spread, Size(*size).cells(step)).astype(np.float32)
            smooth = Image.fromarray(nodes).resize(size[::-1], Image.Resampling.BICUBIC)
            values += np.asarray(smooth)
        bands.append(np.clip(values, 0, 255).astype(np.uint8))
    return np.stack(bands)


def write_image(path: Path, size: Size, seed: int = 0) -> Path:
    """A texture as a tiled GeoTIFF with a georeference."""
    pixels = texture(size, seed)
    with rasterio.open(
        path, "w", driver="GTiff", height=size.height, width=size.width, count=len(pixels),
        dtype="uint8", tiled=True, crs="EPSG:32640",
        transform=rasterio.transform.from_origin(0, size.height, 1, 1),
    ) as file:  # fmt: skip
        file.write(pixels)
    return path


def as_size(text: str) -> Size:
    """HEIGHTxWIDTH."""
    height, width = map(int, text.split("x"))
    return Size(height, width)


def as_engines(text: str) -> list[str]:
    """ENGINE:PRECISION,..."""
    names = text.split(",")
    for name in names:
        engine, precision = name.split(":")
        if engine not in ENGINES or precision not in PRECISIONS:
            raise ValueError(name)
    return names


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    print(make_model(arguments.folder, small=arguments.small))
