"""Images that lie on a server: what an address is, and what GDAL may reach for it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from glnet.errors import RasterError

#: As a path an address loses a slash.
_ADDRESS = re.compile(r"(?P<scheme>https?|s3|gs):/{1,2}(?P<rest>[^/].*)", re.IGNORECASE)

#: What GDAL calls them, and who answers unless the environment names another.
_BY_GDAL = {"s3": "/vsis3/", "gs": "/vsigs/"}
_ANSWERS = {"s3": "s3.amazonaws.com", "gs": "storage.googleapis.com"}

#: Of GDAL's settings those that a user's environment may change: patience, and what it keeps.
_PATIENCE = {
    "GDAL_HTTP_MAX_RETRY": "3", "GDAL_HTTP_RETRY_DELAY": "1", "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_LOW_SPEED_TIME": "30", "GDAL_HTTP_LOW_SPEED_LIMIT": "100",
    "CPL_VSIL_CURL_CACHE_SIZE": str(16 << 20),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Address:
    """Of a file on a server; shown without its query, which may be a key to it.

    Attributes:
        scheme: http, https, s3 or gs.
        rest: Host or bucket, the file's name there, and a query.
    """

    scheme: str
    rest: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.rest.partition('?')[0]}"

    @property
    def name(self) -> str:
        """Its last part."""
        return str(self).rpartition("/")[2]

    @property
    def web(self) -> bool:
        """Can a plain request ask for it, without a signature?"""
        return self.scheme not in _BY_GDAL

    @property
    def url(self) -> str:
        """All of it."""
        return f"{self.scheme}://{self.rest}"

    @property
    def gdal(self) -> str:
        """As GDAL takes it."""
        return f"/vsicurl/{self.url}" if self.web else _BY_GDAL[self.scheme] + self.rest

    def hide(self, text: str) -> str:
        """What a library says of it, without its query."""
        return text.replace(self.gdal, str(self)).replace(self.url, str(self))


def address_of(told: str | Path) -> Address | None:
    """An address, where that is what was told."""
    found = _ADDRESS.fullmatch(told if isinstance(told, str) else told.as_posix())
    return Address(found["scheme"].lower(), found["rest"]) if found else None


def shown(told: str | Path) -> str:
    """A file or an address, as messages and reports may tell it."""
    return str(address_of(told) or told)


def place_of(told: str | Path, *, remote: bool) -> Path | Address:
    """Where an image lies.

    Args:
        told: A file, or an address.
        remote: Addresses may be read.

    Raises:
        RasterError: there is no such file; or an address that may not or cannot be read.
    """
    address = address_of(told)
    if address is None or Path(address.scheme + ":").exists():
        path = Path(told)
        if not path.is_file():  # a pipe or a device could be waited for for ever
            what = "is no file; name one image file" if path.exists() else "no such file"
            msg = f"{path}: {what}"
            raise RasterError(msg)
        return path
    if not remote:
        msg = f"{address}: is an address; glnet predict --remote reads that file from its server"
        raise RasterError(msg)
    _check(address)
    return address


def _check(address: Address) -> None:
    if not re.fullmatch(r"[!-~]+", address.rest):
        msg = f"{address}: holds letters that an address cannot hold; write a space as %20"
        raise RasterError(msg)
    host, _, key = address.rest.partition("/")
    if address.web and "@" in host:
        msg = f"{address.scheme}://...: holds a name or a password; set GDAL_HTTP_USERPWD instead"
        raise RasterError(msg)
    if not key:
        msg = f"{address}: names no file on that server"
        raise RasterError(msg)


def proxy_of(address: Address) -> str:
    """Whom to ask in its place, by the environment; empty: nobody."""
    told = os.environ.get("GDAL_HTTP_PROXY")
    if told:
        return told
    host = urlsplit(address.url).netloc if address.web else _answers(address)
    if proxy_bypass(host):
        return ""
    return getproxies().get(address.scheme if address.web else "https", "")


def _answers(address: Address) -> str:
    return os.environ.get("AWS_S3_ENDPOINT") or _ANSWERS[address.scheme]


def gdal_options(address: Address) -> dict[str, str]:
    """GDAL's settings while it reads one address: it may open that alone."""
    proxy = proxy_of(address)
    return {
        **{key: os.environ.get(key, value) for key, value in _PATIENCE.items()},
        "CPL_VSIL_CURL_ALLOWED_FILENAME": address.gdal,
        "CPL_VSIL_CURL_NON_CACHED": address.gdal,
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_HTTP_PROXY": proxy,
        "GDAL_HTTPS_PROXY": proxy,
    }
