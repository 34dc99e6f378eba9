"""`glnet predict` in processes of their own, watched from outside."""

import contextlib
import hashlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from glnet.outputs.styles import BEGIN

#: Where a prediction can be; the last is from the first output in its place to the end.
STAGES = ("predicting", "assembling", "verifying", "publishing")

#: What outputs hold that stand there before.
OLDER = BEGIN + b"an older result"  # a style that is not ours would be kept

_OUTPUTS = {"--out": "mask.tif", "--probabilities": "probabilities.tif", "--scores": "scores.tif"}

#: Processes start with everything imported: of hundreds of starts that is most of the time.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    ["glnet.cli.main", "glnet.prediction.predict", "glnet.engines.vino"]
)


def _command(arguments: list[str], stdout: Path, stderr: Path) -> None:
    """What the `glnet` command runs."""
    for number, path in enumerate((stdout, stderr), start=1):
        with path.open("wb") as file:
            os.dup2(file.fileno(), number)
    from glnet.cli import main  # noqa: PLC0415  whoever starts this needs none of it

    sys.argv = ["glnet", *arguments]
    main()


class Running:
    """A command on its way.

    Attributes:
        process: Its own.
        lines: What it was seen to print on stdout, and when.
        errors: The lines on stderr, once it has ended.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.lines: list[tuple[float, str]] = []
        self.errors: list[str] = []
        self._folder = Path(tempfile.mkdtemp())
        self._stdout, self._stderr = self._folder / "stdout", self._folder / "stderr"
        self.process = _PROCESSES.Process(
            target=_command, args=(arguments, self._stdout, self._stderr)
        )
        self.process.start()

    def alive(self) -> bool:
        """Has it not ended?"""
        self._look()
        return self.process.is_alive()

    def wait(self) -> int:
        """Its status, once it has one."""
        self.process.join()
        self._look()
        with contextlib.suppress(FileNotFoundError):
            said = self._stderr.read_text(encoding="utf-8").splitlines()
            # Others than how far it is.
            self.errors = [line for line in said if not line.startswith("scenes: ")]
        shutil.rmtree(self._folder, ignore_errors=True)
        return self.status

    @property
    def status(self) -> int:
        """Of its end."""
        status = self.process.exitcode
        assert status is not None  # noqa: S101
        return status

    def kill(self) -> bool:
        """End it as a power cut would; was it still at work?"""
        self.process.kill()
        return self.wait() == -signal.SIGKILL

    def said(self, text: str) -> bool:
        """Did it print a line that begins so?"""
        self._look()
        return any(line.startswith(text) for _, line in self.lines)

    def step(self) -> str:
        """What it was at by its last line."""
        words = [line.split(" ")[0] for _, line in self.lines]
        return next((word for word in reversed(words) if word in STAGES), STAGES[0])

    def _look(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            whole = self._stdout.read_text(encoding="utf-8").split("\n")[:-1]
            self.lines += [(time.monotonic(), line) for line in whole[len(self.lines) :]]


@dataclass(frozen=True, slots=True)
class Job:
    """A prediction of mask, probabilities and scores into a folder that holds nothing else.

    Attributes:
        model, image: What is read.
        folder: Where the outputs go.
        scene: Longest side of a scene.
        options: Further ones of the command.
    """

    model: Path
    image: Path
    folder: Path
    scene: int
    options: tuple[str, ...] = ()

    @property
    def rasters(self) -> list[Path]:
        """The mask and the others that are assembled."""
        return [self.folder / name for name in _OUTPUTS.values()]

    @property
    def outputs(self) -> list[Path]:
        """The files; the mask first, its style last."""
        return [*self.rasters, self.folder / "mask.qml"]

    @property
    def report(self) -> Path:
        """Where it tells what was done."""
        return self.folder / "mask.report.json"

    def start(self) -> Running:
        """Start the command."""
        given = [text for option, name in _OUTPUTS.items() for text in (option, name)]
        given = [str(self.folder / text) if text.endswith(".tif") else text for text in given]
        told = [str(self.image), "-m", str(self.model), "--scene", str(self.scene)]
        return Running(["predict", *told, *given, *self.options])

    def empty(self, *, older: bool = False) -> None:
        """Begin anew: nothing in the folder, or older outputs."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for path in self.outputs if older else ():
            path.write_bytes(OLDER)

    def parts(self) -> list[Path]:
        """Finished ones on the disk."""
        return sorted(self.folder.glob("mask.tif.parts/*/" + 6 * "[0-9]"))

    def places(self) -> list[int | None]:
        """What stands in the outputs' places, as the file system's numbers."""
        return [path.stat().st_ino if path.exists() else None for path in self.outputs]

    def files(self) -> set[str]:
        """Names in the folder."""
        return {path.name for path in self.folder.iterdir()}


def digest(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
