"""A stand-in for an engine on a real socket, for what a real engine cannot be made to do.

It runs in threads, so that the event loop under test is the only one, and serves raw bytes: the transport is real.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import select
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme

from swarmkit._hosts import Address
from swarmkit._tls import TLSConfig, ssl_context
from swarmkit._transport import EngineTransport
from swarmkit._transport.message import Attempt, render

from .harness.engine import short_temporary_folder

API = "1.51"


@dataclass
class Received:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int = 0
    """The number of the connection it came over."""

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


Say = bytes | Callable[[socket.socket], bool | None]
"""What the stub says: these bytes, or whatever a function does with the socket. Then it closes the connection without
having said so, unless it keeps connections, or the function returned True."""


def always(say: Say) -> Callable[[Received], Say]:
    """A script that says the same to every request."""
    return lambda _: say


def one_by_one(*says: Say) -> Callable[[Received], Say]:
    """A script that says one thing after another, the last one for ever."""
    left = list(says)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def hang(sock: socket.socket) -> None:
    """Say nothing until the client goes away."""
    with contextlib.suppress(OSError):
        while sock.recv(1024):
            pass


def hang_up(sock: socket.socket) -> None:
    """Say nothing and close."""


def in_pieces(*pieces: bytes, pause: float = 0.01, keep: bool = True) -> Say:
    """Say these, each in a segment of its own; stay connected where `keep`."""

    def say(sock: socket.socket) -> bool:
        for index, piece in enumerate(pieces):
            if index:
                time.sleep(pause)
            sock.sendall(piece)
        return keep

    return say


def then_hang(*pieces: bytes) -> Say:
    """Say these, and nothing more until the client goes away."""

    def say(sock: socket.socket) -> None:
        for piece in pieces:
            sock.sendall(piece)
        hang(sock)

    return say


@dataclass
class StubEngine:
    """Answers each request with what `script` says; the unversioned ping is answered by itself."""

    script: Callable[[Received], Say]
    ping: Callable[[], Say] = field(default=lambda: answer(b"OK"))
    keeps: bool = False
    """Read another request from a connection after an answer of bytes."""
    tcp: bool = False
    tls: ssl.SSLContext | None = None
    port: int = 0
    received: list[Received] = field(default_factory=list[Received])
    pings: int = 0
    connections: int = 0
    """How many there were."""
    most_open: int = 0
    """How many there were at once."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(dir=short_temporary_folder())
        self.path = "" if self.is_remote else str(Path(self._folder.name) / "stub.sock")
        self._listener = socket.socket(socket.AF_INET if self.is_remote else socket.AF_UNIX, socket.SOCK_STREAM)
        if self.is_remote:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", self.port))
            self.port = self._listener.getsockname()[1]
        else:
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
        self.stop_listening()
        self._acceptor.join(5)
        self.hang_up_on_all()
        for thread in self._threads:
            thread.join(5)
        self._folder.cleanup()

    @property
    def is_remote(self) -> bool:
        """It listens on a TCP port, with TLS or without."""
        return self.tcp or self.tls is not None

    @property
    def host(self) -> str:
        return f"tcp://127.0.0.1:{self.port}" if self.is_remote else f"unix://{self.path}"

    def address(self, tls: ssl.SSLContext | None = None) -> Address:
        """Where it listens, for a transport."""
        return Address(host="127.0.0.1", port=self.port, tls=tls) if self.is_remote else Address(path=self.path)

    @property
    def open_sockets(self) -> int:
        """Connections that the client has not closed yet."""
        with self._lock:
            return len(self._sockets)

    def stop_listening(self) -> None:
        """Refuse connections from now on."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def hang_up_on_all(self) -> None:
        """Close every connection from this side, without a word."""
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def say_to_all(self, data: bytes) -> None:
        """Say something on every connection that nobody has asked for."""
        with self._lock:
            for sock in self._sockets:
                sock.sendall(data)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError as error:
                if error.errno != errno.EMFILE:
                    return
                time.sleep(0.001)
                continue
            with self._lock:
                self._sockets.add(sock)
                self.connections += 1
                # What the client has closed by now, it had closed before this one was made.
                self.most_open = max(self.most_open, sum(map(_is_open, self._sockets)))
            thread = threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        sock = plain
        try:
            with contextlib.suppress(OSError):
                if self.tls is not None:
                    sock = self.tls.wrap_socket(plain, server_side=True)
                    with self._lock:
                        self._sockets.remove(plain)
                        self._sockets.add(sock)
                while (request := _read(sock)) is not None:
                    request.connection = number
                    say = self._choose(request)
                    if callable(say):
                        keep = say(sock)
                    else:
                        sock.sendall(say)
                        keep = self.keeps
                    if not keep:
                        break
        finally:
            with self._lock:
                self._sockets -= {plain, sock}
                sock.close()
                plain.close()

    def _choose(self, request: Received) -> Say:
        with self._lock:
            if request.path == "/_ping":
                self.pings += 1
            else:
                self.received.append(request)
        return self.ping() if request.path == "/_ping" else self.script(request)


def _is_open(sock: socket.socket) -> bool:
    if sock.fileno() == -1:
        return False
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return not poll.poll(0)


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


class Authority:
    """Makes the certificates of a test, and what either side needs of them."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.ca_cert = folder / "ca.pem"
        self.client_cert = folder / "cert.pem"
        self.client_key = folder / "key.pem"
        self._ca.cert_pem.write_to_path(self.ca_cert)
        client = self._ca.issue_cert("client@example.com")
        client.private_key_pem.write_to_path(self.client_key)
        for blob in client.cert_chain_pems:
            blob.write_to_path(self.client_cert, append=True)

    def server(
        self, name: str = "127.0.0.1", *, not_after: datetime | None = None, asks_for_certificate: bool = False
    ) -> ssl.SSLContext:
        """What a server of that name needs."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued = self._ca.issue_cert(name, not_before=datetime(2001, 1, 1), not_after=not_after)
        with issued.private_key_and_cert_chain_pem.tempfile() as path:
            made.load_cert_chain(path)
        if asks_for_certificate:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(self.ca_cert)
        return made

    def context(self, *, certificate: bool = False) -> ssl.SSLContext:
        """What a client has that trusts this authority, and shows a certificate of it where it is to."""
        config = TLSConfig(ca_cert=self.ca_cert)
        if certificate:
            config = replace(config, client_cert=self.client_cert, client_key=self.client_key)
        return ssl_context(config, "a test")


async def talk(
    transport: EngineTransport,
    path: str = "/x",
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    deadline: float = math.inf,
    attempt: Attempt | None = None,
    stream: bool = False,
) -> tuple[int, bytes]:
    """One request and its whole answer, over our own transport."""
    lines = {"Host": "docker", "Content-Length": str(len(body)), **(headers or {})}
    encoded = [(name.encode(), value.encode()) for name, value in lines.items()]
    request = render(method, path.encode(), encoded, body)
    reply = await transport.send(
        request, asks=method == "GET", attempt=attempt or Attempt(), deadline=deadline, goes_on=stream
    )
    try:
        return reply.status, b"".join([piece async for piece in reply.body])
    finally:
        await reply.body.aclose()


def open_descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- a count, and of no folder of ours


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
