"""The libraries that glnet stands on, and what to do where one is missing or broken."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from glnet.doctor.facts import Imported
from glnet.doctor.finding import Finding
from glnet.extras import install

_TOPIC = "libraries"


class Library(NamedTuple):
    """One of them.

    Attributes:
        name: As it is imported.
        package: As it is installed.
        extra: Of glnet that brings it; empty: glnet itself needs it.
        tried: Is it imported to see whether it works, or only looked for: that takes long, or it
            leaves files behind?
    """

    name: str
    package: str
    extra: str = ""
    tried: bool = True


LIBRARIES = (
    Library("numpy", "numpy"),
    Library("rasterio", "rasterio"),
    Library("openvino", "openvino"),
    Library("PIL", "pillow"),
    Library("torch", "torch", "torch"),
    Library("torchvision", "torchvision", "torch"),
    Library("timm", "timm", "torch"),
    Library("onnx", "onnx", "torch"),
    Library("lightning_fabric", "lightning-fabric", "torch", tried=False),
    Library("tensorboard", "tensorboard", "torch", tried=False),
    Library("nncf", "nncf", "int8", tried=False),
    Library("onnxruntime", "onnxruntime", "int8", tried=False),
    Library("segmentation_models_pytorch", "segmentation-models-pytorch", "rivals", tried=False),
    Library("matplotlib", "matplotlib", "benchmark"),
    Library("huggingface_hub", "huggingface_hub", "hub"),
    Library("pyogrio", "pyogrio", "vector"),
    Library("shapely", "shapely", "vector"),
    Library("ray", "ray", "ray", tried=False),
    Library("openslide", "openslide-python", "slides"),
    Library("openslide_bin", "openslide-bin", "slides"),
    Library("starlette", "starlette", "view"),
    Library("uvicorn", "uvicorn", "view"),
    Library("xstatic", "xstatic-leaflet", "view", tried=False),
)

#: What cannot be done without an extra.
_FOR = {
    "torch": "training, exporting and GPUs",
    "int8": "int8 graphs",
    "rivals": "comparing with other networks",
    "benchmark": "benchmark figures",
    "hub": "models of the Hugging Face Hub",
    "vector": "GeoPackages and polygons by size",
    "ray": "predicting and training on a cluster",
    "slides": "whole-slide images",
    "view": "the viewer",
}

#: These go together: one of another release than the others does not import.
_TOGETHER = ("torch", "torchvision", "timm")


def judge_libraries(found: Mapping[str, Imported]) -> Iterator[Finding]:
    """What is there, what is broken, which extras could be added."""
    own = {each.package: found[each.name] for each in LIBRARIES if not each.extra}
    yield from _whole(list(own.values()))
    for package, each in own.items():
        if not each.works:
            advice = f"pip install --force-reinstall {package}"
            yield Finding(_TOPIC, "problem", _broken(each), advice, stops=True)
    for extra, use in _FOR.items():
        of_it = [found[each.name] for each in LIBRARIES if each.extra == extra]
        missing = [each.name for each in of_it if not each.version and not each.error]
        yield from _whole(of_it, f"extra {extra}: ")
        if missing:
            names = "" if len(missing) == len(of_it) else f" ({', '.join(missing)} missing)"
            what = f"extra {extra} is not installed{names}: no {use}"
            yield Finding(_TOPIC, "note", what, install(extra))
        for each in of_it:
            if each.error:
                advice = _together(found) if each.name in _TOGETHER else install(extra)
                yield Finding(_TOPIC, "problem", f"{_broken(each)}: no {use}", advice)


def _whole(found: list[Imported], what: str = "") -> Iterator[Finding]:
    names = ", ".join(f"{each.name} {each.version}" for each in found if each.works)
    if names:
        yield Finding(_TOPIC, "ok", what + names)


def _broken(library: Imported) -> str:
    if not library.version and not library.error:
        return f"{library.name} is not installed"
    return f"{' '.join([library.name, library.version]).strip()} does not work: {library.error}"


def _together(found: Mapping[str, Imported]) -> str:
    there = [f"{name} {found[name].version}" for name in _TOGETHER if found[name].version]
    return "install releases that belong together: pip install --upgrade torch torchvision timm" + (
        f" (here: {', '.join(there)})" if there else ""
    )


def judge_gpus(torch: Imported, nvidia: tuple[str, ...], hidden: str | None) -> Iterator[Finding]:
    """Which GPUs would be used, and why not those that are there.

    Args:
        torch: As it was imported.
        nvidia: What the driver lists: name, driver, memory.
        hidden: `CUDA_VISIBLE_DEVICES`; None: not set.
    """
    gpus, usable = torch.told.get("gpus", ()), 0
    for gpu in gpus:
        if gpu["error"]:
            what = f"{gpu['name']} cannot be used: {gpu['error']}"
            yield Finding("GPU", "note", what, "a newer driver or torch; --device cpu works")
        else:
            usable += 1
            yield Finding("GPU", "ok", f"{gpu['name']}, {gpu['memory']}: --device auto uses it")
    if torch.told.get("mps"):
        usable += 1
        yield Finding("GPU", "ok", "Apple's, by MPS: --device auto uses it")
    if usable:
        for line in nvidia:
            yield Finding("GPU", "ok", f"driver: {line}")
    elif nvidia and not gpus:
        why, advice = _why_not(torch, hidden)
        yield Finding("GPU", "note", f"{'; '.join(nvidia)}: not used, {why}", advice)
    elif not gpus:
        yield Finding("GPU", "ok", "none found: the processor computes")


def _why_not(torch: Imported, hidden: str | None) -> tuple[str, str]:
    if not torch.works:
        if torch.error:
            return "torch does not work", "see libraries"
        return "torch is not installed", install("torch")
    if hidden is not None and hidden.strip() in {"", "-1"}:
        return f"CUDA_VISIBLE_DEVICES={hidden} hides it", "unset CUDA_VISIBLE_DEVICES"
    if not torch.told.get("built"):
        return f"torch {torch.version} is built for processors alone", "install torch for CUDA"
    why = torch.told.get("why") or "torch does not find it"
    return why, "a driver that this torch supports, or a torch that this driver does"
