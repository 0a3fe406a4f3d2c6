"""The funnel: negotiation, deadline, what is sent again, errors, event loops; on a real socket."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trio

from swarmkit import (
    ApiVersion,
    ClientClosed,
    ContainerSpec,
    EngineError,
    EngineTimeout,
    EngineUnreachable,
    InvalidReference,
    NoQuorum,
    NotAManager,
    OutcomeUnknown,
    ProtocolError,
    Service,
    ServiceSpec,
    SwarmClient,
    SwarmkitError,
    TaskTemplate,
    UnsupportedApiVersion,
    UnsupportedFeature,
)
from swarmkit import versions as swarmkit_versions

from .stub import SERVICE, Received, Say, StubEngine, always, answer, hang, hang_up, one_by_one, refusal

pytestmark = pytest.mark.anyio

TEMPLATE = TaskTemplate(container_spec=ContainerSpec("nginx:1.28"))
CREATED = answer({"ID": "svc1", "Warnings": None}, status=201)


# --- negotiation -----------------------------------------------------------------------------------------------------


async def test_a_hundred_first_calls_cause_one_ping() -> None:
    with StubEngine(always(answer([]))) as engine:
        async with SwarmClient(engine.host) as client, anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(client.services.list)
        assert engine.pings == 1
        assert {"/v1.51/services"} == {request.path for request in engine.received}
        assert len(engine.received) == 100


async def test_a_failed_negotiation_fails_all_who_shared_it_and_is_not_remembered() -> None:
    pings = one_by_one(refusal(500, "starting"), answer(b"OK"))
    with StubEngine(always(answer([])), ping=lambda: pings(Received("", "", {}, b""))) as engine:
        failures: list[EngineError] = []

        async def fail(client: SwarmClient) -> None:
            try:
                await client.services.list()
            except EngineError as error:
                failures.append(error)

        async with SwarmClient(engine.host) as client:
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(fail, client)
            assert 5 == len(failures) == len(set(map(id, failures)))
            assert engine.pings == 1
            assert await client.services.list() == []
        assert engine.pings == 2


async def test_a_cancelled_first_caller_leaves_the_negotiation_to_the_next() -> None:
    pings = one_by_one(hang, answer(b"OK"))
    with StubEngine(always(answer([])), ping=lambda: pings(Received("", "", {}, b""))) as engine:
        async with SwarmClient(engine.host) as client, anyio.create_task_group() as group:
            scope = anyio.CancelScope()

            async def first() -> None:
                with scope:
                    await client.services.list()

            group.start_soon(first)
            while engine.pings == 0:
                await anyio.sleep(0.001)
            group.start_soon(client.services.list)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
        assert engine.pings == 2
        assert len(engine.received) == 1


@pytest.mark.parametrize("pinned", ["1.41", ApiVersion(1, 41)])
async def test_a_pinned_version_needs_no_ping(pinned: str | ApiVersion) -> None:
    with StubEngine(always(answer([]))) as engine:
        async with SwarmClient(engine.host, api_version=pinned) as client:
            await client.services.list()
            assert ApiVersion(1, 41) == await client.api_version()
        assert engine.pings == 0
        assert ["/v1.41/services"] == [request.path for request in engine.received]


async def test_docker_api_version_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_API_VERSION", "1.43")
    with StubEngine(always(answer([]))) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.list()
        assert engine.pings == 0
        assert ["/v1.43/services"] == [request.path for request in engine.received]


@pytest.mark.parametrize("version", ["1.23", "1.99", "latest", "1.41.1"])
def test_a_version_this_package_does_not_speak_cannot_be_pinned(version: str) -> None:
    with pytest.raises(UnsupportedApiVersion):
        SwarmClient("unix:///nowhere.sock", api_version=version)


@pytest.mark.parametrize(
    ("engine_speaks", "spoken"), [("1.24", "1.24"), ("1.45", "1.45"), ("1.56", "1.56"), ("1.99", "1.56")]
)
async def test_the_version_is_the_highest_both_speak(engine_speaks: str, spoken: str) -> None:
    with StubEngine(always(answer([], api=engine_speaks)), ping=lambda: answer(api=engine_speaks)) as engine:
        async with SwarmClient(engine.host) as client:
            assert spoken == str(await client.api_version())


@pytest.mark.parametrize("ping", [answer(api=None), answer(api="1.23"), answer(api="a lot")])
async def test_an_engine_without_a_version_in_common_is_a_typed_error(ping: bytes) -> None:
    with StubEngine(always(answer([])), ping=lambda: ping) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(UnsupportedApiVersion):
                await client.services.list()
        assert engine.received == []


async def test_an_engine_that_is_too_new_for_every_version_here_is_a_typed_error() -> None:
    too_old = refusal(400, "client version 1.56 is too old. Minimum supported API version is 1.60, please upgrade")
    with StubEngine(always(too_old), ping=lambda: answer(api="1.70")) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(UnsupportedApiVersion, match=r"Minimum supported API version is 1\.60"):
                await client.services.list()


async def test_an_answer_of_another_engine_makes_the_next_call_agree_anew() -> None:
    script = one_by_one(answer([]), answer([], api="1.45"))
    with StubEngine(script, ping=lambda: answer(api="1.45" if engine.received else "1.51")) as engine:
        async with SwarmClient(engine.host) as client:
            for _ in range(3):
                await client.services.list()
        assert ["/v1.51/services", "/v1.51/services", "/v1.45/services"] == [one.path for one in engine.received]
        assert engine.pings == 2


async def test_a_change_refused_for_its_version_is_agreed_on_anew_and_sent_once_more() -> None:
    too_new = refusal(400, "client version 1.51 is too new. Maximum supported API version is 1.45")
    script = one_by_one(answer([]), too_new, CREATED)
    with StubEngine(script, ping=lambda: answer(api="1.45" if engine.received else "1.51")) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.list()
            await client.services.create(TEMPLATE, name="web")
        assert ["/v1.51/services/create", "/v1.45/services/create"] == [one.path for one in engine.received[1:]]


async def test_a_version_refused_twice_is_not_tried_a_third_time() -> None:
    too_new = refusal(400, "client version 1.51 is too new. Maximum supported API version is 1.45")
    with StubEngine(always(too_new)) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(UnsupportedApiVersion):
                await client.services.list()
        assert len(engine.received) == 2


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"timeout": -1}, {"max_connections": 0}, {"timeout": float("nan")}])
def test_limits_that_allow_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        SwarmClient("unix:///nowhere.sock", **wrong)


async def test_a_host_name_that_is_none_is_an_engine_that_cannot_be_reached() -> None:
    async with SwarmClient("tcp://xn--a:1") as client:
        with pytest.raises(EngineUnreachable):
            await client.services.list()


# --- the gate in the funnel ------------------------------------------------------------------------------------------


async def test_what_the_version_lacks_is_refused_before_anything_is_sent() -> None:
    template = TaskTemplate(container_spec=ContainerSpec("a", sysctls={"x": "y"}, capability_add=["CAP_CHOWN"]))
    with StubEngine(always(CREATED), ping=lambda: answer(api="1.39")) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(UnsupportedFeature) as caught:
                await client.services.create(template, name="web")
        assert engine.received == []
    assert caught.value.version == ApiVersion(1, 39)
    assert [
        ("TaskTemplate.ContainerSpec.Sysctls", "needs API 1.40"),
        ("TaskTemplate.ContainerSpec.CapabilityAdd", "needs API 1.41"),
    ] == list(caught.value.problems)


async def test_a_query_parameter_the_version_lacks_is_refused() -> None:
    with StubEngine(always(answer([])), ping=lambda: answer(api="1.40")) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(UnsupportedFeature, match="status"):
                await client.services.list(status=True)
        assert engine.received == []


async def test_logs_need_a_version_that_has_them() -> None:
    with StubEngine(always(answer(SERVICE)), ping=lambda: answer(api="1.29")) as engine:
        async with SwarmClient(engine.host) as client:
            stream = client.services.logs("web")
            with pytest.raises(UnsupportedFeature, match=r"/services/svc1/logs: needs API 1\.30"):
                await stream.__aenter__()


async def test_keys_of_a_newer_engine_go_out_at_its_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    script = one_by_one(answer(SERVICE, api="1.60"), answer({"Warnings": None}, api="1.60"))
    with StubEngine(script, ping=lambda: answer(api="1.60")) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.update("web", labels={"tier": "back"})
        read, change = engine.received
    assert (read.path, change.path) == ("/v1.56/services/web", "/v1.60/services/svc1/update")
    assert change.json == {**SERVICE["Spec"], "Labels": {"tier": "back"}}


async def test_keys_of_a_newer_engine_cannot_go_out_at_a_pinned_version() -> None:
    with StubEngine(always(answer(SERVICE, api="1.60"))) as engine:
        async with SwarmClient(engine.host, api_version="1.56") as client:
            with pytest.raises(UnsupportedFeature) as caught:
                await client.services.update("web", labels={"tier": "back"})
    assert {"FutureKey", "TaskTemplate.Placement.FutureWish"} == {problem.path for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("spec", "release", "refused"),
    [
        ({"Name": "a", "FutureKey": 1}, "28.5.2", "FutureKey"),
        (
            {"Name": "a", "TaskTemplate": {"ContainerSpec": {"Image": "a", "Healthcheck": {"StartInterval": 10**9}}}},
            "25.0.0",
            "TaskTemplate.ContainerSpec.Healthcheck.StartInterval",
        ),
    ],
)
async def test_a_pinned_client_asks_first_where_its_version_does_not_settle_it(
    spec: dict[str, Any], release: str, refused: str
) -> None:
    pong = answer(api="1.60", headers={"Server": f"Docker/{release} (linux)"})
    with StubEngine(always(CREATED), ping=lambda: pong) as engine:
        async with SwarmClient(engine.host, registry_auth=None, api_version="1.56") as client:
            with pytest.raises(UnsupportedFeature) as caught:
                await client.services.create(ServiceSpec.from_wire(json.dumps(spec)))
        assert engine.received == []
    assert [refused] == [problem.path for problem in caught.value.problems]


async def test_a_mark_beyond_what_is_known_goes_out_at_the_engines_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swarmkit_versions, "NEWEST", ApiVersion(1, 41))
    monkeypatch.setattr("swarmkit.features.NEWEST", ApiVersion(1, 41))
    template = TaskTemplate(container_spec=ContainerSpec("a", oom_score_adj=5))
    with StubEngine(always(CREATED)) as engine:
        async with SwarmClient(engine.host) as client:
            assert ApiVersion(1, 41) == await client.api_version()
            await client.services.create(template, name="web")
        assert ["/v1.51/services/create"] == [request.path for request in engine.received]


# --- what is on the wire ---------------------------------------------------------------------------------------------


async def test_one_request_whole() -> None:
    with StubEngine(always(CREATED)) as engine:
        async with SwarmClient(engine.host, registry_auth=None) as client:
            created = await client.services.create(TEMPLATE, name="web", labels={"a": "b"})
        (request,) = engine.received
    assert (created.id, created.warnings) == ("svc1", [])
    assert ("POST", "/v1.51/services/create") == (request.method, request.target)
    assert request.headers == {
        "host": "docker",
        "user-agent": "docker-swarmkit",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(request.body)),
    }
    assert request.json == {
        "Name": "web",
        "Labels": {"a": "b"},
        "TaskTemplate": {"ContainerSpec": {"Image": "nginx:1.28"}},
    }


BAD_REFERENCES = [
    "",
    ".",
    "..",
    "../containers/json",
    "a/b",
    "a?b",
    "a%2fb",
    "a\nb",
    "a\0b",
    "é",
    "-a",
    "a" * 256,
    7,
    None,
]


@pytest.mark.parametrize("bad", BAD_REFERENCES)
async def test_what_is_no_reference_is_refused_before_any_request(bad: Any) -> None:
    with StubEngine(always(answer([]))) as engine:
        async with SwarmClient(engine.host) as client:
            services = client.services
            for call in (
                lambda: services.inspect(bad),
                lambda: services.ps(bad),
                lambda: services.update(bad, labels={}),
                lambda: services.edit(bad, lambda spec: spec),
                lambda: services.replace(bad, Service.model_validate(SERVICE).spec, version=1),
                lambda: services.scale(bad, 1),
                lambda: services.rollback(bad),
                lambda: services.remove(bad),
                lambda: services.wait(bad),
                lambda: client.tasks.inspect(bad),
            ):
                with pytest.raises(InvalidReference):
                    await call()
            with pytest.raises(InvalidReference):
                services.logs(bad)
        assert engine.received == []
        assert engine.pings == 0


# --- deadline and what is sent again ---------------------------------------------------------------------------------


async def test_no_answer_to_a_question_is_a_timeout() -> None:
    with StubEngine(always(hang)) as engine:
        async with SwarmClient(engine.host, timeout=0.1) as client:
            began = time.monotonic()
            with pytest.raises(EngineTimeout, match=r"GET /services/web: no answer within 0\.1 s"):
                await client.services.inspect("web")
            assert time.monotonic() - began < 5
        assert len(engine.received) == 1


async def test_an_answer_that_drips_does_not_outlast_the_deadline() -> None:
    def drip(sock: Any) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            sock.sendall(b" ")
            time.sleep(0.01)

    with StubEngine(always(drip)) as engine:
        async with SwarmClient(engine.host, timeout=0.2) as client:
            with pytest.raises(EngineTimeout):
                await client.services.inspect("web")


@pytest.mark.parametrize("say", [hang, hang_up])
async def test_a_change_whose_answer_is_lost_is_never_sent_again(say: Say) -> None:
    with StubEngine(always(say)) as engine:
        async with SwarmClient(engine.host, timeout=0.2) as client:
            with pytest.raises(OutcomeUnknown) as caught:
                await client.services.create(TEMPLATE, name="web")
        assert ("POST", "/services/create") == (caught.value.method, caught.value.path)
        assert len(engine.received) == 1


async def test_a_deadline_that_passes_before_anything_is_sent_is_no_unknown_outcome() -> None:
    with StubEngine(always(CREATED), ping=lambda: hang) as engine:
        async with SwarmClient(engine.host, timeout=0.1) as client:
            with pytest.raises(EngineTimeout):
                await client.services.create(TEMPLATE, name="web")
        assert engine.received == []


async def test_an_engine_never_reached_fails_at_once() -> None:
    async with SwarmClient("unix:///run/no-such-folder/docker.sock", timeout=30) as client:
        began = time.monotonic()
        with pytest.raises(EngineUnreachable, match="is dockerd running") as caught:
            await client.services.list()
    assert caught.value.reason == "missing"
    assert "unix:///run/no-such-folder/docker.sock" in str(caught.value)
    assert time.monotonic() - began < 5


async def test_a_socket_that_this_user_may_not_use_says_so() -> None:
    with StubEngine(always(answer([]))) as engine:
        Path(engine.path).parent.chmod(0o755)
        Path(engine.path).chmod(0)
        user = os.geteuid()
        os.seteuid(user or 65534)  # root may use every socket
        try:
            async with SwarmClient(engine.host) as client:
                with pytest.raises(EngineUnreachable, match="permission denied") as caught:
                    await client.services.list()
        finally:
            os.seteuid(user)
    assert caught.value.reason == "permission"


async def test_an_engine_that_comes_back_gets_what_was_never_sent() -> None:
    with StubEngine(always(CREATED)) as first:
        client = SwarmClient(first.host, timeout=30)
        await client.api_version()
        path = Path(first.path)
    second = StubEngine(always(CREATED))

    def come_back() -> None:
        second.__enter__()
        path.parent.mkdir()
        path.symlink_to(second.path)

    async with client, anyio.create_task_group() as group:
        group.start_soon(partial(client.services.create, TEMPLATE, name="web"))
        await anyio.wait_all_tasks_blocked()  # in the pause after the first attempt
        come_back()
    assert ["/v1.51/services/create"] == [request.path for request in second.received]
    second.__exit__(None, None, None)


@pytest.mark.parametrize("change", [False, True])
async def test_a_port_that_is_closed_for_a_while_is_tried_again_once_it_was_reached(change: bool) -> None:
    with StubEngine(always(answer([])), tcp=True, keeps=True) as first:
        client = SwarmClient(first.host, timeout=30)
        await client.services.list()
    second = StubEngine(always(CREATED if change else answer([])), tcp=True, port=first.port)
    async with client, anyio.create_task_group() as group:
        create = partial(client.services.create, TEMPLATE, name="web", registry_auth=None)
        group.start_soon(create if change else client.services.list)
        await anyio.wait_all_tasks_blocked()
        with second:
            while not second.received:
                await anyio.sleep(0.001)
    assert ["/v1.51/services" + ("/create" if change else "")] == [request.path for request in second.received]


@pytest.mark.parametrize(
    "passing",
    [
        refusal(502, "bad gateway"),
        refusal(503, "no upstream"),
        refusal(500, "rpc error: code = Unknown desc = The swarm does not have a leader. Too few managers are online."),
    ],
)
async def test_a_question_rides_out_what_passes(passing: bytes) -> None:
    with StubEngine(one_by_one(passing, passing, answer([]))) as engine:
        async with SwarmClient(engine.host) as client:
            assert await client.services.list() == []
        assert len(engine.received) == 3


async def test_a_question_whose_answer_was_lost_is_asked_again() -> None:
    def half(sock: socket.socket) -> None:
        sock.sendall(answer([SERVICE])[:-10])

    with StubEngine(one_by_one(hang_up, half, answer([SERVICE]))) as engine:
        async with SwarmClient(engine.host) as client:
            assert ["web"] == [service.name for service in await client.services.list()]
        assert len(engine.received) == 3


async def test_a_gateway_that_was_never_an_engine_is_asked_once() -> None:
    with StubEngine(always(answer([])), ping=lambda: answer({"message": "bad"}, status=502, api=None)) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(EngineError, match="bad"):
                await client.services.list()
        assert engine.pings == 1


async def test_a_question_that_is_never_answered_well_ends_with_the_last_failure() -> None:
    with StubEngine(always(refusal(502, "bad gateway"))) as engine:
        async with SwarmClient(engine.host, timeout=0.3) as client:
            with pytest.raises(EngineError, match="bad gateway"):
                await client.services.list()
        assert len(engine.received) > 1


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (refusal(502, "bad gateway"), OutcomeUnknown),
        (refusal(504, "gateway time-out"), OutcomeUnknown),
        (answer({}, status=201), OutcomeUnknown),
        (answer(b"<html>", status=200), OutcomeUnknown),
        (refusal(503, "try later"), EngineError),
        (refusal(500, "raft: failed to process the request: node lost leader status"), NoQuorum),
    ],
)
async def test_a_change_is_not_sent_again_after_any_answer(said: bytes, expected: type[SwarmkitError]) -> None:
    with StubEngine(always(said)) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(expected):
                await client.services.create(TEMPLATE, name="web")
        assert len(engine.received) == 1


async def test_an_engine_that_is_no_manager_is_asked_once() -> None:
    no_manager = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state."
    with StubEngine(always(refusal(503, no_manager))) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(NotAManager) as caught:
                await client.services.list()
        assert caught.value.state == "worker"
        assert len(engine.received) == 1


# --- answers that are not what they should be ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{", b'{"ID": 7}', b"\xff\xfe", b"[" * 100_000, b"9" * 5_000, b"null", b'[{"ID": "a"}]', b"NaN"],
)
async def test_an_answer_that_is_no_service_is_a_protocol_error(body: bytes) -> None:
    with StubEngine(always(answer(body))) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(ProtocolError, match="GET /services/web: not the answer that is expected"):
                await client.services.inspect("web")


async def test_a_protocol_error_never_shows_the_answers_values() -> None:
    broken = {**SERVICE, "Version": {"Index": "s3cr3t"}}
    broken["Spec"] = {**SERVICE["Spec"], "Labels": ["s3cr3t"]}
    with StubEngine(always(answer(broken))) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(ProtocolError, match=r"Version\.Index") as caught:
                await client.services.inspect("web")
    assert "s3cr3t" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"


@pytest.mark.parametrize("status", [301, 307])
async def test_a_redirect_is_never_followed(status: int) -> None:
    moved = answer(status=status, headers={"Location": "/containers/json"})
    with StubEngine(always(moved)) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(ProtocolError, match="/containers/json"):
                await client.services.list()
        assert len(engine.received) == 1


async def test_an_answer_that_is_no_http_says_why() -> None:
    with StubEngine(always(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\n\r\n")) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(ProtocolError, match="switches protocols"):
                await client.services.list()


async def test_an_endless_answer_is_cut_off() -> None:
    def endless(sock: Any) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(b" " * 1024 * 1024)

    with StubEngine(always(endless)) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(ProtocolError, match="larger than"):
                await client.services.list()


async def test_an_endless_refusal_is_still_that_refusal() -> None:
    def endless(sock: Any) -> None:
        sock.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n" + b'{"message": "no such thing"}')
        while True:
            sock.sendall(b" " * 1024 * 1024)

    with StubEngine(always(endless)) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(EngineError) as caught:
                await client.services.inspect("web")
    assert caught.value.status == 404


# --- foreign exceptions ----------------------------------------------------------------------------------------------


def _all_subclasses(kind: type[BaseException]) -> set[type[BaseException]]:
    return {kind}.union(*map(_all_subclasses, kind.__subclasses__()))


FOREIGN: list[Exception] = [
    *(
        kind("raised by the transport")
        for kind in sorted(_all_subclasses(httpx.TransportError), key=lambda kind: kind.__name__)
        if issubclass(kind, httpx.TransportError)
    ),
    OSError(5, "input/output error"),
    ConnectionResetError(),
    anyio.BrokenResourceError(),
    anyio.ClosedResourceError(),
    anyio.EndOfStream(),
]


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("change", [False, True])
async def test_no_foreign_exception_escapes(foreign: Exception, change: bool) -> None:
    async def fail(request: httpx.Request) -> httpx.Response:
        raise foreign

    async with SwarmClient(transport=httpx.MockTransport(fail), api_version="1.51") as client:
        create = partial(client.services.create, TEMPLATE, name="web", registry_auth=None)
        call: Callable[[], Any] = create if change else client.services.list
        with pytest.raises(SwarmkitError) as caught:
            await call()
    nothing_sent = isinstance(
        foreign, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.LocalProtocolError
    )
    assert (change and not nothing_sent) == isinstance(caught.value, OutcomeUnknown)
    assert "/services" in str(caught.value)


async def test_an_exception_of_the_users_own_transport_comes_out_as_it_is() -> None:
    async def fail(request: httpx.Request) -> httpx.Response:
        raise LookupError("mine")

    async with SwarmClient(transport=httpx.MockTransport(fail), api_version="1.51") as client:
        with pytest.raises(LookupError, match="mine"):
            await client.services.list()


# --- closing, event loops --------------------------------------------------------------------------------------------


async def test_a_transport_of_ones_own_is_closed_with_the_client_also_if_nothing_was_asked() -> None:
    class Transport(httpx.MockTransport):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    transport = Transport(lambda _: httpx.Response(200))
    await SwarmClient(transport=transport).aclose()
    assert transport.closed


async def test_a_closed_client_says_so_and_closing_twice_is_no_error() -> None:
    with StubEngine(always(answer([]))) as engine:
        client = SwarmClient(engine.host)
        await client.services.list()
        await client.aclose()
        await client.aclose()
        with pytest.raises(ClientClosed):
            await client.services.list()


async def test_closing_ends_the_calls_under_way() -> None:
    outcomes: list[type[SwarmkitError]] = []

    async def note(call: Callable[[], Any]) -> None:
        try:
            await call()
        except SwarmkitError as error:
            outcomes.append(type(error))

    with StubEngine(always(hang)) as engine:
        client = SwarmClient(engine.host, api_version="1.51", max_connections=2, registry_auth=None)
        async with anyio.create_task_group() as group:
            group.start_soon(note, client.services.list)
            group.start_soon(note, partial(client.services.create, TEMPLATE, name="web"))
            while len(engine.received) < 2:
                await anyio.sleep(0.001)
            group.start_soon(note, partial(client.services.create, TEMPLATE, name="waits"))
            await anyio.wait_all_tasks_blocked()
            await client.aclose()
    assert sorted([ClientClosed, ClientClosed, OutcomeUnknown], key=str) == sorted(outcomes, key=str)


def test_one_client_serves_one_event_loop_after_another() -> None:
    with StubEngine(always(answer([]))) as engine:
        client = SwarmClient(engine.host)
        for _ in range(2):
            assert asyncio.run(client.services.list()) == []
            assert trio.run(client.services.list) == []
        gc.collect()  # what an event loop left open would warn here
        asyncio.run(client.aclose())
        assert engine.pings == 1
        assert len(engine.received) == 4


def test_a_stream_left_open_by_a_dead_loop_does_not_bar_the_next() -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    def keep_open(sock: Any) -> None:
        sock.sendall(endless)
        hang(sock)

    def script(request: Received) -> Say:
        return keep_open if request.path.endswith("/logs") else answer(SERVICE)

    with StubEngine(script) as engine:
        client = SwarmClient(engine.host)

        async def leave_open() -> None:
            await client.services.logs("web", follow=True).__aenter__()

        asyncio.run(leave_open())
        assert "svc1" == asyncio.run(client.services.inspect("web")).id
        asyncio.run(client.aclose())


def test_calls_on_two_loops_at_once_are_a_clear_error() -> None:
    with StubEngine(always(hang)) as engine:
        client = SwarmClient(engine.host, api_version="1.51")
        begun = threading.Event()

        async def hold() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(client.services.list)
                while not engine.received:
                    await anyio.sleep(0.001)
                begun.set()
                await anyio.to_thread.run_sync(done.wait)
                group.cancel_scope.cancel()

        done = threading.Event()
        thread = threading.Thread(target=anyio.run, args=(hold,))
        thread.start()
        begun.wait(5)
        try:
            with pytest.raises(RuntimeError, match="another event loop"):
                anyio.run(client.services.list)
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_await_in_a_notebook_needs_no_block() -> None:
    with StubEngine(always(answer([]))) as engine:
        client = SwarmClient(engine.host)
        assert await client.services.list() == []
        await client.aclose()


async def test_the_log_has_one_line_a_request_and_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="swarmkit")
    template = TaskTemplate(container_spec=ContainerSpec("nginx", env={"TOKEN": "s3cr3t"}))
    with StubEngine(always(CREATED)) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.create(template, name="web")
    lines = [record.getMessage() for record in caplog.records if record.name == "swarmkit"]
    assert len(lines) == 2
    assert lines[1].startswith("POST /services/create: 201, ")
    assert "s3cr3t" not in caplog.text
