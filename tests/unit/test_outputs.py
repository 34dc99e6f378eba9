"""What written files promise: exactly what was found, where it lies, and whole or not at all."""

import errno
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine

from glnet.bundle import BundleConfig, read_bundle, write_bundle
from glnet.errors import BundleError, RasterError
from glnet.geometry import Size, Window
from glnet.georeference import Georeference
from glnet.outputs.files import check_target, partial_of, whole_or_nothing
from glnet.outputs.mask import MASK_SUFFIXES, SCORE_SUFFIXES, write_mask, write_scores
from glnet.recipe import ModelSettings
from makers import noise, opened, write_text

PALETTE = {0: (169, 143, 107), 3: (47, 109, 181), 7: (255, 0, 0), 250: (1, 2, 3)}
MASK = np.array(list(PALETTE), np.uint8)[noise(300, 520).astype(int) % len(PALETTE)]
PLACES = [
    Georeference(
        rasterio.CRS.from_epsg(32640), Affine(0.5, 0, 500_000.125, 0, -0.5, 2_780_000.375)
    ),
    Georeference(rasterio.CRS.from_epsg(4326), Affine(1e-5, 2e-6, 55.1, 3e-6, -1e-5, 25.2)),
    Georeference(None, Affine(2, 0, 10, 0, -2, 20)),
]


@pytest.mark.parametrize("suffix", [*MASK_SUFFIXES, ".TIF", ".PNG"])
@pytest.mark.parametrize("shape", [(300, 520), (1, 1), (256, 256), (17, 300)])
def test_a_mask_reads_back_as_it_was_written(tmp_path, suffix, shape):
    """Rasterio and Pillow read the same values, and nothing else lies in the folder."""
    path = tmp_path / f"mask{suffix}"
    mask = MASK[: shape[0], : shape[1]]

    write_mask(path, mask, PALETTE, None)

    with opened(path) as file:
        np.testing.assert_array_equal(file.read(), mask[None])
        assert file.dtypes == ("uint8",)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), mask)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", MASK_SUFFIXES)
def test_a_mask_shows_the_classes_colours(tmp_path, suffix):
    """The palette is the class table's, for GDAL and for picture viewers."""
    path = tmp_path / f"mask{suffix}"
    colours = np.zeros((256, 3), np.uint8)
    for value, colour in PALETTE.items():
        colours[value] = colour

    write_mask(path, MASK, PALETTE, None)

    with opened(path) as file:
        palette = file.colormap(1)
    assert {value: palette[value][:3] for value in PALETTE} == PALETTE
    assert all(palette[value][3] == 255 for value in PALETTE)
    with Image.open(path) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), colours[MASK])


@pytest.mark.parametrize("place", PLACES)
def test_a_mask_lies_where_its_image_lies(tmp_path, place):
    """Coordinate system and transform are kept to the last digit."""
    path = tmp_path / "mask.tif"

    write_mask(path, MASK, PALETTE, place)

    with opened(path) as file:
        assert file.crs == place.crs
        assert file.transform == place.transform


def test_a_mask_without_a_place_claims_none(tmp_path):
    """No georeference in, none out."""
    path = tmp_path / "mask.tif"

    write_mask(path, MASK, PALETTE, None)

    with opened(path) as file:
        assert file.crs is None
        assert file.transform.is_identity


def test_a_mask_is_tiled_and_compressed(tmp_path):
    """Viewers read parts of it, and it is small."""
    path = tmp_path / "mask.tif"

    write_mask(path, np.zeros((600, 700), np.uint8), PALETTE, PLACES[0])

    with opened(path) as file:
        assert file.profile["tiled"]
        assert file.block_shapes == [(256, 256)]
        assert file.profile["compress"] == "deflate"
    assert path.stat().st_size < 600 * 700 / 50


NAMES = ["land", "lake", "road, paved"]


def strips_of(scores, rows=256):
    """Parts from top to bottom, each a view into all the scores, as an engine gives them."""
    height, width = scores.shape[1:]
    for top in range(0, height, rows):
        window = Window(top, 0, min(rows, height - top), width)
        yield window, scores[:, *window.slices]


def drawn_scores(spread=1):
    """Scores of three classes; a larger spread has larger and smaller ones."""
    return noise(3, 300, 310, dtype=np.float32) ** spread


@pytest.mark.parametrize("rows", [1000, 256, 64])
@pytest.mark.parametrize("spread", [1, 5])
def test_scores_read_back_as_they_were_written(tmp_path, rows, spread):
    """A float32 band per class, named after it, whatever the strips and the values."""
    path = tmp_path / "scores.tif"
    scores = drawn_scores(spread)

    write_scores(path, Size(300, 310), NAMES, strips_of(scores, rows), PLACES[0])

    with opened(path) as file:
        assert file.descriptions == tuple(NAMES)
        assert file.dtypes == ("float32",) * 3
        assert file.profile["compress"] == "deflate"
        assert (file.crs, file.transform) == (PLACES[0].crs, PLACES[0].transform)
        np.testing.assert_array_equal(file.read(), scores)
    assert list(tmp_path.iterdir()) == [path]


def _broken_strips(error):
    yield from list(strips_of(drawn_scores()))[:1]
    raise error


@pytest.mark.parametrize("older", [None, b"an older result"])
@pytest.mark.parametrize("error", [RuntimeError("out of memory"), KeyboardInterrupt()])
def test_a_failure_midway_leaves_what_was_there(tmp_path, older, error):
    """No half file, no `.partial`; an older finished file stays as it was."""
    path = tmp_path / "scores.tif"
    if older is not None:
        path.write_bytes(older)

    with pytest.raises(type(error)):
        write_scores(path, Size(300, 310), NAMES, _broken_strips(error), None)

    assert [found.read_bytes() for found in tmp_path.iterdir()] == [older] * (older is not None)


@pytest.fixture
def nearly_full_disk():
    """The system refuses files of more than 10 000 bytes until the test is over."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _some_mask(path):
    write_mask(path, noise(300, 310), PALETTE, None)


def _some_scores(path):
    write_scores(path, Size(300, 310), NAMES, strips_of(drawn_scores()), None)


@pytest.mark.usefixtures("nearly_full_disk")
@pytest.mark.parametrize("older", [None, b"an older result"])
@pytest.mark.parametrize(
    ("name", "write"),
    [("scores.tif", _some_scores), ("mask.tif", _some_mask), ("mask.png", _some_mask)],
)
def test_a_full_disk_leaves_what_was_there(tmp_path, name, write, older):
    """When the system refuses to write more, one line tells it and nothing half is left."""
    path = tmp_path / name
    if older is not None:
        path.write_bytes(older)

    with pytest.raises(RasterError) as caught:
        write(path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [found.read_bytes() for found in tmp_path.iterdir()] == [older] * (older is not None)


def test_what_was_written_wrong_is_not_kept(tmp_path):
    """A strip that another one overwrites does not read back: the file is refused."""
    path = tmp_path / "scores.tif"
    strips = list(strips_of(drawn_scores()))
    moved = (strips[0][0], strips[0][1] + 1)

    with pytest.raises(RasterError, match="did not read back"):
        write_scores(path, Size(300, 310), NAMES, [*strips, moved], None)

    assert not list(tmp_path.iterdir())


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

    check_target(path, SCORE_SUFFIXES)
    empty = list(tmp_path.iterdir())
    path.write_bytes(b"an older result")
    check_target(path, SCORE_SUFFIXES)

    assert empty == []
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"an older result"


@pytest.mark.parametrize("below", [lambda folder: folder / "gone", _plain_file])
def test_a_folder_that_vanished_is_one_line_too(tmp_path, below):
    """Between the look and the write the folder may go: still one line, no other error."""
    path = below(tmp_path) / "mask.tif"

    with pytest.raises(RasterError, match="could not be written") as caught:
        write_mask(path, MASK, PALETTE, None)

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
