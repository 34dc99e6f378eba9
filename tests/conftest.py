"""Shared by all tests: a Hypothesis profile, and the command."""

import os
import sys
import threading

# Small networks lose more to waiting threads than they gain, and files run side by side: also in
# the processes that tests start. Before anything reads it.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from hypothesis import settings

from glnet.cli.main import main
from runs import write_data

#: Files that take longest, by their names. They run first: whole files go to a worker, and one that
#: began with a long file at the end would be waited for by all others.
LONGEST = (
    "test_ray", "test_benchmark", "test_authors", "test_doctor", "test_large_rasters",
    "test_ctrl_c", "test_docs", "test_paper_studies", "test_memory_budget", "test_resume",
    "test_team", "test_slides", "test_training", "test_coarse_to_fine", "test_many_images",
    "test_notebook", "test_interruptions", "test_training_memory", "test_viewer_page", "test_int8",
)  # fmt: skip

settings.register_profile("glnet", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("glnet")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """For torch, wherever it was imported first."""
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """The longest files first; within a file, and among the others, the order stays."""
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(LONGEST)))


@pytest.fixture
def heard(monkeypatch, capfd):
    """Run the command in this process: its status, what it printed, and the lines on stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["glnet", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
        out, errors = capfd.readouterr()
        return left.value.code, out, errors.splitlines()

    return run


@pytest.fixture
def glnet(heard):
    """The same: its status and the lines on stderr."""
    return lambda *arguments: heard(*arguments)[::2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Small labelled images to train on."""
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def waiting(monkeypatch):
    """An event: the viewer counts nothing before it is set."""
    from glnet.viewer import show  # noqa: PLC0415  an extra

    event, count = threading.Event(), show.count

    def later(*task):
        while not event.wait(0.05) and not task[-1].is_set():
            pass
        count(*task)

    monkeypatch.setattr(show, "count", later)
    return event


def pytest_terminal_summary(terminalreporter):
    """How many files the tests of broken rasters tried, also where they ran side by side."""
    tried = [
        count
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, count in getattr(report, "user_properties", ())
        if name == "broken rasters" and report.when == "call"
    ]
    if tried:
        terminalreporter.write_line(f"broken rasters: {sum(tried)} files tried")
