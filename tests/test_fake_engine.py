"""The embedded engine: what it does with time, scripted trouble, nodes and jobs. What it answers to requests as real
engines do is in `integration`, where the same tests run on both."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from swarmkit import (
    BadRequest,
    ClientClosed,
    ContainerSpec,
    EndpointSpec,
    EngineUnreachable,
    GenericResource,
    Global,
    GlobalJob,
    NetworkAttachmentConfig,
    NoQuorum,
    NotAManager,
    OutcomeUnknown,
    OutOfSequence,
    Placement,
    PlacementPreference,
    PortConfig,
    RegistryAuth,
    Replicated,
    ReplicatedJob,
    Reservations,
    Resources,
    RestartPolicy,
    RollbackConfig,
    RolledBack,
    RolloutTimeout,
    SpreadOver,
    SwarmClient,
    SwarmLocked,
    Task,
    TasksFailing,
    TaskTemplate,
    UpdateConfig,
    UpdatePaused,
)
from swarmkit.testing import FakeEngine, FakeNode, Request
from swarmkit.testing.pytest import swarm_client, swarm_engine

pytestmark = pytest.mark.anyio
__all__ = ["swarm_client", "swarm_engine"]


@pytest.fixture
def engine() -> FakeEngine:
    engine = FakeEngine()
    for image in ("app:1", "app:2"):
        engine.add_image(image)
    return engine


@pytest.fixture
def client(engine: FakeEngine) -> SwarmClient:
    return engine.client()


def template(image: str = "app:1", **more: Any) -> TaskTemplate:
    container = {key: more.pop(key) for key in ("command", "env", "tty", "hostname") if key in more}
    return TaskTemplate(container_spec=ContainerSpec(image, **container), **more)


async def create(client: SwarmClient, name: str = "web", replicas: int = 1, **more: Any) -> str:
    given: dict[str, Any] = {"mode": Replicated(replicas=replicas), **more}
    created = await client.services.create(given.pop("task_template", template()), name=name, **given)
    await client.services.wait(created.id, timeout=120)
    return created.id


def ask(engine: FakeEngine, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and JSON of one request, past any client."""
    content = b"" if body is None else json.dumps(body).encode()
    path, _, query = path.partition("?")
    answer = engine.handle(Request(method, path, query, {"content-type": "application/json"}, content))
    assert isinstance(answer.body, bytes)
    return answer.status, json.loads(answer.body) if answer.body else None


async def running(client: SwarmClient, name: str = "web") -> list[Task]:
    return [task for task in await client.services.ps(name) if task.state == "running"]


def image_of(task: Task) -> str:
    return (task.spec.container_spec and task.spec.container_spec.image) or ""


def on(node: FakeNode, tasks: Sequence[Task]) -> int:
    return sum(task.node_id == node.id for task in tasks)


# --- time ------------------------------------------------------------------------------------------------------------


async def test_a_rollout_of_ten_minutes_takes_a_moment(engine: FakeEngine, client: SwarmClient) -> None:
    began = time.monotonic()
    await create(client, replicas=3, update_config=UpdateConfig(parallelism=1, delay=timedelta(minutes=5)))
    await client.services.update("web", task_template=template("app:2"))
    rollout = await client.services.wait("web", timeout=3600)
    assert rollout.seconds > 600
    assert time.monotonic() - began < 60
    engine.advance(700)  # the manager watches for the length of a delay what the client has seen to be good
    status = (await client.services.inspect("web")).update_status
    assert status is not None
    assert status.started_at is not None
    assert status.completed_at is not None
    assert status.completed_at - status.started_at > timedelta(minutes=10)


async def test_sleepers_wake_in_the_order_of_their_deadlines(engine: FakeEngine) -> None:
    woken: list[tuple[float, float]] = []

    async def sleeper(seconds: float) -> None:
        await engine.clock.sleep(seconds)
        woken.append((seconds, engine.clock.now()))

    async with anyio.create_task_group() as group:
        for seconds in (30, 10, 20, 0):
            group.start_soon(sleeper, seconds)
    assert woken == [(0, 0), (10, 10), (20, 20), (30, 30)]


async def test_a_sleeper_that_is_cancelled_holds_up_nobody(engine: FakeEngine) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(engine.clock.sleep, 1)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    await engine.clock.sleep(5)
    assert engine.clock.now() == 5


async def test_between_calls_no_time_passes_unless_by_hand(engine: FakeEngine, client: SwarmClient) -> None:
    await client.services.create(template(), name="web")
    assert ["new"] == [task.state for task in await client.services.ps("web")]
    assert ["new"] == [task.state for task in await client.services.ps("web")]
    seen = dict[str, None]()
    for _ in range(100):
        engine.advance(0.01)
        (task,) = await client.services.ps("web")
        seen[task.state] = None
    order = ["pending", "assigned", "accepted", "preparing", "starting", "running"]
    assert order == list(seen)


async def test_time_can_begin_at_any_moment() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    engine = FakeEngine(start=start)
    engine.advance(60)
    await engine.client().services.create(template(), name="web")
    assert (await engine.client().services.inspect("web")).created_at == start + timedelta(minutes=1)


async def test_with_real_time_it_also_passes_by_itself() -> None:
    engine = FakeEngine(real_time=True)
    engine.add_image("app:1")
    client = engine.client()
    await client.services.create(template(), name="web")
    with anyio.fail_after(30):
        while not await running(client):
            await anyio.sleep(0.02)
    assert engine.clock.now() < 30
    await engine.clock.sleep(1000)
    assert engine.clock.now() >= 1000


async def test_ids_are_the_same_in_every_run_and_look_like_an_engines() -> None:
    one, other, third = [ask(FakeEngine(seed=seed), "GET", "/nodes")[1][0]["ID"] for seed in (0, 0, 1)]
    assert one == other != third
    assert len(one) == 25
    assert one.isalnum()


async def test_two_clients_share_an_engine_and_one_may_be_closed(engine: FakeEngine) -> None:
    async with engine.client() as first:
        await create(first)
    second = SwarmClient(transport=engine.transport, registry_auth=None)
    assert ["web"] == [service.name for service in await second.services.list()]
    with pytest.raises(ClientClosed):
        await first.services.list()


# --- updates ---------------------------------------------------------------------------------------------------------


async def test_an_update_goes_batch_by_batch(engine: FakeEngine, client: SwarmClient) -> None:
    await create(client, replicas=4, update_config=UpdateConfig(parallelism=2, delay=timedelta(seconds=60)))
    await client.services.update("web", task_template=template("app:2"))
    for expected in (2, 4):
        engine.advance(10)
        tasks = await running(client)
        assert len(tasks) == 4
        assert expected == [image_of(task) for task in tasks].count("app:2")
        engine.advance(55)
    assert (await client.services.wait("web", timeout=300)).progress.arrived == 4


@pytest.mark.parametrize(("order", "fewest", "most"), [("stop-first", 1, 2), ("start-first", 2, 3)])
async def test_the_order_decides_what_comes_first(
    engine: FakeEngine, client: SwarmClient, order: str, fewest: int, most: int
) -> None:
    await create(client, replicas=2, update_config=UpdateConfig(parallelism=1, order=order))
    await client.services.update("web", task_template=template("app:2"))
    counts = set[int]()
    for _ in range(300):
        engine.advance(0.05)
        counts.add(len(await running(client)))
    assert (min(counts), max(counts)) == (fewest, most)


async def test_a_start_first_update_over_its_ratio_is_rolled_back(engine: FakeEngine, client: SwarmClient) -> None:
    engine.fail_tasks(image="app:2", exit_code=9)
    await create(client, replicas=2, update_config=UpdateConfig(failure_action="rollback", order="start-first"))
    before = (await client.services.inspect("web")).spec
    await client.services.update("web", task_template=template("app:2"))
    with pytest.raises(RolledBack, match=r"non-zero exit \(9\)"):
        await client.services.wait("web", timeout=300)
    now = await client.services.inspect("web")
    assert (now.spec, now.previous_spec) == (before, None)
    assert now.update_status is not None
    assert now.update_status.message == "rollback completed"
    with pytest.raises(BadRequest, match="does not have a previous spec"):
        await client.services.rollback("web")


async def test_failures_below_the_ratio_do_not_stop_an_update(engine: FakeEngine, client: SwarmClient) -> None:
    engine.fail_tasks(image="app:2", times=1)
    quick = RestartPolicy(delay=timedelta(0))
    await create(
        client,
        replicas=4,
        task_template=template(restart_policy=quick),
        update_config=UpdateConfig(parallelism=1, max_failure_ratio=0.5),
    )
    await client.services.update("web", task_template=template("app:2"))
    await client.services.wait("web", timeout=300)
    status = (await client.services.inspect("web")).update_status
    assert status is not None
    assert (status.state, status.message) == ("completed", "update completed")


async def test_an_update_that_pauses_says_which_task_failed_and_goes_on_with_the_next(
    engine: FakeEngine, client: SwarmClient
) -> None:
    engine.fail_tasks(image="app:2", after=1)
    await create(client, replicas=3, update_config=UpdateConfig(parallelism=1, delay=timedelta(seconds=10)))
    await client.services.update("web", task_template=template("app:2"))
    with pytest.raises(UpdatePaused) as caught:
        await client.services.wait("web", timeout=300)
    failed = [task.id for task in await client.services.ps("web") if task.state == "failed"]
    status = caught.value.progress.update_status
    assert status is not None
    assert status.message in [f"update paused due to failure or early termination of task {task}" for task in failed]
    old = [task for task in await running(client) if image_of(task) == "app:1"]
    assert len(old) == 2
    await client.services.update("web", task_template=template("app:1"))
    assert (await client.services.wait("web", timeout=300)).progress.arrived == 3


async def test_an_update_that_continues_replaces_all(engine: FakeEngine, client: SwarmClient) -> None:
    engine.fail_tasks(image="app:2", after=2)
    await create(client, replicas=2, update_config=UpdateConfig(failure_action="continue", parallelism=1))
    await client.services.update("web", task_template=template("app:2"))
    engine.advance(60)
    status = (await client.services.inspect("web")).update_status
    assert status is not None
    assert status.state == "completed"


async def test_a_rollback_that_fails_as_well_is_paused(engine: FakeEngine, client: SwarmClient) -> None:
    await create(
        client,
        replicas=1,
        update_config=UpdateConfig(failure_action="rollback"),
        rollback_config=RollbackConfig(monitor=timedelta(seconds=3)),
    )
    engine.fail_tasks(service="web")
    await client.services.update("web", task_template=template("app:2"))
    with pytest.raises(UpdatePaused):
        await client.services.wait("web", timeout=300)
    status = (await client.services.inspect("web")).update_status
    assert status is not None
    assert status.state == "rollback_paused"


async def test_a_newer_update_takes_the_place_of_one_under_way(engine: FakeEngine, client: SwarmClient) -> None:
    await create(client, replicas=3, update_config=UpdateConfig(parallelism=1, delay=timedelta(minutes=1)))
    await client.services.update("web", task_template=template("app:2"))
    engine.advance(5)
    await client.services.update("web", task_template=template("app:3"))
    await client.services.wait("web", timeout=600)
    assert {"app:3"} == {image_of(task) for task in await running(client)}


async def test_a_change_of_constraints_that_nodes_meet_restarts_nothing(client: SwarmClient) -> None:
    await create(client, replicas=2)
    before = {task.id for task in await running(client)}
    await client.services.update(
        "web", task_template=TaskTemplate(placement=Placement(constraints=["node.role==manager"]))
    )
    await client.services.wait("web", timeout=60)
    assert before == {task.id for task in await running(client)}
    force = TaskTemplate(force_update=1)
    await client.services.update("web", task_template=force)
    await client.services.wait("web", timeout=60)
    assert before.isdisjoint({task.id for task in await running(client)})


async def test_scaling_down_keeps_what_runs_and_spreads_it(engine: FakeEngine, client: SwarmClient) -> None:
    nodes = [engine.nodes[0], engine.add_node("w1"), engine.add_node("w2")]
    await create(client, replicas=6)
    assert [2, 2, 2] == [on(node, await running(client)) for node in nodes]
    await client.services.scale("web", 3)
    await client.services.wait("web", timeout=60)
    engine.advance(1)
    assert [1, 1, 1] == [on(node, await running(client)) for node in nodes]
    assert len(await client.services.ps("web")) == 3


# --- restarts --------------------------------------------------------------------------------------------------------


async def test_no_more_than_five_tasks_of_a_slot_are_remembered(engine: FakeEngine, client: SwarmClient) -> None:
    engine.fail_tasks(image="app:1", exit_code=2)
    await client.services.create(template(restart_policy=RestartPolicy(delay=timedelta(seconds=1))), name="web")
    engine.advance(60)
    tasks = await client.services.ps("web")
    assert len(tasks) == 5
    assert {"failed"} == {task.state for task in tasks if task.desired_state == "shutdown"}


@pytest.mark.parametrize(("condition", "code", "starts"), [("none", 1, 1), ("on-failure", 0, 1), ("on-failure", 1, 3)])
async def test_a_restart_policy_ends_restarts(
    engine: FakeEngine, client: SwarmClient, condition: str, code: int, starts: int
) -> None:
    engine.run_tasks(image="app:1", exit_code=code)
    policy = RestartPolicy(condition=condition, max_attempts=2, delay=timedelta(seconds=1))
    await client.services.create(template(restart_policy=policy), name="web")
    engine.advance(600)
    assert starts == len(await client.services.ps("web"))


async def test_attempts_are_counted_within_the_window(engine: FakeEngine, client: SwarmClient) -> None:
    engine.fail_tasks(image="app:1", after=20)
    policy = RestartPolicy(max_attempts=2, delay=timedelta(seconds=1), window=timedelta(seconds=10))
    await client.services.create(template(restart_policy=policy), name="web")
    engine.advance(300)
    assert 1 == len([task for task in await client.services.ps("web") if task.desired_state == "running"])


async def test_a_task_that_is_killed_is_replaced(engine: FakeEngine, client: SwarmClient) -> None:
    await create(client)
    (task,) = await running(client)
    engine.kill_task(task.id)
    engine.advance(1)
    (dead,) = [one for one in await client.services.ps("web") if one.id == task.id]
    assert (dead.state, dead.error) == ("failed", "task: non-zero exit (137)")
    assert (await client.services.wait("web", timeout=60)).progress.arrived == 1
    with pytest.raises(LookupError):
        engine.kill_task(task.id)


async def test_an_image_that_nobody_has_is_rejected_until_it_is_there(engine: FakeEngine, client: SwarmClient) -> None:
    engine.remove_image("app:1")
    await client.services.create(template(), name="web")
    with pytest.raises(TasksFailing, match="No such image: app:1"):
        await client.services.wait("web", timeout=300)
    engine.add_image("app:1")
    assert (await client.services.wait("web", timeout=60)).progress.arrived == 1


async def test_with_the_registry_down_only_images_that_are_there_start(engine: FakeEngine, client: SwarmClient) -> None:
    engine.registry_down()
    await create(client)
    await client.services.create(template("fresh:1"), name="fresh")
    with pytest.raises(TasksFailing, match="No such image"):
        await client.services.wait("fresh", timeout=300)
    engine.registry_up()
    assert (await client.services.wait("fresh", timeout=60)).progress.arrived == 1


# --- jobs and global services ----------------------------------------------------------------------------------------


async def test_a_job_runs_so_many_at_a_time_and_again_when_it_is_changed(
    engine: FakeEngine, client: SwarmClient
) -> None:
    engine.complete_tasks(image="app:1", after=10)
    await client.services.create(template(), name="job", mode=ReplicatedJob(max_concurrent=2, total_completions=5))
    most = 0
    for _ in range(60):
        engine.advance(1)
        most = max(most, len(await running(client, "job")))
    assert most == 2
    (listed,) = await client.services.list(status=True)
    assert listed.service_status is not None
    assert (listed.service_status.completed_tasks, listed.service_status.desired_tasks) == (5, 2)
    assert listed.job_status is not None
    assert sorted(task.slot or 0 for task in await client.services.ps("job")) == [0, 1, 2, 3, 4]
    await client.services.update("job", task_template=TaskTemplate(force_update=1))
    rollout = await client.services.wait("job", timeout=120)
    assert rollout.seconds > 20
    status = (await client.services.inspect("job")).job_status
    assert status is not None
    assert status.job_iteration is not None
    assert status.job_iteration.index == 1


async def test_a_job_that_fails_is_tried_again(engine: FakeEngine, client: SwarmClient) -> None:
    engine.fail_tasks(image="app:1", times=2)
    policy = RestartPolicy(condition="on-failure", delay=timedelta(seconds=1))
    await client.services.create(template(restart_policy=policy), name="job", mode=ReplicatedJob())
    assert (await client.services.wait("job", timeout=120)).progress.arrived == 1
    assert ["complete", "failed", "failed"] == sorted(task.state for task in await client.services.ps("job"))


async def test_a_global_job_runs_once_on_every_node(engine: FakeEngine, client: SwarmClient) -> None:
    nodes = [engine.nodes[0], engine.add_node("w1"), engine.add_node("w2")]
    nodes[2].drain()
    await client.services.create(template(), name="job", mode=GlobalJob())
    await client.services.wait("job", timeout=60)
    tasks = await client.services.ps("job")
    assert {"complete"} == {task.state for task in tasks}
    assert [1, 1, 0] == [on(node, tasks) for node in nodes]
    nodes[2].activate()
    engine.add_node("late")
    engine.advance(5)
    assert 2 == len(await client.services.ps("job"))  # managers look at the nodes when the job is changed
    await client.services.update("job", task_template=TaskTemplate(force_update=1))
    assert (await client.services.wait("job", timeout=60)).progress.arrived == 4


async def test_a_global_job_leaves_a_node_that_is_drained_once_another_task_ends(
    engine: FakeEngine, client: SwarmClient
) -> None:
    nodes = [engine.nodes[0], engine.add_node("w1")]
    engine.run_tasks(image="app:1", exit_code=0, after=60)
    policy = RestartPolicy(condition="on-failure", delay=timedelta(seconds=1))
    await client.services.create(template(restart_policy=policy), name="job", mode=GlobalJob())
    engine.advance(5)
    nodes[1].drain()
    engine.advance(5)
    assert [1, 1] == [on(node, await running(client, "job")) for node in nodes]
    (first,) = [task for task in await running(client, "job") if task.node_id == nodes[0].id]
    engine.kill_task(first.id)
    engine.advance(5)
    assert [1, 0] == [on(node, await running(client, "job")) for node in nodes]


async def test_removed_jobs_leave_their_tasks_on_old_engines_alone() -> None:
    for version, left in (("1.41", 1), ("1.51", 0)):
        engine = FakeEngine(version)
        client = engine.client()
        await client.services.create(template(), name="job", mode=ReplicatedJob())
        await client.services.wait("job", timeout=60)
        await client.services.remove("job")
        engine.advance(10)
        assert left == len(await client.tasks.list())


async def test_a_global_service_follows_the_nodes(engine: FakeEngine, client: SwarmClient) -> None:
    await client.services.create(template(), name="web", mode=Global())
    assert (await client.services.wait("web", timeout=60)).progress.wanted == 1
    worker = engine.add_node("w1")
    engine.advance(5)
    assert 1 == on(worker, await running(client))
    await client.services.update("web", task_template=template("app:2"))
    assert (await client.services.wait("web", timeout=60)).progress.arrived == 2
    worker.pause()
    engine.kill_task(next(task.id for task in await running(client) if task.node_id == worker.id))
    engine.advance(20)
    assert 0 == on(worker, await running(client))
    worker.activate()
    engine.advance(5)
    assert 1 == on(worker, await running(client))
    worker.drain()
    engine.advance(5)
    assert 0 == on(worker, await running(client))


async def test_a_global_service_keeps_to_its_constraints(engine: FakeEngine, client: SwarmClient) -> None:
    one, other = engine.add_node("w1", labels={"disk": "ssd"}), engine.add_node("w2")
    there = template(placement=Placement(constraints=["node.labels.disk == ssd"]))
    await client.services.create(there, name="web", mode=Global())
    await client.services.wait("web", timeout=60)
    assert [1, 0] == [on(node, await running(client)) for node in (one, other)]
    other.label(disk="ssd")
    one.label()
    engine.advance(5)
    assert [0, 1] == [on(node, await running(client)) for node in (one, other)]


# --- nodes and placement ---------------------------------------------------------------------------------------------


async def test_tasks_leave_a_node_that_is_lost_and_come_not_back_by_themselves(
    engine: FakeEngine, client: SwarmClient
) -> None:
    worker = engine.add_node("w1")
    await create(client, replicas=4)
    assert 2 == on(worker, await running(client))
    worker.kill()
    engine.advance(10)
    assert worker.state == "ready"
    engine.advance(10)
    assert worker.state == "down"
    (node,) = [node for node in await client.nodes.list() if node.id == worker.id]
    assert node.status is not None
    assert (node.status.state, node.status.message) == ("down", "heartbeat failure")
    await client.services.wait("web", timeout=60)
    left = [task for task in await running(client) if task.node_id == worker.id]
    assert {"shutdown"} == {task.desired_state for task in left}  # nobody can say that they ended
    worker.revive()
    engine.advance(5)
    assert 0 == on(worker, await running(client))
    assert 4 == len(await running(client))


async def test_a_node_that_is_back_in_time_was_never_missed(engine: FakeEngine, client: SwarmClient) -> None:
    worker = engine.add_node("w1")
    await create(client, replicas=2)
    before = {task.id for task in await running(client)}
    worker.kill()
    engine.advance(10)
    worker.revive()
    engine.advance(60)
    assert before == {task.id for task in await running(client)}
    with pytest.raises(ValueError, match="the engine itself"):
        engine.nodes[0].kill()
    assert "w1" in repr(worker)


async def test_tasks_of_a_node_that_stays_away_are_orphans_after_a_day(engine: FakeEngine, client: SwarmClient) -> None:
    worker = engine.add_node("w1")
    await create(client, replicas=2)
    worker.kill()
    engine.advance(25 * 3600)
    assert 1 == sum(task.state == "orphaned" for task in await client.services.ps("web"))


async def test_draining_moves_tasks_and_pausing_only_keeps_new_ones_away(
    engine: FakeEngine, client: SwarmClient
) -> None:
    worker = engine.add_node("w1")
    await create(client, replicas=2)
    worker.pause()
    await client.services.scale("web", 4)
    await client.services.wait("web", timeout=60)
    assert 1 == on(worker, await running(client))
    worker.drain()
    engine.advance(10)
    assert 0 == on(worker, await running(client))
    assert 4 == len(await running(client))


async def test_a_node_can_be_removed_once_it_is_down(engine: FakeEngine, client: SwarmClient) -> None:
    worker = engine.add_node("w1")
    await create(client, replicas=2)
    status, said = ask(engine, "DELETE", f"/nodes/{worker.id}")
    assert (status, said["message"].endswith(f"node {worker.id} is not down and can't be removed")) == (400, True)
    assert ask(engine, "DELETE", f"/nodes/{worker.id}?force=1") == (200, None)
    engine.advance(10)
    assert 2 == len([task for task in await running(client) if task.desired_state == "running"])
    assert 1 == len(await client.nodes.list())


async def test_a_task_whose_node_no_longer_fits_is_rejected_and_moves(engine: FakeEngine, client: SwarmClient) -> None:
    one, other = engine.add_node("w1", labels={"zone": "a"}), engine.add_node("w2")
    await create(client, task_template=template(placement=Placement(constraints=["node.labels.zone==a"])))
    assert 1 == on(one, await running(client))
    other.label(zone="a")
    one.label(zone="b")
    engine.advance(20)
    assert 1 == on(other, await running(client))


@pytest.mark.parametrize(
    ("constraint", "hosts"),
    [
        ("node.hostname==w1", {"w1"}),
        ("node.hostname!=w1", {"w2", "boss"}),
        ("node.role==manager", {"boss"}),
        ("node.labels.zone==A", {"w1"}),
        ("node.labels.zone!=a", {"w2", "boss"}),
        ("engine.labels.gpu==yes", {"w2"}),
        ("node.platform.os==linux", {"w1", "w2", "boss"}),
        ("node.platform.arch==x86_64", {"w1", "w2", "boss"}),
        ("node.ip==127.0.0.0/8", {"boss"}),
        ("node.ip==nonsense", set[str]()),
        ("node.bogus==x", set[str]()),
    ],
)
async def test_constraints_say_where(constraint: str, hosts: set[str]) -> None:
    engine = FakeEngine()
    engine.add_node("w1", labels={"zone": "a"})
    engine.add_node("w2", engine_labels={"gpu": "yes"})
    names = {node.id: node.hostname for node in engine.nodes} | {engine.nodes[0].id: "boss"}
    client = engine.client()
    await client.services.create(
        template(placement=Placement(constraints=[constraint])), name="web", mode=Replicated(replicas=6)
    )
    engine.advance(30)
    assert hosts == {names[task.node_id or ""] for task in await running(client)}


async def test_reservations_are_kept_free(engine: FakeEngine, client: SwarmClient) -> None:
    worker = engine.add_node("w1", cpus=16, memory=64 << 30, generic={"GPU": 2})
    heavy = template(
        resources=Resources(
            reservations=Reservations(memory_bytes=20 << 30, generic_resources=[GenericResource.discrete("GPU", 1)])
        )
    )
    await client.services.create(heavy, name="web", mode=Replicated(replicas=3))
    with pytest.raises(RolloutTimeout, match="insufficient resources on 2 nodes"):
        await client.services.wait("web", timeout=60)
    assert 2 == on(worker, await running(client))
    await client.services.scale("web", 2)
    await client.services.wait("web", timeout=60)


async def test_max_replicas_and_host_ports_keep_tasks_apart(engine: FakeEngine, client: SwarmClient) -> None:
    engine.add_node("w1")
    limited = template(placement=Placement(max_replicas=1))
    await client.services.create(limited, name="web", mode=Replicated(replicas=3))
    with pytest.raises(RolloutTimeout, match="max replicas per node limit exceed"):
        await client.services.wait("web", timeout=60)
    port = PortConfig(target_port=80, published_port=8080, publish_mode="host")
    await client.services.create(
        template(), name="host", mode=Replicated(replicas=3), endpoint_spec=EndpointSpec(ports=[port])
    )
    with pytest.raises(RolloutTimeout, match="host-mode port already in use on 2 nodes"):
        await client.services.wait("host", timeout=60)


async def test_preferences_spread_over_a_label_first(engine: FakeEngine, client: SwarmClient) -> None:
    zones = {"a": [engine.add_node("a1", labels={"zone": "a"})], "b": []}
    zones["b"] = [engine.add_node(name, labels={"zone": "b"}) for name in ("b1", "b2", "b3")]
    wish = Placement(
        constraints=["node.role==worker"],
        preferences=[PlacementPreference(spread=SpreadOver(spread_descriptor="node.labels.zone"))],
    )
    await create(client, replicas=6, task_template=template(placement=wish))
    tasks = await running(client)
    assert 3 == on(zones["a"][0], tasks)
    assert [1, 1, 1] == [on(node, tasks) for node in zones["b"]]


async def test_a_platform_no_node_has_is_waited_for(engine: FakeEngine, client: SwarmClient) -> None:
    windows = {"Placement": {"Platforms": [{"OS": "windows"}]}, "ContainerSpec": {"Image": "app:1"}}
    ask(engine, "POST", "/services/create", {"Name": "web", "TaskTemplate": windows})
    arm = {"Placement": {"Platforms": [{"Architecture": "amd64", "OS": "linux"}]}, "ContainerSpec": {"Image": "app:1"}}
    ask(engine, "POST", "/services/create", {"Name": "here", "TaskTemplate": arm})
    engine.advance(5)
    assert ["no suitable node (unsupported platform on 1 node)"] == [t.error for t in await client.services.ps("web")]
    assert 1 == len(await running(client, "here"))


# --- logs and events -------------------------------------------------------------------------------------------------


async def test_a_log_that_is_followed_wakes_when_time_brings_a_line(engine: FakeEngine, client: SwarmClient) -> None:
    script = "i=0; while [ $i -lt 4 ]; do echo line $i; sleep 10; i=$((i+1)); done; sleep 1000"
    await client.services.create(template(command=["sh", "-c", script]), name="web")
    heard: list[tuple[str, float]] = []

    async def listen() -> None:
        async with client.services.logs("web", follow=True) as lines:
            async for line in lines:
                heard.append((line.message, round(engine.clock.now())))
                if len(heard) == 4:
                    break

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await engine.clock.sleep(100)
    assert heard == [("line 0", 0), ("line 1", 10), ("line 2", 20), ("line 3", 30)]


async def test_a_log_that_is_followed_ends_with_its_client(engine: FakeEngine, client: SwarmClient) -> None:
    await create(client)
    ended = list[str]()

    async def listen() -> None:
        async with client.services.logs("web", follow=True) as lines:
            try:
                await anext(lines)
            except ClientClosed:
                ended.append("closed")

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await engine.clock.sleep(1)
            await client.aclose()
    assert ended == ["closed"]


async def test_what_tasks_write_can_be_scripted(engine: FakeEngine, client: SwarmClient) -> None:
    engine.run_tasks(service="web", output="hello\n")
    await create(client, replicas=2)
    assert 2 == engine.write_logs("web", "again\n", stream="stderr")
    async with client.services.logs("web", timestamps=True) as lines:
        found = [(line.stream, line.message) async for line in lines]
    assert found == [("stdout", "hello")] * 2 + [("stderr", "again")] * 2
    assert 0 == engine.write_logs("nope", "x")


async def test_templates_are_filled_in_for_each_task(engine: FakeEngine, client: SwarmClient) -> None:
    env = {
        "A": "{{.Service.Name}}/{{.Task.Slot}}/{{.Node.Hostname}}/{{.Node.Platform.OS}}",
        "B": '{{index .Service.Labels "tier"}}',
        "C": "{{.Bogus}}",
    }
    told = template(command=["sh", "-c", "echo $A $B; hostname"], env=env, hostname="{{.Service.Name}}-{{.Task.Slot}}")
    await client.services.create(told, name="web", labels={"tier": "front"})
    engine.advance(1)
    async with client.services.logs("web") as lines:
        found = [line.message async for line in lines]
    assert found == [f"web/1/{engine.nodes[0].hostname}/linux front", "web-1"]


async def test_events_come_as_they_happen_and_are_filtered(engine: FakeEngine) -> None:
    transport = engine.transport
    request = httpx.Request("GET", 'http://docker/v1.51/events?filters={"type":["service"],"bogus":["ignored"]}')
    response = await transport.handle_async_request(request)
    seen: list[str] = []

    async def listen() -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        async for piece in response.stream:
            seen.extend(json.loads(line)["Action"] for line in piece.splitlines())
            if "remove" in seen:
                break
        await response.stream.aclose()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await anyio.lowlevel.checkpoint()
            client = engine.client()
            await create(client)
            await client.services.update("web", task_template=template("app:2"))
            await client.services.wait("web", timeout=60)
            await client.services.remove("web")
    assert (seen[0], seen[-1]) == ("create", "remove")
    assert seen.count("update") == 3


def test_events_of_the_past_can_be_asked_for(engine: FakeEngine) -> None:
    engine.add_node("w1")
    ask(engine, "POST", "/networks/create", {"Name": "net", "Driver": "overlay"})
    until = time.time() + 1000
    filters: list[tuple[str, str, list[str]]] = [
        ("type", "node", ["create"]),
        ("event", "create", ["create", "create"]),
        ("scope", "swarm", ["create", "create", "update"]),
        ("network", "net", ["create", "update"]),
        ("label", "name=net", ["create", "update"]),
        ("scope", "local", []),
    ]
    engine.advance(2000)
    for key, value, expected in filters:
        query = f"since=0&until={until:.0f}&filters={json.dumps({key: [value]})}"
        body = engine.handle(Request("GET", "/events", query)).body
        assert not isinstance(body, bytes)
        lines = (body.read() or b"").splitlines()
        assert expected == [json.loads(line)["Action"] for line in lines], key
        assert body.read() == b""


# --- trouble ---------------------------------------------------------------------------------------------------------


async def test_an_answer_can_be_lost_after_the_change_was_made(engine: FakeEngine, client: SwarmClient) -> None:
    engine.lose_answer()
    with pytest.raises(OutcomeUnknown):
        await client.services.create(template(), name="web")
    assert ["web"] == [service.name for service in await client.services.list()]
    engine.lose_answer()
    await client.services.update("web", labels={"a": "b"})  # settled by reading
    assert (await client.services.inspect("web")).spec.labels == {"a": "b"}


async def test_connections_can_be_refused(engine: FakeEngine) -> None:
    engine.refuse_connections()
    with pytest.raises(EngineUnreachable, match="nothing listens"):
        await engine.client().services.list()
    engine.accept_connections()
    assert await engine.client().services.list() == []


async def test_the_managers_can_lose_their_leader(engine: FakeEngine, client: SwarmClient) -> None:
    await client.api_version()
    engine.lose_quorum()
    with pytest.raises(NoQuorum):
        await client.services.list()
    assert engine.clock.now() >= 60  # it asked again as long as a call may take
    engine.regain_quorum()
    assert await client.services.list() == []


async def test_a_change_that_is_based_on_an_old_version_is_a_conflict(engine: FakeEngine, client: SwarmClient) -> None:
    await create(client)
    live = await client.services.inspect("web")
    await engine.client().services.update("web", labels={"by": "another"})
    with pytest.raises(OutOfSequence) as caught:
        await client.services.replace("web", live.spec, version=live.version)
    assert caught.value.status == 500
    await client.services.scale("web", 2)


@pytest.mark.parametrize(
    ("state", "error", "ping"),
    [
        ("inactive", NotAManager, "inactive"),
        ("worker", NotAManager, "active/worker"),
        ("locked", SwarmLocked, "locked"),
    ],
)
async def test_an_engine_need_not_manage_a_swarm(state: Any, error: type[Exception], ping: str) -> None:
    engine = FakeEngine(swarm=state)
    with pytest.raises(error):
        await engine.client().services.list()
    assert engine.handle(Request("GET", "/_ping")).headers["Swarm"] == ping
    assert ask(engine, "GET", "/info")[1]["Swarm"]["ControlAvailable"] is False
    assert ask(engine, "POST", "/networks/create", {"Name": "x", "Driver": "overlay"})[0] == 403


def test_a_swarm_is_made_left_locked_and_unlocked() -> None:
    engine = FakeEngine(swarm="inactive")
    assert ask(engine, "POST", "/swarm/leave", {})[0] == 503
    status, node = ask(engine, "POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377"})
    assert (status, node) == (200, engine.nodes[0].id)
    assert ask(engine, "POST", "/swarm/init", {})[0] == 503
    swarm = ask(engine, "GET", "/swarm")[1]
    update = f"/swarm/update?version={swarm['Version']['Index']}"
    spec = {**swarm["Spec"], "EncryptionConfig": {"AutoLockManagers": True}}
    assert ask(engine, "GET", "/swarm/unlockkey")[1] == {"UnlockKey": ""}
    assert ask(engine, "POST", f"{update}&rotateWorkerToken=true", spec) == (200, None)
    assert ask(engine, "POST", update, spec)[0] == 500
    assert ask(engine, "GET", "/swarm")[1]["JoinTokens"]["Worker"] != swarm["JoinTokens"]["Worker"]
    key = ask(engine, "GET", "/swarm/unlockkey")[1]["UnlockKey"]
    assert ask(engine, "POST", "/swarm/unlock", {"UnlockKey": key})[0] == 409
    assert ask(engine, "POST", "/swarm/leave", {})[0] == 503
    assert ask(engine, "POST", "/swarm/leave?force=1", {})[0] == 200
    locked = FakeEngine(swarm="locked")
    assert ask(locked, "POST", "/swarm/unlock", {"UnlockKey": "wrong"})[0] == 400
    assert ask(locked, "POST", "/swarm/unlock", {"UnlockKey": "SWMKEY-1-wrong"})[0] == 401
    key = locked.unlock_key
    assert ask(locked, "POST", "/swarm/unlock", {"UnlockKey": key})[0] == 200
    assert ask(locked, "GET", "/services") == (200, [])


async def test_stored_registry_credentials_can_be_looked_at(engine: FakeEngine, client: SwarmClient) -> None:
    auth = RegistryAuth(username="me", password="pass")
    await client.services.create(template(), name="web", registry_auth=auth)
    stored = engine.registry_auth("web")
    assert stored is not None
    assert (stored["username"], stored["password"]) == ("me", "pass")
    await client.services.update("web", labels={"a": "b"})
    assert engine.registry_auth("web") == stored
    await client.services.create(template(), name="plain")
    assert engine.registry_auth("plain") is None
    with pytest.raises(LookupError):
        engine.registry_auth("nope")
    await client.services.update("web", task_template=template("app:2"), registry_auth=RegistryAuth(username="you"))
    (service,) = await client.services.list(name="web")
    path = f"/services/web/update?version={service.version.index}&registryAuthFrom=previous-spec"
    assert ask(engine, "POST", path, json.loads(service.spec.wire()))[0] == 200
    assert engine.registry_auth("web") == stored


def test_the_registry_knows_digests(engine: FakeEngine) -> None:
    status, found = ask(engine, "GET", "/distribution/library/nginx:1/json")
    assert status == 200
    assert found["Descriptor"]["digest"].startswith("sha256:")
    engine.remove_image("nginx:1")
    assert ask(engine, "GET", "/distribution/nginx:1/json")[0] == 404


# --- versions --------------------------------------------------------------------------------------------------------


def test_there_is_an_engine_of_every_version_since_20_10() -> None:
    for minor in range(41, 57):
        engine = FakeEngine(f"1.{minor}")
        about = ask(engine, "GET", "/version")[1]
        assert about["ApiVersion"] == f"1.{minor}" == str(engine.api_version)
        assert f"1.{minor}" in repr(engine)
    with pytest.raises(ValueError, match="no embedded engine"):
        FakeEngine("1.40")


def test_what_is_newer_than_the_engine_or_the_request_is_dropped() -> None:
    container = {"Image": "app:1", "OomScoreAdj": 5, "CapabilityAdd": ["CAP_CHOWN"]}
    spec = {"Name": "web", "TaskTemplate": {"ContainerSpec": container, "Resources": {"MemorySwappiness": 0}}}
    for version, asked, expected in (
        ("1.45", "1.45", {"CapabilityAdd"}),
        ("1.51", "1.51", {"CapabilityAdd", "OomScoreAdj"}),
        ("1.51", "1.45", {"CapabilityAdd"}),
        ("1.56", "1.40", set[str]()),
        ("1.56", "1.56", {"CapabilityAdd", "OomScoreAdj", "MemorySwappiness"}),
    ):
        engine = FakeEngine(version)
        ask(engine, "POST", f"/v{asked}/services/create", spec)
        template = ask(engine, "GET", "/services/web")[1]["Spec"]["TaskTemplate"]
        assert expected == {*template["ContainerSpec"], *template["Resources"]} - {"Image", "Isolation"}


def test_networks_of_the_service_itself_are_dropped_or_moved_by_newer_engines() -> None:
    spec = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "app:1"}}, "Networks": [{"Target": "net"}]}
    for version, asked, where in (("1.51", "1.51", "Spec"), ("1.56", "1.43", "TaskTemplate"), ("1.56", "1.56", "")):
        engine = FakeEngine(version)
        ask(engine, "POST", "/networks/create", {"Name": "net", "Driver": "overlay"})
        ask(engine, "POST", f"/v{asked}/services/create", spec)
        stored = ask(engine, "GET", "/services/web")[1]["Spec"]
        found = {"Spec": "Networks" in stored, "TaskTemplate": "Networks" in stored["TaskTemplate"]}
        assert where == next((name for name, is_there in found.items() if is_there), "")


def test_newer_engines_say_some_things_in_other_words() -> None:
    engine = FakeEngine("1.56")
    ask(engine, "POST", "/services/create", {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "app:1"}}})
    assert ask(engine, "GET", "/services/web/logs") == (
        400,
        {"message": "must specify at least one of 'stdout' or 'stderr'"},
    )
    assert ask(engine, "GET", "/services/web/logs?stdout=1&since=abc")[0] == 400
    assert ask(engine, "GET", "/events?since=abc")[0] == 400
    update = "/services/web/update?version=1&registryAuthFrom=bogus"
    assert ask(engine, "POST", update, {}) == (400, {"message": "invalid registryAuthFrom 'bogus'"})
    swap = {"ContainerSpec": {"Image": "app:1"}, "Resources": {"SwapBytes": 5}}
    said = ask(engine, "POST", "/services/create", {"Name": "swap", "TaskTemplate": swap})
    assert said == (400, {"message": "memory swap provided, but no memory-limit was set"})


async def test_a_pinned_client_below_the_engine_is_served(engine: FakeEngine) -> None:
    client = engine.client(api_version="1.41")
    await create(client)
    assert str(await client.api_version()) == "1.41"


def test_requests_that_are_no_json_or_lead_nowhere(engine: FakeEngine) -> None:
    for request, status, message in (
        (Request("POST", "/services/create", body=b"{}"), 400, "malformed Content-Type header (): mime: no media type"),
        (
            Request("POST", "/services/create", headers={"content-type": "text/plain"}, body=b"{}"),
            400,
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
        (Request("GET", "/containers/json"), 404, "page not found"),
        (Request("PUT", "/services"), 404, "page not found"),
        (Request("PUT", "/nodes"), 404, "page not found"),
        (Request("PUT", "/secrets"), 404, "page not found"),
        (Request("PUT", "/networks"), 404, "page not found"),
        (Request("PUT", "/swarm"), 404, "page not found"),
        (Request("GET", "/services", "status=maybe"), 400, None),
        (Request("GET", "/nodes", 'filters={"role":["bogus"]}'), 500, "Invalid role filter: 'bogus'"),
        (Request("GET", "/nodes", 'filters={"membership":["bogus"]}'), 500, "Invalid membership filter: 'bogus'"),
        (Request("DELETE", "/networks/bridge"), 403, "bridge is a pre-defined network and cannot be removed"),
        (Request("GET", "/services", 'filters={"name":{"web":1}}'), 400, "invalid filter"),
    ):
        answer = engine.handle(request)
        assert isinstance(answer.body, bytes)
        said = json.loads(answer.body)["message"]
        assert (answer.status, said) == (status, message or said)


def test_lists_are_filtered_as_engines_do(engine: FakeEngine) -> None:
    worker = engine.add_node("w1", labels={"zone": "a"}, engine_labels={"gpu": "yes"})
    for name in ("one", "two"):
        ask(engine, "POST", "/secrets/create", {"Name": name, "Data": "YQ==", "Labels": {"n": name}})
        ask(engine, "POST", "/networks/create", {"Name": name, "Driver": "overlay", "Labels": {"n": name}})
    ask(engine, "POST", "/networks/create", {"Name": "local", "Driver": "bridge"})

    def count(path: str, **filters: list[str]) -> int:
        found = ask(engine, "GET", f"{path}?filters={json.dumps({k.replace('_', '.'): v for k, v in filters.items()})}")
        return len(found[1])

    assert count("/nodes", role=["worker"]) == count("/nodes", name=["w1"]) == count("/nodes", id=[worker.id]) == 1
    assert count("/nodes", node_label=["zone=a"]) == count("/nodes", label=["gpu"]) == 1
    assert (count("/nodes", membership=["pending"]), count("/nodes", membership=["accepted"])) == (0, 2)
    engine.nodes[0].label(disk="ssd")  # as engines have it, any change makes a node pending
    assert (count("/nodes", membership=["pending"]), count("/nodes", membership=["accepted"])) == (1, 1)
    assert (count("/secrets", name=["o"]), count("/secrets", names=["o"]), count("/secrets", names=["one"])) == (
        1,
        0,
        1,
    )
    assert count("/secrets", label=["n=two"]) == 1
    assert (count("/networks", driver=["overlay"]), count("/networks", type=["builtin"])) == (3, 3)
    assert (count("/networks", scope=["local"]), count("/networks", name=["oc"]), count("/networks")) == (4, 1, 7)
    assert (count("/networks", name=["tw"]), count("/networks", name=["two"])) == (0, 1)
    assert ask(engine, "DELETE", "/networks/local") == (204, None)
    assert ask(engine, "GET", f"/nodes/{worker.id}")[1]["Description"]["Engine"]["Labels"] == {"gpu": "yes"}
    assert ask(engine, "GET", "/nodes/self") == (404, {"message": "node self not found"})


async def test_tasks_are_filtered_and_found(engine: FakeEngine, client: SwarmClient) -> None:
    identity = await create(client, replicas=2, labels={"tier": "front"})
    (task, _) = await client.services.ps("web")
    node = engine.nodes[0]
    filters: list[dict[str, Any]] = [
        {"id": task.id[:8]},
        {"name": f"web.{task.slot}."},
        {"node": node.id, "service": identity, "id": task.id},
        {"label": "tier=front", "id": task.id},
        {"_up-to-date": True, "desired-state": "running", "id": task.id},
    ]
    for one in filters:
        assert [task.id] == [found.id for found in await client.tasks.list(filters=one)], one
    assert (await client.tasks.inspect(task.id[:10])).id == task.id
    assert engine.handle(Request("GET", f"/tasks/{task.id}/logs", "stdout=1")).status == 200


# --- ports and networks ----------------------------------------------------------------------------------------------


async def test_addresses_and_ports_are_given_and_kept(engine: FakeEngine, client: SwarmClient) -> None:
    ask(engine, "POST", "/networks/create", {"Name": "net", "Driver": "overlay"})
    ports = [PortConfig.parse("80"), PortConfig(target_port=81, publish_mode="host")]
    await create(client, endpoint_spec=EndpointSpec(ports=ports), networks=["net"])
    first = (await client.services.inspect("web")).endpoint
    assert first is not None
    assert [port.published_port for port in first.ports or []] == [30000, None]
    assert len(first.virtual_ips or []) == 2
    await create(client, "other", endpoint_spec=EndpointSpec(ports=[PortConfig.parse("80")]))
    other = (await client.services.inspect("other")).endpoint
    assert [30001] == [port.published_port for port in (other and other.ports) or []]
    await client.services.update("web", labels={"a": "b"})
    assert (await client.services.inspect("web")).endpoint == first
    await client.services.update("web", endpoint_spec=EndpointSpec(mode="dnsrr", ports=[]))
    await client.services.wait("web", timeout=60)
    last = (await client.services.inspect("web")).endpoint
    assert not (last and last.virtual_ips)
    (task,) = await running(client)
    raw = ask(engine, "GET", f"/tasks/{task.id}")[1]["NetworksAttachments"]
    assert [one["Network"]["Spec"]["Name"] for one in raw] == ["net"]
    status, said = ask(engine, "DELETE", "/networks/net")
    assert (status, "is in use by service" in said["message"]) == (400, True)
    await client.services.scale("web", 2)
    await client.services.wait("web", timeout=60)
    await client.services.update("web", networks=[], task_template=TaskTemplate(networks=[]))  # one task at a time
    assert "is in use by task" in ask(engine, "DELETE", "/networks/net")[1]["message"]
    await client.services.update("web", networks=["net"])
    await client.services.remove("web")
    assert ask(engine, "DELETE", "/networks/net") == (204, None)  # its tasks are told to end, which is enough


async def test_a_network_of_one_engine_only_is_none_for_services(engine: FakeEngine, client: SwarmClient) -> None:
    _, made = ask(engine, "POST", "/networks/create", {"Name": "local", "Driver": "bridge"})
    join: Callable[[str], Awaitable[Any]] = lambda name: client.services.create(  # noqa: E731
        template(), name="web", networks=[NetworkAttachmentConfig(target=name)]
    )
    with pytest.raises(Exception, match="cannot be used with services"):
        await join(made["Id"])
    await join("host")


# --- fixtures --------------------------------------------------------------------------------------------------------


async def test_the_fixtures_are_an_engine_and_a_client_of_it(
    swarm_engine: FakeEngine, swarm_client: SwarmClient
) -> None:
    await create(swarm_client)
    assert 200 == ask(swarm_engine, "GET", "/services/web")[0]


def test_the_fixtures_need_no_event_loop(swarm_engine: FakeEngine, swarm_client: SwarmClient) -> None:
    assert anyio.run(swarm_client.services.list) == []
