"""What measuring promises: exact sums whatever the strips, every class, and errors with a place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glnet.datasets.classes import (
    ClassInfo,
    ClassTable,
    classes_csv,
    default_colour,
    read_classes,
)
from glnet.datasets.manifest import Sample
from glnet.datasets.masks import LabelCoder
from glnet.errors import DataError
from glnet.geometry import Size
from glnet.planning.labels import SHRINKS, discover_classes
from glnet.planning.measure import Moments, gather, measure
from makers import TWO_CLASSES, noise, write_jpg, write_png, write_text, write_tif

CODER = LabelCoder(TWO_CLASSES)


def sample(folder, pixels, mask, name="a", **options):
    """A pair on disk: TIFF image, PNG mask."""
    image = write_tif(folder / f"{name}.tif", pixels, **options)
    return Sample(image, write_png(folder / f"{name}_mask.png", mask), "train")


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 9))
def test_moments_of_parts_are_those_of_the_whole(lengths, seed):
    """In float64, on values whose mean is large against their deviation."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(1e6, 1, (2, n)) for n in lengths]

    moments = Moments.of(parts[0])
    for part in parts[1:]:
        moments = moments.plus(Moments.of(part))

    whole = np.concatenate(parts, axis=-1)
    assert moments.count == whole.shape[1]
    np.testing.assert_allclose(moments.mean, whole.mean(1), rtol=1e-15)
    np.testing.assert_allclose(moments.deviation, whole.std(1), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_an_image_is_measured_whole(tmp_path, dtype):
    """More rows than a strip; counts of its mask's pixels, and the mean and deviation of NumPy."""
    pixels = noise(2, 1100, 7, dtype=dtype)
    mask = (noise(1100, 7, seed=1) % 2).astype(np.uint8)

    facts = measure([sample(tmp_path, pixels, mask)], CODER)

    found = gather(facts, ["train"], TWO_CLASSES.names)
    wide = pixels.astype(np.float64)
    np.testing.assert_allclose(found.mean, wide.mean((1, 2)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.deviation, wide.std((1, 2)), rtol=1e-12)
    assert found.high == pytest.approx(np.quantile(np.abs(wide), 0.999), rel=0.05)
    assert found.pixels == tuple(np.bincount(mask.ravel()).tolist())
    assert (found.sizes, found.bands, found.dtype) == ((Size(1100, 7),), 2, pixels.dtype.name)


def test_ground_without_data_is_not_measured(tmp_path):
    """Neither its values nor its labels: also where a strip, or an image, holds nothing else."""
    pixels = noise(2, 1100, 7, dtype=np.float32)
    pixels[:, :600] = pixels[:, 800:, 2] = -9999
    pixels[1, 700, 3] = np.nan
    valid = ((pixels != -9999) & ~np.isnan(pixels)).all(axis=0)
    mask = (noise(1100, 7, seed=1) % 2).astype(np.uint8)
    samples = [sample(tmp_path, pixels, mask, "a", nodata=-9999)]
    samples.append(sample(tmp_path, np.full_like(pixels, -9999), mask, "b", nodata=-9999))

    found = gather(measure(samples, CODER), ["train"] * 2, TWO_CLASSES.names)

    known = pixels[:, valid].astype(np.float64)
    np.testing.assert_allclose(found.mean, known.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, known.std(axis=1), rtol=1e-12)
    assert found.high == pytest.approx(np.quantile(np.abs(known), 0.999), rel=0.05)
    assert found.pixels == tuple(np.bincount(mask[valid]).tolist())


def test_only_training_images_are_gathered(tmp_path):
    """What is chosen must not look at validation and test images."""
    shapes = {"train": 3, "test": 5, "validation": 4}
    samples = [
        sample(tmp_path, np.full((1, 6, n), 10 * n, np.uint8), np.zeros((6, n), np.uint8), name)
        for name, n in shapes.items()
    ]

    found = gather(measure(samples, CODER), list(shapes), TWO_CLASSES.names)

    assert (found.images, found.validation) == (1, 1)
    assert found.mean == (30.0,)
    assert found.pixels == (18, 0)


def test_training_images_without_a_label_are_refused(tmp_path):
    table = ClassTable((*TWO_CLASSES.rows, ClassInfo("edge", 7, (9, 9, 9), ignored=True)))
    mask = np.full((5, 5), 7, np.uint8)

    facts = measure([sample(tmp_path, noise(3, 5, 5), mask)], LabelCoder(table))

    with pytest.raises(DataError, match="all pixels of the training images are ignored"):
        gather(facts, ["train"], table.names)


def test_images_of_two_kinds_are_refused(tmp_path):
    mask = np.zeros((5, 5), np.uint8)
    samples = [
        sample(tmp_path, noise(3, 5, 5), mask, "a"),
        sample(tmp_path, noise(3, 5, 5, dtype=np.uint16), mask, "b"),
    ]

    with pytest.raises(
        DataError, match=r"b\.tif: holds 3 bands of uint16, .*a\.tif 3 bands of uint8"
    ):
        measure(samples, CODER)


def test_a_mask_of_another_size_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"the mask is 5 x 6, .*a\.tif is 5 x 5"):
        measure([sample(tmp_path, noise(3, 5, 5), np.zeros((5, 6), np.uint8))], CODER)


def found_classes(folder, *masks, notes=None):
    return discover_classes(
        [sample(folder, noise(1, 4, 4), m, str(i)) for i, m in enumerate(masks)],
        [] if notes is None else notes,
    )


def discovered(*masks):
    """Names and whether ignored, by value, of mask files that lie beside no image; and notes."""
    notes = []
    table = discover_classes([Sample(path, path, "train") for path in masks], notes)
    return {row.value: (row.name, row.ignored) for row in table.rows}, " ".join(notes)


def test_every_value_of_index_masks_is_a_class_but_255(tmp_path):
    """Over all masks, in order."""
    table = found_classes(
        tmp_path, np.array([[3, 0], [255, 0]], np.uint8), np.full((2, 2), 7, "u1")
    )

    assert [(r.name, r.value, r.ignored) for r in table.rows] == [
        ("class 0", 0, False), ("class 3", 3, False), ("class 7", 7, False),
        ("ignored", 255, True),
    ]  # fmt: skip


def test_classes_have_the_colours_of_the_masks_own_palette(tmp_path):
    """If it tells all of them apart."""
    values = np.array([[0, 2], [5, 255]], np.uint8)
    told, grey = bytes(range(255, -1, -1)) * 3, bytes(3 * 256)

    first, second = (
        discover_classes([Sample(path, path, "train")], []).rows
        for path in (
            write_png(tmp_path / "a.png", values, told), write_png(tmp_path / "b.png", values, grey)
        )
    )  # fmt: skip

    assert [row.colour for row in first] == [tuple(told[3 * v : 3 * v + 3]) for v in (0, 2, 5, 255)]
    assert [row.colour for row in second[:3]] == [default_colour(v) for v in (0, 2, 5)]
    assert [row.ignored for row in first] == [False, False, False, True]


def test_binary_masks_of_0_and_255_have_two_classes(tmp_path):
    """There 255 is the foreground, not what is ignored."""
    table = found_classes(tmp_path, np.array([[0, 255]], np.uint8))

    assert table.values == [0, 255]


def white_rectangle():
    mask = np.zeros((64, 64), np.uint8)
    mask[9:50, 13:45] = 255
    return mask


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_greys_that_a_jpeg_makes_of_0_and_255_are_no_classes(tmp_path, suffix):
    """Whether the file still is one, or was saved as PNG afterwards."""
    lossy = write_jpg(tmp_path / "m.jpg", white_rectangle())
    with Image.open(lossy) as decoded:
        mask = lossy if suffix == "jpg" else write_png(tmp_path / "m.png", np.array(decoded))

    with pytest.raises(DataError, match=rf"m\.{suffix}: \d\d values .*lossy.*PNG or TIFF"):
        discovered(mask)


def test_255_that_is_ignored_though_it_looks_like_a_class_is_told(tmp_path):
    """One mask of 0 and 1 among masks of 0 and 255; but not where 255 is an edge of classes."""
    notes = []
    found_classes(tmp_path, *[white_rectangle()] * 3, white_rectangle() // 255, notes=notes)
    (note,) = notes
    assert note.startswith("255 is ignored, though 3 of 4 masks are mostly 0 and 255")
    assert "other values (1)" in note

    edges = white_rectangle()
    edges[10:49, 14:44] = 7
    notes = []
    found_classes(tmp_path, edges, notes=notes)
    assert notes == []


@pytest.mark.parametrize(
    ("nodata", "ignored"), [(99, {99: ("nodata", True)}), (-9999, {}), (None, {})]
)
def test_nodata_of_masks_of_wide_integers_is_no_class(tmp_path, nodata, ignored):
    values = np.array([[[0, 1], [nodata or 0, 1]]], np.int32)

    classes, note = discovered(write_tif(tmp_path / "m.tif", values, nodata=nodata))

    assert classes == {0: ("class 0", False), 1: ("class 1", False), **ignored}
    assert ("nodata of the masks: 99" in note) is bool(ignored)


def test_nodata_beside_one_value_is_a_class(tmp_path):
    """As when shapes were burnt into a raster of zeros."""
    mask = write_tif(tmp_path / "m.tif", np.array([[[0, 255]]], np.uint8), nodata=0)

    classes, note = discovered(mask)

    assert classes == {0: ("class 0", False), 255: ("class 255", False)}
    assert "both are classes" in note


def test_a_value_that_is_no_byte_is_named(tmp_path):
    mask = write_tif(tmp_path / "m.tif", np.array([[[0, 1, 1234]]], np.uint16))

    with pytest.raises(DataError, match=r"m\.tif: wanted values from 0 to 255, found 1234"):
        discovered(mask)


def test_every_colour_of_rgb_masks_is_a_class(tmp_path):
    mask = np.array([[[0, 0, 0], [255, 0, 1]], [[2, 255, 0], [0, 0, 0]]], np.uint8)

    table = found_classes(tmp_path, np.moveaxis(mask, -1, 0))

    assert table.colours == [(0, 0, 0), (2, 255, 0), (255, 0, 1)]
    assert table.values == [0, 1, 2]


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ([noise(3, 8, 8)], "near-colours of a JPEG.*--classes"),
        ([np.zeros((3, 2, 2), np.uint8), np.zeros((2, 2), np.uint8)], "index masks and RGB masks"),
        ([np.full((2, 2), 4, np.uint8), np.full((2, 2), 255, np.uint8)], "hold one value alone"),
        ([np.full((2, 2), 255, np.uint8)], "hold one value alone"),
        ([np.arange(255, dtype=np.uint8).reshape(15, 17)], "at most 254 classes"),
    ],
)
def test_masks_that_make_no_classes_are_refused(tmp_path, masks, said):
    with pytest.raises(DataError, match=said):
        found_classes(tmp_path, *masks)


def test_32_colours_are_classes_and_33_are_not(tmp_path):
    colours = np.zeros((3, 1, 33), np.uint8)
    colours[0, 0] = np.arange(33)

    assert len(found_classes(tmp_path, colours[..., :32]).rows) == 32
    with pytest.raises(DataError, match="more than 32 colours"):
        found_classes(tmp_path, colours)


def test_the_written_table_is_the_one_that_was_found(tmp_path):
    table = found_classes(tmp_path, np.array([[3, 0], [255, 1]], np.uint8))

    assert read_classes(write_text(tmp_path / "c.csv", classes_csv(table))) == table


@pytest.mark.parametrize("factor", SHRINKS)
def test_masks_are_compared_with_themselves_shrunk_and_enlarged(tmp_path, factor):
    """Of every class, by NumPy's count; what is ignored there counts nowhere, nor does a rest."""
    table = ClassTable(
        tuple(ClassInfo(str(i), i, default_colour(i), ignored=i == 2) for i in range(3))
    )
    # Blobs, and lines of one pixel; more rows than a strip.
    mask = np.kron(noise(75, 5, seed=3) % 3, np.ones((13, 13))).astype(np.uint8)
    mask[::9] = 1
    pair = Sample(
        write_tif(tmp_path / "a.tif", noise(1, *mask.shape)),
        write_png(tmp_path / "m.png", mask),
        "train",
    )

    (facts,) = measure([pair], LabelCoder(table))
    kept = gather([facts], ["train"], table.names).kept

    height, width = (side // factor * factor for side in mask.shape)
    cut = mask[:height, :width]
    blocks = cut.reshape(height // factor, factor, width // factor, factor)
    middle = blocks[:, factor // 2, :, factor // 2]
    again = np.broadcast_to(middle[:, None, :, None], blocks.shape).reshape(cut.shape)
    known = (cut != 2) & (again != 2)
    ious = [
        ((cut == c) & (again == c) & known).sum() / (((cut == c) | (again == c)) & known).sum()
        for c in range(2)
    ]
    assert kept[factor] == pytest.approx(min(ious))
    assert 0 < kept[factor] < 0.9
    assert facts.seconds > 0
