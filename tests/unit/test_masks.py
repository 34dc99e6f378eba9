"""What reading masks promises: every pixel becomes a label, or its place is named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glnet.datasets.checks import check_samples
from glnet.datasets.classes import ClassInfo, ClassTable
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder, MaskScene, nearest_labels
from glnet.errors import DataError
from glnet.geometry import Size, Window
from glnet.metrics import IGNORE
from glnet.raster import Raster
from glnet.recipe import ModelSettings
from makers import noise, write_png, write_tif

TABLE = ClassTable(
    (
        ClassInfo("road", 7, (255, 0, 0)),
        ClassInfo("unknown", 0, (0, 0, 0), ignored=True),
        ClassInfo("lake", 3, (0, 0, 200)),
        ClassInfo("wood", 250, (0, 90, 0)),
    )
)
#: Labels that the rows of the table stand for, in the table's order.
LABELS = np.array([0, IGNORE, 1, 2], np.uint8)
VALUES = np.array([row.value for row in TABLE.rows], np.uint8)
COLOURS = np.array([row.colour for row in TABLE.rows], np.uint8)


def drawn_rows(height=9, width=13):
    """Which row of the table every pixel shows; all occur."""
    return noise(height, width, seed=3).astype(int) % len(TABLE.rows)


def as_index(rows):
    return VALUES[rows][None]


def as_colour(rows):
    return np.moveaxis(COLOURS[rows], -1, 0).copy()


@pytest.mark.parametrize("paint", [as_index, as_colour])
def test_values_and_colours_become_class_ids(paint):
    """Index and RGB masks give the same labels; ignored classes become 255."""
    rows = drawn_rows()

    labels, near = LabelCoder(TABLE).encode(paint(rows))

    np.testing.assert_array_equal(labels, LABELS[rows])
    assert labels.dtype == np.uint8
    assert near == 0


@pytest.mark.parametrize("tolerance", [0, 20])
@pytest.mark.parametrize(
    ("paint", "odd", "shown"),
    [(as_index, [9], "value 9"), (as_colour, [255, 255, 0], r"colour \(255, 255, 0\)")],
)
def test_what_is_no_class_is_named_with_its_place(paint, odd, shown, tolerance):
    """The line tells the value, the row and column of the first such pixel and their number."""
    pixels = paint(drawn_rows())
    for row, column in ((2, 5), (2, 11), (8, 0)):
        pixels[:, row, column] = odd

    with pytest.raises(DataError, match=rf"{shown} at row 2, column 5 \(3 such pixels\)"):
        LabelCoder(TABLE, tolerance).encode(pixels)


def test_an_unknown_value_lists_the_known_ones():
    """Who painted another value reads which ones the table has."""
    pixels = np.full((1, 4, 4), 8, np.uint8)

    with pytest.raises(DataError, match="7 road, 0 unknown, 3 lake, 250 wood"):
        LabelCoder(TABLE).encode(pixels)


def test_near_colours_count_as_the_nearest_class_and_are_reported():
    """Within the tolerance a colour is its nearest class, ignored ones too, and none is silent."""
    pixels = as_colour(np.array([[0, 1, 2, 3, 0]]))
    pixels[:, 0, 1:] = np.array([(9, 4, 10), (5, 5, 195), (10, 84, 0), (249, 9, 9)]).T

    labels, near = LabelCoder(TABLE, tolerance=10).encode(pixels)

    np.testing.assert_array_equal(labels, [[0, IGNORE, 1, 2, 0]])
    assert near == 4


@pytest.mark.parametrize("tolerance", [1, 10, 55])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_the_tolerance_is_the_largest_difference_of_a_channel(tolerance, channel):
    """A colour off by exactly the tolerance is taken, one step further it is refused."""
    lone = ClassTable((ClassInfo("grey", 0, (100, 100, 100)),))
    pixels = np.full((3, 1, 2), 100, np.uint8)
    pixels[channel] = 100 - tolerance, 100 + tolerance
    beyond = pixels.copy()
    beyond[channel, 0, 1] += 1

    labels, near = LabelCoder(lone, tolerance).encode(pixels)

    assert labels.tolist() == [[0, 0]]
    assert near == 2
    with pytest.raises(DataError, match=r"row 0, column 1 \(1 such"):
        LabelCoder(lone, tolerance).encode(beyond)


@given(
    colours=st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=6),
    tolerance=st.integers(1, 127),
)
def test_every_colour_is_its_nearest_class_or_refused(colours, tolerance):
    """Checked against the definition, colour by colour: largest channel difference decides."""
    coder = LabelCoder(TABLE, tolerance)
    pixels = np.array(colours, np.uint8).T[:, None]
    apart = np.abs(np.array(colours)[:, None].astype(int) - COLOURS).max(axis=2)

    if (apart.min(axis=1) > tolerance).any():
        with pytest.raises(DataError, match="unknown colour"):
            coder.encode(pixels)
    else:
        labels, near = coder.encode(pixels)
        np.testing.assert_array_equal(labels[0], LABELS[apart.argmin(axis=1)])
        assert near == (apart.min(axis=1) > 0).sum()


@pytest.mark.parametrize(
    "pixels",
    [
        noise(2, 4, 4),
        noise(4, 4, 4),
        noise(1, 4, 4, dtype=np.float32),
        noise(3, 4, 4, dtype=np.int16),
    ],
)
def test_pixels_that_cannot_be_a_mask_are_refused(pixels):
    """Masks have one band of whole numbers or three of 8 bit; the line tells what was found."""
    with pytest.raises(DataError, match=rf"found {len(pixels)} of {pixels.dtype}"):
        LabelCoder(TABLE).encode(pixels)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "int32", "int64", "uint64"])
def test_an_index_mask_may_be_of_any_integer_type(tmp_path, dtype):
    """Its values are the class table's, none wraps round to one; what is none is told as it is."""
    rows = drawn_rows(20, 30)
    values = as_index(rows).astype(dtype)
    path = write_tif(tmp_path / "m.tif", values)
    with Raster(path) as raster:
        np.testing.assert_array_equal(MaskScene(raster, LabelCoder(TABLE)).read()[0], LABELS[rows])

    odd = int(values[0, 3, 4]) + 256
    values[0, 3, 4] = odd
    write_tif(path, values)
    with Raster(path) as raster, pytest.raises(DataError, match=rf"value {odd} at row 3, column 4"):
        MaskScene(raster, LabelCoder(TABLE)).read()


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 99), ("int16", -9999), ("uint16", 65535)])
def test_declared_nodata_is_ignored_unless_it_is_a_class(tmp_path, dtype, nodata):
    """Whatever its value; without the declaration it is no class, and the table's value stays."""
    rows = drawn_rows(20, 30)
    values = as_index(rows).astype(dtype)
    kept = int(values[0, 0, 0])
    values[0, 5:9, 7:11] = nodata
    wanted = LABELS[rows].copy()
    wanted[5:9, 7:11] = IGNORE

    with Raster(write_tif(tmp_path / "m.tif", values, nodata=nodata)) as raster:
        np.testing.assert_array_equal(MaskScene(raster, LabelCoder(TABLE)).read()[0], wanted)
    with Raster(write_tif(tmp_path / "m.tif", values, nodata=kept)) as raster:
        scene = MaskScene(raster, LabelCoder(TABLE))
        np.testing.assert_array_equal(scene.read(Window(0, 0, 5, 30))[0], wanted[:5])
        with pytest.raises(DataError, match=f"unknown value {nodata} at row 5, column 7"):
            scene.read()


@pytest.mark.parametrize("paint", [as_index, as_colour])
@pytest.mark.parametrize(("name", "write"), [("m.tif", write_tif), ("m.png", write_png)])
def test_a_mask_read_by_window_is_part_of_the_whole(tmp_path, paint, name, write):
    """Windows of a mask are the same labels as slices of all of it."""
    rows = drawn_rows(40, 30)
    path = write(tmp_path / name, paint(rows))
    window = Window(11, 4, 20, 17)

    with Raster(path) as raster:
        scene = MaskScene(raster, LabelCoder(TABLE))
        whole, part, size = scene.read(), scene.read(window), scene.size

    assert size == Size(40, 30)
    np.testing.assert_array_equal(whole, LABELS[rows][None])
    np.testing.assert_array_equal(part, whole[:, *window.slices])


def test_a_masks_thumbnail_holds_its_labels(tmp_path):
    """The thumbnail is made of labels, not of mixed values."""
    rows = drawn_rows(40, 30)
    path = write_png(tmp_path / "m.png", as_index(rows))

    with Raster(path) as raster:
        thumbnail = MaskScene(raster, LabelCoder(TABLE)).thumbnail(Size(20, 10))

    np.testing.assert_array_equal(thumbnail, LABELS[rows][None, 1::2, 1::3])


def test_a_palette_png_is_read_by_its_indexes(tmp_path):
    """Masks with a palette are index masks, whatever colours they show."""
    rows = drawn_rows()
    path = write_png(tmp_path / "m.png", as_index(rows), palette=list(range(255, -1, -1)) * 3)

    with Raster(path) as raster:
        labels = MaskScene(raster, LabelCoder(TABLE)).read()

    np.testing.assert_array_equal(labels[0], LABELS[rows])


def test_a_masks_file_is_named_where_a_pixel_is_no_class(tmp_path):
    """The line begins with the path; of a window it tells which one."""
    mask = as_index(drawn_rows(40, 30))
    mask[0, 33, 20] = 99
    path = write_tif(tmp_path / "m.tif", mask)

    with Raster(path) as raster:
        scene = MaskScene(raster, LabelCoder(TABLE))
        with pytest.raises(DataError) as whole:
            scene.read()
        with pytest.raises(DataError) as part:
            scene.read(Window(32, 16, 8, 8))

    assert str(whole.value).startswith(f"{path}: unknown value 99 at row 33, column 20")
    assert str(part.value).startswith(f"{path} of the part 32, 16: unknown value 99 at row 1, col")


@pytest.fixture
def pairs(tmp_path):
    """Three images of 20 x 30 pixels with masks: by index, by colour, by near-colours."""
    rows = drawn_rows(20, 30)
    masks = {"index": as_index(rows), "colour": as_colour(rows), "near": as_colour(rows)}
    masks["near"][:, :2, :5] = np.array([(250, 5, 5)]).T[..., None]
    return [
        Sample(
            write_tif(tmp_path / f"{name}.tif", noise(3, 20, 30)),
            write_png(tmp_path / f"{name}_mask.png", mask),
            "train",
        )
        for name, mask in masks.items()
    ]


def test_checking_counts_pixels_of_every_class(pairs):
    """What the masks hold is known before a long run: classes, ignored pixels, near-colours."""
    rows = drawn_rows(20, 30)
    counts = np.bincount(rows.ravel(), minlength=4)
    painted = np.bincount(rows[:2, :5].ravel(), minlength=4)

    report = check_samples(pairs, LabelCoder(TABLE, tolerance=5), ModelSettings(bands=3))

    expected = 3 * counts - painted + [10, 0, 0, 0]
    assert report.pixels.tolist() == expected[[0, 2, 3]].tolist()
    assert report.ignored == expected[1]
    assert (report.near, report.near_files) == (10, 1)


@pytest.mark.parametrize("shape", [(20, 31), (30, 20), (10, 15)])
def test_checking_finds_a_mask_of_another_size(pairs, shape):
    """The line names the mask and both sizes."""
    write_png(pairs[1].mask, as_colour(drawn_rows(*shape)))

    with pytest.raises(DataError) as caught:
        check_samples(pairs, LabelCoder(TABLE, tolerance=5), ModelSettings(bands=3))

    assert str(caught.value).startswith(f"{pairs[1].mask}: ")
    assert f"{shape[0]} x {shape[1]}" in str(caught.value)
    assert "20 x 30" in str(caught.value)


def test_checking_finds_an_image_of_other_bands(pairs):
    """The line names the image, the bands that are wanted and those found."""
    write_tif(pairs[2].image, noise(4, 20, 30), photometric="minisblack")

    with pytest.raises(DataError, match=r"wanted 3 bands.*found 4") as caught:
        check_samples(pairs, LabelCoder(TABLE, tolerance=5), ModelSettings(bands=3))

    assert str(caught.value).startswith(f"{pairs[2].image}: ")


def test_checking_finds_a_colour_that_is_no_class(pairs):
    """Without the tolerance that its colours need, the mask and the place are named."""
    with pytest.raises(DataError, match=r"row 0, column 0 \(10 such pixels\)") as caught:
        check_samples(pairs, LabelCoder(TABLE), ModelSettings(bands=3))

    assert str(caught.value).startswith(f"{pairs[2].mask}: unknown colour (250, 5, 5)")


@given(height=st.integers(1, 250), width=st.integers(1, 70), cells=st.integers(1, 90))
def test_small_labels_are_the_pixels_at_the_cells_middles(height, width, cells):
    """Equal to Pillow's nearest resize; a middle on the border of two pixels takes either."""
    labels = np.repeat(np.arange(height, dtype=np.uint8)[:, None], width, axis=1)
    pillow = Image.fromarray(labels).resize((7, cells), Image.Resampling.NEAREST)
    middles = (np.arange(cells) + 0.5) * height / cells

    small = nearest_labels(labels, Size(cells, 7))

    np.testing.assert_array_equal(small, np.asarray(pillow))
    assert np.abs(small[:, 0] + 0.5 - middles).max() <= 0.5 + 1e-9
