"""Three managers: joining, draining, locks, elections, and a quorum that is lost. One cluster for the whole file."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import anyio.to_thread
import pytest

from swarmkit import (
    AlreadyInSwarm,
    BadRequest,
    ContainerSpec,
    EncryptionConfig,
    Forbidden,
    NoQuorum,
    NotAManager,
    OrchestrationConfig,
    OutcomeUnknown,
    Replicated,
    Swarm,
    SwarmClient,
    SwarmkitError,
    SwarmLocked,
    SwarmSpec,
    TaskTemplate,
    UpdateConfig,
)
from tests.harness.cluster import Cluster
from tests.integration.conftest import require_engine

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("cluster")]

RELEASE = "28.5"
SILENT = TaskTemplate(container_spec=ContainerSpec("busybox:1.36"))
QUICK = UpdateConfig(monitor=timedelta(milliseconds=100))
NONE = Replicated(replicas=0)


@pytest.fixture
def anyio_backend() -> str:
    """One is enough where it is the managers that take their time."""
    return "asyncio"


@pytest.fixture(scope="module", params=[pytest.param(RELEASE, id="cluster")])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Two managers and a worker, of which this package has made a swarm."""
    release: str = request.param
    require_engine(release)
    with Cluster(3, release, form=False) as running:
        anyio.run(_form, running)
        yield running


async def _form(cluster: Cluster) -> None:
    first, second, third = cluster.nodes
    async with clients(cluster) as (one, two, three):
        spec = SwarmSpec(orchestration=OrchestrationConfig(task_history_retention_limit=3))
        node_id = await one.swarm.init(
            advertise_addr=first.address,
            data_path_port=5000,
            default_addr_pool=["10.20.0.0/16"],
            subnet_size=26,
            auto_lock_managers=True,
            spec=spec,
        )
        assert node_id == first.id
        swarm = await one.swarm.inspect()
        tokens = swarm.join_tokens
        assert tokens is not None
        assert tokens.worker is not None
        assert tokens.manager is not None
        assert (5000, ["10.20.0.0/16"], 26) == (swarm.data_path_port, swarm.default_addr_pool, swarm.subnet_size)
        assert spec.orchestration == swarm.spec.orchestration
        assert EncryptionConfig(auto_lock_managers=True) == swarm.spec.encryption_config

        here = first.swarm_address
        nowhere = "192.0.2.1:2377"  # there is no way to it, which engines see at once
        with pytest.raises(NoQuorum, match="unreachable"):
            await three.swarm.join(remote_addrs=[nowhere], join_token=tokens.manager)
        await three.swarm.join(remote_addrs=[nowhere, here], join_token=tokens.manager)
        await two.swarm.join(remote_addrs=[here], join_token=tokens.worker, availability="pause")
        with pytest.raises(AlreadyInSwarm):
            await two.swarm.join(remote_addrs=[here], join_token=tokens.worker)
    await in_thread(cluster.settle)
    assert (True, False, True) == (first.is_manager, second.is_manager, third.is_manager)


@asynccontextmanager
async def clients(cluster: Cluster) -> AsyncGenerator[tuple[SwarmClient, ...]]:
    """A client of each node."""
    async with AsyncExitStack() as stack:
        made = [SwarmClient(node.tcp_host, registry_auth=None) for node in cluster.nodes]
        yield tuple([await stack.enter_async_context(client) for client in made])


async def in_thread(step: Callable[..., object], *args: object) -> None:
    """Wait for the harness, which knows no event loop, while the clients go on."""
    await anyio.to_thread.run_sync(lambda: step(*args))


async def eventually(met: Callable[[], Awaitable[bool]], *allowed: type[Exception]) -> None:
    """Wait until it holds; `allowed` is what may be raised until then, by a manager without a leader after 20 s."""
    with anyio.fail_after(100):
        while True:
            try:
                if await met():
                    return
            except allowed:
                pass
            await anyio.sleep(0.1)


async def places(client: SwarmClient, service: str) -> set[str | None]:
    """The nodes on which tasks of a service are to run."""
    return {task.node_id for task in await client.services.ps(service) if task.desired_state == "running"}


# --- what a worker is ------------------------------------------------------------------------------------------------


async def test_a_worker_answers_no_question_about_the_swarm(cluster: Cluster) -> None:
    async with clients(cluster) as (_, worker, _):
        calls: list[Callable[[], Awaitable[Any]]] = [
            worker.swarm.inspect,
            worker.swarm.unlock_key,
            worker.services.list,
            lambda: worker.swarm.init(force_new_cluster=True),
            lambda: worker.swarm.update(labels={}),
        ]
        for call in calls:
            with pytest.raises(NotAManager) as caught:
                await call()
            assert caught.value.state == "worker"


async def test_tasks_leave_a_node_that_is_drained(cluster: Cluster) -> None:
    node = cluster.nodes[1]
    async with clients(cluster) as (client, _, _):
        await client.services.create(SILENT, name="spread", mode=Replicated(replicas=4), update_config=QUICK)
        await client.services.wait("spread", timeout=20)
        assert node.id not in await places(client, "spread")  # it joined in a pause
        await client.nodes.activate(node.id)
        await client.services.force_update("spread")
        await client.services.wait("spread", timeout=30)
        assert node.id in await places(client, "spread")
        await client.nodes.drain(node.id)

        async def moved() -> bool:
            return node.id not in await places(client, "spread")

        await eventually(moved)
        await client.services.wait("spread", timeout=20)
        await client.nodes.activate(node.id)
        await client.services.remove("spread", wait=True)


# --- managers --------------------------------------------------------------------------------------------------------


async def test_a_worker_that_is_promoted_answers_and_locks(cluster: Cluster) -> None:
    node = cluster.nodes[1]
    async with clients(cluster) as (client, promoted, _):
        await client.nodes.promote(node.id)
        with anyio.fail_after(20):
            await eventually(lambda: _answers(promoted), NotAManager, NoQuorum)
        assert await client.swarm.unlock_key() == await promoted.swarm.unlock_key()


async def _creates(client: SwarmClient) -> bool:
    return bool((await client.services.create(SILENT, mode=NONE)).id)


async def _answers(client: SwarmClient) -> bool:
    return bool(await client.nodes.list())


async def test_a_manager_that_was_restarted_is_locked_until_it_gets_the_key(cluster: Cluster) -> None:
    node = cluster.nodes[2]
    async with clients(cluster) as (client, _, locked):
        key = await client.swarm.unlock_key()
        await in_thread(node.kill)
        await in_thread(node.start)
        assert node.state == "locked"
        calls: list[Callable[[], Awaitable[Any]]] = [
            locked.swarm.inspect,
            locked.services.list,
            locked.swarm.leave,
            lambda: locked.services.create(SILENT, name="never"),
        ]
        for call in calls:
            with pytest.raises(SwarmLocked):
                await call()
        other = await client.swarm.rotate_unlock_key()
        with pytest.raises(Forbidden, match="invalid key"):
            await locked.swarm.unlock(other)  # it was down when the key changed
        with pytest.raises(BadRequest, match="invalid key"):
            await locked.swarm.unlock("nonsense")
        await locked.swarm.unlock(key)
        await eventually(lambda: _answers(locked), NotAManager, NoQuorum)
        await client.swarm.update(encryption_config=EncryptionConfig(auto_lock_managers=False))
        with pytest.raises(Forbidden, match="participating as a manager"):
            await locked.swarm.leave()


async def test_certificates_go_over_to_another_root(cluster: Cluster) -> None:
    async with clients(cluster) as (client, _, _):
        before = await client.swarm.inspect()
        begun = await client.swarm.rotate_ca()
        assert begun.root_rotation_in_progress is True

        async def arrived() -> bool:
            return (await client.swarm.inspect()).root_rotation_in_progress is False

        await eventually(arrived)
        after = await client.swarm.inspect()
        assert _root(before) != _root(after)
        assert before.join_tokens != after.join_tokens


def _root(swarm: Swarm) -> str | None:
    return None if swarm.tls_info is None else swarm.tls_info.trust_root


async def test_a_manager_is_demoted_and_leaves(cluster: Cluster) -> None:
    await in_thread(cluster.settle)
    node = cluster.followers[0]
    async with clients(cluster) as of_all:
        client, leaving = of_all[cluster.nodes.index(cluster.leader)], of_all[cluster.nodes.index(node)]
        node_id = node.id
        await client.nodes.demote(node.id)

        async def demoted() -> bool:
            return not node.is_manager

        await eventually(demoted)
        await leaving.swarm.leave()
        with pytest.raises(NotAManager) as caught:
            await leaving.swarm.inspect()
        assert caught.value.state == "inactive"

        assert node_id in [one.id for one in await client.nodes.list()]  # it stays on the list
        await leaving.swarm.join(remote_addrs=[cluster.leader.swarm_address], join_token=await manager_token(client))
    await in_thread(cluster.settle)


async def manager_token(client: SwarmClient) -> str:
    tokens = (await client.swarm.inspect()).join_tokens
    assert tokens is not None
    assert tokens.manager is not None
    return tokens.manager


class Load:
    """Creates of services by all managers at once, and what became of them."""

    def __init__(self) -> None:
        self.acknowledged: set[str] = set()
        self.unknown: dict[str, SwarmkitError] = {}
        self.reads = 0

    async def create(self, client: SwarmClient, worker: str) -> None:
        count = 0
        while True:
            name, count = f"load-{worker}-{count}", count + 1
            try:
                await client.services.create(SILENT, name=name, mode=NONE)
                self.acknowledged.add(name)
            except (OutcomeUnknown, NoQuorum) as error:
                self.unknown[name] = error
            await anyio.sleep(0.05)

    async def read(self, client: SwarmClient) -> None:
        while True:
            await client.services.list()
            self.reads += 1
            await anyio.sleep(0.05)


async def test_calls_ride_out_an_election_and_a_lost_quorum_says_so(cluster: Cluster) -> None:
    await in_thread(cluster.settle)
    leader, followers = cluster.leader, cluster.followers
    load = Load()
    async with clients(cluster) as of_all:
        of = dict(zip([node.name for node in cluster.nodes], of_all, strict=True))
        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                for node in cluster.nodes:
                    tasks.start_soon(load.create, of[node.name], node.name)
                for node in followers:
                    tasks.start_soon(load.read, of[node.name])
                while len(load.acknowledged) < 20:
                    await anyio.sleep(0.05)
                await in_thread(leader.kill)
                before, reads = len(load.acknowledged), load.reads
                while len(load.acknowledged) < before + 20 or load.reads < reads + 5:
                    await anyio.sleep(0.05)
                tasks.cancel_scope.cancel()  # what the killed one was to do waits for it to come back
        last = cluster.leader
        with cluster.followers[0].frozen(), pytest.raises(NoQuorum):  # once it notices that it leads nobody
            await of[last.name].services.create(SILENT, name="lost", mode=NONE)
        await eventually(lambda: _creates(of[last.name]), NoQuorum, OutcomeUnknown)
        names = {service.name for service in await of[last.name].services.list()}
        assert load.acknowledged - names == set()
