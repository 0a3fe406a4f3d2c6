"""Log streams: what is made of the bytes, when they end, and how they go on after a cut."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import anyio
import pytest

from swarmkit import (
    ClientClosed,
    ContainerSpec,
    EngineTimeout,
    EngineUnreachable,
    LogLine,
    LogStream,
    LogStreamError,
    NotFound,
    Replicated,
    ReplicatedJob,
    StreamTruncated,
    SwarmClient,
    TaskTemplate,
)
from swarmkit.testing import FakeEngine

from .stub import SERVICE, Received, Say, StubEngine, answer, hang, refusal, then_hang

pytestmark = pytest.mark.anyio


def service(**spec: Any) -> dict[str, Any]:
    return {**SERVICE, "Spec": {**SERVICE["Spec"], **spec}}


PREFIX = b"com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s1,com.docker.swarm.task.id=t1 "


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", kind, len(payload)) + payload


def log_script(body: bytes, *, tty: bool = False, content_type: str | None = None) -> Callable[[Received], Say]:
    def script(request: Received) -> Say:
        if not request.path.endswith("/logs"):
            template = {"ContainerSpec": {"Image": "x", "TTY": tty}}
            return answer(service(TaskTemplate=template))
        if content_type is not None:
            return answer(body, headers={"Content-Type": content_type})
        return answer(body)

    return script


async def read_lines(client: SwarmClient, **more: Any) -> list[LogLine]:
    async with client.services.logs("web", **more) as lines:
        return [line async for line in lines]


@pytest.mark.parametrize(
    "content_type", ["application/vnd.docker.multiplexed-stream", "application/vnd.docker.raw-stream", None]
)
async def test_frames_are_read_whatever_an_old_engine_calls_them(content_type: str | None) -> None:
    body = frame(1, PREFIX + b"out\n") + frame(2, PREFIX + b"err\n") + frame(1, b"") + frame(1, PREFIX + b"no end")
    with StubEngine(log_script(body, content_type=content_type)) as engine:
        async with SwarmClient(engine.host) as client:
            lines = await read_lines(client, tail=5, timestamps=False)
        request = next(one for one in engine.received if one.path.endswith("/logs"))
    assert [("stdout", "out"), ("stderr", "err"), ("stdout", "no end")] == [(one.stream, one.message) for one in lines]
    assert ("t1", "n1", "s1", {}) == (lines[0].task_id, lines[0].node_id, lines[0].service_id, lines[0].details)
    assert parse_qs(request.query) == {
        "stdout": ["true"],
        "stderr": ["true"],
        "follow": ["false"],
        "tail": ["5"],
        "timestamps": ["false"],
        "details": ["true"],
    }


async def test_fragments_of_two_tasks_do_not_mix_and_letters_are_not_cut() -> None:
    one, two = PREFIX, PREFIX.replace(b"t1", b"t2")
    half = 16 * 1024 - 1
    body = b"".join(
        [
            frame(1, one + b"a" * half + "é".encode()[:1]),
            frame(1, two + b"b" * 16 * 1024),
            frame(2, one + b"between\n"),
            frame(1, one + "é".encode()[1:] + b" end\n"),
            frame(1, two + b"\n"),
        ]
    )
    with StubEngine(log_script(body)) as engine:
        async with SwarmClient(engine.host) as client:
            lines = await read_lines(client)
    assert ["between", "a" * half + "é end", "b" * 16 * 1024] == [line.message for line in lines]


@pytest.mark.parametrize("timestamps", [False, True])
async def test_lines_of_every_kind_between_each_other_come_as_they_were_written(timestamps: bool) -> None:
    longer = PREFIX[:-1] + b",A=1 "
    told = [
        (1, PREFIX, b"one", b"\n"),
        (2, PREFIX.replace(b"t1", b"t2"), b"", b"\n"),
        (1, longer, b"longer", b"\n"),
        (0, b"A=1," + PREFIX, b" and longer ", b"\n"),
        (1, PREFIX.replace(b"t1", b"task-of-its-own"), b"\0\xff two\nin one", b"\n"),
        (2, longer, b"no end", b""),
        (1, PREFIX, b"f" * 16 * 1024, b""),
        (1, PREFIX, b"", b"\n"),
        (1, PREFIX, b"in between", b"\n"),
    ] * 40
    stamps = [b"2026-01-02T03:04:05.%09dZ" % number if timestamps else b"" for number in range(len(told))]
    body = b"".join(
        frame(kind, stamp + b" " * timestamps + prefix + text + end)
        for stamp, (kind, prefix, text, end) in zip(stamps, told, strict=True)
    )
    with StubEngine(log_script(body)) as engine:
        async with SwarmClient(engine.host) as client:
            lines = await read_lines(client, timestamps=timestamps)
    names, written = ("stdin", "stdout", "stderr"), list[tuple[Any, ...]]()
    for number, (kind, prefix, text, _) in enumerate(told):
        task = prefix.partition(b"task.id=")[2].strip().partition(b",")[0].decode()
        at = 1_767_323_045 * 10**9 + number if timestamps else None
        written.append((names[kind], text, task, {"A": "1"} if b"A=1" in prefix else {}, at))
    for full in range(6, len(told), 9):  # ends with the next one of its task, which has no text
        del written[full + 1 - full // 9]
    found = [(line.stream, line.data, line.task_id, line.details, line.time_ns) for line in lines]
    assert written == found


async def test_a_terminals_bytes_are_lines() -> None:
    body = PREFIX + b"one\r\n" + PREFIX + b"two\r\n" + PREFIX + b"rest"
    with StubEngine(log_script(body, tty=True)) as engine:
        async with SwarmClient(engine.host) as client:
            lines = await read_lines(client)
    assert [("stdout", "one"), ("stdout", "two"), ("stdout", "rest")] == [(one.stream, one.message) for one in lines]


async def test_a_terminals_long_line_and_its_ends_without_a_line_are_told_apart() -> None:
    stamp = b"2026-11-24T08:24:35.231043000Z "
    one = stamp + b"A=x+y," + PREFIX
    two = one.replace(b"t1", b"t2")
    part = b"x" * 16 * 1024
    body = one + part + one + part + one + b"end\r\n" + one + b"prompt> " + two + b"prompt> " + one + b"\r\n"
    with StubEngine(log_script(body, tty=True)) as engine:
        async with SwarmClient(engine.host) as client:
            lines = await read_lines(client, timestamps=True)
    assert [("t1", (part * 2 + b"end").decode()), ("t1", "prompt> "), ("t2", "prompt> "), ("t1", "")] == [
        (line.task_id, line.message) for line in lines
    ]
    assert {"A": "x y"} == lines[0].details
    assert all(line.timestamp is not None for line in lines)


@pytest.mark.parametrize("unit", [b"A", b"Ab9/", b"a=b,", b"abc=def;", b"com.docker.swarm.node.id="])
async def test_a_terminals_text_is_never_taken_for_an_entry(unit: bytes) -> None:
    text = unit * (1024 * 1024 // len(unit))
    fragments = [text[at : at + 16 * 1024] for at in range(0, len(text), 16 * 1024)]
    body = b"".join(PREFIX + fragment for fragment in fragments) + b"\r\n" + PREFIX + b"next\r\n"
    with StubEngine(log_script(body, tty=True)) as engine:
        async with SwarmClient(engine.host) as client:
            with anyio.fail_after(30):
                lines = await read_lines(client)
    assert [text, b"next"] == [line.data for line in lines]


async def test_a_fragment_that_is_not_full_ends_its_line_with_or_without_a_line_end() -> None:
    full = b"a" * 16 * 1024
    body = b"".join(frame(1, PREFIX + data) for data in (full, b"b", full, b"c", b"d\n"))
    with StubEngine(log_script(body)) as engine:
        async with SwarmClient(engine.host) as client:
            lines = await read_lines(client)
    assert [16385, 16385, 1] == [len(line.message) for line in lines]


async def test_a_line_without_end_does_not_fill_the_memory() -> None:
    piece = frame(1, PREFIX + b"a" * 16 * 1024)

    def endless(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(piece * 16)

    with StubEngine(lambda request: endless if request.path.endswith("/logs") else answer(SERVICE)) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(StreamTruncated, match="too long"):
                await read_lines(client)


async def test_a_reader_that_gives_up_waiting_may_go_on_later() -> None:
    go_on = threading.Event()

    def slow(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + frame(1, PREFIX + b"one\n") + frame(1, PREFIX + b"two\n")[:9])
        go_on.wait(5)
        sock.sendall(frame(1, PREFIX + b"two\n")[9:])

    with StubEngine(lambda request: slow if request.path.endswith("/logs") else answer(SERVICE)) as engine:
        async with SwarmClient(engine.host) as client, client.services.logs("web", follow=True) as lines:
            assert "one" == str(await anext(lines))
            with anyio.move_on_after(0.05) as scope:
                await anext(lines)
            assert scope.cancelled_caught
            go_on.set()
            assert "two" == str(await anext(lines))


async def test_a_stream_has_one_reader_at_a_time() -> None:
    def silent(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        hang(sock)

    with StubEngine(lambda request: silent if request.path.endswith("/logs") else answer(SERVICE)) as engine:
        async with SwarmClient(engine.host) as client, client.services.logs("web", follow=True) as lines:
            async with anyio.create_task_group() as group:
                group.start_soon(anext, lines)
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(RuntimeError, match="one task at a time"):
                    await anext(lines)
                group.cancel_scope.cancel()


async def test_an_engine_that_gives_up_inside_the_stream_is_an_error_after_the_lines() -> None:
    body = frame(1, PREFIX + b"kept\n") + frame(3, b"Error grabbing logs: node n2 is not available")
    seen: list[str] = []
    with StubEngine(log_script(body)) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(LogStreamError, match="node n2 is not available"):
                async with client.services.logs("web") as lines:
                    async for line in lines:
                        seen.append(line.message)  # noqa: PERF401 -- what came before the error counts
    assert seen == ["kept"]


@pytest.mark.parametrize("cut", ["in a frame", "in a chunk"])
async def test_a_stream_that_is_cut_off_says_so_after_the_lines(cut: str) -> None:
    whole = frame(1, PREFIX + b"kept\n") + frame(1, PREFIX + b"lost\n")

    def in_a_chunk(sock: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        first = frame(1, PREFIX + b"kept\n")
        sock.sendall(head + f"{len(first):x}\r\n".encode() + first + b"\r\n50\r\n1")

    def script(request: Received) -> Say:
        if not request.path.endswith("/logs"):
            return answer(SERVICE)
        return in_a_chunk if cut == "in a chunk" else answer(whole[:-3])

    seen: list[str] = []
    with StubEngine(script) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(StreamTruncated):
                async with client.services.logs("web") as lines:
                    async for line in lines:
                        seen.append(line.message)  # noqa: PERF401 -- what came before the error counts
    assert seen == ["kept"]


async def test_a_stream_that_goes_silent_ends_unless_it_follows() -> None:
    def silent(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        hang(sock)

    with StubEngine(lambda request: silent if request.path.endswith("/logs") else answer(SERVICE)) as engine:
        async with SwarmClient(engine.host, timeout=0.2) as client:
            with pytest.raises(EngineTimeout, match="nothing came"):
                await read_lines(client)
            with anyio.move_on_after(0.5) as scope:
                await read_lines(client, follow=True)
            assert scope.cancelled_caught


async def test_leaving_a_stream_closes_its_connection_at_once() -> None:
    def endless(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = frame(1, PREFIX + b"tick\n")
        while True:
            sock.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

    with StubEngine(lambda request: endless if request.path.endswith("/logs") else answer(SERVICE)) as engine:
        async with SwarmClient(engine.host) as client:
            for how in ("break", "raise", "cancel"):
                with anyio.move_on_after(5) as scope:
                    try:
                        async with client.services.logs("web", follow=True) as lines:
                            async for _ in lines:
                                if how == "raise":
                                    raise LookupError
                                if how == "cancel":
                                    scope.cancel()
                                    await anyio.sleep(1)
                                break
                    except LookupError:
                        pass
                with anyio.fail_after(5):
                    while engine.open_sockets:
                        await anyio.sleep(0.01)


async def test_a_stream_is_entered_once_and_read_inside_its_block() -> None:
    with StubEngine(log_script(frame(1, PREFIX + b"x\n"))) as engine:
        async with SwarmClient(engine.host) as client:
            stream = client.services.logs("web")
            with pytest.raises(RuntimeError, match="inside its block"):
                await anext(stream)
            async with stream as lines:
                assert "x" == str(await anext(lines))
            with pytest.raises(RuntimeError, match="once"):
                await stream.__aenter__()


async def test_a_client_closed_under_a_stream_says_so() -> None:
    def silent(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        hang(sock)

    with StubEngine(lambda request: silent if request.path.endswith("/logs") else answer(SERVICE)) as engine:
        client = SwarmClient(engine.host)
        async with client.services.logs("web", follow=True) as lines, anyio.create_task_group() as group:
            group.start_soon(client.aclose)
            with pytest.raises(ClientClosed, match="the client was closed"):
                await anext(lines)


# --- who wrote a line, and when --------------------------------------------------------------------------------------

TASKS = [
    {"ID": f"t{number}", "ServiceID": "svc1", "Slot": number, "NodeID": "n1", "Status": {"State": "running"}}
    for number in (1, 2)
]


def entry(text: str, *, task: str = "t1", at: int | None = None, stream: int = 1, tty: bool = False) -> bytes:
    """A line as an engine sends it; `at` counts nanoseconds of one second."""
    stamp = b"" if at is None else b"2026-01-02T03:04:05.%09dZ " % at
    data = stamp + PREFIX.replace(b"=t1", b"=" + task.encode()) + text.encode() + (b"\r\n" if tty else b"\n")
    return data if tty else frame(stream, data)


def chunked(*pieces: bytes, ends: bool = True) -> bytes:
    """An answer in chunks; it is cut off unless it `ends`."""
    head = b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + body + (b"0\r\n\r\n" if ends else b"")


@dataclass
class Manager:
    """Says one thing after another to those who ask for logs, and the last one for ever."""

    openings: Sequence[Say]
    tasks: Callable[[], Say] = lambda: answer(TASKS)
    service: Callable[[], Say] = lambda: answer(SERVICE)
    asked: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """The queries of those who asked for logs."""
    looks: int = 0
    """How often someone asked for the tasks."""

    def __call__(self, request: Received) -> Say:
        kind, _, rest = request.path.removeprefix("/v1.51/").partition("/")
        if rest.endswith("/logs"):
            self.asked.append({key: value for key, (value,) in parse_qs(request.query).items()})
            return self.openings[min(len(self.asked), len(self.openings)) - 1]
        if kind == "nodes":
            node = {"ID": "n1", "Version": {"Index": 1}, "Spec": {}, "Description": {"Hostname": "hal"}}
            return answer(node) if rest == "n1" else refusal(404, f"node {rest} not found")
        if kind == "services":
            return self.service()
        if rest:
            template = {"ContainerSpec": {"Image": "x"}}
            return answer({**TASKS[1], "Version": {"Index": 1}, "Spec": template})
        self.looks += 1
        return self.tasks()


def script(*openings: Say, **more: Any) -> Manager:
    return Manager(openings, **more)


async def test_a_line_has_the_slot_of_its_task_which_is_looked_up_once() -> None:
    first = entry("a") + entry("b", task="t2")
    manager = script(chunked(first, entry("c"), entry("d", task="t9"), entry("e", task="t9")))
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            lines = await client.services.logs("web").lines()
    assert [1, 2, 1, None, None] == [line.slot for line in lines]
    assert 1 == manager.looks


async def test_a_line_without_its_slot_is_still_a_line() -> None:
    with StubEngine(script(chunked(entry("a")), tasks=lambda: refusal(404, "service svc1 not found"))) as engine:
        async with SwarmClient(engine.host) as client:
            (line,) = await client.services.logs("web").lines()
    assert (None, "a") == (line.slot, line.message)


async def test_who_gives_up_while_a_slot_is_looked_up_loses_no_line() -> None:
    slow = threading.Event()

    def tasks() -> Say:
        slow.wait(5)
        return answer(TASKS)

    with StubEngine(script(chunked(entry("a"), entry("b")), tasks=tasks)) as engine:
        async with SwarmClient(engine.host) as client, client.services.logs("web") as lines:
            with anyio.move_on_after(0.1) as scope:
                await anext(lines)
            assert scope.cancelled_caught
            slow.set()
            assert [("a", 1), ("b", 1)] == [(line.message, line.slot) async for line in lines]


async def test_a_timestamp_is_there_to_the_nanosecond() -> None:
    with StubEngine(script(chunked(entry("a", at=123456789), frame(1, b"x" * 30 + b" " + PREFIX + b"b\n")))) as engine:
        async with SwarmClient(engine.host) as client:
            line, odd = await client.services.logs("web", timestamps=True).lines()
    assert datetime(2026, 1, 2, 3, 4, 5, 123456, UTC) == line.timestamp
    assert 1767323045_123456789 == line.time_ns
    assert (None, None, "b") == (odd.timestamp, odd.time_ns, odd.message)


async def test_details_are_the_readers_own() -> None:
    body = b"".join(frame(1, b"A=1," + PREFIX + text) for text in (b"a\n", b"b\n"))
    with StubEngine(script(chunked(body))) as engine:
        async with SwarmClient(engine.host) as client:
            one, other = await client.services.logs("web").lines()
    one.details.clear()
    assert {"A": "1"} == one.details == other.details


async def test_all_text_is_one_call_unless_it_has_no_end() -> None:
    with StubEngine(script(chunked(entry("a"), entry("b")))) as engine:
        async with SwarmClient(engine.host) as client:
            assert "a\nb\n" == await client.services.logs("web").text()
            async with client.services.logs("web") as lines:
                assert "a" == str(await anext(lines))
                assert "b\n" == await lines.text()
            with pytest.raises(ValueError, match="no last line"):
                await client.services.logs("web", follow=True).text()
            with pytest.raises(ValueError, match="without follow"):
                client.services.logs("web", until_finished=True)
        with anyio.fail_after(5):
            while engine.open_sockets:
                await anyio.sleep(0.01)


@pytest.mark.parametrize("timestamps", [True, False])
async def test_a_line_can_look_as_dockers_program_prints_it(timestamps: bool) -> None:
    at = 1 if timestamps else None
    body = entry("a", at=at) + entry("b", task="t9", at=at) + entry("c", at=at).replace(b"=n1", b"=n2")
    many = service(Mode={"Replicated": {"Replicas": 10}})
    with StubEngine(script(chunked(body), service=lambda: answer(many))) as engine:
        async with SwarmClient(engine.host) as client:
            async with client.services.logs("web", timestamps=timestamps) as lines:
                found = [await lines.formatted(line) async for line in lines]
    stamp = "2026-01-02T03:04:05.000000001Z " if timestamps else ""
    assert found == [f"{stamp}web.1.t1@hal     | a", f"{stamp}web.?.t9@hal     | b", f"{stamp}web.1.t1@hal     | c"]


async def test_the_lines_of_one_task() -> None:
    manager = script(chunked(entry("a", task="t2")))
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            async with client.tasks.logs("t2", tail=3) as lines:
                (line,) = [line async for line in lines]
                assert "web.2.t2@hal    | a" == await lines.formatted(line)
        assert "/v1.51/tasks/t2/logs" in [request.path for request in engine.received]
    assert ("t2", 2, "3") == (line.task_id, line.slot, manager.asked[0]["tail"])
    assert 0 == manager.looks


async def test_an_engine_that_gives_up_between_a_terminals_lines_is_an_error_after_them() -> None:
    body = entry("kept", tty=True) + b"Error grabbing logs: node n2 is not available\n"
    terminal = service(TaskTemplate={"ContainerSpec": {"Image": "x", "TTY": True}})
    with StubEngine(script(chunked(body), service=lambda: answer(terminal))) as engine:
        async with SwarmClient(engine.host) as client, client.services.logs("web") as lines:
            assert "kept" == str(await anext(lines))
            with pytest.raises(LogStreamError, match="node n2 is not available"):
                await anext(lines)


async def test_a_slow_reader_holds_the_engine_back() -> None:
    held_back = threading.Event()
    sent = 0

    def endless(sock: socket.socket) -> None:
        nonlocal sent
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        sock.setblocking(False)
        piece = entry("x" * 100) * 100
        while select.select([], [sock], [], 0.3)[1]:
            sent += sock.send(piece)
        held_back.set()
        hang(sock)

    with StubEngine(script(endless)) as engine:
        async with SwarmClient(engine.host) as client, client.services.logs("web", follow=True) as lines:
            assert 100 == len(str(await anext(lines)))
            assert await anyio.to_thread.run_sync(held_back.wait, 10)
    assert sent < 2**21


# --- until the tasks have finished -----------------------------------------------------------------------------------


def told(manager: Manager, state: str, *, moved: int = 2) -> None:
    """Tasks that run for a while, and then are in that state."""
    tasks = [{**task, "Status": {"State": state}} for task in TASKS]
    manager.tasks = lambda: answer(TASKS if manager.looks <= moved else tasks)


async def ends(client: SwarmClient, **more: Any) -> list[str]:
    with anyio.fail_after(20):
        lines = await client.services.logs("web", follow=True, until_finished=True, **more).lines()
    return [line.message for line in lines]


@pytest.mark.parametrize("state", ["complete", "failed", "shutdown"])
async def test_a_stream_ends_when_all_tasks_are_over_and_has_all_they_wrote(state: str) -> None:
    heard = [entry("a", at=20_000_000), entry("b", at=20_000_000)]
    missed = [entry("c", at=20_000_000), entry("d", at=30_000_000)]
    of_the_other = chunked(entry("e", task="t2", at=1))
    manager = script(then_hang(chunked(*heard, ends=False)), chunked(*heard, *missed), of_the_other)
    told(manager, state)
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            assert ["a", "b", "c", "d", "e"] == await ends(client)
        looks = [request.path for request in engine.received if request.path.endswith("/logs")]
    assert ["services/svc1", "tasks/t1", "tasks/t2"] == [path[7:-5] for path in looks]
    assert ["true", "false", "false"] == [query["follow"] for query in manager.asked]
    assert [None, "1767323045.010000000", None] == [query.get("since") for query in manager.asked]


async def test_a_task_that_is_replaced_is_not_the_end() -> None:
    manager = script(then_hang(chunked(entry("a", at=1), ends=False)), chunked(entry("a", at=1), entry("b", at=2)))
    over = [{**task, "Status": {"State": "failed"}} for task in TASKS]
    anew = [*over, {**TASKS[0], "ID": "t3"}]
    at_last = [*over, {**TASKS[0], "ID": "t3", "Status": {"State": "complete"}}]
    manager.tasks = lambda: answer(over if manager.looks <= 2 else anew if manager.looks == 3 else at_last)
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            assert ["a", "b"] == await ends(client)
    assert manager.looks > 4


async def test_a_stream_ends_with_its_service() -> None:
    manager = script(then_hang(chunked(entry("a", at=1), ends=False)))

    def tasks() -> Say:
        stopping = [{**TASKS[0], "DesiredState": "remove"}, {**TASKS[1], "ServiceID": "of another"}]
        # The removal comes after two looks; the filter by service is refused, the one by name is not.
        return [answer(TASKS), answer(TASKS), gone, answer(stopping), gone, answer(stopping[1:])][manager.looks - 1]

    gone = refusal(404, "service svc1 not found")
    manager.tasks = tasks
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            assert ["a"] == await ends(client)
    assert (6, 1) == (manager.looks, len(manager.asked))


@pytest.mark.parametrize("replicas", [0, 1])
async def test_a_service_without_tasks_has_finished_only_if_it_wants_none(replicas: int) -> None:
    manager = script(then_hang(chunked(ends=False)), chunked())
    manager.tasks = lambda: answer([])
    manager.service = lambda: answer(service(Mode={"Replicated": {"Replicas": replicas}}))
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            with anyio.move_on_after(4) as scope:
                assert [] == await ends(client)
    assert scope.cancelled_caught is bool(replicas)


async def test_a_last_look_that_the_engine_never_ends_is_over_when_it_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("swarmkit.logs._LAST_WORD", 0.2)
    silent = then_hang(chunked(entry("a", at=1), entry("b", at=2), ends=False))
    manager = script(then_hang(chunked(entry("a", at=1), ends=False)), silent)
    told(manager, "complete")
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            assert ["a", "b"] == await ends(client)


async def test_an_engine_that_ends_a_stream_before_its_tasks_says_that_it_is_cut() -> None:
    with StubEngine(script(chunked(entry("a", at=1)))) as engine:
        async with SwarmClient(engine.host) as client:
            async with client.services.logs("web", follow=True, until_finished=True) as lines:
                assert "a" == str(await anext(lines))
                with pytest.raises(StreamTruncated, match="ended a log stream that follows"):
                    await anext(lines)


@pytest.mark.parametrize(
    "says", [refusal(404, "task t1 not found"), chunked(frame(3, b"Error grabbing logs: no such container"))]
)
async def test_what_cannot_be_read_once_more_was_heard_already(says: bytes) -> None:
    manager = script(then_hang(chunked(entry("a", at=1), ends=False)), says)
    told(manager, "shutdown")
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            assert ["a"] == await ends(client)
    assert 3 == len(manager.asked)


@pytest.fixture
async def embedded() -> AsyncIterator[tuple[FakeEngine, SwarmClient]]:
    engine = FakeEngine()
    engine.add_image("app:1")
    async with engine.client() as client:
        yield engine, client


async def test_the_log_of_a_job_ends_with_the_job(embedded: tuple[FakeEngine, SwarmClient]) -> None:
    engine, client = embedded
    told = "echo begun; sleep 30; echo done"
    template = TaskTemplate(container_spec=ContainerSpec("app:1", command=["sh", "-c", told]))
    await client.services.create(template, name="job", mode=ReplicatedJob(total_completions=2, max_concurrent=1))
    with anyio.fail_after(30):
        lines = await client.services.logs("job", follow=True, until_finished=True).lines()
    assert ["begun", "done"] * 2 == [line.message for line in lines]
    assert engine.clock.now() > 60
    for task in await client.services.ps("job"):
        assert "begun\ndone\n" == await client.tasks.logs(task.id).text()
        with anyio.fail_after(30):
            assert "begun\ndone\n" == await client.tasks.logs(task.id, follow=True, until_finished=True).text()


async def test_the_log_of_a_service_ends_when_it_is_scaled_to_none(embedded: tuple[FakeEngine, SwarmClient]) -> None:
    engine, client = embedded
    template = TaskTemplate(container_spec=ContainerSpec("app:1", command=["sh", "-c", "echo up; sleep 1000"]))
    await client.services.create(template, name="web", mode=Replicated(replicas=2))
    heard: list[str] = []

    async def listen() -> None:
        heard.extend([line.message for line in await stream.lines()])

    stream = client.services.logs("web", follow=True, until_finished=True)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await engine.clock.sleep(20)
            assert [] == heard
            await client.services.scale("web", 0)
    assert ["up", "up"] == heard


# --- after a cut -----------------------------------------------------------------------------------------------------


async def resumed(stream: LogStream, number: int) -> list[tuple[str, str]]:
    with anyio.fail_after(20):
        async with stream as lines:
            return [(line.stream, line.message) for line in [await anext(lines) for _ in range(number)]]


async def test_a_stream_goes_on_where_it_was_cut_without_a_line_twice_or_missing() -> None:
    heard = [
        entry("a", at=50_000_000),
        entry("of the other stream", at=49_999_000, stream=2),
        entry("same moment", at=50_000_000),
        entry("of another task", task="t2", at=40_000_000),
    ]
    new = [
        entry("same moment, never heard", at=50_000_000),
        entry("of the other stream, never heard", at=49_999_500, stream=2),
        entry("new", task="t2", at=60_000_000),
        entry("of a third task", task="t3", at=1),
    ]
    manager = script(chunked(*heard, b"\x01\0", ends=False), then_hang(chunked(*heard, *new, ends=False)))
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            found = await resumed(client.services.logs("web", follow=True, resume=True), 8)
    assert found == [
        ("stdout", "a"),
        ("stderr", "of the other stream"),
        ("stdout", "same moment"),
        ("stdout", "of another task"),
        ("stdout", "same moment, never heard"),
        ("stderr", "of the other stream, never heard"),
        ("stdout", "new"),
        ("stdout", "of a third task"),
    ]
    first, second = manager.asked
    assert ("true", "all", None) == (first["timestamps"], first["tail"], first.get("since"))
    assert ("true", "all", "1767323045.030000000") == (second["timestamps"], second["tail"], second["since"])


async def test_lines_that_a_tail_left_out_stay_out_after_a_cut() -> None:
    before = entry("before the tail", at=49_000_000, stream=2)
    heard, new = entry("a", at=50_000_000), entry("b", at=51_000_000)
    manager = script(chunked(heard, ends=False), then_hang(chunked(before, heard, new, ends=False)))
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            found = await resumed(client.services.logs("web", follow=True, tail=1, resume=True), 2)
    assert found == [("stdout", "a"), ("stdout", "b")]


async def test_half_a_line_before_a_cut_comes_whole_after_it() -> None:
    half = frame(1, b"2026-01-02T03:04:05.000000002Z " + PREFIX + b"x" * 16384)
    whole = half + frame(1, b"2026-01-02T03:04:05.000000002Z " + PREFIX + b"end\n")
    manager = script(chunked(entry("a", at=1), half, ends=False), chunked(entry("a", at=1), whole))
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            lines = await client.services.logs("web", resume=True).lines()
    assert ["a", "x" * 16384 + "end"] == [line.message for line in lines]


@pytest.mark.parametrize(
    "how",
    [
        chunked(entry("a", at=1), frame(3, b"Error grabbing logs: rpc error: context canceled"), ends=False),
        chunked(entry("a", at=1)),
    ],
    ids=["the engine gives up", "the engine ends it"],
)
async def test_an_engine_that_stops_in_good_order_has_cut_the_stream_too(how: bytes) -> None:
    manager = script(how, refusal(503, "This node is not a swarm manager."), then_hang(chunked(entry("b", at=2))))
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            found = await resumed(client.services.logs("web", follow=True, resume=True), 2)
    assert ["a", "b"] == [message for _, message in found]


async def test_a_stream_that_cannot_go_on_says_so_in_the_end() -> None:
    with StubEngine(script(chunked(entry("a", at=1), ends=False))) as engine:
        client = SwarmClient(engine.host, timeout=0.5)
        async with client.services.logs("web", follow=True, resume=True) as lines:
            assert "a" == str(await anext(lines))
            with anyio.fail_after(20), pytest.raises(StreamTruncated):
                await anext(lines)
            assert len(engine.received) > 3
    with StubEngine(script(chunked(entry("a", at=1), ends=False))) as engine:
        client = SwarmClient(engine.host, timeout=0.5)
        stream = client.services.logs("web", follow=True, resume=True)
        lines = await stream.__aenter__()
        assert "a" == str(await anext(lines))
    with anyio.fail_after(20), pytest.raises(StreamTruncated) as caught:
        await anext(lines)
    assert isinstance(caught.value.__cause__, EngineUnreachable)
    await stream.__aexit__(None, None, None)


async def test_a_service_that_was_removed_meanwhile_does_not_come_back() -> None:
    manager = script(chunked(entry("a", at=1), ends=False))
    manager.service = lambda: refusal(404, "service svc1 not found") if manager.asked else answer(SERVICE)
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(NotFound):
                await client.services.logs("web", resume=True).lines()
            manager.asked.clear()
            with anyio.fail_after(20):
                assert ["a"] == await ends(client, resume=True)


async def test_what_is_no_log_stream_is_not_asked_for_again() -> None:
    manager = script(chunked(entry("a", at=1), b"hello, I am plain text\n"))
    with StubEngine(manager) as engine:
        async with SwarmClient(engine.host) as client, client.services.logs("web", resume=True) as lines:
            assert "a" == str(await anext(lines))
            with pytest.raises(StreamTruncated, match="no frame"):
                await anext(lines)
    assert 1 == len(manager.asked)


async def test_who_gives_up_waiting_for_a_lost_engine_may_go_on_later() -> None:
    back = threading.Event()

    def late(sock: socket.socket) -> None:
        back.wait(5)
        sock.sendall(chunked(entry("a", at=1), entry("b", at=2)))

    with StubEngine(script(chunked(entry("a", at=1), ends=False), late)) as engine:
        async with SwarmClient(engine.host) as client:
            async with client.services.logs("web", follow=True, resume=True) as lines:
                assert "a" == str(await anext(lines))
                with anyio.move_on_after(0.3) as scope:
                    await anext(lines)
                assert scope.cancelled_caught
                back.set()
                with anyio.fail_after(10):
                    assert "b" == str(await anext(lines))
