"""What the README says was measured is what the records say."""

import re
from pathlib import Path

import pytest

from glnet.benchmark.study import load_study
from glnet.recipe import load_recipe
from readme import with_table

HOME = Path(__file__).resolve().parents[2]


def test_the_table_of_results_is_made_from_the_records():
    text = (HOME / "README.md").read_text(encoding="utf-8")

    assert with_table(text) == text, "run: python benchmarks/readme.py"


def test_every_record_is_listed():
    listed = re.findall(r"\(records/([\w-]+)\.md\)", (HOME / "benchmarks/README.md").read_text())

    assert sorted(listed) == sorted(
        path.stem for path in (HOME / "benchmarks/records").glob("*.md")
    )


@pytest.mark.parametrize("path", sorted(HOME.glob("benchmarks/*/*.yaml")), ids=lambda p: p.stem)
def test_recipes_and_studies_can_be_read(path):
    """Those that take hours are not run by any test."""
    read = load_study if "\nentries:" in path.read_text() else load_recipe

    assert read(path) is not None
