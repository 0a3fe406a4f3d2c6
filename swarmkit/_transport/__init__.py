"""The transport: HTTP/1.1 to one engine, as an httpx transport.

Owns: sockets, the bytes of requests and answers, which connection carries which request, and knowing how much of a
request was taken. Must not know: Docker.

`pool` says who may talk and over which connection, `connection` talks, `channel` carries bytes, `dial` makes channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx

from .._hosts import Address
from .channel import left as left
from .connection import Body as Body
from .connection import Connection, render
from .dial import dial
from .pool import Gate, Idle

_SSH_LIMIT: Final = 4
"""Each connection over ssh is a program here, and another one there."""
_SAFE: Final = ("GET", "HEAD")


@dataclass(slots=True)
class Attempt:
    """How far one attempt to send a request has come. Rides in the request's extensions, under `attempt`."""

    sent: int | None = None
    """Bytes of the request that were taken; None where the transport does not tell."""

    @property
    def untouched(self) -> bool:
        """Certainly nothing of the request was taken."""
        return self.sent == 0


class EngineTransport(httpx.AsyncBaseTransport):
    """Sends requests to one engine. Belongs to the event loop it was made on.

    Of a request's extensions it reads `attempt` (an Attempt, kept up to date), `deadline` (a moment on the monotonic
    clock that neither the request nor its answer outlasts) and `stream` (the answer is long-lived: it gets a connection
    of its own, beside the limit).
    """

    def __init__(self, address: Address, *, max_connections: int) -> None:
        self._address = address
        self._limit = min(max_connections, _SSH_LIMIT) if address.ssh else max_connections
        self._gate = Gate(self._limit)
        self._idle = Idle()
        self._busy: set[Connection] = set()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer to the request, its body still to be read.

        Raises:
            httpx.TransportError: there is none, or not in time.
        """
        attempt = request.extensions.get("attempt") or Attempt()
        attempt.sent = 0
        deadline = request.extensions.get("deadline", math.inf)
        stream = request.stream
        data = render(request, b"".join(stream) if isinstance(stream, httpx.ByteStream) else await request.aread())
        if request.extensions.get("stream"):
            return await self._talk(
                await self._dial(deadline), data, attempt, deadline, self._stream_over, goes_on=True
            )
        await self._gate.enter(deadline)
        try:
            if (idle := self._take_idle(request.method)) is not None:
                try:
                    return await self._talk(idle, data, attempt, deadline, self._call_over)
                except (httpx.ConnectError, httpx.ReadError):
                    # It died while nobody looked. What was not taken, or only asks, can be sent again.
                    if idle.answered or not (attempt.untouched or request.method in _SAFE):
                        raise
                    attempt.sent = 0
            while len(self._idle) + self._gate.inside > self._limit:
                self._idle.drop_oldest()
            return await self._talk(await self._dial(deadline), data, attempt, deadline, self._call_over)
        except BaseException:
            self._gate.leave()
            raise

    def _take_idle(self, method: str) -> Connection | None:
        # A new Unix socket costs next to nothing, and a change on it can meet no connection that dies meanwhile.
        return None if self._address.path and method not in _SAFE else self._idle.take()

    async def _dial(self, deadline: float) -> Connection:
        if self._closed:
            raise httpx.ConnectError("the transport was closed")
        connection = Connection(await dial(self._address, deadline))
        if self._closed:
            connection.close()
        return connection

    async def _talk(
        self,
        connection: Connection,
        data: bytes,
        attempt: Attempt,
        deadline: float,
        over: Callable[[Connection], None],
        *,
        goes_on: bool = False,
    ) -> httpx.Response:
        self._busy.add(connection)
        try:
            return await connection.exchange(data, attempt, deadline, over, goes_on=goes_on)
        except BaseException:
            self._busy.discard(connection)
            raise

    def _call_over(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if connection.reusable and not self._closed:
            self._idle.put(connection)
        else:
            connection.close()
        self._gate.leave()

    def _stream_over(self, connection: Connection) -> None:
        self._busy.discard(connection)
        connection.close()

    def close(self) -> None:
        """Close every connection; whoever waits on one gets httpx.ReadError."""
        self._closed = True
        for connection in tuple(self._busy):
            connection.close()
        self._idle.clear()

    def __del__(self) -> None:
        # A client need not be closed, as in a notebook: what waits to be used again goes without a word.
        self._idle.clear()

    async def aclose(self) -> None:
        """As close."""
        self.close()
