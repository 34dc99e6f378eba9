"""`glnet predict` of many images: a line for each, and what failed at the end."""

import glob
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from glnet.cli.progress import Watch, clock, progress_of
from glnet.cli.unheard import libraries_unheard
from glnet.errors import GatheredError, GlnetError, RunError
from glnet.outputs.tables import write_json
from glnet.raster import shown

if TYPE_CHECKING:
    from glnet.prediction.many import Outcome

#: What a command over a folder leaves there, for programs.
SUMMARY = "glnet-predict.json"


def expanded(images: list[str]) -> list[str]:
    """Files and patterns as files, each pattern's in the order of their names.

    Not every shell expands patterns, and none a hundred thousand.

    Raises:
        RunError: a pattern that no file fits.
    """
    found: list[str] = []
    for image in images:
        if not any(letter in image for letter in "*?[") or "://" in image or Path(image).exists():
            found.append(image)
            continue
        fitting = sorted(glob.glob(image, recursive=True))  # noqa: PTH207  Path knows no absolute ones
        if not fitting:
            msg = f"{image}: no file has such a name"
            raise RunError(msg)
        found += fitting
    return found


def predict_into(
    images: list[str],
    model: Path,
    folder: Path,
    *,
    part: str | None = None,
    **how: Any,  # noqa: ANN401  as `predict_many` has them
) -> None:
    """Predict into a folder, and tell of every image.

    Args:
        images, model, folder, part, how: See `glnet.predict_many`.

    Raises:
        GatheredError: images that failed, after the others were written.
    """
    from glnet.prediction.predict import predict_many  # noqa: PLC0415  see predict

    with libraries_unheard(), progress_of("scenes") as progress:
        told = _Told(
            len(images), folder, progress, shared=part is not None, apart=bool(how["cluster"])
        )
        told.next()
        outcomes = predict_many(
            images, model, folder, part=part, told=told, progress=progress, **how
        )
    if part is None:
        write_json(folder / SUMMARY, [_plain(outcome) for outcome in outcomes])
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    before = sum(outcome.before for outcome in outcomes)
    done = len(outcomes) - len(failed) - before
    counts = [f"{done} {'computed' if part else 'written'}"]
    counts += [f"{before} done before"] if before else []
    counts += [f"{len(failed)} failed"] if failed else []
    typer.echo(f"{len(outcomes)} of {len(images)} images: {', '.join(counts)}; {clock(told.spent)}")
    if failed:
        more = [] if part or len(failed) <= GatheredError.SHOWN else [f"all: {folder / SUMMARY}"]
        lines = [_reason(outcome) for outcome in failed]
        raise GatheredError([*lines[: GatheredError.SHOWN - len(more)], *more])


class _Told:
    """Prints a line for every image that is done, and how long the others may take."""

    def __init__(
        self, total: int, folder: Path, progress: Watch, *, shared: bool, apart: bool
    ) -> None:
        """Of so many images into a folder; a share of them, or all of them by others."""
        self._total, self._folder, self._progress = total, folder.absolute(), progress
        self._shared, self._apart = shared, apart
        self._done, self._began = 0, time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began

    def next(self) -> None:
        """Another image begins."""
        if self._apart:
            if not self._done:
                self._progress.say("images")
        elif self._done < self._total:
            self._progress.say(f"image {self._done + 1} of {self._total}, scenes")

    def __call__(self, outcome: "Outcome") -> None:
        self._done += 1
        number = "" if self._shared else f"[{self._done}/{self._total}] "
        below = outcome.job.mask.absolute().relative_to(self._folder).parent
        name, report = below / Path(shown(outcome.job.image)).name, outcome.report
        if outcome.error is not None:
            image = f"{shown(outcome.job.image)}: "
            text = f"failed: {str(outcome.error).splitlines()[0].removeprefix(image)}"
        elif outcome.before:
            text = "done before"
        elif report is not None:
            text = f"{report.size} px, {report.computed} of {report.parts} scenes computed"
            text += f", {report.reused} kept from before" if report.reused else ""
            text += f", {sum(report.seconds.values()):.1f} s"
        left = self.spent / self._done * (self._total - self._done)
        text += f"; about {clock(left)} left" if left and not self._shared else ""
        typer.echo(f"{number}{name}: {text}")
        self.next()


def _reason(outcome: "Outcome") -> str:
    """Why an image failed, in a line that begins with its path."""
    lines, image = str(outcome.error).splitlines(), shown(outcome.job.image)
    return lines[0] if lines[0].startswith(image) else f"{image}: {lines[0]}"


def _plain(outcome: "Outcome") -> dict[str, object]:
    error: GlnetError | None = outcome.error
    return {
        "image": shown(outcome.job.image),
        "outputs": {kind: str(path) for kind, path in outcome.job.outputs.items()},
        "status": "failed" if error else "done before" if outcome.before else "written",
        "why": str(error) if error else "",
        "seconds": sum(outcome.report.seconds.values()) if outcome.report else 0.0,
    }
