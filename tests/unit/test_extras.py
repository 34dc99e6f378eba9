"""What the line that names missing libraries promises: it installs those, by their own names."""

import shlex
from importlib import metadata

import pytest

from glnet.extras import install


@pytest.fixture
def installed(monkeypatch):
    """Only these packages are there."""

    def have(*packages):
        whole = metadata.distribution

        def found(name):
            if name not in {"glnet", *packages}:
                raise metadata.PackageNotFoundError(name)
            return whole(name)

        monkeypatch.setattr(metadata, "distribution", found)

    return have


def test_what_is_missing_is_named_with_the_release_that_is_needed(installed):
    installed("openslide-bin")

    assert install("slides") == "pip install 'openslide-python>=1.4'"


def test_where_all_is_there_something_is_broken_and_all_is_named():
    assert install("vector") == "pip install 'pyogrio>=0.10' 'shapely>=2.1'"


@pytest.mark.parametrize("extra", ["torch", "rivals", "int8", "benchmark", "view"])
def test_another_project_of_our_name_is_never_installed(extra, installed):
    installed()

    program, command, *packages = shlex.split(install(extra))

    assert (program, command) == ("pip", "install")
    assert packages
    assert not any(each.startswith("glnet") for each in packages)
    assert any(each.startswith("torch>=") for each in packages) == (extra != "view")


def test_run_from_its_sources_it_says_where(monkeypatch):
    def requires(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)

    assert install("ray") == "pip install '.[ray]', in glnet's folder"
