"""What a network that sees its images shrunk promises: of the small image, on the large one."""

import dataclasses

import numpy as np
import pytest
import torch

from glnet.datasets.augment import Augmentation
from glnet.datasets.choosing import seek
from glnet.engines.engine import Engine
from glnet.engines.folded import FoldedNetwork
from glnet.engines.torch_engine import TorchEngine, TorchGraphs
from glnet.engines.turning import segment_turned
from glnet.geometry import Size, Window, patch_grid
from glnet.model.folding import fold
from glnet.resample import Axis, shrink, triangle
from glnet.scenes import TURNS, Decoded, ScaledScene
from networks import NETWORKS, ArrayScene, named, tiny_network

SIZE = Size(205, 333)
CPU = torch.device("cpu")


def scene_of_floats(size=SIZE, bands=3):
    """Smooth noise: what is shrunk keeps some of it, and nothing is rounded."""
    coarse = np.random.default_rng(0).normal(128, 60, (bands, 24, 36)).astype(np.float32)
    return ArrayScene(shrink(coarse, size))


def seen_small(scene, by):
    """The scene as an image of its own, shrunk whole."""
    size = Size(*(round(side / by) for side in scene.size))
    return Decoded(shrink(scene.pixels, size), scene.thumbnail(Size(64, 64)))


@pytest.mark.parametrize("network", NETWORKS, ids=named)
@pytest.mark.parametrize("by", [2, 3])
def test_the_scores_are_those_of_the_shrunk_image_enlarged(network, by):
    """Every view, its cells and where they lie on the large image; sides are no multiples."""
    plain, shrinking = (
        TorchEngine(tiny_network(**network, shrink=each), CPU, mini_batch=3) for each in (1, by)
    )
    scene = scene_of_floats()
    small = seen_small(scene, by)

    found = shrinking.segment(scene, shrinking.settings.views)

    expected = plain.segment(small, plain.settings.views)
    assert found.patches == expected.patches
    for view, scores in expected.views.items():
        mine, largest = found.views[view], float(scores.cells.abs().max())
        assert mine.size == SIZE
        torch.testing.assert_close(mine.cells, scores.cells, atol=1e-4 * largest, rtol=0)
        rows, columns = (
            triangle(
                Axis(0, scores.extent[side] * SIZE[side] / small.size[side], cells),
                Axis(0, SIZE[side], SIZE[side]),
            )
            for side, cells in enumerate(scores.cells.shape[1:])
        )
        dense = _dense(rows, scores.cells.shape[1]) @ scores.cells.numpy()
        dense = dense @ _dense(columns, scores.cells.shape[2]).T
        whole = mine.read(Window(0, 0, *SIZE)).numpy()
        np.testing.assert_allclose(whole, dense, atol=2e-4 * largest)
        assert mine.labels().shape == SIZE


def _dense(axis, cells):
    matrix = np.zeros((len(axis.weights) + axis.target, cells))
    matrix[axis.target_slice, axis.source_slice] = axis.weights
    return matrix


def test_folded_and_turned_it_shrinks_too():
    """Every way to run the network goes through the one that shrinks."""
    model = tiny_network(pyramid="normed", finest=2, shrink=2)
    scene = scene_of_floats()
    plain = TorchEngine(model, CPU)
    folded = Engine(FoldedNetwork(model.settings, 3, TorchGraphs(fold(model), CPU)), "torch")
    views = model.settings.views

    expected, found = (engine.segment(scene, views).views for engine in (plain, folded))
    mean = segment_turned(plain, scene, views).views

    twin = TorchEngine(tiny_network(pyramid="normed", finest=2), CPU)
    small = segment_turned(twin, seen_small(scene, 2), views).views
    for view in views:
        largest = float(expected[view].cells.abs().max())
        torch.testing.assert_close(
            found[view].cells, expected[view].cells, atol=1e-4 * largest, rtol=0
        )
        assert mean[view].size == SIZE
        # But for where it is enlarged in two steps.
        assert (mean[view].labels() == small[view].onto(SIZE).labels()).mean() > 0.98


@pytest.mark.parametrize("by", [2, 5])
def test_whether_a_patch_is_needed_is_asked_of_the_images_own_pixels(by):
    """The windows asked for are the network's patches as they lie on the image; together all."""
    engine = TorchEngine(tiny_network(branches="local", sharing="none", shrink=by), CPU)
    scene, asked = scene_of_floats(), []

    def needed(window):
        asked.append(window)
        return True

    engine.segment(scene, ["local"], needed)

    small = Size(*(round(side / by) for side in SIZE))
    grid = patch_grid(small, 64, 16)
    covered = np.zeros(SIZE, bool)
    for window, patch in zip(asked, grid, strict=True):
        covered[window.slices] = True
        for (start, length), (own, side), full, seen in zip(
            (window.rows, window.columns), (patch.rows, patch.columns), SIZE, small, strict=True
        ):
            assert start <= own * full / seen < start + 1
            assert start + length - 1 < (own + side) * full / seen <= start + length
    assert covered.all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("factor", [0.5, 1 / 3, 0.73, 1.6])
def test_windows_of_a_scaled_scene_have_no_seams(dtype, factor):
    """Bytes are resampled by Pillow, all else by matrices: both look beyond a window's border."""
    pixels = shrink(scene_of_floats().pixels.clip(0, 255), Size(90, 131)).astype(dtype)
    scaled = ScaledScene(ArrayScene(pixels), factor)
    whole = scaled.read()

    expected = shrink(pixels.astype(np.float32), scaled.size)
    np.testing.assert_allclose(whole, expected, atol=0 if dtype == np.float32 else 1.01)
    height, width = scaled.size
    for top in range(0, height, 17):
        for left in range(0, width, 23):
            window = Window(top, left, min(17, height - top), min(23, width - left))
            part = scaled.read(window).astype(float)
            # Rounded twice by Pillow, once otherwise.
            atol = 1e-3 if dtype == np.float32 else 1
            np.testing.assert_allclose(part, whole[:, *window.slices], atol=atol)


@pytest.mark.parametrize("turn", [TURNS[0], TURNS[3], TURNS[6]])
def test_rare_pixels_are_sought_where_they_lie_on_the_shrunk_image(turn):
    """A pixel that was found on the image is looked for at its place in the network's pixels."""
    augmentation = dataclasses.replace(
        Augmentation(turn, 1.0, np.ones(3), np.zeros(3)), factor=1 / 4
    )
    places = {1: np.array([[100, 37]])}

    row, column = next(seek(places, augmentation, SIZE, np.random.default_rng(0)))

    marked = np.zeros((1, *SIZE))
    marked[0, 100, 37] = 1
    turned = np.argwhere(turn.apply(marked)[0])[0]
    assert (row, column) == tuple((turned + 0.5) // 4)
