"""The page and its tiles, on this machine alone.

Addresses hold ids and numbers, never paths: what can be reached is what was named on the command
line, and the files of the page.
"""

import re
import socket
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

import numpy as np
import uvicorn
from anyio.to_thread import current_default_thread_limiter
from rasterio.errors import RasterioError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from xstatic.pkg import leaflet

from glnet.errors import GlnetError, RunError
from glnet.viewer.grid import grid
from glnet.viewer.show import Show

#: Tried first, so that an address can be kept.
PORT = 8642

#: Threads that cut tiles; each has files of its own open.
_THREADS = 4

_NUMBER = re.compile(r"[0-9]{1,9}")
_DECIMAL = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,20})?")

#: Nothing from elsewhere; tiles are pictures, opacity and place are styles.
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "png": "image/png"}

_PAGE = ("view.html", "view.js", "place.js", "grid.js", "view.css")
_LEAFLET = ("leaflet.js", "leaflet.css")


class _Pages:
    """What is answered to which address."""

    def __init__(self, show: Show) -> None:
        self._show, self._files = show, _files()

    def file(self, request: Request) -> Response:
        name = request.path_params.get("name", _PAGE[0])
        if name not in self._files:
            return _missing("file")
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(self._files[name], 200, _HEADERS, kind)

    def facts(self, _: Request) -> Response:
        return JSONResponse(self._show.facts(), 200, _HEADERS)

    def counted(self, _: Request) -> Response:
        return JSONResponse(self._show.counted(), 200, _HEADERS)

    def tile(self, request: Request) -> Response:
        told = request.path_params
        place = _numbers(told["zoom"], told["x"], told["y"])
        without = _numbers(*filter(None, request.query_params.get("without", "").split(",")))
        if place is None or without is None:
            return _missing("tile")
        made = self._show.tile(told["layer"], place, frozenset(without))
        return Response(made, 200, _HEADERS, _TYPES["png"]) if made else _missing("tile")

    def pixel(self, request: Request) -> Response:
        place = _numbers(*(request.query_params.get(name, "") for name in ("row", "column")))
        found = None if place is None else self._show.pixel(*place)
        return JSONResponse(found, 200, _HEADERS) if found else _missing("pixel")

    def earth(self, request: Request) -> Response:
        """Of a point of the raster; null: it lies nowhere."""
        point = _decimals(request, "row", "column")
        if point is None or self._show.places is None:
            return _missing("place")
        return JSONResponse(self._show.earth(*point), 200, _HEADERS)

    def raster(self, request: Request) -> Response:
        """Row and column of a place on the Earth; null: it has none."""
        place, places = _decimals(request, "longitude", "latitude"), self._show.places
        if place is None or places is None:
            return _missing("place")
        ((column, row),) = places.in_raster(np.array([place])).tolist()
        here = self._show.earth(row, column) if row == row else None  # noqa: PLR0124  NaN
        return JSONResponse(here and here | {"row": row, "column": column}, 200, _HEADERS)

    def grid(self, request: Request) -> Response:
        box, places = _decimals(request, "top", "left", "bottom", "right"), self._show.places
        if box is None or places is None or box[0] >= box[2] or box[1] >= box[3]:
            return _missing("grid")
        lines = [
            {"label": line.label, "points": line.points.round(4).tolist()}
            for line in grid(places, (box[0], box[1], box[2], box[3]))
        ]
        return JSONResponse(lines, 200, _HEADERS)


def application(show: Show) -> Starlette:
    """The web application over a show."""
    pages = _Pages(show)
    return Starlette(
        routes=[
            Route("/", pages.file),
            Route("/facts", pages.facts),
            Route("/counted", pages.counted),
            Route("/pixel", pages.pixel),
            Route("/earth", pages.earth),
            Route("/raster", pages.raster),
            Route("/grid", pages.grid),
            Route("/tiles/{layer}/{zoom}/{x}/{y}", pages.tile),
            Route("/{name}", pages.file),
        ],
        middleware=[Middleware(TrustedHostMiddleware, ["127.0.0.1", "localhost"])],
        exception_handlers={GlnetError: _broken, RasterioError: _broken},
        lifespan=_few_threads,
    )


@asynccontextmanager
async def _few_threads(_: Starlette) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = _THREADS
    yield


def _missing(what: str) -> Response:
    return JSONResponse({"error": f"no such {what}"}, 404, _HEADERS)


def _broken(_: Request, error: Exception) -> Response:
    """A file that is damaged, or gone since."""
    return JSONResponse({"error": str(error)}, 500, _HEADERS)


def _files() -> dict[str, bytes]:
    """All that the page consists of, by name: ours and Leaflet's, which is a package's content."""
    ours = resources.files("glnet.viewer") / "page"
    theirs = Path(leaflet.BASE_DIR)
    return {
        **{name: (ours / name).read_bytes() for name in _PAGE},
        **{name: (theirs / name).read_bytes() for name in _LEAFLET},
    }


def _numbers(*texts: str) -> tuple[int, ...] | None:
    """Whole numbers of some digits; None: something else is among them."""
    return tuple(map(int, texts)) if all(map(_NUMBER.fullmatch, texts)) else None


def _decimals(request: Request, *names: str) -> list[float] | None:
    """Numbers that an address asks with; None: one is missing, or something else."""
    texts = [request.query_params.get(name, "") for name in names]
    return [float(text) for text in texts] if all(map(_DECIMAL.fullmatch, texts)) else None


def serve(
    show: Show, port: int | None, said: Callable[[str], None], *, browser: bool = True
) -> None:
    """Serve until interrupted.

    Args:
        show: What.
        port: Where; None: the usual one, or any that is free.
        said: Told the address.
        browser: Open it too.

    Raises:
        RunError: the port is taken.
    """
    listening = _listening(port)
    address = f"http://localhost:{listening.getsockname()[1]}/"
    said(address)
    if browser:
        webbrowser.open(address)
    config = uvicorn.Config(
        application(show), log_level="warning", access_log=False, timeout_graceful_shutdown=2
    )
    uvicorn.Server(config).run([listening])


def _listening(port: int | None) -> socket.socket:
    for tried in (PORT, 0) if port is None else (port,):
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", tried))
            listening.listen()
        except OSError as error:
            listening.close()
            why = error
        else:
            return listening
    msg = f"--port {port}: cannot be listened at ({why.strerror}); name another one"
    raise RunError(msg)
