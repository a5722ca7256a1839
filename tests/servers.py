"""Web servers on this machine that count what is asked of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Web:
    """A server, and what was asked of it.

    Attributes
    ----------
    url : str
    asked : list of (str, str, int)
        Method, path with its query, and bytes of the answer's body.
    together : int
        Most requests that were answered at one time.
    """

    url: str = ""
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    together: int = 0
    now: int = 0
    ranges: bool = True
    lists: bool = True
    etags: str | None = None
    pause: float = 0.0
    signature: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def forget(self) -> None:
        self.asked.clear()
        self.together = 0

    @property
    def bytes(self) -> int:
        return sum(count for *_, count in self.asked)


class _Handler(SimpleHTTPRequestHandler):
    """Serves parts of files, as web servers do and Python's own doesn't."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, web: Web, **options: Any) -> None:
        self.web = web
        super().__init__(*arguments, **options)

    def do_HEAD(self) -> None:
        if not self._refused():
            self.web.asked.append(("HEAD", self.path, 0))
            super().do_HEAD()

    def do_GET(self) -> None:
        if self._refused():
            return
        with self.web.lock:
            self.web.now += 1
            self.web.together = max(self.web.together, self.web.now)
        try:
            time.sleep(self.web.pause)
            self._answer()
        finally:
            with self.web.lock:
                self.web.now -= 1

    def _refused(self) -> bool:
        wanted = self.headers.get("If-Match")
        if wanted is not None and wanted != self._etag():
            self.web.asked.append((self.command, self.path, 0))
            self.send_error(412)
            return True
        if self.web.signature not in self.path:
            self.send_error(403)
            return True
        if not self.web.lists and Path(self.translate_path(self.path)).is_dir():
            self.send_error(403)
            return True
        return False

    def _etag(self) -> str | None:
        path = Path(self.translate_path(self.path))
        if self.web.etags is None or not path.is_file():
            return None
        return f'{self.web.etags}"{path.stat().st_mtime_ns:x}"'

    def end_headers(self) -> None:
        if (etag := self._etag()) is not None:
            self.send_header("ETag", etag)
        super().end_headers()

    def _answer(self) -> None:
        path, wanted = Path(self.translate_path(self.path)), self.headers.get("Range")
        if wanted is None or not path.is_file() or not self.web.ranges:
            size = path.stat().st_size if path.is_file() else 0
            self.web.asked.append(("GET", self.path, size))
            super().do_GET()
            return
        start, _, stop = wanted.removeprefix("bytes=").partition("-")
        size = path.stat().st_size
        first = int(start) if start else size - int(stop)
        if first >= size:
            self.send_error(416)
            return
        with path.open("rb") as file:
            file.seek(first)
            part = file.read((int(stop) + 1 if start and stop else size) - first)
        self.web.asked.append(("GET", self.path, len(part)))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{size}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    """Lets many knock at a time: of more than five, the system would have the others wait 1 s."""

    request_queue_size = 128
    daemon_threads = True


@contextmanager
def serving(folder: Path) -> Iterator[Web]:
    """Serve a folder on this machine."""
    web = Web()
    handler = partial(_Handler, directory=str(folder), web=web)
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        web.url = f"http://127.0.0.1:{server.server_port}"
        yield web
        server.shutdown()
        thread.join()


# --- mirrors of a file, good and bad ------------------------------------------------------


@dataclass
class Mirror:
    """A server of one file, what is wrong with it, and what was asked of it.

    Attributes
    ----------
    url : str
    content : bytes
    breaks : list of int
        After how many bytes of its body each next answer breaks off.
    asked : list of (str or None, int)
        The range that was asked for, and bytes of the body that were sent.
    """

    url: str = ""
    content: bytes = b""
    etag: str | None = '"first"'
    ranges: bool = True
    status: int = 0
    length: int | None = 0
    redirect: str = ""
    breaks: list[int] = field(default_factory=list)
    silent: threading.Event | None = None
    entered: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str | None, int]] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return sum(count for _, count in self.asked)


class _MirrorHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, mirror: Mirror) -> None:
        self.mirror = mirror
        super().__init__(*arguments)

    def do_GET(self) -> None:
        mirror, wanted = self.mirror, self.headers.get("Range")
        mirror.entered.set()
        if mirror.silent is not None:
            mirror.silent.wait(60)
        if mirror.status or (mirror.redirect and self.path != "/elsewhere"):
            mirror.asked.append((wanted, 0))
            self.send_response(mirror.status or 302)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        version = self.headers.get("If-Range")
        is_part = wanted and mirror.ranges and version in (None, mirror.etag)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if is_part else 0
        self._send(wanted, start, mirror.content[start:], 206 if is_part else 200)

    def _send(self, wanted: str | None, start: int, body: bytes, status: int) -> None:
        mirror = self.mirror
        whole = len(mirror.content)
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        if mirror.etag is not None:
            self.send_header("ETag", mirror.etag)
        if mirror.length is not None:
            self.send_header("Content-Length", str(mirror.length or len(body)))
        self.close_connection = True
        self.end_headers()
        body = body[: mirror.breaks.pop(0)] if mirror.breaks else body
        mirror.asked.append((wanted, len(body)))
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def mirroring(content: bytes, **wrong: Any) -> Iterator[Mirror]:
    """Serve one file on this machine."""
    mirror = Mirror(content=content, **wrong)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_MirrorHandler, mirror=mirror)) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        mirror.url = f"http://127.0.0.1:{server.server_port}/file"
        yield mirror
        if mirror.silent is not None:
            mirror.silent.set()
        server.shutdown()
        thread.join()
