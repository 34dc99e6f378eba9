"""`plan`: a folder of labelled images in, a recipe with reasons, a manifest and classes out."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from glnet.datasets.classes import ClassTable, classes_csv, read_classes
from glnet.datasets.manifest import CLASS_MARK, Sample, manifest_csv, read_manifest
from glnet.datasets.masks import LabelCoder
from glnet.datasets.problems import listed
from glnet.errors import DataError, RecipeError
from glnet.geometry import scene_grid
from glnet.outputs.files import whole_or_nothing
from glnet.planning.choices import PAPER_SIDE, Choice
from glnet.planning.dividing import FEW, divide, grouped
from glnet.planning.labels import discover_classes
from glnet.planning.measure import ImageFacts, gather, measure
from glnet.planning.pairs import SUFFIXES, find_pairs
from glnet.planning.proposal import Proposal, propose
from glnet.planning.summary import head
from glnet.planning.text import recipe_text
from glnet.planning.wishes import Wishes
from glnet.raster import Raster
from glnet.recipe import load_recipe
from glnet.recipe.paths import refuse_existing, told

Say = Callable[[str], object]

_REASONS = {
    "preset": (
        "Where settings start from that are not named here: best is what the project's studies "
        "found, default the paper, authors the released code."
    ),
}

#: Along the longer side of a raster that is alone.
_BLOCKS = 3


@dataclass(frozen=True)
class Plan:
    """All that was found out, and the files to write.

    Attributes:
        table: The classes.
        images, splits: What was measured, and the split of each; the first fold's with folds.
        notes: What a user should know, a line each.
        recipes, tables: Text by path: the recipes; manifests and class table.
        force: Whether files that exist may be overwritten.
    """

    table: ClassTable
    images: list[ImageFacts]
    splits: list[str]
    notes: list[str]
    recipes: dict[Path, str]
    tables: dict[Path, str]
    force: bool

    def write(self) -> None:
        """Write all files, or none: under other names first, re-read, then renamed.

        Raises:
            RecipeError: a file exists, and may not be overwritten.
            RasterError: the system refused a write.
        """
        if not self.force:
            refuse_existing([*self.recipes, *self.tables])
        with contextlib.ExitStack() as stack:
            # Renamed in reverse: where a recipe is, its tables are.
            for path, text in (self.recipes | self.tables).items():
                path.parent.mkdir(parents=True, exist_ok=True)
                partial = stack.enter_context(whole_or_nothing(path))
                partial.write_text(text, encoding="utf-8")
                _read_back(path, partial)


def _read_back(path: Path, partial: Path) -> None:
    if path.suffix != ".csv":
        load_recipe(partial)
    elif path.stem.startswith("manifest"):
        read_manifest(partial)
    else:
        read_classes(partial)


@dataclass(frozen=True)
class _Data:
    """The samples, and what the user has laid down already: a manifest, a class table."""

    samples: list[Sample]
    manifest: Path | None
    classes: Path | None


def plan(
    folder: str | Path,
    recipe: str | Path = "recipe.yaml",
    wishes: Wishes | None = None,
    say: Say = lambda _: None,
    progress: Callable[[int, int], object] = lambda _, __: None,
) -> Plan:
    """Look at a folder of images and masks, and choose every setting of a run; writes nothing.

    Args:
        folder: Images and masks in one of the known layouts, or with a `manifest.csv`.
        recipe: Where the recipe will be; `manifest.csv` and `classes.csv` come beside it.
        wishes: What the user has decided.
        say: Told what is being done, line by line.
        progress: Told how many images of it are done, and of how many.

    Raises:
        GlnetError: no pairs, or not to be told apart; files that cannot be used; a wish that
            cannot be met.
    """
    folder, recipe, wishes, notes = Path(folder), Path(recipe), wishes or Wishes(), list[str]()
    wishes.check()
    if recipe.suffix.lower() not in (".yaml", ".yml"):
        msg = f"{recipe}: the recipe's name must end with .yaml"
        raise RecipeError(msg)
    data = _find(folder, wishes, notes)
    suffixes = [f".fold{k}" for k in range(1, wishes.folds + 1)] or [""]
    named = {suffix: _named(recipe, suffix, data) for suffix in suffixes}
    classes = data.classes or recipe.parent / "classes.csv"
    fresh = {path for pair in named.values() for path in pair} | {classes}
    if not wishes.force:
        refuse_existing(sorted(fresh - {data.manifest, data.classes}))
    table = _table(data, classes, notes, say, progress)
    say(f"reading {len(data.samples)} images and masks")
    images = measure(data.samples, LabelCoder(table, wishes.tolerance), progress)
    if images[0].left_out:
        bands = images[0].bands + images[0].left_out
        notes.append(
            f"band {bands} of the images counts as alpha and is left out; if it is one to learn "
            f"from, say model.bands: {bands} in the recipe, with input's mean and deviation"
        )
    pixels = np.array([image.pixels for image in images])
    fixed = data.manifest is not None
    runs = divide(data.samples, pixels, wishes, notes, fixed=fixed)
    tables = {} if data.classes else {classes: classes_csv(table)}
    recipes: dict[Path, str] = {}
    proposal: Proposal | None = None
    for (path, manifest), splits in zip(named.values(), runs, strict=True):
        if manifest != data.manifest:
            tables[manifest] = manifest_csv(data.samples, splits, manifest.parent)
        facts = gather(images, splits, table.names)
        proposal = propose(facts, wishes, path.parent, proposal, say)
        settings = {
            "preset": "best",
            "data.manifest": told(manifest, path.parent),
            "data.classes": told(classes, path.parent),
            "data.tolerance": wishes.tolerance,
        }
        said = [*head(folder, path, images, splits, facts), proposal.expectation]
        recipes[path] = recipe_text(said, proposal.choice.plus(Choice(settings, _REASONS)))
        own = [*proposal.notes, proposal.expectation]
        notes += [f"{path.name}: {note}" for note in own] if wishes.folds else own
    return Plan(table, images, runs[0], notes, recipes, tables, wishes.force)


def _named(recipe: Path, suffix: str, data: _Data) -> tuple[Path, Path]:
    """A run's recipe and manifest; a manifest that is given serves one run as it is."""
    path = recipe.with_name(f"{recipe.stem}{suffix}{recipe.suffix}")
    fresh = recipe.parent / f"manifest{suffix}.csv"
    return path, fresh if suffix or data.manifest is None else data.manifest


def _find(folder: Path, wishes: Wishes, notes: list[str]) -> _Data:
    given = wishes.manifest, wishes.classes
    manifest, classes = (None if each is None else Path(each) for each in given)
    if manifest is None and (folder / "manifest.csv").is_file():
        manifest = folder / "manifest.csv"
    if classes is None and (folder / "classes.csv").is_file():
        classes = folder / "classes.csv"
    if classes is not None:
        notes.append(_kept(classes))
    if manifest is not None:
        return _told(manifest, classes, wishes, notes)
    found = find_pairs(folder)
    if found.unlabelled:
        names = listed(path.relative_to(folder) for path in found.unlabelled)
        count = len(found.unlabelled)
        notes.append(f"left out, having no mask: {count} image{'s' * (count > 1)}: {names}")
    if wishes.group is not None:
        return _Data(grouped(found.samples, folder, wishes.group), None, classes)
    return _Data(_in_blocks(found.samples, notes), None, classes)


def _told(manifest: Path, classes: Path | None, wishes: Wishes, notes: list[str]) -> _Data:
    """What a manifest says; one without any split leaves them to be chosen."""
    if wishes.group is not None:
        msg = f"--group is for folders; {manifest} names groups in a column 'group'"
        raise RecipeError(msg)
    samples = read_manifest(manifest)
    if any(sample.split for sample in samples):
        notes.append(_kept(manifest))
        return _Data(samples, manifest, classes)
    notes.append(f"{manifest} names no splits: they are chosen, and written into a manifest anew")
    return _Data(samples, None, classes)


def _kept(path: Path) -> str:
    return f"{path} is used as it is; to have it made anew, delete it"


def _in_blocks(samples: list[Sample], notes: list[str]) -> list[Sample]:
    """One or two large rasters as blocks that share no pixel, or there is nothing to hold out."""
    if len(samples) >= FEW:
        return samples
    with contextlib.ExitStack() as stack:
        sizes = [stack.enter_context(Raster(sample.image)).size for sample in samples]
    if min(map(max, sizes)) < _BLOCKS * PAPER_SIDE:
        return samples
    notes.append(
        f"{len(samples)} raster{'s' * (len(samples) > 1)} alone: split by blocks, a third of the "
        "longer side each; blocks of one raster are alike, so scores flatter: label another area"
    )
    return [
        replace(sample, window=block)
        for sample, size in zip(samples, sizes, strict=True)
        for block in scene_grid(size, -(-max(size) // _BLOCKS))
    ]


def _table(
    data: _Data,
    path: Path,
    notes: list[str],
    say: Say,
    progress: Callable[[int, int], object],
) -> ClassTable:
    if data.classes is not None:
        return read_classes(data.classes)
    odd = next((s.mask for s in data.samples if s.mask.suffix.lower() not in SUFFIXES), None)
    odd = odd or next((s.mask for s in data.samples if CLASS_MARK in str(s.mask)), None)
    if odd is not None:
        msg = f"{odd}: only masks in one raster tell their classes; give a class table by --classes"
        raise DataError(msg)
    say("looking for classes in the masks")
    table = discover_classes(data.samples, notes, progress)
    notes.append(
        f"classes are named by what the masks hold: edit the names in {path}; to ignore one, say "
        f"so there and run init again with --classes {path}"
    )
    return table
