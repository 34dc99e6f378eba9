"""What the command line promises: it lists what it has, and imports what it needs alone."""

import os
import subprocess
import sys

import numpy as np
import pytest
import typer.main

from glnet.cli.main import COMMANDS, app
from makers import write_png, write_text


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_what_the_list_says(name):
    """In a line that a terminal of 80 columns does not cut."""
    command = typer.main.get_command(app).get_command(None, name)

    assert command.help.partition("\n")[0] == COMMANDS[name]
    assert len(COMMANDS[name]) <= 80 - 18


def test_a_misspelt_command_is_guessed():
    script = "import sys; sys.argv = ['glnet', 'trian']; from glnet.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Did you mean 'train'?" in done.stderr


def test_names_that_a_terminal_cannot_write_are_written_as_they_can(tmp_path):
    """A class of another alphabet where output is ASCII: a question mark, and no traceback."""
    write_png(tmp_path / "a.png", np.ones((8, 8), np.uint8))
    write_text(
        tmp_path / "classes.csv", "name,value", "wald,0", "stra\N{LATIN SMALL LETTER SHARP S}e,1"
    )
    write_text(tmp_path / "manifest.csv", "image,mask,split", "a.png,a.png,test")
    asked = ["evaluate", "--masks", ".", "--classes", "classes.csv", "--manifest", "manifest.csv"]
    done = subprocess.run(
        [sys.executable, "-m", "glnet", *asked], check=False, capture_output=True, text=True,
        cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "stra?e" in done.stdout


@pytest.mark.parametrize("asked", ["--help", "--version"])
def test_help_imports_no_library_that_works(asked):
    """Half a second, each time a shell asks."""
    script = (
        f"import sys; sys.argv = ['glnet', {asked!r}]\n"
        "from glnet.cli.main import main\n"
        "try: main()\n"
        "except SystemExit:\n"
        "    print(*{'numpy', 'rasterio', 'torch'}.intersection(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )

    assert done.stdout.splitlines()[-1] == ""
