"""What resampling promises."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional

from glnet.resample import Axis, block_means, nearest, resample, triangle

SIDES = st.integers(1, 40)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def axes(draw):
    """An axis somewhere in a scene, with cells of any length."""
    start = draw(st.integers(0, 50))
    return Axis(start, start + draw(st.integers(1, 100)), draw(SIDES))


def whole(source, target):
    """The map of one axis of a whole image into another number of cells."""
    return triangle(Axis(0, source, source), Axis(0, source, target))


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def test_an_axis_knows_its_cells():
    """Four cells from 10 to 30 are 5 long, and their middles lie half a step inside."""
    axis = Axis(10, 30, 4)

    assert axis.step == 5
    assert axis.centres.tolist() == [12.5, 17.5, 22.5, 27.5]


@given(seed=SEEDS, sides=st.tuples(SIDES, SIDES), more=st.tuples(SIDES, SIDES))
def test_enlarging_is_torchs_bilinear(seed, sides, more):
    """Enlarging equals torch's `interpolate` without aligned corners."""
    maps = torch.from_numpy(noise(seed, 2, *sides))
    target = tuple(side + extra for side, extra in zip(sides, more, strict=True))

    found = resample(maps, *(whole(s, t) for s, t in zip(sides, target, strict=True)))

    wanted = functional.interpolate(maps[None], size=target, mode="bilinear", align_corners=False)[
        0
    ]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


@given(seed=SEEDS, sides=st.tuples(SIDES, SIDES), target=st.tuples(SIDES, SIDES))
@example(seed=0, sides=(40, 40), target=(7, 7))
@example(seed=0, sides=(7, 40), target=(40, 7))
def test_any_resizing_is_pillows_bilinear(seed, sides, target):
    """Shrinking and enlarging equal Pillow's antialiased bilinear resize of floats."""
    pixels = noise(seed, *sides).astype(np.float32)

    found = resample(pixels, *(whole(s, t) for s, t in zip(sides, target, strict=True)))

    wanted = Image.fromarray(pixels).resize(target[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_allclose(found, np.asarray(wanted), rtol=0, atol=2e-5)


@given(seed=SEEDS, cells=SIDES, stride=st.integers(1, 9), data=st.data())
def test_a_part_is_the_crop_of_the_whole(seed, cells, stride, data):
    """Pixels of a window are the same whether the whole axis was enlarged or the window alone."""
    length = cells * stride
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    row = noise(seed, 1, cells)
    same = whole(1, 1)

    part = resample(row, same, triangle(Axis(0, length, cells), Axis(start, stop, stop - start)))

    full = resample(row, same, triangle(Axis(0, length, cells), Axis(0, length, length)))
    np.testing.assert_allclose(part, full[:, start:stop], rtol=0, atol=1e-12)


def place_by_loops(source, target, values):
    """What each target cell receives of a source, and its weight, cell by cell in pixels."""
    wider = max(source.step, target.step)
    total, weight = np.zeros(target.cells), np.zeros(target.cells)
    for i in range(target.cells):
        centre = target.start + (i + 0.5) * (target.stop - target.start) / target.cells
        for j in range(source.cells):
            middle = source.start + (j + 0.5) * (source.stop - source.start) / source.cells
            share = max(0.0, 1 - abs(middle - centre) / wider) * source.step / wider
            total[i] += share * values[j]
            weight[i] += share
    return total, weight


@given(seed=SEEDS, start=st.integers(0, 30), data=st.data())
def test_a_part_is_placed_as_by_loops_over_cells(seed, start, data):
    """Partial placement gives each target cell its shares and leaves them to be divided."""
    length, after = data.draw(st.integers(2, 40)), data.draw(st.integers(0, 30))
    source = Axis(start, start + length, data.draw(st.integers(1, 20)))
    target = Axis(0, start + length + after, data.draw(st.integers(1, 20)))
    values = noise(seed, source.cells)

    placed = triangle(source, target, partial=True)

    total, weight = place_by_loops(source, target, values)
    found, coverage = np.zeros((2, target.cells))
    found[placed.target_slice] = placed.weights @ values[placed.source_slice]
    coverage[placed.target_slice] = placed.coverage
    np.testing.assert_allclose(found, total, rtol=0, atol=1e-12)
    np.testing.assert_allclose(coverage, weight, rtol=0, atol=1e-12)


@given(seed=SEEDS, step=st.integers(1, 8), parts=st.lists(SIDES, min_size=1, max_size=4), to=SIDES)
def test_parts_laid_side_by_side_are_the_whole(seed, step, parts, to):
    """Parts that tile an axis, placed and divided by coverage, equal resampling it in one go."""
    cells = sum(parts)
    values = noise(seed, 1, cells)
    target = Axis(0, cells * step, to)
    total, coverage = np.zeros((2, to))
    first = 0

    for count in parts:
        part = Axis(first * step, (first + count) * step, count)
        placed = triangle(part, target, partial=True)
        read = values[0, first : first + count][placed.source_slice]
        total[placed.target_slice] += placed.weights @ read
        coverage[placed.target_slice] += placed.coverage
        first += count

    wanted = resample(values, whole(1, 1), triangle(Axis(0, cells * step, cells), target))
    np.testing.assert_allclose(total / coverage, wanted[0], rtol=0, atol=1e-10)


@given(source=axes(), cells=SIDES, shares=st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)))
def test_weights_of_a_cell_sum_to_one(source, cells, shares):
    """Every target cell within the source is a mean: no weight is negative, all sum to one."""
    length = source.stop - source.start
    start, stop = (source.start + share * length for share in shares)
    target = Axis(start, max(stop, start + 1e-3), cells)

    weights = triangle(source, target).weights

    assert weights.shape[0] == cells
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=0, atol=1e-12)


@given(rows=axes(), columns=axes(), target=st.tuples(SIDES, SIDES), value=st.floats(-1e3, 1e3))
def test_a_constant_stays_constant(rows, columns, target, value):
    """A flat map is flat at any size, by the triangle and by the nearest cell."""
    flat = np.full((rows.cells, columns.cells), value)
    sides = [Axis(a.start, a.stop, n) for a, n in zip((rows, columns), target, strict=True)]

    smooth = resample(flat, triangle(rows, sides[0]), triangle(columns, sides[1]))
    near = [nearest(a, n, 0, n) for a, n in zip((rows, columns), target, strict=True)]
    blocky = resample(flat, *near)

    np.testing.assert_allclose(smooth, np.full(target, value), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(blocky, np.full(target, value))


@given(source=st.integers(1, 200), target=st.integers(1, 600))
def test_nearest_takes_the_cell_that_holds_the_targets_start(source, target):
    """A target cell is the one source cell whose interval holds the target cell's first point."""
    placed = nearest(Axis(0, 7, source), target, 0, target)

    taken = placed.source + placed.weights.argmax(axis=1)

    assert placed.weights.shape[0] == target
    assert np.array_equal(np.sort(placed.weights, axis=1)[:, -1], np.ones(target))
    assert placed.weights.sum() == target
    for cell, index in enumerate(taken):  # source / source <= target start < next, in integers
        assert index * target <= cell * source < (index + 1) * target


@pytest.mark.parametrize(("source", "target"), [(127, 508), (127, 2448), (127, 5000), (64, 16)])
def test_nearest_is_torchs_nearest(source, target):
    """At the sizes of the paper's images the nearest cell is the one that torch takes."""
    row = np.arange(source, dtype=np.float64)[None, :]

    found = resample(row, whole(1, 1), nearest(Axis(0, 1, source), target, 0, target))

    wanted = functional.interpolate(torch.from_numpy(row)[None], size=target, mode="nearest")[0]
    np.testing.assert_array_equal(found, wanted.numpy())


@given(seed=SEEDS, sides=st.tuples(SIDES, SIDES), target=st.tuples(SIDES, SIDES))
def test_numpy_and_torch_give_the_same(seed, sides, target):
    """The kind of array in is the kind out, and the numbers do not depend on it."""
    maps = noise(seed, 3, 2, *sides)
    rows, columns = (whole(s, t) for s, t in zip(sides, target, strict=True))

    array, tensor = (
        resample(maps, rows, columns),
        resample(torch.from_numpy(maps), rows, columns),
    )

    assert isinstance(array, np.ndarray)
    assert isinstance(tensor, torch.Tensor)
    assert array.shape == (3, 2, *target)
    np.testing.assert_allclose(tensor.numpy(), array, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "maps",
    [
        np.ones((1, 5, 6), np.float32),
        np.ones((1, 5, 6), np.float64),
        torch.ones(1, 5, 6, dtype=torch.float32),
        torch.ones(1, 5, 6, dtype=torch.float64),
        torch.ones(1, 5, 6, dtype=torch.bfloat16),
    ],
    ids=lambda maps: f"{type(maps).__name__}-{maps.dtype}",
)
def test_the_dtype_is_kept(maps):
    """Resampling never widens or narrows the numbers it is given."""
    found = resample(maps, whole(5, 3), whole(6, 11))

    assert found.dtype == maps.dtype
    assert found.shape == (1, 3, 11)


def test_only_the_cells_that_are_needed_are_kept():
    """A small target within a long source reads a few cells; a far one reads others."""
    source = Axis(0, 400, 100)

    near, far = (triangle(source, Axis(start, start + 8, 4)) for start in (0, 392))

    assert near.source == 0
    assert near.weights.shape[1] <= 4
    assert far.source_slice.stop == 100
    assert far.weights.shape[1] <= 4


@given(seed=SEEDS, sides=st.tuples(SIDES, SIDES), by=st.integers(1, 12))
def test_means_of_squares_are_those_of_their_known_pixels(seed, sides, by):
    """Square by square, those at the border cut; of none that is known nothing is said."""
    rng = np.random.default_rng(seed)
    pixels, known = rng.integers(0, 256, (2, *sides), np.uint8), rng.random(sides) < 0.3

    means, found = block_means(pixels, known, by)

    assert found.shape == means.shape[1:] == tuple(-(-side // by) for side in sides)
    for row, column in np.ndindex(*found.shape):
        square = slice(row * by, (row + 1) * by), slice(column * by, (column + 1) * by)
        assert found[row, column] == known[square].any()
        if found[row, column]:
            wanted = pixels[:, *square][:, known[square]].mean(axis=1)
            np.testing.assert_array_equal(means[:, row, column], np.rint(wanted))
