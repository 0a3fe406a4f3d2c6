"""The embedded engine on a socket: HTTP as engines speak it, for Docker's program, docker-py, and this package."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import anyio
import anyio.abc
import pytest
from anyio.from_thread import start_blocking_portal

from swarmkit import (
    ContainerSpec,
    EngineUnreachable,
    Event,
    OutcomeUnknown,
    Replicated,
    StreamTruncated,
    SwarmClient,
    TaskTemplate,
)
from swarmkit.testing import FakeEngine
from swarmkit.testing.__main__ import main
from swarmkit.testing._server import Asked, Parser, Refused

pytestmark = pytest.mark.anyio

TEMPLATE = TaskTemplate(container_spec=ContainerSpec("nginx:1.28"))
PING = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def host(engine: FakeEngine) -> AsyncIterator[str]:
    async with engine.serve() as host:
        yield host


@pytest.fixture
async def client(host: str) -> AsyncIterator[SwarmClient]:
    async with SwarmClient(host, registry_auth=None) as client:
        yield client


@pytest.fixture
async def line(host: str) -> AsyncIterator[anyio.abc.SocketStream]:
    """A connection to say anything over."""
    async with await anyio.connect_unix(host.removeprefix("unix://")) as line:
        yield line


async def heard(line: anyio.abc.SocketStream, until: bytes = b"") -> bytes:
    """What the server says, up to these words or until it closes."""
    said = b""
    with anyio.fail_after(5), contextlib.suppress(anyio.EndOfStream):
        while not until or until not in said:
            said += await line.receive()
    return said


# --- bytes -----------------------------------------------------------------------------------------------------------


def parsed(*pieces: bytes) -> list[Asked]:
    parser = Parser()
    for piece in pieces:
        parser.feed(piece)
    return [*parser.found]


POST = b"POST /v1.51/services/create?a=b HTTP/1.1\r\nHost: d\r\nX-A: 1\r\nX-A: 2\r\n"


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 2\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n",
    ],
)
def test_a_request_is_read_whole_in_whatever_pieces_it_comes(rest: bytes) -> None:
    message = POST + rest
    for pieces in ([message], [message[n : n + 1] for n in range(len(message))]):
        (asked,) = parsed(*pieces)
        request = asked.request
        assert ("POST", "/v1.51/services/create", "a=b") == (request.method, request.path, request.query)
        assert ("1, 2", b"{}") == (request.headers["x-a"], request.body)


def test_requests_are_kept_apart() -> None:
    absolute = PING.replace(b"/_ping", b"http://d/_ping?x")
    first, second, last = parsed(PING + absolute[:9], absolute[9:] + PING.replace(b"\r\n\r\n", b"\r\nX: y\r\n\r\n"))
    assert ["", "x", ""] == [one.request.query for one in (first, second, last)]
    assert ({"host": "d"}, {"host": "d", "x": "y"}) == (second.request.headers, last.request.headers)


@pytest.mark.parametrize(
    ("head", "keeps", "chunks"),
    [
        ("HTTP/1.1\r\nHost: d", True, True),
        ("HTTP/1.1\r\nHost: d\r\nConnection: close", False, True),
        ("HTTP/1.0", False, False),
    ],
)
def test_a_connection_is_kept_where_the_client_wants_that(head: str, keeps: bool, chunks: bool) -> None:
    (asked,) = parsed(f"GET / {head}\r\n\r\n".encode())
    assert (keeps, chunks) == (asked.keeps_alive, asked.chunks)


BAD = [
    (b"\x16\x03\x01\x02\x00", 400),
    (b"GET /\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET x HTTP/1.1\r\nHost: d\r\n\r\n", 400),
    (b"OPTIONS * HTTP/1.1\r\nHost: d\r\n\r\n", 400),
    (b"CONNECT d:1 HTTP/1.1\r\nHost: d\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (POST + b"Content-Length: x\r\n\r\n", 400),
    (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
    (POST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    (POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}", 400),
    (POST + b"Expect: tea\r\nContent-Length: 2\r\n\r\n", 417),
    (POST + b"X: " + b"x" * (1 << 20), 431),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: " + b"x" * (2 << 20), 431),
    (POST + b"Content-Length: 99999999\r\n\r\n" + b"x" * ((64 << 20) + 1), 413),
]


@pytest.mark.parametrize(("message", "status"), BAD, ids=range(len(BAD)))
def test_what_is_no_request_is_refused(message: bytes, status: int) -> None:
    with pytest.raises(Refused) as caught:
        parsed(*(message[at : at + 65536] for at in range(0, len(message), 65536)))
    assert status == caught.value.status


# --- connections -----------------------------------------------------------------------------------------------------


async def test_a_connection_serves_one_request_after_another(line: anyio.abc.SocketStream) -> None:
    for _ in range(2):
        await line.send(PING)
        head, _, body = (await heard(line, b"\r\n\r\nOK")).partition(b"\r\n\r\n")
        assert (b"OK", True) == (body, head.startswith(b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\n"))
    await line.send(PING.replace(b"GET", b"HEAD") + PING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert [b"Content-Length: 0", b"Content-Length: 2"] == [
        word for word in (await heard(line)).split(b"\r\n") if word.startswith(b"Content-Length")
    ]


async def test_a_client_that_would_speak_another_protocol_is_answered_and_let_go(
    line: anyio.abc.SocketStream,
) -> None:
    await line.send(PING.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"))
    said = await heard(line)
    assert (True, True) == (said.startswith(b"HTTP/1.1 200 OK\r\n"), b"\r\nConnection: close\r\n" in said)


async def test_a_refused_client_hears_why_and_is_let_go(line: anyio.abc.SocketStream) -> None:
    await line.send(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 100_000)
    said = await heard(line)
    assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert said.endswith(b"missing required Host header")


async def test_a_body_may_wait_for_a_word(line: anyio.abc.SocketStream) -> None:
    spec = b'{"Name":"a","Data":"eA=="}'
    head = b"POST /secrets/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    await line.send(head + b"Content-Length: %d\r\n\r\n" % len(spec))
    assert b"HTTP/1.1 100 Continue\r\n\r\n" == await heard(line, b"\r\n\r\n")
    await line.send(spec)
    assert b" 201 Created\r\n" in await heard(line, b"}")


async def test_an_old_client_gets_a_stream_without_chunks(line: anyio.abc.SocketStream) -> None:
    await line.send(b"GET /events?since=1&until=2 HTTP/1.0\r\n\r\n")
    said = await heard(line)
    assert b"chunked" not in said
    assert b"\r\nConnection: close\r\n" in said


async def test_a_stream_ends_with_its_client(line: anyio.abc.SocketStream, engine: FakeEngine) -> None:
    await line.send(b"GET /events HTTP/1.1\r\nHost: d\r\n\r\n")
    await heard(line, b"\r\n\r\n")
    assert engine._faults.streams  # pyright: ignore[reportPrivateUsage]
    await line.aclose()
    with anyio.fail_after(5):
        while engine._faults.streams:  # pyright: ignore[reportPrivateUsage]
            await anyio.sleep(0.01)


async def test_a_request_follows_a_stream_that_ended(line: anyio.abc.SocketStream) -> None:
    await line.send(b"GET /events?since=1&until=2 HTTP/1.1\r\nHost: d\r\n\r\n" + PING)
    said = await heard(line, b"\r\n\r\nOK")
    assert b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n" in said


async def test_a_failure_of_the_engine_is_an_answer(
    line: anyio.abc.SocketStream, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(engine._core, "_route", fail)  # pyright: ignore[reportPrivateUsage]
    await line.send(PING)
    assert b"the embedded engine failed" in await heard(line, b"}")
    assert "ZeroDivisionError" in caplog.text


# --- this package ----------------------------------------------------------------------------------------------------


async def test_time_goes_on_while_it_is_served_and_events_come_as_they_happen(
    client: SwarmClient, engine: FakeEngine
) -> None:
    engine.run_tasks(image="nginx:1.28", output="ready\n")
    with anyio.fail_after(10):
        async with client.system.events(filters={"type": "service"}) as events:
            await client.services.create(TEMPLATE, name="web", mode=Replicated(replicas=2))
            happened = await anext(events)
            assert isinstance(happened, Event)
            assert ("create", "web") == (happened.action, happened.attributes["name"])
        async with client.services.logs("web", follow=True) as lines:
            assert ["ready", "ready"] == [str(await anext(lines)) for _ in range(2)]
            assert 2 == engine.write_logs("web", "more\n")
            assert "more" == str(await anext(lines))
    assert ["running", "running"] == [task.state for task in await client.services.ps("web")]


async def test_time_stands_still_again_once_nobody_serves(engine: FakeEngine) -> None:
    async with engine.serve():
        async with engine.serve("tcp://127.0.0.1:0"):
            pass
        assert engine.clock.is_real
    assert not engine.clock.is_real
    now = engine.clock.now()
    await anyio.sleep(0.02)
    assert engine.clock.now() == now


async def test_troubles_reach_clients_on_the_socket(client: SwarmClient, engine: FakeEngine, host: str) -> None:
    await client.api_version()
    engine.lose_answer()
    with pytest.raises(OutcomeUnknown):
        await client.services.create(TEMPLATE, name="lost")
    assert ["lost"] == [service.name for service in await client.services.list()]
    async with client.services.logs("lost", follow=True) as lines:
        engine.cut_streams()
        with pytest.raises(StreamTruncated):
            await anext(lines)
    engine.refuse_connections()
    async with SwarmClient(host) as another:
        with pytest.raises(EngineUnreachable):
            await another.services.list()
    engine.accept_connections()
    assert 1 == len(await client.services.list())


# --- where it listens ------------------------------------------------------------------------------------------------


async def test_a_socket_is_its_users_own_and_goes_with_the_engine(engine: FakeEngine, short_path: Path) -> None:
    path = short_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with engine.serve(f"unix://{path}") as host:
        assert f"unix://{path}" == host
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)
        with pytest.raises(OSError, match="listens on that socket already"):
            async with FakeEngine().serve(host):
                pass
        async with SwarmClient(host) as client:
            assert 1 == len(await client.nodes.list())
    assert not path.exists()


async def test_what_is_in_the_way_stays(engine: FakeEngine, short_path: Path) -> None:
    path = short_path / "docker.sock"
    path.write_text("mine")
    with pytest.raises(OSError, match="no socket"):
        async with engine.serve(f"unix://{path}"):
            pass
    path.unlink()
    async with engine.serve(f"unix://{path}"):
        path.unlink()
        path.write_text("another's")
    assert "another's" == path.read_text()


@pytest.mark.parametrize("host", ["unix://relative", "http://127.0.0.1:1", "/path", "tcp://127.0.0.1:x"])
async def test_an_address_of_another_kind_is_refused(engine: FakeEngine, host: str) -> None:
    with pytest.raises(ValueError):
        async with engine.serve(host):
            pass


async def test_what_is_raised_in_the_block_comes_out_as_it_is(engine: FakeEngine) -> None:
    host = ""
    with pytest.raises(KeyError, match="mine"):
        async with engine.serve() as host:
            raise KeyError("mine")
    assert not Path(host.removeprefix("unix://")).parent.exists()
    with anyio.move_on_after(0.05) as scope:
        async with engine.serve() as host:
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert not Path(host.removeprefix("unix://")).parent.exists()


# --- other programs --------------------------------------------------------------------------------------------------


_DOCKER_PY: Final = """
import contextlib, sys, docker
client = docker.DockerClient(base_url=sys.argv[1])
service = client.services.create("nginx:1.28", name="web")
assert b"ready\\n" == next(service.logs(stdout=True, follow=True))
service.reload()
service.scale(3)
assert 3 == client.services.get("web").attrs["Spec"]["Mode"]["Replicated"]["Replicas"]
with contextlib.closing(client.events(decode=True, filters={"type": "service"})) as events:
    service.remove()
    assert "remove" == next(events)["Action"]
assert [] == client.services.list()
print(client.nodes.list()[0].attrs["Spec"]["Role"])
"""


def test_docker_py_works_on_it() -> None:
    engine = FakeEngine()
    engine.run_tasks(image="nginx:1.28", output="ready\n")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(engine.serve("tcp://127.0.0.1:0")) as host,
    ):
        # A process of its own, because docker-py leaves sockets open.
        command = [sys.executable, "-c", _DOCKER_PY, host]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (0, "manager\n") == (done.returncode, done.stdout), done.stderr


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_program_says_where_it_listens_and_ends_when_told(ending: signal.Signals, short_path: Path) -> None:
    path = short_path / "docker.sock"
    words = ["--socket", str(path), "--tcp", "127.0.0.1:0", "--nodes", "2", "--api-version", "1.45"]
    command = [sys.executable, "-m", "swarmkit.testing", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert "API 1.45" in program.stdout.readline()
        assert f"DOCKER_HOST=unix://{path} docker service ls\n" == program.stdout.readline()
        tcp = program.stdout.readline().split()[0].removeprefix("DOCKER_HOST=tcp://").split(":")
        with socket.create_connection((tcp[0], int(tcp[1]))) as line:
            line.sendall(b"GET /nodes HTTP/1.0\r\n\r\n")
            with line.makefile("rb") as told:
                assert 2 == len(json.loads(told.read().partition(b"\r\n\r\n")[2]))
        os.kill(program.pid, ending)
        assert (0, "") == (program.wait(10), program.stderr and program.stderr.read())
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say where to listen"),
        (["--tcp", "127.0.0.1:0", "--api-version", "1.99"], "there is no embedded engine of API 1.99"),
        (["--socket", "/no/such/folder/docker.sock"], "No such file"),
    ],
)
def test_the_program_says_what_it_cannot_do(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code in (1, 2)
    assert says in capsys.readouterr().err
