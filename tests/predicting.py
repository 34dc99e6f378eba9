"""`glnet predict` for many images in one process, which may die, hang or grow: that is an answer.

Starting Python and its libraries takes longer than refusing a hundred files. Run as a script this
is the process: it takes arguments as lines of JSON, and is asked through a `Worker`.
"""

import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

from glnet.engines.held import peak, resident

#: A request for more memory than this fails, and an answer tells so: bytes of a process's own.
MOST = 3 << 30


@dataclass(frozen=True)
class Answer:
    """What became of a command.

    Attributes:
        status: As the shell would see it; None: the process died, or did not end.
        lines: On stderr, what libraries wrote there too.
        added: Bytes by which its memory grew at the most.
        fate: How it died.
    """

    status: int | None
    lines: list[str]
    added: int = 0
    fate: str = ""


class Worker:
    """A process that runs commands one after another, started again after it died."""

    def __init__(self):
        self._process = None

    def ask(self, arguments, folder, seconds):
        """Run a command in a folder."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        request = json.dumps([str(folder), *map(str, arguments)]) + "\n"
        self._process.stdin.write(request.encode())
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            self.close()
            return Answer(None, [], fate=f"did not end within {seconds} s")
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self.close()
            return Answer(None, [], fate=f"died with status {status}")
        return Answer(**json.loads(line))

    def close(self):
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def _serve():
    from glnet.cli.main import main  # noqa: PLC0415  only the process needs it

    resource.setrlimit(resource.RLIMIT_DATA, (MOST, MOST))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        folder, *arguments = json.loads(line)
        os.chdir(folder)
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
            os.dup2(said.fileno(), 1)
            os.dup2(told.fileno(), 2)
            before = resident()
            status = _run(main, arguments)
            told.seek(0)
            lines = told.read().decode(errors="replace").splitlines()
            answer = {"status": status, "lines": lines, "added": peak() - before}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _run(main, arguments):
    sys.argv = ["glnet", *arguments]
    try:
        main()
    except SystemExit as left:
        return left.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 1


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))
    _serve()
