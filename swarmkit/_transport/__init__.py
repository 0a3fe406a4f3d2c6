"""The transport: HTTP/1.1 over one fresh connection a request, as an httpx transport.

Owns: sockets, the bytes of requests and answers, and knowing how much of a request was taken.
Must not know: Docker.

A fresh connection costs less than 0.1 ms on a Unix socket. It cannot be stale, so nothing is ever sent twice for that
reason, and none is left over when an event loop ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import httpx

from .._hosts import Address
from .connection import Connection
from .dial import dial


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
    """Sends each request over a connection of its own. Belongs to the event loop it was made on."""

    def __init__(self, address: Address, *, max_connections: int) -> None:
        self._address = address
        self._gate = anyio.Semaphore(max_connections, fast_acquire=True)
        self._open: set[Connection] = set()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer to the request, its body still to be read.

        Waits its turn for one of the connections, unless the request's extensions say `stream`: those are long-lived
        and must not keep others out.
        """
        attempt = request.extensions.get("attempt") or Attempt()
        attempt.sent = 0
        gate = None if request.extensions.get("stream") else self._gate
        if gate is not None:
            await gate.acquire()
        connection: Connection | None = None
        try:
            if self._closed:
                raise httpx.ConnectError("the transport was closed")
            connection = Connection(await dial(self._address), self._address)
            connection.on_close = lambda: self._forget(connection, gate)
            self._open.add(connection)
            return await connection.exchange(request, attempt)
        except BaseException:
            if connection is not None:
                connection.close()
            elif gate is not None:
                gate.release()
            raise

    def _forget(self, connection: Connection | None, gate: anyio.Semaphore | None) -> None:
        if connection is not None:
            self._open.discard(connection)
        if gate is not None:
            gate.release()

    def close(self) -> None:
        """Close every connection; whoever waits on one gets httpx.ReadError or httpx.WriteError."""
        self._closed = True
        for connection in tuple(self._open):
            connection.close()

    async def aclose(self) -> None:
        """As close."""
        self.close()
