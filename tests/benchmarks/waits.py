"""How soon a rollout is known to have arrived, and what asking costs: beside Docker's own program, on a real engine.

Both wait for the same updates. Needs one of the engines of `python -m tests.harness fetch`, and root.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from swarmkit import ContainerSpec, Replicated, RestartPolicy, SwarmClient, TaskTemplate, UpdateConfig
from tests.harness.engine import Engine
from tests.harness.packages import why_not

RELEASE: Final = "26.1"
ROUNDS: Final = 7
MONITOR: Final = timedelta(seconds=2)


class Counter(logging.Handler):
    """Counts the requests that this package sends."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.requests = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.requests += record.getMessage().startswith(("GET ", "POST "))


class Relay:
    """A socket before the engine's, for a program whose requests are to be counted."""

    def __init__(self) -> None:
        self.requests = 0

    @asynccontextmanager
    async def before(self, engine: Engine) -> AsyncIterator[str]:
        """The relay's host while it listens."""
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "relay.sock"))
            target = engine.host.removeprefix("unix://")

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                behind, to_engine = await asyncio.open_unix_connection(target)
                await asyncio.gather(self._pass_on(reader, to_engine, count=True), self._pass_on(behind, writer))

            async with await asyncio.start_unix_server(serve, path):
                yield f"unix://{path}"

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, count: bool = False) -> None:
        with suppress(OSError):
            while piece := await source.read(65536):
                self.requests += piece.count(b" HTTP/1.1\r\n") if count else 0
                sink.write(piece)
                await sink.drain()
        sink.close()


async def _end(wait: Awaitable[object], counter: Counter | Relay) -> tuple[float, int]:
    """When a wait ended, and how many requests had been made by then."""
    await wait
    return time.time(), counter.requests


async def _measure(engine: Engine) -> None:
    ours, theirs = Counter(), Relay()
    log = logging.getLogger("swarmkit")
    late: dict[str, list[float]] = {"swarmkit": [], "docker service update": []}
    rates: dict[str, list[float]] = {"swarmkit": [], "docker service update": []}
    async with SwarmClient(engine.host) as client, theirs.before(engine) as host:
        template = TaskTemplate(
            container_spec=ContainerSpec("busybox:1.36", command=["sleep", "1000"], stop_signal="KILL"),
            restart_policy=RestartPolicy(delay=timedelta(0)),
        )
        config = UpdateConfig(parallelism=1, monitor=MONITOR)
        await client.services.create(template, name="web", mode=Replicated(replicas=3), update_config=config)
        await client.services.wait("web", timeout=120)
        for _ in range(ROUNDS):
            before = (await client.services.inspect("web")).version.index
            command, environment = engine.docker_command("service", "update", "--force", "--quiet", "web")
            command[command.index("--host") + 1] = host
            process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.DEVNULL)
            while (await client.services.inspect("web")).version.index == before:
                await asyncio.sleep(0.01)
            log.addHandler(ours)
            log.setLevel(logging.DEBUG)
            began, first, second = time.time(), ours.requests, theirs.requests

            ends = await asyncio.gather(
                _end(client.services.wait("web", timeout=120), ours), _end(process.wait(), theirs)
            )
            log.removeHandler(ours)
            tasks = [task for task in await client.services.ps("web") if task.state == "running"]
            runs = max(task.status.timestamp.timestamp() for task in tasks if task.status and task.status.timestamp)
            for who, (ended, asked), asked_before in zip(late, ends, (first, second), strict=True):
                late[who].append(ended - runs - MONITOR.total_seconds())
                rates[who].append((asked - asked_before) / (ended - began))
        await client.services.remove("web", wait=True)
    print(f"\nan update of 3 tasks, known to have arrived after the last one has run for {MONITOR.total_seconds():g} s")
    for who in late:
        lateness, rate = statistics.median(late[who]), statistics.median(rates[who])
        print(f"  {who:34} {lateness * 1000:9.0f} ms later, {rate:5.1f} requests a second", flush=True)


def main() -> None:
    if obstacle := why_not(RELEASE):
        print(f"\nwaiting beside Docker's own program: not measured: {obstacle}")
        return
    with Engine(RELEASE) as engine:
        asyncio.run(_measure(engine))


if __name__ == "__main__":
    main()
