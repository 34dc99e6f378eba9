"""The mask's polygons as a further output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glnet.datasets.classes import ClassTable
from glnet.errors import RunError
from glnet.outputs.features import vector_extra
from glnet.outputs.files import check_target
from glnet.outputs.polygons import POLYGON_SUFFIXES, write_polygons
from glnet.outputs.rasters import TIFF_SUFFIXES


@dataclass(frozen=True, slots=True)
class PolygonWish:
    """Which polygons go where.

    Attributes:
        path: The file, .gpkg, .geojson or .json.
        background: Names of classes that are left out.
        min_area: Smaller ones are left out, in pixels.
        simplify: Corners go whose triangle is smaller than its square, in pixels.
    """

    path: str | Path
    background: Sequence[str] = ()
    min_area: float = 0.0
    simplify: float = 0.0

    @property
    def file(self) -> Path:
        """The path as one."""
        return Path(self.path)

    def check(self, mask: Path, taken: Sequence[Path], table: ClassTable) -> None:
        """Find out before the work whether it can be met.

        Raises:
            RasterError: the file cannot be written, or an extra is not installed.
            RunError: an unknown class, a negative number, a mask that is no GeoTIFF.
        """
        check_target(self.file, POLYGON_SUFFIXES, taken)
        if self.file.suffix.lower() == ".gpkg" or self.simplify:
            vector_extra(self.file)
        unknown = [name for name in self.background if name not in table.names]
        if unknown:
            msg = f"the model has no class {unknown[0]}; it has: {', '.join(table.names)}"
            raise RunError(msg)
        if not min(self.min_area, self.simplify) >= 0:
            msg = f"areas and tolerances start at 0; got {self.min_area} and {self.simplify}"
            raise RunError(msg)
        if mask.suffix.lower() not in TIFF_SUFFIXES:
            msg = f"{mask}: polygons are made of a mask that is a .tif; name one"
            raise RunError(msg)

    def write(
        self,
        mask: Path,
        confidence: Path | None,
        table: ClassTable,
        progress: Callable[[int, int], None],
        downsample: float = 1.0,
    ) -> int:
        """Write them; gives how many there are.

        Args:
            mask: Finished.
            confidence: The same, where it was asked for: polygons tell its mean.
            table: Its classes.
            progress: See `write_polygons`.
            downsample: Of a slide's mask; see `write_polygons`.

        Raises:
            RasterError: the file could not be written.
        """
        summary = write_polygons(
            mask, self.file, table.legend, confidence=confidence,
            background=[value for value, name in table.legend.items() if name in self.background],
            min_area=self.min_area, simplify=self.simplify,
            colours=table.palette, progress=progress, downsample=downsample,
        )  # fmt: skip
        return sum(summary.features.values())
