"""The funnel: every request of this package goes through `Engine.call` or `Engine.stream`, from top to bottom.

    endpoint     the API version to speak, agreed on once            `Engine.endpoint`
    gate         nothing goes out that this version would lose       `features.check`
    send         within one deadline, again only where that is safe  `_open`, `_send`
    status       an error answer becomes the error it means          `errors.engine_error`
    decode       JSON into the model asked for                       `_decode`

Owns: those steps, and the one translation of foreign exceptions. Must not know: any Swarm noun.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import logging
import math
import re
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeGuard, TypeVar, overload
from urllib.parse import quote, urlencode

import anyio
import anyio.lowlevel
import httpx
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from . import features
from ._clock import Clock, Pauses, RealClock
from ._hosts import Address
from ._transport import Body, EngineTransport, left
from ._transport.message import Answer, Attempt, render
from .errors import (
    ClientClosed,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    InvalidReference,
    InvalidSpec,
    NoQuorum,
    OutcomeUnknown,
    Problem,
    ProtocolError,
    StreamTruncated,
    SwarmkitError,
    UnsupportedApiVersion,
    engine_error,
)
from .features import Endpoint
from .models._wire import UNSET, Unset, WireModel
from .models.filters import Filters, Query
from .versions import NEWEST, OLDEST, ApiVersion, negotiate, parse_release

T = TypeVar("T")

_log = logging.getLogger("swarmkit")
_deadline: ContextVar[tuple[int, float] | None] = ContextVar("deadline", default=None)
"""The task that has one deadline for several calls, and when that is. Tasks it starts inherit this: not theirs."""

_BODY_LIMIT: Final = 64 * 1024 * 1024
_ERROR_BODY_LIMIT: Final = 1024 * 1024
_BACKOFF: Final = 0.05
_REFERENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_GATEWAY_STATUSES: Final = (502, 503, 504)
_LOST_STATUSES: Final = (502, 504)
"""What a gateway says when it got no answer; engines themselves never do."""
_WANTS_TLS: Final = b"Client sent an HTTP request to an HTTPS server."
"""What a port with TLS says to who speaks to it in the clear, where a Go program listens."""
_ANSWERS_IN_THE_CLEAR: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
"""What OpenSSL makes of a port that speaks no TLS."""
_FOREIGN: Final = (httpx.HTTPError, OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
"""What a transport raises for what the engine or the network did."""
_USUAL: Final = (
    (b"Host", b"docker"),
    (b"User-Agent", b"docker-swarmkit"),
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"identity"),
)
_ENGINE_HEADERS: Final = (b"api-version", b"server")
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}".encode()


def reference(value: object, kind: str) -> str:
    """The id, id prefix or name, safe to put into a path.

    Raises:
        InvalidReference: it is none, and could address something else.
    """
    if not _is_reference(value):
        raise InvalidReference(f"not an id or name of a {kind}: {str(value)[:80]!r}")
    return value


@dataclass(slots=True)
class _Request:
    """What is to be sent, and how far it has come."""

    method: str
    path: str
    query: Query | None = None
    body: WireModel | None = None
    headers: Mapping[str, str] | None = None
    since: ApiVersion = OLDEST
    stream: bool = False
    began: float = field(default_factory=time.monotonic)
    deadline: float = math.inf
    """The moment on the monotonic clock that it must not outlast."""
    attempt: Attempt = field(default_factory=lambda: Attempt(sent=0))
    attempts: int = 0
    failure: SwarmkitError | None = None
    """Why the last attempt failed, where another one follows."""

    @property
    def changes(self) -> bool:
        """It is not a mere question."""
        return self.method != "GET"


class _Flight:
    """One negotiation, shared by all callers who come while it is under way."""

    def __init__(self) -> None:
        self.landed = anyio.Event()
        self.failure: SwarmkitError | None = None


class _Loop:
    """What belongs to one event loop: the transport, and the calls and the negotiation under way."""

    def __init__(self, token: object, transport: httpx.AsyncBaseTransport) -> None:
        self.token = token
        self.transport = transport
        self.calls = 0
        self.flight: _Flight | None = None


class Engine:
    """One engine, as far as requests are concerned."""

    def __init__(
        self,
        address: Address | None,
        *,
        pinned: ApiVersion | None = None,
        timeout: float | None = 60.0,
        max_connections: int = 64,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        if max_connections < 1 or (timeout is not None and not timeout > 0):
            raise ValueError("timeout must be above 0 (None for no limit) and max_connections at least 1")
        if pinned is not None and not OLDEST <= pinned <= NEWEST:
            raise UnsupportedApiVersion(f"API {pinned} was asked for; this package speaks {OLDEST} to {NEWEST}")
        # A transport that has time of its own, as an engine in memory has, brings its clock along.
        self.clock: Clock = clock or getattr(transport, "clock", None) or RealClock()
        self.timeout = timeout
        self._address = address
        self._max_connections = max_connections
        self._injected = transport
        self._endpoint = None if pinned is None else Endpoint(pinned, pinned=True)
        self._reached = False
        self._said: list[bytes] = []
        self.is_closed = False
        self._loop: _Loop | None = None

    @overload
    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: WireModel | None = None,
        headers: Mapping[str, str] | None = None,
        since: ApiVersion = OLDEST,
    ) -> None: ...

    @overload
    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: WireModel | None = None,
        headers: Mapping[str, str] | None = None,
        since: ApiVersion = OLDEST,
        into: type[T],
    ) -> T: ...

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: WireModel | None = None,
        headers: Mapping[str, str] | None = None,
        since: ApiVersion = OLDEST,
        into: type[T] | None = None,
    ) -> T | None:
        """Send one request and read its answer into a model. `since` is what the endpoint itself needs.

        Raises:
            SwarmkitError: whatever went wrong, always as one of these.
        """
        request = _Request(method, path, query, body, headers, since)
        content = await self._within_deadline(request, self._content)
        return None if into is None else _decode(into, content, request)

    async def stream(self, path: str, *, query: Query, since: str) -> ByteStream:
        """Open an answer that goes on, outside the limit on connections. `since` is what the endpoint itself needs.

        Raises:
            SwarmkitError: whatever went wrong until the answer began.
        """
        request = _Request("GET", path, query, since=ApiVersion.parse(since), stream=True)
        answer = await self._within_deadline(request, self._open)
        return ByteStream(self, self._current_loop(), answer, request)

    async def check(self, method: str, path: str, body: WireModel) -> None:
        """Raise what sending this would raise before anything is sent.

        Raises:
            UnsupportedFeature: the API version in use lacks part of it.
        """
        await self._within_deadline(_Request(method, path, body=body), self._version)

    async def aclose(self) -> None:
        """Close the connections. Calls under way fail with ClientClosed."""
        self.is_closed = True
        transport = self._injected if self._loop is None else self._loop.transport
        if transport is not None:
            await transport.aclose()

    # --- the endpoint ------------------------------------------------------------------------------------------------

    async def endpoint(self, deadline: float = math.inf) -> Endpoint:
        """The engine and the API version to speak with it: agreed on by one GET /_ping, shared by the first callers.

        A failed negotiation is the failure of all who shared it, and is not remembered. None is made where the version
        is pinned: what else there is to know of the engine, its answers tell.
        """
        while self._endpoint is None:
            loop = self._current_loop()
            if (flight := loop.flight) is not None:
                with anyio.move_on_after(left(deadline)) as scope:
                    await flight.landed.wait()
                if scope.cancelled_caught:
                    raise EngineTimeout("GET /_ping: no answer in time")
                if flight.failure is not None:
                    raise copy(flight.failure) from flight.failure.__cause__
                continue  # it landed, or its caller was cancelled or had less time: then the next one makes it
            flight = loop.flight = _Flight()
            try:
                self._endpoint = await self._negotiate(deadline)
            except EngineTimeout:
                raise  # the others' time may not be up
            except SwarmkitError as error:
                flight.failure = error
                raise
            finally:
                loop.flight = None
                flight.landed.set()
        return self._endpoint

    async def api_version(self) -> ApiVersion:
        """The API version in use; agreed on if it has not been yet.

        Raises:
            SwarmkitError: the engine did not answer, or there is no such version.
        """

        async def agree(request: _Request) -> ApiVersion:
            return (await self.endpoint(request.deadline)).version

        return await self._within_deadline(_Request("GET", "/_ping"), agree)

    async def ping(self) -> dict[str, str]:
        """What the engine says in the headers of a ping, which is made now.

        Raises:
            SwarmkitError: the engine did not answer.
        """

        async def ask(request: _Request) -> dict[str, str]:
            headers = (await self._ping(request.deadline)).headers
            return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}

        return await self._within_deadline(_Request("GET", "/_ping"), ask)

    async def knows_no_more(self) -> bool:
        """The engine certainly knows no key that this package does not know: it is none of a newer API version."""

        async def ask(request: _Request) -> bool:
            maximum = (await self.endpoint(request.deadline)).maximum
            return maximum is not None and maximum <= NEWEST

        return await self._within_deadline(_Request("GET", "/_ping"), ask)

    async def _ping(self, deadline: float) -> Answer:
        request = _Request("GET", "/_ping", deadline=deadline)
        answer = await self._send(request, None)
        await self._body(answer, request)
        return answer

    async def _negotiate(self, deadline: float) -> Endpoint:
        answer = await self._ping(deadline)
        text = answer.header(b"api-version")
        try:
            maximum = ApiVersion.parse(text)
        except ValueError:
            raise UnsupportedApiVersion(f"GET /_ping: the engine names no API version ({text[:40]!r})") from None
        version = negotiate(maximum)
        if version is None:
            raise UnsupportedApiVersion(
                f"the engine speaks API {maximum} at most; this package needs {OLDEST} or newer"
            )
        return Endpoint(version, maximum, parse_release(answer.header(b"server")))

    def _notice(self, answer: Answer) -> None:
        """Every answer says what the engine speaks: another than at the negotiation is another engine."""
        said = [value for name, value in answer.headers if name in _ENGINE_HEADERS]
        if self._reached and said == self._said:
            return
        known = self._endpoint
        try:
            maximum = ApiVersion.parse(answer.header(b"api-version"))
        except ValueError:
            return  # what answers is no engine, but something before it
        self._reached, self._said = True, said
        release = parse_release(answer.header(b"server"))
        if known is not None and (maximum, release) != (known.maximum, known.release):
            self._endpoint = replace(known, maximum=maximum, release=release) if known.pinned else None

    # --- send --------------------------------------------------------------------------------------------------------

    @contextmanager
    def one_deadline(self, seconds: float | Unset | None = UNSET) -> Generator[None]:
        """All calls in the block together have this time, or the client's, where each would have it for itself."""
        limit = self.timeout if isinstance(seconds, Unset) else seconds
        end = math.inf if limit is None else time.monotonic() + limit
        token = _deadline.set((anyio.get_current_task().id, min(end, _shared_deadline())))
        try:
            yield
        finally:
            with suppress(ValueError):  # the coroutine was left behind, and is closed from elsewhere
                _deadline.reset(token)

    async def together(self, calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """What these calls give, all made at the same time and within the caller's deadline.

        The first that fails ends the others, and its error comes out as itself.
        """
        if len(calls) == 1:
            return [await calls[0]()]
        end, results, failures = _shared_deadline(), dict[int, T](), list[Exception]()

        async def run(index: int, call: Callable[[], Awaitable[T]]) -> None:
            _deadline.set((anyio.get_current_task().id, end))  # of this task alone: it has a context of its own
            try:
                results[index] = await call()
            except Exception as error:
                failures.append(error)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for index, call in enumerate(calls):
                group.start_soon(run, index, call)
        if failures:
            raise failures[0]
        return [results[index] for index in range(len(calls))]

    async def _within_deadline(self, request: _Request, step: Callable[[_Request], Awaitable[T]]) -> T:
        loop = self._current_loop()
        loop.calls += 1
        own = math.inf if self.timeout is None else request.began + self.timeout
        request.deadline = min(own, _shared_deadline())
        try:
            if self._injected is None:
                return await step(request)  # whatever waits in there ends at the deadline by itself: see `Attempt`
            with anyio.move_on_after(left(request.deadline)):
                return await step(request)
        finally:
            loop.calls -= 1
        raise self._too_late(request)

    def _too_late(self, request: _Request) -> SwarmkitError:
        late = f"no answer within {max(request.deadline - request.began, 0):.3g} s"
        if request.changes and not request.attempt.untouched:
            return OutcomeUnknown(request.method, request.path, late)
        if request.failure is not None:
            return request.failure
        return EngineTimeout(f"{request.method} {request.path}: {late}")

    async def _content(self, request: _Request) -> bytes:
        return await self._body(await self._open(request), request)

    async def _open(self, request: _Request) -> Answer:
        """The answer that begins with a good status, by as many attempts as are safe."""
        pauses = Pauses(self.clock, _BACKOFF)
        began = self.clock.now()
        while True:
            request.attempts += 1
            request.attempt = Attempt(sent=0)
            try:
                return await self._send(request, await self._version(request))
            except SwarmkitError as error:
                if not self._may_go_again(request, error):
                    raise
                request.failure = error
            with anyio.move_on_after(left(request.deadline)) as scope:
                await pauses.next()
            if scope.cancelled_caught:
                raise self._too_late(request)
            if self.timeout is not None and self.clock.now() - began >= self.timeout:
                raise request.failure  # the deadline's own time stands still where the clock's is virtual

    async def _version(self, request: _Request) -> ApiVersion:
        """The API version to send it in, which has all that it asks for."""
        endpoint = await self.endpoint(request.deadline)
        if endpoint.version < request.since:
            raise features.too_old(request.path, request.since, endpoint)
        if endpoint.maximum is None and features.depend_on_engine((request.query, request.body)):
            await self._ping(request.deadline)
            endpoint = await self.endpoint(request.deadline)
        return features.check((request.query, request.body), endpoint)

    def _may_go_again(self, request: _Request, error: SwarmkitError) -> bool:
        """Nothing was taken of it, or it only asks; and this engine has answered before, so it may come back."""
        match error:
            case UnsupportedApiVersion():
                # The engine was replaced by an older one. Its refusal reset the endpoint: agree anew, once.
                return self._endpoint is None and request.attempts == 1
            case EngineUnreachable():
                return self._reached and (request.attempt.untouched or not request.changes)
            case NoQuorum():
                return self._reached and not request.changes
            case EngineError():
                passing = type(error) is EngineError and error.status in _GATEWAY_STATUSES
                return self._reached and not request.changes and passing
            case _:
                return False

    async def _send(self, request: _Request, version: ApiVersion | None) -> Answer:
        """One attempt: the answer with a good status, or the error that it is."""
        began = time.monotonic()
        try:
            answer = await self._exchange(request, *self._message(request, version))
        except _FOREIGN as error:
            raise self._translate(error, request) from error
        except (httpx.InvalidURL, UnicodeError) as error:
            reason = f"{request.method} {request.path}: no such request can be made: {error}"
            raise InvalidSpec([Problem("", reason)]) from None
        took = (time.monotonic() - began) * 1000
        _log.debug(
            "%s %s: %d, %.1f ms, attempt %d", request.method, request.path, answer.status, took, request.attempts
        )
        self._notice(answer)
        if answer.status >= 300:
            raise await self._refusal(answer, request)
        return answer

    def _message(self, request: _Request, version: ApiVersion | None) -> tuple[str, list[tuple[bytes, bytes]], bytes]:
        target = f"/v{version}{request.path}" if version else request.path
        if request.query is not None and (parameters := _parameters(request.query)):
            target += "?" + urlencode(parameters, quote_via=quote, safe="")
        content = b"" if request.body is None else _encode(request.body)
        headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in (request.headers or {}).items()]
        if request.changes:
            headers.append((b"Content-Length", b"%d" % len(content)))
        if request.body is not None:
            headers.append((b"Content-Type", b"application/json"))
        return target, headers, content

    async def _exchange(
        self, request: _Request, target: str, headers: list[tuple[bytes, bytes]], content: bytes
    ) -> Answer:
        assert self._loop is not None  # `_within_deadline` saw to that
        transport = self._loop.transport
        if isinstance(transport, EngineTransport):
            data = render(request.method, target.encode("ascii"), headers, content, usual=_USUAL)
            return await transport.send(
                data,
                asks=not request.changes,
                attempt=request.attempt,
                deadline=request.deadline,
                goes_on=request.stream,
            )
        # Only a transport that is not ours needs to be told where to go.
        elsewhere = str(self._address).removeprefix("tcp://") if self._address and self._address.host else "docker"
        named = [(name, elsewhere.encode()) if name == b"Host" else (name, value) for name, value in _USUAL]
        message = httpx.Request(
            request.method, f"http://{elsewhere}{target}", headers=[*named, *headers], content=content or None
        )
        request.attempt.sent = None  # what was taken of it, such a transport does not tell
        response = await transport.handle_async_request(message)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        raw = [(name.lower(), value) for name, value in response.headers.raw]
        return Answer(response.status_code, response.extensions.get("reason_phrase", b""), raw, response.stream)

    async def _refusal(self, answer: Answer, request: _Request) -> SwarmkitError:
        body = await self._body(answer, request, limit=_ERROR_BODY_LIMIT)
        if request.changes and answer.status in _LOST_STATUSES:
            return OutcomeUnknown(request.method, request.path, f"a gateway says {answer.status}")
        if answer.status < 400:
            where = answer.header(b"location")[:200] or "nowhere"
            return ProtocolError(f"{request.method} {request.path}: redirected to {where}, which is never followed")
        if answer.status == 400 and body.startswith(_WANTS_TLS):
            hint = "that port wants TLS; give tls=, or set DOCKER_TLS_VERIFY"
            return EngineUnreachable(f"{request.method} {request.path}: cannot reach the engine: {hint}", "tls")
        reason = answer.reason.decode("ascii", "replace")
        error = engine_error(answer.status, body, request.method, request.path, reason=reason)
        if isinstance(error, UnsupportedApiVersion) and self._endpoint is not None and not self._endpoint.pinned:
            self._endpoint = None
        return error

    async def _body(self, answer: Answer, request: _Request, *, limit: int = _BODY_LIMIT) -> bytes:
        """The whole body; of an error's, as much as is worth reading."""
        size, pieces = 0, list[bytes]()
        try:
            async for piece in answer.body:
                size += len(piece)
                pieces.append(piece)
                if size > limit:
                    break
        except _FOREIGN as error:
            raise self._translate(error, request) from error
        finally:
            await _close(answer.body)
        if size > limit and answer.status < 300:
            raise _unexpected(request, f"the answer is larger than {limit} bytes")
        return b"".join(pieces)

    def _translate(self, error: Exception, request: _Request) -> SwarmkitError:
        """The one place where what a transport raises becomes one of our errors."""
        if isinstance(error, httpx.TimeoutException) and self._injected is None:
            return self._too_late(request)
        what = f"{request.method} {request.path}"
        detail = str(error) or type(error).__name__
        never_sent = request.attempt.untouched or isinstance(
            error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.LocalProtocolError
        )
        if request.changes and not never_sent:
            return OutcomeUnknown(request.method, request.path, "the client was closed" if self.is_closed else detail)
        if self.is_closed:
            return ClientClosed(f"{what}: the client was closed")
        if isinstance(error, httpx.TimeoutException):
            return EngineTimeout(f"{what}: {detail}")
        if isinstance(error, httpx.ProtocolError):
            return ProtocolError(f"{what}: {detail}")
        reason, hint = _why(error)
        where = f" at {self._address}, from {self._address.source}" if self._address is not None else ""
        return EngineUnreachable(f"{what}: cannot reach the engine{where}: {hint or detail}", reason)

    # --- event loops -------------------------------------------------------------------------------------------------

    def _current_loop(self) -> _Loop:
        """What belongs to the running event loop. An earlier loop's goes, once nothing is under way on it."""
        if self.is_closed:
            raise ClientClosed("the client was closed")
        token = _running_loop()
        loop = self._loop
        if loop is not None and loop.token == token:
            return loop
        if loop is not None and loop.calls and not _is_over(loop.token):
            raise RuntimeError("this client has calls under way on another event loop; use one client for each loop")
        if loop is not None and isinstance(loop.transport, EngineTransport):
            loop.transport.close()
        self._loop = _Loop(token, self._injected or self._new_transport())
        return self._loop

    def _new_transport(self) -> EngineTransport:
        assert self._address is not None  # the client gives an address wherever it gives no transport
        return EngineTransport(self._address, max_connections=self._max_connections)


class ByteStream:
    """An answer that goes on: read it piece by piece, and close it."""

    def __init__(self, engine: Engine, loop: _Loop, answer: Answer, request: _Request) -> None:
        loop.calls += 1
        self._loop: _Loop | None = loop
        self.content_type: str = answer.header(b"content-type").partition(";")[0].strip()
        self.date: str = answer.header(b"date")
        """The engine's own clock when it began."""
        self._engine = engine
        self._stream = answer.body
        self._pieces: AsyncIterator[bytes] = aiter(answer.body)
        self._request = request

    async def read(self, idle: float | None) -> bytes:
        """The next piece; empty at the end.

        Raises:
            EngineTimeout: nothing came for `idle` seconds.
            StreamTruncated: the connection was lost.
            ClientClosed: the client was closed.
        """
        what = f"{self._request.method} {self._request.path}"
        try:
            with anyio.move_on_after(idle):
                return await anext(self._pieces, b"")
        except _FOREIGN as error:
            if self._engine.is_closed:
                raise ClientClosed(f"{what}: the client was closed") from error
            raise StreamTruncated(f"{what}: the stream was cut off: {str(error) or type(error).__name__}") from error
        raise EngineTimeout(f"{what}: nothing came for {idle} s")

    async def aclose(self) -> None:
        """Close the connection."""
        if self._loop is not None:
            self._loop.calls -= 1
            self._loop = None
        await _close(self._stream)


async def _close(stream: httpx.AsyncByteStream) -> None:
    if isinstance(stream, Body):
        stream.close()
        return
    # Another transport's may need the event loop, also when the caller is being cancelled.
    with anyio.CancelScope(shield=True):
        await stream.aclose()


def _shared_deadline() -> float:
    shared = _deadline.get()
    return shared[1] if shared is not None and shared[0] == anyio.get_current_task().id else math.inf


def _running_loop() -> object:
    """What stands for the running event loop."""
    try:
        return asyncio.get_running_loop()  # a fraction of what anyio's token costs
    except RuntimeError:
        return anyio.lowlevel.current_token()


def _is_over(token: object) -> bool:
    """The event loop was closed, whatever it left behind. Trio does not tell."""
    return isinstance(token, asyncio.AbstractEventLoop) and token.is_closed()


def _why(error: Exception) -> tuple[str, str]:
    """A word and a sentence for why there is no connection."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, socket.gaierror):
        return "address", "the host name cannot be resolved"
    if isinstance(cause, ssl.SSLError):  # its numbers are OpenSSL's own
        in_the_clear = cause.reason in _ANSWERS_IN_THE_CLEAR
        return "tls", f"{error}; is there TLS on that port? Docker's own is 2376" if in_the_clear else ""
    match cause.errno if isinstance(cause, OSError) else None:
        case errno.ENOENT | errno.ENOTDIR:
            return "missing", "there is no such socket; is dockerd running?"
        case errno.ECONNREFUSED:
            return "refused", "nothing listens there; is dockerd running?"
        case errno.EACCES | errno.EPERM:
            return "permission", "permission denied; is this user in the group that may use the socket (docker)?"
        case _:
            return ("other" if isinstance(error, httpx.ConnectError) else "lost"), ""


def _parameters(query: Query) -> list[tuple[str, str]]:
    """The query string's parameters: what was set and is not None, flags as true and false, filters as JSON."""
    parameters: list[tuple[str, str]] = []
    for name, value_field in type(query).model_fields.items():
        value: Any = getattr(query, name)
        if value is None or name not in query.model_fields_set:
            continue
        if isinstance(value, Filters):
            value = _encode(value).decode()
        elif isinstance(value, bool):
            value = "true" if value else "false"
        parameters.append((value_field.alias or name, str(value)))
    return parameters


def _encode(body: WireModel) -> bytes:
    try:
        content = body.wire()
    except ValueError as error:
        raise InvalidSpec([Problem("", str(error))]) from None
    if _REPLACEMENT not in content or _is_text(body):
        return content
    raise InvalidSpec([Problem("", f"the {type(body).__name__} holds text with half of a surrogate pair")])


def _is_text(body: WireModel) -> bool:
    """Whether each string has a form in UTF-8: pydantic writes a replacement for what has none."""
    try:
        json.dumps(body.model_dump(by_alias=True), default=str, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _decode(into: type[T], content: bytes, request: _Request) -> T:
    adapter: TypeAdapter[T] = _adapters.get(into) or _adapters.setdefault(into, TypeAdapter(into))
    try:
        with _no_collection():
            return adapter.validate_json(content)
    except ValidationError as error:
        wrong = _places(error, content)
    # Raised out here, so that the error does not carry pydantic's along, which holds what the engine said.
    raise _unexpected(request, f"not the answer that is expected ({wrong})")


@contextmanager
def _no_collection() -> Generator[None]:
    """Let the garbage collector wait for the end of a call into C, as Python does by itself from 3.12 on.

    Before that, it goes through all of a long list, and all of the host's objects, ten times while the list is built.
    """
    pause = sys.version_info < (3, 12) and gc.isenabled()
    if pause:
        gc.disable()
    try:
        yield
    finally:
        if pause:
            gc.enable()


def _unexpected(request: _Request, what: str) -> SwarmkitError:
    """The error for a good status with a body that is of no use: a change was made, and what came of it is lost."""
    if request.changes:
        return OutcomeUnknown(request.method, request.path, what)
    return ProtocolError(f"{request.method} {request.path}: {what}")


def _places(error: ValidationError, content: bytes) -> str:
    """Where an answer is wrong, never what stands there: answers hold environments and labels."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[:3]
    # Only a list has rows to look up, and looking once does for all of them.
    rows: list[Any] = (
        from_json(content) if any(isinstance(place, int) for one in first for place in one["loc"][:1]) else []
    )
    places = "; ".join(f"{_place(one['loc'], rows)}: {one['msg']}" for one in first)
    return f"{error.error_count()} errors: {places}"


def _place(loc: tuple[int | str, ...], rows: list[Any]) -> str:
    """The path of one error; in a list, with the id and name of the object that it is in."""
    path = ".".join(map(str, loc)) or "body"
    if not (loc and isinstance(loc[0], int)):
        return path
    found = rows[loc[0]]
    try:
        names = [found.get("ID") or found["Id"], found.get("Name") or found["Spec"]["Name"]]
    except (AttributeError, KeyError, TypeError):
        return path
    return f"{path} of {' '.join(name for name in names if _is_reference(name))}"


def _is_reference(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None
