"""A web server for tests: parts of files, what was asked for, and how many bytes were sent."""

import contextlib
import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_CHUNK = 1 << 14


@dataclass
class Server:
    """Of a folder's files.

    Attributes:
        files: Contents by path.
        parts: Can it send parts?
        gets_alone: Does it refuse to tell of a file without sending it?
        status: With which it answers all; 0: as is fit.
        leads: Where it says that a path has gone.
        sent: Bytes of contents.
        asked: Paths, in order.
        dies: After so many answers it hangs up; None: never.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    parts: bool = True
    gets_alone: bool = False
    status: int = 0
    leads: dict[str, str] = field(default_factory=dict)
    sent: int = 0
    asked: list[str] = field(default_factory=list)
    dies: int | None = None
    address: str = ""

    def put(self, name, path):
        self.files[f"/{name}"] = path.read_bytes()
        return f"{self.address}/{name}"

    def forget(self):
        self.sent, self.dies = 0, None
        self.asked.clear()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    of: Server

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        if self.of.gets_alone:
            self.send_error(403)
        else:
            self._answer()

    def do_GET(self):
        piece = self._answer()
        with contextlib.suppress(OSError):  # whoever asked has enough
            for start in range(0, len(piece), _CHUNK):
                self.of.sent += self.wfile.write(piece[start : start + _CHUNK])

    def _answer(self):
        """Headers; gives what belongs behind them."""
        self.of.asked.append(self.path)
        if self.of.dies is not None and len(self.of.asked) > self.of.dies:
            self.close_connection = True
            return b""
        path = self.path.partition("?")[0]
        content = self.of.files.get(path)
        if self.of.status or content is None or path in self.of.leads:
            self.send_response(self.of.status or (302 if path in self.of.leads else 404))
            if path in self.of.leads:
                self.send_header("Location", self.of.leads[path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return b""
        return self._found(content)

    def _found(self, content):
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = 0, len(content) - 1
        if asked and self.of.parts:
            first, last = int(asked[1]), min(last, int(asked[2] or last))
            self.send_response(206 if first <= last else 416)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        else:
            self.send_response(200)
        piece = content[first : last + 1]
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:16]}"')
        self.send_header("Accept-Ranges", "bytes" if self.of.parts else "none")
        self.send_header("Content-Length", str(len(piece)))
        self.end_headers()
        return piece


@contextlib.contextmanager
def served():
    """A server on this machine alone, while it lasts."""
    server = Server()
    handler = type("Handler", (_Handler,), {"of": server})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as answers:
        server.address = f"http://127.0.0.1:{answers.server_address[1]}"
        thread = threading.Thread(target=answers.serve_forever, daemon=True)
        thread.start()
        yield server
        answers.shutdown()
        thread.join()
