"""`glnet predict` in processes of their own, watched from outside."""

import hashlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

#: Where a prediction can be; the last is from the first output in its place to the end.
STAGES = ("predicting", "assembling", "verifying", "publishing")

#: What outputs hold that stand there before.
OLDER = b"an older result"

_COMMAND = "from glnet.cli import main; main()"
_OUTPUTS = {"--out": "mask.tif", "--probabilities": "probabilities.tif", "--scores": "scores.tif"}


class Running:
    """A command on its way.

    Attributes:
        process: Its own.
        lines: What it printed on stdout, and when.
    """

    def __init__(self, command: list[str]) -> None:
        self.lines: list[tuple[float, str]] = []
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        self.process = subprocess.Popen(  # noqa: S603  our own interpreter and command
            command, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append((time.monotonic(), line.rstrip()))

    def alive(self) -> bool:
        """Has it not ended?"""
        return self.process.poll() is None

    def wait(self) -> int:
        """Its status, once it has one."""
        status = self.process.wait()
        self._listener.join()
        return status

    def kill(self) -> bool:
        """End it as a power cut would; was it still at work?"""
        self.process.kill()
        return self.wait() == -signal.SIGKILL

    def said(self, text: str) -> float | None:
        """When it printed a line that begins so."""
        return next((when for when, line in self.lines if line.startswith(text)), None)

    def step(self) -> str:
        """What it was at by its last line."""
        words = [line.split(" ")[0] for _, line in self.lines]
        return next((word for word in reversed(words) if word in STAGES), STAGES[0])

    def errors(self) -> list[str]:
        """The lines on stderr."""
        self._errors.seek(0)
        return self._errors.read().decode().splitlines()


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
    def outputs(self) -> list[Path]:
        """The files; the mask first."""
        return [self.folder / name for name in _OUTPUTS.values()]

    @property
    def report(self) -> Path:
        """Where it tells what was done."""
        return self.folder / "mask.report.json"

    def start(self) -> Running:
        """Start the command."""
        given = [text for option, name in _OUTPUTS.items() for text in (option, name)]
        given = [str(self.folder / text) if text.endswith(".tif") else text for text in given]
        told = [str(self.image), "-m", str(self.model), "--scene", str(self.scene)]
        command = [sys.executable, "-c", _COMMAND, "predict", *told, *given, *self.options]
        return Running(command)

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
