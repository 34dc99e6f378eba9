"""The command lines that rerun the paper's tables, on miniature copies of its data sets."""

import csv
from pathlib import Path

import pytest
import yaml

from glnet.benchmark.study import load_study
from layouts import make_deepglobe, make_inria, make_isic2018
from networks import TINY

PAPER = Path(__file__).parents[2] / "benchmarks" / "paper"
SIZE = (96, 110)

#: Laid over every entry, to run in seconds.
OVER = {
    "model": TINY,
    "train": {
        "trunk_weights": "none", "patches": 1, "mini_batch": 2,
        "stages": {
            stage: {"epochs": 1, "batch": 2}
            for stage in ("global", "global_to_local", "local_to_global")
        },
    },
}  # fmt: skip

#: Study, data set, the entry that is tried, and how many the study has.
TABLES = [
    ("deepglobe-ablation", make_deepglobe, "both ways", 7),
    ("deepglobe-comparison", make_deepglobe, "DeepLabv3+, whole", 16),
    ("isic-ablation", make_isic2018, "both ways, box", 5),
    ("inria", make_inria, "GLNet, both ways", 5),
]


@pytest.mark.parametrize(("study", "make", "entry", "count"), TABLES)
def test_a_table_of_the_paper_is_two_commands(
    study, make, entry, count, tmp_path, monkeypatch, glnet
):
    """Index, then benchmark: the row is there, and the published number beside it."""
    path = PAPER / f"{study}.yaml"
    assert len(load_study(path).settings.entries) == count
    make(tmp_path / "root", SIZE)
    (tmp_path / "over.yaml").write_text(yaml.safe_dump(OVER))
    monkeypatch.chdir(tmp_path)

    for arguments in (
        ["data", "index", "root", "-o", "data", "--partial"],
        ["benchmark", path, "--data", "data", "-o", "out", "--only", entry, "--over", "over.yaml"],
    ):
        assert glnet(*arguments)[0] == 0

    with (tmp_path / "out/table.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["entry"] == entry
    assert 0 <= float(row["mean_iou"]) <= 1
    published = load_study(path, only=[entry]).asked[0].entry.published
    assert row["published_percent"] == str(published.get("mean_iou", ""))


@pytest.mark.parametrize("path", sorted(PAPER.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_study_opens_with_what_its_reader_must_know(path):
    """The commands, what to expect and the published numbers, before the first setting."""
    head = path.read_text().split("\ntitle:")[0]

    assert all(line.startswith("#") for line in head.splitlines())
    for said in (
        "glnet data index",
        f"glnet benchmark benchmarks/paper/{path.name}",
        "GPU",
        "hour",
    ):
        assert said in head
    assert "Published" in head
