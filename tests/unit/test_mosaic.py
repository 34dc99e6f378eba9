"""What a mosaic of patch logits promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from glnet.geometry import OUTPUT_STRIDE, Size, Window, patch_grid
from glnet.mosaic import STRIP, Mosaic, ScoreMap

ALIGNMENTS = ["exact", "authors"]
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def grids(draw, most=120):
    """A scene's size with a patch side and an overlap."""
    size = Size(draw(st.integers(1, most)), draw(st.integers(1, most)))
    patch = draw(st.integers(4, 12)) * 4
    return size, patch, draw(st.integers(0, patch // 2))


def noise(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def noisy_patches(seed, windows, classes=2):
    """Random logits for every window, at the output stride."""
    return [noise((seed, k), classes, *w.size.cells(OUTPUT_STRIDE)) for k, w in enumerate(windows)]


def filled(size, alignment, windows, patches):
    mosaic = Mosaic(size, alignment)
    for window, logits in zip(windows, patches, strict=True):
        mosaic.add(window, logits)
    return mosaic.scores()


def whole(scores):
    """A score map read in one go."""
    return scores.read(Window(0, 0, *scores.size))


def mean_by_loops(size, windows, patches):
    """The mean logits of all patches on a cell, enlarged as one image and cut to the scene."""
    rows, columns = -(-size.height // 4), -(-size.width // 4)
    classes = len(patches[0])
    canvas = np.zeros((classes, rows, columns))
    for row in range(rows):
        for column in range(columns):
            here = [
                logits[:, row - window.top // 4, column - window.left // 4]
                for window, logits in zip(windows, patches, strict=True)
                if 0 <= row - window.top // 4 < logits.shape[1]
                and 0 <= column - window.left // 4 < logits.shape[2]
            ]
            canvas[:, row, column] = np.mean(here, axis=0)
    enlarged = functional.interpolate(
        torch.from_numpy(canvas)[None], scale_factor=4, mode="bilinear", align_corners=False
    )
    return enlarged[0, :, : size.height, : size.width].numpy()


def sum_by_loops(size, windows, patches):
    """At every pixel the sum of the logits of all patches on it, taken from its 4 x 4 block."""
    scores = np.zeros((len(patches[0]), *size))
    for window, logits in zip(windows, patches, strict=True):
        for row in range(window.top, window.bottom):
            for column in range(window.left, window.right):
                cell = (row - window.top) // 4, (column - window.left) // 4
                scores[:, row, column] += logits[:, *cell]
    return scores


TWINS = [("exact", mean_by_loops), ("authors", sum_by_loops)]


@pytest.mark.parametrize(("alignment", "twin"), TWINS)
@settings(max_examples=15)
@given(seed=SEEDS, grid=grids(most=70))
def test_scores_are_those_of_loops_over_full_arrays(alignment, twin, seed, grid):
    """Exact scores are means at the output stride, the authors' are sums of enlarged blocks."""
    size, patch, overlap = grid
    windows = patch_grid(size, patch, overlap, alignment)
    patches = noisy_patches(seed, windows)

    found = whole(filled(size, alignment, windows, patches))

    np.testing.assert_allclose(found, twin(size, windows, patches), rtol=0, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 4])
@settings(max_examples=20)
@given(seed=SEEDS, grid=grids(most=70))
def test_cells_are_the_sum_by_the_coverage_to_the_last_bit(stride, seed, grid):
    """At any stride that divides the origins: patch after patch in float32, one division."""
    size, patch, overlap = grid
    mosaic = Mosaic(size, "exact", stride)
    total = np.zeros((2, *size.cells(stride)), np.float32)
    count = np.zeros(size.cells(stride), np.float32)

    for number, window in enumerate(patch_grid(size, patch, overlap)):
        rows, columns = window.size.cells(stride)
        logits = noise((seed, number), 2, rows, columns)
        mosaic.add(window, logits)
        for row in range(rows):
            here = row + window.top // stride, slice(window.left // stride, None)
            total[:, *here][:, :columns] += logits[:, row]
            count[here][:columns] += 1

    scores = mosaic.scores()
    np.testing.assert_array_equal(scores.cells, total / count)
    if stride == 1:
        np.testing.assert_array_equal(whole(scores), total / count)


@pytest.mark.parametrize("stride", [1, 2])
@settings(max_examples=10)
@given(seed=SEEDS, grid=grids(most=70))
def test_finer_logits_are_summed_where_the_authors_sum(stride, seed, grid):
    """At every pixel the cells of all patches on it."""
    size, patch, overlap = grid
    mosaic = Mosaic(size, "authors", stride)
    wanted = np.zeros((2, *size), np.float32)

    for number, window in enumerate(patch_grid(size, patch, overlap, "authors")):
        logits = noise((seed, number), 2, *window.size.cells(stride))
        mosaic.add(window, logits)
        rows, columns = (np.arange(length) // stride for length in window.size)
        wanted[:, *window.slices] += logits[:, rows[:, None], columns]

    np.testing.assert_array_equal(whole(mosaic.scores()), wanted)


@pytest.mark.parametrize("kind", ["constant", "coordinates", "noise"])
@given(seed=SEEDS, grid=grids(most=200))
def test_cutting_and_laying_back_is_the_identity(kind, seed, grid):
    """Patches cut from one map of logits over the scene add up to just that map."""
    size, patch, overlap = grid
    cells = size.cells(OUTPUT_STRIDE)
    scene = {
        "constant": np.full((2, *cells), 0.3, np.float32),
        "coordinates": np.indices(cells).astype(np.float32),
        "noise": noise(seed, 2, *cells),
    }[kind]
    windows = patch_grid(size, patch, overlap, "exact")
    patches = []
    for window in windows:
        rows, columns = window.size.cells(OUTPUT_STRIDE)
        top, left = window.top // OUTPUT_STRIDE, window.left // OUTPUT_STRIDE
        patches.append(scene[:, top : top + rows, left : left + columns])
        assert patches[-1].shape[1:] == (rows, columns)

    back = filled(size, "exact", windows, patches)

    np.testing.assert_allclose(back.cells, scene, rtol=1e-6, atol=1e-6)
    if kind == "constant":
        np.testing.assert_allclose(whole(back), np.full((2, *size), 0.3), rtol=1e-6)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@given(seed=SEEDS, grid=grids())
def test_a_further_share_is_added_without_being_counted(alignment, seed, grid):
    """Logits given in two shares, the second not covering, score like their sum."""
    size, patch, overlap = grid
    windows = patch_grid(size, patch, overlap, alignment)
    first, second = noisy_patches(seed, windows), noisy_patches(seed ^ 1, windows)
    shared = Mosaic(size, alignment)

    for window, logits in zip(windows, first, strict=True):
        shared.add(window, logits)
    for window, logits in zip(windows, second, strict=True):
        shared.add(window, logits, covers=False)

    both = [a + b for a, b in zip(first, second, strict=True)]
    wanted = filled(size, alignment, windows, both)
    np.testing.assert_allclose(whole(shared.scores()), whole(wanted), rtol=0, atol=1e-5)


def score_map(kind, seed, size):
    """Scores of a mosaic, or of the global branch, which sees a scene as 16 x 12 cells."""
    if kind.startswith("global"):
        return ScoreMap(noise(seed, 3, 16, 12), size, size, kind.removeprefix("global "))
    windows = patch_grid(size, 48, 8, kind)
    return filled(size, kind, windows, noisy_patches(seed, windows, classes=3))


EACH_KIND = pytest.mark.parametrize("kind", [*ALIGNMENTS, "global exact", "global authors"])
SIZES = st.tuples(st.integers(1, 2 * STRIP + 50), st.integers(1, 60)).map(lambda s: Size(*s))


@EACH_KIND
@settings(max_examples=25)
@given(seed=SEEDS, size=SIZES, data=st.data())
def test_a_window_reads_the_crop_of_the_whole(kind, seed, size, data):
    """Scores of a window do not depend on how much else is read with them."""
    scores = score_map(kind, seed, size)
    top, left = (data.draw(st.integers(0, side - 1)) for side in size)
    height = data.draw(st.integers(1, size.height - top))
    window = Window(top, left, height, data.draw(st.integers(1, size.width - left)))

    part = scores.read(window)

    assert part.shape == (3, *window.size)
    np.testing.assert_allclose(part, whole(scores)[:, *window.slices], rtol=0, atol=1e-5)


@EACH_KIND
@settings(max_examples=15)
@given(seed=SEEDS, size=SIZES)
def test_strips_cover_the_scene_exactly_once(kind, seed, size):
    """Strips follow each other from top to bottom, full width, with the scores of their part."""
    scores = score_map(kind, seed, size)
    everything = whole(scores)

    strips = list(scores.strips())

    painted = np.zeros(size, int)
    for window, part in strips:
        painted[window.slices] += 1
        assert window.height <= STRIP
        np.testing.assert_allclose(part, everything[:, *window.slices], rtol=0, atol=1e-5)
    assert (painted == 1).all()
    assert [window.top for window, _ in strips] == sorted(window.top for window, _ in strips)


@EACH_KIND
@settings(max_examples=15)
@given(seed=SEEDS, size=SIZES)
def test_labels_are_the_best_class_of_every_pixel(kind, seed, size):
    """Labels are the argmax of the scores, as one byte per pixel."""
    scores = score_map(kind, seed, size)

    labels = scores.labels()

    assert labels.dtype == np.uint8
    assert labels.shape == size
    everything = whole(scores)
    chosen = np.take_along_axis(everything, labels[None].astype(int), axis=0)[0]
    np.testing.assert_allclose(chosen, everything.max(axis=0), rtol=0, atol=1e-5)
    assert (labels == everything.argmax(axis=0)).mean() > 0.999


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@settings(max_examples=15)
@given(seed=SEEDS, grid=grids())
def test_tensors_score_like_arrays(alignment, seed, grid):
    """A mosaic of tensors gives tensors with the same scores, and the same labels as an array."""
    size, patch, overlap = grid
    windows = patch_grid(size, patch, overlap, alignment)
    patches = noisy_patches(seed, windows)

    tensors = filled(size, alignment, windows, [torch.from_numpy(p) for p in patches])

    arrays = filled(size, alignment, windows, patches)
    assert isinstance(whole(tensors), torch.Tensor)
    assert isinstance(tensors.labels(), np.ndarray)
    np.testing.assert_allclose(whole(tensors).numpy(), whole(arrays), rtol=0, atol=1e-5)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_order_of_patches_does_not_matter(alignment):
    """Patches may come in any order."""
    size = Size(90, 70)
    windows = patch_grid(size, 32, 8, alignment)
    patches = noisy_patches(7, windows)

    forwards = whole(filled(size, alignment, windows, patches))
    backwards = whole(filled(size, alignment, windows[::-1], patches[::-1]))

    np.testing.assert_allclose(forwards, backwards, rtol=0, atol=1e-5)


@given(seed=SEEDS, side=st.integers(1, 6000).filter(lambda n: n % 127), other=st.integers(1, 30))
def test_the_authors_global_view_is_torchs_nearest(seed, side, other):
    """Global logits at a quarter of 508 pixels are enlarged to a scene as torch's nearest does.

    At sides that are multiples of 127 a pixel's start is a cell's start, where torch's rounding of
    the ratio decides; the sizes below are among these.
    """
    logits = noise(seed, 1, 127, 3)
    size = Size(side, other)

    found = whole(ScoreMap(logits, size, size, "authors"))

    wanted = functional.interpolate(torch.from_numpy(logits)[None], size=size, mode="nearest")[0]
    np.testing.assert_array_equal(found, wanted.numpy())


@pytest.mark.parametrize("side", [127, 300, 508, 760, 1016, 1300, 2323, 2448, 5000])
def test_the_authors_global_view_of_known_images(side):
    """The same at the sizes of the paper's images and of the awkward ones."""
    logits = noise(side, 1, 3, 127)
    size = Size(5, side)

    found = whole(ScoreMap(logits, size, size, "authors"))

    wanted = functional.interpolate(torch.from_numpy(logits)[None], size=size, mode="nearest")[0]
    np.testing.assert_array_equal(found, wanted.numpy())


@given(seed=SEEDS, height=st.integers(20, 200), width=st.integers(20, 200))
def test_the_exact_global_view_is_torchs_bilinear(seed, height, width):
    """Exact scores of the global branch are its logits enlarged bilinearly to the scene."""
    logits = noise(seed, 2, 16, 12)
    size = Size(height, width)

    found = whole(ScoreMap(logits, size, size, "exact"))

    wanted = functional.interpolate(
        torch.from_numpy(logits).double()[None], size=size, mode="bilinear", align_corners=False
    )[0]
    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_scores_at_full_resolution_are_read_as_they_are(alignment):
    """Scores that have a cell per pixel come back untouched."""
    size = Size(9, 14)
    scores = noise(1, 3, *size)

    found = ScoreMap(scores, size, size, alignment).read(Window(2, 3, 4, 5))

    np.testing.assert_array_equal(found, scores[:, 2:6, 3:8])


def test_reading_a_wide_scene_in_blocks_changes_nothing():
    """Wider than a block of columns: the same scores as one matrix over the whole row."""
    cells = torch.randn(2, 5, 160, generator=torch.Generator().manual_seed(1))
    scores = ScoreMap(cells, Size(20, 640), Size(19, 637), "exact")

    found = scores.read(Window(0, 0, 19, 637))

    whole = functional.interpolate(cells[None], scale_factor=4, mode="bilinear")[0, :, :19, :637]
    assert torch.allclose(found, whole, atol=1e-5)
