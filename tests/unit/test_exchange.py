"""What folded sharing promises: the plain crops and layings, cut to the cells that a patch meets.

Along one axis: the other one is the same. Tap matrices are tried on whole numbers, so that what is
equal is so to the bit.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glnet.geometry import OUTPUT_STRIDE, Size, patch_grid
from glnet.model.taps import Taps, spread_rows
from glnet.resample import Axis, triangle
from glnet.sharing import (
    COARSE_FIRST,
    Place,
    crop_axis,
    exchange_axes,
    lay_axis,
    spread_taps,
    with_taps,
)

ALIGNMENTS = ["exact", "authors"]
SCENES, PATCHES, THUMBNAILS = st.integers(30, 3000), st.integers(32, 508), st.integers(32, 508)
SEEDS = st.integers(0, 2**32 - 1)


def places_of(scene, patch, alignment):
    """The patches along the rows of a scene one pixel wide."""
    size = Size(scene, 1)
    return [Place(0, size, w) for w in patch_grid(size, patch, patch // 8, alignment)]


def some_of(places):
    """Both ends, where cells are clamped, and a few between."""
    return places[:2] + places[2:-2:7] + places[-2:]


def levels_of(place, thumbnail, alignment):
    """Cells of the scene, cells of the patch and the exchange, level by level."""
    axes = exchange_axes(place, 0, Size(thumbnail, thumbnail), alignment)
    for stride, axis in zip(COARSE_FIRST, axes, strict=True):
        yield -(-thumbnail // stride), -(-place.window.height // stride), axis


def close(one, other):
    """Equal but for the rounding of float32 matrices."""
    np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@settings(max_examples=25)
@given(SCENES, PATCHES, THUMBNAILS, SEEDS)
def test_what_a_patch_reads_is_the_crop_under_it(alignment, scene, patch, thumbnail, seed):
    """Also with taps, and enlarged to the finest level."""
    rng = np.random.default_rng(seed)
    for place in some_of(places_of(scene, patch, alignment)):
        span = place.window.rows
        finest = -(-span[1] // OUTPUT_STRIDE)
        for cells, own, axis in levels_of(place, thumbnail, alignment):
            whole = rng.uniform(-1, 1, cells)
            crop = crop_axis(cells, scene, *span, own, alignment)
            assert crop.weights.shape[0] == own
            cropped = crop.weights @ whole[crop.source_slice]

            close(axis.crop @ whole[axis.read], cropped)

            kernel = rng.uniform(-1, 1, 3)
            taps = np.concatenate([factor * whole[axis.read] for factor in kernel])
            close(axis.tap @ taps, three_taps(kernel, cropped))
            enlarge = triangle(Axis(0, 1, own), Axis(0, 1, finest))
            fine = enlarge.weights @ cropped[enlarge.source_slice]
            close(axis.fine @ taps, three_taps(kernel, fine))


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@settings(max_examples=25)
@given(SCENES, PATCHES, THUMBNAILS, SEEDS)
def test_what_a_patch_writes_is_laid_where_it_lies(alignment, scene, patch, thumbnail, seed):
    """And nowhere else; the coverage is the plain one."""
    rng = np.random.default_rng(seed)
    for place in some_of(places_of(scene, patch, alignment)):
        for cells, own, axis in levels_of(place, thumbnail, alignment):
            maps = rng.uniform(-1, 1, own)
            lay, coverage = lay_axis(own, scene, *place.window.rows, cells, alignment)
            expected, found = np.zeros(cells), np.zeros(cells)
            expected[lay.target_slice] = lay.weights @ maps[lay.source_slice]

            found[axis.write] = axis.lay @ maps

            close(found, expected)
            assert np.array_equal(axis.coverage, coverage)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@settings(max_examples=25)
@given(SCENES, PATCHES, THUMBNAILS)
def test_all_patches_of_a_scene_read_and_write_as_many_cells(alignment, scene, patch, thumbnail):
    """One graph, compiled for one set of shapes, serves a scene; no cell lies outside the map."""
    shapes = set()
    for place in places_of(scene, patch, alignment):
        for level, (cells, own, axis) in enumerate(levels_of(place, thumbnail, alignment)):
            finest = -(-place.window.height // OUTPUT_STRIDE)
            reach = axis.crop.shape[1]
            for where in (axis.read, axis.write):
                assert 0 <= where.start < where.stop <= cells
                assert where.stop - where.start == reach
            assert axis.tap.shape == (own, 3 * reach)
            assert axis.fine.shape == (finest, 3 * reach)
            assert axis.up.shape == (finest, 3 * own)
            assert axis.lay.shape == (reach, own)
            assert axis.coverage.shape == (cells,)
            shapes.add((level, own, reach))
    assert len(shapes) == len(COARSE_FIRST)


def three_taps(kernel, values):
    """A convolution by three taps along the first axis, zeros beyond the ends: slowly."""
    out = np.zeros_like(values)
    for index in range(len(values)):
        for tap in range(3):
            if 0 <= index + tap - 1 < len(values):
                out[index] += kernel[tap] * values[index + tap - 1]
    return out


@given(st.integers(1, 9), st.integers(1, 9), SEEDS)
def test_with_taps_is_a_zero_padded_convolution_of_what_was_resampled(target, source, seed):
    """To the bit, at both ends too, one matrix or several."""
    rng = np.random.default_rng(seed)
    matrices = rng.integers(-9, 9, (2, target, source)).astype(float)
    kernel, values = rng.integers(-9, 9, 3), rng.integers(-9, 9, source)
    taps = np.concatenate([factor * values for factor in kernel])

    found = with_taps(matrices) @ taps

    assert np.array_equal(with_taps(matrices[0]), with_taps(matrices)[0])
    for matrix, convolved_ in zip(matrices, found, strict=True):
        assert np.array_equal(convolved_, three_taps(kernel, matrix @ values))


def nine_taps(weight, maps):
    """A 3x3 convolution (C, N, 3, 3) of (N, H, W), zeros beyond the borders: slowly."""
    height, width = maps.shape[1:]
    out = np.zeros((len(weight), height, width))
    for row, column in np.ndindex(height, width):
        for down, right in np.ndindex(3, 3):
            y, x = row + down - 1, column + right - 1
            if 0 <= y < height and 0 <= x < width:
                out[:, row, column] += weight[:, :, down, right] @ maps[:, y, x]
    return out


@given(st.lists(st.integers(1, 6), min_size=6, max_size=6), SEEDS)
def test_spread_taps_is_resampling_and_then_a_convolution(sides, seed):
    """To the bit, and so is its twin in the graphs; no two sides need be equal."""
    rng = np.random.default_rng(seed)
    channels, classes, height, width, tall, wide = sides
    maps, weight, rows, columns = (
        rng.integers(-4, 5, shape).astype(float)
        for shape in (
            (channels, height, width),
            (classes, channels, 3, 3),
            (tall, height),
            (wide, width),
        )
    )
    taps = np.einsum("cnyx,nhw->yxchw", weight, maps).reshape(-1, height, width)
    axes = with_taps(rows), with_taps(columns)

    found = spread_taps(taps, *axes)

    assert np.array_equal(found, nine_taps(weight, rows @ maps @ columns.T))
    cells, *matrices = (torch.from_numpy(array)[None] for array in (maps, *axes))
    in_graphs = spread_rows(matrices[0], Taps(torch.from_numpy(weight))(cells, matrices[1]))
    assert np.array_equal(in_graphs[0].numpy(), found)
