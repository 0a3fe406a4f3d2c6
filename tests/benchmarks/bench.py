"""Speed beside other clients, as ratios measured in one run: `nox -s bench`.

Canned answers come from another process over a Unix socket, so that only clients are compared. Each figure is the
median of rounds that take turns; look at the ratios, not at the times.
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiodocker
import docker
import trio

from swarmkit import Service, SwarmClient

ROUNDS, CALLS = 9, 200
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


HEAD = b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


def serve(path: str, ready: Any) -> None:
    """Answer every request on every connection with what its path asks for."""
    lists = {size: json.dumps([SERVICE] * size).encode() for size in LISTS}
    bodies = {b"/_ping": b"OK"}
    one = json.dumps(SERVICE).encode()
    version = json.dumps({"ApiVersion": "1.51", "MinAPIVersion": "1.24"}).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target, _, query = head.split(b" ", 2)[1].partition(b"?")
                plain = b"/" + target.split(b"/", 2)[-1] if target.startswith(b"/v1.") else target
                body = version if plain == b"/version" else bodies.get(plain, one)
                if plain == b"/services":
                    body = next(body for size, body in lists.items() if b"list-%d%%22" % size in query)
                writer.write(HEAD % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        async with await asyncio.start_unix_server(answer, path, backlog=512) as server:
            ready.set()
            await server.serve_forever()

    asyncio.run(run())


def bare(path: str) -> float:
    """Seconds for a call with nothing around it: one connection, a blocking socket, no decoding."""
    request = b"GET /v1.51/services/web HTTP/1.1\r\nHost: docker\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        began = time.perf_counter()
        for _ in range(CALLS):
            sock.sendall(request)
            data = sock.recv(65536)
            head, _, body = data.partition(b"\r\n\r\n")
            size = int(head.rpartition(b"Content-Length: ")[2])
            while len(body) < size:
                body += sock.recv(65536)
        return (time.perf_counter() - began) / CALLS


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
        if what == "burst":
            return await burst(lambda: client.services.inspect("web"))
        return await timed(lambda: client.services.inspect("web"))


async def burst(call: Callable[[], Awaitable[Any]]) -> float:
    """Seconds a call, all of them at once."""
    await call()
    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(CALLS)))
    return (time.perf_counter() - began) / CALLS


async def theirs(path: str, what: str) -> float:
    async with aiodocker.Docker(url=f"unix://{path}", api_version="v1.51") as client:
        if what.startswith("list-"):
            return await held(lambda: client.services.list(filters={"name": what}))
        if what == "burst":
            return await burst(lambda: client.services.inspect("web"))
        return await timed(lambda: client.services.inspect("web"))


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


ONE_MODEL = "import pydantic\nclass One(pydantic.BaseModel):\n    number: int = 1\nOne(number=2)\n"
EVERY_MODEL = (
    f"{ONE_MODEL}import swarmkit.models.filters, swarmkit.models.rollout, swarmkit.models.system, swarmkit.models.event"
)


def importing(line: str) -> float:
    """Seconds that a program takes which only imports."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", line], check=True)
    return time.perf_counter() - began


def compare(title: str, contenders: dict[str, Callable[[], float]], unit: float = 1e6, name: str = "µs") -> None:
    figures: dict[str, list[float]] = {who: [] for who in contenders}
    for _ in range(ROUNDS):
        for who, measure in contenders.items():
            figures[who].append(measure())
    medians = {who: statistics.median(values) for who, values in figures.items()}
    first = next(iter(medians.values()))
    print(f"\n{title}")
    for who, median in medians.items():
        print(f"  {who:34} {median * unit:9.0f} {name}   swarmkit takes {first / median:5.2f} times as long")


def main() -> None:
    folder = tempfile.TemporaryDirectory()
    path = str(Path(folder.name) / "canned.sock")
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    server = context.Process(target=serve, args=(path, ready), daemon=True)
    server.start()
    ready.wait(30)
    try:
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs, {ROUNDS} rounds of {CALLS} calls, medians")
        compare(
            "inspect a service, one call after another",
            {
                "swarmkit, typed": lambda: asyncio.run(ours(path, "inspect")),
                "swarmkit on trio": lambda: trio.run(ours, path, "inspect"),
                "aiodocker, dicts": lambda: asyncio.run(theirs(path, "inspect")),
                "docker-py, dicts": lambda: blocking(path, "inspect"),
                "a bare socket, bytes": lambda: bare(path),
            },
        )
        compare(
            "inspect a service, 200 calls at once",
            {
                "swarmkit, typed": lambda: asyncio.run(ours(path, "burst")),
                "aiodocker, dicts": lambda: asyncio.run(theirs(path, "burst")),
            },
        )
        for size in LISTS:
            compare(
                f"list {size:,} services, still held when the clock stops",
                {
                    "swarmkit, typed": lambda what=f"list-{size}": asyncio.run(ours(path, what)),
                    "aiodocker, dicts": lambda what=f"list-{size}": asyncio.run(theirs(path, what)),
                    "docker-py, dicts": lambda what=f"list-{size}": blocking(path, what),
                },
                1e3,
                "ms",
            )
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
            1e3,
            "ms",
        )
        body = json.dumps(SERVICE).encode()
        spec = Service.from_wire(body).spec
        compare(
            "one service, without any transport",
            {
                "read into a model": lambda: _repeat(lambda: Service.from_wire(body)),
                "json.loads": lambda: _repeat(lambda: json.loads(body)),
                "write the spec": lambda: _repeat(spec.wire),
            },
        )
    finally:
        server.terminate()
        server.join()
        folder.cleanup()


def _repeat(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    for _ in range(2000):
        call()
    return (time.perf_counter() - began) / 2000


if __name__ == "__main__":
    main()
