"""A TIFF on a server: what a window needs of it is fetched, and nothing else."""

import contextlib
import hashlib
from collections.abc import Iterator

import numpy as np
import rasterio
from rasterio.io import DatasetReader

from glnet import photo
from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster.addresses import Address, gdal_options
from glnet.raster.datasets import DatasetPixels
from glnet.raster.pixels import area
from glnet.raster.serving import TRIES, ask, heads

#: How TIFF begins, and BigTIFF.
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

#: So many blocks along a side are compared by where they lie in the file, and how long they are.
_COMPARED = 16


class RemotePixels(DatasetPixels):
    """A dataset of GDAL's on a server; see `Pixels`."""

    def __init__(self, address: Address) -> None:
        """Fetch its header.

        Raises:
            RasterError: it cannot be had, or is no TIFF.
        """
        self._address = address
        self._lost = False
        self._served = ask(address) if address.web else None
        if self._served is not None and not self._served.first.startswith(_TIFF):
            msg = f"{address}: is no TIFF; others cannot be read in parts: download it first"
            raise RasterError(msg)
        self._options = gdal_options(address)
        if address.web and not heads(address):
            self._options["CPL_VSIL_CURL_USE_HEAD"] = "NO"
        with self._reached():
            with photo.unwarned():
                file = DatasetReader(address.gdal, driver=["GTiff"])
            super().__init__(file)
            # Asked once: a file may have to be fetched to answer.
            self._blocks, self._masks = super().blocks, super().masks
            self._overviews = super().overviews

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        """While GDAL may reach the address; what fails is told as the server tells it."""
        if self._lost:  # GDAL's own patience would be lost again for every part
            self._check_same()
        try:
            with rasterio.Env(**self._options):
                yield
        except Exception as error:  # whatever a damaged file makes of a reader
            self._check_same()
            detail = self._address.hide(" ".join(str(error.__cause__ or error).split()))
            msg = f"{self._address}: cannot be read from there ({detail})"
            raise RasterError(msg) from error
        self._check_same()

    def _check_same(self) -> None:
        if self._served is None:
            return
        tries, self._lost = 1 if self._lost else TRIES, True
        served = ask(self._address, tries)
        self._lost = False
        if served != self._served:
            msg = f"{self._address}: was changed while it was read; start the command again"
            raise RasterError(msg)

    @property
    def blocks(self) -> Size | None:
        """See `Pixels`."""
        return self._blocks

    @property
    def masks(self) -> bool:
        """See `Pixels`."""
        return self._masks

    @property
    def overviews(self) -> bool:
        """See `Pixels`."""
        return self._overviews

    @property
    def bits(self) -> int:
        """See `Pixels`."""
        return 8 * self.dtype.itemsize

    @property
    def identity(self) -> list[object]:
        """What tells it from another file, without fetching all of it.

        Sizes and places in the file of some blocks, and the pixels of three; on the web what the
        server tells, too.
        """
        told: list[object] = [self._served, self.size, str(self.dtype), str(self.georeference)]
        (high, wide), (height, width) = self._file.block_shapes[0], self.size
        digest = hashlib.sha256()
        with self._reached():
            rows, columns = (
                np.unique(np.linspace(0, (side - 1) // block, _COMPARED).astype(int)).tolist()
                for side, block in ((height, high), (width, wide))
            )
            for row in rows:
                for column in columns:
                    for what in ("OFFSET", "SIZE"):
                        name = f"BLOCK_{what}_{column}_{row}"
                        told.append(self._file.get_tag_item(name, "TIFF", bidx=1))
            for n in (0, len(rows) // 2, -1):
                block = Window(rows[n] * high, columns[n % len(columns)] * wide, high, wide)
                block = block.common(Window(0, 0, *self.size))
                digest.update(self._file.read(window=area(block)).tobytes())
        return [*told, digest.hexdigest()]

    def read(self, window: Window) -> np.ndarray:
        """See `Pixels`."""
        with self._reached():
            return super().read(window)

    def valid(self, window: Window, pixels: np.ndarray) -> np.ndarray | None:
        """See `Pixels`."""
        with self._reached():
            return super().valid(window, pixels)
