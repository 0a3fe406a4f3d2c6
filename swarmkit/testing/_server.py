"""The embedded engine on a socket, for programs that connect to one: Docker's own, and clients in any language.

    listener    a Unix socket or a TCP port, and the socket's file from its making to its end     `Serving`
    exchange    one connection: a request, its answer, the next one; a stream until either ends    `_Connection`
    parse       bytes in, requests and refusals out, without any I/O                               `Parser`

Owns: HTTP/1.1 as engines speak it, and that time passes while anyone listens. Must not know: what requests mean.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import tempfile
from collections import deque
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

import anyio
import httptools
import httpx
from anyio.abc import Listener, SocketAttribute, SocketStream, TaskGroup

from ._call import Request, Response, answer
from ._clock import VirtualClock
from ._transport import Door, Following

_log = logging.getLogger("swarmkit")

_TICK: Final = 0.01
_READ_SIZE: Final = 64 * 1024
_BARE_LIMIT: Final = 1024 * 1024
"""Bytes in a row that are no body: the head, or what comes behind the last chunk."""
_BODY_LIMIT: Final = 64 * 1024 * 1024
_LINGER: Final = 0.5
"""Seconds in which a client may read a refusal before the connection is gone."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_GONE: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class Refused(Exception):
    """What came is no request that can be answered; nothing more is read."""

    def __init__(self, status: int, why: str = "") -> None:
        super().__init__(why)
        self.status = status

    def rendered(self) -> bytes:
        """The answer to it."""
        said = f"{self.status} {HTTPStatus(self.status).phrase}{f': {self}' if str(self) else ''}".encode()
        return _rendered(self.status, {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}, said)


@dataclass(slots=True)
class Asked:
    """One whole request, and how its answer goes over this connection."""

    request: Request
    keeps_alive: bool
    """Another one may follow."""
    chunks: bool
    """The client knows bodies in chunks."""


class Parser:
    """Reads the requests of one connection."""

    def __init__(self) -> None:
        self.found = deque[Asked]()
        """The requests that are complete, in order."""
        self.waits = False
        """The client sends a body only after a word."""
        self._bare = 0
        self._parser = httptools.HttpRequestParser(self)
        self.on_message_begin()

    def feed(self, data: bytes) -> None:
        """Take what the socket gave.

        Raises:
            Refused: it is no request, or one that is too large.
        """
        self._bare += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nothing here speaks another protocol: what came is answered as it is, and nothing after it is read.
            if not self.found:
                raise Refused(400) from None
            self.found[-1].keeps_alive = False
        except httptools.HttpParserError as error:
            cause = error.__context__
            raise (cause if isinstance(cause, Refused) else Refused(400)) from None
        if self._bare > _BARE_LIMIT:
            raise Refused(431)

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        version = self._parser.get_http_version()
        is_new = version == "1.1"
        if is_new and "host" not in self._headers:
            raise Refused(400, "missing required Host header")
        if not (is_new or version == "1.0") or not self._target.startswith("/"):
            raise Refused(400)
        if "upgrade" in self._headers and {"content-length", "transfer-encoding"} & self._headers.keys():
            raise Refused(400, "no other protocol is spoken here")  # httptools takes the body for that
        expected = self._headers.get("expect", "").lower()
        if expected not in ("", "100-continue"):
            raise Refused(417)
        self.waits = bool(expected) and is_new

    def on_body(self, body: bytes) -> None:
        self._bare, self.waits = 0, False
        self._body += body
        if len(self._body) > _BODY_LIMIT:
            raise Refused(413)

    def on_message_complete(self) -> None:
        self._bare, self.waits = 0, False
        path, _, query = self._target.partition("?")
        method = self._parser.get_method().decode("ascii")
        is_new = self._parser.get_http_version() == "1.1"
        request = Request(method, path, query, self._headers, bytes(self._body))
        self.found.append(Asked(request, is_new and self._parser.should_keep_alive(), is_new))

    @property
    def _target(self) -> str:
        """What is asked for, without the server's name, which proxies are told."""
        return re.sub(r"\Ahttps?://[^/?]*", "", self._url.decode("latin-1"))


def _rendered(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    sized = headers if status == HTTPStatus.NO_CONTENT else {**headers, "Content-Length": str(len(body))}
    return _head(status, sized) + body


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{lines}\r\n".encode("latin-1")


class _Connection:
    """One client's connection."""

    def __init__(self, stream: SocketStream, door: Door) -> None:
        self._stream = stream
        self._door = door
        self._parser = Parser()

    async def run(self) -> None:
        """Answer what comes, until the client goes away or sends what is no request."""
        try:
            while await self._next() and await self._answer(self._parser.found.popleft()):
                pass
        except Refused as refused:
            await self._stream.send(refused.rendered())
            await self._linger()

    async def _next(self) -> bool:
        """Wait for a whole request; whether there is one."""
        while not self._parser.found:
            if self._parser.waits:
                self._parser.waits = False
                await self._stream.send(_CONTINUE)
            if not await self._read():
                return False
        return True

    async def _read(self) -> bool:
        """Take what has come; whether the client is still there."""
        try:
            self._parser.feed(await self._stream.receive(_READ_SIZE))
        except anyio.EndOfStream:
            return False
        return True

    async def _linger(self) -> None:
        """Let the client read the answer: closing while it still sends would take that away from it."""
        await self._stream.send_eof()
        with anyio.move_on_after(_LINGER), suppress(anyio.EndOfStream):
            while True:
                await self._stream.receive(_READ_SIZE)

    async def _answer(self, asked: Asked) -> bool:
        """Answer one request; whether another may follow."""
        request = asked.request
        try:
            response, following = self._door.ask(request)
        except httpx.TransportError:
            return False  # the connection breaks, as the engine's owner wants it
        except Exception:
            _log.exception("%s %s: the embedded engine failed", request.method, request.path)
            response, following = answer(500, {"message": "the embedded engine failed: its log says why"}), None
        if not asked.keeps_alive:
            response.headers["Connection"] = "close"
        if following is not None:
            return await self._follow(asked, response, following)
        assert isinstance(response.body, bytes)
        await self._stream.send(_rendered(response.status, response.headers, response.body))
        return asked.keeps_alive

    async def _follow(self, asked: Asked, response: Response, following: Following) -> bool:
        """Send a stream until it ends or the client goes away; whether another request may follow."""
        is_whole = False

        async def send() -> None:
            nonlocal is_whole
            headers = {**response.headers, **({"Transfer-Encoding": "chunked"} if asked.chunks else {})}
            with suppress(httpx.ReadError, *_GONE):  # it was cut
                await self._stream.send(_head(response.status, headers))
                async for piece in following:
                    await self._stream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if asked.chunks else piece)
                if asked.chunks:
                    await self._stream.send(b"0\r\n\r\n")
                is_whole = True
            group.cancel_scope.cancel()

        async def watch() -> None:
            with suppress(Refused, *_GONE):
                while await self._read():
                    if self._parser.found:
                        return  # who asks on before the end is there to read it
            group.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(send)
                group.start_soon(watch)
        finally:
            following.close()
        return is_whole and asked.keeps_alive


class Serving:
    """An engine that listens: `async with Serving(…) as host`, which is what to set as DOCKER_HOST."""

    def __init__(self, door: Door, clock: VirtualClock, host: str | None) -> None:
        self._door = door
        self._clock = clock
        self._host = host
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> str:
        async with AsyncExitStack() as stack:
            host = self._host
            if host is None:
                host = f"unix://{stack.enter_context(tempfile.TemporaryDirectory(prefix='swarmkit-'))}/docker.sock"
            kind, _, place = host.partition("://")
            listener: Listener[SocketStream]
            if kind == "unix" and place.startswith("/"):
                listener = await _unix_listener(place, stack)
            elif kind == "tcp":
                listener, host = await _tcp_listener(host)
            else:
                raise ValueError(f"an engine listens on unix:///PATH or tcp://ADDRESS:PORT, not {host!r}")
            stack.push_async_callback(_shut, listener)
            self._clock.start()
            stack.callback(self._clock.stop)
            stack.callback(self._door.close)
            self._group = await stack.enter_async_context(_Background())
            self._group.start_soon(listener.serve, self._serve, self._group)
            self._group.start_soon(self._pass_time)
            self._stack = stack.pop_all()
        return host

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    async def _serve(self, stream: SocketStream) -> None:
        async with stream:
            with suppress(*_GONE):
                await _Connection(stream, self._door).run()

    async def _pass_time(self) -> None:
        """Tasks start and rollouts go on while nobody asks."""
        while True:
            self._clock.catch_up()
            await anyio.sleep(_TICK)


class _Background:
    """Tasks that end with a block. What is raised in the block comes out as it is, and in no group."""

    async def __aenter__(self) -> TaskGroup:
        self._group = anyio.create_task_group()
        return await self._group.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._group.cancel_scope.cancel()
        is_cancelled = isinstance(error, anyio.get_cancelled_exc_class())
        await self._group.__aexit__(*((kind, error, traceback) if is_cancelled else (None, None, None)))


async def _unix_listener(path: str, stack: AsyncExitStack) -> Listener[SocketStream]:
    if await _is_live(path):
        raise OSError(errno.EADDRINUSE, "an engine, or another program, listens on that socket already", path)
    if _is_other(path):
        raise OSError(errno.EEXIST, "there is a file, and it is no socket", path)
    listener = await anyio.create_unix_listener(path, mode=0o600)  # in the place of one that nobody listens on
    stack.callback(_remove, path, os.lstat(path))
    return listener


def _is_other(path: str) -> bool:
    return Path(path).exists() and not Path(path).is_socket()


async def _is_live(path: str) -> bool:
    try:
        with anyio.fail_after(_LINGER):
            await (await anyio.connect_unix(path)).aclose()
    except TimeoutError:
        return True  # too many wait to be let in
    except OSError:
        return False
    return True


def _remove(path: str, made: os.stat_result) -> None:
    """Remove the socket's file, unless another one is there by now."""
    with suppress(OSError):
        if os.path.samestat(os.lstat(path), made):
            Path(path).unlink()


async def _tcp_listener(host: str) -> tuple[Listener[SocketStream], str]:
    url = urlsplit(host)
    name = url.hostname or "127.0.0.1"
    listener = await anyio.create_tcp_listener(local_host=name, local_port=url.port or 0)
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 -- no database
    return listener, f"tcp://{f'[{name}]' if ':' in name else name}:{port}"


async def _shut(listener: Listener[SocketStream]) -> None:
    with anyio.CancelScope(shield=True):
        await listener.aclose()
