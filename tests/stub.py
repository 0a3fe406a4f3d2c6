"""A stand-in for an engine on a real Unix socket, for what a real engine cannot be made to do.

It runs in threads, so that the event loop under test is the only one, and serves raw bytes: the transport is real.
"""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

API = "1.51"


@dataclass
class Received:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def answer(
    body: Any = None, *, status: int = 200, headers: Mapping[str, str] | None = None, api: str | None = API
) -> bytes:
    """An HTTP answer; a body that is no bytes goes out as JSON."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = {"Content-Length": str(len(content)), "Content-Type": "application/json", **(headers or {})}
    if api is not None:
        lines = {"Api-Version": api, "Server": "Docker/28.5.2 (linux)", **lines}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + content


def refusal(status: int, message: str) -> bytes:
    """An engine's error."""
    return answer({"message": message}, status=status)


Say = bytes | Callable[[socket.socket], None]
"""What the stub says: these bytes and then the end, or whatever a function does with the socket."""


def hang(sock: socket.socket) -> None:
    """Say nothing until the client goes away."""
    with contextlib.suppress(OSError):
        while sock.recv(1024):
            pass


def hang_up(sock: socket.socket) -> None:
    """Say nothing and close."""


@dataclass
class StubEngine:
    """Answers each request with what `script` says; the unversioned ping is answered by itself."""

    script: Callable[[Received], Say]
    ping: Callable[[], Say] = field(default=lambda: answer(b"OK"))
    received: list[Received] = field(default_factory=list[Received])
    pings: int = 0

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self.path = str(Path(self._folder.name) / "stub.sock")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(512)
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(5)
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._folder.cleanup()

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    @property
    def open_sockets(self) -> int:
        """Connections that the client has not closed yet."""
        with self._lock:
            return len(self._sockets)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._sockets.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                request = _read(sock)
                if request is not None:
                    say = self._choose(request)
                    if callable(say):
                        say(sock)
                    else:
                        sock.sendall(say)
        finally:
            with self._lock:
                self._sockets.discard(sock)
            sock.close()

    def _choose(self, request: Received) -> Say:
        with self._lock:
            if request.path == "/_ping":
                self.pings += 1
            else:
                self.received.append(request)
        return self.ping() if request.path == "/_ping" else self.script(request)


def _read(sock: socket.socket) -> Received | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        more = sock.recv(65536)
        if not more:
            return None
        body += more
    return Received(method, target, headers, body)


SERVICE: dict[str, Any] = {
    "ID": "svc1",
    "Version": {"Index": 7},
    "CreatedAt": "2026-01-01T00:00:00.123456789Z",
    "UpdatedAt": "2026-01-01T00:00:00.123456789Z",
    "Spec": {
        "Name": "web",
        "Labels": {"tier": "front"},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "nginx:1.27", "Env": ["TOKEN=s3cr3t", "A=1"], "Isolation": "default"},
            "Resources": {"Limits": {"MemoryBytes": 67108864}},
            "Placement": {"Constraints": ["node.role==worker"], "FutureWish": True},
            "ForceUpdate": 0,
            "Runtime": "container",
        },
        "Mode": {"Replicated": {"Replicas": 2}},
        "EndpointSpec": {"Mode": "vip"},
        "FutureKey": {"kept": [1, 2]},
    },
    "Endpoint": {"Spec": {}},
}
"""A service as an engine shows it, with keys of an engine newer than this package."""
