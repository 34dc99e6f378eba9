"""What the viewer promises: the right pixels at any zoom, exact counts, only its own files."""

import os
import socket

import numpy as np
import pytest
from PIL import Image, ImageOps
from rasterio.transform import Affine

from glnet.datasets.classes import default_colour
from glnet.viewer import pyramid, sources
from makers import (
    check_one_line,
    noise,
    opened,
    write_classes,
    write_jpg,
    write_png,
    write_tif,
)
from viewing import viewed

CLASSES = {"class_0": "land", "class_1": "water", "class_7": "road"}
COLOURS = {0: (0, 128, 0), 1: (0, 0, 255), 7: (200, 10, 90), 255: (0, 0, 0)}


def labels(height, width, seed=0, values=(0, 1, 7, 255)):
    rng = np.random.default_rng(seed)
    return rng.choice(np.array(values, np.uint8), (height, width))


def write_mask(path, values, **options):
    """As `glnet predict` writes one."""
    write_tif(path, values[None], nodata=255, **options)
    with opened(path, "r+") as file:
        file.write_colormap(1, {value: (*colour, 255) for value, colour in COLOURS.items()})
        file.update_tags(1, **CLASSES)
    return path


def painted(values, without=()):
    out = np.zeros((*values.shape, 4), np.uint8)
    for value, colour in COLOURS.items():
        if value != 255 and value not in without:
            out[values == value] = (*colour, 255)
    return out


def rgba(pixels, known=None):
    colours = np.broadcast_to(np.moveaxis(pixels, 0, -1), (*pixels.shape[1:], 3))
    alpha = np.full(pixels.shape[1:], 255, np.uint8) if known is None else known * np.uint8(255)
    return np.dstack([colours, alpha])


@pytest.mark.parametrize("size", [(1, 1), (256, 256), (257, 511), (700, 300)])
def test_at_full_size_every_pixel_is_the_files(tmp_path, size):
    pixels, values = noise(3, *size), labels(*size)
    image, mask = write_tif(tmp_path / "a.tif", pixels), write_mask(tmp_path / "m.tif", values)

    with viewed(image, mask) as page:
        assert np.array_equal(page.whole("image"), rgba(pixels))
        assert np.array_equal(page.whole("mask"), painted(values))


def test_from_afar_a_label_is_one_of_the_files(tmp_path):
    """That in the middle of what a pixel of the screen covers, never a mean."""
    values = labels(600, 520)
    image, mask = tmp_path / "a.png", write_mask(tmp_path / "m.tif", values)
    with viewed(write_png(image, noise(3, 600, 520)), mask) as page:
        assert np.array_equal(page.whole("mask", 0), painted(values[2::4, 2::4]))


def test_classes_that_are_switched_off_are_clear(tmp_path):
    values = labels(300, 280)
    image = write_tif(tmp_path / "a.tif", noise(3, 300, 280))

    with viewed(image, write_mask(tmp_path / "m.tif", values)) as page:
        seen = page.whole("mask", query="?without=1,7")

    assert np.array_equal(seen, painted(values, without=(1, 7)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_upright(tmp_path, orientation):
    image = write_jpg(tmp_path / "a.jpg", noise(3, 64, 96), orientation)

    with viewed(image) as page, Image.open(image) as photo:
        upright = np.moveaxis(np.asarray(ImageOps.exif_transpose(photo)), -1, 0)
        assert np.array_equal(page.whole("image"), rgba(upright))


def test_ground_without_data_is_clear(tmp_path):
    pixels = noise(1, 120, 90, dtype=np.int16)
    pixels[0, 30:70, 10:80] = -9999
    image = write_tif(tmp_path / "a.tif", pixels, nodata=-9999)

    with viewed(image) as page:
        alpha = page.whole("image")[..., 3]

    assert np.array_equal(alpha == 0, pixels[0] == -9999)


def test_other_values_than_bytes_are_stretched_in_order(tmp_path):
    """Dark to bright as they are; float values that are no number are clear."""
    ramp = np.linspace(-5, 3, 200 * 100, dtype=np.float32).reshape(1, 200, 100)
    ramp[0, 50, 60] = np.nan
    with viewed(write_tif(tmp_path / "a.tif", ramp)) as page:
        seen = page.whole("image")

    assert seen[50, 60, 3] == 0
    shown = np.delete(seen[..., 0].ravel(), 50 * 100 + 60).astype(int)
    assert (np.diff(shown) >= 0).all()
    assert shown[0] == 0
    assert shown[-1] == 255
    assert len(np.unique(shown)) == 256


def test_bands_are_those_that_were_asked_for(tmp_path, glnet):
    pixels = noise(5, 60, 70)
    image = write_tif(tmp_path / "a.tif", pixels)

    with viewed(image, bands=(5, 1, 2)) as page:
        assert np.array_equal(page.whole("image"), rgba(pixels[[4, 0, 1]]))
        assert page.json("pixel?row=3&column=4")["values"] == pixels[[4, 0, 1], 3, 4].tolist()
    with viewed(image, bands=(4,)) as page:
        assert np.array_equal(page.whole("image"), rgba(pixels[[3]]))
    check_one_line(*glnet("view", image, "--bands", "1,2", "--no-browser"), image, "three")


@pytest.fixture
def small(monkeypatch):
    """What counts as large, in pixels of a side."""
    monkeypatch.setattr(sources, "LARGE", 64)
    monkeypatch.setattr(sources, "_KEPT", 64 * 64)


def tiles_option():
    return {"tiled": True, "blockxsize": 32, "blockysize": 32}


def cells(length, by):
    return [slice(start, min(start + by, length)) for start in range(0, length, by)]


@pytest.mark.usefixtures("small")
def test_large_files_get_copies_of_a_quarter_of_their_sides(tmp_path):
    """Near by it is the file; from afar the mean of what is known, or the label in the middle."""
    pixels, values = noise(3, 1030, 1301), labels(1030, 1301)
    pixels[:, 500:700, 300:900] = 9
    image = write_tif(tmp_path / "a.tif", pixels, nodata=9, **tiles_option())
    mask = write_mask(tmp_path / "m.tif", values, **tiles_option())
    known = (pixels != 9).any(axis=0)  # GDAL's: in all bands

    with viewed(image, mask) as page:
        assert np.array_equal(page.whole("image"), rgba(pixels, known))
        assert np.array_equal(page.whole("mask"), painted(values))
        zoom = page.json("facts")["zooms"] - 2
        afar, marks = page.whole("image", zoom), page.whole("mask", zoom)

    for i, rows in enumerate(cells(1030, 4)):
        for j, columns in enumerate(cells(1301, 4)):
            beneath = pixels[:, rows, columns][:, known[rows, columns]]
            assert afar[i, j, 3] == 255 * bool(beneath.size)
            if beneath.size:
                assert np.abs(afar[i, j, :3] - beneath.mean(axis=1)).max() <= 0.51
            row, column = min(4 * i + 2, 1029), min(4 * j + 2, 1300)
            assert np.array_equal(
                marks[i, j], painted(values[row : row + 1, column : column + 1])[0, 0]
            )
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.tif", "m.tif", "a.tif.view.tif", "m.tif.view.tif",
    }  # fmt: skip


@pytest.mark.usefixtures("small")
def test_copies_are_kept_until_the_file_changes(tmp_path):
    pixels, told = noise(1, 300, 200), []
    image = write_tif(tmp_path / "a.tif", pixels, **tiles_option())

    def said(done, steps):
        told.append((done, steps))

    with viewed(image, said=said) as page:
        first = page.tile("image", 0, 0, 0)
    assert told[-1][0] == told[-1][1] > 0
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    told.clear()
    with viewed(image, said=said) as page:
        assert np.array_equal(page.tile("image", 0, 0, 0), first)
    assert told == []
    write_tif(image, 255 - pixels, **tiles_option())
    os.utime(image, (1, 1))
    with viewed(image, said=said) as page:
        again = page.tile("image", 0, 0, 0)
    assert told
    assert np.abs(255 - again[..., :3].astype(int) - first[..., :3])[first[..., 3] > 0].max() <= 1


@pytest.mark.usefixtures("small")
def test_where_copies_cannot_be_kept_one_line_says_what_to_do(tmp_path, glnet):
    image = write_tif(tmp_path / "a.tif", noise(1, 300, 200), **tiles_option())

    status, lines = glnet("view", image, "--cache", tmp_path / "none", "--no-browser")

    check_one_line(status, lines, image, "--cache", "gdaladdo")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_copies_of_small_files_are_gone_afterwards(tmp_path):
    image = write_png(tmp_path / "a.png", noise(3, 100, 200))
    with viewed(image) as page:
        page.whole("image")

    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.usefixtures("small")
def test_a_file_with_overviews_is_left_alone(tmp_path):
    pixels = noise(1, 512, 512)
    image = write_tif(tmp_path / "a.tif", pixels, **tiles_option())
    with opened(image, "r+") as file:
        file.build_overviews([2, 4, 8])
    with viewed(image) as page:
        assert np.array_equal(page.whole("image"), rgba(pixels))
        page.whole("image", 0)

    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


@pytest.fixture
def compared(tmp_path):
    """Image, mask and a coloured truth that holds an ignored class, with what is where."""
    rng = np.random.default_rng(5)
    mask = rng.choice(np.array([0, 1, 255], np.uint8), (270, 310))
    truth = rng.choice(np.array([0, 1, 2], np.uint8), (270, 310))  # 2 is ignored
    table = tmp_path / "classes.csv"
    table.write_text(
        "name,value,colour,ignored\nland,0,#008000,no\nwater,1,#0000ff,no\nnone,2,#ffffff,yes\n",
        encoding="utf-8",
    )
    colours = np.array([(0, 128, 0), (0, 0, 255), (255, 255, 255)], np.uint8)
    image = write_tif(tmp_path / "a.tif", noise(3, 270, 310))
    paths = (
        image,
        write_tif(tmp_path / "m.tif", mask[None], nodata=255),
        write_png(tmp_path / "t.png", np.moveaxis(colours[truth], -1, 0)),
    )
    return paths, table, mask, truth


def test_errors_are_where_mask_and_known_truth_differ(compared):
    paths, table, mask, truth = compared
    wrong = (mask != truth) & (mask != 255) & (truth != 2)

    with viewed(*paths, classes=table) as page:
        seen, without = page.whole("errors"), page.whole("errors", query="?without=1")
        found = page.counted()
        pixel = page.json("pixel?row=17&column=23")

    assert np.array_equal(seen[..., 3] > 0, wrong)
    assert np.array_equal(without[..., 3] > 0, wrong & (truth != 1))
    known = (mask != 255) & (truth != 2)
    assert found["wrong"] == pytest.approx(wrong.sum() / known.sum())
    names = {0: "land", 1: "water"}
    assert pixel["mask"] == names.get(int(mask[17, 23]))
    assert pixel["truth"] == names.get(int(truth[17, 23]))


def test_shares_are_exact(compared):
    paths, table, mask, _ = compared
    with viewed(*paths[:2], classes=table) as page:
        found = page.counted()["classes"]

    known = (mask != 255).sum()
    assert {each["value"]: each["share"] for each in found} == {
        value: pytest.approx((mask == value).sum() / known) for value in (0, 1)
    }


def area_of_water(path, values, crs, transform):
    mask = write_mask(path, values, crs=crs, transform=transform)
    with viewed(mask, mask) as page:
        return {each["name"]: each["area"] for each in page.counted()["classes"]}["water"]


def test_areas_are_of_the_ground(tmp_path):
    """Half a metre in UTM; in degrees, rows further north are narrower."""
    values = labels(1500, 40, values=(0, 1))
    square = np.radians(0.01) * 6_371_008.8
    narrower = np.cos(np.radians(75 - 0.01 * (np.arange(1500) + 0.5)))

    plane = area_of_water(tmp_path / "p.tif", values, "EPSG:32640", Affine(0.5, 0, 0, 0, -0.5, 5e6))
    globe = area_of_water(
        tmp_path / "g.tif", values, "EPSG:4326", Affine(0.01, 0, 10, 0, -0.01, 75)
    )

    assert plane == pytest.approx((values == 1).sum() * 0.25)
    assert globe == pytest.approx((values == 1).sum(axis=1) @ narrower * square**2, rel=2e-3)


def test_places_on_the_ground_are_told(tmp_path):
    ground = {"crs": "EPSG:32640", "transform": Affine(2, 0, 500_000, 0, -2, 2_800_000)}
    image = write_tif(tmp_path / "a.tif", noise(1, 50, 50), **ground)

    with viewed(image) as page:
        found, facts = page.json("pixel?row=10&column=20"), page.json("facts")

    assert (found["x"], found["y"]) == (500_041, 2_799_979)
    assert found["longitude"] == pytest.approx(57.0004, abs=1e-4)  # the zone's middle is 57 degrees
    assert facts["metres"] == 2
    assert facts["system"] == "EPSG:32640"


def test_numbers_alone_are_asked_for_on_the_earth(tmp_path):
    """4xx for all else; null for what has no place, as Mercator's plane has beyond the pole."""
    ground = {"crs": "EPSG:3857", "transform": Affine(2, 0, 500_000, 0, -2, 2_800_000)}
    image = write_tif(tmp_path / "a.tif", noise(1, 50, 50), **ground)

    with viewed(image) as page:
        here = page.json("earth?row=10.5&column=20.5")
        back = page.json("raster?latitude={latitude}&longitude={longitude}".format(**here))
        nowhere = page.json("raster?latitude=91&longitude=0")
        for asked in (
            "earth?row=nan&column=0", "earth?row=1e3&column=0", "raster?latitude=1",
            "grid?top=0&left=0&bottom=0&right=9", "grid?top=0&left=9&bottom=5&right=inf",
        ):  # fmt: skip
            assert page.get(asked)[0] == 404

    assert (back["row"], back["column"]) == (pytest.approx(10.5), pytest.approx(20.5))
    narrower = np.cos(np.radians(here["latitude"]))  # metres of the ground, not of the plane
    assert here["metres"] == pytest.approx(2 * narrower, rel=5e-3)
    assert nowhere is None


def test_confidence_is_told_and_shown(tmp_path):
    sure = np.array([[254, 127, 0, 255]], np.uint8)
    image = write_tif(tmp_path / "a.tif", noise(1, 1, 4))
    confidence = write_tif(tmp_path / "c.tif", sure[None], nodata=255)

    with viewed(image, confidence=confidence) as page:
        told = [page.json(f"pixel?row=0&column={i}")["confidence"] for i in range(4)]
        alpha = page.whole("unsure")[0, :, 3]

    assert told == [1.0, 0.5, 0.0, None]
    assert alpha.tolist() == [0, 128, 255, 0]


def test_values_without_names_are_shown_before_they_are_counted(tmp_path, waiting):
    """All of them, in mask, errors and under the pointer; the list grows, the colours stay."""
    mask, truth = labels(300, 280, 1, (3, 9, 200)), labels(300, 280, 2, (3, 9, 77))
    image = write_tif(tmp_path / "a.tif", noise(1, 300, 280))
    paths = [write_png(tmp_path / f"{i}.png", each) for i, each in enumerate((mask, truth))]
    colours = np.array([(*default_colour(value), 255) for value in range(256)], np.uint8)

    with viewed(image, *paths) as page:
        early = page.json("counted")
        tiles = [page.whole(layer) for layer in ("mask", "truth", "errors")]
        pixel = page.json("pixel?row=7&column=8")
        waiting.set()
        found = page.counted()["classes"]
        later = [page.whole(layer) for layer in ("mask", "truth", "errors")]

    assert (early["done"], early["classes"]) == (0, [])
    assert np.array_equal(tiles[0], colours[mask])
    assert np.array_equal(tiles[1], colours[truth])
    assert np.array_equal(tiles[2][..., 3] > 0, mask != truth)
    assert np.array_equal(tiles, later)
    assert pixel["mask"] == f"value {mask[7, 8]}"
    assert [(each["name"], each["share"]) for each in found] == [
        (f"value {value}", (mask == value).sum() / mask.size) for value in (3, 9, 77, 200)
    ]
    assert found[2]["colour"] == "#{:02x}{:02x}{:02x}".format(*default_colour(77))


def test_files_that_do_not_go_together_are_refused(tmp_path, glnet):
    image = write_tif(tmp_path / "a.tif", noise(3, 40, 50))
    other = write_tif(tmp_path / "b.tif", noise(1, 40, 51))
    deep = write_tif(tmp_path / "c.tif", noise(1, 40, 50, dtype=np.uint16))
    coloured = write_png(tmp_path / "d.png", noise(3, 40, 50))

    def view(*arguments):
        return glnet("view", *arguments, "--no-browser")

    check_one_line(*view(tmp_path / "none.tif"), "none.tif", "no such file")
    check_one_line(*view(image, other), other, "40 x 51")
    check_one_line(*view(image, deep), deep, "uint16")
    check_one_line(*view(image, coloured), coloured, "--classes")
    table = write_classes(tmp_path / "classes.csv")
    check_one_line(*view(image, coloured, "--classes", table), coloured, "unknown colour")


HOSTILE = [
    "../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "tiles/../../etc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    "tiles/..%2fm.tif/0/0/0", "tiles/m.tif/0/0/0", "tiles/mask/0/0/0/..", "tiles/mask/0/0/..%2f0",
    "tiles/none/0/0/0", "tiles/mask/99999999999999999999/0/0", "tiles/mask/" + "9" * 5000 + "/0/0",
    "tiles/mask/0/999999999/0", "tiles/mask/0/-1/0", "tiles/mask/0/0/1.5", "tiles/mask/0/0/0x0",
    "tiles/mask/0/0/0?without=a", "tiles/mask/0/0/0?without=" + "9" * 99, "tiles/mask/0/0/%00",
    "m.tif", "classes.csv", "view.py", "page/view.js", "..", "leaflet-src.js", "pixel",
    "pixel?row=0", "earth?row=0&column=0", "raster?latitude=0&longitude=0",
    "grid?top=0&left=0&bottom=9&right=9", "grid?top=nan&left=0&bottom=9&right=9",
    "pixel?row=-1&column=0", "pixel?row=9999&column=0", "pixel?row=0&column=1e3",
]  # fmt: skip


def raw(page, line, host):
    """An answer's status and content, to a request that no client would send."""
    _, _, place = page.address.rstrip("/").rpartition("/")
    name, port = place.split(":")
    with socket.create_connection((name, int(port))) as line_to:
        head = f"{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        line_to.sendall(head.encode("latin-1"))
        answer = b""
        while part := line_to.recv(65536):
            answer += part
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


def test_nothing_else_can_be_reached(tmp_path):
    """4xx for every other address, other method and other host; and nothing of a file in it."""
    image = write_tif(tmp_path / "a.tif", noise(3, 300, 280))
    with viewed(image, write_mask(tmp_path / "m.tif", labels(300, 280))) as page:
        host = page.address.split("/")[2]
        for place in HOSTILE:
            status, content = raw(page, f"GET /{place}", host)
            assert 400 <= status < 500, place
            assert len(content) < 200, place
            assert b"root:" not in content
        for method in ("POST", "PUT", "DELETE"):
            assert raw(page, f"{method} /facts", host)[0] == 405
        for other in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1]"):
            assert raw(page, "GET /facts", other)[0] == 400, other
        assert raw(page, "GET /facts", "localhost:1")[0] == 200


def test_a_file_that_goes_away_is_an_answer_and_no_end(tmp_path):
    image = write_tif(tmp_path / "a.tif", noise(3, 700, 700))
    with viewed(image) as page:
        image.write_bytes(b"")
        assert page.get("tiles/image/1/0/0")[0] in {200, 500}
        assert page.get("facts")[0] == 200


def test_a_port_that_is_taken_is_one_line(tmp_path, glnet):
    image = write_tif(tmp_path / "a.tif", noise(3, 40, 50))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        status, lines = glnet("view", image, "--port", port, "--no-browser")

    check_one_line(status, lines, f"--port {port}", "another")


def test_a_tile_is_a_power_of_two():
    """Zooms halve sides until one tile is left."""
    assert [pyramid.zooms_of((side, 1)) for side in (1, 256, 257, 512, 513, 36_000)] == [
        0, 0, 1, 1, 2, 8,
    ]  # fmt: skip
