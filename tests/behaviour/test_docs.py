"""What the documentation promises: every command and every block of it works as it stands.

The pages share one folder, made anew for each: files under the names that pages use, and a model
trained by the README's own two commands. A page's blocks are run in order.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import typer.main
import yaml

from glnet.benchmark.study import load_study
from glnet.cli.main import app, main
from glnet.datasets.checks import check_samples
from glnet.datasets.classes import read_classes
from glnet.datasets.manifest import read_manifest
from glnet.datasets.masks import LabelCoder
from glnet.recipe import Recipe, load_recipe
from makers import write_text
from pages import (
    PAGES,
    blocks_of,
    commands_of,
    complete,
    headings_of,
    links_of,
    look,
    prepare,
    process,
)

#: Commands that do not run here, by how they begin.
NOT_RUN = {
    "pip install": "packages",
    "make demo": "installs packages",
    "make test": "installs packages, and runs this",
    "glnet import-weights": "of the authors' checkpoints; tests/parity has them where they are",
    "glnet predict 'photos/images/*.tif' --model run/model --out-dir rayed": "test_ray.py does",
    "glnet train recipe.yaml small.yaml": "test_ray.py does",
    ".venv/bin/torchrun": "processes of its own; test_team.py trains so",
}

#: What a page says, and what is said here: the same in seconds, with no network to be fetched. The
#: plan is the shared model's again, so the training that follows finds it finished.
SMALLER = {
    "--hours 8": "--hours 0.0002 --no-measure --memory 2GiB --device cpu --force "
    "--trunk test_resnet --trunk-weights none"
}

#: Options of other programs, and a file that is called as a setting might be.
NOT_OURS = {
    "--nproc-per-node", "--array", "--cpus-per-task", "--dependency", "model.safetensors",
}  # fmt: skip

README = PAGES[0].read_text(encoding="utf-8")
BLOCKS = [(page, block) for page in PAGES for block in blocks_of(page)]
COMMANDS = [line for _, block in BLOCKS if not block.kind for line in commands_of(block)]


def run(folder, line):
    """A command of ours: in this process, unless it serves or asks a hub."""
    for said, smaller in SMALLER.items():
        line = line.replace(said, smaller)
    program, *arguments = shlex.split(line)
    assert program == "glnet", f"neither run nor listed: {line}"
    if arguments[0] == "view":
        look(folder, arguments)
    elif "ORG/NAME" in arguments:
        process(folder, arguments)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", "1")  # a command may say another number
            patch.setattr(sys, "argv", [program, *arguments])
            with pytest.raises(SystemExit) as left:
                main()
        assert not left.value.code, line
    if "-o" in arguments:
        assert (folder / arguments[arguments.index("-o") + 1]).exists(), line


def run_script(folder, text):
    """What a task of SLURM or of Kubernetes runs, as its first one."""
    tasks = {"SLURM_ARRAY_TASK_ID": "1", "JOB_COMPLETION_INDEX": "0"}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/bash", "-c", text], cwd=folder, env=os.environ | tasks | {"PATH": programs},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def not_run(line):
    return any(line.startswith(begin) for begin in NOT_RUN)


def check_yaml(text, folder):
    """A study, or settings that are laid over a recipe."""
    path = folder / "block.yaml"
    path.write_text(text)
    keys = re.findall(r"^(\w+):", text, re.MULTILINE)
    assert len(set(keys)) == len(keys), "the last one alone would count"
    if "entries" in (settings := yaml.safe_load(text)):
        load_study(path)
    else:
        load_recipe(folder / "recipe.yaml", settings)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder, and a copy of it: a run knows where its data lie."""
    folder = tmp_path_factory.mktemp("docs") / "work"
    prepare(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(folder, "glnet init photos -o recipe.yaml --hours 8")
        run(folder, "glnet train recipe.yaml -o run")
    complete(folder)
    return folder, shutil.copytree(folder, folder.with_name("kept"))


@pytest.fixture
def folder(prepared, monkeypatch):
    place, kept = prepared
    shutil.rmtree(place)
    shutil.copytree(kept, place)
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks_of(page)], ids=lambda page: page.stem
)
def test_a_page_works_as_it_stands(page, folder):
    names = {}
    for block in blocks_of(page):
        if block.kind == "python":
            exec(compile(block.text, f"{page.name}:{block.line}", "exec"), names)  # noqa: S102
        elif block.kind == "yaml":
            check_yaml(block.text, folder)
        elif block.kind == "csv":
            read_classes(write_text(folder / "block.csv", *block.text.splitlines()))
        elif block.kind == "bash":
            run_script(folder, block.text)
        else:
            assert not block.kind, f"{page.name}:{block.line}: what is {block.kind}?"
            for line in commands_of(block):
                if not not_run(line):
                    run(folder, line)


def test_three_files_by_hand_are_what_they_say(folder):
    """The README's table: a column a file."""
    table = re.search(r"^\| `manifest.csv` .*?\n\n", README, re.MULTILINE | re.DOTALL)[0]
    rows = [[cell[1:-1].strip("`") for cell in line.split("|")[1:-1]] for line in table.split("\n")]
    names, _, *content = filter(None, rows)
    for name, lines in zip(names, zip(*content, strict=True), strict=True):
        write_text(folder / name, *lines)

    classes, samples = read_classes(folder / "classes.csv"), read_manifest(folder / "manifest.csv")
    check_samples(samples, LabelCoder(classes), load_recipe(folder / "recipe.yaml").model)


def test_nothing_is_excused_that_is_not_there():
    assert [begin for begin in NOT_RUN if not any(c.startswith(begin) for c in COMMANDS)] == []
    assert [said for said in SMALLER if not any(said in c for c in COMMANDS)] == []


def options_of(command):
    found = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    names = command.list_commands(None) if hasattr(command, "list_commands") else ()
    return found.union(*(options_of(command.get_command(None, name)) for name in names))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_settings_and_links_of_a_page_exist(page):
    text = page.read_text(encoding="utf-8")
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text)) - NOT_OURS
    settings = set(re.findall(r"`((?:data|model|loss|train)\.[a-z_0-9.*]+)", text)) - NOT_OURS

    assert options - options_of(typer.main.get_command(app)) == set()
    assert [name for name in settings if not exists(Recipe, name.split("."))] == []
    for path, heading in links_of(page):
        assert path.exists(), path
        assert not heading or heading in headings_of(path), f"{path.name}#{heading}"


def exists(settings, names):
    """Is there such a setting? A star stands for any."""
    if not names:
        return True
    fields = settings.model_fields
    aliases = {field.alias or name: field for name, field in fields.items()}
    chosen = list(aliases.values()) if names[0] == "*" else [aliases.get(names[0])]
    below = [
        kind
        for field in chosen
        if field
        for kind in (field.annotation, *get_args(field.annotation))
    ]
    return all(chosen) and (
        len(names) == 1 or any(hasattr(k, "model_fields") and exists(k, names[1:]) for k in below)
    )


def test_the_readme_leads_to_every_page():
    assert set(PAGES[1:]) - {path for path, _ in links_of(PAGES[0])} == set()
