"""A viewer's server in this process, and its tiles as arrays."""

import contextlib
import io
import json
import socket
import threading
import time
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import uvicorn
from PIL import Image

from glnet.viewer.pyramid import TILE
from glnet.viewer.server import application
from glnet.viewer.show import opened_show


class Page:
    """What a browser would ask for."""

    def __init__(self, address):
        self.address = address

    def get(self, place):
        """Status and content of an answer."""
        try:
            with urlopen(self.address + place) as answer:  # noqa: S310  our own server
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    def json(self, place):
        status, content = self.get(place)
        assert status == 200, content
        return json.loads(content)

    def tile(self, layer, zoom, x, y, query=""):
        """RGBA of one, (TILE, TILE, 4)."""
        status, content = self.get(f"tiles/{layer}/{zoom}/{x}/{y}{query}")
        assert status == 200, content
        return np.asarray(Image.open(io.BytesIO(content)))

    def whole(self, layer, zoom=None, query=""):
        """All tiles of a zoom side by side, by default of the last, cut to the raster."""
        facts = self.json("facts")
        zoom = facts["zooms"] if zoom is None else zoom
        scale = 2 ** (facts["zooms"] - zoom)
        height, width = (-(-facts[side] // scale) for side in ("height", "width"))
        rows = [
            np.concatenate(
                [self.tile(layer, zoom, x, y, query) for x in range(-(-width // TILE))], axis=1
            )
            for y in range(-(-height // TILE))
        ]
        joined = np.concatenate(rows)
        beyond = joined.copy()
        beyond[:height, :width] = 0
        assert not beyond.any()
        return joined[:height, :width]

    def counted(self):
        """Once all is."""
        while (found := self.json("counted"))["done"] < 1:
            time.sleep(0.01)
        return found


@contextlib.contextmanager
def viewed(*paths, **options):
    """The page over files, served while it is looked at."""
    with opened_show(*paths, **options) as show, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        config = uvicorn.Config(application(show), log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield Page(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        finally:
            server.should_exit = True
            thread.join()
