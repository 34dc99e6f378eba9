"""What a web server says of a file, before GDAL reads it; errors are told as they are."""

import base64
import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from glnet.errors import RasterError
from glnet.raster.addresses import Address, proxy_of

#: Bytes that tell what a file is.
_FIRST = 16

#: How often a server that is busy or silent is asked, with so many seconds in between.
TRIES, _DELAY = 3, 1.0

#: Seconds that an answer may take.
_PATIENCE = 20.0

_WHOLE = 200
_BUSY = {429, 500, 502, 503, 504}
_WORDS = {
    401: "the server wants to know who asks (401); set GDAL_HTTP_USERPWD or GDAL_HTTP_HEADERS",
    403: "the server does not let it be read (403); is the address signed, and not too old?",
    404: "the server has no such file (404)",
    410: "the server has no such file any more (410)",
}


@dataclass(frozen=True, slots=True)
class Served:
    """A file on a server. Another size, tag or time is another file.

    Attributes:
        size: In bytes.
        tag, modified: What the server calls its content, and its time; empty: it does not say.
        first: Its first bytes.
    """

    size: int
    tag: str
    modified: str
    first: bytes = field(compare=False, repr=False)


class _Stays(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else than it was told."""

    def redirect_request(self, *_: Any) -> None:  # noqa: ANN401
        return None


def ask(address: Address, tries: int = TRIES) -> Served:
    """Ask for the first bytes.

    Raises:
        RasterError: there is no such file or server, it leads elsewhere, or cannot send parts.
    """
    for last in (False,) * (tries - 1) + (True,):
        try:
            return _asked(address)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in _BUSY or last:
                msg = f"{address}: {_words(error)}"
                raise RasterError(msg) from error
        except (OSError, http.client.HTTPException) as error:
            if last or _hopeless(error):
                reason = getattr(error, "reason", error)
                detail = " ".join(str(reason or type(error).__name__).split())
                msg = f"{address}: the server cannot be asked ({address.hide(detail)})"
                raise RasterError(msg) from error
        time.sleep(_DELAY)
    raise AssertionError


def heads(address: Address) -> bool:
    """Does the server tell of a file without sending it? Often not where the address is signed."""
    try:
        with _opened(address, {}, "HEAD") as answer:
            return bool(answer.status == _WHOLE)
    except (OSError, http.client.HTTPException):
        return False


def _asked(address: Address) -> Served:
    parts = {"Range": f"bytes=0-{_FIRST - 1}", "Accept-Encoding": "identity"}
    with _opened(address, parts, "GET") as answer:
        told, total = answer.headers, answer.headers.get("Content-Range", "").rpartition("/")[2]
        if answer.status == _WHOLE or not total.isdecimal():
            msg = f"{address}: the server cannot send parts of it; download it first"
            raise RasterError(msg)
        first = answer.read(_FIRST)
    return Served(int(total), told.get("ETag", ""), told.get("Last-Modified", ""), first)


def _opened(address: Address, headers: dict[str, str], method: str) -> Any:  # noqa: ANN401
    request = urllib.request.Request(  # noqa: S310  http or https
        address.url, headers={**_known(), **headers}, method=method
    )
    proxy = proxy_of(address)
    # rasterio brings certificates, and tells GDAL of them in this way.
    trusted = ssl.create_default_context(cafile=os.environ.get("GDAL_CURL_CA_BUNDLE"))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({address.scheme: proxy} if proxy else {}),
        urllib.request.HTTPSHandler(context=trusted),
        _Stays,
    )
    return opener.open(request, timeout=_PATIENCE)


def _known() -> dict[str, str]:
    """Headers that tell who asks, as GDAL is told it."""
    found = {}
    for pair in filter(None, os.environ.get("GDAL_HTTP_HEADERS", "").split(",")):
        key, _, value = pair.partition(":")
        found[key.strip()] = value.strip()
    if known := os.environ.get("GDAL_HTTP_USERPWD"):
        found["Authorization"] = f"Basic {base64.b64encode(known.encode()).decode()}"
    if token := os.environ.get("GDAL_HTTP_BEARER"):
        found["Authorization"] = f"Bearer {token}"
    return found


def _hopeless(error: Exception) -> bool:
    """Will it be the same in a moment? A name that nobody knows, a certificate."""
    reason = getattr(error, "reason", error)
    return isinstance(reason, ssl.SSLCertVerificationError)


def _words(error: urllib.error.HTTPError) -> str:
    if error.code in _WORDS:
        return _WORDS[error.code]
    to = error.headers.get("Location")
    if to:
        return f"the server leads on to {urlsplit(to).netloc or 'another file'}; name that address"
    return f"the server answers {error.code} {error.reason}"
