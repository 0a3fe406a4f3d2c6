"""The engine itself. One method, one operation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ._engine import Engine
from .events import EventStream
from .logs import Since, since_parameter
from .models.filters import EventFilters
from .models.system import Ping, SystemInfo, SystemVersion


class System:
    """The engine itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ping(self) -> Ping:
        """What the engine says to a ping: its newest API version, its release, its part in a swarm.

        GET /_ping, of no API version, once more with each call.
        """
        return Ping.of(await self._engine.ping())

    async def version(self) -> SystemVersion:
        """The versions of the engine and of its programs.

        GET /version, API 1.24.
        """
        return await self._engine.call("GET", "/version", into=SystemVersion)

    async def info(self) -> SystemInfo:
        """What the engine says about itself: its part in a swarm, its node's id, its drivers.

        GET /info, API 1.24. Engines take some time for it.
        """
        return await self._engine.call("GET", "/info", into=SystemInfo)

    def events(
        self,
        *,
        filters: EventFilters | Mapping[str, Any] | None = None,
        since: Since | None = None,
        until: Since | None = None,
        reconnect: float | None = 60.0,
        buffer: int = 10_000,
    ) -> EventStream:
        """What happens from now on: `async with client.system.events() as events: async for event in events: ...`.

        Each item is an Event, a Resync or an EventsLost. From the moment the block is entered, what the engine sends is
        read at once and kept for who reads it here, since engines drop what is not read.

        Where the connection is cut, another one is made that goes on where the first ended: a Resync says so, and no
        event comes twice. What the engine has forgotten by then is an EventsLost: engines remember their last 256
        events, and none after a restart. They tell nothing of tasks.

        GET /events, API 1.24.

        Args:
            filters: Which events: EventFilters, or a mapping such as `{"type": "service"}`.
            since: Begin with what the engine remembers from that moment on: a datetime, how long ago, or Unix seconds.
            until: End then: a datetime, how long from now, or Unix seconds. Without it the stream has no end.
            reconnect: Seconds to try for after a cut before the error comes out; 0 for the cut itself, None for ever.
            buffer: How many items may wait to be read. Where more would, an EventsLost counts those that are dropped.

        Raises:
            StreamTruncated: the connection was cut, and `reconnect` is 0.
            EngineUnreachable: the engine was not back in time.
            ProtocolError: the engine sent something that is no event.
            pydantic.ValidationError: there is no such filter; engines would ignore it and send everything.
            ValueError: a datetime has no time zone, `reconnect` is below 0, or `buffer` below 1.
        """
        now = datetime.now(UTC)
        return EventStream(
            self._engine,
            filters=EventFilters.of(filters),
            since=None if since is None else since_parameter(since, now),
            until=None if until is None else since_parameter(-until if isinstance(until, timedelta) else until, now),
            reconnect=reconnect,
            buffer=buffer,
        )
