"""What the package promises as a whole: its names, its layers in print, a start without PyTorch."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import glnet
from makers import NO_TORCH

ROOT = Path(__file__).resolve().parents[1]


def test_public_names_are_sorted_and_exist():
    """Every name of `__all__` can be had, and a wrong one is an AttributeError."""
    assert list(glnet.__all__) == sorted(glnet.__all__)
    assert all(getattr(glnet, name) is not None for name in glnet.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = glnet.no_such_name


def test_type_checkers_are_told_of_every_name_where_it_lives():
    """They read the stub alone, and take all that is missing there for anything."""
    stub = ast.parse((ROOT / "src" / "glnet" / "__init__.pyi").read_text())
    told = {
        name.asname: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }

    assert told == {name: f"glnet.{home}" for name, home in glnet._HOMES.items()}


@pytest.mark.parametrize(
    "code",
    [
        "import glnet; glnet.load_recipe; glnet.evaluate_masks; glnet.GlnetError",
        "import glnet.cli",
        "import glnet; glnet.plan; glnet.Wishes",
        "import glnet.bundle, glnet.mosaic, glnet.outputs.rasters, glnet.datasets.checks",
    ],
)
def test_recipes_masks_and_help_need_no_pytorch(code):
    """In a process where importing it fails."""
    subprocess.run([sys.executable, "-c", NO_TORCH + code], check=True)


MODEL_COMMANDS = """
from glnet.bundle import BundleConfig, write_bundle
from glnet.cli.main import main
from glnet.recipe import ModelSettings
import numpy

rows = [{"name": "a", "value": 0, "colour": [0, 0, 0], "ignored": False}]
config = BundleConfig(model=ModelSettings(), classes=rows, origin="Made for a test.")
write_bundle("model", config, {"weight": numpy.ones((3, 4), numpy.float32)})
"""


@pytest.mark.parametrize(
    "command",
    [
        ["info", "model"],
        ["info", "model", "--json"],
        ["export", "model", "--stac", "model.json"],
    ],
)
def test_what_a_model_is_can_be_asked_without_pytorch(tmp_path, command):
    code = f"{NO_TORCH}{MODEL_COMMANDS}sys.argv = ['glnet', *{command}]\nmain()"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True
    )

    made = tmp_path / "model.json"
    assert "Made for a test." in (made.read_text() if made.exists() else done.stdout)


def test_the_architecture_page_shows_the_layers_that_are_checked():
    """ARCHITECTURE.md prints the import contract's layers, in order, line by line."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = "\n".join(contracts["contracts"][0]["layers"])

    assert f"```\n{layers}\n```" in (ROOT / "ARCHITECTURE.md").read_text()


def test_no_source_file_is_long():
    """300 lines is a lot."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "examples").rglob("*.py")]

    assert [path for path in files if len(path.read_text().splitlines()) > 300] == []


def test_requirements_pin_versions_and_name_no_host():
    """Every line is a name, a version and where it applies."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()

    assert all("==" in line and "://" not in line and not line.startswith("-") for line in lines)
    assert any(line.startswith("torch==") for line in lines)
    assert any(line.startswith("torchvision==") for line in lines)
