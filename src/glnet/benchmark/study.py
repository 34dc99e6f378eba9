"""A study: entries that are trained over seeds and folds and end in one table, as a YAML file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from glnet.errors import RecipeError
from glnet.metrics import ProtocolName
from glnet.recipe import Recipe, Settings, View, check_settings, merged, read_settings, recipe_from


class EntrySettings(Settings):
    """One row of the table."""

    name: Annotated[str, Field(min_length=1)]
    #: Laid over the study's recipe, nested as there.
    settings: Annotated[dict[str, Any], Field(default_factory=dict)]
    #: Which output is scored; None: the model's own.
    view: View | None = None
    #: Numbers to stand beside what is measured: `mean_iou` in percent, `memory_mb`.
    published: Annotated[dict[str, float], Field(default_factory=dict)]


class StudySettings(Settings):
    """What a study file holds."""

    title: str
    #: A recipe; paths in it are relative to the study file.
    recipe: dict[str, Any]
    seeds: Annotated[tuple[int, ...], Field(min_length=1)] = (0,)
    #: Manifests of a cross-validation; none: the recipe's own.
    folds: tuple[Path, ...] = ()
    #: Are the images that all folds test scored as one set? For folds of so few images that some
    #: lack a class: what is predicted of it there would count as a class that is missed wholly.
    pooled: bool = False
    split: str = "test"
    protocol: ProtocolName = "ignore"
    boundary: bool = False
    #: The entry that all others are compared with, on the same images.
    against: str | None = None
    entries: Annotated[list[EntrySettings], Field(min_length=1)]


def slug(name: str) -> str:
    """A name as a folder's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "entry"


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """An entry with one seed on one fold: a run. Equal to itself alone."""

    entry: EntrySettings
    seed: int
    fold: int
    recipe: Recipe

    @property
    def name(self) -> str:
        """Of its folder, unique in a study."""
        return f"{slug(self.entry.name)}/seed-{self.seed}-fold-{self.fold}"

    @property
    def view(self) -> View | None:
        """The output that is scored; None: the one that validation chooses."""
        model = self.recipe.model
        return self.entry.view or (None if model.view == "validated" else model.views[0])


@dataclass(frozen=True, slots=True)
class Study:
    """A study, checked: every run's recipe is known to be sound.

    Attributes:
        settings: All entries and seeds.
        jobs: All runs; tables are made of those that are finished.
        asked: Those to be run now.
    """

    settings: StudySettings
    jobs: tuple[Job, ...]
    asked: tuple[Job, ...]


def load_study(
    path: str | Path,
    *,
    data: Path | None = None,
    over: dict[str, Any] | None = None,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> Study:
    """Read a study and check every entry's recipe.

    Args:
        path: The YAML file.
        data: A folder whose `manifest.csv` and `classes.csv` take the place of the study's, and
            in which its folds lie.
        over: Settings laid over every entry's.
        only: Names of the entries to run; all by default.
        seeds: That are run; the study's by default, which others are added to.

    Raises:
        RecipeError: a file or a setting that cannot be used; the line names the entry.
    """
    path = Path(path)
    study = check_settings(StudySettings, read_settings(path), str(path))
    _check_names(study, only, str(path))
    asked = tuple(seeds) or study.seeds
    study = study.model_copy(update={"seeds": tuple(dict.fromkeys((*study.seeds, *asked)))})
    base = study.recipe
    if data is not None:
        files = {name: str(data.resolve() / f"{name}.csv") for name in ("manifest", "classes")}
        base = merged(base, {"data": files})
    near = data.resolve() if data is not None else Path()
    manifests = [{"data": {"manifest": str(near / fold)}} for fold in study.folds] or [{}]
    # Seed by seed: a table that is not finished has all entries, with fewer seeds.
    jobs = tuple(
        Job(entry, seed, fold, _recipe(base, entry, over or {}, manifest, seed, path))
        for seed in study.seeds
        for fold, manifest in enumerate(manifests)
        for entry in study.entries
    )
    names = only or [entry.name for entry in study.entries]
    return Study(study, jobs, tuple(j for j in jobs if j.entry.name in names and j.seed in asked))


def _recipe(
    base: dict[str, Any],
    entry: EntrySettings,
    over: dict[str, Any],
    manifest: dict[str, Any],
    seed: int,
    path: Path,
) -> Recipe:
    """One run's recipe: the study's, the entry's settings, the fold's manifest, the seed."""
    values = merged(merged(base, entry.settings), over)
    values = merged(merged(values, manifest), {"train": {"seed": seed}})
    where = f"{path}: entry '{entry.name}'"
    recipe = recipe_from(values, path.resolve().parent, where)
    if entry.view is not None and entry.view not in recipe.model.views:
        views = ", ".join(recipe.model.views)
        msg = f"{where}: the network has no view {entry.view}; it has: {views}"
        raise RecipeError(msg)
    return recipe


def _check_names(study: StudySettings, only: Sequence[str], where: str) -> None:
    names = [entry.name for entry in study.entries]
    folders = [slug(name) for name in names]
    for position, folder in enumerate(folders):
        if folder in folders[:position]:
            one, other = names[folders.index(folder)], names[position]
            msg = f"{where}: entries '{one}' and '{other}' must differ in letters or digits"
            raise RecipeError(msg)
    for name in (*only, *([study.against] if study.against is not None else [])):
        if name not in names:
            msg = f"{where}: no entry '{name}'; there are: {', '.join(names)}"
            raise RecipeError(msg)
