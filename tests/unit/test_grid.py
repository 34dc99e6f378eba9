"""Meridians and parallels lie where rasterio's own transform puts them."""

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform

from glnet.geometry import Size
from glnet.georeference import Georeference
from glnet.viewer.grid import grid
from glnet.viewer.places import places_of

EARTH = "OGC:CRS84"
UTM = Affine(0.5, 0, 499_000, 0, -0.5, 5_300_000)

#: System, transform, and the part that is seen: top, left, bottom, right.
CASES = {
    "plane": ("EPSG:32640", UTM, (0, 0, 4000, 6000)),
    "near": ("EPSG:32640", UTM, (1000.25, 2000.5, 1040.75, 2090.5)),
    "turned": ("EPSG:32640", UTM @ Affine.rotation(33), (-10, 0, 3000, 4000)),
    "mirrored": ("EPSG:32740", Affine(0, 30, 2e5, 30, 0, 6e6), (0, 0, 7000, 9000)),
    "degrees": ("EPSG:4326", Affine(0.01, 0, -180, 0, -0.01, 90), (0, 0, 18_000, 36_000)),
    "from nought": ("EPSG:4326", Affine(0.1, 0, 0, 0, -0.1, 90), (0, 0, 1800, 3600)),
    "web": ("EPSG:3857", Affine(5000, 0, -20_037_508.34, 0, -5000, 1.9e7), (0, 0, 7000, 8015)),
    "over the date line": ("EPSG:32660", Affine(100, 0, 5e5, 0, -100, 7e6), (0, 0, 2000, 3000)),
    "beside a pole": ("EPSG:3031", Affine(500, 0, 1e5, 0, -500, 3e6), (0, 0, 5000, 4000)),
    "around a pole": ("EPSG:3031", Affine(500, 0, -2e6, 0, -500, 2.2e6), (0, 0, 8000, 8000)),
    "beyond the globe": (
        "+proj=ortho +lat_0=40 +lon_0=10", Affine(5000, 0, -7e6, 0, -5000, 7e6), (0, 0, 2800, 2800),
    ),
}  # fmt: skip


def places_in(system, affine):
    return places_of(Georeference(CRS.from_user_input(system), affine), Size(3000, 3000))


def moved(source, target, places):
    return np.stack(transform(source, target, *places.T.tolist()), axis=1)


def degrees_of(label):
    """From a label to the axis, 0 for longitude, and its degrees; None: both could be meant."""
    letter = label[-1]
    degrees = float(label.rstrip("°EWNS")) * (-1 if letter in "WS" else 1)
    if letter == "°":
        return (0 if degrees else None), degrees
    return "EWNS".index(letter) // 2, degrees


@pytest.mark.parametrize("case", CASES)
def test_lines_are_where_rasterio_says(case):
    """Every point, and the middle between two of them to what a screen can show."""
    system, affine, box = CASES[case]
    places = places_in(system, affine)
    top, left, bottom, right = box
    lines = grid(places, box)
    seen = ({}, {})

    for line in lines:
        axis, wanted = degrees_of(line.label)
        middles = (line.points[1:] + line.points[:-1]) / 2
        for points, off in ((line.points, 0.01), (middles, max(right - left, bottom - top) / 1500)):
            column, row = points.T
            inside = (column >= left) & (column <= right) & (row >= top) & (row <= bottom)
            if not inside.any() or (points is middles and system.startswith("+proj=ortho")):
                continue  # at the globe's edge degrees of a pixel are anything
            shown = points[inside]
            xy = np.array([affine @ tuple(point) for point in shown])
            earth = moved(system, EARTH, xy)
            if axis is None:
                axis = 0 if np.ptp(earth[:, 0]) < np.ptp(earth[:, 1]) else 1
            turns = np.rint((earth[:, axis] - wanted) / 360) if axis == 0 else 0
            earth[:, axis] = wanted + 360 * turns
            exact = moved(EARTH, system, earth)
            back = np.array([~affine @ tuple(point) for point in exact])
            assert np.abs(back - shown).max() <= off
            seen[axis][line.label] = True
    assert all(4 <= len(each) <= 8 for each in seen), seen


def test_lines_begin_and_end_beyond_what_is_seen():
    """In the plane of one zone: every line crosses the whole part."""
    system, affine, box = CASES["plane"]
    for line in grid(places_in(system, affine), box):
        (column, row), (column2, row2) = line.points[0], line.points[-1]
        if line.label[-1] in "EW":
            assert (row > box[2], row2 < box[0]) == (True, True)
        else:
            assert (column < box[1], column2 > box[3]) == (True, True)


def test_a_pixels_place():
    """There and back."""
    places = places_in("EPSG:3857", Affine(10, 0, 1e6, 0, -10, 8.4e6))
    points = np.array([(0.0, 0.0), (123.25, 999.5)])

    np.testing.assert_allclose(places.in_raster(places.on_earth(points)), points, atol=1e-4)


@pytest.mark.parametrize("system", [None, 'LOCAL_CS["site",UNIT["metre",1]]'])
def test_what_lies_nowhere_has_no_place(system):
    crs = None if system is None else CRS.from_wkt(system)
    assert places_of(Georeference(crs, UTM), Size(1000, 1000)) is None
