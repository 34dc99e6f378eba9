"""A web server for tests: parts of files, what was asked for, and how many bytes were sent."""

import contextlib
import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """Of a folder's files.

    Attributes:
        files: Contents by path.
        parts: Can it send parts?
        status: With which it answers all; 0: as is fit.
        leads: Where it says that a path has gone.
        sent: Bytes of contents.
        asked: Paths, in order.
        dies: After so many answers it hangs up; None: never.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    parts: bool = True
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


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self._answer(body=False)

        def do_GET(self):
            self._answer(body=True)

        def _answer(self, *, body):
            server.asked.append(self.path)
            if server.dies is not None and len(server.asked) > server.dies:
                self.close_connection = True
                return
            path = self.path.partition("?")[0]
            content = server.files.get(path)
            if server.status or content is None or path in server.leads:
                status = server.status or (302 if path in server.leads else 404)
                self.send_response(status)
                if path in server.leads:
                    self.send_header("Location", server.leads[path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            first, last = 0, len(content) - 1
            if asked and server.parts:
                first, last = int(asked[1]), min(last, int(asked[2] or last))
                self.send_response(206 if first <= last else 416)
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            else:
                self.send_response(200)
            piece = content[first : last + 1]
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:16]}"')
            self.send_header("Accept-Ranges", "bytes" if server.parts else "none")
            self.send_header("Content-Length", str(len(piece)))
            self.end_headers()
            if body:
                server.sent += len(piece)
                with contextlib.suppress(OSError):
                    self.wfile.write(piece)

    return Handler


@contextlib.contextmanager
def served():
    """A server on this machine alone, while it lasts."""
    server = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as answers:
        server.address = f"http://127.0.0.1:{answers.server_address[1]}"
        thread = threading.Thread(target=answers.serve_forever, daemon=True)
        thread.start()
        yield server
        answers.shutdown()
        thread.join()
