"""What a user decides before a plan is made."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from glnet.errors import RecipeError
from glnet.recipe import read_bytes


@dataclass(frozen=True)
class Wishes:
    """All that is not chosen from the data.

    Attributes:
        manifest, classes: Used as they are, instead of what the folder holds.
        tolerance: Of near-colours in RGB masks; goes into the recipe.
        hours: What training may take on this machine.
        memory: What it may take of the device, e.g. 4GiB; None: by the device.
        trunk, trunk_weights: A timm model; `imagenet`, `none` or a file.
        shrink: How often images are shrunk, along a side; None: as the time and the masks allow.
        device: As in recipes.
        seed: Of splits and training.
        group: A regular expression for an image's path below the folder: what it finds there is
            the image's group, which no split tears; None: every image is by itself.
        folds: Recipes for cross-validation; 0: one recipe.
        measure: Time steps here; else a rough pace is taken, and PyTorch is not needed.
        force: Overwrite files that exist.
    """

    manifest: str | Path | None = None
    classes: str | Path | None = None
    tolerance: int = 0
    hours: float = 8.0
    memory: str | None = None
    trunk: str = "resnet50"
    trunk_weights: str = "imagenet"
    shrink: int | None = None
    device: str = "auto"
    seed: int = 0
    group: str | None = None
    folds: int = 0
    measure: bool = True
    force: bool = False

    def check(self) -> None:
        """Refuse what cannot be met, before anything is read.

        Raises:
            RecipeError: no time or no end of it, images enlarged, one fold, no regular expression,
                no such weights, no such amount of memory.
        """
        if not 0 < self.hours < math.inf:
            msg = f"--hours: wanted more than 0 and an end, got {self.hours:g}"
            raise RecipeError(msg)
        if self.shrink is not None and self.shrink < 1:
            msg = f"--shrink: wanted 1 or more, got {self.shrink}"
            raise RecipeError(msg)
        if self.folds < 0 or self.folds == 1:
            msg = f"--folds: wanted 2 or more, or none, got {self.folds}"
            raise RecipeError(msg)
        if self.group is not None:
            try:
                re.compile(self.group)
            except re.error as error:
                msg = f"--group: {self.group!r} is no regular expression ({error})"
                raise RecipeError(msg) from error
        if self.memory is not None:
            try:
                read_bytes(self.memory)
            except ValueError as error:
                msg = f"--memory: {error}"
                raise RecipeError(msg) from error
        if (
            self.trunk_weights not in ("imagenet", "none")
            and not Path(self.trunk_weights).is_file()
        ):
            msg = (
                f"--trunk-weights: {self.trunk_weights} does not exist; name a file, 'imagenet' or "
                "'none'"
            )
            raise RecipeError(msg)
