"""`README.md`, the model card: what is known of a model, what is not, and how to run it."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from glnet.bundle.config import CARD, CONFIG, WEIGHTS, BundleConfig, TrainedOn, read_config
from glnet.bundle.contents import Contents, contents_of
from glnet.bundle.graphs import COSTS, DIGEST, GRAPHS, INT8
from glnet.errors import BundleError

#: What Markdown would take for its own, also inside of a table.
_MARKS = re.compile(r"([\\`*\[\]<>|])")

_ABOUT = {
    CONFIG: "settings, classes, origin, recipe",
    WEIGHTS: "weights",
    f"{GRAPHS}/{COSTS}": "memory that the graphs take",
    f"{GRAPHS}/{DIGEST}": "of which weights the graphs are",
}


def card_of(folder: Path, config: BundleConfig) -> str:
    """The card of a model folder as it lies there.

    Raises:
        BundleError: see `contents_of`.
    """
    contents = contents_of(folder)
    sections = {
        "Classes": _classes(config),
        "Data": _data(config),
        "Scores": _scores(config),
        "Use and limits": _limits(config),
        "Licence": _licence(config),
        "Files": _files(contents),
        "Run it": _running(contents),
    }
    body = "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items())
    return f"---\n{_front(config)}---\n\n# A glnet model\n\n{_what(config, contents)}\n{body}"


@contextlib.contextmanager
def card_renewed(folder: str | Path) -> Iterator[None]:
    """Write a folder's card anew at the end, unless people have written in it.

    Raises:
        BundleError: not a model folder, or the card cannot be written.
    """
    folder = Path(folder)
    path, partial = folder / CARD, folder / f"{CARD}.partial"
    try:
        own = path.read_text(encoding="utf-8") == card_of(folder, read_config(folder))
    except (OSError, ValueError, LookupError, TypeError):  # nor did glnet write such classes
        own = False
    yield
    if not own:
        return
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(card_of(folder, read_config(folder)))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        msg = f"{path}: cannot be written ({error})"
        raise BundleError(msg) from error


def _front(config: BundleConfig) -> str:
    """What the Hugging Face Hub reads."""
    told: dict[str, Any] = {"library_name": "glnet", "pipeline_tag": "image-segmentation"}
    if config.licence is not None:
        told["license"] = config.licence.lower()
    network = config.model.network
    told["tags"] = list(dict.fromkeys(["glnet", "semantic-segmentation", network]))
    return str(yaml.safe_dump(told, sort_keys=False, allow_unicode=True))


def _what(config: BundleConfig, contents: Contents) -> str:
    model = config.model
    sharing = model.sharing if model.branches == "both" else "none"
    branches = f"branches: {model.branches}, sharing: {sharing}"
    lines = [
        f"{model.network} on the trunk {model.trunk}, {branches}",
        model.takes,
        f"gives its {model.views[0]} view where none is asked for",
        f"{contents.parameters or 0:,} parameters",
        f"written by glnet {config.glnet}, format {config.format}",
    ]
    return f"{_plain(config.origin)}\n\n" + "".join(f"- {line}\n" for line in lines).rstrip()


def _classes(config: BundleConfig) -> str:
    written: set[str] = set()
    rows = []
    for row in config.classes:
        name = str(row["name"])
        note = "ignored: neither trained nor written" if row["ignored"] else ""
        if name in written:
            note = "trained as the class above of that name, which is what is written"
        if not row["ignored"]:
            written.add(name)
        rows.append((row["value"], _plain(name), f"`#{bytes(row['colour']).hex()}`", note))
    return _table(("value in masks", "class", "colour", ""), rows)


def _data(config: BundleConfig) -> str:
    known = config.trained_on
    lines = ["Which images: not known here.", *(_scenes(known) if known else ())]
    if known is None:
        lines.append("How many images, of which sizes and resolution: not known.")
    if config.recipe is None:
        lines.append("Recipe: not known.")
    else:
        preset = _plain(str(config.recipe.get("preset", "default")))
        lines.append(f"Recipe: preset {preset}; all of its settings are in `{CONFIG}`.")
    return _list(lines)


def _scenes(known: TrainedOn) -> Iterator[str]:
    if known.images is None or known.scenes is None:
        yield "How many images: not known."
    else:
        yield f"Trained on {known.images} images in {known.scenes} scenes."
    yield f"Longest side of a scene: {known.median} px (median), at most {known.largest} px."
    ground = "not known, not all images say"
    if known.resolution is not None:
        ground = f"{known.resolution:.4g} m per pixel (median)"
    yield f"Ground resolution: {ground}."


def _scores(config: BundleConfig) -> str:
    if not config.scores:
        return "None were measured."
    rows = [(_plain(name), f"{value:.4f}") for name, value in config.scores.items()]
    return _table(("score", "value"), rows) + (
        "\n\nMeasured on the split that the score names, and true of that alone."
    )


def _limits(config: BundleConfig) -> str:
    model, known = config.model, config.trained_on
    others = "other ranges than those of training give wrong classes without a word."
    lines = [
        "For semantic segmentation of images of any size that are like those it was trained on.",
        f"It takes {model.bands} bands, in the order of training.",
        f"Values are divided by {model.input.scale:g}, whatever their type; {others}",
    ]
    if known is not None and known.resolution is not None:
        lines.append(
            f"It knows ground at {known.resolution:.4g} m per pixel. Rasters that say how large "
            "their pixels are are read at that; of others glnet cannot tell."
        )
    else:
        lines.append("At which ground resolution it works is not known.")
    lines.append("Nothing is known here of other ground, seasons or sensors.")
    lines.append("It has no class for what it has never seen: every pixel gets one of the above.")
    return _list(lines)


def _licence(config: BundleConfig) -> str:
    return "Not stated." if config.licence is None else f"Of the weights: {config.licence}."


def _files(contents: Contents) -> str:
    rows = []
    for name, size in contents.files.items():
        graph = "graph in 8 bits (ONNX)" if f"/{INT8}/" in name else "folded graph (ONNX)"
        if name != CARD:
            rows.append((f"`{name}`", f"{size:,}", _ABOUT.get(name, graph)))
    exported = "" if contents.graphs else "\n\nGraphs are not exported; `glnet export` makes them."
    return _table(("file", "bytes", ""), rows) + exported


def _running(contents: Contents) -> str:
    needs = "`glnet` runs it on a CPU; on a GPU, with its extra `torch`."
    if not contents.graphs:
        needs = "`glnet` with its extra `torch` runs it."
    return (
        f"{needs}\n\n"
        "```\nglnet predict IMAGE.tif --model THIS_FOLDER -o MASK.tif\n```\n\n"
        '```python\nimport glnet\n\nglnet.predict("IMAGE.tif", "THIS_FOLDER", "MASK.tif")\n```'
    )


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return _MARKS.sub(r"\\\1", " ".join(shown.split()))
