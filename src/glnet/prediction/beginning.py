"""What comes before the first scene of an image: is it new, does it fit, who else is at it?"""

import contextlib
from dataclasses import replace
from pathlib import Path

from glnet import __version__
from glnet.errors import GlnetError, RunError
from glnet.prediction.facts import facts_of
from glnet.prediction.identity import digest, key_of
from glnet.prediction.jobs import Job
from glnet.prediction.locks import clear, locked, parts_folder, shared
from glnet.prediction.opening import Opened
from glnet.prediction.predictor import Predictor
from glnet.prediction.report import Report, read_report, report_path
from glnet.prediction.run import Run
from glnet.prediction.shares import Own
from glnet.prediction.space import check_space
from glnet.prediction.store import PartStore
from glnet.raster import shown


def begin(
    predictor: Predictor,
    job: Job,
    *,
    many: bool = False,
    own: Own | None = None,
) -> Run | Report:
    """Open an image, and find out what of it is there already.

    Args:
        predictor: The model.
        job: The image and its outputs.
        many: Other images are predicted too.
        own: Only these scenes are computed, and nothing is put together; other processes may be at
            others.

    Returns:
        What is still to be done, its raster and its lock held; or the report of a run that did all
        of it.

    Raises:
        GlnetError: the image or an output cannot be used.
    """
    with contextlib.ExitStack() as stack:
        with predictor.open(job.image) as opened:
            check_space(job.layers, opened.size)
            if own is not None and own.total != len(opened.parts):
                what = "has changed since the shares were dealt; start all of them again"
                msg = f"{shown(job.image)}: {what}"
                raise RunError(msg)
            facts = facts_of(predictor, opened, job.layers)
        key = key_of(facts)
        drawn = None if job.polygons is None else replace(job.polygons, path=Path())
        # Of the outputs each counts by itself, see `_finished`.
        whole = key_of(facts | {"layers": None, "polygons": drawn})
        finished = _finished(job, whole)
        if finished is not None:
            if own is None:
                _tidy(job.mask)
            return finished
        folder = stack.enter_context(
            locked(job.mask) if own is None else shared(job.mask, own.name)
        )
        opened = stack.enter_context(predictor.open(job.image, folder))
        memory = predictor.plan(opened, many=many)
        opened.tell(predictor.said)
        store = PartStore(folder, key, job.layers, alone=own is None)
        for remark in store.tell(facts):
            predictor.said(remark)
        report = _report(predictor, job, opened)
        report.key = whole
        run = Run(
            predictor, job, opened, memory, store, report, stack.pop_all(), own and own.scenes
        )
    try:
        run.look()
    except BaseException:
        run.held.close()
        raise
    return run


def _report(predictor: Predictor, job: Job, opened: Opened) -> Report:
    told = predictor.computes
    return Report(
        shown(job.image), str(predictor.folder), opened.size, opened.scene, told.view, told.library,
        told.precision, told.threads, told.device, len(opened.parts), __version__,
    )  # fmt: skip


def _finished(job: Job, key: str) -> Report | None:
    """The report of a run that made all that is asked for, if every byte of it still is there."""
    report = read_report(report_path(job.mask))
    if report is None or report.failed or report.key != key:
        return None
    try:
        same = all(digest(path) == report.digests[kind] for kind, path in job.outputs.items())
    except (OSError, KeyError):
        return None
    return report if same else None


def _tidy(mask: Path) -> None:
    """A run that was stopped after its last file leaves its parts."""
    if parts_folder(mask).is_dir():
        with contextlib.suppress(GlnetError), locked(mask) as folder:
            clear(folder)
