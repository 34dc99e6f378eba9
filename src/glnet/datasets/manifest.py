"""The manifest: a CSV that names images, their masks and the split each belongs to."""

import contextlib
import csv
import io
import os
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glnet.datasets.problems import Problems, gathering
from glnet.errors import DataError, GatheredError
from glnet.geometry import Window
from glnet.recipe.paths import told

#: In a mask's path: stands for each class's file name in turn.
CLASS_MARK = "{class}"

_COLUMNS = ("image", "mask", "split")


@dataclass(frozen=True, slots=True)
class Sample:
    """An image, or a part of one, with its labels.

    Attributes:
        image, mask: Absolute or relative to the working folder, ready to open; the mask may be a
            pattern with `{class}` in it.
        split: The row's.
        window: The part of the image that this is; None: all of it.
        name: The image's path, with slashes, from the folder that all images of the manifest have
            in common: wherever that lies. Without a manifest the file's name.
        group: What it shares with other images, such as a patient: they are alike. "": nothing.
    """

    image: Path
    mask: Path
    split: str
    window: Window | None = None
    name: str = ""
    group: str = ""

    def __post_init__(self) -> None:
        """Give it a name."""
        if not self.name:
            object.__setattr__(self, "name", self.image.name)

    @property
    def seed(self) -> int:
        """What is drawn about this sample depends on it: its name, and the window."""
        place = "" if self.window is None else f" {_shown(self.window)}"
        return zlib.crc32(f"{self.name}{place}".encode())


@dataclass(frozen=True, slots=True)
class _Row:
    """A record of the file, the line an editor shows it at, and its split."""

    line: int
    cells: dict[str, str]
    split: str


def read_manifest(
    path: str | Path,
    split: str | None = None,
    *,
    required: bool = True,
    once: bool = False,
    files: Sequence[str] = ("image", "mask"),
    problems: Problems | None = None,
) -> list[Sample]:
    """Read the rows of one split, or all of them; paths are relative to the manifest's folder.

    Args:
        path: The manifest: the columns image, mask, split; where a row is a part of its image,
            window: `top left height width`; where images are of one patient or place, group.
        split: Which rows; `all`, or None, for all. Of the others only windows and groups are
            looked at, for what splits share.
        required: Refuse a split without rows.
        once: Refuse rows that name the same image and window again: they would count twice.
        files: Which of the two files of a row must exist.
        problems: Gathers what is wrong, for the caller to refuse; the sound rows are given.

    Raises:
        DataError: not a CSV with these columns; files that do not exist; windows that are none; an
            image, overlapping parts of one, or a group in two splits; a split without rows.
    """
    path = Path(path)
    with gathering(problems) as found:
        samples: list[Sample] = []
        with found.gathered():
            rows = _rows(path)
            chosen = [row for row in rows if split in (None, "all", row.split)]
            shared = _shared_folder(rows, path)
            for row in chosen:
                with found.gathered():
                    samples.append(_sample(row, path, shared, files))
            _refuse_leaks(rows, path, found)
            _refuse_torn(rows, path, found)
            if once:
                _refuse_repeats(chosen, path, found)
            if required and not chosen:
                splits = ", ".join(sorted({row.split or "rows without any" for row in rows}))
                msg = f"{path}: no row of the split '{split}'; there are: {splits}"
                raise DataError(msg)
    return samples


def manifest_csv(samples: Sequence[Sample], splits: Sequence[str], folder: Path) -> str:
    """A manifest in `folder` as text."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    parts, groups = (any(getattr(s, kind) for s in samples) for kind in ("window", "group"))
    rows.writerow((*_COLUMNS, *["window"] * parts, *["group"] * groups))
    for sample, split in zip(samples, splits, strict=True):
        place = _shown(sample.window) if sample.window else ""
        files = told(sample.image, folder), told(sample.mask, folder)
        rows.writerow((*files, split, *[place] * parts, *[sample.group] * groups))
    return text.getvalue()


def _rows(path: Path) -> list[_Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            records = [(reader.line_num, record) for record in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path}: cannot be read as a manifest ({error})"
        raise DataError(msg) from error
    if not records or not set(_COLUMNS) <= set(records[0][1]):
        columns = ", ".join(map(str, records[0][1])) if records else "no rows"
        msg = f"{path}: wanted CSV with the columns {', '.join(_COLUMNS)}; found {columns}"
        raise DataError(msg)
    if any("\0" in (cells[name] or "") for _, cells in records for name in _COLUMNS):
        msg = f"{path}: holds NUL characters, which no path has; save it as plain text"
        raise DataError(msg)
    return [_Row(line, cells, (cells["split"] or "").strip()) for line, cells in records]


def _shared_folder(rows: Sequence[_Row], manifest: Path) -> Path | None:
    """The deepest folder that all images lie below; None: they lie on several drives."""
    folders = {_file(row, manifest, "image").parent.absolute() for row in rows}
    try:
        return Path(os.path.commonpath([os.path.normpath(folder) for folder in folders]))
    except ValueError:
        return None


def _file(row: _Row, manifest: Path, kind: str) -> Path:
    return manifest.parent / (row.cells[kind] or "").strip()


def _sample(row: _Row, manifest: Path, shared: Path | None, needed: Sequence[str]) -> Sample:
    image, mask = (_file(row, manifest, kind) for kind in ("image", "mask"))
    single = [("image", image)] + [("mask", mask)] * (CLASS_MARK not in str(mask))
    missing = [
        f"{manifest}, line {row.line}: the {kind} {file} does not exist or is no file"
        for kind, file in single
        if kind in needed and not file.is_file()
    ]
    if missing:
        raise GatheredError(missing)
    # Links are not followed: a name is what the manifest says.
    name = Path(os.path.relpath(image, shared)).as_posix() if shared else image.name
    return Sample(image, mask, row.split, _window(row, manifest), name, _group(row))


def _group(row: _Row) -> str:
    return (row.cells.get("group") or "").strip()


def _window(row: _Row, manifest: Path) -> Window | None:
    text = (row.cells.get("window") or "").strip()
    if not text:
        return None
    parts = [part for part in re.split(r"[ ,;]+", text) if part]
    if len(parts) != 4 or not all(re.fullmatch(r"[0-9]{1,9}", part) for part in parts):  # noqa: PLR2004
        wanted = "wanted a window as 'top left height width' in pixels"
        msg = f"{manifest}, line {row.line}: {wanted}, found {text!r}"
        raise DataError(msg)
    window = Window(*map(int, parts))
    if min(window.size) < 1:
        msg = f"{manifest}, line {row.line}: the window {text!r} holds no pixel"
        raise DataError(msg)
    return window


def _refuse_leaks(rows: Sequence[_Row], manifest: Path, problems: Problems) -> None:
    """What is trained on proves nothing when it is tested: each pixel belongs to one split."""
    # By os.path.realpath: Path.resolve fails on links that lead round in circles.
    earlier: dict[str, list[tuple[_Row, Window | None]]] = {}
    for row in rows:
        image = _file(row, manifest, "image")
        try:
            window = _window(row, manifest)
        except DataError as error:
            problems.add(str(error))
            continue
        same = earlier.setdefault(os.path.realpath(image), [])
        for other, its in same:
            if other.split != row.split and _share(window, its):
                problems.add(
                    f"{manifest}, lines {other.line} and {row.line}: the splits '{other.split}' and"
                    f" '{row.split}' share pixels of {image}; each may belong to one split only"
                )
                break
        same.append((row, window))


def _refuse_torn(rows: Sequence[_Row], manifest: Path, problems: Problems) -> None:
    """Images of one group are alike: to be tested on one that was trained on flatters, too."""
    first: dict[str, _Row] = {}
    torn = set[str]()
    for row in rows:
        group = _group(row)
        other = first.setdefault(group, row)
        if group and group not in torn and other.split != row.split:
            torn.add(group)
            problems.add(
                f"{manifest}, lines {other.line} and {row.line}: the group '{group}' is in the "
                f"splits '{other.split}' and '{row.split}'; move it into one"
            )


def _refuse_repeats(rows: Sequence[_Row], manifest: Path, problems: Problems) -> None:
    """Some rows of an image would weigh more than others in every score."""
    first: dict[tuple[str, str], _Row] = {}
    for row in rows:
        image = _file(row, manifest, "image")
        with contextlib.suppress(DataError):  # told already
            window = _window(row, manifest)
            other = first.setdefault((os.path.realpath(image), str(window)), row)
            if other is not row:
                problems.add(
                    f"{manifest}, lines {other.line} and {row.line}: the same part of {image}, "
                    "which would be counted twice; remove one of them"
                )


def _share(one: Window | None, other: Window | None) -> bool:
    """Do two parts of an image share a pixel? None is all of it."""
    return one is None or other is None or one.meets(other)


def _shown(window: Window) -> str:
    return f"{window.top} {window.left} {window.height} {window.width}"
