"""The funnel: every request of this package goes through `Engine.call` or `Engine.stream`, from top to bottom.

    host         the one in use, or the next where that one fails    `_try`
    endpoint     the API version to speak with it, agreed on once    `_version`
    gate         nothing goes out that this version would lose       `features.check`
    send         within one deadline, again only where that is safe  `_send`
    status       an error answer becomes the error it means          `errors.engine_error`
    decode       JSON into the model asked for                       `_decode`

Owns: those steps, and the one translation of foreign exceptions. Must not know: any Swarm noun.
"""

from __future__ import annotations

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
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard, TypeVar, overload
from urllib.parse import quote, urlencode

import anyio
import httpx
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from . import features
from ._clock import Clock, Pauses, RealClock
from ._hosts import Address
from ._managers import Host, Loop, Managers, none_answers
from ._transport import Body, EngineTransport, left
from ._transport.message import Answer, Attempt, render
from .errors import (
    ClientClosed,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    HostError,
    InvalidReference,
    InvalidSpec,
    NoQuorum,
    NotAManager,
    OutcomeUnknown,
    Problem,
    ProtocolError,
    StreamTruncated,
    SwarmkitError,
    SwarmLocked,
    UnsupportedApiVersion,
    engine_error,
)
from .features import Endpoint
from .models._wire import UNSET, Unset, WireModel
from .models.filters import Filters, Query
from .versions import NEWEST, OLDEST, ApiVersion

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
_START: Final = "is dockerd running? Start it, or say where one listens: host=, DOCKER_HOST or a context"
_ADMIT: Final = (
    "is this user in the group that may use the socket? `usermod -aG docker USER` and a new login make it so"
)
_FOREIGN: Final = (httpx.HTTPError, OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
"""What a transport raises for what the engine or the network did."""
_USUAL: Final = (
    (b"Host", b"docker"),
    (b"User-Agent", b"docker-swarmkit"),
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"identity"),
)
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
    host: Host
    """Where it goes with the present attempt."""
    query: Query | None = None
    body: WireModel | None = None
    headers: Mapping[str, str] | None = None
    since: ApiVersion = OLDEST
    stream: bool = False
    only: Host | None = None
    """The one host that it may go to."""
    patient: bool = True
    """It is tried again after a pause, where that may help."""
    into: Any = None
    began: float = field(default_factory=time.monotonic)
    deadline: float = math.inf
    """The moment on the monotonic clock that it must not outlast."""
    attempt: Attempt = field(default_factory=lambda: Attempt(sent=0))
    attempts: int = 0
    failure: SwarmkitError | None = None
    """Why it could not be answered so far."""

    @property
    def changes(self) -> bool:
        """It is not a mere question."""
        return self.method != "GET"


class Engine:
    """The engine that the client talks to, as far as requests are concerned: one, or several of one swarm."""

    def __init__(
        self,
        *addresses: Address,
        pinned: ApiVersion | None = None,
        timeout: float | None = 60.0,
        max_connections: int = 64,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        if max_connections < 1:
            raise ValueError("max_connections must be above 0")
        # A transport that has time of its own, as an engine in memory has, brings its clock along.
        self.clock: Clock = clock or getattr(transport, "clock", None) or RealClock()
        self.timeout = _checked(timeout)
        self.managers = Managers(
            addresses,
            pinned=pinned,
            timeout=timeout,
            max_connections=max_connections,
            injected=transport,
            clock=self.clock,
        )
        self._injected = transport

    def __str__(self) -> str:
        return str(self.managers)

    def with_timeout(self, timeout: float | None) -> Engine:
        """The same engine, over the same connections, with another time for each operation."""
        view = copy(self)
        view.timeout = _checked(timeout)
        return view

    @property
    def is_closed(self) -> bool:
        """Its connections were closed for good."""
        return self.managers.is_closed

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
        host: Host | None = None,
        local: bool = False,
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
        host: Host | None = None,
        local: bool = False,
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
        host: Host | None = None,
        local: bool = False,
        into: type[T] | None = None,
    ) -> T | None:
        """Send one request and read its answer into a model.

        `since` is what the endpoint itself needs, and `host` the one host that is meant. What is `local` is about an
        engine and not its swarm: with several hosts nobody knows which one is meant.

        Raises:
            SwarmkitError: whatever went wrong, always as one of these.
        """
        if local and self.managers.several:
            raise HostError(f"{method} {path}: is about one engine, and this client has several hosts")
        request = _Request(method, path, self.managers.current, query, body, headers, since, only=host, into=into)
        return await self._within_deadline(request, self._result)

    async def stream(self, path: str, *, query: Query, since: str, host: Host | None = None) -> ByteStream:
        """Open an answer that goes on, outside the limit on connections. It stays with the host it comes from.

        `since` is what the endpoint itself needs, `host` the one host that is meant.

        Raises:
            SwarmkitError: whatever went wrong until the answer began.
        """
        version = ApiVersion.parse(since)
        request = _Request("GET", path, self.managers.current, query, since=version, stream=True, only=host)
        answer = await self._within_deadline(request, self._answer)
        return ByteStream(self, self.managers.loop(), answer, request)

    async def at_one_host(self, path: str, step: Callable[[Host], Awaitable[T]]) -> T:
        """What a step gives that asks several things of one host; of the next one where that cannot answer.

        Raises:
            SwarmkitError: whatever went wrong.
        """

        async def ask(request: _Request) -> T:
            return await step(request.host)

        # With one host its requests are patient themselves.
        request = _Request("GET", path, self.managers.current, patient=self.managers.several)
        return await self._within_deadline(request, ask)

    async def check(self, method: str, path: str, body: WireModel) -> None:
        """Raise what sending this would raise before anything is sent.

        Raises:
            UnsupportedFeature: the API version in use lacks part of it.
        """
        await self._within_deadline(_Request(method, path, self.managers.current, body=body), self._version)

    async def aclose(self) -> None:
        """Close the connections. Calls under way fail with ClientClosed."""
        await self.managers.aclose()

    # --- the endpoint ------------------------------------------------------------------------------------------------

    async def api_version(self) -> ApiVersion:
        """The API version in use; agreed on if it has not been yet.

        Raises:
            SwarmkitError: the engine did not answer, or there is no such version.
        """
        request = _Request("GET", "/_ping", self.managers.current)
        return (await self._within_deadline(request, self._endpoint)).version

    async def ping(self) -> dict[str, str]:
        """What the engine says in the headers of a ping, which is made now.

        Raises:
            SwarmkitError: the engine did not answer.
        """

        async def ask(request: _Request) -> dict[str, str]:
            headers = (await self._ping(request.host, request.deadline)).headers
            return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}

        return await self._within_deadline(_Request("GET", "/_ping", self.managers.current, patient=False), ask)

    async def knows_no_more(self) -> bool:
        """The engine certainly knows no key that this package does not know: it is none of a newer API version."""
        maximum = (
            await self._within_deadline(_Request("GET", "/_ping", self.managers.current), self._endpoint)
        ).maximum
        return maximum is not None and maximum <= NEWEST

    async def refuse(self, problems: Sequence[Problem], unheard: Sequence[Problem]) -> None:
        """Refuse what is wrong with a request, and keys unheard of where the engine certainly knows no more.

        Raises:
            InvalidSpec: there is something; names all of it.
        """
        if unheard and await self.knows_no_more():
            problems = [*problems, *unheard]
        if problems:
            raise InvalidSpec(problems)

    async def _endpoint(self, request: _Request) -> Endpoint:
        return request.host.endpoint or await request.host.agree(self._ping, request.deadline)

    async def _ping(self, host: Host, deadline: float) -> Answer:
        request = _Request("GET", "/_ping", host, deadline=deadline)
        answer = await self._send(request, None)
        await self._body(answer, request)
        return answer

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
        if self.is_closed:
            raise ClientClosed("the client was closed")
        loop = self.managers.loop()
        loop.calls += 1
        own = math.inf if self.timeout is None else request.began + self.timeout
        request.deadline = min(own, _shared_deadline())
        try:
            if self._injected is None:
                return await self._try(request, step)  # whatever waits in there ends at the deadline: see `Attempt`
            with anyio.move_on_after(left(request.deadline)):
                return await self._try(request, step)
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

    async def _try(self, request: _Request, step: Callable[[_Request], Awaitable[T]]) -> T:
        """What the step gives, by as many attempts as are safe: at one host after another, and around again."""
        only = request.only if self.managers.several else None
        host = only or self.managers.current
        failures: dict[Host, SwarmkitError] = {}
        pauses = Pauses(self.clock, _BACKOFF)
        began = self.clock.now()
        agreed_anew = False
        while True:
            request.host = host
            request.attempts += 1
            request.attempt = Attempt(sent=0)
            try:
                return await step(request)
            except SwarmkitError as error:
                if isinstance(error, UnsupportedApiVersion) and host.disagrees() and not agreed_anew:
                    agreed_anew = True
                    continue
                if not self._may_be_asked_of_another(request, error):
                    self.managers.sign(error, host)
                    raise
                failures[host] = error
            self.managers.failed(host, failures[host])
            another = None if only else self.managers.untried(failures)
            if another is None:
                request.failure = none_answers(f"{request.method} {request.path}", failures)
                if only or not request.patient or not any(map(_may_pass, failures, failures.values())):
                    raise request.failure
                with anyio.move_on_after(left(request.deadline)) as scope:
                    await pauses.next()
                if scope.cancelled_caught:
                    raise self._too_late(request)
                if self.timeout is not None and self.clock.now() - began >= self.timeout:
                    raise request.failure  # the deadline's own time stands still where the clock's is virtual
                failures.clear()
                another = self.managers.current
            host = another

    def _may_be_asked_of_another(self, request: _Request, error: SwarmkitError) -> bool:
        """This host cannot answer, and nothing has come of it: nothing was taken of the request, or it only asks."""
        match error:
            case EngineUnreachable():
                return request.attempt.untouched or not request.changes
            case NotAManager() | SwarmLocked():
                return self.managers.several
            case NoQuorum():
                return not request.changes
            case EngineError():
                passing = type(error) is EngineError and error.status in _GATEWAY_STATUSES
                return passing and not request.changes
            case _:
                return False

    async def _result(self, request: _Request) -> Any:
        content = await self._body(await self._answer(request), request)
        return None if request.into is None else _decode(request.into, content, request)

    async def _answer(self, request: _Request) -> Answer:
        """The answer with a good status."""
        return await self._send(request, await self._version(request))

    async def _version(self, request: _Request) -> ApiVersion:
        """The API version to send it in, which has all that it asks for."""
        endpoint = await self._endpoint(request)
        if endpoint.version < request.since:
            raise features.too_old(request.path, request.since, endpoint)
        if endpoint.maximum is None and features.depend_on_engine((request.query, request.body)):
            await self._ping(request.host, request.deadline)
            endpoint = await self._endpoint(request)
        return features.check((request.query, request.body), endpoint)

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
        what, where = f"{request.method} {request.path}", f", {request.host}" if self.managers.several else ""
        _log.debug("%s: %d, %.1f ms, attempt %d%s", what, answer.status, took, request.attempts, where)
        request.host.notice(answer)
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
        transport = request.host.transport
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
        address = request.host.address
        elsewhere = str(address).removeprefix("tcp://") if address is not None and address.host else "docker"
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
            return _unreachable(request, "that port wants TLS; give tls=, or set DOCKER_TLS_VERIFY", "tls")
        reason = answer.reason.decode("ascii", "replace")
        return engine_error(answer.status, body, request.method, request.path, reason=reason)

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
        return _unreachable(request, hint or detail, reason)


class ByteStream:
    """An answer that goes on: read it piece by piece, and close it."""

    def __init__(self, engine: Engine, loop: Loop, answer: Answer, request: _Request) -> None:
        loop.calls += 1
        self._loop: Loop | None = loop
        self.content_type: str = answer.header(b"content-type").partition(";")[0].strip()
        self.date: str = answer.header(b"date")
        """The engine's own clock when it began."""
        self.host = request.host
        """Where it comes from."""
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


def _checked(timeout: float | None) -> float | None:
    if timeout is not None and not timeout > 0:
        raise ValueError("timeout must be above 0, or None for no limit")
    return timeout


def _shared_deadline() -> float:
    shared = _deadline.get()
    return shared[1] if shared is not None and shared[0] == anyio.get_current_task().id else math.inf


def _may_pass(host: Host, failure: SwarmkitError) -> bool:
    """The host has answered before, so it may come back; but no node becomes a manager by being asked again."""
    return host.reached and not isinstance(failure, NotAManager | SwarmLocked)


def _why(error: Exception) -> tuple[str, str]:
    """A word and a sentence for why there is no connection."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, socket.gaierror):
        return "address", "the host name cannot be resolved; is it right in host=, DOCKER_HOST or the context?"
    if isinstance(cause, ssl.SSLError):  # its numbers are OpenSSL's own
        in_the_clear = cause.reason in _ANSWERS_IN_THE_CLEAR
        return "tls", f"{error}; is there TLS on that port? Docker's own is 2376" if in_the_clear else ""
    match cause.errno if isinstance(cause, OSError) else None:
        case errno.ENOENT | errno.ENOTDIR:
            return "missing", f"there is no such socket; {_START}"
        case errno.ECONNREFUSED:
            return "refused", f"nothing listens there; {_START}"
        case errno.ETIMEDOUT:
            return "silent", ""
        case errno.EACCES | errno.EPERM:
            return "permission", f"permission denied; {_ADMIT}"
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


def _unreachable(request: _Request, why: str, reason: str) -> EngineUnreachable:
    address = request.host.address
    where = "" if address is None else f" at {address.shown}, from {address.source}"
    told = f"{request.method} {request.path}: cannot reach the engine{where}: {why}"
    return EngineUnreachable(told, reason, {str(request.host): why})


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
