"""What the plan of a raster's parts promises: every pixel kept once, scenes alike and inside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine

from glnet.bundle import ONE_SCENE
from glnet.geometry import Size, Window, tiles
from glnet.georeference import Georeference
from glnet.mosaic import ScoreMap
from glnet.prediction.blending import Scored, compose
from glnet.prediction.parts import plan_parts

SIZES = st.builds(Size, st.integers(1, 700), st.integers(1, 700))


@given(size=SIZES, side=st.integers(16, 200), halo=st.sampled_from([0, 1 / 16, 1 / 8, 1 / 4]))
def test_every_pixel_is_the_core_of_one_part(size, side, halo):
    plan = plan_parts(size, side, side, halo)
    parts = plan.parts

    kept = np.zeros(size, int)
    for number, part in enumerate(parts):
        kept[part.core.slices] += 1
        assert part.number == number
        assert part.scene.fits(size)
        top, left = part.scene.top + part.inner.top, part.scene.left + part.inner.left
        assert (top, left, *part.inner.size) == (part.core.top, part.core.left, *part.core.size)
        assert part.inner.fits(part.scene.size)
    assert (kept == 1).all()


@given(size=SIZES, side=st.integers(16, 200), halo=st.sampled_from([0, 1 / 16, 1 / 8, 1 / 4]))
def test_scenes_are_alike_no_larger_than_asked_and_hold_their_halo(size, side, halo):
    plan = plan_parts(size, side, side, halo)
    parts = plan.parts

    assert len({part.scene.size for part in parts}) == 1
    if len(parts) == 1:
        return
    margin = round(side * halo)
    assert max(parts[0].scene.size) <= side
    for part in parts:
        scene, core = part.scene, part.core
        assert core.top - scene.top >= min(margin, core.top)
        assert core.left - scene.left >= min(margin, core.left)
        assert scene.bottom - core.bottom >= min(margin, size.height - core.bottom)
        assert scene.right - core.right >= min(margin, size.width - core.right)


@given(size=SIZES, longest=st.integers(16, 500))
def test_up_to_a_quarter_more_than_the_longest_is_one_scene(size, longest):
    parts = plan_parts(size, longest, 16, 0).parts

    assert (len(parts) == 1) == (max(size) <= ONE_SCENE * longest or max(size) <= 16)
    if max(size) <= ONE_SCENE * longest:
        assert parts[0].scene == parts[0].core
        assert parts[0].core.size == size


@given(size=SIZES, side=st.integers(16, 200), halo=st.sampled_from([0, 1 / 16, 1 / 8, 1 / 4]))
def test_who_reaches_into_whom_is_what_windows_say(size, side, halo):
    plan = plan_parts(size, side, side, halo)

    for part in plan.parts[:: max(1, len(plan.parts) // 7)]:
        over = [other for other in plan.parts if other.scene.meets(part.core)]
        under = [other for other in plan.parts if part.scene.meets(other.core)]
        assert list(plan.over(part)) == over
        assert list(plan.under(part)) == under


@given(size=SIZES, side=st.integers(32, 200), halo=st.sampled_from([1 / 16, 1 / 8]))
def test_weights_fade_in_and_leave_no_pixel_without(size, side, halo):
    """Everywhere something counts, and from one pixel to the next nothing jumps."""
    plan = plan_parts(size, side, side, halo)
    total, jumps = np.zeros(size), 0.0

    for part in plan.parts:
        weights = plan.weights(part, part.scene)
        total[part.scene.slices] += weights
        around = np.pad(weights, 1)
        if part.scene.top == 0:
            around[0] = around[1]
        if part.scene.left == 0:
            around[:, 0] = around[:, 1]
        if part.scene.bottom == size.height:
            around[-1] = around[-2]
        if part.scene.right == size.width:
            around[:, -1] = around[:, -2]
        jumps = max(jumps, np.abs(np.diff(around, axis=0)).max(), np.abs(np.diff(around)).max())
        inner = Window(part.inner.top, part.inner.left, 1, 1)
        corner = plan.weights(part, Window(part.core.top, part.core.left, 1, 1))
        assert corner == weights[inner.slices]

    assert total.min() > 0.2
    if len(plan.parts) > 1:
        assert jumps <= 1 / (2 * plan.margin) + 1e-6


@pytest.mark.parametrize("there", [(), (0, 1, 5)])
def test_a_part_is_given_with_the_last_of_its_scenes_and_none_is_kept_for_longer(there):
    """Also where some scenes are there before; all parts come once, and nothing is left.

    Where scenes agree a window of a part has the scores that all give it.
    """
    plan = plan_parts(Size(50, 80), 40, 40, 3 / 8)
    agreed = np.random.default_rng(0).random((2, *plan.size))

    def scored(part):
        size = part.scene.size
        return Scored(ScoreMap(agreed[:, *part.scene.slices], size, size, "exact"))

    shelf = {number: scored(plan.parts[number]) for number in there}
    seen, given = set(there), []

    def missing():
        for part in plan.parts:
            if part.number not in there:
                seen.add(part.number)
                yield part, scored(part)

    for found in compose(plan, plan.parts, shelf, missing(), tolerant=False):
        over = {part.number for part in plan.over(found.part)}
        assert over <= shelf.keys()
        assert max(seen - set(there), default=0) == max(over - set(there), default=0)
        for number in shelf:
            assert any(part.number not in given for part in plan.under(plan.parts[number]))
        for piece in tiles(found.part.core.size, 4, 3):
            window = found.part.core.within(piece)
            np.testing.assert_allclose(found.read(window), agreed[:, *window.slices], rtol=1e-5)
        given.append(found.part.number)

    assert sorted(given) == list(range(len(plan.parts)))
    assert not shelf


def test_the_size_of_a_pixel_is_that_of_the_middle_one():
    """Of columns, too: where a map stretches with both."""
    system, side = CRS.from_string("EPSG:3031"), 40_000
    whole = Georeference(system, Affine(side, 0, 1e6, 0, -side, 5e6))
    one = Georeference(system, Affine(side, 0, 1e6 + 49.5 * side, 0, -side, 5e6 - 19.5 * side))

    assert whole.resolution(Size(40, 100)) == pytest.approx(one.resolution(Size(1, 1)))


def test_a_halo_that_leaves_no_core_is_refused():
    with pytest.raises(ValueError, match="leave no core"):
        plan_parts(Size(500, 500), 64, 64, 0.5)


@pytest.mark.parametrize(
    ("crs", "transform", "expected"),
    [
        ("EPSG:32640", Affine(0.5, 0, 500, 0, -0.25, 900), (0.25, 0.5)),
        ("EPSG:32640", Affine(0.3, -0.4, 500, -0.4, -0.3, 900), (0.5, 0.5)),
        ("EPSG:2263", Affine(1, 0, 0, 0, -1, 0), (0.3048006096,) * 2),  # US feet
        ("EPSG:4326", Affine(2e-5, 0, 20, 0, -1e-5, 60), (1.11195, 1.11195)),
        ("EPSG:4326", Affine(1e-5, 0, 20, 0, -1e-5, 0), (1.11195, 1.11195)),
        ("EPSG:4807", Affine(1e-5, 0, 20, 0, -1e-5, 50), (1.0008, 0.7077)),  # grads
        # At 60 degrees Web Mercator's metres are half as long; on the equator they are metres.
        ("EPSG:3857", Affine(1, 0, 1e6, 0, -2, 8399738), (1.0, 0.5)),
        ("EPSG:3857", Affine(1, 0, 20037457.9, 0, -2, 8399738), (1.0, 0.5)),  # the date line
        ("EPSG:3857", Affine(1, 0, 1e6, 0, -2, 0), (2.0, 1.0)),
        (None, Affine(2, 0, 10, 0, -2, 20), None),
    ],
)
def test_the_size_of_a_pixel_on_the_ground(crs, transform, expected):
    """Rows first; feet, degrees and what a map stretches become metres, at the raster's centre."""
    ground = Georeference(None if crs is None else CRS.from_string(crs), transform)

    found = ground.resolution(Size(100, 100))

    if expected is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, expected, rtol=2e-3)
