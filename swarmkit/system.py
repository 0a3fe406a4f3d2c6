"""The engine itself. One method, one operation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from . import auth
from ._engine import Engine
from ._pinning import distribution
from .auth import RegistryAuthOption
from .errors import SwarmkitError
from .events import EventStream
from .logs import Since, since_parameter
from .models._wire import UNSET, Unset
from .models.filters import EventFilters
from .models.system import DistributionInspect, Ping, SystemInfo, SystemVersion


class System:
    """The engine itself."""

    def __init__(self, engine: Engine, registry_auth: RegistryAuthOption) -> None:
        self._engine = engine
        self._registry_auth: RegistryAuthOption = registry_auth

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

    async def distribution(
        self, image: str, *, registry_auth: RegistryAuthOption | Unset = UNSET
    ) -> DistributionInspect:
        """The digest of an image in its registry, and the platforms it runs on; the engine asks, and pulls nothing.

        Registry credentials are looked up as the client was told to, or as `registry_auth` says; None sends none.
        Where they cannot be had the image is asked for without, since it may be public; with `registry_auth="config"`
        that is an error.

        GET /distribution/{name}/json, API 1.30.

        Raises:
            EngineError: the registry does not have it, does not give it away, or cannot be reached.
            InvalidReference: not an image reference.
            CredentialsError: Docker's config file cannot be read, or the credentials asked for cannot be had.
        """
        option = self._registry_auth if isinstance(registry_auth, Unset) else registry_auth
        with self._engine.one_deadline():
            credentials = await auth.lookup(option, image, asked=registry_auth == "config")
            try:
                return await distribution(self._engine, image, credentials)
            except SwarmkitError as error:
                for warning in credentials.warnings:
                    error.add_note(warning)
                raise

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
