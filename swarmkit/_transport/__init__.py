"""The transport: HTTP/1.1 to one engine, as an httpx transport.

Owns: sockets, the bytes of requests and answers, which connection carries which request, and knowing how much of a
request was taken. Must not know: Docker.

`pool` says who may talk and over which connection, `connection` talks, `message` is what is said, `channel` carries
bytes, `dial` makes channels.
"""

from __future__ import annotations

import errno
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import anyio
import httpx

from .._hosts import Address
from .channel import left as left
from .connection import Body as Body
from .connection import Connection
from .dial import dial
from .message import Answer, Attempt, render
from .pool import Gate, Idle

_SSH_LIMIT: Final = 4
"""Each connection over ssh is a program here, and another one there."""


class EngineTransport(httpx.AsyncBaseTransport):
    """Sends requests to one engine. Belongs to the event loop it was made on."""

    def __init__(self, address: Address, *, max_connections: int, patience: float = math.inf) -> None:
        self._address = address
        self._patience = patience
        """Seconds to make a connection in."""
        self._silences = 0
        """How often they were not enough."""
        self._limit = min(max_connections, _SSH_LIMIT) if address.ssh else max_connections
        self._gate = Gate(self._limit)
        self._idle = Idle()
        self._busy: set[Connection] = set()
        self._dialling: set[anyio.CancelScope] = set()
        self._closed = False

    async def send(
        self, request: bytes, *, asks: bool, attempt: Attempt, deadline: float = math.inf, goes_on: bool = False
    ) -> Answer:
        """The answer to a request, its body still to be read.

        A request that only `asks` may be sent twice, where a connection that was used before turns out to be dead. The
        attempt is kept up to date. Neither request nor answer outlasts the deadline, a moment on the monotonic clock;
        but an answer that `goes_on` has none, and a connection of its own beside the limit.

        Raises:
            httpx.TransportError: there is none, or not in time.
        """
        attempt.sent = 0
        if goes_on:
            connection = await self._dial(deadline)
            return await self._talk(connection, request, attempt, deadline, self._stream_over, goes_on=True)
        silences = self._silences
        await self._gate.enter(deadline)
        try:
            if self._silences != silences:
                raise self._silence()
            # A new Unix socket costs next to nothing, and a change on it meets no connection that dies meanwhile.
            idle = self._idle.take() if asks or not self._address.path else None
            if idle is not None:
                try:
                    return await self._talk(idle, request, attempt, deadline, self._call_over)
                except (httpx.ConnectError, httpx.ReadError):
                    # It died while nobody looked. What was not taken, or only asks, can be sent again.
                    if idle.answered or not (attempt.untouched or asks):
                        raise
                    attempt.sent = 0
            while len(self._idle) + self._gate.inside > self._limit:
                self._idle.drop_oldest()
            return await self._talk(await self._dial(deadline), request, attempt, deadline, self._call_over)
        except BaseException:
            self._gate.leave()
            raise

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As `send`, for programs that speak httpx. Extensions: `attempt`, `deadline`, `stream` for what goes on."""
        said = request.extensions
        answer = await self.send(
            render(request.method, request.url.raw_path, request.headers.raw, await request.aread()),
            asks=request.method in ("GET", "HEAD"),
            attempt=said.get("attempt") or Attempt(),
            deadline=said.get("deadline", math.inf),
            goes_on=bool(said.get("stream")),
        )
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=answer.body,
            extensions={"reason_phrase": answer.reason},
        )

    async def _dial(self, deadline: float) -> Connection:
        end = min(deadline, time.monotonic() + self._patience)
        with anyio.CancelScope() as scope:
            self._dialling.add(scope)
            try:
                connection = None if self._closed else Connection(await dial(self._address, end))
            except httpx.TimeoutException:
                if end == deadline:
                    raise
                # What one has waited for in vain, those who wait as well need not wait for.
                self._silences += 1
                self._stop_dialling()
            else:
                if connection is not None and not self._closed:
                    return connection
                if connection is not None:
                    connection.close()
            finally:
                self._dialling.discard(scope)
        if self._closed:
            raise httpx.ConnectError("the transport was closed")
        raise self._silence()

    def _silence(self) -> httpx.ConnectError:
        error = httpx.ConnectError(f"no connection within {self._patience:.3g} s")
        error.__cause__ = TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        return error

    async def _talk(
        self,
        connection: Connection,
        request: bytes,
        attempt: Attempt,
        deadline: float,
        over: Callable[[Connection], None],
        *,
        goes_on: bool = False,
    ) -> Answer:
        self._busy.add(connection)
        try:
            return await connection.exchange(request, attempt, deadline, over, goes_on=goes_on)
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
        self._stop_dialling()
        for connection in tuple(self._busy):
            connection.close()
        self._idle.clear()

    def _stop_dialling(self) -> None:
        for scope in tuple(self._dialling):
            with suppress(RuntimeError):  # its event loop is over, and so is everyone who waited there
                scope.cancel()

    def __del__(self) -> None:
        # A client need not be closed, as in a notebook: what waits to be used again goes without a word.
        self._idle.clear()

    async def aclose(self) -> None:
        """As close."""
        self.close()
