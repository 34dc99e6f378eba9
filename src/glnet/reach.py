"""What GDAL may reach from a file: others only from a virtual raster, and images alone."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from glnet.errors import RasterError

#: Formats that hold their pixels themselves. Others lead GDAL to other files, ERS and PCIDSK too,
#: or to servers.
DRIVERS = (
    "GTiff", "PNG", "JPEG", "JP2OpenJPEG", "HFA", "ENVI", "EHdr", "BMP", "WEBP", "GIF", "PNM",
    "RST", "SAGA", "AAIGrid", "GSAG", "GSBG", "TGA", "SGI",
)  # fmt: skip

#: GDAL's fast path gives garbage for a truncated PNG, and no error. A file that leads to others may
#: not lead to a server: nobody listens at port 0.
GDAL_OPTIONS = {
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO", "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "none",
    "GDAL_HTTP_PROXY": "http://0.0.0.0:0", "GDAL_HTTPS_PROXY": "http://0.0.0.0:0",
}  # fmt: skip

_MARK = b"<vrtdataset"
_HEADER = 1024

#: What names a file, as an element or an attribute; GDAL asks for no case.
_LEADS = {"sourcefilename", "sourcedataset", "dempath"}

#: Options that name one.
_KEYS = {"rpc_dem", "x_dataset", "y_dataset"}

#: Part of what arguments of processing steps are called that name one; where it lies another tells.
_ARGUMENT = "dataset_filename"


def check_sources(path: Path) -> list[Path]:
    """Refuse a virtual raster that leads to what is no file here, or to text that leads further.

    GDAL would open anything: a server, a pipe, what a description of a service tells.

    Args:
        path: Any file; others than virtual rasters are not looked into.

    Returns:
        All files that it leads to, also by others.

    Raises:
        RasterError: which of its sources, in one line.
        OSError, ValueError, xml.etree.ElementTree.ParseError: it cannot be read.
    """
    seen: set[Path] = set()
    _check(path, (path.resolve(),), seen)
    return sorted(seen)


def _check(path: Path, above: tuple[Path, ...], seen: set[Path]) -> None:
    """See `check_sources`; `above` are those that lead to it and itself, `seen` needs no look."""
    if not _is_virtual(path):
        return
    for source in _sources(path):
        found = source.resolve()  # one file may be named in many ways
        if found in above or not source.is_file() or _leads_on(source):
            msg = f"{path}: leads to {source}, which is no image file here"
            raise RasterError(msg)
        if found not in seen:
            seen.add(found)
            _check(source, (*above, found), seen)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADER).lower()


def _is_virtual(path: Path) -> bool:
    return _MARK in _head(path)


def _leads_on(path: Path) -> bool:
    head = _head(path)
    return _MARK not in head and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<", b"{"))


def _sources(path: Path) -> Iterator[Path]:
    """All files that it names, whatever for."""
    text = path.read_text(encoding="utf-8")
    if "<!DOCTYPE" in text.upper():
        msg = "defines words of its own"
        raise ValueError(msg)
    for element in ET.fromstring(text).iter():  # noqa: S314  without definitions it cannot swell
        name = element.tag.rpartition("}")[2].lower()
        named = {key.lower(): value for key, value in element.attrib.items()}
        if _ARGUMENT in named.get("name", "").lower():
            msg = f"{path}: reads other files in its processing steps; make a GeoTIFF of it"
            raise RasterError(msg)
        found = [value for key, value in named.items() if key in _LEADS]
        if name in _LEADS or named.get("key", "").lower() in _KEYS:
            found.append(element.text or "")
        beside = named.get("relativetovrt", "0").strip() not in {"", "0"}
        for told in found:
            yield path.absolute().parent / told if beside else Path(told).absolute()
