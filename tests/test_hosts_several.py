"""Several managers in one client: who is asked, what moves it on, and what is never sent twice; on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from swarmkit import (
    ApiVersion,
    ClientClosed,
    ContainerSpec,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    Event,
    EventsLost,
    HostError,
    NoQuorum,
    NotAManager,
    NotFound,
    OutcomeUnknown,
    ProtocolError,
    Resync,
    SwarmClient,
    SwarmkitError,
    SwarmLocked,
    TaskTemplate,
    TLSConfig,
    UnsupportedApiVersion,
    UnsupportedFeature,
)
from swarmkit import _managers as swarmkit_managers
from swarmkit._hosts import Address, resolve_all

from .stub import SERVICE, Authority, Received, Say, StubEngine, always, answer, hang, hang_up, one_by_one, refusal
from .test_cancellation import WAYS, Call, all_closed, counted, quiet
from .test_events import END, NOW, chunk, head, line
from .test_logs import chunked, entry, script
from .test_transport_pool import ssh_to

__all__ = ["quiet"]
pytestmark = pytest.mark.anyio

TEMPLATE = TaskTemplate(container_spec=ContainerSpec("nginx:1.28"))
CREATED = answer({"ID": "svc1", "Warnings": None}, status=201)
WORKER = refusal(
    503,
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please promote it.",
)
OUTSIDE = refusal(503, 'This node is not a swarm manager. Use "docker swarm init" to connect this node to swarm.')
LOCKED = refusal(503, "Swarm is encrypted and needs to be unlocked before it can be used.")
NO_LEADER = refusal(500, "rpc error: code = Unknown desc = The swarm does not have a leader.")
NOWHERE = "tcp://127.0.0.1:1"


@pytest.fixture
def trio_of_stubs() -> Iterator[list[StubEngine]]:
    """Three managers on TCP ports, that know no service and create what they are told to."""

    def said(request: Received) -> Say:
        return answer([]) if request.method == "GET" else CREATED

    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(StubEngine(said, tcp=True, keeps=True)) for _ in range(3)]


def client_of(*engines: StubEngine, **options: Any) -> SwarmClient:
    options = {"registry_auth": None, "timeout": 20, **options}
    return SwarmClient([engine.host for engine in engines], **options)


def die(engine: StubEngine) -> None:
    """Close its port and every connection, as an engine that is killed."""
    engine.__exit__(None, None, None)


@contextlib.contextmanager
def silent_port() -> Generator[str]:
    """A port that swallows what comes: its backlog is full, so that nothing is answered, not even with a refusal."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection has to be made in a moment."""
    monkeypatch.setattr(swarmkit_managers, "_PATIENCE", 0.3)


# --- which one is asked ----------------------------------------------------------------------------------------------


async def test_a_client_stays_with_the_manager_that_answers(trio_of_stubs: list[StubEngine]) -> None:
    first, *others = trio_of_stubs
    async with client_of(*trio_of_stubs) as client, anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(client.services.list)
    assert (10, 1) == (len(first.received), first.pings)
    assert [0, 0] == [engine.connections for engine in others]


@pytest.mark.parametrize("change", [False, True])
async def test_a_host_that_cannot_be_reached_is_passed_over_for_good(
    trio_of_stubs: list[StubEngine], change: bool
) -> None:
    first, second, third = trio_of_stubs
    die(first)
    async with client_of(first, second, third) as client:
        for _ in range(3):
            await (client.services.create(TEMPLATE, name="web") if change else client.services.list())
    assert 3 == len(second.received)
    assert 0 == third.connections


@pytest.mark.parametrize("said", [WORKER, OUTSIDE, LOCKED])
@pytest.mark.parametrize("change", [False, True])
async def test_a_host_that_is_no_manager_is_passed_over(said: bytes, change: bool) -> None:
    with StubEngine(always(said)) as worker, StubEngine(always(CREATED if change else answer([]))) as manager:
        async with client_of(worker, manager) as client:
            for _ in range(2):
                await (client.services.create(TEMPLATE, name="web") if change else client.services.list())
    assert (1, 2) == (len(worker.received), len(manager.received))


async def test_a_manager_that_dies_is_left_for_the_next_and_one_that_comes_back_is_there_again(
    trio_of_stubs: list[StubEngine],
) -> None:
    first, second, third = trio_of_stubs
    async with client_of(first, second) as client:
        await client.services.list()
        die(first)
        await client.services.list()
        await client.services.create(TEMPLATE, name="web")
        assert ["GET", "POST"] == [request.method for request in second.received]
        die(second)
        with StubEngine(third.script, tcp=True, keeps=True, port=first.port) as again:
            await client.services.list()
            assert 1 == len(again.received)


async def test_one_that_failed_of_late_comes_last(trio_of_stubs: list[StubEngine]) -> None:
    first, second, third = trio_of_stubs
    async with client_of(first, second, third) as client:
        await client.services.list()
        die(first)
        await client.services.list()
        with StubEngine(always(answer([])), tcp=True, port=first.port) as again:
            die(second)
            await client.services.list()
            assert (0, 1) == (again.connections, len(third.received))


async def test_a_question_whose_answer_was_lost_is_asked_of_the_next() -> None:
    whole = answer([SERVICE])

    def half(sock: socket.socket) -> None:
        sock.sendall(whole[:-10])

    lost: tuple[Say, ...] = (hang_up, half)
    for end in lost:
        with StubEngine(always(end)) as first, StubEngine(always(whole)) as second:
            async with client_of(first, second) as client:
                assert ["web"] == [service.name for service in await client.services.list()]
            assert (1, 1) == (len(first.received), len(second.received))


@pytest.mark.parametrize("said", [NO_LEADER, refusal(503, "no upstream"), refusal(502, "bad gateway")])
async def test_a_question_that_one_cannot_answer_now_is_asked_of_the_next(said: bytes) -> None:
    with StubEngine(always(said)) as first, StubEngine(always(answer([]))) as second:
        async with client_of(first, second) as client:
            assert [] == await client.services.list()
        assert (1, 1) == (len(first.received), len(second.received))


async def test_what_an_engine_answers_is_the_answer_and_says_whose(trio_of_stubs: list[StubEngine]) -> None:
    first, second, _ = trio_of_stubs
    first.script = always(refusal(404, "service web not found"))
    async with client_of(first, second) as client:
        with pytest.raises(NotFound) as caught:
            await client.services.inspect("web")
    assert first.host == caught.value.host
    assert str(caught.value) == f"GET /services/web: service web not found (HTTP 404) [{first.host}]"
    assert 0 == second.connections


async def test_calls_go_around_again_where_a_host_has_answered_before(trio_of_stubs: list[StubEngine]) -> None:
    first, second, _ = trio_of_stubs
    async with client_of(first, second) as client:
        await client.services.list()
        die(first)
        die(second)
        again = StubEngine(second.script, tcp=True, keeps=True, port=second.port)
        async with anyio.create_task_group() as group:
            group.start_soon(client.services.list)
            group.start_soon(partial(client.services.create, TEMPLATE, name="web"))
            await anyio.wait_all_tasks_blocked()
            with again, anyio.fail_after(15):
                while len(again.received) < 2:
                    await anyio.sleep(0.01)
    assert {"GET", "POST"} == {request.method for request in again.received}


# --- what is never sent twice ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (hang_up, OutcomeUnknown),
        (hang, OutcomeUnknown),
        (answer({}, status=201), OutcomeUnknown),
        (refusal(502, "bad gateway"), OutcomeUnknown),
        (refusal(503, "try later"), EngineError),
        (NO_LEADER, NoQuorum),
        (refusal(500, "raft: failed to process the request: node lost leader status"), NoQuorum),
    ],
)
async def test_a_change_that_may_have_happened_is_sent_to_no_other(said: Say, expected: type[SwarmkitError]) -> None:
    with StubEngine(one_by_one(said, CREATED)) as first, StubEngine(always(CREATED)) as second:
        async with client_of(first, second, timeout=1) as client:
            with pytest.raises(expected) as caught:
                await client.services.create(TEMPLATE, name="web")
            assert caught.value.host == first.host
            assert first.host in str(caught.value)
            await client.services.create(TEMPLATE, name="other")
        assert (2, 0) == (len(first.received), len(second.received))


@pytest.mark.parametrize("lags", [False, True])
async def test_a_lost_answer_to_an_update_is_settled_by_reading_at_another_manager(lags: bool) -> None:
    old = {**SERVICE, "Version": {"Index": 7}}
    new = {**SERVICE, "Version": {"Index": 8}, "Spec": {**SERVICE["Spec"], "Labels": {"tier": "back"}}}

    def dies(request: Received) -> Say:
        if request.method == "GET":
            return answer(old)

        def say(_: socket.socket) -> None:
            first.stop_listening()

        return say

    reads = one_by_one(*[answer(old)] * lags, answer(new))

    def survives(request: Received) -> Say:
        return reads(request) if request.method == "GET" else refusal(500, "update out of sequence")

    with StubEngine(dies, tcp=True, keeps=True) as first, StubEngine(survives, tcp=True, keeps=True) as second:
        async with client_of(first, second) as client:
            await client.services.update("web", labels={"tier": "back"})
    assert ["GET", "POST"] == [request.method for request in first.received]
    # A manager that lags behind is told the same once more: based on that version it takes effect once at most.
    assert ["GET", "POST", "GET"] if lags else ["GET"] == [request.method for request in second.received]
    assert all("version=7" in request.query for request in second.received if request.method == "POST")


# --- when none can answer --------------------------------------------------------------------------------------------


async def test_when_none_can_be_reached_each_is_named_with_its_reason(tmp_path: Path) -> None:
    missing = f"unix://{tmp_path}/x.sock"
    async with SwarmClient([NOWHERE, missing], timeout=30) as client:
        with pytest.raises(EngineUnreachable) as caught:
            await client.services.list()
    assert [NOWHERE, missing] == list(caught.value.reasons)
    assert "nothing listens" in caught.value.reasons[NOWHERE]
    assert "no such socket" in caught.value.reasons[missing]
    assert "other" == caught.value.reason
    for part in (f"{NOWHERE}: nothing listens", f"{missing}: there is no such socket", "GET /services"):
        assert part in str(caught.value)
    async with SwarmClient([NOWHERE, "tcp://127.0.0.1:2"], timeout=30) as client:
        with pytest.raises(EngineUnreachable) as caught:
            await client.services.create(TEMPLATE, name="web", registry_auth=None)
    assert "refused" == caught.value.reason


@pytest.mark.parametrize(
    ("said", "expected"),
    [((WORKER, OUTSIDE), NotAManager), ((LOCKED, WORKER), SwarmLocked), ((WORKER, LOCKED), SwarmLocked)],
)
async def test_when_none_is_a_manager_they_say_so(said: tuple[bytes, ...], expected: type[EngineError]) -> None:
    with StubEngine(always(said[0])) as one, StubEngine(always(said[1])) as other:
        async with SwarmClient([one.host, NOWHERE, other.host], registry_auth=None) as client:
            for call in (client.services.list, partial(client.services.create, TEMPLATE, name="web")):
                with pytest.raises(expected) as caught:
                    await call()
                for host in (one.host, NOWHERE, other.host):
                    assert f"{host}: " in str(caught.value)
        assert (2, 2) == (len(one.received), len(other.received))


async def test_who_has_answered_before_may_come_back_until_the_time_is_up(trio_of_stubs: list[StubEngine]) -> None:
    first, second, _ = trio_of_stubs
    second.script = always(WORKER)
    async with client_of(first, second, timeout=1) as client:
        await client.services.list()
        die(first)
        with pytest.raises(NotAManager, match=first.host):
            await client.services.list()
    assert len(second.received) > 1


# --- what belongs to a host ------------------------------------------------------------------------------------------


async def test_each_host_is_spoken_to_in_its_own_version(trio_of_stubs: list[StubEngine]) -> None:
    first, second, _ = trio_of_stubs
    first.ping = lambda: answer(b"OK", api="1.41", headers={"Server": "Docker/20.10.24 (linux)"})
    first.script = lambda request: answer(
        [] if request.method == "GET" else {"ID": "svc1"}, api="1.41", headers={"Server": "Docker/20.10.24 (linux)"}
    )
    newer = TaskTemplate(container_spec=ContainerSpec("nginx:1.28", oom_score_adj=5))
    async with client_of(first, second) as client:
        await client.services.list()
        with pytest.raises(UnsupportedFeature, match=first.host) as caught:
            await client.services.create(newer, name="web")
        assert ApiVersion(1, 41) == caught.value.version == await client.api_version()
        die(first)
        await client.services.list()
        await client.services.create(newer, name="web")
        assert ApiVersion(1, 51) == await client.api_version()
    assert ["/v1.41/services"] == [request.path for request in first.received]
    assert ["/v1.51/services", "/v1.51/services/create"] == [request.path for request in second.received]
    assert (1, 1) == (first.pings, second.pings)


async def test_what_the_next_host_lacks_is_not_sent_there(trio_of_stubs: list[StubEngine]) -> None:
    first, second, _ = trio_of_stubs
    second.ping = lambda: answer(b"OK", api="1.41")
    newer = TaskTemplate(container_spec=ContainerSpec("nginx:1.28", oom_score_adj=5))
    async with client_of(first, second) as client:
        await client.services.create(newer, name="web")
        die(first)
        with pytest.raises(UnsupportedFeature, match="OomScoreAdj"):
            await client.services.create(newer, name="web")
    assert [] == second.received


async def test_a_pinned_version_is_the_same_for_all(trio_of_stubs: list[StubEngine]) -> None:
    first, second, _ = trio_of_stubs
    async with client_of(first, second, api_version="1.45") as client:
        await client.services.list()
        die(first)
        await client.services.list()
    assert ["/v1.45/services"] == [request.path for request in second.received]
    assert (0, 0) == (first.pings, second.pings)


async def test_a_version_that_the_next_host_does_not_speak_any_more_is_agreed_on_anew(
    trio_of_stubs: list[StubEngine],
) -> None:
    first, second, _ = trio_of_stubs
    too_new = refusal(400, "client version 1.51 is too new. Maximum supported API version is 1.45")
    second.script = one_by_one(answer([]), too_new, answer([], api="1.45"))
    pings = one_by_one(answer(b"OK"), answer(b"OK", api="1.45"))
    second.ping = lambda: pings(Received("", "", {}, b""))
    async with client_of(second, first) as client:
        await client.services.list()
        await client.services.list()
    assert ["/v1.51/services", "/v1.51/services", "/v1.45/services"] == [r.path for r in second.received]
    assert 0 == first.connections


async def test_what_is_no_engine_is_an_error_and_no_reason_to_go_elsewhere(trio_of_stubs: list[StubEngine]) -> None:
    first, second, _ = trio_of_stubs
    first.ping = lambda: answer(b"OK", api=None)
    async with client_of(first, second) as client:
        with pytest.raises(UnsupportedApiVersion, match=first.host):
            await client.services.list()
    first.ping = lambda: b"SSH-2.0-OpenSSH_9.2\r\n"
    async with client_of(first, second) as client:
        with pytest.raises(ProtocolError, match=first.host):
            await client.services.list()
    assert 0 == second.connections


# --- many at once, silence, cancellation -----------------------------------------------------------------------------


async def test_all_calls_under_way_move_when_their_manager_dies() -> None:
    asked = threading.Semaphore(0)
    dead = threading.Event()

    def waits(_: Received) -> Say:
        asked.release()

        def say(_: socket.socket) -> None:
            dead.wait(10)

        return say

    with StubEngine(waits, tcp=True) as first, StubEngine(always(answer([])), tcp=True) as second:
        done = 0
        async with client_of(first, second, max_connections=100) as client:

            async def call() -> None:
                nonlocal done
                assert [] == await client.services.list()
                done += 1

            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(call)
                for _ in range(100):
                    await anyio.to_thread.run_sync(asked.acquire)
                first.stop_listening()
                dead.set()
            connections = first.connections
            for _ in range(5):
                await call()
            assert first.connections == connections
        await all_closed(second)
    assert 105 == done == len(second.received)
    assert 1 == second.pings


@pytest.mark.usefixtures("impatient")
async def test_a_host_that_swallows_packets_does_not_take_all_the_time(trio_of_stubs: list[StubEngine]) -> None:
    """Two connections at once: those who wait for their turn do not wait for the silent host one after the other."""
    with silent_port() as silent:
        client = SwarmClient([silent, trio_of_stubs[0].host], timeout=5, max_connections=2)
        with counted():
            async with client, anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(client.services.list)
            await all_closed(trio_of_stubs[0])
    assert 100 == len(trio_of_stubs[0].received)


@pytest.mark.usefixtures("impatient")
async def test_silence_everywhere_is_an_engine_that_cannot_be_reached() -> None:
    with silent_port() as one, silent_port() as other:
        async with SwarmClient([one, other]) as client:
            with pytest.raises(EngineUnreachable, match="no connection within") as caught:
                await client.services.list()
    assert "silent" == caught.value.reason
    assert [one, other] == list(caught.value.reasons)


async def test_a_short_time_limit_leaves_time_for_each_host(trio_of_stubs: list[StubEngine]) -> None:
    with silent_port() as one, silent_port() as other:
        async with SwarmClient([one, other, trio_of_stubs[0].host], timeout=2) as client:
            assert [] == await client.services.list()


async def test_one_host_has_all_the_time() -> None:
    with silent_port() as silent:
        async with SwarmClient([silent], timeout=0.4) as client:
            with pytest.raises(EngineTimeout):
                await client.services.list()


@pytest.mark.parametrize(("anyio_backend", "cancelled"), WAYS)
async def test_a_call_cancelled_on_its_way_to_the_next_host_leaks_nothing(
    quiet: list[object], anyio_backend: str, cancelled: Callable[[int, Call], Any]
) -> None:
    if anyio_backend == "asyncio":
        asyncio.get_running_loop().set_exception_handler(lambda _, context: quiet.append(context))
    with StubEngine(always(hang_up)) as first, StubEngine(always(answer([]))) as second, counted():
        under_way = 0
        for ticks in range(40):
            async with SwarmClient([NOWHERE, first.host, second.host], max_connections=1) as client:
                with anyio.fail_after(20):
                    under_way += await cancelled(ticks, client.services.list)
                    assert [] == await client.services.list()
        await all_closed(first)
        await all_closed(second)
    assert 5 < under_way


def test_several_hosts_serve_one_event_loop_after_another() -> None:
    with StubEngine(always(answer([]))) as first, StubEngine(always(answer([])), keeps=True) as second:
        client = client_of(first, second)
        asyncio.run(_list(client))
        die(first)
        anyio.run(_list, client, backend="trio")
        asyncio.run(_list(client))
        assert (1, 2) == (len(first.received), len(second.received))
        asyncio.run(client.aclose())


async def _list(client: SwarmClient) -> None:
    assert [] == await client.services.list()


async def test_closing_closes_what_there_is_to_each_host() -> None:
    def hangs_later() -> Callable[[Received], Say]:
        return one_by_one(answer([]), hang)

    with StubEngine(hangs_later(), keeps=True) as first, StubEngine(hangs_later(), keeps=True) as second, counted():
        client = client_of(first, second)
        await client.services.list()
        failed: list[ClientClosed] = []

        async def call() -> None:
            with pytest.raises(ClientClosed) as caught:
                await client.services.list()
            failed.append(caught.value)

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            while len(first.received) < 2:
                await anyio.sleep(0.001)
            await client.aclose()
        await call()
        assert 2 == len(failed)
        await all_closed(first)
    assert 0 == second.connections


# --- all kinds of hosts ----------------------------------------------------------------------------------------------


async def test_hosts_of_all_kinds_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    said = always(answer([]))
    with (
        StubEngine(said) as unix,
        StubEngine(said, tls=authority.server()) as tls,
        StubEngine(said) as behind,
        ssh_to(behind.path, monkeypatch),
    ):
        config = TLSConfig(ca_cert=authority.ca_cert)
        engines = [unix, tls, behind]
        async with SwarmClient([unix.host, tls.host, "ssh://me@there"], tls=config, timeout=20) as client:
            for engine in engines:
                await client.services.list()
                die(engine)
            with pytest.raises(EngineUnreachable) as caught:
                client._engine.timeout = 1  # pyright: ignore[reportPrivateUsage]
                await client.services.list()
        assert [1, 1, 1] == [len(engine.received) for engine in engines]
    assert {unix.host, tls.host, "ssh://there"} == set(caught.value.reasons)


def test_the_list_of_hosts_is_read() -> None:
    hosts = ["tcp://m1:2375", " unix:///run/d.sock", "ssh://me@h", "tcp://m1", "http://m1:2375"]
    found = resolve_all(hosts, None, {})
    assert ["tcp://m1:2375", "unix:///run/d.sock", "ssh://me@h"] == [str(address) for address in found]
    assert (Address(host="m1", port=2375),) == resolve_all(("tcp://m1",), None, {})
    assert resolve_all("tcp://m1", None, {}) == resolve_all(["tcp://m1"], None, {})


async def test_one_host_twice_is_one_host() -> None:
    with StubEngine(always(WORKER)) as engine:
        async with client_of(engine, engine) as client:
            with pytest.raises(NotAManager) as caught:
                await client.services.list()
        assert 1 == len(engine.received)
    assert "" == caught.value.host


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"host": []}, "one host at least"),
        ({"host": ["tcp://m1"], "context": "there"}, "not both"),
        ({"host": ["tcp://m1", "ftp://m2"]}, "expected unix"),
        ({"host": ["unix:///s", "ssh://h"], "tls": TLSConfig(verify=False)}, "TLS goes with"),
        (
            {"host": ["tcp://m1", "tcp://m2"], "transport": httpx.MockTransport(lambda _: httpx.Response(200))},
            "one host",
        ),
    ],
)
def test_lists_that_are_no_use_are_refused(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(HostError, match=why):
        SwarmClient(**arguments)


def test_docker_host_holds_one_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://m1:2375,tcp://m2:2375")
    with pytest.raises(HostError):
        SwarmClient()


async def test_what_is_about_one_engine_is_not_asked_of_any_of_several() -> None:
    async with SwarmClient([NOWHERE, "tcp://127.0.0.1:2"]) as client:
        for call in (
            client.swarm.init(),
            client.swarm.join(remote_addrs=["10.0.0.1:2377"], join_token="token"),
            client.swarm.leave(force=True),
            client.swarm.unlock("key"),
        ):
            with pytest.raises(HostError, match="about one engine"):
                await call


async def test_the_log_says_who_was_asked_and_never_who_logs_in(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        StubEngine(always(answer([]))) as engine,
        ssh_to("nowhere", monkeypatch),
        caplog.at_level(logging.DEBUG, "swarmkit"),
    ):
        async with SwarmClient(["ssh://hunter2@gone", engine.host]) as client:
            await client.services.list()
            await client.services.list()
    told = [record.getMessage() for record in caplog.records if record.name == "swarmkit"]
    assert not [message for message in told if "hunter2" in message]
    assert 1 == len([message for message in told if f"ssh://gone cannot answer, {engine.host} is next" in message])
    assert 2 == len([message for message in told if "GET /services: 200" in message and engine.host in message])


# --- streams ---------------------------------------------------------------------------------------------------------


class Teller:
    """A manager that tells the events of one stream; `is_manager` is what it says of itself."""

    def __init__(self, *numbers: int, end: Callable[[socket.socket], object], is_manager: bool = True) -> None:
        self.numbers, self.end, self.is_manager = numbers, end, is_manager
        self.opened: list[str] = []

    def __call__(self, request: Received) -> Say:
        if request.path.endswith("/info"):
            return answer({"SystemTime": "2026-11-24T18:00:00Z", "Swarm": {"ControlAvailable": self.is_manager}})
        if "until" in request.query:
            return head(NOW) + END
        self.opened.append(request.query)

        def say(sock: socket.socket) -> None:
            sock.sendall(head(NOW) + chunk(b"".join(map(line, self.numbers))))
            self.end(sock)

        return say


def subject(event: Event) -> str | None:
    return None if event.actor is None else event.actor.id


async def test_an_event_stream_goes_on_at_the_next_manager_and_says_that_something_is_missing() -> None:
    def dies(_: socket.socket) -> None:
        first.stop_listening()

    one, worker, other = Teller(1, 2, end=dies), Teller(7, end=hang, is_manager=False), Teller(2, 3, end=hang)
    with StubEngine(one, tcp=True) as first, StubEngine(worker, tcp=True) as second, StubEngine(other) as third:
        items: list[Any] = []
        async with client_of(first, second, third) as client, client.system.events() as events:
            with anyio.fail_after(15):
                async for item in events:
                    items.append(item)
                    if isinstance(item, Event) and subject(item) == "s3":
                        break
        await all_closed(third)
    # What both have told is told once.
    assert [Event, Event, Resync, EventsLost, Event] == [type(item) for item in items]
    assert ["s1", "s2", "s3"] == [subject(item) for item in items if isinstance(item, Event)]
    assert (None, items[1].at) == (items[3].count, items[3].after)
    assert [] == worker.opened
    assert 1 == len(other.opened)
    assert "since=1795543200.000000000" in other.opened[0]


async def test_an_event_stream_begins_at_a_manager() -> None:
    worker, manager = Teller(7, end=hang, is_manager=False), Teller(1, end=hang)
    with StubEngine(worker) as first, StubEngine(manager) as second:
        async with SwarmClient([NOWHERE, first.host, second.host]) as client, client.system.events() as events:
            item = await anext(events)
    assert isinstance(item, Event)
    assert [] == worker.opened


async def test_a_log_stream_goes_on_at_the_next_manager_without_a_line_twice() -> None:
    def dies(sock: socket.socket) -> None:
        sock.sendall(chunked(entry("a", at=1), entry("b", at=2), ends=False))
        first.stop_listening()

    rest = script(chunked(entry("a", at=1), entry("b", at=2), entry("c", at=3)))
    with StubEngine(script(dies), tcp=True) as first, StubEngine(rest, tcp=True) as second:
        async with client_of(first, second) as client:
            async with client.services.logs("web", resume=True) as lines:
                assert ["a", "b", "c"] == [line.message async for line in lines]
    assert 1 == len(rest.asked)
