"""The ways to the embedded engine: what all of them have in common, and an httpx transport that reaches it in memory.

Owns: what a client sees of connections: answers lost, connections refused, streams closed.
Must not know: what requests mean.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.lowlevel
import httpx

from ._call import Request, Response
from ._clock import VirtualClock
from ._core import Core
from ._streams import Stream

_GLANCE: Final = 0.01


@dataclass(slots=True)
class Faults:
    """What goes wrong on the way, next."""

    lost_answers: int = 0
    """How many of the next changes are made without an answer."""
    refusing: bool = False
    """Nothing listens."""
    streams: set[Following] = field(default_factory=set["Following"])
    """The streams of all clients that are open."""


class Door:
    """One client's way to the engine: its requests go in, and what it can see of the answers comes out."""

    def __init__(self, core: Core, clock: VirtualClock, faults: Faults) -> None:
        self._core = core
        self._clock = clock
        self._faults = faults
        self._open: set[Following] = set()

    def ask(self, request: Request) -> tuple[Response, Following | None]:
        """The engine's answer, and its body where that comes piece by piece.

        Raises:
            httpx.ConnectError: the engine listens no more.
            httpx.ReadError: the change was made, and its answer is lost.
        """
        if self._faults.refusing:
            refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
            raise httpx.ConnectError("Connection refused") from refused
        self._clock.activity += 1
        self._clock.catch_up()
        answer = self._core.handle(request)
        if self._faults.lost_answers and request.method != "GET" and answer.status < 300:
            self._faults.lost_answers -= 1
            raise httpx.ReadError("the connection was closed before the answer")
        if isinstance(answer.body, bytes):
            return answer, None
        return answer, Following(answer.body, self._core, self._clock, self._open, self._faults.streams)

    def close(self) -> None:
        """Cut the streams that are open."""
        for following in [*self._open]:
            following.cut()


class Transport(httpx.AsyncBaseTransport):
    """One client's connections to the engine."""

    def __init__(self, door: Door, clock: VirtualClock) -> None:
        self.clock = clock
        """The clock that a client with this transport sleeps on."""
        self._door = door

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The engine's answer."""
        content = await request.aread()
        await anyio.lowlevel.checkpoint()
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        headers = {name.lower(): value for name, value in request.headers.items()}
        answer, following = self._door.ask(Request(request.method, path, query, headers, content))
        if following is not None:
            return httpx.Response(answer.status, headers=answer.headers, stream=following)
        assert isinstance(answer.body, bytes)
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

    async def aclose(self) -> None:
        """Cut the streams that are open."""
        self._door.close()


class Following(httpx.AsyncByteStream):
    """A body that comes piece by piece. It wakes when there is a new one, which only the passing of time brings."""

    def __init__(self, stream: Stream, core: Core, clock: VirtualClock, *among: set[Following]) -> None:
        self._stream = stream
        self._core = core
        self._clock = clock
        self._among = among
        self._news = False
        self._cut = False
        self._waiting: anyio.Event | None = None
        for one in among:
            one.add(self)
        core.store.listeners.append(self._hear)

    def _hear(self) -> None:
        self._news = True
        if self._waiting is not None:
            self._waiting.set()
            self._clock.activity += 1  # its reader may want to do something about it before time goes on

    def cut(self) -> None:
        """End it as a broken connection does."""
        self._cut = True
        self._hear()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while True:
            self._news = False
            self._clock.catch_up()
            if self._cut:
                raise httpx.ReadError("the connection was closed")
            piece = self._stream.read()
            if piece:
                return piece
            if piece is not None:
                raise StopAsyncIteration
            while not self._news:
                await self._wait()

    async def _wait(self) -> None:
        self._waiting = anyio.Event()
        try:
            with anyio.move_on_after(_GLANCE if self._clock.is_real else None):
                await self._waiting.wait()
        finally:
            self._waiting = None
        self._clock.catch_up()

    async def aclose(self) -> None:
        """Stop listening."""
        self.close()

    def close(self) -> None:
        """Stop listening."""
        if self in self._among[0]:
            for one in self._among:
                one.discard(self)
            self._core.store.listeners.remove(self._hear)
