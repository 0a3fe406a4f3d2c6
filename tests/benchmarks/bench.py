"""Speed beside other clients, as ratios measured in one run: `nox -s bench`, or `nox -s bench -- requests lists …`.

Canned answers come from another process over a Unix socket, so that only clients are compared. Each figure is the
median of rounds that take turns; look at the ratios, not at the times.
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import aiodocker
import docker
import httpx
import trio

from swarmkit import Service, SwarmClient
from tests.benchmarks import waits

ROUNDS, CALLS, AT_ONCE, BURST, LONG_RUN = 9, 200, 50, 2_000, 100_000
LISTS = (1_000, 10_000)

SPEC: dict[str, Any] = {
    "Name": "web",
    "Labels": {"com.example.tier": "front", "com.example.team": "shop"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "nginx:1.28@sha256:" + "a" * 64,
            "Env": ["A=1", "B=2"],
            "StopGracePeriod": 10_000_000_000,
            "DNSConfig": {},
            "Isolation": "default",
        },
        "Resources": {"Limits": {"MemoryBytes": 536_870_912}, "Reservations": {}},
        "RestartPolicy": {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0},
        "Placement": {"Constraints": ["node.role==worker"]},
        "ForceUpdate": 0,
        "Runtime": "container",
    },
    "Mode": {"Replicated": {"Replicas": 3}},
    "UpdateConfig": {"Parallelism": 1, "FailureAction": "pause", "Monitor": 5_000_000_000, "Order": "stop-first"},
    "EndpointSpec": {"Mode": "vip", "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080}]},
}
SERVICE = {
    "ID": "s" * 25,
    "Version": {"Index": 17},
    "CreatedAt": "2026-01-01T00:00:00.123456789Z",
    "UpdatedAt": "2026-01-01T00:00:00.123456789Z",
    "Spec": SPEC,
    "Endpoint": {"Spec": SPEC["EndpointSpec"], "VirtualIPs": [{"NetworkID": "n" * 25, "Addr": "10.0.0.5/24"}]},
}


LINES, MANY_LINES, TASKS = 100_000, 1_000_000, 4
BLOCK = 1_000
"""Lines that are sent at once; each is a chunk of its own, as engines do it."""
HEAD = b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


LOG_HEAD = (
    b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def log_lines(*, timestamps: bool) -> bytes:
    """Lines of some tasks, on both streams, as an engine sends them."""
    chunks = list[bytes]()
    for number in range(BLOCK):
        ids = ",".join(
            f"com.docker.swarm.{kind}.id={mark * 25}"
            for kind, mark in (("node", "n"), ("service", "s"), ("task", str(number % TASKS)))
        )
        stamp = f"2026-01-01T00:00:00.{number:09d}Z " if timestamps else ""
        line = f"{stamp}{ids} {number:06d} GET /api/items/{number} 200 of the shop, as an access log has it\n".encode()
        frame = bytes([1 + number % 2, 0, 0, 0]) + len(line).to_bytes(4, "big") + line
        chunks.append(b"%x\r\n%b\r\n" % (len(frame), frame))
    return b"".join(chunks)


def serve(path: str, ready: Any) -> None:
    """Answer every request on every connection with what its path asks for."""
    lists = {size: json.dumps([SERVICE] * size).encode() for size in LISTS}
    version = json.dumps({"ApiVersion": "1.51", "MinAPIVersion": "1.24"}).encode()
    one = json.dumps(SERVICE).encode()
    tasks = json.dumps([{"ID": str(number) * 25, "Slot": number + 1} for number in range(TASKS)]).encode()
    plain, stamped = log_lines(timestamps=False), log_lines(timestamps=True)
    now = peak = 0

    def body_of(path: bytes, query: bytes) -> bytes:
        nonlocal peak
        if path == b"/peak":
            counted, peak = peak, now
            return b"%d" % counted
        if path == b"/services":
            return next(body for size, body in lists.items() if b"list-%d%%22" % size in query)
        return {b"/_ping": b"OK", b"/version": version, b"/tasks": tasks}.get(path, one)

    async def send_logs(writer: asyncio.StreamWriter, query: bytes) -> None:
        """As many lines as `tail` says."""
        asked = parse_qs(query.decode())
        block = stamped if asked.get("timestamps", ["0"])[0].lower() in ("1", "true") else plain
        writer.write(LOG_HEAD)
        for _ in range(int(asked["tail"][0]) // BLOCK):
            writer.write(block)
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal now, peak
        now += 1
        peak = max(peak, now)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target, _, query = head.split(b" ", 2)[1].partition(b"?")
                if target.endswith(b"/logs"):
                    await send_logs(writer, query)
                    continue
                body = body_of(b"/" + target.split(b"/", 2)[-1] if target.startswith(b"/v1.") else target, query)
                writer.write(HEAD % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            now -= 1

    async def run() -> None:
        async with await asyncio.start_unix_server(answer, path, backlog=512) as server:
            ready.set()
            await server.serve_forever()

    asyncio.run(run())


# --- the contenders --------------------------------------------------------------------------------------------------

REQUEST = b"GET /v1.51/services/web HTTP/1.1\r\nHost: docker\r\n\r\n"


def bare(path: str) -> float:
    """Seconds for a call with nothing around it: one connection, a blocking socket, no decoding."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        began = time.perf_counter()
        for _ in range(CALLS):
            sock.sendall(REQUEST)
            missing = 1
            data = b""
            while missing > 0:
                data += sock.recv(65536)
                missing = _missing(data)
        return (time.perf_counter() - began) / CALLS


async def bare_on_a_loop(path: str) -> float:
    """The same on an event loop."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, path)

        async def call() -> None:
            await loop.sock_sendall(sock, REQUEST)
            data = b""
            while _missing(data) > 0:
                data += await loop.sock_recv(sock, 65536)

        return await timed(call)


def _missing(data: bytes) -> int:
    head, found, body = data.partition(b"\r\n\r\n")
    return int(head.rpartition(b"Content-Length: ")[2]) - len(body) if found else 1


async def held(call: Callable[[], Awaitable[Any]]) -> float:
    """Seconds for a list, which is still there when the clock stops: dropping it is another matter."""
    await call()
    gc.collect()
    began = time.perf_counter()
    answer = await call()
    ended = time.perf_counter()
    del answer
    return ended - began


async def timed(call: Callable[[], Awaitable[Any]], calls: int = CALLS) -> float:
    await call()
    began = time.perf_counter()
    for _ in range(calls):
        await call()
    return (time.perf_counter() - began) / calls


async def ours(path: str, what: str) -> float:
    async with SwarmClient(f"unix://{path}") as client:
        if what.startswith("list-"):
            return await held(lambda: client.services.list(filters={"name": what}))
        return await _inspects(lambda: client.services.inspect("web"), what)


async def ours_on_trio(path: str, what: str) -> float:
    """The burst of a trio program; all else is the same."""
    async with SwarmClient(f"unix://{path}") as client:
        call = lambda: client.services.inspect("web")  # noqa: E731
        if what == "one":
            return await timed(call)
        await call()
        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(int(what)):
                nursery.start_soon(call)
        return (time.perf_counter() - began) / int(what)


async def theirs(path: str, what: str) -> float:
    async with aiodocker.Docker(url=f"unix://{path}", api_version="v1.51") as client:
        if what.startswith("list-"):
            return await held(lambda: client.services.list(filters={"name": what}))
        return await _inspects(lambda: client.services.inspect("web"), what)


async def httpx_itself(path: str, what: str) -> float:
    """httpx as it comes, over its own transport; answers as dicts."""
    transport = httpx.AsyncHTTPTransport(uds=path)
    async with httpx.AsyncClient(transport=transport, base_url="http://docker", timeout=60) as client:

        async def call() -> Any:
            return (await client.get("/v1.51/services/web")).json()

        return await _inspects(call, what)


async def _inspects(call: Callable[[], Awaitable[Any]], what: str) -> float:
    """Seconds a call: `one` after another, or so many at once."""
    if what == "one":
        return await timed(call)
    await call()
    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(int(what))))
    return (time.perf_counter() - began) / int(what)


def blocking(path: str, what: str) -> float:
    client = docker.APIClient(base_url=f"unix://{path}", version="1.51")
    listing = what.startswith("list-")
    call, calls = (
        (lambda: client.services({"name": what}), 1) if listing else (lambda: client.inspect_service("web"), CALLS)
    )
    call()
    gc.collect()
    began = time.perf_counter()
    for _ in range(calls):
        answer = call()
    ended = time.perf_counter()
    del answer
    client.close()
    return (ended - began) / calls


async def our_lines(path: str, timestamps: bool, *, read: bool) -> float:
    """Seconds a line, counted or with every field of it read."""
    async with SwarmClient(f"unix://{path}") as client:
        began, count = time.perf_counter(), 0
        async with client.services.logs("web", tail=LINES, timestamps=timestamps) as lines:
            if read:
                async for line in lines:
                    _ = (line.stream, line.message, line.task_id, line.slot, line.node_id, line.service_id)
                    _ = (line.data, line.details, line.timestamp, line.time_ns)
                    count += 1
            else:
                async for _ in lines:
                    count += 1
        assert count == LINES
        return (time.perf_counter() - began) / LINES


async def their_lines(path: str, timestamps: bool) -> float:
    async with aiodocker.Docker(url=f"unix://{path}", api_version="v1.51") as client:
        began, count = time.perf_counter(), 0
        asked: dict[str, Any] = {"stdout": True, "stderr": True, "details": True, "timestamps": timestamps}
        async for _ in client.services.logs("web", follow=True, tail=str(LINES), **asked):
            count += 1
        assert count == LINES
        return (time.perf_counter() - began) / LINES


def blocking_lines(path: str, timestamps: bool) -> float:
    client = docker.APIClient(base_url=f"unix://{path}", version="1.51")
    began = time.perf_counter()
    asked: dict[str, Any] = {"stdout": True, "stderr": True, "details": True, "timestamps": timestamps}
    count = sum(1 for _ in client.service_logs("web", tail=LINES, is_tty=False, **asked))
    assert count == LINES
    took = (time.perf_counter() - began) / LINES
    client.close()
    return took


async def long_log(path: str) -> None:
    """Memory over a long log, and the longest time for which nothing else ran on the event loop."""
    sizes, longest, count = list[float](), 0.0, 0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - before)
            await asyncio.sleep(0.0005)

    async with SwarmClient(f"unix://{path}") as client:
        async with client.services.logs("web", tail=MANY_LINES, timestamps=True) as lines:
            await anext(lines)
            watcher = asyncio.create_task(watch())
            async for line in lines:
                _ = (line.message, line.slot, line.details, line.time_ns)
                count += 1
                if count % (MANY_LINES // 5) == 0 or count == MANY_LINES - 1:
                    sizes.append(_resident())
            watcher.cancel()
    print(
        f"\nmemory over {MANY_LINES:,} lines, MiB after each fifth: {' '.join(f'{size:.1f}' for size in sizes)}\n"
        f"longest time without a turn for others: {longest * 1e3:.1f} ms"
    )


ONE_MODEL = "import pydantic\nclass One(pydantic.BaseModel):\n    number: int = 1\nOne(number=2)\n"
EVERY_MODEL = ONE_MODEL + "from swarmkit.models import event, filters, rollout, system"


def importing(line: str) -> float:
    """Seconds that a program takes which only imports."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", line], check=True)
    return time.perf_counter() - began


def repeated(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    for _ in range(2000):
        call()
    return (time.perf_counter() - began) / 2000


# --- the comparisons -------------------------------------------------------------------------------------------------


def compare(title: str, contenders: dict[str, Callable[[], float]], unit: str = "µs", *, rounds: int = ROUNDS) -> None:
    figures: dict[str, list[float]] = {who: [] for who in contenders}
    for _ in range(rounds):
        for who, measure in contenders.items():
            figures[who].append(measure())
    medians = {who: statistics.median(values) for who, values in figures.items()}
    first = next(iter(medians.values()))
    scale = {"ns": 1e9, "µs": 1e6, "ms": 1e3}[unit]
    print(f"\n{title}")
    for who, median in medians.items():
        ratio = "" if median == first else f"   swarmkit takes {first / median:5.2f} times as long"
        print(f"  {who:34} {median * scale:9.0f} {unit}{ratio}", flush=True)


@contextmanager
def pinned(server: int) -> Iterator[None]:
    """Both processes on one CPU: the scheduler then decides nothing."""
    before, cpu = os.sched_getaffinity(0), {min(os.sched_getaffinity(0))}
    os.sched_setaffinity(0, cpu)
    os.sched_setaffinity(server, cpu)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        os.sched_setaffinity(server, before)


def requests(path: str, server: int) -> None:
    one_by_one: dict[str, Callable[[], float]] = {
        "swarmkit, typed": lambda: asyncio.run(ours(path, "one")),
        "swarmkit on trio": lambda: trio.run(ours_on_trio, path, "one"),
        "aiodocker, dicts": lambda: asyncio.run(theirs(path, "one")),
        "docker-py, dicts": lambda: blocking(path, "one"),
        "httpx, dicts": lambda: asyncio.run(httpx_itself(path, "one")),
        "a bare socket on a loop, bytes": lambda: asyncio.run(bare_on_a_loop(path)),
        "a bare blocking socket, bytes": lambda: bare(path),
    }
    compare("inspect a service, one call after another", one_by_one)
    with pinned(server):
        compare("the same, both processes on one CPU", one_by_one)
    for number in (AT_ONCE, BURST):
        few = number > AT_ONCE
        contenders: dict[str, Callable[[], float]] = {
            "swarmkit, typed": partial(_run, ours, path, str(number)),
            "swarmkit on trio": partial(trio.run, ours_on_trio, path, str(number)),
            "aiodocker, dicts": partial(_run, theirs, path, str(number)),
        }
        if not few:  # its own pool takes minutes for more
            contenders["httpx, dicts"] = partial(_run, httpx_itself, path, str(number))
        compare(
            f"inspect a service, {number:,} calls at once, all of which succeed",
            contenders,
            rounds=3 if few else ROUNDS,
        )
    asyncio.run(_peak(path))


def _run(client: Callable[[str, Any], Any], path: str, what: Any) -> float:
    return asyncio.run(client(path, what))


async def _peak(path: str) -> None:
    """Connections open at a time in a burst, as the other side counts them."""
    await _ask(path, b"GET /peak HTTP/1.1\r\nHost: docker\r\n\r\n")
    await ours(path, str(BURST))
    peak = await _ask(path, b"GET /peak HTTP/1.1\r\nHost: docker\r\n\r\n")
    print(f"\nmost connections in a burst of {BURST:,}: {int(peak) - 1}, with max_connections=64")


async def _ask(path: str, request: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    body = await reader.readexactly(int(head.rpartition(b"Content-Length: ")[2]))
    writer.close()
    return body


def memory(path: str, server: int) -> None:
    async def run() -> None:
        async with SwarmClient(f"unix://{path}") as client:
            sizes = []
            for _ in range(5):
                for _ in range(LONG_RUN // 5):
                    await client.services.inspect("web")
                sizes.append(_resident())
            print(
                f"\nmemory over {LONG_RUN:,} calls, MiB after each fifth: {' '.join(f'{size:.1f}' for size in sizes)}"
            )

    asyncio.run(run())


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def lists(path: str, server: int) -> None:
    for size in LISTS:
        what = f"list-{size}"
        compare(
            f"list {size:,} services, still held when the clock stops",
            {
                "swarmkit, typed": partial(_run, ours, path, what),
                "aiodocker, dicts": partial(_run, theirs, path, what),
                "docker-py, dicts": partial(blocking, path, what),
            },
            "ms",
        )


def logs(path: str, server: int) -> None:
    for timestamps in (False, True):
        compare(
            f"{LINES:,} log lines, each" + (", with timestamps" if timestamps else ""),
            {
                "swarmkit, counted": partial(_run, partial(our_lines, read=False), path, timestamps),
                "swarmkit, every field read": partial(_run, partial(our_lines, read=True), path, timestamps),
                "swarmkit on trio, counted": partial(trio.run, partial(our_lines, read=False), path, timestamps),
                "aiodocker, counted": partial(_run, their_lines, path, timestamps),
                "docker-py, counted": partial(blocking_lines, path, timestamps),
            },
            "ns",
            rounds=5,
        )
    asyncio.run(long_log(path))


def imports(path: str, server: int) -> None:
    compare(
        "import, as a whole process",
        {
            "httpx, anyio, pydantic; swarmkit": lambda: importing("import httpx, anyio, pydantic, swarmkit"),
            "httpx, anyio, pydantic": lambda: importing("import httpx, anyio, pydantic"),
            "every model of swarmkit": lambda: importing(EVERY_MODEL),
            "one pydantic model": lambda: importing(ONE_MODEL),
            "swarmkit.SwarmClient": lambda: importing("from swarmkit import SwarmClient"),
            "aiodocker": lambda: importing("import aiodocker"),
            "docker": lambda: importing("import docker"),
        },
        "ms",
    )


def models(path: str, server: int) -> None:
    body = json.dumps(SERVICE).encode()
    spec = Service.from_wire(body).spec
    compare(
        "one service, without any transport",
        {
            "read into a model": lambda: repeated(lambda: Service.from_wire(body)),
            "json.loads": lambda: repeated(lambda: json.loads(body)),
            "write the spec": lambda: repeated(spec.wire),
        },
    )


PARTS: dict[str, Callable[[str, int], None]] = {
    "requests": requests,
    "memory": memory,
    "lists": lists,
    "logs": logs,
    "imports": imports,
    "models": models,
    "waits": lambda path, server: waits.main(),
}


def main(*parts: str) -> None:
    folder = tempfile.TemporaryDirectory()
    path = str(Path(folder.name) / "canned.sock")
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    server = context.Process(target=serve, args=(path, ready), daemon=True)
    server.start()
    assert server.pid is not None
    ready.wait(30)
    try:
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs, {ROUNDS} rounds of {CALLS} calls, medians")
        for part in parts or PARTS:
            PARTS[part](path, server.pid)
    finally:
        server.terminate()
        server.join()
        folder.cleanup()


if __name__ == "__main__":
    main(*sys.argv[1:])
