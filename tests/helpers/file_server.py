"""An HTTP server of files on this machine, which fails as servers and networks do."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class FileServer:
    """What the server does.

    Attributes:
        folder: its files.
        url: its address.
        faults: what happens to the next requests, one each: ``drop:N`` closes the connection after N bytes of the body,
            ``stall:N`` sends no more after them, ``wrong`` sends other bytes, and a number is an error status.
        has_ranges: whether it sends parts of a file.
        headers: more headers of each answer.
        requests: the path and the header Range of each request.
    """

    folder: Path
    url: str = ""
    faults: list[str] = field(default_factory=list)
    has_ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[FileServer]:
    """Serves the files of ``folder``, whose URLs are their names only."""
    state = FileServer(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            if with_body:
                state.requests.append((self.path, self.headers.get("Range")))
            fault = state.faults.pop(0) if state.faults and with_body else ""
            file = state.folder / self.path.partition("?")[0].rpartition("/")[2]
            if fault.isdigit() or not file.is_file():
                self.send_response(int(fault or 404))
                self.send_header("Content-Length", "0")
                for name, value in state.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                return
            content = file.read_bytes()
            body, start = (bytes(len(content)) if fault == "wrong" else content), 0
            match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if state.has_ranges else None
            if match and int(match[1]) >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if match else 200)
            if match:
                start = int(match[1])
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self._send(body[start:], fault)

        def _send(self, body: bytes, fault: str) -> None:
            kind, _, count = fault.partition(":")
            with contextlib.suppress(ConnectionError):  # the client left
                self.wfile.write(body[: int(count)] if count else body)
            if kind == "stall":
                state.stopped.wait(10)
            if kind in ("drop", "stall"):
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        state.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
