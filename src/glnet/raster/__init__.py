"""Image files, read by window: `Raster` for all of them, a reader for each way to read one.

What a file is its content says: `photos` for JPEG, `datasets` for what GDAL reads.
"""

from glnet.raster.pixels import area
from glnet.raster.raster import Raster

__all__ = ["Raster", "area"]
