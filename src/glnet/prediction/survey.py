"""How many scenes each of many images has; found once, for all processes that share the work.

A thousand processes that open ten thousand images each, only to find their own, would be the most
that a shared folder has to bear.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from glnet import __version__
from glnet.errors import GlnetError
from glnet.outputs.tables import write_json
from glnet.prediction.identity import key_of, stamp
from glnet.prediction.jobs import Job
from glnet.prediction.predictor import Predictor
from glnet.prediction.shares import Amount
from glnet.raster import address_of

#: Of the files, and of their locks.
_PREFIX = ".glnet-shares-"

#: Between two looks whether it is counted: a thousand processes may be waiting.
_SECONDS = 1.0


def survey(predictor: Predictor, jobs: Sequence[Job], folder: Path | None) -> list[Amount]:
    """How much there is to do for each image; nothing for one that cannot be used.

    Args:
        predictor: The model.
        jobs: The images.
        folder: Where what is found is kept for the other processes; None: it is not.

    Raises:
        OSError, RasterError: the folder cannot be written.
    """
    if folder is None:
        return [amount(predictor, job) for job in jobs]
    path = folder / f"{_PREFIX}{_key(predictor, jobs)}.json"
    found = _read(path)
    if found is None:
        with FileLock(path.with_suffix(".lock"), poll_interval=_SECONDS):
            found = _read(path)
            if found is None:
                found = [amount(predictor, job) for job in jobs]
                write_json(path, found)
    return found


def forget(folder: Path) -> None:
    """Remove what surveys left in a folder: the work is done."""
    for path in folder.glob(f"{_PREFIX}*"):
        path.unlink(missing_ok=True)


def amount(predictor: Predictor, job: Job) -> Amount:
    """How much there is to do for an image; nothing for one that cannot be used."""
    try:
        with predictor.open(job.image) as opened:
            return Amount(len(opened.parts), opened.parts[0].scene.size.area)
    except GlnetError:
        return Amount(0, 1)


def _key(predictor: Predictor, jobs: Sequence[Job]) -> str:
    config = predictor.config.model_dump(mode="json", include={"model", "trained_on"})
    images = [
        (str(job.image), None if address_of(job.image) else stamp(Path(job.image))) for job in jobs
    ]
    facts = {"glnet": __version__, "config": config, "options": str(predictor.options)}
    return key_of(facts | {"images": images})


def _read(path: Path) -> list[Amount] | None:
    try:
        return [Amount(*each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return None
