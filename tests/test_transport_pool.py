"""Which connection carries which request, who waits for whom, and when time is up; on real sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest
import trio
from anyio.abc import TaskGroup

from swarmkit import (
    ClientClosed,
    EngineTimeout,
    EngineUnreachable,
    OutcomeUnknown,
    ServiceSpec,
    SwarmClient,
    SwarmkitError,
)
from swarmkit._engine import Engine
from swarmkit._hosts import Address
from swarmkit._transport import EngineTransport, channel, pool
from swarmkit._transport.message import Attempt
from swarmkit.versions import ApiVersion

from .harness.engine import short_temporary_folder
from .stub import (
    Authority,
    Received,
    Say,
    StubEngine,
    always,
    answer,
    hang,
    hang_up,
    in_pieces,
    one_by_one,
    talk,
    then_hang,
)

pytestmark = pytest.mark.anyio

KINDS = ["unix", "tcp", "tls"]
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
LARGE = ServiceSpec(name="a", labels={"x": "y" * 8_000_000})
SMALL = ServiceSpec(name="a")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


class Peer:
    """A stub and the address to reach it at."""

    def __init__(self, engine: StubEngine, address: Address) -> None:
        self.engine = engine
        self.address = address

    def transport(self, *, max_connections: int = 64) -> EngineTransport:
        return EngineTransport(self.address, max_connections=max_connections)

    def funnel(self, *, max_connections: int = 1, timeout: float | None = 60) -> Engine:
        return Engine(self.address, pinned=ApiVersion.parse("1.51"), max_connections=max_connections, timeout=timeout)

    @property
    def used(self) -> list[int]:
        """The numbers of the connections that carried the requests."""
        return [request.connection for request in self.engine.received]

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for what another thread does."""
        with anyio.fail_after(20):
            while not true():
                await anyio.sleep(0.001)


class Open(Protocol):
    """Makes a peer of a kind: unix, tcp or tls."""

    def __call__(
        self, kind: str, script: Callable[[Received], Say], *, keeps: bool = False
    ) -> AbstractContextManager[Peer]: ...


@pytest.fixture
def open_peer(authority: Authority) -> Open:
    """Makes peers of the kinds that there are."""

    @contextmanager
    def open_peer(kind: str, script: Callable[[Received], Say], *, keeps: bool = False) -> Generator[Peer]:
        tls = authority.server() if kind == "tls" else None
        with StubEngine(script, tcp=kind == "tcp", tls=tls, keeps=keeps) as engine:
            ours = None if tls is None else authority.context()
            yield Peer(engine, engine.address(ours))

    return open_peer


def connection_of(request: Received) -> bytes:
    return answer(str(request.connection).encode())


# --- which connection ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_questions_one_after_another_use_one_connection(open_peer: Open, kind: str) -> None:
    with open_peer(kind, connection_of, keeps=True) as peer:
        transport = peer.transport()
        assert [(200, b"1")] * 5 == [await talk(transport) for _ in range(5)]
        assert peer.engine.connections == 1
        transport.close()


async def test_a_change_over_a_unix_socket_gets_a_connection_that_was_never_used(open_peer: Open) -> None:
    with open_peer("unix", connection_of, keeps=True) as peer:
        transport = peer.transport()
        for method in ("GET", "POST", "GET", "DELETE", "GET"):
            await talk(transport, method=method)
        # A question may use what a change has left, and the one that came last goes first.
        assert [1, 2, 2, 3, 3] == peer.used
        transport.close()


@pytest.mark.parametrize("kind", ["tcp", "tls"])
async def test_a_change_over_the_network_uses_what_there_is(open_peer: Open, kind: str) -> None:
    with open_peer(kind, connection_of, keeps=True) as peer:
        transport = peer.transport()
        for method in ("GET", "POST", "DELETE", "GET"):
            await talk(transport, method=method)
        assert [1, 1, 1, 1] == peer.used
        transport.close()


@pytest.mark.parametrize(("kind", "methods"), [("unix", ("GET", "POST")), ("tcp", ("GET",)), ("tls", ("GET",))])
async def test_a_peer_that_closes_after_each_answer_without_a_word_is_not_noticed(
    open_peer: Open, kind: str, methods: tuple[str, ...]
) -> None:
    rounds = 100 if kind == "unix" else 50
    with open_peer(kind, always(answer(b"fine"))) as peer:
        transport = peer.transport(max_connections=1)
        for _ in range(rounds):
            for method in methods:
                assert (200, b"fine") == await talk(transport, method=method)
        transport.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_question_whose_used_connection_dies_is_asked_once_more(open_peer: Open, kind: str) -> None:
    with open_peer(kind, one_by_one(in_pieces(answer(b"1")), hang_up, answer(b"2"))) as peer:
        transport = peer.transport(max_connections=1)
        assert (200, b"1") == await talk(transport)
        assert (200, b"2") == await talk(transport)
        assert [1, 1, 2] == peer.used
        transport.close()


async def test_a_question_that_dies_on_a_new_connection_as_well_is_not_asked_again(open_peer: Open) -> None:
    with open_peer("unix", one_by_one(in_pieces(answer(b"1")), hang_up, hang_up, answer(b"4"))) as peer:
        transport = peer.transport(max_connections=1)
        await talk(transport)
        with pytest.raises(httpx.ReadError):
            await talk(transport)
        assert [1, 1, 2] == peer.used
        assert (200, b"4") == await talk(transport)


async def test_a_question_that_has_begun_to_be_answered_is_not_asked_again(open_peer: Open) -> None:
    half = in_pieces(b"HTTP/1.1 200", keep=False)
    with open_peer("unix", one_by_one(in_pieces(answer(b"1")), half, answer(b"3"))) as peer:
        transport = peer.transport(max_connections=1)
        await talk(transport)
        with pytest.raises(httpx.ReadError):
            await talk(transport)
        assert [1, 1] == peer.used


@pytest.mark.parametrize("kind", ["tcp", "tls"])
async def test_a_change_that_a_used_connection_took_is_not_sent_again(open_peer: Open, kind: str) -> None:
    with open_peer(kind, one_by_one(in_pieces(answer(b"1")), hang_up, answer(b"3"))) as peer:
        engine = peer.funnel()
        await engine.call("GET", "/x")
        with pytest.raises(OutcomeUnknown):
            await engine.call("POST", "/x", body=SMALL)
        assert [1, 1] == peer.used
        await engine.call("POST", "/x", body=SMALL)
        await engine.aclose()


@pytest.mark.parametrize("kind", ["tcp", "tls"])
async def test_a_change_of_which_a_used_connection_took_nothing_is_sent_again(
    open_peer: Open, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = threading.Event()

    def looks_quiet(_: channel.Channel) -> bool:
        return True

    def reset(sock: socket.socket) -> None:
        sock.sendall(answer(b"1"))
        read.wait(20)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with open_peer(kind, one_by_one(reset, answer(b"2"))) as peer:
        transport = peer.transport(max_connections=1)
        await talk(transport)
        read.set()
        await peer.until(lambda: not peer.engine.open_sockets)
        # It dies between the look at it and its use.
        monkeypatch.setattr(channel.Channel, "is_quiet", looks_quiet)
        assert (200, b"2") == await talk(transport, method="POST")
        assert [1, 2] == peer.used
        transport.close()


# --- bytes nobody asked for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stray", [b"\0", b"\r\n", EVIL], ids=["a byte", "a line", "an answer"])
async def test_what_comes_on_an_idle_connection_reaches_no_call(open_peer: Open, kind: str, stray: bytes) -> None:
    go, said = threading.Event(), threading.Event()

    def stray_later(sock: socket.socket) -> bool:
        sock.sendall(answer(b"right"))
        go.wait(20)
        sock.sendall(stray)
        said.set()
        return True

    with open_peer(kind, one_by_one(stray_later, answer(b"next"))) as peer:
        transport = peer.transport(max_connections=1)
        assert (200, b"right") == await talk(transport)
        go.set()
        assert await anyio.to_thread.run_sync(said.wait, 20)
        assert (200, b"next") == await talk(transport)
        assert [1, 2] == peer.used
        transport.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [1, 20, len(EVIL)])
@pytest.mark.parametrize("body", [b"right", b""])
async def test_an_answer_with_another_glued_on_is_right_and_so_is_the_next(
    open_peer: Open, kind: str, cut: int, body: bytes
) -> None:
    glued = in_pieces(answer(body) + EVIL[:cut], *filter(None, [EVIL[cut:]]))
    with open_peer(kind, one_by_one(glued, answer(b"next"))) as peer:
        transport = peer.transport(max_connections=1)
        assert (200, body) == await talk(transport)
        assert (200, b"next") == await talk(transport)
        assert [1, 2] == peer.used
        transport.close()


@pytest.mark.parametrize(
    "raw",
    [
        answer(b"fine", headers={"Connection": "close"}),
        answer(b"fine", headers={"Connection": "Close, TE"}),
        answer(b"fine").replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
    ids=["said", "said among others", "of old"],
)
@pytest.mark.parametrize("kind", ["unix", "tls"])
async def test_a_connection_that_the_peer_does_not_keep_is_not_used_again(
    open_peer: Open, kind: str, raw: bytes
) -> None:
    with open_peer(kind, always(raw), keeps=True) as peer:
        transport = peer.transport()
        assert [(200, b"fine")] * 2 == [await talk(transport) for _ in range(2)]
        await peer.until(lambda: not peer.engine.open_sockets)  # though the stub would go on
        assert [1, 2] == peer.used


async def test_an_answer_that_only_the_end_ends_is_the_last_of_its_connection(open_peer: Open) -> None:
    with open_peer("unix", always(b"HTTP/1.1 200 OK\r\n\r\nfine")) as peer:
        transport = peer.transport()
        assert [(200, b"fine")] * 2 == [await talk(transport) for _ in range(2)]
        assert [1, 2] == peer.used


async def test_a_body_left_unread_takes_its_connection_along(open_peer: Open) -> None:
    with open_peer("unix", always(then_hang(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"))) as peer:
        transport = peer.transport(max_connections=1)
        with anyio.move_on_after(0.05):
            await talk(transport)
        await peer.until(lambda: not peer.engine.open_sockets)


async def test_a_trailer_without_end_is_cut_off(open_peer: Open) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"

    def endless(sock: socket.socket) -> None:
        sock.sendall(head)
        while True:
            sock.sendall(b"X: y\r\n" * 1000)

    with open_peer("unix", one_by_one(endless, head + b"X: y\r\n\r\n")) as peer:
        transport = peer.transport(max_connections=1)
        with pytest.raises(httpx.RemoteProtocolError, match="trailer"):
            await talk(transport)
        assert (200, b"hi") == await talk(transport)


# --- how many, and how long ------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhen(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the pool's clock on."""
    moved = 0.0

    def move(seconds: float) -> None:
        nonlocal moved
        moved += seconds

    monkeypatch.setattr(pool, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + moved))
    return move


async def test_a_connection_idle_for_half_a_minute_is_not_used(
    open_peer: Open, elsewhen: Callable[[float], None]
) -> None:
    with open_peer("unix", connection_of, keeps=True) as peer:
        transport = peer.transport()
        await talk(transport)
        elsewhen(20)
        await talk(transport)
        elsewhen(31)
        await talk(transport)
        assert [1, 1, 2] == peer.used
        await peer.until(lambda: peer.engine.open_sockets == 1)
        transport.close()


async def test_a_connection_that_nobody_wants_goes_when_another_comes_back(
    open_peer: Open, elsewhen: Callable[[float], None]
) -> None:
    together = threading.Barrier(2)

    def script(request: Received) -> Say:
        if request.path == "/together":
            together.wait(20)
        return answer()

    with open_peer("unix", script, keeps=True) as peer:
        transport = peer.transport()
        async with anyio.create_task_group() as group:
            group.start_soon(talk, transport, "/together")
            group.start_soon(talk, transport, "/together")
        for _ in range(2):
            elsewhen(20)
            await talk(transport)
        await peer.until(lambda: peer.engine.open_sockets == 1)
        assert peer.engine.connections == 2
        transport.close()


async def test_the_connection_that_came_back_last_is_used_first(open_peer: Open) -> None:
    together = threading.Barrier(3)

    def script(request: Received) -> Say:
        if request.path == "/together":
            together.wait(20)
        return connection_of(request)

    with open_peer("unix", script, keeps=True) as peer:
        transport = peer.transport()
        came: list[bytes] = []

        async def call() -> None:
            came.append((await talk(transport, "/together"))[1])

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(call)
        assert {b"1", b"2", b"3"} == set(came)
        assert [came[-1]] * 3 == [(await talk(transport))[1] for _ in range(3)]
        transport.close()


@pytest.mark.parametrize("keeps", [True, False])
async def test_there_are_never_more_connections_than_allowed(open_peer: Open, keeps: bool) -> None:
    with open_peer("unix", always(answer(b"x" * 1000)), keeps=keeps) as peer:
        transport = peer.transport(max_connections=4)
        async with anyio.create_task_group() as group:
            for number in range(400):
                method = "GET" if number % 3 else "POST"
                group.start_soon(partial(talk, transport, method=method))
        assert len(peer.engine.received) == 400
        assert peer.engine.most_open <= 4
        transport.close()


async def test_over_the_network_as_many_connections_are_made_as_are_allowed_and_no_more(open_peer: Open) -> None:
    with open_peer("tcp", always(answer()), keeps=True) as peer:
        transport = peer.transport(max_connections=4)
        async with anyio.create_task_group() as group:
            for number in range(200):
                group.start_soon(partial(talk, transport, method="GET" if number % 3 else "POST"))
        assert peer.engine.connections <= 4
        transport.close()


async def test_streams_have_connections_of_their_own_beside_the_limit(open_peer: Open) -> None:
    def script(request: Received) -> Say:
        return hang if request.path == "/stream" else answer(b"fine")

    with open_peer("unix", script, keeps=True) as peer:
        transport = peer.transport(max_connections=1)
        await talk(transport)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(partial(talk, transport, "/stream", stream=True))
            await peer.until(lambda: len(peer.engine.received) == 6)
            assert (200, b"fine") == await talk(transport)
            group.cancel_scope.cancel()
        assert 6 == len({request.connection for request in peer.engine.received})
        assert [1, 1] == [one.connection for one in peer.engine.received if one.path == "/x"]
        transport.close()


# --- the gate --------------------------------------------------------------------------------------------------------


async def test_two_thousand_calls_on_eight_connections_all_succeed(open_peer: Open) -> None:
    with open_peer("unix", lambda request: answer(request.path.encode()), keeps=True) as peer:
        transport = peer.transport(max_connections=8)
        wrong: Counter[bytes] = Counter()

        async def call(number: int) -> None:
            _, body = await talk(transport, f"/{number}")
            wrong[body] += body != b"/%d" % number

        async with anyio.create_task_group() as group:
            for number in range(2000):
                group.start_soon(call, number)
        assert len(wrong) == 2000
        assert not wrong.total()
        assert peer.engine.most_open <= 8
        transport.close()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio resumes the tasks of one moment in any order
async def test_the_gate_lets_in_who_came_first() -> None:
    gate = pool.Gate(8)
    came: list[int] = []
    went_in: list[int] = []

    async def pass_through(number: int) -> None:
        came.append(number)
        await gate.enter(float("inf"))
        went_in.append(number)
        await anyio.lowlevel.checkpoint()
        gate.leave()

    async with anyio.create_task_group() as group:
        for number in range(2000):
            group.start_soon(pass_through, number)
    assert came == went_in == list(range(2000))
    assert gate.inside == 0


async def _queue(group: TaskGroup, gate: pool.Gate, names: str) -> tuple[list[str], dict[str, anyio.CancelScope]]:
    """Let some wait for their turn, one behind the other; who got in, and what cancels whom."""
    went_in: list[str] = []
    scopes = {name: anyio.CancelScope() for name in names}

    async def wait(name: str) -> None:
        with scopes[name]:
            await gate.enter(float("inf"))
            went_in.append(name)

    for name in names:
        group.start_soon(wait, name)
        await anyio.wait_all_tasks_blocked()
    return went_in, scopes


@pytest.mark.parametrize("granted_first", [True, False])
async def test_who_is_cancelled_while_waiting_passes_the_turn_on(granted_first: bool) -> None:
    gate = pool.Gate(1)
    await gate.enter(float("inf"))
    async with anyio.create_task_group() as group:
        went_in, scopes = await _queue(group, gate, "abc")
        steps = [gate.leave, scopes["a"].cancel]
        for step in steps if granted_first else reversed(steps):
            step()
        await anyio.wait_all_tasks_blocked()
        # Who was let in before the cancellation may have gone in, and nobody else has.
        assert went_in in ((["a"], ["b"]) if granted_first else (["b"],))
        for _ in range(2 - "abc".index(went_in[0])):
            gate.leave()
            await anyio.wait_all_tasks_blocked()
        assert "abc".endswith("".join(went_in))
        assert "c" in went_in
        group.cancel_scope.cancel()
    assert gate.inside == 1


async def test_who_gives_up_in_the_middle_leaves_the_order_as_it_was() -> None:
    gate = pool.Gate(1)
    await gate.enter(float("inf"))
    async with anyio.create_task_group() as group:
        went_in, scopes = await _queue(group, gate, "abcdefgh")
        for name in "bfg":
            scopes[name].cancel()
        await anyio.wait_all_tasks_blocked()
        for _ in range(5):
            gate.leave()
            await anyio.wait_all_tasks_blocked()
        assert "acdeh" == "".join(went_in)
        group.cancel_scope.cancel()
    assert gate.inside == 1
    gate.leave()
    assert gate.inside == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("times", [1, 2])
async def test_a_native_cancellation_in_the_moment_of_the_grant_passes_the_turn_on(times: int) -> None:
    gate = pool.Gate(1)
    await gate.enter(float("inf"))
    waiting = [asyncio.create_task(gate.enter(float("inf"))) for _ in range(3)]
    await asyncio.sleep(0)
    gate.leave()
    for _ in range(times):
        waiting[0].cancel()
    await asyncio.wait_for(waiting[1], 20)
    assert waiting[0].cancelled()
    gate.leave()
    await asyncio.wait_for(waiting[2], 20)
    gate.leave()
    assert gate.inside == 0


async def test_time_that_is_up_in_the_queue_is_no_unknown_outcome(open_peer: Open) -> None:
    with open_peer("unix", one_by_one(hang, answer())) as peer:
        engine = peer.funnel()
        async with anyio.create_task_group() as group:
            group.start_soon(partial(engine.call, "GET", "/first"))
            await peer.until(lambda: bool(peer.engine.received))
            for method in ("GET", "POST"):
                with engine.one_deadline(0.05), pytest.raises(EngineTimeout, match=f"{method} /x: no answer within"):
                    await engine.call(method, "/x")
            group.cancel_scope.cancel()
        assert ["/v1.51/first"] == [request.path for request in peer.engine.received]
        await engine.call("POST", "/x")
        await engine.aclose()


# --- time ------------------------------------------------------------------------------------------------------------


def drip(*, head: bytes) -> Say:
    def say(sock: socket.socket) -> None:
        sock.sendall(head)
        while True:
            sock.sendall(b"x")
            time.sleep(0.005)

    return say


def endless(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")
    while True:
        # What is read of it stays below the limit on bodies: its chunks are small, and come without a pause.
        sock.sendall(b" " * 64)


STALLS: list[tuple[str, Say]] = [
    ("before the head", hang),
    ("in the status", then_hang(b"HTTP/1.1 2")),
    ("in the head", then_hang(b"HTTP/1.1 200 OK\r\nContent-")),
    ("after an interim answer", then_hang(b"HTTP/1.1 100 Continue\r\n\r\n")),
    ("before the body", then_hang(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")),
    ("in the body", then_hang(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal")),
    ("in a chunk", then_hang(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhal")),
    ("before the last chunk", then_hang(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n")),
    ("drops of a head", drip(head=b"HTTP/1.1 200 OK\r\nX: ")),
    ("drops of a body", drip(head=b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")),
    ("a body without end", endless),
]


async def _in_time(
    engine: Engine, call: Callable[[], Any], far_enough: Callable[[SwarmkitError], bool]
) -> SwarmkitError:
    """How a call ends that is not answered in time; with more time, where a busy machine has not brought it far."""
    for seconds in (0.05, 1, 10):
        with anyio.fail_after(60), engine.one_deadline(seconds), pytest.raises(SwarmkitError) as caught:
            await call()
        if far_enough(caught.value):
            return caught.value
    raise AssertionError("it never came so far")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("stall", [row[1] for row in STALLS], ids=[row[0] for row in STALLS])
@pytest.mark.parametrize("kind", ["unix", "tls"])
async def test_no_answer_outlasts_the_deadline(open_peer: Open, kind: str, stall: Say, method: str) -> None:
    def script(request: Received) -> Say:
        return stall if request.path.endswith("/stall") else answer()

    with open_peer(kind, script) as peer:
        engine = peer.funnel()
        outcome = await _in_time(engine, partial(engine.call, method, "/stall"), lambda _: bool(peer.engine.received))
        assert isinstance(outcome, OutcomeUnknown if method == "POST" else EngineTimeout)
        with anyio.fail_after(20):
            await engine.call(method, "/x")
        await engine.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_peer_that_reads_no_further_has_taken_some(
    open_peer: Open, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()

    def stop_reading(sock: socket.socket) -> Received:
        sock.recv(1000)
        done.wait(20)
        raise OSError

    monkeypatch.setattr("tests.stub._read", stop_reading)
    with open_peer(kind, always(hang)) as peer:
        engine = peer.funnel()
        try:
            call = partial(engine.call, "POST", "/x", body=LARGE)
            for _ in range(2):
                await _in_time(engine, call, lambda outcome: isinstance(outcome, OutcomeUnknown))
        finally:
            done.set()
        await engine.aclose()


async def test_an_attempt_over_tls_knows_how_much_of_it_was_taken(open_peer: Open) -> None:
    with open_peer("tls", always(answer())) as peer:
        attempt = Attempt()
        transport = peer.transport()
        await talk(transport, method="POST", body=b"x" * 1_000_000, attempt=attempt)
        assert attempt.sent is not None
        assert 1_000_000 < attempt.sent < 1_001_000
        (request,) = peer.engine.received
        assert len(request.body) == 1_000_000
        transport.close()


@contextmanager
def full(listener: socket.socket, address: Any) -> Generator[None]:
    """A listener whose backlog has no room left."""
    fillers: list[socket.socket] = []
    with listener:
        listener.bind(address)
        listener.listen(0)
        for _ in range(8):
            filler = socket.socket(listener.family)
            filler.setblocking(False)
            fillers.append(filler)
            if filler.connect_ex(listener.getsockname()) != 0 and listener.family == socket.AF_UNIX:
                break
        try:
            yield
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def silent(kind: str) -> Generator[Address]:
    """The address of a listener that never comes to speak."""
    with tempfile.TemporaryDirectory(prefix="swk", dir=short_temporary_folder()) as folder:
        family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
        where: Any = str(Path(folder) / "full.sock") if kind == "unix" else ("127.0.0.1", 0)
        listener = socket.socket(family)
        if kind == "tls":
            with listener:
                listener.bind(where)
                listener.listen(8)
                tls = Authority(Path(folder)).context()
                yield Address(host="127.0.0.1", port=listener.getsockname()[1], tls=tls)
        else:
            with full(listener, where):
                port = 0 if kind == "unix" else listener.getsockname()[1]
                yield Address(path=where) if kind == "unix" else Address(host="127.0.0.1", port=port)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_connection_that_does_not_come_about_in_time_has_changed_nothing(kind: str, method: str) -> None:
    with silent(kind) as address:
        engine = Engine(address, pinned=ApiVersion.parse("1.51"), max_connections=1, timeout=0.05)
        for _ in range(2):
            with anyio.fail_after(20), pytest.raises(EngineTimeout):
                await engine.call(method, "/x")
        await engine.aclose()


async def test_a_call_whose_time_is_up_before_it_begins_sends_nothing(open_peer: Open) -> None:
    with open_peer("unix", always(answer()), keeps=True) as peer:
        engine = peer.funnel()
        await engine.call("GET", "/first")
        with engine.one_deadline(0.001):
            time.sleep(0.01)  # noqa: ASYNC251 -- the event loop is held up
            for method in ("GET", "POST"):
                with pytest.raises(EngineTimeout):
                    await engine.call(method, "/x")
        assert ["/v1.51/first"] == [request.path for request in peer.engine.received]
        await engine.aclose()


async def test_calls_that_share_a_deadline_end_with_it(open_peer: Open) -> None:
    with open_peer("unix", one_by_one(answer(), answer(), hang)) as peer:
        engine = peer.funnel(timeout=60)
        with anyio.fail_after(20), engine.one_deadline(0.5), pytest.raises(EngineTimeout):
            for _ in range(3):
                await engine.call("GET", "/x")
        assert len(peer.engine.received) <= 3
        await engine.aclose()


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", KINDS)
async def test_closing_ends_what_is_still_connecting_and_what_waits(kind: str, method: str) -> None:
    outcomes: list[type[Exception]] = []
    with silent(kind) as address:
        engine = Engine(address, pinned=ApiVersion.parse("1.51"), max_connections=1)

        async def call() -> None:
            try:
                await engine.call(method, "/x")
            except ClientClosed as error:
                outcomes.append(type(error))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(call)
                await anyio.sleep(0.02)  # a full backlog is asked again and again: nothing ever blocks for long
                await engine.aclose()
    assert [ClientClosed] * 3 == outcomes


@pytest.mark.parametrize("kind", KINDS)
async def test_closing_closes_every_connection(open_peer: Open, kind: str) -> None:
    def script(request: Received) -> Say:
        return answer() if request.path.endswith("/idle") else then_hang(b"HTTP/1.1 200 OK\r\n\r\n")

    with open_peer(kind, script, keeps=True) as peer:
        engine = peer.funnel(max_connections=4)
        lost: list[type[Exception]] = []

        async def call(path: str) -> None:
            try:
                await engine.call("GET", path)
            except ClientClosed as error:
                lost.append(type(error))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(call, "/hang")
            await peer.until(lambda: len(peer.engine.received) == 3)
            await call("/idle")
            await engine.aclose()
        assert [ClientClosed] * 3 == lost
        await peer.until(lambda: not peer.engine.open_sockets)
        with pytest.raises(ClientClosed):
            await engine.call("GET", "/idle")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_is_never_closed_says_nothing(open_peer: Open, kind: str, backend: str) -> None:
    with open_peer(kind, always(answer()), keeps=True) as peer:
        engine = peer.funnel()

        async def call() -> None:
            await engine.call("GET", "/x")

        anyio.run(call, backend=backend)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            del call
            engine = peer.funnel()
            gc.collect()
        assert [] == said


PROGRAM = """
import asyncio, sys
import trio
from swarmkit import SwarmClient

client = SwarmClient(sys.argv[1], api_version="1.51")

async def main():
    await client.services.list()

{run}
"""


@pytest.mark.parametrize("run", ["asyncio.run(main())", "trio.run(main)"])
def test_a_program_that_ends_without_closing_says_nothing(run: str) -> None:
    with StubEngine(always(answer([])), keeps=True) as engine:
        command = [sys.executable, "-W", "always", "-c", PROGRAM.format(run=run)]
        ended = subprocess.run([*command, engine.host], capture_output=True, timeout=60, check=False)
    assert (0, b"") == (ended.returncode, ended.stderr)
    assert len(engine.received) == 1


def test_what_one_event_loop_left_idle_is_closed_by_the_next(open_peer: Open) -> None:
    with open_peer("tcp", connection_of, keeps=True) as peer:
        engine = peer.funnel()
        for _ in range(2):
            asyncio.run(engine.call("GET", "/x"))
            trio.run(engine.call, "GET", "/x")
        assert [1, 2, 3, 4] == peer.used
        asyncio.run(engine.aclose())


# --- over ssh --------------------------------------------------------------------------------------------------------

SSH = """#!{python} -S
import os, socket, sys, threading
host = sys.argv[sys.argv.index("--") + 1]
if host == "gone":
    sys.exit("ssh: connect to host gone port 22: Connection refused")
sock = socket.socket(socket.AF_UNIX)
sock.connect({path!r})
def there():
    while data := os.read(0, 65536):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
threading.Thread(target=there, daemon=True).start()
while data := sock.recv(65536):
    os.write(1, data)
"""


@contextmanager
def ssh_to(path: str, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """A program `ssh` that carries bytes to a socket of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ssh"
        program.write_text(SSH.format(python=sys.executable, path=path))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        yield


async def test_over_ssh_a_program_carries_one_request_after_another(
    open_peer: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_peer("unix", connection_of, keeps=True) as peer, ssh_to(peer.engine.path, monkeypatch):
        transport = EngineTransport(Address(host="there", ssh=True), max_connections=64)
        for method in ("GET", "POST", "GET"):
            assert (200, b"1") == await talk(transport, method=method)
        transport.close()
        await peer.until(lambda: not peer.engine.open_sockets)


async def test_over_ssh_there_are_at_most_four_programs(open_peer: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_peer("unix", connection_of, keeps=True) as peer, ssh_to(peer.engine.path, monkeypatch):
        transport = EngineTransport(Address(host="there", ssh=True), max_connections=64)
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(talk, transport)
        assert peer.engine.connections <= 4
        transport.close()
        await peer.until(lambda: not peer.engine.open_sockets)


async def test_what_ssh_complains_of_is_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with ssh_to("nowhere", monkeypatch):
        async with SwarmClient("ssh://gone") as client:
            with pytest.raises(EngineUnreachable, match="ssh says: ssh: connect to host gone port 22"):
                await client.services.list()


async def test_a_machine_without_ssh_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    async with SwarmClient("ssh://there") as client:
        with pytest.raises(EngineUnreachable, match="no ssh program") as caught:
            await client.services.list()
    assert caught.value.reason == "other"
