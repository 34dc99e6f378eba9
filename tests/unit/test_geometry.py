"""What geometry promises."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from glnet.geometry import OUTPUT_STRIDE, Size, Window, of_one_size, patch_grid, scene_grid, tiles

ALIGNMENTS = ["exact", "authors"]
SIDES = st.integers(1, 6000)


@st.composite
def patches(draw, largest=512):
    """A patch side and an overlap that it allows."""
    patch = draw(st.integers(8, largest // 4)) * 4
    return patch, draw(st.integers(0, patch - 8))


def spans(scene, axis, grid):
    """The distinct (start, length) of a grid along one axis, in order."""
    found = {window.rows if axis == 0 else window.columns for window in grid}
    assert all(start >= 0 and start + length <= scene[axis] for start, length in found)
    return sorted(found)


@given(height=SIDES, width=SIDES, stride=st.integers(1, 64))
def test_cells_are_just_enough_to_cover_a_size(height, width, stride):
    """The cells reach the end of each side, and one cell fewer would not."""
    cells = Size(height, width).cells(stride)

    for side, count in zip((height, width), cells, strict=True):
        assert (count - 1) * stride < side <= count * stride


def test_a_window_cuts_what_it_says():
    """Ends, size, spans and slices of a window all describe the same pixels."""
    scene = np.arange(20 * 30).reshape(20, 30)
    window = Window(3, 7, 5, 11)

    part = scene[window.slices]

    assert (window.bottom, window.right) == (8, 18)
    assert part.shape == window.size == Size(5, 11)
    assert (window.size.area, str(window.size)) == (part.size, "5 x 11")
    assert (window.rows, window.columns) == ((3, 5), (7, 11))
    assert part[0, 0] == scene[3, 7]
    assert part[-1, -1] == scene[7, 17]


def test_windows_of_windows_show_the_same_pixels():
    scene = np.arange(20 * 30).reshape(20, 30)
    window, other = Window(3, 7, 5, 11), Window(5, 0, 9, 12)
    common = window.common(other)

    assert set(scene[common.slices].ravel()) == set(scene[window.slices].ravel()) & set(
        scene[other.slices].ravel()
    )
    inside = common.seen_from(window)
    assert (scene[window.slices][inside.slices] == scene[common.slices]).all()
    assert window.within(inside) == common


@given(height=SIDES, width=SIDES, side=st.integers(100, 7000), strips=st.booleans())
def test_tiles_cover_a_size_once_row_by_row(height, width, side, strips):
    cut = list(tiles(Size(height, width), side, None if strips else side))

    assert sum(window.height * window.width for window in cut) == height * width
    assert all(window.fits(Size(height, width)) for window in cut)
    assert sorted(cut, key=lambda window: (window.top, window.left)) == cut
    assert {window.top % side for window in cut} == {0}
    assert {window.left % side for window in cut} == {0}


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@given(length=SIDES, patch=patches(), upright=st.booleans())
@example(length=300, patch=(508, 50), upright=True)
@example(length=508, patch=(508, 50), upright=True)
@example(length=509, patch=(508, 50), upright=True)
@example(length=1016, patch=(508, 50), upright=True)
@example(length=2323, patch=(508, 50), upright=True)
@example(length=2448, patch=(508, 50), upright=True)
@example(length=5000, patch=(508, 50), upright=True)
@example(length=6000, patch=(32, 24), upright=False)
def test_patches_of_one_size_cover_a_side_and_overlap(alignment, length, patch, upright):
    """Along a side patches start at 0, end at the border, are alike and share the overlap."""
    side, overlap = patch
    scene = Size(length, 3) if upright else Size(3, length)

    along = spans(scene, 0 if upright else 1, patch_grid(scene, side, overlap, alignment))

    assert len({covered for _, covered in along}) == 1
    assert along[0][0] == 0
    assert sum(along[-1]) == length
    for (first, covered), (second, _) in pairwise(along):
        assert first < second
        assert first + covered - second >= overlap


@given(length=SIDES, patch=patches())
@example(length=300, patch=(508, 50))
@example(length=2323, patch=(508, 50))
def test_exact_patches_lie_on_the_grid_of_logits(length, patch):
    """Exact origins are multiples of the output stride; the side loses three pixels at most."""
    side, overlap = patch

    along = spans(Size(length, 1), 0, patch_grid(Size(length, 1), side, overlap, "exact"))

    assert all(start % OUTPUT_STRIDE == 0 for start, _ in along)
    wanted = min(length, side)
    assert all(wanted - 3 <= covered <= wanted for _, covered in along)


@given(length=SIDES, patch=patches())
@example(length=2448, patch=(508, 50))
@example(length=508 + 5 * 458, patch=(508, 50))  # the overlap is met to the pixel
def test_the_authors_origins_are_evenly_spaced_and_rounded_half_to_even(length, patch):
    """As few patches as the overlap allows, two at least, at rounded multiples of one step."""
    side, overlap = patch
    count = next(n for n in range(1, length + 2) if n * side >= length)
    while count > 1 and side - (length - side) / (count - 1) < overlap:
        count += 1
    step = (length - side) / (count - 1) if count > 1 else 0.0

    along = spans(Size(length, 1), 0, patch_grid(Size(length, 1), side, overlap, "authors"))

    assert along == [(int(np.round(k * step)), min(side, length)) for k in range(count)]


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@given(height=st.integers(1, 150), width=st.integers(1, 150), patch=patches(largest=48))
def test_every_pixel_is_covered_and_nothing_outside(alignment, height, width, patch):
    """Painting all windows leaves no pixel blank, and none sticks out of the scene."""
    side, overlap = patch
    painted = np.zeros((height, width), np.int64)
    grid = patch_grid(Size(height, width), side, overlap, alignment)

    for window in grid:
        painted[window.slices] += 1

    assert painted.min() >= 1
    assert painted.sum() == sum(window.height * window.width for window in grid)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@given(data=st.data(), patch=patches())
def test_windows_come_row_by_row(alignment, data, patch):
    """A grid is every row span with every column span, from left to right, then downwards."""
    side, overlap = patch
    most = side + 12 * (side - overlap - 4)
    scene = Size(*(data.draw(st.integers(1, most)) for _ in "hw"))

    grid = patch_grid(scene, side, overlap, alignment)

    rows, columns = (spans(scene, axis, grid) for axis in (0, 1))
    assert list(grid) == [
        Window(top, left, height, width) for top, height in rows for left, width in columns
    ]


@pytest.mark.parametrize(
    ("length", "count", "step"), [(2448, 6, 388), (5000, 11, None), (1016, 3, 254)]
)
def test_the_authors_grids_of_known_images(length, count, step):
    """DeepGlobe's 2448 pixels take 6 x 6 patches every 388; Inria's 5000 take 11 x 11."""
    scene = Size(length, length)

    grid = patch_grid(scene, 508, 50, "authors")

    tops = sorted({window.top for window in grid})
    assert len(grid) == count * count
    assert len(tops) == count
    if step is not None:
        assert {after - before for before, after in pairwise(tops)} == {step}


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_a_scene_no_larger_than_the_patch_is_one_patch(alignment):
    """A short side keeps its own length; the other side is cut as ever."""
    assert patch_grid(Size(300, 508), 508, 50, alignment) == (Window(0, 0, 300, 508),)

    beside = patch_grid(Size(300, 1016), 508, 50, alignment)

    assert {(window.top, window.height) for window in beside} == {(0, 300)}
    assert len(beside) > 1


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("overlap", [-1, 57, 64, 1000])
def test_an_overlap_that_leaves_no_step_is_refused(alignment, overlap):
    """An overlap below zero or above the patch less two cells is an error that names it."""
    with pytest.raises(ValueError, match=rf"overlap.*got {overlap}"):
        patch_grid(Size(200, 200), 64, overlap, alignment)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize(
    ("scene", "patch"),
    [(Size(0, 10), 64), (Size(10, 0), 64), (Size(-5, 10), 64), (Size(10, 10), 0)],
)
def test_a_side_that_is_not_positive_is_refused(alignment, scene, patch):
    """A scene or a patch without pixels is an error, not an empty grid."""
    with pytest.raises(ValueError, match="positive"):
        patch_grid(scene, patch, 0, alignment)


@given(height=st.integers(1, 300), width=st.integers(1, 300), side=st.integers(1, 400))
def test_scenes_cover_every_pixel_once_and_are_equal(height, width, side):
    """Disjoint, complete, row by row, as few as can be, and no side longer by two pixels."""
    grid = scene_grid(Size(height, width), side)

    times = np.zeros((height, width), int)
    for window in grid:
        assert window.fits(Size(height, width))
        times[window.slices] += 1
    assert (times == 1).all()
    assert list(grid) == sorted(grid, key=lambda window: (window.top, window.left))
    assert len(grid) == -(-height // side) * -(-width // side)
    for sides in zip(*(window.size for window in grid), strict=True):
        assert max(sides) <= side
        assert max(sides) - min(sides) <= 1


@pytest.mark.parametrize(("size", "side"), [((0, 5), 4), ((5, -1), 4), ((5, 5), 0)])
def test_scenes_without_pixels_are_refused(size, side):
    """A size or a scene of no pixels is an error, not an empty grid."""
    with pytest.raises(ValueError, match="positive"):
        scene_grid(Size(*size), side)


WINDOWS = st.builds(
    Window, st.integers(0, 9), st.integers(0, 9), st.integers(1, 6), st.integers(1, 6)
)


@given(one=WINDOWS, other=WINDOWS)
def test_windows_meet_where_they_share_a_pixel(one, other):
    """Counted out on a grid; touching is not meeting."""
    pixels = np.zeros((15, 15), int)
    pixels[one.slices] += 1
    pixels[other.slices] += 1

    assert one.meets(other) == other.meets(one) == (pixels == 2).any()


@given(whole=WINDOWS, part=WINDOWS)
def test_a_window_within_a_window_is_a_cut_of_the_cut(whole, part):
    """Cutting twice and cutting once by the window within give the same pixels."""
    pixels = np.arange(900).reshape(30, 30)
    if not part.fits(whole.size):
        return

    once = pixels[whole.within(part).slices]

    np.testing.assert_array_equal(once, pixels[whole.slices][part.slices])


FEW_SIZES = st.builds(
    Window, st.integers(0, 9), st.integers(0, 9), st.integers(1, 2), st.integers(1, 2)
)


@given(windows=st.lists(FEW_SIZES), count=st.integers(1, 4))
def test_windows_of_one_size_come_together(windows, count):
    """Each once, sizes and windows in the order in which they are met, as many as go at a time."""
    sizes = [window.size for window in windows]

    found = list(of_one_size(windows, count))

    first = list(dict.fromkeys(sizes))
    order = [position for together in found for position in together]
    assert order == sorted(range(len(sizes)), key=lambda i: first.index(sizes[i]))
    assert all(len({sizes[i] for i in together}) == 1 for together in found)
    assert max(map(len, found), default=0) <= count
    assert len(found) == sum(-(-sizes.count(size) // count) for size in first)


@given(window=WINDOWS, height=st.integers(1, 15), width=st.integers(1, 15))
def test_a_window_fits_where_no_pixel_is_outside(window, height, width):
    """Compared with what a slice of an array gives, which stops at the border."""
    inside = np.zeros((height, width))[window.slices].shape == window.size

    assert window.fits(Size(height, width)) == inside
    assert not Window(-1, 0, 1, 1).fits(Size(height, width))
