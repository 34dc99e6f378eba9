"""What written files promise: exactly what was found, where it lies, and whole or not at all."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from glnet.bundle import BundleConfig, read_bundle, write_bundle
from glnet.errors import BundleError, RasterError
from glnet.outputs.files import check_target, partial_of, silent, whole_or_nothing
from glnet.outputs.rasters import MASK_SUFFIXES, TIFF_SUFFIXES
from glnet.outputs.tables import write_json
from glnet.prediction.keeping import kept_whole, sound, this_process
from glnet.recipe import ModelSettings
from makers import write_text


def test_an_older_file_is_replaced_when_the_new_one_is_whole(tmp_path):
    """Until then it stays; then there is the new one alone."""
    path = tmp_path / "mask.tif"
    path.write_bytes(b"an older result")

    with whole_or_nothing(path) as partial:
        partial.write_bytes(b"a newer")
        during = path.read_bytes()

    assert during == b"an older result"
    assert path.read_bytes() == b"a newer"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["mask.tif", "a.b.png", "MASK.TIF"])
def test_a_partial_file_keeps_its_suffix(tmp_path, name):
    """Its type is known by its name before it is whole; it lies beside the file."""
    path = tmp_path / name

    partial = partial_of(path)

    assert partial.parent == path.parent
    assert partial.suffix == path.suffix
    assert ".partial" in partial.name


def _plain_file(folder):
    return write_text(folder / "notes.txt", "not a folder")


BAD_TARGETS = {
    "no suffix": (lambda folder: folder / "mask", r"\.tif or \.tiff or \.png"),
    "unknown suffix": (lambda folder: folder / "mask.jpg", r"\.tif or \.tiff or \.png"),
    "a folder": (lambda folder: folder, r"\.tif or \.tiff or \.png"),
    "no such folder": (lambda folder: folder / "gone" / "mask.tif", "gone does not exist"),
    "below a file": (lambda folder: _plain_file(folder) / "mask.tif", "notes.txt"),
    "a name too long": (lambda folder: folder / f"{'m' * 300}.tif", "cannot be written there"),
}


@pytest.mark.parametrize(("target", "named"), BAD_TARGETS.values(), ids=BAD_TARGETS)
def test_a_target_that_cannot_be_is_found_before_the_work(tmp_path, target, named):
    """One line with the path says why, and nothing was made."""
    path = target(tmp_path)
    before = sorted(tmp_path.iterdir())

    with pytest.raises(RasterError, match=named) as caught:
        check_target(path, MASK_SUFFIXES)

    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_named_as_a_mask_is_no_target(tmp_path):
    """A folder is told to be one."""
    path = tmp_path / "mask.tif"
    path.mkdir()

    with pytest.raises(RasterError, match="is a folder"):
        check_target(path, MASK_SUFFIXES)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder nobody may write to")
def test_a_folder_that_refuses_files_is_found_before_the_work():
    """Even where the system only tells by refusing."""
    path = Path("/proc/self/mask.tif")

    with pytest.raises(RasterError, match=r"cannot be written there.*choose another folder"):
        check_target(path, MASK_SUFFIXES)


@pytest.mark.parametrize("name", ["mask.tif", "MASK.TIF", "mask.tiff"])
def test_a_good_target_is_left_as_it_was(tmp_path, name):
    """Looking leaves no trace: no file where there was none, an older one untouched."""
    path = tmp_path / name

    check_target(path, TIFF_SUFFIXES)
    empty = list(tmp_path.iterdir())
    path.write_bytes(b"an older result")
    check_target(path, TIFF_SUFFIXES)

    assert empty == []
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"an older result"


def test_an_input_named_as_the_unfinished_output_is_kept(tmp_path):
    """It would be overwritten, and gone when the output takes its name."""
    path = tmp_path / "lakes.geojson"

    with pytest.raises(RasterError, match=r"called lakes\.partial\.geojson.*name another"):
        check_target(path, (".geojson",), [partial_of(path)])


@pytest.mark.parametrize("below", [lambda folder: folder / "gone", _plain_file])
def test_a_folder_that_vanished_is_one_line_too(tmp_path, below):
    """Between the look and the write the folder may go: still one line, no other error."""
    path = below(tmp_path) / "mask.tif"

    with pytest.raises(RasterError, match="could not be written") as caught:
        write_json(path, {})

    assert str(caught.value).startswith(f"{path}: ")


def test_a_model_folder_survives_a_kill_between_two_renames(tmp_path):
    """The older one was moved away and the new one not yet in place: the older one counts."""
    folder = tmp_path / "model"
    config = BundleConfig(model=ModelSettings(), classes=[], origin="first")
    write_bundle(folder, config, {"a": np.zeros(3)})
    folder.rename(tmp_path / "model.replaced")
    (tmp_path / "model.partial").mkdir()

    write_bundle(folder, config.model_copy(update={"origin": "second"}), {"a": np.ones(3)})

    found, tensors = read_bundle(folder)
    assert found.origin == "second"
    assert tensors["a"].tolist() == [1, 1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_that_cannot_be_written_leaves_the_older_one(tmp_path, monkeypatch):
    """Whichever step fails."""
    folder = tmp_path / "model"
    config = BundleConfig(model=ModelSettings(), classes=[], origin="first")
    write_bundle(folder, config, {"a": np.zeros(3)})
    rename = Path.rename

    def refuse(path, target):
        if path.name == "model.partial":
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(BundleError, match="cannot be written"):
        write_bundle(folder, config.model_copy(update={"origin": "second"}), {"a": np.ones(3)})

    assert read_bundle(folder)[0].origin == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_silence_ends(capfd):
    """What is printed in C is gone, what was printed before and after is not."""
    os.write(2, b"before, ")
    with silent(), silent():
        os.write(2, b"a library")
    os.write(2, b"after")

    assert capfd.readouterr().err == "before, after"


def test_a_folder_that_a_process_of_the_same_name_left_is_no_hindrance(tmp_path):
    """A container that is started again has the host's name and the number it had before."""
    left = tmp_path / f"part.{this_process()}.partial"
    left.mkdir()
    write_text(left / "a.txt", "half")

    with kept_whole(tmp_path / "part", {"failed": ""}) as folder:
        write_text(folder / "b.txt", "whole")

    assert sound(tmp_path / "part")["digests"].keys() == {"b.txt"}
    assert not left.exists()
