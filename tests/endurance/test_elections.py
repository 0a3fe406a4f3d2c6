"""Three managers whose leader is killed again and again, under clients that do all there is to do at once."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import anyio
import anyio.to_thread
import pytest

from swarmkit import (
    ContainerSpec,
    Event,
    NoQuorum,
    NotFound,
    OutcomeUnknown,
    Replicated,
    ServiceSpec,
    SwarmClient,
    TaskTemplate,
)
from tests.harness.cluster import Cluster
from tests.harness.packages import RELEASES, why_not

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

KILLS = int(os.environ.get("SWARMKIT_ENDURANCE_KILLS", "3"))
AT_MOST = 240.0
SILENT = TaskTemplate(container_spec=ContainerSpec("busybox:1.36"))
SPEAKING = TaskTemplate(
    container_spec=ContainerSpec("busybox:1.36", command=["sh", "-c", "while :; do echo hello; sleep 0.2; done"])
)
NONE = Replicated(replicas=0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=list(RELEASES))
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    release: str = request.param
    if reason := why_not(release):
        pytest.fail(reason, pytrace=False)
    with Cluster(3, release) as running:
        yield running


class Load:
    """What was asked, and what became of it."""

    def __init__(self) -> None:
        self.acknowledged: set[str] = set()
        self.counted = 0
        self.uncounted = 0
        self.said = Counter[str]()
        self.slowest = 0.0

    async def go_on(self, what: str, step: Callable[[], Awaitable[object]]) -> None:
        """Do it again and again; a change may be lost on the way, and nothing else may go wrong."""
        while True:
            began = time.monotonic()
            try:
                await step()
                self.said[what] += 1
            except (OutcomeUnknown, NoQuorum) as error:
                if what == "list":
                    raise
                self.said[f"{what}: {type(error).__name__}"] += 1
            except NotFound:
                # A manager answers as the leader before it has applied all of its log, most of all after a restart.
                if what != "edit":
                    raise
                self.said["edit: not there yet"] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            await anyio.sleep(0.02)

    async def create(self, client: SwarmClient) -> None:
        name = f"load-{self.said['tried']}"
        self.said["tried"] += 1
        await client.services.create(SILENT, name=name, mode=NONE)
        self.acknowledged.add(name)

    async def count(self, client: SwarmClient) -> None:
        """Count up in a label, which shows a change that was lost, and one that was made twice."""

        def up(spec: ServiceSpec) -> None:
            spec.labels = {"count": str(int((spec.labels or {}).get("count", 0)) + 1)}

        try:
            await client.services.edit("counter", up)
            self.counted += 1
        except (OutcomeUnknown, NoQuorum):
            self.uncounted += 1
            raise

    async def follow_events(self, client: SwarmClient) -> None:
        async with client.system.events(filters={"type": "service"}, reconnect=None) as events:
            async for event in events:
                self.said[type(event).__name__] += 1
                if isinstance(event, Event) and event.action == "create":
                    self.said["creates heard of"] += 1

    async def follow_logs(self, client: SwarmClient) -> None:
        async with client.services.logs("speaking", follow=True, resume=True) as lines:
            async for line in lines:
                assert line.message == "hello"
                self.said["lines"] += 1


async def test_nothing_that_was_acknowledged_is_lost_by_elections(cluster: Cluster) -> None:
    load = Load()
    # The clients' own engine is never killed, even where it leads: what happens to others reaches them through it.
    kept = cluster.followers[0]
    mortal = [node for node in cluster.nodes if node is not kept]
    began = time.monotonic()
    async with SwarmClient(kept.tcp_host, registry_auth=None, timeout=120) as client:
        await client.services.create(SILENT, name="counter", mode=NONE)
        await client.services.create(SPEAKING, name="speaking")
        await client.services.wait("speaking", timeout=30)
        with anyio.fail_after(AT_MOST):
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(load.go_on, "create", lambda: load.create(client))
                for _ in range(2):
                    tasks.start_soon(load.go_on, "edit", lambda: load.count(client))
                    tasks.start_soon(load.go_on, "list", client.services.list)
                tasks.start_soon(load.follow_events, client)
                tasks.start_soon(load.follow_logs, client)
                for _ in range(KILLS):
                    await anyio.sleep(2)
                    leader = await anyio.to_thread.run_sync(lambda: cluster.leader)
                    victim = leader if leader in mortal else mortal[0]
                    await anyio.to_thread.run_sync(victim.kill)
                    before = load.said["create"]
                    while load.said["create"] < before + 20:
                        await anyio.sleep(0.1)
                    await anyio.to_thread.run_sync(victim.start)
                    await anyio.to_thread.run_sync(cluster.settle)
                    load.said["kills of the leader" if victim is leader else "kills of another"] += 1
                tasks.cancel_scope.cancel()
        services = {service.name: service for service in await client.services.list()}
    assert load.acknowledged - services.keys() == set()
    reached = int((services["counter"].spec.labels or {})["count"])
    # An edit that was cancelled at the end may have been made, as may those whose outcome is unknown.
    assert load.counted <= reached <= load.counted + load.uncounted + 2
    assert load.said["lines"] > 10
    assert load.said["creates heard of"] > 0
    print(
        f"\n{cluster.nodes[0].engine.release}: {time.monotonic() - began:.0f} s, slowest {load.slowest:.1f} s,", end=" "
    )
    print(", ".join(f"{what} {count}" for what, count in sorted(load.said.items())), f"counted {reached}")
