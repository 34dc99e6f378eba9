"""The documentation's blocks, and a folder in which they can be run."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import yaml
from rasterio.transform import Affine

from glnet.datasets.classes import ClassInfo, ClassTable
from layouts import make_inria
from makers import (
    box,
    feature,
    write_classes,
    write_geojson,
    write_jpg,
    write_png,
    write_tif,
)
from runs import write_recipe
from scenes import make_scene
from small_slides import halved, make_slide, with_islands

HOME = Path(__file__).parents[1]
PAGES = [HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?P<to>[^)#\s]*)#?(?P<heading>[^)\s]*)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

_SIDE = 200
_PIXEL = 0.5

#: What `glnet init` proposes for such images.
_PATCH = 128
_GROUND = {"crs": "EPSG:32640", "transform": Affine(_PIXEL, 0, 5e5, 0, -_PIXEL, 2.8e6)}
_TABLE = ClassTable(
    (
        ClassInfo("land", 0, (0, 128, 0)),
        ClassInfo("water", 1, (0, 0, 255)),
        ClassInfo("road", 2, (200, 10, 90)),
    )
)
_COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Block:
    """What stands between two fences: its language, its text, the line of the page."""

    kind: str
    text: str
    line: int


def blocks_of(page):
    """All of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found["kind"], found["text"], text.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(text)
    ]


def commands_of(block):
    """The lines of a shell block, continued ones joined, without remarks behind them."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line.partition(" #")[0].strip() for line in lines if line.strip()]


def links_of(page):
    """What a page links to on the disk: paths, and headings in them or nothing."""
    found = _LINK.finditer(page.read_text(encoding="utf-8"))
    links = ((page.parent / (each["to"] or page.name), each["heading"]) for each in found)
    return [(path.resolve(), heading) for path, heading in links if "https:" not in path.parts]


def headings_of(page):
    """As links name them."""
    found = _HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in found}


def prepare(folder):
    """Files under the names that pages use, all but a model."""
    for name in ("images", "labels"):
        for place in ("photos", "eyes"):
            (folder / place / name).mkdir(parents=True)
    for number in range(5):
        pixels, labels = _scene(number, _SIDE)
        write_tif(folder / f"photos/images/{number}.tif", pixels, **_GROUND)
        write_png(folder / f"photos/labels/{number}.png", labels)
        write_jpg(folder / f"eyes/images/P0{number}_left.jpg", pixels)
        write_png(folder / f"eyes/labels/P0{number}_left.png", labels)
    for place in (folder, folder / "photos"):
        write_classes(place / "classes.csv", _TABLE)
    pixels, labels = _scene(9, _SIDE)
    write_tif(folder / "scene.tif", pixels, **_GROUND)
    write_tif(folder / "truth.tif", labels[None], **_GROUND)
    write_jpg(folder / "photo.jpg", pixels)
    colours = np.array([row.colour for row in _TABLE.rows], np.uint8)[labels]
    write_png(folder / "a_coloured.png", np.moveaxis(colours, -1, 0))
    (folder / "copies").mkdir()
    pixels, labels = _scene(8, _PATCH)
    for name in "abc":
        write_tif(folder / f"{name}.tif", pixels, **_GROUND)
        write_png(folder / f"{name}_mask.png", np.array([1, 1, 2], np.uint8)[labels])
    left, top = (_GROUND["transform"].c, _GROUND["transform"].f)
    write_geojson(
        folder / "area.geojson",
        [feature(box(left + 20, top - 90, left + 90, top - 10))],
        crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32640"}},
    )
    pixels = with_islands((4 * _SIDE, 5 * _SIDE), (100, 500, 200, 700))
    make_slide(folder / "slide.svs", halved(pixels, 2))
    region = feature(box(150, 50, 450, 350), objectType="annotation")
    write_geojson(folder / "regions.geojson", [region])
    cities = ("austin", "chicago", "kitsap", "tyrol-w", "vienna")
    tiles = [f"{city}{tile}" for city in cities for tile in range(1, 37)]
    make_inria(folder / "ROOT", (3, 3), tiles)
    _write_study(folder)


def complete(folder):
    """What can be made only of a trained model: others beside it, masks, a hub's cache."""
    shutil.copytree(folder / "run/model", folder / "other/model")
    shutil.copytree(folder / "photos/labels", folder / "predictions")
    repository = folder / "hub/models--ORG--NAME"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(_COMMIT)
    shutil.copytree(folder / "run/model", repository / "snapshots" / _COMMIT)


def _scene(seed, side):
    """Pixels, and labels of three classes."""
    pixels, labels = make_scene(np.random.default_rng(seed), side)
    return pixels, np.choose(labels, [0, 1, 0, 0, 0, 0, 2]).astype(np.uint8)


def _write_study(folder):
    """The smallest benchmark, over the same manifest."""
    recipe = yaml.safe_load(
        write_recipe(folder, "small", (1, 1, 1), {"branches": "global"}).read_text()
    )
    (folder / "small.yaml").unlink()
    study = {"title": "Small", "recipe": recipe, "entries": [{"name": "thumbnails"}]}
    (folder / "STUDY.yaml").write_text(yaml.safe_dump(study))


COMMAND = [sys.executable, "-c", "from glnet.cli import main; main()"]


def process(folder, arguments):
    """Run a command in a process of its own, which knows of no hub but the folder's."""
    surroundings = os.environ | {"HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=surroundings, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def look(folder, arguments):
    """Open a viewer as a user does, fetch what its page asks for first, and interrupt it."""
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, env=os.environ | {"BROWSER": "true"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as viewer:  # fmt: skip
        try:
            address = viewer.stdout.readline().split(" ")[0]
            assert address.startswith("http://localhost:"), viewer.stderr.read()
            for place in ("", "facts", "counted", "tiles/image/0/0/0"):
                with urlopen(address + place) as answer:  # noqa: S310  our own server
                    content = answer.read()
                if place == "facts":
                    assert json.loads(content)["name"] == arguments[1]
        finally:
            viewer.send_signal(signal.SIGINT)
        rest = viewer.stdout.read()
    assert (viewer.returncode, rest.strip()) == (0, "closed"), (viewer.returncode, rest)
