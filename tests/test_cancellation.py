"""Cancelling a call at any moment, in any way, leaks nothing, says nothing and harms nobody else."""

from __future__ import annotations

import asyncio
import gc
import math
import socket
import time
import warnings
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from swarmkit import SwarmClient
from swarmkit._transport import EngineTransport
from swarmkit._transport.channel import Channel

from .stub import SERVICE, Authority, Received, Say, StubEngine, always, answer, hang, in_pieces, open_descriptors, talk

pytestmark = pytest.mark.anyio

BODY = b"x" * 100_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TICKS = 36
Call = Callable[[], Awaitable[Any]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def quiet(anyio_backend_name: str) -> Iterator[list[object]]:
    """What was said behind the program's back: warnings, and on asyncio the event loop's complaints."""
    said: list[object] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield said
        gc.collect()
    assert [] == said + [one.message for one in warned]


@contextmanager
def counted() -> Generator[None]:
    """Nothing that the block opens is left open, without the garbage collector's help."""
    gc.collect()
    gc.disable()
    before = open_descriptors()
    try:
        yield
        # The stub's side, in this process too, may still accept and close what was cancelled before it was accepted.
        limit = time.monotonic() + 20
        while (left := open_descriptors()) > before and time.monotonic() < limit:
            time.sleep(0.01)
    finally:
        gc.enable()
    # Fewer there can be: a thread of an earlier test may have closed its own meanwhile.
    assert left <= before


async def all_closed(engine: StubEngine) -> None:
    with anyio.fail_after(20):
        while engine.open_sockets:
            await anyio.sleep(0.001)


# --- ways to cancel: each tells whether the call was still under way -------------------------------------------------


async def by_scope(ticks: int, call: Call) -> bool:
    finished = False

    async def run() -> None:
        nonlocal finished
        await call()
        finished = True

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        for _ in range(ticks):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    return not finished


async def natively(ticks: int, call: Call, *, times: int = 1) -> bool:
    task = asyncio.ensure_future(call())
    for _ in range(ticks):
        await asyncio.sleep(0)
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    return task.cancelled()


WAYS: list[Any] = [
    pytest.param("asyncio", by_scope, id="asyncio-scope"),
    pytest.param("trio", by_scope, id="trio-scope"),
    pytest.param("asyncio", natively, id="asyncio-native"),
    pytest.param("asyncio", partial(natively, times=2), id="asyncio-twice"),
]


# --- the sweep -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("anyio_backend", "cancelled"), WAYS)
@pytest.mark.parametrize("situation", ["fresh", "reused", "queued", "queued behind", "streaming", "change"])
@pytest.mark.parametrize("kind", ["unix", "tls"])
async def test_a_call_cancelled_at_any_moment_leaks_nothing(
    quiet: list[object],
    authority: Authority,
    anyio_backend: str,
    cancelled: Callable[[int, Call], Awaitable[bool]],
    situation: str,
    kind: str,
) -> None:
    if anyio_backend == "asyncio":
        asyncio.get_running_loop().set_exception_handler(lambda _, context: quiet.append(context))

    def script(request: Received) -> Say:
        if request.path == "/stream":
            return in_pieces(CHUNKED + b"1\r\nx\r\n", b"0\r\n\r\n", pause=0, keep=False)
        return answer(BODY)

    # A connection that was used before is only there where the stub keeps it.
    keeps = situation not in ("fresh", "streaming")
    tls = authority.server() if kind == "tls" else None
    ours = None if tls is None else authority.context()
    with StubEngine(script, tls=tls, keeps=keeps) as engine:
        transport = EngineTransport(engine.address(ours), max_connections=1)
        call: Call = partial(talk, transport)
        if situation == "streaming":
            call = partial(talk, transport, "/stream", stream=True)
        if situation == "change":
            call = partial(talk, transport, method="POST", body=BODY)
        innocent: list[bytes] = []

        async def other() -> None:
            innocent.append((await talk(transport))[1])

        under_way = 0
        moments = range(0, TICKS, 1 if tls is None else 2)
        with counted():
            for ticks in moments:
                with anyio.fail_after(20):
                    async with anyio.create_task_group() as group:
                        if situation == "queued":
                            group.start_soon(other)
                            await anyio.lowlevel.checkpoint()
                        under_way += await cancelled(ticks, call)
                        if situation == "queued behind":
                            group.start_soon(other)
                with anyio.fail_after(5):
                    assert (200, BODY) == await talk(transport)
            transport.close()
            await all_closed(engine)
        assert under_way > 0
        assert all(body == BODY for body in innocent)
        assert len(innocent) == (len(moments) if situation.startswith("queued") else 0)


@pytest.mark.parametrize(("anyio_backend", "cancelled"), WAYS)
async def test_many_calls_of_which_some_are_cancelled_leave_the_others_alone(
    quiet: list[object], anyio_backend: str, cancelled: Callable[[int, Call], Awaitable[bool]]
) -> None:
    if anyio_backend == "asyncio":
        asyncio.get_running_loop().set_exception_handler(lambda _, context: quiet.append(context))
    with StubEngine(lambda request: answer(request.path.encode()), keeps=True) as engine:
        transport = EngineTransport(engine.address(), max_connections=4)
        right: list[int] = []

        async def call(number: int) -> None:
            if number % 5 == 0:
                await cancelled(number % 37, partial(talk, transport, f"/{number}"))
            else:
                right.append((await talk(transport, f"/{number}"))[1] == b"/%d" % number)

        with counted(), anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for number in range(300):
                    group.start_soon(call, number)
            # None of the four places is lost.
            async with anyio.create_task_group() as group:
                for number in range(1, 5):
                    group.start_soon(call, number)
            transport.close()
            await all_closed(engine)
        assert [True] * 244 == right
        assert engine.most_open <= 4


@pytest.mark.parametrize(("anyio_backend", "cancelled"), WAYS)
async def test_a_call_cancelled_while_it_connects_leaks_nothing(
    quiet: list[object], authority: Authority, anyio_backend: str, cancelled: Callable[[int, Call], Awaitable[bool]]
) -> None:
    """The handshake of TLS never comes to its end."""
    with StubEngine(always(answer()), tcp=True) as engine:
        ours = authority.context()
        transport = EngineTransport(engine.address(ours), max_connections=1)
        under_way = 0
        with counted():
            for ticks in range(1, 20):
                with anyio.fail_after(20):
                    # The stub waits for the end of a request's head, and TLS for the stub.
                    under_way += await cancelled(ticks, partial(talk, transport))
            transport.close()
            await all_closed(engine)
        assert under_way == 19


# --- streams ---------------------------------------------------------------------------------------------------------


async def test_a_reader_whose_time_was_up_may_read_on_and_loses_no_byte() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        channel = Channel(ours)
        for number in range(1, 10):
            theirs.sendall(b"x" * number)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await channel.receive(100, math.inf)
                raise AssertionError("a cancelled reader came away with bytes")
            assert b"x" * number == await channel.receive(100, math.inf)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_reader_that_is_cancelled_natively_loses_no_byte() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        channel = Channel(ours)
        sent = read = 0
        for ticks in range(40):
            task = asyncio.ensure_future(channel.receive(100, math.inf))
            for tick in range(5):
                if tick == ticks % 4:
                    sent += theirs.send(b"x")
                if tick == ticks // 8:
                    task.cancel()
                await asyncio.sleep(0)
            await asyncio.wait([task])
            read += 0 if task.cancelled() else len(task.result())
        theirs.shutdown(socket.SHUT_WR)
        while data := await channel.receive(100, math.inf):
            read += len(data)
        assert 40 == sent == read


async def test_leaving_a_stream_closes_it_at_once_however_it_is_left(quiet: list[object]) -> None:
    def keep_open(sock: Any) -> None:
        sock.sendall(CHUNKED)
        hang(sock)

    def script(request: Received) -> Say:
        return keep_open if request.path.endswith("/logs") else answer(SERVICE)

    with StubEngine(script) as engine:
        async with SwarmClient(engine.host, api_version="1.51", max_connections=1) as client:
            for way in ("exit", "raise", "cancel"):
                with anyio.move_on_after(20 if way != "cancel" else 0.02):
                    try:
                        async with client.services.logs("web", follow=True) as lines:
                            if way == "raise":
                                raise LookupError("the user's own")
                            if way == "cancel":
                                await anext(lines)
                    except LookupError:
                        assert way == "raise"
                await all_closed(engine)
                assert "svc1" == (await client.services.inspect("web")).id
