"""What rasters put together promise: every piece in its place, colours, names, whole or refused."""

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rio_cogeo import cog_validate

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.georeference import Georeference
from glnet.outputs.rasters import MASK_SUFFIXES, Content, Piece, assemble, create, verify
from makers import noise, opened

PALETTE = {0: (169, 143, 107), 3: (47, 109, 181), 7: (255, 0, 0), 250: (1, 2, 3)}
TAGS = {"class_0": "land", "class_3": "lake", "class_7": "road, paved & <new>", "class_250": "x"}
MASK = np.array(list(PALETTE), np.uint8)[noise(300, 520).astype(int) % len(PALETTE)]
PLACES = [
    Georeference(
        rasterio.CRS.from_epsg(32640), Affine(0.5, 0, 500_000.125, 0, -0.5, 2_780_000.375)
    ),
    Georeference(rasterio.CRS.from_epsg(4326), Affine(1e-5, 2e-6, 55.1, 3e-6, -1e-5, 25.2)),
    Georeference(None, Affine(2, 0, 10, 0, -2, 20)),
    None,
]


def mask_content(mask, place=None):
    names = ("class",)
    size = Size(*mask.shape)
    return Content(size, names, "uint8", 255, place, PALETTE, TAGS, overviews="mode")


def cut_up(folder, pixels, rows=190, columns=333):
    """Pieces that share no borders with the file's blocks."""
    pieces = []
    _, height, width = pixels.shape
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            window = Window(top, left, min(rows, height - top), min(columns, width - left))
            path = folder / f"{len(pieces)}" / "piece.tif"
            path.parent.mkdir()
            with create(path, window.size, len(pixels), pixels.dtype.name, 255) as file:
                file.write(pixels[:, *window.slices])
            pieces.append(Piece(path, window))
    return pieces


def put_together(folder, name, pixels, content):
    path = folder / name
    pieces = cut_up(folder, pixels)
    assemble(folder, path, content, pieces)
    verify(path, content, pieces)
    return path, pieces


@pytest.mark.parametrize("suffix", MASK_SUFFIXES)
@pytest.mark.parametrize("shape", [(300, 520), (1, 1), (256, 256), (17, 700)])
def test_pieces_lie_where_they_belong(tmp_path, suffix, shape):
    """Rasterio and Pillow read the same values, and no other file lies beside."""
    mask = np.resize(MASK, shape)

    path, _ = put_together(tmp_path, f"mask{suffix}", mask[None], mask_content(mask))

    with opened(path) as file:
        np.testing.assert_array_equal(file.read(), mask[None])
        assert file.dtypes == ("uint8",)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), mask)
    assert not list(tmp_path.glob("*.aux.xml"))


@pytest.mark.parametrize("suffix", MASK_SUFFIXES)
def test_a_mask_shows_the_classes_colours(tmp_path, suffix):
    """The palette is the class table's, for GDAL and for picture viewers; no data is clear."""
    colours = np.zeros((256, 3), np.uint8)
    for value, colour in PALETTE.items():
        colours[value] = colour
    mask = MASK.copy()
    mask[5:9, 200:300] = 255

    path, _ = put_together(tmp_path, f"mask{suffix}", mask[None], mask_content(mask))

    with opened(path) as file:
        palette = file.colormap(1)
    assert {value: palette[value][:3] for value in PALETTE} == PALETTE
    assert all(palette[value][3] == 255 for value in PALETTE)
    with Image.open(path) as image:
        assert image.mode == "P"
        shown = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(shown[..., :3], colours[mask])
    if suffix == ".png":
        np.testing.assert_array_equal(shown[..., 3], np.where(mask == 255, 0, 255))


@pytest.mark.parametrize("place", PLACES)
def test_a_mask_lies_where_its_image_lies(tmp_path, place):
    """Coordinate system and transform are kept to the last digit, or none is claimed."""
    path, _ = put_together(tmp_path, "mask.tif", MASK[None], mask_content(MASK, place))

    with opened(path) as file:
        assert file.crs == (place.crs if place else None)
        assert file.transform == (place.transform if place else Affine.identity())


def test_a_mask_is_cloud_optimised_and_says_what_it_holds(tmp_path):
    """Valid to another library's eye; small; class names and nodata can be read back."""
    mask = np.kron(MASK[:4, :5], np.ones((300, 300), np.uint8))

    path, _ = put_together(tmp_path, "mask.tif", mask[None], mask_content(mask, PLACES[0]))

    valid, errors, warnings = cog_validate(path)
    assert (valid, errors, warnings) == (True, [], [])
    with opened(path) as file:
        assert file.profile["compress"] == "deflate"
        assert file.nodata == 255
        assert TAGS.items() <= file.tags(1).items()
    assert path.stat().st_size < mask.size / 50


def test_overviews_hold_the_commonest_class(tmp_path):
    """Two pixels by two: the value that three have; a mean would be no class at all."""
    block = np.array([[3, 7], [7, 7]], np.uint8)
    mask = np.tile(block, (400, 400))

    path, _ = put_together(tmp_path, "mask.tif", mask[None], mask_content(mask))

    with opened(path, overview_level=0) as file:
        assert (file.read() == 7).all()


@pytest.mark.parametrize("spread", [1, 5])
def test_scores_read_back_as_they_were_written(tmp_path, spread):
    """A float32 band per class, named after it, ground without data included."""
    names = ("land", "lake", "road, paved")
    scores = noise(3, 300, 700, dtype=np.float32) ** spread
    scores[:, 40:60, 100:400] = np.nan
    content = Content(Size(300, 700), names, "float32", float("nan"), PLACES[0])

    path, _ = put_together(tmp_path, "scores.tif", scores, content)

    with opened(path) as file:
        assert file.descriptions == names
        assert file.dtypes == ("float32",) * 3
        assert np.isnan(file.nodata)
        assert (file.crs, file.transform) == (PLACES[0].crs, PLACES[0].transform)
        np.testing.assert_array_equal(file.read(), scores)


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 255), ("float32", np.nan)])
def test_of_a_piece_blocks_without_data_are_not_stored(tmp_path, dtype, nodata):
    """A hundred of them take a few bytes each, and read back all the same."""
    pixels = np.full((2, 2560, 2560), nodata, dtype)
    pixels[1, 700, 1300] = 3

    with create(tmp_path / "piece.tif", Size(2560, 2560), 2, dtype, nodata) as file:
        file.write(pixels)

    with opened(tmp_path / "piece.tif") as file:
        np.testing.assert_array_equal(file.read(), pixels)
    assert (tmp_path / "piece.tif").stat().st_size < 6000


def test_what_differs_from_its_pieces_in_one_pixel_is_refused(tmp_path):
    path, pieces = put_together(tmp_path, "mask.tif", MASK[None], mask_content(MASK))
    with opened(pieces[1].path, "r+") as file:
        pixels = file.read()
        pixels[0, -1, -1] ^= 1
        file.write(pixels)

    with pytest.raises(RasterError, match="did not read back"):
        verify(path, mask_content(MASK), pieces)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_cut_file_is_refused(tmp_path, share):
    mask = np.resize(noise(900, 900) % 8, (900, 900))
    path, pieces = put_together(tmp_path, "mask.tif", mask[None], mask_content(mask))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises((RasterError, RasterioError)):
        verify(path, mask_content(mask), pieces)


@pytest.mark.parametrize("name", ["mask.tif", "mask.png"])
def test_a_full_disk_is_noticed(tmp_path, name):
    """The system refuses files of more than 10 000 bytes: it fails, or is found out."""
    resource = pytest.importorskip("resource")
    pixels = noise(1, 300, 310)
    pieces = cut_up(tmp_path, pixels)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises((RasterError, RasterioError, OSError)):
            _write(tmp_path, name, pixels, pieces)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _write(folder, name, pixels, pieces):
    assemble(folder, folder / name, mask_content(pixels[0]), pieces)
    verify(folder / name, mask_content(pixels[0]), pieces)
