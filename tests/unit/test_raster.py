"""What reading image files promises: the file's pixels by window, or one line that names it."""

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rasterio.transform import Affine

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.limits import MAX_MEGAPIXELS, check_scene
from glnet.raster import Raster
from glnet.reach import check_sources
from glnet.recipe import ModelSettings
from glnet.resample import shrink
from makers import (
    a_folder,
    a_text,
    an_empty_file,
    claim_size,
    cut,
    noise,
    nothing,
    opened,
    write_jpg,
    write_png,
    write_text,
    write_tif,
)

WINDOWS = [
    Window(0, 0, 70, 53),
    Window(0, 0, 1, 1),
    Window(69, 52, 1, 1),
    Window(15, 16, 33, 17),
    Window(0, 20, 70, 2),
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("layout", [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_a_tiffs_windows_are_slices_of_its_pixels(tmp_path, window, layout, dtype):
    """In any layout and dtype a window holds what NumPy would slice, unchanged."""
    pixels = noise(2, 70, 53, dtype=dtype)
    path = write_tif(tmp_path / "a.tif", pixels, **layout)

    with Raster(path) as raster:
        found = raster.read(window)
        size, bands = raster.size, raster.bands

    assert (size, bands) == (Size(70, 53), 2)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, pixels[:, *window.slices])


@pytest.mark.parametrize("window", [None, *WINDOWS])
def test_photos_and_pngs_are_read_by_window_too(tmp_path, window):
    """Formats that are decoded whole answer for windows the same way."""
    pixels = noise(3, 70, 53)
    png = write_png(tmp_path / "a.png", pixels)
    jpg = write_jpg(tmp_path / "a.jpg", pixels)
    decoded = np.moveaxis(np.asarray(Image.open(jpg)), -1, 0)
    part = (window or WINDOWS[0]).slices

    with Raster(png) as first, Raster(jpg) as second:
        found = first.read(window), second.read(window)

    np.testing.assert_array_equal(found[0], pixels[:, *part])
    np.testing.assert_array_equal(found[1], decoded[:, *part])


@pytest.mark.parametrize(
    "place",
    [
        {"crs": "EPSG:32640", "transform": Affine(0.5, 0, 500_000.25, 0, -0.5, 2_780_000.75)},
        {"crs": "EPSG:4326", "transform": Affine(1e-5, 2e-6, 55.1, 3e-6, -1e-5, 25.2)},
        {"transform": Affine(2, 0, 10, 0, -2, 20)},
    ],
)
def test_a_tiff_tells_where_it_lies(tmp_path, place):
    """Coordinate system and transform are those that were written, turned ones too."""
    path = write_tif(tmp_path / "a.tif", noise(1, 8, 8), **place)

    with Raster(path) as raster:
        georeference = raster.georeference

    assert georeference.transform == place["transform"]
    assert georeference.crs == (rasterio.CRS.from_string(place["crs"]) if "crs" in place else None)


@pytest.mark.parametrize(
    ("name", "write"), [("a.tif", write_tif), ("a.png", write_png), ("a.jpg", write_jpg)]
)
def test_a_picture_lies_nowhere(tmp_path, name, write):
    """Without a georeference there is None, and no warning about it."""
    path = write(tmp_path / name, noise(3, 8, 8))

    with Raster(path) as raster:
        assert raster.georeference is None


@pytest.mark.parametrize(
    ("pixels", "kept"),
    [
        (noise(1, 20, 30), 1),
        (noise(3, 20, 30), 3),
        (noise(4, 20, 30), 3),
        (noise(2, 20, 30), 1),
        (noise(1, 20, 30, dtype=np.uint16), 1),
    ],
    ids=["grey", "colour", "colour and alpha", "grey and alpha", "16 bit"],
)
def test_every_kind_of_png_gives_its_pixels_without_alpha(tmp_path, pixels, kept):
    """Grey, colour and 16 bit as stored; alpha is no band."""
    path = write_png(tmp_path / "a.png", pixels)

    with Raster(path) as raster:
        bands, found = raster.bands, raster.read()

    assert bands == kept
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, pixels[:kept])


def test_a_palette_png_gives_its_indexes(tmp_path):
    """One band of indexes, not three of colours."""
    pixels = noise(20, 30)
    path = write_png(tmp_path / "a.png", pixels, palette=list(range(255, -1, -1)) * 3)

    with Raster(path) as raster:
        found = raster.read()

    np.testing.assert_array_equal(found, pixels[None])


def test_a_tiffs_alpha_is_no_band(tmp_path):
    """A fourth band that is marked as alpha is left out, any other one is kept."""
    pixels = noise(4, 20, 30)
    with_alpha = write_tif(tmp_path / "a.tif", pixels, photometric="rgb", alpha="yes")
    without = write_tif(tmp_path / "b.tif", pixels, photometric="minisblack")

    with Raster(with_alpha) as first, Raster(without) as second:
        found = first.read(), second.read()

    np.testing.assert_array_equal(found[0], pixels[:3])
    np.testing.assert_array_equal(found[1], pixels)


#: How EXIF's orientations turn (height, width) pixels upright, by its standard.
UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_photo_is_read_upright(tmp_path, orientation):
    """Size, windows and pixels are as a viewer shows them, for each way to hold a camera."""
    stored = noise(24, 40)
    path = write_jpg(tmp_path / "a.jpg", stored, orientation)
    upright = UPRIGHT[orientation](np.asarray(Image.open(path)))

    with Raster(path) as raster:
        size, whole, part = raster.size, raster.read(), raster.read(Window(3, 5, 8, 9))

    assert size == Size(*upright.shape)
    np.testing.assert_array_equal(whole, upright[None])
    np.testing.assert_array_equal(part, upright[None, 3:11, 5:14])


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path, orientation):
    """Cameras write wrong numbers; size and pixels still agree."""
    path = write_jpg(tmp_path / "a.jpg", noise(24, 40), orientation)

    with Raster(path) as raster:
        size, pixels = raster.size, raster.read()

    assert size == Size(24, 40)
    assert pixels.shape == (1, 24, 40)


@pytest.mark.parametrize("size", [Size(16, 16), Size(50, 7), Size(70, 53), Size(90, 120)])
@pytest.mark.parametrize(
    ("name", "write"), [("a.tif", write_tif), ("a.png", write_png), ("a.jpg", write_jpg)]
)
def test_a_thumbnail_is_pillows(tmp_path, size, name, write):
    """For 8 bit it is Pillow's antialiased bilinear resize of all pixels, to the last digit."""
    path = write(tmp_path / name, noise(3, 70, 53))
    with Raster(path) as raster:
        image = Image.fromarray(np.moveaxis(raster.read(), 0, -1))
    pillow = image.resize((size.width, size.height), Image.Resampling.BILINEAR)

    with Raster(path) as raster:
        thumbnail = raster.thumbnail(size)

    np.testing.assert_array_equal(thumbnail, np.moveaxis(np.asarray(pillow), -1, 0))


@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    rows=st.integers(1, 80),
    columns=st.integers(1, 80),
    dtype=st.sampled_from([np.uint16, np.int16, np.float32, np.float64]),
)
def test_other_depths_shrink_like_pillow(height, width, rows, columns, dtype):
    """The same filter in NumPy: what fits into 8 bit differs by Pillow's rounding alone."""
    pixels = noise(1, height, width)

    small = shrink(pixels.astype(dtype), Size(rows, columns))

    assert small.dtype == np.float32
    pillow = shrink(pixels, Size(rows, columns)).astype(float)
    assert np.abs(small - pillow).max() <= 1


def _sparse_tif(path, side):
    shape = {"count": 3, "height": side, "width": side, "dtype": "uint8"}
    with opened(path, "w", driver="GTiff", tiled=True, SPARSE_OK=True, **shape):
        return path


def _claimed(path, side):
    return claim_size(path, side, side)


WHOLE = [("a.png", _claimed), ("a.jpg", _claimed)]
LARGE = [("a.tif", _sparse_tif), *WHOLE]


@pytest.mark.parametrize("side", [10_001, 30_000])
@pytest.mark.parametrize(("name", "make"), WHOLE)
def test_what_is_too_large_to_decode_is_refused_from_its_header(tmp_path, name, make, side):
    """JPEG and PNG cannot be read in parts; the line tells size, limit and what to do."""
    path = make(tmp_path / name, side)

    with Raster(path) as raster, pytest.raises(RasterError) as caught:
        raster.read()

    message = str(caught.value)
    assert message.startswith(f"{path}: {side} x {side} is {side * side / 1e6:.0f} megapixels")
    assert f"at most {MAX_MEGAPIXELS}" in message
    assert "\n" not in message


def test_a_tiff_of_any_size_is_read_by_window(tmp_path):
    """Only what shares one global view is limited, not the file."""
    path = _sparse_tif(tmp_path / "a.tif", 30_000)

    with Raster(path) as raster:
        corner = raster.read(Window(29_990, 29_990, 10, 10))
        with pytest.raises(RasterError, match=rf"^{path}: .* 900 megapixels.* cut it$"):
            check_scene(path, raster.size, "cut it")

    assert corner.shape == (3, 10, 10)


@pytest.mark.parametrize(("name", "make"), LARGE)
def test_what_just_fits_is_opened_without_a_warning(tmp_path, name, make):
    """The limit is ours alone: 100 megapixels open in every format."""
    path = make(tmp_path / name, 10_000)

    with Raster(path) as raster:
        assert raster.size == Size(10_000, 10_000)


def _halved(write, **options):
    return lambda path: cut(write(path, noise(3, 64, 64), **options), 0.5)


def _beheaded(write):
    return lambda path: cut(write(path, noise(3, 64, 64)), 0.001)


DAMAGED = {
    "missing": ("a.png", nothing),
    "missing photo": ("a.jpg", nothing),
    "folder": ("a.tif", a_folder),
    "folder named as a photo": ("a.jpg", a_folder),
    "text as PNG": ("a.png", a_text),
    "text as TIFF": ("a.tif", a_text),
    "text as JPEG": ("a.jpg", a_text),
    "empty PNG": ("a.png", an_empty_file),
    "empty TIFF": ("a.tif", an_empty_file),
    "empty JPEG": ("a.jpg", an_empty_file),
    "half a JPEG": ("a.jpg", _halved(write_jpg)),
    "half a PNG": ("a.png", _halved(write_png)),
    "half a TIFF": ("a.tif", _halved(write_tif)),
    "half a compressed TIFF": ("a.tif", _halved(write_tif, compress="deflate", tiled=True)),
    "a JPEG's first bytes": ("a.jpg", _beheaded(write_jpg)),
    "a PNG's first bytes": ("a.png", _beheaded(write_png)),
    "a TIFF's first bytes": ("a.tif", _beheaded(write_tif)),
}


@pytest.mark.parametrize(("name", "make"), DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_no_image_is_named_in_one_line(tmp_path, name, make):
    """Whatever is wrong with a file, opening or reading it ends in one line with its path."""
    path = make(tmp_path / name)

    with pytest.raises(RasterError) as caught, Raster(path) as raster:
        raster.read()

    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "write", "options"),
    [
        ("a.jpg", write_jpg, {}),
        ("a.png", write_png, {}),
        ("a.tif", write_tif, {}),
        ("b.tif", write_tif, {"compress": "deflate", "tiled": True}),
    ],
)
@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 0.9, 0.97])
def test_a_cut_file_never_gives_wrong_pixels(tmp_path, name, write, options, share):
    """Wherever a file is cut, it is refused: what is missing is not made up."""
    path = cut(write(tmp_path / name, noise(3, 96, 96), **options), share)

    with pytest.raises(RasterError, match=name), Raster(path) as raster:
        raster.read()


def test_a_damaged_tiff_still_gives_its_sound_part(tmp_path):
    """Only windows that reach the damage are refused."""
    pixels = noise(1, 200, 200)
    path = write_tif(tmp_path / "a.tif", pixels, blockysize=8)
    cut(path, 0.5)

    with Raster(path) as raster:
        sound = raster.read(Window(0, 0, 40, 200))
        with pytest.raises(RasterError):
            raster.read(Window(150, 0, 40, 200))

    np.testing.assert_array_equal(sound, pixels[:, :40])


@pytest.mark.parametrize("value", [np.float32(np.nan), np.float32(-np.inf), np.float64(1e39)])
def test_a_value_that_is_not_finite_is_named(tmp_path, value):
    """One NaN would spread over the whole thumbnail: it is refused with its place.

    So is what is infinite in single precision, and nothing else.
    """
    pixels = np.full((1, 40, 50), np.finfo(np.float32).max, value.dtype)
    pixels[0, 7, 11] = value
    path = write_tif(tmp_path / "a.tif", pixels)

    for window in (None, Window(3, 5, 20, 30)):
        with (
            Raster(path) as raster,
            pytest.raises(RasterError, match=r"row 7, column 11 is not finite"),
        ):
            raster.read(window)
    with Raster(path) as raster:
        assert raster.read(Window(8, 0, 10, 50)).shape == (1, 10, 50)


def test_values_of_another_range_than_the_models_are_refused(tmp_path):
    """16-bit values need an input scale of their own; with one they are taken."""
    path = write_tif(tmp_path / "a.tif", np.ones((3, 40, 50), np.uint16))

    with Raster(path) as raster:
        with pytest.raises(RasterError, match=r"holds uint16.*input\.scale"):
            raster.expect(ModelSettings())
        raster.expect(ModelSettings.model_validate({"input": {"scale": 10000}}))


@pytest.mark.parametrize("write", [write_tif, write_png])
def test_bands_that_are_not_read_say_nothing_of_pixels(tmp_path, write):
    """A fourth band has data everywhere; nodata is judged by the three that are read."""
    pixels = noise(4, 40, 50) // 2 + 1
    pixels[:3, :, :20] = 0
    if write is write_tif:
        path = write_tif(tmp_path / "a.tif", pixels, nodata=0, photometric="minisblack", alpha="no")
    else:
        path = write_tif(tmp_path / "a.png", pixels[:3], nodata=0, driver="PNG")

    with Raster(path) as raster:
        raster.select([1, 2, 3])
        _, valid = raster.read_valid()

    np.testing.assert_array_equal(valid, (pixels[:3] > 0).any(axis=0))


@pytest.mark.parametrize("nodata", [-9999, np.nan])
def test_one_band_without_data_counts_among_floats(tmp_path, nodata):
    """Such a number would spread over the whole thumbnail; among integers it may be black."""
    pixels = noise(3, 40, 50, dtype=np.float32)
    pixels[0, :, :20] = nodata
    lost = write_tif(tmp_path / "a.tif", pixels, nodata=nodata)
    dark = noise(3, 40, 50) // 2 + 1
    dark[0, :, :20] = 0

    with Raster(lost) as raster:
        _, valid = raster.read_valid()
    with Raster(write_tif(tmp_path / "b.tif", dark, nodata=0)) as raster:
        _, all_of_it = raster.read_valid()

    np.testing.assert_array_equal(valid, np.arange(50) + np.zeros((40, 1)) >= 20)
    assert all_of_it is None


def test_a_palette_image_is_told_how_to_get_colours(tmp_path):
    path = write_png(tmp_path / "a.png", noise(20, 30), palette=list(range(255, -1, -1)) * 3)

    with Raster(path) as raster, pytest.raises(RasterError, match=r"found 1: .*-expand rgb"):
        raster.expect(ModelSettings())


def test_sources_of_sources_are_looked_at_once(tmp_path):
    """Each of forty VRTs names the one below twice: 2 to the 40th ways lead down."""
    last = write_tif(tmp_path / "0.vrt", noise(1, 8, 8))
    for number in range(1, 41):
        named = "<SourceFilename relativeToVRT='1'>{}{}.vrt</SourceFilename>"
        below = [named.format(way, number - 1) for way in ("", "./", f"../{tmp_path.name}/")]
        write_text(tmp_path / f"{number}.vrt", f"<VRTDataset>{''.join(below)}</VRTDataset>")

    found = check_sources(tmp_path / "40.vrt")

    assert len(found) == 40
    assert last in found
    write_text(
        last,
        "<VRTDataset><SourceFilename>40.vrt</SourceFilename></VRTDataset>".replace(
            "40.vrt", str(tmp_path / "40.vrt")
        ),
    )
    with pytest.raises(RasterError, match=r"0.vrt: leads to .*40.vrt, which is no image"):
        check_sources(tmp_path / "40.vrt")


@pytest.mark.parametrize(
    "way",
    [
        "<SourceFilename>{}</SourceFilename>",
        "<sourcedataset>{}</sourcedataset>",
        "<a:SourceFilename xmlns:a='b'>{}</a:SourceFilename>",
        "<Array SourceFilename='{}'/>",
        "<MDI key='x_dataset'>{}</MDI>",
        "<Option key='RPC_DEM'>{}</Option>",
        "<RPCTransformer><DEMPath>{}</DEMPath></RPCTransformer>",
        "<SourceFilename relativeToVRT=' 0'>{}</SourceFilename>",
    ],
)
def test_whatever_names_a_file_leads_to_it(tmp_path, monkeypatch, way):
    """In any case, and as far behind blanks as GDAL looks; beside the caller, unless it says so."""
    beside = tmp_path / "beside"
    beside.mkdir()
    monkeypatch.chdir(beside)
    named = f"<VRTDataset>{way.format('a.tif')}</VRTDataset>"
    path = write_text(tmp_path / "a.vrt", named.rjust(len(named) + 1024 - len("<VRTDataset")))

    with pytest.raises(RasterError, match=r"a.vrt: leads to .*/beside/a.tif, which is no image"):
        check_sources(path)
    write_tif(beside / "a.tif", noise(1, 8, 8))
    assert check_sources(path) == [beside / "a.tif"]


def test_a_virtual_raster_that_defines_words_is_not_read(tmp_path):
    """They could stand for any file, and for more text than memory holds."""
    named = "<VRTDataset><SourceFilename>&b;</SourceFilename></VRTDataset>"
    text = f"<!doctype a [<!ENTITY b 'c'>]>{named}"

    with pytest.raises(ValueError, match="words of its own"):
        check_sources(write_text(tmp_path / "a.vrt", text))


def test_a_virtual_raster_that_reads_files_in_its_steps_is_refused(tmp_path):
    """GDAL multiplies pixels by those of another file, which nothing else would look into."""
    argument = "<Step><Argument name='gain_dataset_filename_1'>a.tif</Argument></Step>"
    path = write_text(tmp_path / "a.vrt", f"<VRTDataset>{argument}</VRTDataset>")

    with pytest.raises(RasterError, match=r"a.vrt: reads other files in its processing steps"):
        check_sources(path)
