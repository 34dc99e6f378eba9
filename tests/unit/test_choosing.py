"""What the choice of patches promises: rare classes are sought, and nothing leaves the scene."""

from itertools import islice, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.datasets.augment import Augmentation
from glnet.datasets.choosing import choose_centred, choose_of_grid, seek
from glnet.geometry import OUTPUT_STRIDE, Size, patch_grid
from glnet.scenes import TURNS

PATCH, OVERLAP = 32, 8
SIDES = st.integers(5, 150)
SCENES = st.builds(Size, SIDES, SIDES)


def augmentation(turn, factor=1.0):
    return Augmentation(turn, factor, np.ones(3), np.zeros(3))


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_a_sought_pixel_is_of_its_class_however_the_scene_is_turned(turn):
    """Places are of the stored scene; what is found is where they lie in the turned one."""
    labels = rng().integers(0, 4, (1, 7, 11)).astype(np.uint8)
    places = {3: np.argwhere(labels[0] == 3)}
    turned = turn.apply(labels)[0]

    found = list(islice(seek(places, augmentation(turn), Size(7, 11), rng(1)), 200))

    assert all(turned[pixel] == 3 for pixel in found)
    assert set(found) == {tuple(map(int, pixel)) for pixel in np.argwhere(turned == 3)}


@given(factor=st.floats(0.5, 2), row=st.integers(0, 40), column=st.integers(0, 60))
def test_a_sought_pixel_is_scaled_with_the_scene(factor, row, column):
    """The pixel's middle, times the factor."""
    places = {0: np.array([(row, column)])}

    found = next(seek(places, augmentation(TURNS[0], factor), Size(41, 61), rng()))

    assert np.abs(np.array(found) + 0.5 - factor * (np.array([row, column]) + 0.5)).max() <= 0.5


def test_every_class_is_equally_likely():
    """However few pixels it has; classes without any are passed over."""
    places = {0: np.full((1000, 2), 1), 1: np.full((1, 2), 2), 2: np.empty((0, 2), int)}

    found = list(islice(seek(places, augmentation(TURNS[0]), Size(9, 9), rng()), 2000))

    assert 900 < sum(pixel == (2, 2) for pixel in found) < 1100


def test_without_places_nothing_is_found():
    """An image without labels is drawn from like any other."""
    assert list(seek({}, augmentation(TURNS[0]), Size(9, 9), rng())) == []


@given(scene=SCENES, wanted=st.integers(1, 9), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_moved_patches_hold_their_pixel_and_stay_inside(scene, wanted, share, seed):
    """As many as wanted where the grid has them, on the output stride, of the grid's size.

    A pixel is in the middle to the stride, but for patches at the scene's border.
    """
    grid = patch_grid(scene, PATCH, OVERLAP)
    draw = rng(seed)
    pixels = [(int(draw.integers(scene.height)), int(draw.integers(scene.width))) for _ in "123456789"]  # fmt: skip  # noqa: E501

    windows, drawn = choose_centred(grid, wanted, share, iter(pixels), scene, draw)

    moved = round(share * wanted)
    assert len(windows) == moved + min(wanted - moved, len(grid))
    assert drawn == list(range(len(windows)))
    for window in windows:
        assert window.size == grid[0].size
        assert window.top % OUTPUT_STRIDE == window.left % OUTPUT_STRIDE == 0
        assert 0 <= window.top <= window.bottom <= scene.height
        assert 0 <= window.left <= window.right <= scene.width
    for window, (row, column) in zip(windows[len(windows) - moved :], pixels, strict=False):
        assert window.top <= row < window.bottom
        assert window.left <= column < window.right
        for at, start, side, whole in zip(
            (row, column), (window.top, window.left), window.size, scene, strict=True
        ):
            off = at - (start + side // 2)
            assert 0 <= off < OUTPUT_STRIDE or start == (0 if off < 0 else whole - side)


@given(scene=SCENES, wanted=st.integers(1, 9), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_of_a_grid_that_stays_whole_the_nearest_patches_are_taken(scene, wanted, share, seed):
    """Laying needs every patch; the loss is taken of as many different ones as wanted."""
    grid = patch_grid(scene, PATCH, OVERLAP)
    draw = rng(seed)
    pixels = [(int(draw.integers(scene.height)), int(draw.integers(scene.width))) for _ in "123456789"]  # fmt: skip  # noqa: E501

    windows, drawn = choose_of_grid(grid, wanted, share, iter(pixels), scene, draw)

    assert windows == grid
    assert len(set(drawn)) == len(drawn) == min(wanted, len(grid))
    if wanted < len(grid):
        for row, column in pixels[: round(share * wanted)]:
            assert any(
                grid[i].top <= row < grid[i].bottom and grid[i].left <= column < grid[i].right
                for i in drawn
            )


def test_the_patch_that_is_taken_holds_its_pixel():
    """Every pixel, those on the edge between two patches' middles too."""
    scene = Size(49, 143)
    grid = patch_grid(scene, PATCH, OVERLAP)

    for row, column in product(range(scene.height), range(scene.width)):
        _, (taken,) = choose_of_grid(grid, 1, 1.0, iter([(row, column)]), scene, rng())

        assert grid[taken].top <= row < grid[taken].bottom
        assert grid[taken].left <= column < grid[taken].right


def test_all_takes_the_grid_as_it_is():
    """There is nothing to seek where everything is seen."""
    grid = patch_grid(Size(90, 70), PATCH, OVERLAP)

    for choose in (choose_centred, choose_of_grid):
        windows, drawn = choose(grid, "all", 0.5, iter([(0, 0)]), Size(90, 70), rng())

        assert (windows, drawn) == (grid, list(range(len(grid))))
