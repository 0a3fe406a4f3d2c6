"""Three managers, one client: the one in use, which leads, is killed under load."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, pairwise

import anyio
import anyio.to_thread
import pytest

from swarmkit import (
    ContainerSpec,
    Event,
    EventsLost,
    LogLine,
    NoQuorum,
    OutcomeUnknown,
    Placement,
    Replicated,
    Resync,
    SwarmClient,
    TaskTemplate,
)
from tests.harness.cluster import Cluster
from tests.integration.conftest import require_engine

pytestmark = pytest.mark.anyio

RELEASE = "28.5"
SILENT = TaskTemplate(container_spec=ContainerSpec("busybox:1.36"))
COUNTING = "n=0; while :; do n=$((n+1)); echo $n; sleep 0.1; done"
NONE = Replicated(replicas=0)


@pytest.fixture
def anyio_backend() -> str:
    """One run: an election takes its time."""
    return "asyncio"


@pytest.fixture(params=[pytest.param(RELEASE, id="cluster", marks=pytest.mark.xdist_group("cluster"))])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Three managers that only this test has."""
    require_engine(request.param)
    with Cluster(3, request.param) as running:
        yield running


class Load:
    """Tasks that use one client all the time, and what became of their changes."""

    def __init__(self, client: SwarmClient) -> None:
        self._client = client
        self.acknowledged: set[str] = set()
        self.unknown: list[OutcomeUnknown | NoQuorum] = []
        self.labels: dict[str, set[str]] = {}
        """For each service the labels that it may have now: the last one known, and those sent since."""
        self.lists = 0
        self.items: list[Event | Resync | EventsLost] = []
        self.lines: list[LogLine] = []
        self.over = False

    async def create(self, worker: int) -> None:
        for number in count():
            if self.over:
                return
            name = f"load-{worker}-{number}"
            try:
                await self._client.services.create(SILENT, name=name, mode=NONE)
                self.acknowledged.add(name)
            except (OutcomeUnknown, NoQuorum) as error:
                self.unknown.append(error)

    async def update(self, name: str) -> None:
        self.labels[name] = set()
        for number in count():
            if self.over:
                return
            self.labels[name].add(str(number))
            try:
                await self._client.services.update(name, labels={"number": str(number)})
                self.labels[name] = {str(number)}
            except (OutcomeUnknown, NoQuorum) as error:
                self.unknown.append(error)

    async def look(self) -> None:
        while not self.over:
            await self._client.services.list()
            self.lists += 1

    async def listen(self) -> None:
        async with self._client.system.events() as events:
            async for item in events:
                self.items.append(item)

    async def read(self, service: str) -> None:
        async with self._client.services.logs(service, follow=True, resume=True) as lines:
            async for line in lines:
                self.lines.append(line)

    async def goes_on(self) -> None:
        """Return once everything has gone on for a while."""
        made, lists, lines = len(self.acknowledged), self.lists, len(self.lines)
        while not (len(self.acknowledged) >= made + 10 and self.lists >= lists + 10 and len(self.lines) >= lines + 10):
            await anyio.sleep(0.05)


async def test_a_client_outlives_the_manager_that_it_uses(cluster: Cluster) -> None:
    leader = cluster.leader
    survivors = [node for node in cluster.nodes if node is not leader]
    hosts = [node.tcp_host for node in (leader, *survivors)]
    with anyio.fail_after(40):
        async with SwarmClient(hosts, registry_auth=None) as client:
            there = Placement(constraints=[f"node.id=={survivors[0].id}"])
            speaking = TaskTemplate(
                container_spec=ContainerSpec("busybox:1.36", command=["sh", "-c", COUNTING]), placement=there
            )
            await client.services.create(speaking, name="speaking", networks=["host"])
            for name in ("one", "two"):
                await client.services.create(SILENT, name=name, mode=NONE)
            load = Load(client)
            async with anyio.create_task_group() as streams:
                streams.start_soon(load.listen)
                streams.start_soon(load.read, "speaking")
                async with anyio.create_task_group() as calls:
                    for worker in range(4):
                        calls.start_soon(load.create, worker)
                    calls.start_soon(load.update, "one")
                    calls.start_soon(load.update, "two")
                    calls.start_soon(load.look)
                    await load.goes_on()
                    await anyio.to_thread.run_sync(leader.kill)
                    await load.goes_on()
                    load.over = True
                await client.services.remove("two")
                while not (load.items and isinstance(load.items[-1], Event) and load.items[-1].action == "remove"):
                    await anyio.sleep(0.05)
                streams.cancel_scope.cancel()
            live = {service.name: service for service in await client.services.list()}
    # What was acknowledged is there, and nothing twice or besides but what may be.
    assert load.acknowledged <= live.keys()
    assert len(live.keys() - load.acknowledged - {"one", "speaking"}) <= len(load.unknown)
    assert (live["one"].spec.labels or {})["number"] in load.labels["one"]
    # The events say once that some are missing, and go on.
    gap = [type(item) for item in load.items if not isinstance(item, Event)]
    assert gap == [Resync, EventsLost]
    # Every line once, in order.
    numbers = [int(line.message) for line in load.lines]
    assert {1} == {later - earlier for earlier, later in pairwise(numbers)}
