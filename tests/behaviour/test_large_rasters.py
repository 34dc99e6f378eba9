"""What predicting a raster far larger than its memory promises: a limit of the system is kept."""

import sys
from pathlib import Path

import numpy as np
import pytest

import large
from makers import opened, write_png

pytestmark = pytest.mark.skipif(
    not (sys.platform == "linux" and Path("/proc/self/status").exists()),
    reason="only Linux limits what a process may allocate",
)

#: Beyond what importing took.
LIMIT = 600 << 20


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return large.make_model(tmp_path_factory.mktemp("large") / "model")


def test_a_raster_of_many_scenes_keeps_a_hard_limit(model, tmp_path):
    """Every scene is computed, the mask is whole, and four times the ground takes no more."""
    small, big = (large.make_sparse(tmp_path / f"{side}.tif", side) for side in (4_000, 8_000))

    one, four = (large.measure(image, model, tmp_path / f"{image.stem}.mask.tif", LIMIT)
                 for image in (small, big))  # fmt: skip

    assert four["computed"] == four["parts"] > 2 * one["parts"]
    # GDAL keeps 64 MiB of blocks, which the small one does not fill; 48 megapixels would be more.
    assert four["memory"] - one["memory"] < 80 << 20
    with opened(tmp_path / "8000.mask.tif") as file:
        assert (file.height, file.width) == (8_000, 8_000)
        # Black ground everywhere: what is far from borders has one class.
        middle = file.read(1, window=((3_900, 4_100), (0, 8_000)))
        assert middle.max() < large.CLASSES


def test_a_picture_that_is_decoded_line_by_line_keeps_it_too(tmp_path):
    """A PNG of 105 megapixels, once into a tiled file; a global branch needs 170 MiB less."""
    model = large.make_model(tmp_path / "model", branches="global")
    pixels = np.zeros((7_000, 15_000), np.uint8)
    pixels[:, 7_000:] = 200
    image = write_png(tmp_path / "a.png", pixels)

    report = large.measure(image, model, tmp_path / "mask.tif", LIMIT - (170 << 20))

    assert report["size"] == [7_000, 15_000]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["model"]
