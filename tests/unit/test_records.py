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


def test_the_one_table_has_the_figures_of_its_records():
    """Each row's, in its own record: that of the last row above that names one."""
    log = (HOME / "docs/log.md").read_text(encoding="utf-8")
    table = log.split("## Whole networks, in one table")[1].split("\n## ")[0]
    rows = [line.split("|")[3:-1] for line in table.splitlines() if line.startswith("|")][2:]
    record, checked = "", 0
    for mean, spread, interval, seeds, link in rows:
        if named := re.search(r"records/([\w-]+\.md)", link):
            record = (HOME / "benchmarks/records" / named[1]).read_text(encoding="utf-8")
        figures = [figure.strip() for figure in (mean, spread, interval) if figure.strip()]
        found = [set(map(str.strip, line.split("|"))) for line in record.splitlines()]
        assert any(set(figures) <= cells for cells in found), (named, figures)
        checked += len(figures) + (int(seeds) > 0)
    assert checked > 100


@pytest.mark.parametrize("path", sorted(HOME.glob("benchmarks/*/*.yaml")), ids=lambda p: p.stem)
def test_recipes_and_studies_can_be_read(path):
    """Those that take hours are not run by any test."""
    read = load_study if "\nentries:" in path.read_text() else load_recipe

    assert read(path) is not None
