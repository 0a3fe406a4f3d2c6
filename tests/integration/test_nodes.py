"""The nodes of the swarm, as engines keep them: labels, what a drained node does, and what managers refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from swarmkit import (
    BadRequest,
    ContainerSpec,
    EngineError,
    FailedPrecondition,
    Node,
    NotFound,
    OutOfSequence,
    SwarmClient,
    Task,
    TasksFailing,
    TaskTemplate,
    UpdateConfig,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def node(client: SwarmClient) -> AsyncIterator[Node]:
    """The one node; it is left active and without labels."""
    node = await client.nodes.inspect("self")
    yield node
    await client.nodes.update(node.id, labels={}, availability="active")


async def test_a_node_is_found_by_its_id_and_host_name(client: SwarmClient, node: Node) -> None:
    for reference in (node.id, node.id[:8], node.hostname):
        assert node.id == (await client.nodes.inspect(reference)).id
    for nothing in (node.hostname.upper(), node.hostname[:4], "nowhere"):
        with pytest.raises(NotFound):
            await client.nodes.inspect(nothing)
    # The name in the spec is for people: engines look for the host's.
    await client.nodes.edit(node.id, lambda spec: setattr(spec, "name", "given"))
    try:
        assert "given" == (await client.nodes.inspect(node.id)).spec.name
        with pytest.raises(NotFound):
            await client.nodes.inspect("given")
    finally:
        await client.nodes.edit(node.id, lambda spec: setattr(spec, "name", None))
    assert not (await client.nodes.inspect(node.id)).spec.name


async def test_labels_come_and_go_and_the_others_stay(client: SwarmClient, node: Node) -> None:
    await client.nodes.update(node.id, labels={"zone": "a", "disk": "ssd"})
    await client.nodes.edit("self", lambda spec: spec.add_label({"com.example.rack": "2"}, zone="b"))
    found = await client.nodes.inspect(node.id)
    assert {"zone": "b", "disk": "ssd", "com.example.rack": "2"} == found.spec.labels
    assert (node.spec.role, node.spec.availability) == (found.spec.role, found.spec.availability)

    await client.nodes.edit(node.id, lambda spec: spec.add_label(zone="b"))
    await client.nodes.update(node.id, availability="Active", role="MANAGER", version=found.version)
    assert found.version == (await client.nodes.inspect(node.id)).version

    with pytest.raises(OutOfSequence):
        await client.nodes.update(node.id, labels=None, version=node.version)
    await client.nodes.edit(node.id, lambda spec: spec.remove_label("zone", "none"))
    filters: list[dict[str, Any]] = [
        {"node.label": "disk=ssd"}, {"node.label": ["disk"]}, {"id": node.id[:6]}, {"name": node.hostname[:4]},
        {"role": "manager"}, {"membership": "pending"},
    ]  # fmt: skip
    for one in filters:
        assert [node.id] == [each.id for each in await client.nodes.list(filters=one)], one
    for one in [{"node.label": "zone"}, {"label": "disk"}, {"role": "worker"}, {"membership": "accepted"}]:
        assert [] == await client.nodes.list(filters=one), one
    with pytest.raises(EngineError, match="Invalid role filter"):
        await client.nodes.list(filters={"role": "boss"})

    await client.nodes.update(node.id, labels=None)
    assert not (await client.nodes.inspect(node.id)).spec.labels


async def test_the_only_manager_stays(client: SwarmClient, node: Node) -> None:
    await client.nodes.promote(node.id)
    with pytest.raises(FailedPrecondition, match="last manager"):
        await client.nodes.demote(node.id)
    for force in (False, True):
        with pytest.raises(FailedPrecondition, match="must be demoted"):
            await client.nodes.remove("self", force=force)
    with pytest.raises(BadRequest, match="invalid Availability"):
        await client.nodes.update(node.id, availability="away")
    with pytest.raises(BadRequest, match="invalid Role"):
        await client.nodes.update(node.id, role="boss")
    with pytest.raises(NotFound):
        await client.nodes.remove("nowhere")
    assert node.version == (await client.nodes.inspect(node.id)).version


@pytest.mark.usefixtures("clean")
async def test_a_drained_node_gives_up_its_tasks_and_an_active_one_takes_them(client: SwarmClient, node: Node) -> None:
    spec = ContainerSpec("busybox:1.36", command=["sleep", "1000"], stop_grace_period=timedelta(0))
    quick = UpdateConfig(monitor=timedelta(milliseconds=100))
    await client.services.create(TaskTemplate(container_spec=spec), name="web", update_config=quick)
    await client.services.wait("web", timeout=60)

    async def last() -> Task:
        return (await client.services.ps("web"))[0]

    ran = await last()
    await client.nodes.pause(node.id)
    await client.services.wait("web", timeout=60)
    assert ran.id == (await last()).id
    await client.nodes.drain(node.id)
    with pytest.raises(TasksFailing, match="no suitable node"):
        await client.services.wait("web", timeout=60, pending=0.5)
    assert "pending" == (await last()).state
    assert "shutdown" == (await client.tasks.inspect(ran.id)).desired_state
    await client.nodes.activate(node.id)
    await client.services.wait("web", timeout=60)
    assert ran.id != (await last()).id
