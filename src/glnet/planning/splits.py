"""Which image is for what: splits by whole images, with the classes' shares as alike as can be.

Never by crops: neighbouring crops of one image in training and test flatter the score.
"""

from collections.abc import Callable, Sequence

import numpy as np

#: Share of the images in validation, and in test.
HELD_OUT = 0.15

#: Random orders that are tried; the one with the most alike splits is taken.
TRIES = 200


def choose_splits(pixels: np.ndarray, seed: int) -> list[str]:
    """Splits for images that have none: about 70 / 15 / 15 %.

    At least one image in validation and in test where there are three; two images are one to train
    and one to validate; one is to train.

    Args:
        pixels: Labelled pixels, shape (images, classes).
        seed: Fixes the result.
    """
    images = len(pixels)
    held = max(1, round(HELD_OUT * images))
    validation, test = held * (images >= 2), held * (images >= 3)  # noqa: PLR2004  one each
    sizes = {"validation": validation, "test": test, "train": images - validation - test}
    names = [name for name, size in sizes.items() for _ in range(size)]
    return _most_alike(pixels, lambda order: _laid(order, names), seed)


def take_validation(pixels: np.ndarray, splits: Sequence[str], seed: int) -> list[str]:
    """Move some training images to validation, where there are two; other splits are kept."""
    train = [i for i, split in enumerate(splits) if split == "train"]
    held = max(1, round(HELD_OUT * len(train))) if len(train) > 1 else 0
    names = ["validation"] * held + ["train"] * (len(train) - held)
    chosen = _most_alike(pixels[train], lambda order: _laid(order, names), seed)
    result = list(splits)
    for index, split in zip(train, chosen, strict=True):
        result[index] = split
    return result


def choose_folds(pixels: np.ndarray, folds: int, seed: int) -> list[list[str]]:
    """Splits for cross-validation: every image is in the test split of exactly one fold.

    Raises:
        ValueError: fewer than two folds, or fewer images than folds or than three.
    """
    images = len(pixels)
    if not 2 <= folds <= images or images < 3:  # noqa: PLR2004  to train, validate and test
        msg = (
            f"wanted from 2 to {images} folds of at least 3 images, or groups of them, got {folds} "
            f"of {images}"
        )
        raise ValueError(msg)
    names = [str(position % folds) for position in range(images)]
    fold_of = _most_alike(pixels, lambda order: _laid(order, names), seed)
    bare = [["test" if own == str(k) else "train" for own in fold_of] for k in range(folds)]
    return [take_validation(pixels, splits, seed) for splits in bare]


def _laid(order: np.ndarray, names: Sequence[str]) -> list[str]:
    """The names, given to the images in a random order."""
    laid = [""] * len(order)
    for image, name in zip(order, names, strict=True):
        laid[image] = name
    return laid


def _most_alike(pixels: np.ndarray, lay: Callable[[np.ndarray], list[str]], seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    candidates = [lay(rng.permutation(len(pixels))) for _ in range(TRIES)]
    return min(candidates, key=lambda splits: unlikeness(pixels, splits))


def unlikeness(pixels: np.ndarray, splits: Sequence[str]) -> tuple[int, float]:
    """How far the splits' class shares are from those of all images; less is better.

    First counts the classes that no training image has (they could not be learned), then adds up
    the splits' Hellinger distances, which let rare classes count, and that of their pixels' shares
    from their images': a patient with most of the pixels is not for testing.
    """
    names = np.array(splits)
    whole = _roots(pixels.sum(0))
    sums = {name: pixels[names == name].sum(0) for name in sorted(set(splits))}
    lacking = int(((sums["train"] == 0) & (whole > 0)).sum()) if "train" in sums else 0
    wanted = _roots(np.array([(names == name).sum() for name in sums]))
    held = _roots(np.array([own.sum() for own in sums.values()]))
    distances = [*(_roots(own) - whole for own in sums.values()), held - wanted]
    return lacking, sum(float(np.linalg.norm(each)) for each in distances)


def _roots(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(pixels / max(1, pixels.sum())))
