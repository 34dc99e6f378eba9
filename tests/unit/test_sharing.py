"""What deep feature map sharing promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from glnet.geometry import Size, Window, patch_grid
from glnet.model.branch import SharedMaps
from glnet.model.sending import sent
from glnet.model.sharing import Canvas, crop_maps, crop_under
from glnet.sharing import Place

STRIDES = (32, 16, 8, 4)
ALIGNMENTS = ["exact", "authors"]
SEEDS = st.integers(0, 2**32 - 1)
#: One kind of the maps is the first times this: kinds that are mixed up are found out.
FACTORS = (1.0, -2.0, 3.0, 0.5)


def noise(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def four_kinds(levels):
    """Shared maps of which each kind is a multiple of the same levels."""
    return SharedMaps(*(tuple(level * factor for level in levels) for factor in FACTORS))


def centres(start, length, cells):
    """The middles of equal cells on a span of the scene, in pixels."""
    return start + (torch.arange(cells, dtype=torch.float64) + 0.5) * length / cells


def ramp(window, cells):
    """A map of cells over a window that holds each cell's row and column in scene pixels."""
    rows = centres(*window.rows, cells.height)
    columns = centres(*window.columns, cells.width)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"))


def everywhere(scene):
    return Window(0, 0, *scene)


def laid(scene, thumbnail, alignment, windows, make):
    """The maps of all windows laid onto the scene, `make(window, cells)` being one map."""
    canvas = Canvas(scene, thumbnail, alignment)
    levels = [
        torch.stack([make(window, window.size.cells(stride)) for window in windows])
        for stride in STRIDES
    ]
    canvas.add(four_kinds(levels), windows, STRIDES)
    return canvas.finished()


# --- The authors' alignment, against a twin of their code that rounds, slices and adds.


def rounded(cells, share):
    """A share of some cells in whole cells, half to even."""
    return int(np.round(cells * share))


def part_by_authors(maps, scene, window):
    """The slice of whole cells that stands for a window; a view."""
    height, width = maps.shape[-2:]
    top = rounded(height, window.top / scene.height)
    left = rounded(width, window.left / scene.width)
    tall = rounded(height, window.height / scene.height)
    wide = rounded(width, window.width / scene.width)
    return maps[..., top : top + tall, left : left + wide]


def resized(maps, size):
    """Bilinear, not antialiased."""
    return functional.interpolate(
        maps[None], size=tuple(size), mode="bilinear", align_corners=False
    )[0]


def merged_by_authors(patches, scene, windows, cells):
    """Patch maps shrunk, added, and divided by the resized count of patches on every pixel."""
    total = torch.zeros(patches.shape[1], *cells, dtype=torch.float64)
    template = torch.zeros(1, *scene, dtype=torch.float64)
    for maps, window in zip(patches, windows, strict=True):
        part = part_by_authors(total, scene, window)
        part += resized(maps, part.shape[-2:])
        template[:, *window.slices] += 1
    return total / resized(template, cells)


@st.composite
def scenes(draw):
    """A scene, a thumbnail and a grid of patches; every patch spans a cell at least."""
    patch = draw(st.sampled_from([32, 60, 64, 92]))
    scene = Size(*(draw(st.integers(patch // 2, 2 * patch + 40)) for _ in "hw"))
    thumbnail = Size(*(draw(st.sampled_from([128, 156, 192])) for _ in "hw"))
    overlap = draw(st.integers(0, patch // 4))
    return scene, thumbnail, patch_grid(scene, patch, overlap, "authors")


@given(seed=SEEDS, place=scenes(), stride=st.sampled_from(STRIDES), data=st.data())
def test_the_authors_crop_is_a_slice_of_whole_cells_resized(seed, place, stride, data):
    """Cropping rounds the window to cells, slices them and resizes the slice."""
    scene, thumbnail, windows = place
    window = data.draw(st.sampled_from(windows))
    maps = noise(seed, 1, 2, *thumbnail.cells(stride))
    cells = window.size.cells(stride)

    found = crop_under(maps, [Place(0, scene, window)], cells, "authors")

    wanted = resized(part_by_authors(maps[0], scene, window), cells)
    torch.testing.assert_close(found[0], wanted, rtol=0, atol=1e-9)


@settings(max_examples=8)
@given(seed=SEEDS, place=scenes())
def test_the_authors_merge_divides_by_the_resized_count_of_patches(seed, place):
    """Laying adds resized maps at rounded windows and divides by a template of full resolution."""
    scene, thumbnail, windows = place
    patches = [noise(seed, len(windows), 2, *windows[0].size.cells(s)) for s in STRIDES]
    canvas = Canvas(scene, thumbnail, "authors")

    canvas.add(four_kinds(patches), windows, STRIDES)

    finished = canvas.finished()
    for number, stride in enumerate(STRIDES):
        wanted = merged_by_authors(patches[number], scene, windows, thumbnail.cells(stride))
        for kind, factor in zip(finished, FACTORS, strict=True):
            torch.testing.assert_close(kind[number], wanted * factor, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("scene", "thumbnail", "patch", "overlap"),
    [
        (Size(2448, 508), 508, 508, 50),
        (Size(2323, 508), 508, 508, 50),  # leaves cells that no patch covers
        (Size(1016, 508), 508, 508, 50),  # 63.5 of 127 cells: the last slice is cut by the border
        (Size(128, 64), 160, 64, 0),  # 2.5 of 5 cells: half goes to even, not up
    ],
)
def test_the_authors_alignment_where_rounding_is_awkward(scene, thumbnail, patch, overlap):
    """Crop and merge equal the twins at the paper's size and where a window splits a cell."""
    thumbnail = Size(thumbnail, thumbnail)
    windows = patch_grid(scene, patch, overlap, "authors")
    patches = [noise(scene.height, len(windows), 1, *windows[0].size.cells(s)) for s in STRIDES]
    canvas = Canvas(scene, thumbnail, "authors")

    canvas.add(four_kinds(patches), windows, STRIDES)

    finished = canvas.finished()
    for number, stride in enumerate(STRIDES):
        cells, patch_cells = thumbnail.cells(stride), windows[0].size.cells(stride)
        wanted = merged_by_authors(patches[number], scene, windows, cells)
        torch.testing.assert_close(finished.trunk[number], wanted, rtol=0, atol=1e-9)
        cropped = crop_under(
            wanted[None], [Place(0, scene, w) for w in windows], patch_cells, "authors"
        )
        for crop, window in zip(cropped, windows, strict=True):
            cut = resized(part_by_authors(wanted, scene, window), patch_cells)
            torch.testing.assert_close(crop, cut, rtol=0, atol=1e-9)


# --- The exact alignment.


@pytest.mark.parametrize("side", [508, 1016, 2323, 2448])
def test_an_exact_crop_reads_a_ramp_at_the_patchs_true_place(side):
    """Away from the border a crop of a map of positions holds its own cells' positions."""
    scene, thumbnail = Size(side, 700), Size(508, 508)

    for stride in STRIDES:
        cells = thumbnail.cells(stride)
        maps = ramp(everywhere(scene), cells)[None]
        first = [length / count / 2 for length, count in zip(scene, cells, strict=True)]
        for window in patch_grid(scene, 508, 50, "exact"):
            size = window.size.cells(stride)
            found = crop_under(maps, [Place(0, scene, window)], size, "exact")[0]
            wanted = ramp(window, size)
            for axis, border in enumerate(first):
                inner = (wanted[axis] >= border) & (wanted[axis] <= scene[axis] - border)
                assert inner.any()
                torch.testing.assert_close(
                    found[axis][inner], wanted[axis][inner], rtol=0, atol=1e-6
                )


@given(seed=SEEDS, patch=st.integers(4, 16), data=st.data())
def test_an_exact_crop_is_a_bilinear_sample_of_the_scene(seed, patch, data):
    """Where cells become smaller, a crop equals torch's grid sampler at the cells' middles."""
    side = 4 * patch
    scene = Size(*(data.draw(st.integers(side, 6 * side)) for _ in "hw"))
    window = Window(*(data.draw(st.integers(0, length - side)) for length in scene), side, side)
    coarse, fine = Size(5, 7), Size(2 * side, 2 * side)
    maps = noise(seed, 1, 2, *coarse)

    found = crop_under(maps, [Place(0, scene, window)], fine, "exact")

    rows, columns = ramp(window, fine)
    grid = torch.stack([2 * columns / scene.width - 1, 2 * rows / scene.height - 1], dim=-1)
    wanted = functional.grid_sample(
        maps, grid[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("scene", [Size(300, 508), Size(1016, 1016), Size(2032, 508)])
def test_a_ramp_laid_from_patches_side_by_side_is_the_scenes_ramp(scene):
    """Each global cell away from the border holds its own position, to a fiftieth of a cell."""
    thumbnail = Size(508, 508)
    windows = patch_grid(scene, 508, 0, "exact")

    finished = laid(scene, thumbnail, "exact", windows, ramp).trunk

    for found, stride in zip(finished, STRIDES, strict=True):
        cells = thumbnail.cells(stride)
        for axis in (0, 1):
            step = scene[axis] / cells[axis]
            error = (found - ramp(everywhere(scene), cells))[axis, 2:-2, 2:-2]
            assert error.abs().max() < 0.02 * step


@pytest.mark.parametrize("side", [1016, 2323, 2448])
def test_a_ramp_laid_from_overlapping_patches_stays_within_its_cell(side):
    """A seam of an overlap pulls a cell's mean by less than a sixth of a cell, to no one side."""
    scene, thumbnail = Size(side, 300), Size(508, 508)
    windows = patch_grid(scene, 508, 50, "exact")

    finished = laid(scene, thumbnail, "exact", windows, ramp).trunk

    for found, stride in zip(finished, STRIDES, strict=True):
        cells = thumbnail.cells(stride)
        step = scene.height / cells.height
        error = (found - ramp(everywhere(scene), cells))[0, 2:-2]
        assert error.abs().max() < step / 6
        assert error.mean().abs() < step / 30


@pytest.mark.parametrize("side", [300, 508, 1016, 2323])
def test_a_constant_stays_constant_everywhere(side):
    """Laid or cropped, a flat map is flat: exact alignment leaves no hole and no seam."""
    scene, thumbnail = Size(side, side), Size(508, 508)
    windows = patch_grid(scene, 508, 50, "exact")

    finished = laid(scene, thumbnail, "exact", windows, lambda _, c: torch.full((1, *c), 0.3))

    for number, stride in enumerate(STRIDES):
        cells = thumbnail.cells(stride)
        for kind, factor in zip(finished, FACTORS, strict=True):
            flat = torch.full((1, *cells), 0.3 * factor)
            torch.testing.assert_close(kind[number], flat, rtol=1e-5, atol=0)
        places = [Place(0, scene, window) for window in windows[:: len(windows) - 1 or 1]]
        size = windows[0].size.cells(stride)
        cropped = crop_under(torch.full((1, 1, *cells), 0.3), places, size, "exact")
        torch.testing.assert_close(
            cropped, torch.full((len(places), 1, *size), 0.3), rtol=1e-5, atol=0
        )


@settings(max_examples=8)
@given(seed=SEEDS, data=st.data())
def test_cutting_and_laying_back_is_the_identity_where_cells_agree(seed, data):
    """With a thumbnail as large as the scene and patches on its cells, nothing is resampled."""
    patch = 32 * data.draw(st.integers(1, 3))
    scene = Size(*(32 * data.draw(st.integers(patch // 32, patch // 32 + 2)) for _ in "hw"))
    tops, lefts = (sorted({*range(0, length - patch, 32), length - patch}) for length in scene)
    windows = [Window(top, left, patch, patch) for top in tops for left in lefts]
    whole = {stride: noise((seed, stride), 1, 2, *scene.cells(stride)) for stride in STRIDES}
    maps = four_kinds(list(whole.values()))
    canvas = Canvas(scene, scene, "exact")

    under = crop_maps(maps, [Place(0, scene, window) for window in windows], STRIDES, "exact")
    canvas.add(under, windows, STRIDES)

    for kind, wanted in zip(canvas.finished(), maps, strict=True):
        for found, level in zip(kind, wanted, strict=True):
            torch.testing.assert_close(found, level[0], rtol=0, atol=1e-12)


# --- Both alignments.


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@settings(max_examples=15)
@given(height=st.integers(20, 70), width=st.integers(20, 70))
def test_crops_have_the_cells_of_the_patch(alignment, height, width):
    """Every kind comes out at the patch's own size for its stride; an empty kind stays empty."""
    scene, thumbnail = Size(150, 170), Size(96, 64)
    levels = tuple(torch.ones(1, 1, *thumbnail.cells(stride)) for stride in STRIDES)
    places = [Place(0, scene, Window(top, 40, height, width)) for top in (0, 33, 80)]

    found = crop_maps(SharedMaps(levels, (), levels, levels), places, STRIDES, alignment)

    assert found.top_down == ()
    for kind in (found.trunk, found.smoothed, found.narrowed):
        for level, stride in zip(kind, STRIDES, strict=True):
            assert level.shape == (3, 1, *Size(height, width).cells(stride))


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_each_place_is_cut_from_its_own_scene(alignment):
    """Places of a batch name their scene; crops come in the order of the places."""
    maps = torch.stack([torch.full((1, 8, 8), value) for value in (1.0, 2.0, 3.0)])
    window = Window(16, 16, 32, 32)
    places = [Place(item, Size(64, 64), window) for item in (2, 0, 0, 1)]

    found = crop_under(maps, places, Size(8, 8), alignment)

    torch.testing.assert_close(found.mean(dim=(1, 2, 3)), torch.tensor([3.0, 1.0, 1.0, 2.0]))


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@settings(max_examples=6)
@given(seed=SEEDS, place=scenes())
def test_the_order_of_patches_does_not_matter(alignment, seed, place):
    """Patches laid backwards give the same maps."""
    scene, thumbnail, windows = place
    patches = {window: noise((seed, k), 2, 1, 1) for k, window in enumerate(windows)}

    def flat(window, cells):
        return patches[window].expand(2, *cells)

    forwards = laid(scene, thumbnail, alignment, windows, flat)
    backwards = laid(scene, thumbnail, alignment, windows[::-1], flat)

    for found, wanted in zip(backwards, forwards, strict=True):
        for level, same in zip(found, wanted, strict=True):
            torch.testing.assert_close(level, same, rtol=0, atol=1e-9)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_sharing_keeps_dtype_and_gradient(alignment):
    """Crops are float32 like the maps they are cut from, and the gradient flows back."""
    maps = torch.ones(1, 2, 8, 8, requires_grad=True)

    found = crop_under(
        maps, [Place(0, Size(64, 64), Window(0, 0, 64, 64))], Size(16, 16), alignment
    )
    found.sum().backward()

    assert found.dtype == torch.float32
    assert maps.grad is not None
    torch.testing.assert_close(maps.grad.sum(), torch.tensor(2.0 * 16 * 16))


def test_a_canvas_without_patches_is_refused():
    """Finishing before any patch was laid is an error."""
    with pytest.raises(ValueError, match="no patch"):
        Canvas(Size(64, 64), Size(32, 32), "exact").finished()


class Copies(TorchDispatchMode):
    """Takes down which copies are not waited for."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if function is torch.ops.aten._to_copy.default:
            self.waited = not options.get("non_blocking", False)
        return function(*arguments, **(options or {}))


def test_a_device_that_reads_later_is_waited_for():
    """Else MPS reads memory that is another array's by then; any device but CUDA may."""
    with Copies() as copies:
        there = sent(np.zeros((2, 3)), torch.device("meta"), torch.float32)

    assert copies.waited
    assert (there.device.type, there.dtype, there.shape) == ("meta", torch.float32, (2, 3))
