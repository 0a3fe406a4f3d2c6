"""The hosts of one swarm: what is known of each, which one is in use, and what comes after one that cannot answer.

The client stays with a host as long as it answers. One that failed comes last for some seconds, so that nobody dials a
dead host again and again while others live. With a single host all of this is that host.

Owns: the hosts, their transports on the running event loop, and the API version that each speaks.
Must not know: what is asked of them, or what may be sent again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Final

import anyio
import anyio.lowlevel
import httpx

from ._clock import Clock
from ._hosts import Address
from ._transport import EngineTransport, left
from ._transport.message import Answer
from .errors import (
    ClientClosed,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    HostError,
    InvalidSpec,
    NotAManager,
    SwarmkitError,
    UnsupportedApiVersion,
)
from .features import Endpoint
from .versions import NEWEST, OLDEST, ApiVersion, negotiate, parse_release

_log = logging.getLogger("swarmkit")

_PATIENCE: Final = 5.0
"""Seconds to make a connection in, where there is another host to try."""
_REST: Final = 10.0
"""Seconds for which a host that failed comes last."""
_ENGINE_HEADERS: Final = (b"api-version", b"server")


class _Flight:
    """One negotiation, shared by all callers who come while it is under way."""

    def __init__(self) -> None:
        self.landed = anyio.Event()
        self.failure: SwarmkitError | None = None


class Host:
    """One engine: where it listens, what carries requests there, and what is known of it."""

    def __init__(
        self, address: Address | None, pinned: ApiVersion | None, make: Callable[[], httpx.AsyncBaseTransport]
    ) -> None:
        self.address = address
        self.endpoint = None if pinned is None else Endpoint(pinned, pinned=True)
        """The API version to speak with it; None while none is agreed on."""
        self.reached = False
        """It has answered before."""
        self.failed_at = -math.inf
        """When it last could not answer."""
        self._make = make
        self._transport: httpx.AsyncBaseTransport | None = None
        self._flight: _Flight | None = None
        self._said: list[bytes] = []

    def __str__(self) -> str:
        return "the engine" if self.address is None else self.address.shown

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """What carries requests there, on the running event loop."""
        if self._transport is None:
            self._transport = self._make()
        return self._transport

    async def aclose(self) -> None:
        """Close what carries requests there, if anything does by now."""
        if self._transport is not None:
            await self._transport.aclose()

    def leave_loop(self) -> None:
        """Let go of what belongs to an event loop that is over."""
        if isinstance(self._transport, EngineTransport):
            self._transport.close()
        self._transport = self._flight = None

    async def agree(self, ping: Callable[[Host, float], Awaitable[Answer]], deadline: float) -> Endpoint:
        """The engine and the API version to speak with it: agreed on by one ping, shared by the first callers.

        A failed negotiation is the failure of all who shared it, and is not remembered. None is made where the version
        is pinned: what else there is to know of the engine, its answers tell.
        """
        while self.endpoint is None:
            if (flight := self._flight) is not None:
                with anyio.move_on_after(left(deadline)) as scope:
                    await flight.landed.wait()
                if scope.cancelled_caught:
                    raise EngineTimeout("GET /_ping: no answer in time")
                if flight.failure is not None:
                    raise copy(flight.failure) from flight.failure.__cause__
                continue  # it landed, or its caller was cancelled or had less time: then the next one makes it
            flight = self._flight = _Flight()
            try:
                self.endpoint = _agreed(await ping(self, deadline))
            except EngineTimeout:
                raise  # the others' time may not be up
            except SwarmkitError as error:
                flight.failure = error
                raise
            finally:
                self._flight = None
                flight.landed.set()
        return self.endpoint

    def disagrees(self) -> bool:
        """It refuses the version agreed on, so it is another engine by now: whether a version can be agreed on anew."""
        if self.endpoint is not None and not self.endpoint.pinned:
            self.endpoint = None
        return self.endpoint is None

    def notice(self, answer: Answer) -> None:
        """Every answer says what the engine speaks: another than at the negotiation is another engine."""
        said = [value for name, value in answer.headers if name in _ENGINE_HEADERS]
        if self.reached and said == self._said:
            return
        known = self.endpoint
        try:
            maximum = ApiVersion.parse(answer.header(b"api-version"))
        except ValueError:
            return  # what answers is no engine, but something before it
        self.reached, self._said = True, said
        release = parse_release(answer.header(b"server"))
        if known is not None and (maximum, release) != (known.maximum, known.release):
            self.endpoint = replace(known, maximum=maximum, release=release) if known.pinned else None


def _agreed(answer: Answer) -> Endpoint:
    """What an engine speaks, by its answer to a ping."""
    text = answer.header(b"api-version")
    try:
        maximum = ApiVersion.parse(text)
    except ValueError:
        raise UnsupportedApiVersion(f"GET /_ping: the engine names no API version ({text[:40]!r})") from None
    version = negotiate(maximum)
    if version is None:
        raise UnsupportedApiVersion(
            f"the engine speaks API {maximum} at most; this package needs {OLDEST} or newer: update it"
        )
    return Endpoint(version, maximum, parse_release(answer.header(b"server")))


class Loop:
    """The event loop that the connections belong to."""

    def __init__(self, token: object) -> None:
        self.token = token
        self.calls = 0
        """How many calls and streams are under way on it."""


class Managers:
    """The hosts of a client, in the order in which they were given."""

    def __init__(
        self,
        addresses: Sequence[Address],
        *,
        pinned: ApiVersion | None,
        timeout: float | None,
        max_connections: int,
        injected: httpx.AsyncBaseTransport | None,
        clock: Clock,
    ) -> None:
        if pinned is not None and not OLDEST <= pinned <= NEWEST:
            raise UnsupportedApiVersion(f"API {pinned} was asked for; this package speaks {OLDEST} to {NEWEST}")
        if injected is not None and len(addresses) > 1:
            raise HostError("give one host with a transport of your own: it goes wherever it goes")
        self._max_connections = max_connections
        self._patience = math.inf
        if len(addresses) > 1:  # there has to be time for each of them, and for the answer
            self._patience = min(_PATIENCE, (timeout or math.inf) / (len(addresses) + 1))
        if injected is None:
            self._hosts = [Host(address, pinned, partial(self._new_transport, address)) for address in addresses]
        else:
            self._hosts = [Host(addresses[0] if addresses else None, pinned, lambda: injected)]
        self.current = self._hosts[0]
        """The host in use."""
        self.several = len(self._hosts) > 1
        self.is_closed = False
        self._clock = clock
        self._injected = injected
        self._loop: Loop | None = None

    def _new_transport(self, address: Address) -> httpx.AsyncBaseTransport:
        return EngineTransport(address, max_connections=self._max_connections, patience=self._patience)

    def __str__(self) -> str:
        return ", ".join(map(str, self._hosts))

    def loop(self) -> Loop:
        """The running event loop. What belongs to an earlier one goes, once nothing is under way on that."""
        token = _running_loop()
        loop = self._loop
        if loop is not None and loop.token == token:
            return loop
        if loop is not None and loop.calls and not _is_over(loop.token):
            raise RuntimeError("this client has calls under way on another event loop; use one client for each loop")
        for host in self._hosts:
            host.leave_loop()
        self._loop = Loop(token)
        return self._loop

    def untried(self, tried: Collection[Host]) -> Host | None:
        """The host to ask next: the one in use, or another; None where all were tried."""
        if self.current not in tried:
            return self.current
        left_over = [host for host in self._hosts if host not in tried]
        return self._best(left_over) if left_over else None

    def failed(self, host: Host, why: SwarmkitError) -> None:
        """It cannot answer. Whoever asks next asks another one."""
        now = self._clock.now()
        is_news, host.failed_at = now - host.failed_at > _REST, now
        if self.several and host is self.current:
            place = self._hosts.index(host)
            self.current = self._best([*self._hosts[place + 1 :], *self._hosts[:place]])
            if is_news:
                _log.info("%s cannot answer, %s is next: %s", host, self.current, why)

    def sign(self, error: SwarmkitError, host: Host) -> None:
        """Say in an error where it comes from, where that is a question."""
        if self.several and not error.host and not isinstance(error, InvalidSpec | ClientClosed):
            error.host = str(host)
            if not isinstance(error, EngineUnreachable):  # that one has it in its sentence
                error.args = (f"{error} [{host}]",)

    def _best(self, hosts: list[Host]) -> Host:
        """The first that has not failed of late, or the one that did so longest ago."""
        lately = self._clock.now() - _REST
        return min(hosts, key=lambda host: max(host.failed_at, lately))

    async def aclose(self) -> None:
        """Close all connections, for good."""
        self.is_closed = True
        if self._injected is not None:
            await self._injected.aclose()
            return
        for host in self._hosts:
            await host.aclose()


def none_answers(what: str, failures: Mapping[Host, SwarmkitError]) -> SwarmkitError:
    """The error for what no host can answer: what the last one said that did answer, and why each of them could not.

    A host that is no manager has less to say than one that is.
    """
    *_, last = failures.values()
    if len(failures) == 1:
        return last
    reasons: dict[str, str] = {}
    for host, failure in failures.items():
        reasons |= failure.reasons if isinstance(failure, EngineUnreachable) else {str(host): str(failure)}
    told = "; ".join(f"{host}: {reason}" for host, reason in reasons.items())
    said = [failure for failure in failures.values() if isinstance(failure, EngineError)]
    error: SwarmkitError
    if said:
        error = copy(next((one for one in reversed(said) if not isinstance(one, NotAManager)), said[-1]))
        error.args = (f"{what}: no host can answer: {told}",)
    else:
        words = {failure.reason for failure in failures.values() if isinstance(failure, EngineUnreachable)}
        error = EngineUnreachable(
            f"{what}: no host can be reached: {told}", words.pop() if len(words) == 1 else "other", reasons
        )
    error.host = ", ".join(reasons)
    error.__cause__ = last
    return error


def _running_loop() -> object:
    """What stands for the running event loop."""
    try:
        return asyncio.get_running_loop()  # a fraction of what anyio's token costs
    except RuntimeError:
        return anyio.lowlevel.current_token()


def _is_over(token: object) -> bool:
    """The event loop was closed, whatever it left behind. Trio does not tell."""
    return isinstance(token, asyncio.AbstractEventLoop) and token.is_closed()
