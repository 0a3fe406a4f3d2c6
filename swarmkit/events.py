"""The event stream: always drained, and after a cut it goes on where it was or says what is missing.

Engines keep 1024 events for a reader; what does not fit in for 100 ms is dropped without a word. So a task reads all
the time, into a buffer whose overflow is told. The task hangs on the event loop and not on a task group: a block may be
entered and left in different tasks, as inside an asynchronous generator, and no exception is wrapped in a group.

What was missed cannot be asked for by time. The events of a swarm bear the time of the leader's change, so that an
engine's memory is in no order of time, and an engine looks through it backwards only until the first event that is too
old. So all that it remembers is asked for, 256 events at most, and what is known is left out. Nothing marks where the
memory ends in a stream. A second question, up to the last known event, has an end: where it does not hold that one, the
engine has forgotten it, and maybe what came next.

Each manager has a memory and a clock of its own, and stamps removals with that clock: where a stream goes on at another
one, nothing tells what was missed. It begins there as a new one does, after an EventsLost.

Engines answer before they listen: what happens in between would be lost, so a stream that begins now begins with what
is remembered since its engine's clock was read.

Owns: the reading task, what a stream has told, and how it goes on. Must not know: who reads, or any noun but events.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final, Self

import anyio
from pydantic import ValidationError

from ._clock import Pauses
from ._engine import ByteStream, Engine
from ._framing import FramingError, JSONLines
from ._managers import Host
from .errors import (
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    NotAManager,
    ProtocolError,
    StreamTruncated,
    SwarmkitError,
)
from .models.event import Event, moment
from .models.filters import EventFilters, EventsQuery
from .models.system import SystemInfo

_REMEMBERED: Final = 256
"""How many events an engine remembers."""
_KNOWN: Final = 2 * _REMEMBERED
_ALL: Final = "1"
"""The `since` of all that an engine remembers."""
_PAUSE: Final = 0.05
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Resync:
    """The stream was cut and goes on: what happened meanwhile comes next, as far as the engine remembers it."""

    reason: str
    """How it was cut."""
    after: datetime | None
    """When the last event before the cut happened; None where none is known."""
    before: datetime | None
    """When the engine was reached again, by its own clock, to the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsLost:
    """Events may be missing here: look again at what you keep track of."""

    count: int | None
    """How many were dropped because they were read too slowly; None where the engine has forgotten them."""
    after: datetime | None
    """When the last known event before the gap happened; None where none is known."""
    before: datetime | None
    """When the gap ends, as far as that is known."""


class EventStream:
    """Events as they happen: `async with stream as events: async for event in events`.

    Each item is an Event, a Resync or an EventsLost. Leaving the block closes the connection, also in the middle.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        filters: EventFilters | None,
        since: str | None,
        until: str | None,
        reconnect: float | None,
        buffer: int,
    ) -> None:
        if buffer < 1 or (reconnect is not None and not reconnect >= 0):
            raise ValueError("buffer must be at least 1 and reconnect at least 0 (None for ever)")
        self._engine = engine
        self._filters = filters
        self._since = since
        self._until = until
        self._reconnect = math.inf if reconnect is None else reconnect
        self._limit = buffer
        self._items: deque[Event | Resync | EventsLost] = deque()
        self._known: dict[bytes, None] = {}
        """Lines that were told, and with the first cut those of the time before the stream."""
        self._earlier: list[bytes] = []
        self._last: bytes | None = None
        self._last_time: int | None = None
        self._source: ByteStream | None = None
        self._host: Host | None = None
        """Where the events come from that were told."""
        self._now: int | None = None
        """When the stream was asked for, by the engine's own clock: nanoseconds since 1970."""
        self._opened = 0.0
        self._began: int | None = None
        """When the connection was made, by the engine's own clock: nanoseconds since 1970, cut to the second."""
        self._entered = False
        self._left = False
        self._failure: Exception | None = None
        self._scope: anyio.CancelScope | None = None
        self._news: anyio.Event | None = None
        self._task: object = None

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("an event stream can be entered once; ask for another one")
        self._entered = True
        await self._engine.at_one_host("/events", self._begin)
        self._scope, self._done = anyio.CancelScope(), anyio.Event()
        self._task = _start(self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left = True
        if self._scope is not None:
            self._scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._done.wait()

    def __aiter__(self) -> AsyncIterator[Event | Resync | EventsLost]:
        return self

    async def __anext__(self) -> Event | Resync | EventsLost:
        """The next item.

        Raises:
            StreamTruncated: the connection was cut, and no other was to be made.
            EngineUnreachable: the engine was not back in time.
            ProtocolError: the engine sent something that is no event.
            ClientClosed: the client was closed.
        """
        if self._left or self._scope is None:
            raise RuntimeError("an event stream is read inside its block: async with stream as events: ...")
        while not self._items:
            if self._done.is_set():
                raise self._failure or StopAsyncIteration
            if self._news is None:
                self._news = anyio.Event()
            await self._news.wait()
        return self._items.popleft()

    # --- the task that reads -----------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Read to the end. What goes wrong is left for who reads the items."""
        assert self._scope is not None
        self._failure = StreamTruncated("GET /events: the event loop stopped the stream")
        try:
            with self._scope:
                await self._follow()
                self._failure = None
        except Exception as error:
            self._failure = error
        finally:
            if self._source is not None:
                await self._source.aclose()
            self._done.set()
            self._wake()

    async def _follow(self) -> None:
        assert self._source is not None
        await self._look_back(self._since)
        pauses = Pauses(self._engine.clock, _PAUSE)
        while True:
            before = self._last
            cut = await self._read(self._source)
            await self._source.aclose()
            if cut is None:
                return
            if self._last is not before:
                pauses = Pauses(self._engine.clock, _PAUSE)
            await self._resume(cut, pauses)

    async def _begin(self, host: Host) -> None:
        """Open the stream from where it is to begin, or from now on where it has begun elsewhere."""
        if self._source is not None:
            await self._source.aclose()
        self._now = await self._time(host)
        since = self._since if self._host is None else None
        self._source = await self._open(host, since or (None if self._now is None else _text(self._now)))
        self._host = host

    async def _look_back(self, since: str | None) -> None:
        """Learn what the engine remembers of the time before the stream, and whether that is all."""
        now = self._now or self._began
        if now is None:
            return
        try:
            remembered = await self._remembered(_text(now))
        except SwarmkitError:
            return  # what is wrong with the engine, the stream itself will say
        begins = now + 1 if since is None else _nanoseconds(since)
        self._earlier = [line for line in remembered if (_event(line).time_nano or 0) < begins]
        if self._earlier:
            self._last, self._last_time = self._earlier[-1], _event(self._earlier[-1]).time_nano
        elif len(remembered) >= _REMEMBERED:
            self._put(EventsLost(count=None, after=moment(begins), before=_event(remembered[0]).at))

    async def _read(self, source: ByteStream) -> StreamTruncated | None:
        """Tell what comes until it ends: how it was cut, or None where its time has come."""
        lines = JSONLines()
        while True:
            try:
                data = await source.read(None)
            except StreamTruncated as cut:
                return cut
            if not data:
                return None if self._is_over() else StreamTruncated("GET /events: the engine ended the stream")
            for line in _fed(lines, data):
                self._tell(line)

    def _is_over(self) -> bool:
        """The time until which the stream was to go has come: engines end streams when they stop, too."""
        if self._until is None or self._began is None:
            return self._until is not None
        passed = self._engine.clock.now() - self._opened
        return self._began + (passed + 1) * _SECOND >= _nanoseconds(self._until)

    async def _resume(self, cut: StreamTruncated, pauses: Pauses) -> None:
        """Have another connection, told what is known to be missing, unless it takes too long."""
        if not self._reconnect:
            raise cut
        clock = self._engine.clock
        end = clock.now() + self._reconnect
        self._known = dict.fromkeys([*self._earlier, *self._known])
        self._earlier = []
        failure: SwarmkitError = cut
        while True:
            await pauses.next()
            if clock.now() >= end:
                raise failure
            try:
                with self._engine.one_deadline(None if end == math.inf else end - clock.now()):
                    remembered = await self._engine.at_one_host("/events", self._go_on)
            except (EngineUnreachable, EngineTimeout, StreamTruncated, EngineError) as error:
                if self._source is not None:
                    await self._source.aclose()
                if isinstance(error, EngineError) and error.status < 500:
                    raise
                failure = error
            else:
                break
        after, before = self._last_moment, None if self._began is None else moment(self._began)
        self._put(Resync(reason=str(cut), after=after, before=before))
        if remembered is not None and self._last is not None and self._last in remembered:
            self._know(*remembered[: remembered.index(self._last) + 1])
        else:
            self._put(EventsLost(count=None, after=after, before=before))
        if remembered is None:
            await self._look_back(None)

    async def _go_on(self, host: Host) -> list[bytes] | None:
        """Open the stream again: what the engine remembers of what was told; None where it is another engine."""
        if host is not self._host:
            await self._begin(host)
            return None
        if self._source is not None:
            await self._source.aclose()
        self._source = await self._open(host, _ALL)
        return [] if self._last_time is None else await self._remembered(_text(self._last_time))

    async def _time(self, host: Host) -> int | None:
        """What the engine's clock shows, in nanoseconds since 1970; None where something before it hides that."""
        try:
            info = await self._engine.call("GET", "/info", host=host, into=SystemInfo)
        except EngineError:
            return None
        if self._engine.managers.several and info.swarm is not None and not info.swarm.control_available:
            raise NotAManager(503, None, "no manager of a swarm hears its events here", "GET", "/events")
        time = info.system_time
        return None if time is None else (time - moment(0)) // timedelta(microseconds=1) * 1000

    async def _open(self, host: Host, since: str | None) -> ByteStream:
        query = EventsQuery(since=since, until=self._until, filters=self._filters)
        source = await self._engine.stream("/events", query=query, since="1.24", host=host)
        self._opened, self._began = self._engine.clock.now(), _clock_of(source)
        return source

    async def _remembered(self, until: str) -> list[bytes]:
        """The lines that the engine remembers up to a moment, or up to the last known one."""
        query = EventsQuery(since=_ALL, until=until)
        source = await self._engine.stream("/events", query=query, since="1.24", host=self._host)
        lines, found = JSONLines(), list[bytes]()
        try:
            while self._last not in found and (data := await source.read(self._engine.timeout)):
                found += _fed(lines, data)
        except EngineTimeout:
            pass  # the leader's clock is ahead of this engine's: what it remembers, it has said at once
        finally:
            await source.aclose()
        return found

    # --- what is told ------------------------------------------------------------------------------------------------

    def _tell(self, line: bytes) -> None:
        if line in self._known:
            return
        event = _event(line)
        self._put(event)
        self._know(line)
        if event.time_nano is not None:
            self._last, self._last_time = line, event.time_nano

    def _know(self, *lines: bytes) -> None:
        for line in lines:
            self._known[line] = None
        while len(self._known) > _KNOWN:
            del self._known[next(iter(self._known))]

    def _put(self, item: Event | Resync | EventsLost) -> None:
        """Have it read, or count it where too much waits to be read."""
        if len(self._items) < self._limit:
            self._items.append(item)
        else:
            lost = self._items[-1]
            if not isinstance(lost, EventsLost):
                lost = EventsLost(count=0, after=self._last_moment, before=None)
                self._items.append(lost)
            if isinstance(item, Event):
                self._items[-1] = replace(lost, count=None if lost.count is None else lost.count + 1, before=item.at)
            else:
                self._items[-1] = replace(lost, count=None, before=item.before)
        self._wake()

    @property
    def _last_moment(self) -> datetime | None:
        return None if self._last_time is None else moment(self._last_time)

    def _wake(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            news.set()


def _start(run: Callable[[], Coroutine[Any, Any, None]]) -> object:
    """Start a task that nobody waits for; what keeps it alive."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        return trio.lowlevel.spawn_system_task(run, context=copy_context())
    return loop.create_task(run())


def _fed(lines: JSONLines, data: bytes) -> list[bytes]:
    try:
        return lines.feed(data)
    except FramingError as error:
        raise ProtocolError(f"GET /events: {error}") from None


def _event(line: bytes) -> Event:
    try:
        return Event.model_validate_json(line)
    except ValidationError as error:
        wrong = "; ".join(one["msg"] for one in error.errors(include_input=False, include_url=False)[:3])
    # Raised out here, so that the error does not carry pydantic's along, which holds what the engine said.
    raise ProtocolError(f"GET /events: something that is no event ({wrong})")


def _clock_of(source: ByteStream) -> int | None:
    """What the engine's own clock showed when it answered; None where something before it hides that."""
    try:
        return int(parsedate_to_datetime(source.date).timestamp()) * _SECOND
    except ValueError:
        return None


def _text(nanoseconds: int) -> str:
    """A moment as a parameter."""
    return f"{nanoseconds // _SECOND}.{nanoseconds % _SECOND:09d}"


def _nanoseconds(text: str) -> int:
    """The moment that a parameter names."""
    seconds, _, rest = text.partition(".")
    return int(seconds) * _SECOND + int(rest.ljust(9, "0"))
