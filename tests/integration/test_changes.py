"""Changes of a running service: applied, previewed, forced, fought over, and waited for to be gone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest

from swarmkit import (
    Applied,
    ContainerSpec,
    EndpointSpec,
    Global,
    InvalidSpec,
    Mount,
    NotFound,
    OutOfSequence,
    Placement,
    PortConfig,
    Replicated,
    ReplicatedJob,
    RestartPolicy,
    RollbackConfig,
    RolloutTimeout,
    ServiceMode,
    ServiceSpec,
    SwarmClient,
    TaskTemplate,
    Ulimit,
    Unimplemented,
    UnsupportedFeature,
    UpdateConfig,
)
from tests.fake import connect
from tests.harness.engine import Engine

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clean")]

QUICK = timedelta(milliseconds=100)
FOREVER = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]

NO_SUCH_PROTOCOL = EndpointSpec(ports=[PortConfig(target_port=80, protocol="bogus")])


def spec(name: str = "web", **more: Any) -> ServiceSpec:
    template = TaskTemplate(
        container_spec=ContainerSpec("busybox:1.36", command=FOREVER, stop_grace_period=timedelta(seconds=1)),
        restart_policy=RestartPolicy(delay=timedelta(0)),
    )
    given: dict[str, Any] = {"task_template": template, "update_config": UpdateConfig(monitor=QUICK), **more}
    return ServiceSpec(name=name, **given)


def replicas(number: int) -> ServiceMode:
    return ServiceMode(replicated=Replicated(replicas=number))


# --- apply -----------------------------------------------------------------------------------------------------------


async def test_applying_creates_then_does_nothing_then_updates(client: SwarmClient) -> None:
    wanted = spec(labels={"v": "1"}, mode=replicas(0))
    created = await client.services.apply(wanted)
    assert ("created", ()) == (created.outcome, created.changes)

    before = await client.services.inspect("web")
    again = await client.services.apply(wanted)
    assert Applied(id=created.id, outcome="unchanged") == again
    assert before.version == (await client.services.inspect("web")).version

    updated = await client.services.apply(spec(labels={"v": "2"}, mode=replicas(0)))
    assert (created.id, "updated") == (updated.id, updated.outcome)
    assert ["Labels.v: '1' -> '2'"] == list(map(str, updated.changes))
    assert {"v": "2"} == (await client.services.inspect("web")).spec.labels


async def test_what_the_applied_spec_does_not_say_goes_back_to_the_default(client: SwarmClient) -> None:
    await client.services.apply(spec(labels={"a": "b"}, mode=replicas(0)))
    wanted = spec(mode=replicas(0))
    assert ["Labels.a: 'b' -> None"] == [str(change) for change in (await client.services.apply(wanted)).changes]
    assert not (await client.services.inspect("web")).spec.labels


def rich() -> ServiceSpec:
    """A spec that says much, part of it in another order and with other defaults than an engine shows it."""
    wanted = spec(
        mode=replicas(0),
        endpoint_spec=EndpointSpec(ports=[PortConfig.parse("15411:80"), PortConfig.parse("15410:53/udp")]),
    )
    wanted.container.env = ["B=2", "A=1"]
    wanted.container.mounts = [Mount.parse("data:/data"), Mount.parse("other:/b:ro")]
    wanted.container.ulimits = [Ulimit(name="nofile", soft=100, hard=200), Ulimit(name="core", soft=0, hard=0)]
    wanted.container.dns_config = None
    assert wanted.task_template is not None
    wanted.task_template.placement = Placement(constraints=["node.role == manager", "node.labels.x != y"])
    return wanted


def reverse_lists(wanted: Any) -> None:
    for items in (wanted.container.env, wanted.container.mounts, wanted.container.ulimits, wanted.endpoint_spec.ports):
        items.reverse()
    wanted.task_template.placement.constraints.reverse()


def say_defaults(wanted: Any) -> None:
    wanted.container.isolation = "default"
    wanted.container.stop_grace_period = timedelta(seconds=1)
    wanted.endpoint_spec.mode = "vip"
    wanted.task_template.runtime = "container"
    wanted.task_template.restart_policy.condition = "any"
    wanted.rollback_config = RollbackConfig(parallelism=1, order="stop-first", failure_action="pause")


def leave_defaults_out(wanted: Any) -> None:
    for port in wanted.endpoint_spec.ports:
        port.publish_mode = None
    wanted.container.mounts[0].read_only = False


@pytest.mark.parametrize("rewrite", [reverse_lists, say_defaults, leave_defaults_out])
async def test_defaults_and_orders_are_no_change(client: SwarmClient, rewrite: Callable[[Any], None]) -> None:
    await client.services.apply(rich())
    wanted = rich()
    rewrite(wanted)
    assert "unchanged" == (await client.services.apply(wanted)).outcome


async def test_a_spec_that_was_read_is_applied_without_a_change(client: SwarmClient) -> None:
    await client.services.apply(rich())
    assert "unchanged" == (await client.services.apply((await client.services.inspect("web")).spec)).outcome


async def test_networks_are_compared_by_what_their_names_mean(client: SwarmClient) -> None:
    wanted = spec(mode=replicas(0))
    assert wanted.task_template is not None
    wanted.task_template.networks = []
    await client.services.create(wanted.model_copy(update={"name": "web"}), registry_auth=None)
    await client.services.update("web", networks=["host"])
    with_network = spec(mode=replicas(0))
    live = await client.services.inspect("web")
    assert with_network.task_template is not None
    assert live.spec.task_template is not None
    with_network.task_template.networks = [*(live.spec.task_template.networks or [])]
    with_network.task_template.networks[0].target = "host"
    assert "unchanged" == (await client.services.apply(with_network)).outcome


async def test_forced_updates_survive_applying(client: SwarmClient) -> None:
    await client.services.apply(spec(mode=replicas(0)))
    await client.services.force_update("web")
    assert "unchanged" == (await client.services.apply(spec(mode=replicas(0)))).outcome
    await client.services.apply(spec(labels={"n": "1"}, mode=replicas(0)))
    template = (await client.services.inspect("web")).spec.task_template
    assert template is not None
    assert 1 == template.force_update


async def test_applying_at_once_from_everywhere_ends_as_asked(client: SwarmClient, engine: Engine) -> None:
    outcomes: list[str] = []
    wanted = spec(labels={"a": "b"}, mode=replicas(0))

    async def apply(who: SwarmClient) -> None:
        outcomes.append((await who.services.apply(wanted)).outcome)

    async with connect(engine, registry_auth=None) as other, anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(apply, client if number % 2 else other)
    assert sorted(outcomes) == ["created"] + ["unchanged"] * 9

    outcomes.clear()
    wanted = spec(labels={"a": "c"}, mode=replicas(0))
    async with connect(engine, registry_auth=None) as other, anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(apply, client if number % 2 else other)
    assert sorted(outcomes) == ["unchanged"] * 9 + ["updated"]


async def test_what_cannot_be_applied_says_why(client: SwarmClient) -> None:
    with pytest.raises(InvalidSpec, match="Name"):
        await client.services.apply(ServiceSpec(task_template=spec().task_template))
    await client.services.apply(spec(mode=replicas(0)))
    with pytest.raises(Unimplemented, match="mode change"):
        await client.services.apply(spec(mode=ServiceMode(global_=Global())))
    with pytest.raises(InvalidSpec, match="Protocol"):
        await client.services.apply(spec(mode=replicas(0), endpoint_spec=NO_SUCH_PROTOCOL))


# --- preview ---------------------------------------------------------------------------------------------------------


def set_image(live: ServiceSpec) -> None:
    live.container.image = "busybox:1.37"


def set_label(live: ServiceSpec) -> None:
    live.labels = {"a": "b"}


def set_constraint(live: ServiceSpec) -> None:
    assert live.task_template is not None
    live.task_template.placement = Placement(constraints=["node.role==manager"])


def set_port(live: ServiceSpec) -> None:
    live.endpoint_spec = EndpointSpec(ports=[PortConfig(target_port=80, publish_mode="host")])


def set_env(live: ServiceSpec) -> None:
    live.container.env = ["A=hunter2"]


def set_update_config(live: ServiceSpec) -> None:
    live.update_config = UpdateConfig(parallelism=2, monitor=QUICK)


def set_replicas(live: ServiceSpec) -> None:
    live.mode = replicas(2)


def set_nothing(live: ServiceSpec) -> None:
    live.labels = dict(live.labels or {})


@pytest.mark.parametrize(
    ("change", "shown", "replaced"),
    [
        (set_env, "TaskTemplate.ContainerSpec.Env[0]: added", True),
        (set_port, "EndpointSpec", True),
        (set_label, "Labels.a: None -> 'b'", False),
        (set_constraint, "TaskTemplate.Placement.Constraints[0]: None -> 'node.role==manager'", False),
        (set_update_config, "UpdateConfig.Parallelism", False),
        (set_replicas, "Mode.Replicated.Replicas: 1 -> 2", False),
        (set_nothing, "", False),
    ],
)
async def test_a_preview_says_what_changes_and_whether_tasks_are_replaced(
    client: SwarmClient, change: Callable[[ServiceSpec], None], shown: str, replaced: bool
) -> None:
    await client.services.create(spec())
    await client.services.wait("web", timeout=30)
    live = await client.services.inspect("web")
    before = await running(client)
    diff = await client.services.preview("web", change)
    assert live.version == (await client.services.inspect("web")).version
    assert bool(diff) == bool(shown)
    assert shown in str(diff)
    assert "hunter2" not in f"{diff!s}{diff!r}"
    assert replaced == diff.replaces_tasks

    await client.services.edit("web", change)
    await client.services.wait("web", timeout=30)
    assert replaced == (not before <= await running(client))


async def running(client: SwarmClient, service: str = "web") -> set[str]:
    tasks = await client.services.ps(service)
    return {task.id for task in tasks if task.state == "running" and task.desired_state == "running"}


async def test_a_preview_refuses_what_the_edit_would(client: SwarmClient, engine: Engine) -> None:
    await client.services.create(spec(mode=replicas(0)))

    def no_such_protocol(live: ServiceSpec) -> None:
        live.endpoint_spec = NO_SUCH_PROTOCOL

    def too_new(live: ServiceSpec) -> None:
        live.container.ulimits = [Ulimit(name="nofile", soft=1, hard=1)]

    with pytest.raises(InvalidSpec, match="Protocol"):
        await client.services.preview("web", no_such_protocol)
    with pytest.raises(NotFound):
        await client.services.preview("nope", no_such_protocol)
    async with connect(engine, registry_auth=None, api_version="1.40") as old:
        with pytest.raises(UnsupportedFeature, match=r"Ulimits: needs API 1\.41"):
            await old.services.preview("web", too_new)


# --- force update, remove --------------------------------------------------------------------------------------------


async def test_a_forced_update_replaces_every_task(client: SwarmClient) -> None:
    await client.services.create(spec(mode=replicas(2)))
    await client.services.wait("web", timeout=30)
    before = await running(client)
    for count in (1, 2):
        await client.services.force_update("web")
        await client.services.wait("web", timeout=60)
        after = await running(client)
        assert (2, set()) == (len(after), before & after)
        before = after
        template = (await client.services.inspect("web")).spec.task_template
        assert template is not None
        assert count == template.force_update


async def test_a_job_is_run_again_by_force(client: SwarmClient) -> None:
    job = spec(mode=ServiceMode(replicated_job=ReplicatedJob()), update_config=None)
    job.container.command = ["true"]
    assert job.task_template is not None
    job.task_template.restart_policy = RestartPolicy(condition="none")
    await client.services.create(job)
    first = (await client.services.wait("web", timeout=30)).progress.slots[0].task_id
    await client.services.force_update("web")
    assert first != (await client.services.wait("web", timeout=30)).progress.slots[0].task_id


async def test_a_removal_can_be_waited_for(client: SwarmClient) -> None:
    service_id = (await client.services.create(spec(mode=replicas(2)))).id
    await client.services.create(spec("web2"))
    await client.services.wait("web", "web2", timeout=30)
    await client.services.remove("web", wait=True)
    left = {task.state for task in await client.tasks.list() if task.service_id == service_id}
    assert left <= {"complete", "shutdown", "failed"}
    assert 1 == len(await running(client, "web2"))
    with pytest.raises(NotFound):
        await client.services.remove("web", wait=True)


@pytest.fixture
def stubborn() -> ServiceSpec:
    """A service whose task takes its time to stop."""
    found = spec()
    found.container.command = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
    found.container.stop_grace_period = timedelta(seconds=8)
    return found


async def test_a_removal_that_takes_too_long_says_so_and_is_one(client: SwarmClient, stubborn: ServiceSpec) -> None:
    await client.services.create(stubborn)
    await client.services.wait("web", timeout=30)
    with pytest.raises(RolloutTimeout, match=r"is removed, its tasks on .* are not gone yet") as caught:
        await client.services.remove("web", wait=True, timeout=1)
    assert (0, 1) == (caught.value.progress.wanted, caught.value.progress.arrived)
    with pytest.raises(NotFound):
        await client.services.inspect("web")


# --- conflicts -------------------------------------------------------------------------------------------------------


async def test_a_hundred_edits_at_once_by_name_and_by_id_all_land(
    client: SwarmClient, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    service_id = (await client.services.create(spec(mode=replicas(0)))).id

    async def add(who: SwarmClient, target: str, number: int) -> None:
        def change(live: ServiceSpec) -> None:
            live.labels = {**(live.labels or {}), f"n{number}": "x"}

        await who.services.edit(target, change)

    caplog.set_level(logging.DEBUG, logger="swarmkit")
    async with connect(engine, registry_auth=None) as other, anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(add, client if number % 2 else other, "web" if number % 3 else service_id, number)
    labels = (await client.services.inspect("web")).spec.labels or {}
    assert {f"n{number}" for number in range(100)} == set(labels)
    attempts = [record for record in caplog.records if record.getMessage().startswith("POST /services/")]
    assert 100 <= len(attempts) <= 300


async def test_with_a_version_the_first_conflict_is_an_error_with_both_versions(client: SwarmClient) -> None:
    await client.services.create(spec(mode=replicas(0)))
    live = await client.services.inspect("web")
    await client.services.edit("web", set_label)
    with pytest.raises(OutOfSequence) as caught:
        await client.services.update("web", version=live.version, labels={})
    now = await client.services.inspect("web")
    assert (live.version.index, now.version.index) == (caught.value.sent, caught.value.current)
