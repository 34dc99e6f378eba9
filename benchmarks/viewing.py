"""The viewer over a raster: until the first view is there, tiles per second, memory.

    python benchmarks/viewing.py IMAGE MASK [-o FILE] [--tiles 500]

Starts `glnet view` in a process of its own and opens its page in Chromium, which needs the
development environment. Memory is the most that the server held (Linux). Prints a Markdown record.
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import rasterio
from playwright.sync_api import sync_playwright

from facts import header
from glnet.geometry import Size
from glnet.viewer.pyramid import TILE, zooms_of


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--tiles", type=int, default=500)
    arguments = parser.parse_args()
    with rasterio.open(arguments.image) as file:
        size = Size(file.height, file.width)
    command = [sys.executable, "-c", "from glnet.cli import main; main()", "view", "--no-browser"]
    began = time.perf_counter()
    with subprocess.Popen(  # noqa: S603  our own command
        [*command, arguments.image, arguments.mask], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            address = re.match(r"http://\S+", server.stdout.readline())[0]
            started = time.perf_counter() - began
            views = [_first_view(address) for _ in range(3)]
            before = _peak(server.pid)
            rate = _tiles(address, size, arguments.tiles)
            after = _peak(server.pid)
        finally:
            server.send_signal(signal.SIGINT)
    rows = {
        "raster": f"{size.height} x {size.width}",
        "command to address, s": f"{started:.1f}",
        "first view, s (three browsers)": ", ".join(f"{seconds:.2f}" for seconds in views),
        f"{arguments.tiles} tiles, ms each": f"{1000 / rate:.1f}",
        "server before them, MiB": f"{before:.0f}",
        "at the most, MiB": f"{after:.0f}",
    }
    table = "\n".join(
        ["| what | found |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())]
    )
    text = header("The viewer", "cpu") + "\n" + table + "\n"
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


def _first_view(address: str) -> float:
    """From the address to all tiles of the whole raster, in a browser that knows nothing yet."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_function(
            "() => { const all = [...document.querySelectorAll('img.leaflet-tile')];"
            " return all.length && all.every(e => e.matches('.leaflet-tile-loaded')); }"
        )
        seconds = time.perf_counter() - began
        browser.close()
    return seconds


def _tiles(address: str, size: Size, count: int) -> float:
    """Tiles per second, of random places at all zooms, image and mask in turn."""
    random, zooms = np.random.default_rng(0), zooms_of(size)
    began = time.perf_counter()
    for i in range(count):
        zoom = i % (zooms + 1)
        side = TILE << (zooms - zoom)
        x, y = random.integers(-(-size.width // side)), random.integers(-(-size.height // side))
        with urlopen(f"{address}tiles/{('image', 'mask')[i % 2]}/{zoom}/{x}/{y}") as answer:  # noqa: S310
            answer.read()
    return count / (time.perf_counter() - began)


def _peak(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


if __name__ == "__main__":
    main()
