"""Whether a model can run on this machine, and by what."""

from collections.abc import Iterator
from pathlib import Path

from glnet.bundle import BundleConfig, Contents, contents_of, find_model, read_config
from glnet.doctor.facts import Imported
from glnet.doctor.finding import Finding
from glnet.engines.memory import MemoryWish, plan_memory, read_costs
from glnet.engines.tables import table_of
from glnet.errors import GlnetError
from glnet.extras import install
from glnet.geometry import Size
from glnet.recipe.amounts import show_bytes

_TOPIC = "model"

#: Copies of a scene's pixels that are held.
_COPIES = 5


def judge_model(told: str | Path, torch: Imported, arithmetic: list[str]) -> Iterator[Finding]:
    """Its config, its graphs, its engine, precisions and least memory; nothing is computed.

    Args:
        told: A folder, or a repository's name on the Hugging Face Hub.
        torch: As it was imported.
        arithmetic: That OpenVINO uses on this processor.
    """
    try:
        folder = find_model(told)
        config = read_config(folder)
        table, contents = table_of(folder, config), contents_of(folder)
    except GlnetError as error:
        yield Finding(_TOPIC, "problem", str(error), "name a folder that holds one", stops=True)
        return
    usable = bool(contents.graphs) and not contents.unusable
    yield Finding(
        _TOPIC, "ok", f"{folder}: {config.model.network}, {len(table.trained)} classes, readable"
    )
    if usable:
        yield Finding(_TOPIC, "ok", _precisions(contents, arithmetic))
        yield from _memory(folder, config, len(table.trained))
    else:
        yield _without_graphs(folder, config, contents, torch)


def _precisions(contents: Contents, arithmetic: list[str]) -> str:
    known = ["fp32", *(["bf16"] if "BF16" in arithmetic else [])]
    if contents.int8 and "INT8" in arithmetic:
        known.append("int8")
    return f"OpenVINO runs its graphs ({', '.join(contents.graphs)}) in {', '.join(known)}"


def _without_graphs(
    folder: Path, config: BundleConfig, contents: Contents, torch: Imported
) -> Finding:
    why = contents.unusable or "it has no exported graphs"
    export = f"glnet export {folder}" if config.model.network == "glnet" else ""
    if not torch.works:
        advice = install("torch")
        if export:
            advice += f", or where torch is: {export}"
        what = f"cannot run here: {why}, and torch does not work"
        return Finding(_TOPIC, "problem", what, advice, stops=True)
    if contents.graphs:  # a prediction on the processor would take them, and fail
        return Finding(_TOPIC, "problem", f"its graphs cannot be used: {why}", export, stops=True)
    return Finding(_TOPIC, "note", f"torch runs it: {why}", export)


def _memory(folder: Path, config: BundleConfig, classes: int) -> Iterator[Finding]:
    side = config.largest
    kept = _COPIES * config.model.bands * side**2
    try:
        costs = read_costs(folder)
        wish = MemoryWish(1 << 62, Size(side, side), kept, kept, turns=False)
        least = plan_memory(wish, costs, config.model, classes).total
    except GlnetError as error:
        yield Finding(_TOPIC, "problem", str(error), stops=True)
        return
    what = f"an 8-bit scene of {side} x {side} px takes about --memory {show_bytes(least)}"
    yield Finding(_TOPIC, "ok", f"{what} at the least")
