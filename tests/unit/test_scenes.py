"""What turned scenes promise."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glnet.geometry import Size, Window
from glnet.resample import Axis, resample, triangle
from glnet.scenes import TURNS, TurnedScene

SIDES = st.integers(1, 12)
EACH_TURN = pytest.mark.parametrize("turn", TURNS, ids=str)


class ArrayScene:
    """A scene in memory."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.size = Size(*pixels.shape[1:])

    def thumbnail(self, size):
        maps = (
            triangle(Axis(0, side, side), Axis(0, side, cells))
            for side, cells in zip(self.size, size, strict=True)
        )
        return resample(self.pixels.astype(float), *maps)

    def read(self, window=None):
        return self.pixels if window is None else self.pixels[:, *window.slices]


def numbered(height, width):
    """Two bands in which no two pixels are alike."""
    return np.arange(2 * height * width).reshape(2, height, width)


@st.composite
def windows(draw):
    """A rectangular size and a window inside it."""
    size = Size(draw(SIDES), draw(SIDES))
    (top, height), (left, width) = (
        (start := draw(st.integers(0, side - 1)), draw(st.integers(1, side - start)))
        for side in size
    )
    return size, Window(top, left, height, width)


def test_the_eight_turns_differ_and_the_first_changes_nothing():
    """Every symmetry of the square is there once; a scene comes upright first."""
    square = numbered(3, 3)

    turned = [turn.apply(square) for turn in TURNS]

    assert len({array.tobytes() for array in turned}) == len(TURNS) == 8
    np.testing.assert_array_equal(turned[0], square)


def test_a_quarter_turn_is_counter_clockwise_after_the_flip():
    """What a turn does to three pixels in a corner, worked by hand."""
    corner = np.array([[[1, 2], [3, 4]]])
    by_hand = {
        (False, 0): [[1, 2], [3, 4]],
        (False, 1): [[2, 4], [1, 3]],
        (False, 2): [[4, 3], [2, 1]],
        (False, 3): [[3, 1], [4, 2]],
        (True, 0): [[2, 1], [4, 3]],
        (True, 1): [[1, 3], [2, 4]],
        (True, 2): [[3, 4], [1, 2]],
        (True, 3): [[4, 2], [3, 1]],
    }

    turned = {(turn.flipped, turn.quarters): turn.apply(corner)[0].tolist() for turn in TURNS}

    assert turned == by_hand


@EACH_TURN
@given(height=SIDES, width=SIDES)
def test_undo_takes_a_turn_back(turn, height, width):
    """Turned and turned back is the same, for arrays and for tensors."""
    pixels = numbered(height, width)
    turned = turn.apply(pixels)

    array, tensor = turn.undo(turned), turn.undo(torch.from_numpy(turned.copy()))

    assert isinstance(array, np.ndarray)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(array, pixels)
    np.testing.assert_array_equal(tensor.numpy(), pixels)


@EACH_TURN
@pytest.mark.parametrize(("height", "width"), [(3, 4), (1, 3), (3, 1), (1, 1)])
def test_turned_arrays_can_become_tensors(turn, height, width):
    """Torch takes no negative strides, so what a turn makes is laid out anew, however narrow."""
    pixels = numbered(height, width)

    turned = torch.from_numpy(turn.apply(pixels))
    back = torch.from_numpy(turn.undo(turned.numpy()))

    assert turned.shape[1:] == turn.size(Size(height, width))
    np.testing.assert_array_equal(back.numpy(), pixels)


@EACH_TURN
@given(height=SIDES, width=SIDES)
def test_the_turned_size_is_that_of_the_turned_array(turn, height, width):
    """A scene and its pixels agree on the turned size, and turning it twice gives it back."""
    size = Size(height, width)
    scene = TurnedScene(ArrayScene(numbered(height, width)), turn)

    assert scene.size == turn.apply(numbered(height, width)).shape[1:]
    assert turn.size(scene.size) == size


@EACH_TURN
@given(place=windows())
def test_a_window_of_a_turned_scene_is_cut_from_the_turned_array(turn, place):
    """Reading a window gives what lies there once the whole scene has been turned."""
    size, window = place
    pixels = numbered(*turn.size(size))
    scene = TurnedScene(ArrayScene(pixels), turn)

    part = scene.read(window)

    assert scene.size == size
    np.testing.assert_array_equal(part, turn.apply(pixels)[:, *window.slices])


@EACH_TURN
@given(height=SIDES, width=SIDES)
def test_without_a_window_the_whole_turned_scene_is_read(turn, height, width):
    """Reading everything gives the whole turned array."""
    pixels = numbered(height, width)

    found = TurnedScene(ArrayScene(pixels), turn).read()

    np.testing.assert_array_equal(found, turn.apply(pixels))


@EACH_TURN
@given(height=SIDES, width=SIDES, to=st.tuples(SIDES, SIDES))
def test_a_turned_thumbnail_is_the_thumbnail_of_the_turned_array(turn, height, width, to):
    """Thumbnails of a turned scene have the size asked for and the turned content."""
    pixels = numbered(height, width)

    found = TurnedScene(ArrayScene(pixels), turn).thumbnail(Size(*to))

    wanted = ArrayScene(turn.apply(pixels)).thumbnail(Size(*to))
    assert found.shape == (2, *to)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)


@EACH_TURN
@given(place=windows())
def test_a_window_turned_upright_stays_inside(turn, place):
    """The upright window lies within the upright scene and has the turned window's size."""
    size, window = place

    upright = turn.window(window, size)

    scene = turn.size(size)
    assert upright.top >= 0
    assert upright.left >= 0
    assert upright.bottom <= scene.height
    assert upright.right <= scene.width
    assert upright.size == turn.size(window.size)
