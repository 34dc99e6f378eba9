"""A model folder, written whole or not at all, and read."""

import os
import shutil
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from glnet.bundle.card import card_of
from glnet.bundle.config import CARD, CONFIG, WEIGHTS, BundleConfig, read_config
from glnet.errors import BundleError


def write_bundle(folder: str | Path, config: BundleConfig, tensors: dict[str, np.ndarray]) -> None:
    """Write a model folder; it appears whole or not at all, an older one is replaced.

    Raises:
        BundleError: the folder cannot be written, or holds something that is no bundle.
    """
    folder = Path(folder).resolve()
    if (
        folder.exists()
        and not (folder / CONFIG).is_file()
        and (not folder.is_dir() or any(folder.iterdir()))
    ):
        msg = f"{folder}: holds something that is no model; name a new or an empty folder"
        raise BundleError(msg)
    partial, replaced = (
        folder.with_name(f"{folder.name}.{word}") for word in ("partial", "replaced")
    )
    try:
        if replaced.exists() and not folder.exists():
            replaced.rename(folder)  # a process was killed between two renames
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, partial / WEIGHTS)
        (partial / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (partial / CARD).write_text(card_of(partial, config), encoding="utf-8")
        _settle(partial)
        shutil.rmtree(replaced, ignore_errors=True)
        if folder.exists():
            folder.rename(replaced)
        partial.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        if replaced.exists() and not folder.exists():
            replaced.rename(folder)
        msg = f"{folder}: the model cannot be written there ({error})"
        raise BundleError(msg) from error


def _settle(partial: Path) -> None:
    """Flush all files of a model folder, and read its weights' table of contents again."""
    for path in partial.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())
    # Refuses a file that is shorter than its table says.
    with safe_open(partial / WEIGHTS, "numpy"):
        pass


def read_bundle(folder: str | Path) -> tuple[BundleConfig, dict[str, np.ndarray]]:
    """A model folder's config and weights.

    Raises:
        BundleError: see `read_config`; or the weights are damaged.
    """
    config = read_config(folder)
    try:
        return config, load_file(Path(folder) / WEIGHTS)
    except (OSError, SafetensorError) as error:
        msg = f"{Path(folder) / WEIGHTS}: cannot be read as weights ({error})"
        raise BundleError(msg) from error
