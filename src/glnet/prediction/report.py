"""What a run did: for programs as JSON, for people as a few lines."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from glnet.geometry import Size, Window
from glnet.recipe.amounts import show_bytes

#: Seconds that are not worth a word.
_TOLD = 0.05


@dataclass(frozen=True, slots=True)
class FailedPart:
    """A part that could not be computed: its core, and why."""

    core: Window
    why: str

    def __str__(self) -> str:
        rows, columns = (
            f"{start} to {start + length}" for start, length in (self.core.rows, self.core.columns)
        )
        return f"rows {rows}, columns {columns}: {self.why}"


@dataclass(slots=True)
class Report:
    """A run over one raster.

    Attributes:
        image, model: What was read.
        outputs: What was written.
        size: Of the raster.
        scene: Of a part's scene, in the network's pixels.
        view, engine, precision, threads, device: What computed.
        parts: How many there are.
        computed, empty: How many were computed now, or hold nothing that was to be segmented.
        reused: How many were found finished; scenes that reach into others may be computed again.
        failed: Those that could not be computed.
        patches: How many the local branch saw.
        polygons: How many were written; None where none were asked for.
        seconds: By what they went into.
        memory: The most that the process ever held, in bytes; None where the system does not say.
        key: Names all that the outputs depend on.
        digests: Of the outputs, by what they are.
        glnet: The version.
    """

    image: str
    model: str
    size: Size
    scene: Size
    view: str
    engine: str
    precision: str
    threads: int
    device: str
    parts: int
    glnet: str
    outputs: list[str] = field(default_factory=list)
    computed: int = 0
    reused: int = 0
    empty: int = 0
    failed: list[FailedPart] = field(default_factory=list)
    patches: int = 0
    polygons: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    memory: int | None = None
    key: str = ""
    digests: dict[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> Iterator[str]:
        """What people want to know."""
        total, megapixels = sum(self.seconds.values()), self.size.area / 1e6
        parts = [f"{self.computed} computed"]
        parts += [f"{self.reused} kept from before"] if self.reused else []
        parts += [f"{self.empty} without data"] if self.empty else []
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        scenes = "1 scene" if self.parts == 1 else f"{self.parts} scenes"
        yield f"{self.size} px in {scenes}: {', '.join(parts)}; {self.patches} patches"
        if self.polygons is not None:
            yield f"{self.polygons} polygons"
        spent = ", ".join(
            f"{name} {value:.1f} s" for name, value in self.seconds.items() if value > _TOLD
        )
        held = "" if self.memory is None else f"; the process held {show_bytes(self.memory)}"
        rate = megapixels / max(total, 1e-9)
        yield f"{total:.1f} s ({rate:.2f} megapixels per second): {spent}{held}"
        yield from (f"no data at {failed}" for failed in self.failed)

    def _repr_html_(self) -> str:
        """How a notebook shows it, without any text of the files' that a browser would obey."""
        from glnet.prediction.showing import shown  # noqa: PLC0415  it reads rasters

        return shown(self.image, self.outputs, list(self.lines))

    def as_dict(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def report_path(out: Path) -> Path:
    """Where the report of an output lies."""
    return out.with_name(f"{out.stem}.report.json")


def read_report(path: Path) -> Report | None:
    """A report that was written; None where there is none, or one of another glnet."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        told["size"], told["scene"] = Size(*told["size"]), Size(*told["scene"])
        told["failed"] = [FailedPart(Window(**one["core"]), one["why"]) for one in told["failed"]]
        return Report(**told)
    except (OSError, ValueError, TypeError, LookupError):
        return None
