"""One request and its answer over one socket.

Clean-up is synchronous everywhere: there is nothing in it that a cancellation could interrupt. Must not know: pools.
"""

from __future__ import annotations

import re
import socket
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import anyio
import httptools
import httpx
from anyio.lowlevel import checkpoint

from .._hosts import Address

if TYPE_CHECKING:
    from . import Attempt

_READ_SIZE = 64 * 1024
_HEAD_LIMIT = 128 * 1024
_INTERIM_LIMIT = 8
_TARGET = re.compile(rb"[\x21-\x7e]+")
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


class Connection:
    """A connected socket, used for one exchange and then closed."""

    def __init__(self, sock: socket.socket, address: Address) -> None:
        self._socket = sock
        self._address = address
        self.on_close: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Close the socket; whoever waits on it is woken. Does nothing the second time."""
        if self._socket.fileno() == -1:
            return
        try:
            anyio.notify_closing(self._socket)
        except anyio.NoEventLoopError:
            pass  # its event loop is over, and so is everyone who waited there
        finally:
            self._socket.close()
            self.on_close()

    async def exchange(self, request: httpx.Request, attempt: Attempt) -> httpx.Response:
        """Send the request and read the head of its answer; the body comes with the response's stream."""
        await self._send(_render(request, await request.aread()), attempt)
        parser = _Parser()
        while not parser.head_complete:
            await self._feed(parser)
        stream = _Body(self, parser)
        if parser.complete:
            # Nothing more will come: the socket need not wait for someone to read.
            self.close()
        return httpx.Response(
            parser.status, headers=parser.headers, stream=stream, extensions={"reason_phrase": parser.reason}
        )

    async def _send(self, data: bytes, attempt: Attempt) -> None:
        view = memoryview(data)
        while view:
            try:
                taken = self._socket.send(view)
            except BlockingIOError:
                await self._wait(anyio.wait_writable)
                continue
            except OSError as error:
                if attempt.sent == 0:
                    raise httpx.ConnectError(error.strerror or str(error)) from error
                # An engine that refuses a request while it is still coming answers and closes: see what it says.
                return
            attempt.sent = (attempt.sent or 0) + taken
            view = view[taken:]

    async def _feed(self, parser: _Parser) -> None:
        # An engine that always has more to say must not keep the event loop to itself.
        await checkpoint()
        while True:
            try:
                data = self._socket.recv(_READ_SIZE)
                break
            except BlockingIOError:
                await self._wait(anyio.wait_readable)
            except OSError as error:
                raise httpx.ReadError(error.strerror or str(error)) from error
        parser.feed(data)

    async def _wait(self, ready: Callable[[socket.socket], Awaitable[None]]) -> None:
        try:
            await ready(self._socket)
        except (anyio.ClosedResourceError, OSError, ValueError) as error:
            raise httpx.ReadError("the connection was closed") from error

    async def read(self, parser: _Parser) -> bytes:
        """The next piece of the body; empty at its end."""
        while not parser.pieces and not parser.complete:
            await self._feed(parser)
        if parser.complete:
            self.close()
        return parser.pieces.popleft() if parser.pieces else b""


class _Body(httpx.AsyncByteStream):
    """The body of an answer. A class and no generator: closing it is one synchronous step."""

    def __init__(self, connection: Connection, parser: _Parser) -> None:
        self._connection = connection
        self._parser = parser

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._connection.read(self._parser)
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        self._connection.close()


def _render(request: httpx.Request, body: bytes) -> bytes:
    target = request.url.raw_path
    if _TARGET.fullmatch(target) is None:
        raise httpx.LocalProtocolError("the request target has a character that HTTP does not allow")
    lines = [request.method.encode("ascii") + b" " + target + b" HTTP/1.1\r\n"]
    for name, value in request.headers.raw:
        if _HEADER_NAME.fullmatch(name) is None or _HEADER_VALUE.fullmatch(value) is None:
            raise httpx.LocalProtocolError(f"the header {name!r} has a character that HTTP does not allow")
        lines.append(name + b": " + value + b"\r\n")
    return b"".join(lines) + b"Connection: close\r\n\r\n" + body


class _Parser:
    """Reads one answer. What comes behind its end is not looked at."""

    def __init__(self) -> None:
        self.status = 0
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: deque[bytes] = deque()
        self.head_complete = False
        self.complete = False
        self._head_size = 0
        self._interim = 0
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take what the socket gave; nothing means that the peer closed it."""
        if not data:
            self._end()
            return
        if not self.head_complete:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise httpx.RemoteProtocolError("the answer switches protocols") from error
        except httptools.HttpParserError as error:
            if not self.complete:
                why = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
                raise httpx.RemoteProtocolError(f"not an HTTP answer: {why}") from error
        if not self.head_complete and self._head_size > _HEAD_LIMIT:
            raise httpx.RemoteProtocolError("the head of the answer is too large")

    def _end(self) -> None:
        sized = any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers)
        if not self.head_complete or sized:
            raise httpx.ReadError(
                "the connection was closed " + ("in" if self._head_size else "before") + " the answer"
            )
        self.complete = True

    # What httptools calls.

    def on_status(self, status: bytes) -> None:
        if not self.complete:
            self.reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._interim += 1
            if status == 101 or self._interim > _INTERIM_LIMIT:
                raise ValueError("it switches protocols, or never comes")
            self.headers.clear()
            self.reason = b""
            return
        self.status = status
        self.head_complete = True

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self.pieces.append(body)

    def on_message_complete(self) -> None:
        if self.head_complete:
            self.complete = True
