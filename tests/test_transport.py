"""The transport: what it makes of bytes, and that it leaks nothing; on real sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from swarmkit._hosts import Address
from swarmkit._transport import Attempt, EngineTransport

from .stub import Received, Say, StubEngine, answer, hang

pytestmark = pytest.mark.anyio


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name: pytest's own can be too long."""
    with tempfile.TemporaryDirectory(prefix="swk") as folder:
        yield Path(folder)


def always(say: Say) -> Callable[[Received], Say]:
    return lambda _: say


def open_transport(engine: StubEngine, *, max_connections: int = 64) -> EngineTransport:
    return EngineTransport(Address(path=engine.path), max_connections=max_connections)


async def get(transport: EngineTransport, path: str = "/x", **more: Any) -> tuple[int, bytes]:
    response = await transport.handle_async_request(httpx.Request("GET", f"http://docker{path}", **more))
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        body = b"".join([piece async for piece in response.stream])
    finally:
        await response.stream.aclose()
    return response.status_code, body


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- a count, and of no folder of ours


def listening(family: int, address: Any) -> socket.socket:
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen()
    return listener


# --- what bytes mean -------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"
GOOD: list[tuple[str, bytes, tuple[int, bytes]]] = [
    ("sized", HEAD + b"Content-Length: 2\r\n\r\nhi", (200, b"hi")),
    ("chunked", HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", (200, b"hi")),
    ("until the end", HEAD + b"\r\nhi", (200, b"hi")),
    ("empty", HEAD + b"Content-Length: 0\r\n\r\n", (200, b"")),
    ("no content", b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
    (
        "after an interim answer",
        b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nhi",
        (200, b"hi"),
    ),
    (
        "with another answer glued on",
        HEAD + b"Content-Length: 2\r\n\r\nhi" + HEAD + b"Content-Length: 4\r\n\r\nevil",
        (200, b"hi"),
    ),
    ("with trailing rubbish", HEAD + b"Content-Length: 2\r\n\r\nhi\0\xff", (200, b"hi")),
]


@pytest.mark.parametrize(("raw", "expected"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
@pytest.mark.parametrize("split", [False, True], ids=["at once", "byte by byte"])
async def test_an_answer_is_read_as_it_is_meant(raw: bytes, expected: tuple[int, bytes], split: bool) -> None:
    def byte_by_byte(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        for index in range(len(raw)):
            sock.sendall(raw[index : index + 1])

    with StubEngine(always(byte_by_byte if split else raw)) as engine:
        transport = open_transport(engine)
        assert expected == await get(transport)


BAD: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("half a head", b"HTTP/1.1 200"),
    ("no HTTP", b"\x16\x03\x01\x02\x00hello"),
    ("shorter than it says", HEAD + b"Content-Length: 9\r\n\r\nhi"),
    ("a cut chunk", HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhi"),
    ("no last chunk", HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"),
    ("a bad chunk size", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n"),
    ("a negative length", HEAD + b"Content-Length: -2\r\n\r\nhi"),
    ("two lengths", HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi"),
    ("a length and chunks", HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a switch of protocols", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n"),
    ("interim answers for ever", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    ("an endless head", HEAD + b"X: " + b"y" * 300_000),
]


@pytest.mark.parametrize("raw", [row[1] for row in BAD], ids=[row[0] for row in BAD])
async def test_what_is_no_whole_answer_is_an_error_and_the_next_call_works(raw: bytes) -> None:
    says = [raw, answer(b"fine")]
    with StubEngine(lambda _: says.pop(0)) as engine:
        transport = open_transport(engine, max_connections=1)
        with pytest.raises(httpx.HTTPError):
            await get(transport)
        assert (200, b"fine") == await get(transport)


async def test_a_refusal_that_comes_while_the_request_is_still_sent_is_read(short_path: Path) -> None:
    path = str(short_path / "early.sock")
    with listening(socket.AF_UNIX, path) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(10)
                sock.sendall(answer(b"too large", status=431))
                sock.shutdown(socket.SHUT_RD)  # from here on the client cannot write
                answered.wait(5)

        answered = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        attempt = Attempt()
        transport = EngineTransport(Address(path=path), max_connections=1)
        request = httpx.Request("POST", "http://docker/x", content=b"x" * 4_000_000, extensions={"attempt": attempt})
        response = await transport.handle_async_request(request)
        assert response.status_code == 431
        assert attempt.sent is not None
        assert 0 < attempt.sent < 4_000_000
        answered.set()
        thread.join()


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b"])
async def test_a_header_cannot_bring_another(value: str) -> None:
    with StubEngine(always(answer())) as engine:
        transport = open_transport(engine)
        with pytest.raises(httpx.LocalProtocolError):
            await get(transport, headers={"X-Registry-Auth": value})
        assert engine.received == []


# --- how much was taken ----------------------------------------------------------------------------------------------


async def test_an_attempt_knows_how_much_of_it_was_taken() -> None:
    attempt = Attempt()
    with StubEngine(always(answer())) as engine:
        transport = open_transport(engine)
        await get(transport, extensions={"attempt": attempt})
    assert attempt.sent is not None
    assert attempt.sent > 0
    assert not attempt.untouched


async def test_an_attempt_that_got_no_connection_is_untouched() -> None:
    attempt = Attempt()
    transport = EngineTransport(Address(path="/run/no-such-folder/x.sock"), max_connections=1)
    with pytest.raises(httpx.ConnectError) as caught:
        await get(transport, extensions={"attempt": attempt})
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert attempt.untouched


# --- connecting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "localhost")]
)
async def test_tcp(family: int, host: str) -> None:
    with listening(family, (host, 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(answer(b"over tcp"))

        thread = threading.Thread(target=serve)
        thread.start()
        transport = EngineTransport(Address(host=host, port=listener.getsockname()[1]), max_connections=1)
        assert (200, b"over tcp") == await get(transport)
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "a" * 70 + ".invalid"])
async def test_a_host_that_cannot_be_reached_is_a_connect_error(host: str) -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport = EngineTransport(Address(host=host, port=port), max_connections=1)
    with pytest.raises(httpx.ConnectError):
        await get(transport)


@pytest.mark.parametrize("kind", ["folder", "file", "loop", "through a file"])
async def test_a_path_that_is_no_socket_is_a_connect_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    match kind:
        case "folder":
            path.mkdir()
        case "file":
            path.write_text("")
        case "loop":
            path.symlink_to(path)
        case _:
            path.write_text("")
            path = path / "y"
    before = open_descriptors()
    transport = EngineTransport(Address(path=str(path)), max_connections=1)
    with pytest.raises(httpx.ConnectError):
        await get(transport)
    assert before == open_descriptors()


async def test_a_full_backlog_is_waited_out_without_spinning(short_path: Path) -> None:
    path = str(short_path / "full.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        fillers: list[socket.socket] = []
        while True:
            filler = socket.socket(socket.AF_UNIX)
            filler.setblocking(False)
            try:
                filler.connect(path)
            except BlockingIOError:
                filler.close()
                break
            fillers.append(filler)
        before = open_descriptors()
        used = os.times()
        transport = EngineTransport(Address(path=path), max_connections=1)
        with anyio.move_on_after(0.5) as scope:
            await get(transport)
        assert scope.cancelled_caught
        spent = os.times()
        assert (spent.user + spent.system) - (used.user + used.system) < 0.4
        assert before == open_descriptors()
        for filler in fillers:
            filler.close()


# --- the limit on connections ----------------------------------------------------------------------------------------


async def test_more_calls_than_connections_wait_their_turn_in_order() -> None:
    under_way: list[str] = []
    together: list[int] = []

    def script(request: Received) -> Say:
        under_way.append(request.path)
        together.append(len(under_way))
        time.sleep(0.001)
        under_way.remove(request.path)
        return answer(request.path.encode())

    with StubEngine(script) as engine:
        transport = open_transport(engine, max_connections=1)
        done: list[bytes] = []

        async def call(number: int) -> None:
            done.append((await get(transport, f"/{number}"))[1])

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(call, number)
        # trio starts tasks in any order; from there on the gate keeps it.
        assert [request.path.encode() for request in engine.received] == done
        assert len(set(done)) == 50
        assert [1] * 50 == together


async def test_streams_do_not_keep_calls_out() -> None:
    def script(request: Received) -> Say:
        return hang if request.path == "/stream" else answer(b"fine")

    with StubEngine(script) as engine:
        transport = open_transport(engine, max_connections=1)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(partial(get, transport, "/stream", extensions={"stream": True}))
            while len(engine.received) < 3:
                await anyio.sleep(0.001)
            assert (200, b"fine") == await get(transport)
            group.cancel_scope.cancel()


# --- cancellation ----------------------------------------------------------------------------------------------------


async def _cancelled_after(ticks: int, call: Callable[[], Any]) -> bool:
    """Cancel a call after so many turns of the event loop; whether it was still under way."""
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


@pytest.mark.parametrize("situation", ["alone", "queued", "slow"])
async def test_cancelling_at_any_moment_leaks_nothing(situation: str) -> None:
    def script(request: Received) -> Say:
        return hang if request.path == "/hang" else answer(b"x" * 300_000)

    with StubEngine(script) as engine:
        transport = open_transport(engine, max_connections=1)
        before = open_descriptors()
        await get(transport)
        gc.collect()
        gc.disable()
        cancelled = 0
        try:
            for ticks in range(60):
                path = "/hang" if situation == "slow" else "/x"
                async with anyio.create_task_group() as group:
                    if situation == "queued":
                        group.start_soon(get, transport)
                    cancelled += await _cancelled_after(ticks, partial(get, transport, path))
                with anyio.fail_after(5):
                    assert (200, b"x" * 300_000) == await get(transport)
        finally:
            gc.enable()
        assert cancelled > 0
        transport.close()
        with anyio.fail_after(5):
            while engine.open_sockets:
                await anyio.sleep(0.01)
        assert before == open_descriptors()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("times", [1, 2])
async def test_a_native_cancellation_leaks_nothing_and_says_nothing(times: int) -> None:
    noise: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    with StubEngine(always(answer(b"x" * 300_000))) as engine:
        transport = open_transport(engine, max_connections=1)
        for ticks in range(40):
            task = asyncio.create_task(get(transport))
            for _ in range(ticks):
                await asyncio.sleep(0)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            await asyncio.wait([task])
            with anyio.fail_after(5):
                assert (200, b"x" * 300_000) == await get(transport)
    assert noise == []
