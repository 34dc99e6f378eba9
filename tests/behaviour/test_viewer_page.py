"""What the viewer's page promises, in a real browser: what is clicked is what is seen."""

import io
import itertools
import re
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine
from rasterio.warp import transform

from glnet.datasets.classes import default_colour
from makers import opened as opened_tif
from makers import write_png, write_tif
from small_slides import make_slide, noisy
from viewing import viewed

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

HEIGHT, WIDTH = 18_000, 36_000
ROW, COLUMN = 9_000, 21_000
#: There, by zoom, latitude and longitude; a pixel is four of the screen.
PLACE = "#9.14/0/30"
#: Left and right of COLUMN: what the image holds, and the classes of mask and truth.
GREY, MASK, TRUTH = (40, 200), (1, 2), (1, 1)
COLOURS = {1: (220, 30, 40), 2: (20, 60, 230)}


def write_huge(path, left, right, colours=None):
    """Two fields about a column, in a raster that is empty elsewhere; with overviews."""
    layout = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    ground = {"crs": "EPSG:4326", "transform": Affine(0.01, 0, -180, 0, -0.01, 90)}
    shape = {"height": HEIGHT, "width": WIDTH, "count": 1, "dtype": "uint8"}
    with warnings.catch_warnings(), rasterio.Env(SPARSE_OK_OVERVIEW="YES"):
        warnings.simplefilter("ignore")
        with rasterio.open(
            path, "w", driver="GTiff", SPARSE_OK=True, **shape, **layout, **ground
        ) as file:
            pixels = np.full((1, 4000, 4000), left, np.uint8)
            pixels[:, :, 2000:] = right
            area = ((ROW - 2000, ROW + 2000), (COLUMN - 2000, COLUMN + 2000))
            file.write(pixels, window=area)
            if colours:
                file.write_colormap(1, {value: (*c, 255) for value, c in colours.items()})
                file.update_tags(1, class_1="roof", class_2="tree")
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2**i for i in range(1, 8)])
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """`glnet view` in a process of its own: its address and the process."""
    folder = tmp_path_factory.mktemp("view")
    paths = [
        write_huge(folder / "image.tif", *GREY),
        write_huge(folder / "mask.tif", *MASK, COLOURS),
        write_huge(folder / "truth.tif", *TRUTH, COLOURS),
    ]
    command = "from glnet.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", command, "view", *paths, "--no-browser"],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        line = process.stdout.readline()
        yield re.match(r"http://localhost:\d+/", line)[0], process
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert (process.returncode, rest.strip()) == (0, "closed")
    assert {path.name for path in folder.iterdir()} == {path.name for path in paths}


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser, server):
    """At the border of the two fields, four screen pixels each; nothing may go wrong on it."""
    opened = browser.new_page(viewport={"width": 1000, "height": 700})
    wrong = []
    opened.on("console", lambda message: wrong.append((message.text, None)))
    opened.on("pageerror", lambda error: wrong.append((str(error), None)))
    opened.on("requestfailed", lambda request: wrong.append((request.url, request.failure)))
    elsewhere = []
    opened.on("request", lambda request: elsewhere.append(request.url))
    opened.goto(f"{server[0]}{PLACE}")
    opened.wait_for_load_state("networkidle")
    yield opened
    # Tiles that the page itself no longer wants are given up, not lost.
    assert [told for told in wrong if told[1] != "net::ERR_ABORTED"] == []
    assert [url for url in elsewhere if not url.startswith((server[0], "data:"))] == []
    opened.close()


def settled(page):
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(400)  # tiles fade in


def centre(page):
    box = page.locator("#map").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def seen(page, columns=6):
    """Colours some columns of the screen left and right of the middle."""
    settled(page)
    pixels = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    x, y = map(round, centre(page))
    return tuple(map(int, pixels[y + 40, x - columns])), tuple(
        map(int, pixels[y + 40, x + columns])
    )


def map_of(page):
    """Colours of all that the map shows."""
    taken = page.locator("#map").screenshot()
    return np.asarray(Image.open(io.BytesIO(taken)).convert("RGB"))


def near(found, wanted):
    """Blending may round."""
    return np.abs(np.array(found, int) - np.array(wanted, int)).max() <= 2


def set_to(page, element, value):
    page.locator(element).evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", str(value)
    )


def test_the_first_view_is_the_whole_raster(browser, server):
    """A point of the raster's edge is on the screen, a point beyond it is not of the raster."""
    opened = browser.new_page(viewport={"width": 1000, "height": 700})
    opened.goto(server[0])
    opened.wait_for_selector("#map img.leaflet-tile-loaded")
    settled(opened)

    assert opened.locator("#about").inner_text() == f"{HEIGHT} × {WIDTH} px · EPSG:4326"
    x, y = centre(opened)
    opened.mouse.move(x, y)
    opened.wait_for_selector("#at-row")
    row, column = map(int, opened.locator("#at-row").inner_text().split(", "))
    assert abs(row - HEIGHT / 2) < 100
    assert abs(column - WIDTH / 2) < 100
    opened.close()


def test_every_pixel_has_its_colour(page):
    page.uncheck("#show-mask")
    assert seen(page) == ((40, 40, 40), (200, 200, 200))

    page.check("#show-mask")
    set_to(page, "#opacity-mask", 100)
    assert seen(page) == (COLOURS[1], COLOURS[2])

    set_to(page, "#opacity-mask", 50)
    halves = [(np.array(COLOURS[c]) + grey) / 2 for c, grey in zip(MASK, GREY, strict=True)]
    assert all(map(near, seen(page), halves))


def test_a_class_can_be_switched_off(page):
    set_to(page, "#opacity-mask", 100)
    page.get_by_label("tree").uncheck()
    assert seen(page) == (COLOURS[1], (200, 200, 200))

    page.get_by_label("tree").check()
    page.get_by_label("roof").uncheck()
    assert seen(page) == ((40, 40, 40), COLOURS[2])

    page.get_by_text("show all").click()
    assert seen(page) == (COLOURS[1], COLOURS[2])
    page.get_by_text("hide all").click()
    assert seen(page) == ((40, 40, 40), (200, 200, 200))
    page.get_by_label("tree").check()
    assert seen(page) == ((40, 40, 40), COLOURS[2])


def test_errors_are_shown_alone(page):
    page.uncheck("#show-mask")
    page.check("#show-errors")
    set_to(page, "#opacity-errors", 100)

    left, right = seen(page)

    assert left == (40, 40, 40)
    assert right == (230, 30, 90)
    key = page.locator("#show-errors ~ .swatch")
    assert key.evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(230, 30, 90)"


def test_a_line_is_drawn_between_two_layers(page):
    set_to(page, "#opacity-mask", 100)
    page.check("#swiping")
    assert seen(page) == ((40, 40, 40), COLOURS[2])
    assert page.locator("#show-mask").is_disabled()

    set_to(page, "#line", 520)  # of 1000: the middle lies left of it now
    assert seen(page) == ((40, 40, 40), (200, 200, 200))

    page.select_option("#left", "mask")
    page.select_option("#right", "image")
    assert seen(page) == (COLOURS[1], COLOURS[2])

    page.uncheck("#swiping")
    assert seen(page) == (COLOURS[1], COLOURS[2])
    assert page.locator("#show-mask").is_enabled()


def test_the_keyboard_sees_where_it_is(page):
    """The map has a frame, the line's handle a ring."""
    before = map_of(page)
    page.keyboard.press("Tab")
    framed = map_of(page)
    assert (framed[:2] != before[:2]).any(axis=2).mean() > 0.9
    assert (framed[:, -2:] != before[:, -2:]).any(axis=2).mean() > 0.9

    page.check("#swiping")
    settled(page)
    page.mouse.move(0, 0)
    before = map_of(page)
    page.focus("#map")
    while page.evaluate("document.activeElement.id") != "line":
        page.keyboard.press("Tab")
    assert (map_of(page) != before).any(axis=2).sum() > 500
    left = before.shape[1] // 2
    page.keyboard.press("PageDown")
    assert page.locator(".divider").bounding_box()["x"] < left


def test_a_fine_screen_is_given_all_its_pixels(browser, tmp_path):
    """Stripes of one pixel, at half their size: the screen has two pixels for one of the page."""
    stripes = np.zeros((1, 1000, 1000), np.uint8)
    stripes[..., ::2] = 255
    image = write_tif(tmp_path / "a.tif", stripes)
    small = write_tif(tmp_path / "b.tif", stripes[:, :200, :200])
    screen = {"viewport": {"width": 1000, "height": 700}, "device_scale_factor": 2}
    opened = browser.new_context(**screen).new_page()
    wrong = []
    opened.on("console", lambda message: wrong.append(message.text))
    with viewed(image) as shown:
        opened.goto(f"{shown.address}#1/500/500")  # of 2
        settled(opened)
        held = map_of(opened)[600:700, 600:700]
    assert set(np.unique(held)) == {0, 255}
    with viewed(small) as shown:
        opened.goto(shown.address)
        settled(opened)
        assert (map_of(opened) == 255).mean() > 0.05
    opened.close()
    assert wrong == []


def test_no_line_is_seen_where_tiles_meet(browser, tmp_path):
    image = write_tif(tmp_path / "a.tif", np.zeros((1, 1000, 1000), np.uint8))
    opened = browser.new_page(viewport={"width": 1000, "height": 700})
    with viewed(image) as shown:
        opened.goto(f"{shown.address}#2.5/500/500")
        settled(opened)
        assert not map_of(opened)[100:600, 100:600].any()
    opened.close()


def test_a_page_says_that_its_viewer_was_ended(browser, tmp_path):
    opened = browser.new_page(viewport={"width": 1000, "height": 700})
    with viewed(write_tif(tmp_path / "a.tif", np.zeros((1, 600, 900), np.uint8))) as shown:
        opened.goto(shown.address)
        settled(opened)
        opened.mouse.move(*centre(opened))
        opened.wait_for_selector("#at-row")
        assert not opened.locator("#gone").is_visible()
    opened.mouse.move(*(place + 9 for place in centre(opened)))
    opened.wait_for_selector("#gone", state="visible")
    opened.close()


def test_what_lies_under_the_pointer_is_told(page):
    x, y = centre(page)
    for shift, column, mask in ((-2, COLUMN - 1, "roof"), (2, COLUMN, "tree")):
        page.mouse.move(x + shift, y + 2)
        page.wait_for_function(
            "place => document.querySelector('#at-row')?.textContent === place",
            arg=f"{ROW}, {column}",
        )
        assert page.locator("#at-mask").inner_text() == mask
        assert page.locator("#at-truth").inner_text() == "roof"
    latitude, longitude = map(float, page.locator("#at-lat").inner_text().split(", "))
    assert latitude == pytest.approx(90 - 0.01 * (ROW + 0.5))
    assert longitude == pytest.approx(-180 + 0.01 * (COLUMN + 0.5))


def test_shares_are_those_of_the_whole_mask(page):
    """They grow until all is counted; half of what has a class is of either."""
    page.wait_for_function(
        "() => document.querySelector('#share-1').textContent"
        " && !document.querySelector('#counted').textContent",
        timeout=120_000,
    )

    assert page.locator("#share-1").inner_text().startswith("50.0 %")
    assert "km²" in page.locator("#share-2").inner_text()
    assert page.locator("#wrong").inner_text().startswith("50.00 %")


def check_bar(page, metres, told):
    """The bar says what it should, and is as long as that on a screen of so many metres a pixel."""
    bar = page.locator(".scale")
    number, unit = bar.inner_text().split()
    length = float(number) * {"km": 1e3, "m": 1, "mm": 1e-3, "µm": 1e-6}[unit]
    assert bar.inner_text() == told
    assert bar.bounding_box()["width"] == pytest.approx(length / metres, abs=0.1)


def test_the_bar_is_as_long_as_it_says(page, browser, tmp_path):
    """Four screen pixels for 0.01 degrees at the equator; a slide's pixels of half a micron."""
    check_bar(page, np.radians(0.01) * 6_371_008.8 / 4, "20 km")

    slide = make_slide(tmp_path / "a.svs", noisy([(1024, 1024)]))  # zoom 2 shows each pixel as one
    mask = write_tif(tmp_path / "m.tif", np.ones((1, 1024, 1024), np.uint8))
    opened = browser.new_page(viewport={"width": 1000, "height": 700})
    with viewed(slide, mask) as shown:
        for zoom, told in ((2, "50 µm"), (0, "200 µm"), (5, "5 µm")):
            opened.goto("about:blank")
            opened.goto(f"{shown.address}#{zoom}/512/512")
            opened.wait_for_selector("#share-1 small")
            check_bar(opened, 0.5e-6 * 2 ** (2 - zoom), told)
        assert opened.locator("#share-1 small").inner_text() == "0.262 mm²"
        opened.close()


def test_classes_without_names_are_listed_as_they_are_found(browser, tmp_path, waiting):
    """All is shown before anything is counted; a class that came later can be switched off."""
    values = np.repeat(np.array([[9, 3]], np.uint8), 150, axis=1).repeat(200, axis=0)
    image = write_tif(tmp_path / "a.tif", np.full((1, 200, 300), 40, np.uint8))
    mask = write_png(tmp_path / "m.png", values)
    opened = browser.new_page(viewport={"width": 1000, "height": 700})

    with viewed(image, mask) as page:
        opened.goto(page.address)
        set_to(opened, "#opacity-mask", 100)
        assert seen(opened) == (default_colour(9), default_colour(3))
        assert opened.locator("#legend li").count() == 0
        waiting.set()
        opened.wait_for_selector("#class-3")
        assert opened.locator("#legend label").all_inner_texts() == ["value 3", "value 9"]
        opened.get_by_label("value 3").uncheck()
        assert seen(opened) == (default_colour(9), (40, 40, 40))
        opened.close()


def test_a_rare_class_is_not_one_that_is_missing(browser, tmp_path):
    values = np.ones((1, 200, 300), np.uint8)
    values[0, 0, :9] = 2
    ground = {"crs": "EPSG:32640", "transform": Affine(2, 0, 3e5, 0, -2, 2.7e6)}
    image, mask = (write_tif(tmp_path / f"{name}.tif", values, **ground) for name in "am")
    with opened_tif(mask, "r+") as file:
        file.update_tags(1, class_1="soil", class_2="pond", class_3="road")
    shown = browser.new_page(viewport={"width": 1000, "height": 700})

    with viewed(image, mask) as page:
        shown.goto(page.address)
        shown.wait_for_selector("#share-3 small", state="attached")
        told = [shown.locator(f"#share-{value}") for value in (1, 2, 3)]
        assert [each.inner_text().split("%")[0] for each in told] == ["100.0 ", "< 0.1 ", "0 "]
        left = {each.locator("small").bounding_box()["x"] for each in told}
        assert len(left) == 1
        shown.close()


def place_of(page):
    """The address's numbers, once it has changed."""
    page.wait_for_function("place => location.hash !== place", arg=PLACE)
    settled(page)
    return [float(each) for each in page.evaluate("location.hash").lstrip("#").split("/")]


def test_a_place_can_be_kept_as_an_address(page, server):
    x, y = centre(page)
    page.mouse.move(x + 120, y - 90)
    page.mouse.wheel(0, -200)
    zoom, latitude, longitude = place_of(page)

    assert zoom > 9.5
    assert 0 < latitude < 0.225
    assert 30 < longitude < 30.3
    kept, before = page.evaluate("location.hash"), map_of(page)
    page.goto("about:blank")
    page.goto(server[0] + kept)
    settled(page)
    assert np.array_equal(map_of(page), before)


def test_an_address_fits_another_raster_of_the_place(browser, page, tmp_path):
    """In UTM, with pixels of 1 km, turned: the middle is the same, and the size on the ground."""
    page.keyboard.press("Escape")
    page.locator("#map").press("+")
    zoom, latitude, longitude = place_of(page)
    (x,), (y,) = transform("OGC:CRS84", "EPSG:32636", [longitude], [latitude])
    turned = Affine.translation(x, y) @ Affine.rotation(30) @ Affine.scale(1000, -1000)
    place = {"crs": "EPSG:32636", "transform": turned @ Affine.translation(-300, -200)}
    image = write_tif(tmp_path / "a.tif", np.zeros((1, 500, 700), np.uint8), **place)
    opened = browser.new_page(viewport={"width": 1000, "height": 700})
    with viewed(image) as shown:
        opened.goto(f"{shown.address}#{zoom}/{latitude}/{longitude}")
        opened.wait_for_selector("#map img.leaflet-tile-loaded")
        opened.mouse.move(*centre(opened))
        opened.wait_for_selector("#at-row")
        row, column = map(int, opened.locator("#at-row").inner_text().split(", "))
        widths = [each.locator(".scale").bounding_box()["width"] for each in (page, opened)]
        tell = [each.locator(".scale").inner_text().split() for each in (page, opened)]
        opened.close()

    assert abs(row - 200) <= 1
    assert abs(column - 300) <= 1
    metres = [
        float(n) * 1000 ** (unit == "km") / w for (n, unit), w in zip(tell, widths, strict=True)
    ]
    assert 2**-0.26 < metres[0] / metres[1] < 2**0.26


def test_the_grid_lies_where_degrees_are(page, server):
    """The equator and 30 degrees east cross 80 screen pixels right of and below the middle."""
    page.goto("about:blank")
    page.goto(server[0] + "#9.14/0.2/29.8")
    page.wait_for_selector("#gridded")
    page.uncheck("#show-mask")
    settled(page)
    before = map_of(page)
    page.check("#gridded")
    page.wait_for_selector("#grid span")
    settled(page)
    after = map_of(page)

    x, y = (side / 2 for side in before.shape[1::-1])
    drawn = (after != before).any(axis=2)
    for along, place in ((drawn.mean(axis=0), x + 80), (drawn.mean(axis=1), y + 80)):
        assert np.abs(np.flatnonzero(along > 0.8) - place).min() <= 2
    labels = page.locator("#grid span").all_inner_texts()
    assert {"0.0°", "30.0°E"} <= set(labels)
    assert 4 <= sum(label.endswith("E") for label in labels) <= 8
    page.uncheck("#gridded")
    settled(page)
    assert np.array_equal(map_of(page), before)


def test_what_was_clicked_stays_to_be_copied(page):
    x, y = centre(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.mouse.click(x + 40, y + 20)
    page.wait_for_selector("#copy")
    page.mouse.move(x - 100, y - 100)
    page.click("#copy")

    copied = page.evaluate("navigator.clipboard.readText()")
    assert [float(each) for each in copied.split(", ")] == pytest.approx(
        [-0.05, 0.1 + 30], abs=2.6e-3
    )


def test_without_a_place_there_is_no_grid(browser, tmp_path):
    """And addresses hold row and column."""
    image = write_tif(tmp_path / "a.tif", np.zeros((1, 600, 900), np.uint8))
    opened = browser.new_page(viewport={"width": 1000, "height": 700})
    with viewed(image) as shown:
        opened.goto(f"{shown.address}#3/200/300")
        opened.wait_for_selector("#map img.leaflet-tile-loaded")
        assert not opened.locator("#gridded").is_visible()
        opened.mouse.move(*centre(opened))
        opened.mouse.wheel(0, -200)
        zoom, row, column = place_of(opened)
        opened.close()

    assert zoom > 3
    assert abs(row - 200) < 1
    assert abs(column - 300) < 1


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overlaps_or_runs_out(browser, server, width):
    """At a phone's and a desk's width: the page does not scroll sideways, nor cover its map."""
    opened = browser.new_page(viewport={"width": width, "height": 800})
    opened.goto(server[0])
    settled(opened)

    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    field, panel = (opened.locator(each).bounding_box() for each in ("#map", "#panel"))
    beside = panel["x"] >= field["x"] + field["width"] - 1
    below = panel["y"] >= field["y"] + field["height"] - 1
    assert beside or below
    boxes = [each.bounding_box() for each in opened.locator("#panel .row").all()]
    visible = [box for box in boxes if box]
    for upper, lower in itertools.pairwise(visible):
        assert lower["y"] >= upper["y"] + upper["height"] - 1
    assert all(box["x"] + box["width"] <= panel["x"] + panel["width"] for box in visible)
    opened.close()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells")
def test_memory_does_not_grow_with_tiles(server):
    """Five hundred of them, all zooms and layers: less than one layer's pixels are."""
    address, process = server

    def peak():
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) << 10

    rng = np.random.default_rng(0)
    before = peak()
    for i in range(500):
        zoom = i % 9
        side = 256 << (8 - zoom)
        x, y = rng.integers(-(-WIDTH // side)), rng.integers(-(-HEIGHT // side))
        layer = ("image", "mask", "truth", "errors")[i % 4]
        with urlopen(f"{address}tiles/{layer}/{zoom}/{x}/{y}") as answer:  # noqa: S310
            assert answer.read(8) == b"\x89PNG\r\n\x1a\n"

    assert peak() - before < 200 << 20 < HEIGHT * WIDTH
    assert process.poll() is None
