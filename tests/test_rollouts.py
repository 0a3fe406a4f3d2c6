"""Waits on an embedded cluster: nodes that are drained, die, come back and join while services roll out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from swarmkit import (
    ContainerSpec,
    Global,
    Healthcheck,
    NotFound,
    Progress,
    Replicated,
    ReplicatedJob,
    RolloutTimeout,
    ServiceRemoved,
    SwarmClient,
    TasksFailing,
    TaskTemplate,
    UpdateConfig,
)
from swarmkit.testing import FakeEngine

pytestmark = pytest.mark.anyio


@pytest.fixture
def cluster() -> FakeEngine:
    """Three nodes."""
    engine = FakeEngine()
    for name in ("worker-1", "worker-2"):
        engine.add_node(name)
    return engine


@pytest.fixture
async def client(cluster: FakeEngine) -> AsyncIterator[SwarmClient]:
    async with cluster.client(registry_auth=None) as client:
        yield client


def template(**more: Any) -> TaskTemplate:
    return TaskTemplate(container_spec=ContainerSpec("nginx:1.28", **more))


async def watched(
    client: SwarmClient, *names: str, when: Callable[[Progress], bool], do: Callable[[], Any]
) -> list[str]:
    """The phases of a watch, during which something is done once."""
    phases: list[str] = []
    done = False
    async for progress in client.services.watch(*names, timeout=600):
        phases.append(progress.phase)
        if not done and when(progress):
            done = True
            do()
    assert done
    return phases


def verifies(progress: Progress) -> bool:
    return progress.phase == "verifying"


async def nodes_of(client: SwarmClient, name: str) -> set[str]:
    tasks = await client.services.ps(name)
    return {task.node_id or "" for task in tasks if task.state == "running" and task.desired_state == "running"}


async def test_a_node_that_is_drained_during_a_rollout_is_left_and_the_watch_starts_anew(
    cluster: FakeEngine, client: SwarmClient
) -> None:
    await client.services.create(template(), name="web", mode=Replicated(replicas=6))
    worker = cluster.nodes[1]
    phases = await watched(client, "web", when=verifies, do=worker.drain)

    assert 2 == phases.count("verifying")
    assert "converged" == phases[-1]
    assert worker.id not in await nodes_of(client, "web")


async def test_a_node_that_dies_during_a_rollout_is_replaced_before_the_service_has_arrived(
    cluster: FakeEngine, client: SwarmClient
) -> None:
    slowly = UpdateConfig(monitor=timedelta(seconds=60))
    await client.services.create(template(), name="web", mode=Replicated(replicas=6), update_config=slowly)
    worker = cluster.nodes[2]
    phases = await watched(client, "web", when=verifies, do=worker.kill)

    assert 2 <= phases.count("verifying")
    assert "converged" == phases[-1]
    assert worker.id not in await nodes_of(client, "web")


async def test_a_global_service_arrives_on_the_nodes_there_are(cluster: FakeEngine, client: SwarmClient) -> None:
    cluster.nodes[1].drain()
    await client.services.create(template(), name="agent", mode=Global())
    progress = (await client.services.wait("agent", timeout=60)).progress
    assert (2, 2) == (progress.arrived, progress.wanted)

    cluster.nodes[1].activate()
    worker = cluster.add_node("worker-3")
    progress = (await client.services.wait("agent", timeout=60)).progress
    assert (4, 4) == (progress.arrived, progress.wanted)
    assert worker.id in {slot.node_id for slot in progress.slots}


async def test_a_job_whose_node_dies_has_failed_unless_it_comes_back(cluster: FakeEngine, client: SwarmClient) -> None:
    cluster.complete_tasks(service="job", after=90)
    mode = ReplicatedJob(max_concurrent=3, total_completions=3)
    worker = cluster.nodes[1]

    def run(progress: Progress) -> bool:
        return {slot.state for slot in progress.slots} == {"running"}

    await client.services.create(template(), name="job", mode=mode)
    with pytest.raises(TasksFailing, match="for 60 s a task is lost, and those of jobs are not replaced"):
        await watched(client, "job", when=run, do=worker.kill)
    worker.revive()
    assert 3 == (await client.services.wait("job", timeout=600)).progress.arrived


async def test_a_service_that_no_node_can_take_is_told_before_the_others_arrive(
    cluster: FakeEngine, client: SwarmClient
) -> None:
    for node in cluster.nodes:
        node.pause()
    await client.services.create(template(), name="web")
    with pytest.raises(TasksFailing, match="for 60 s no node has taken a task: no suitable node"):
        await client.services.wait("web")


async def test_a_removal_waits_for_no_dead_node_longer_than_it_may(cluster: FakeEngine, client: SwarmClient) -> None:
    await client.services.create(template(), name="agent", mode=Global())
    await client.services.wait("agent", timeout=60)
    worker = cluster.nodes[1]
    worker.kill()
    with pytest.raises(RolloutTimeout, match=f"is removed, its tasks on {worker.id} are not gone yet"):
        await client.services.remove("agent", wait=True, timeout=300)


async def test_a_failing_healthcheck_keeps_a_rollout_from_arriving(client: SwarmClient) -> None:
    check = Healthcheck(test=["CMD-SHELL", "exit 1"], interval=timedelta(seconds=1), retries=2)
    await client.services.create(template(healthcheck=check), name="web")
    with pytest.raises(TasksFailing, match="unhealthy container"):
        await client.services.wait("web", timeout=600)


async def test_one_of_fifty_services_is_removed_by_another(cluster: FakeEngine, client: SwarmClient) -> None:
    names = [f"s{number}" for number in range(50)]
    for name in names:
        await client.services.create(template(), name=name)
    removed = False
    with pytest.raises(ServiceRemoved, match="service s7: failing") as caught:
        async for progress in client.services.watch(*names, timeout=60):
            if not removed and verifies(progress):
                removed = True
                await client.services.remove("s7")
    assert 49 == len(caught.value.others)


async def test_services_are_found_by_id_by_name_and_by_the_beginning_of_an_id(
    client: SwarmClient, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [(await client.services.create(template(), name=name)).id for name in ("web", "web-2", "db", "cache")]
    caplog.set_level(logging.DEBUG, logger="swarmkit")
    rollout = await client.services.wait("web", ids[2], ids[1], ids[3][:12], "db", timeout=60)

    assert ["web", "db", "web-2", "cache"] == [progress.service_name for progress in rollout.services]
    assert 1 == sum("GET /services/" in record.getMessage() for record in caplog.records)
    with pytest.raises(NotFound, match="nope"):
        await client.services.wait("web", "nope", timeout=60)


async def test_a_wait_needs_something_to_wait_for(client: SwarmClient) -> None:
    with pytest.raises(ValueError, match="name a service"):
        await client.services.wait()
