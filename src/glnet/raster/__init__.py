"""Image files, read by window: `Raster` for all of them, a reader for each way to read one.

What a file is its content says: `photos` for JPEG, `slides` for what OpenSlide knows,
`datasets` for what GDAL reads.
"""

from glnet.raster.addresses import address_of, shown
from glnet.raster.levels import Level, SlideWish
from glnet.raster.pixels import area, filled, means
from glnet.raster.raster import Raster

__all__ = ["Level", "Raster", "SlideWish", "address_of", "area", "filled", "means", "shown"]
