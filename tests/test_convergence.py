"""Whether a service has arrived is judged as Docker's own program does, and a wait for it ends where it can."""

from __future__ import annotations

import json
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from swarmkit.convergence import Failures, Limits, judge
from swarmkit.errors import (
    EngineError,
    EngineUnreachable,
    NotFound,
    RolledBack,
    RolloutFailed,
    RolloutTimeout,
    ServiceRemoved,
    Superseded,
    TasksFailing,
    UpdatePaused,
)
from swarmkit.models._glance import NodeGlance, NodeSpecGlance, TaskGlance
from swarmkit.models.service import Service
from swarmkit.rollouts import Sources, Watch

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from swarmkit.models.rollout import Progress, Rollout


def replicated(replicas: int | None = None) -> dict[str, Any]:
    return {"Replicated": {} if replicas is None else {"Replicas": replicas}}


def a_job(total: int | None = None, at_once: int | None = None) -> dict[str, Any]:
    return {"ReplicatedJob": {"TotalCompletions": total, "MaxConcurrent": at_once}}


GLOBAL: dict[str, Any] = {"Global": {}}
GLOBAL_JOB: dict[str, Any] = {"GlobalJob": {}}


def a_service(
    mode: Any = None, *, status: str | None = None, message: str = "", run: int | None = None, **keys: Any
) -> Service:
    """A service as a manager answers it; `run` is the iteration of a job."""
    spec = {"Name": "web", "Mode": mode, **keys.pop("spec", {})}
    answer = {"ID": "s1", "Version": {"Index": keys.pop("index", 7)}, "Spec": spec, **keys}
    if status is not None:
        answer["UpdateStatus"] = {"State": status, "Message": message}
    if run is not None:
        answer["JobStatus"] = {"JobIteration": {"Index": run} if run else {}}
    return Service.from_wire(json.dumps(answer))


def a_task(
    name: str,
    state: str = "running",
    *,
    slot: int | None = 1,
    wanted: str = "running",
    node: str | None = "n1",
    error: str = "",
    run: int | None = None,
) -> TaskGlance:
    answer: dict[str, Any] = {
        "ID": name,
        "Version": {"Index": 1},
        "Spec": {},
        "ServiceID": "s1",
        "Slot": slot,
        "NodeID": node,
        "DesiredState": wanted,
        "Status": {"State": state, "Err": error},
    }
    if run is not None:
        answer["JobIteration"] = {"Index": run}
    return TaskGlance.from_wire(json.dumps(answer))


def nodes(**states: str) -> list[NodeGlance]:
    return [
        NodeGlance.from_wire(json.dumps({"ID": name, "Version": {}, "Spec": {}, "Status": {"State": state}}))
        for name, state in states.items()
    ]


TWO = nodes(n1="ready", n2="ready", n3="down")


def judged(service: Service, *tasks: TaskGlance) -> tuple[str, int, int]:
    progress = judge(service, tasks, TWO)
    return progress.phase, progress.arrived, progress.wanted


# --- the judge: replicated -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "tasks", "expected"),
    [
        (None, [], ("updating", 0, 1)),
        (None, [a_task("a")], ("converged", 1, 1)),
        (replicated(), [a_task("a")], ("converged", 1, 1)),
        (replicated(2), [a_task("a")], ("updating", 1, 2)),
        (replicated(2), [a_task("a"), a_task("b", slot=2)], ("converged", 2, 2)),
        (replicated(2), [a_task("a"), a_task("b", "starting", slot=2)], ("updating", 1, 2)),
        (replicated(0), [], ("converged", 0, 0)),
        (replicated(0), [a_task("a", wanted="shutdown")], ("converged", 0, 0)),
        (replicated(0), [a_task("a", wanted="remove")], ("converged", 0, 0)),
        (replicated(0), [a_task("a")], ("updating", 1, 0)),
        (replicated(1), [a_task("a"), a_task("b", slot=2)], ("updating", 2, 1)),
        (replicated(1), [a_task("a", "pending", node=None)], ("updating", 0, 1)),
        # A node that is down, or gone, runs nothing.
        (replicated(1), [a_task("a", node="n3")], ("updating", 0, 1)),
        (replicated(1), [a_task("a", node="n9")], ("updating", 0, 1)),
        (replicated(1), [a_task("a", node="n3"), a_task("b", node="n2")], ("converged", 1, 1)),
        # What should stop stands for nothing; of what should run, what has come least far does.
        (replicated(1), [a_task("a", wanted="shutdown"), a_task("b", "preparing")], ("updating", 0, 1)),
        (replicated(1), [a_task("a", "failed", wanted="shutdown"), a_task("b")], ("converged", 1, 1)),
        (replicated(1), [a_task("a"), a_task("b", "starting")], ("updating", 0, 1)),
        (replicated(1), [a_task("a"), a_task("b", "ready", wanted="ready")], ("updating", 0, 1)),
        (replicated(1), [a_task("b", "ready", wanted="ready"), a_task("a")], ("updating", 0, 1)),
        (replicated(1), [a_task("a", "failed")], ("updating", 0, 1)),
        (replicated(1), [a_task("a", "complete")], ("updating", 0, 1)),
        # States this package does not know are skipped.
        (replicated(1), [a_task("a", "remove"), a_task("b")], ("converged", 1, 1)),
        (replicated(1), [a_task("a", "orphaned")], ("updating", 0, 1)),
        (replicated(1), [a_task("a", "warming")], ("updating", 0, 1)),
    ],
)
def test_a_replicated_service_has_arrived_when_every_slot_runs(
    mode: Any, tasks: list[TaskGlance], expected: tuple[str, int, int]
) -> None:
    assert expected == judged(a_service(mode), *tasks)
    assert expected == judged(a_service(mode), *reversed(tasks))


def test_of_two_tasks_of_a_slot_the_one_that_is_wanted_least_far_stands_for_it() -> None:
    tasks = [a_task("b", "preparing"), a_task("a", "ready", wanted="ready")]

    assert ["a"] == [slot.task_id for slot in judge(a_service(), tasks, TWO).slots]
    assert ["a"] == [slot.task_id for slot in judge(a_service(), tasks[::-1], TWO).slots]


def test_progress_says_where_each_slot_is() -> None:
    tasks = [
        a_task("b", "preparing", slot=2, node="n2", error="no such image"),
        a_task("a", slot=1),
        a_task("old", "failed", slot=1, wanted="shutdown", error="exit 1"),
    ]
    progress = judge(a_service(replicated(2)), tasks, TWO)

    assert ("s1", "web") == (progress.service_id, progress.service_name)
    assert [(1, "n1", "a", "running", ""), (2, "n2", "b", "preparing", "no such image")] == [
        (slot.slot, slot.node_id, slot.task_id, slot.state, slot.error) for slot in progress.slots
    ]
    assert ("no such image", ("no such image",)) == (progress.message, progress.errors)
    assert "service web: updating, 1 of 2 tasks: no such image" == str(progress)


# --- the judge: global -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([], ("updating", 0, 0)),
        ([a_task("a", slot=None)], ("converged", 1, 1)),
        ([a_task("a", slot=None), a_task("b", slot=None, node="n2")], ("converged", 2, 2)),
        ([a_task("a", slot=None), a_task("b", "preparing", slot=None, node="n2")], ("updating", 1, 2)),
        ([a_task("a", slot=None), a_task("b", slot=None, node="n3")], ("converged", 1, 1)),
        ([a_task("a", slot=None), a_task("b", slot=None, wanted="shutdown")], ("converged", 1, 1)),
        ([a_task("a", slot=None, node="n3")], ("updating", 0, 0)),
    ],
)
def test_a_global_service_has_arrived_when_it_runs_on_every_node_with_a_task(
    tasks: list[TaskGlance], expected: tuple[str, int, int]
) -> None:
    assert expected == judged(a_service(GLOBAL), *tasks)


def test_a_global_service_waits_for_its_first_tasks() -> None:
    assert "waiting for tasks" == judge(a_service(GLOBAL), [], TWO).message


def test_the_seats_of_a_global_service_are_its_nodes() -> None:
    progress = judge(a_service(GLOBAL), [a_task("b", slot=None, node="n2"), a_task("a", slot=None)], TWO)

    assert [(None, "n1"), (None, "n2")] == [(slot.slot, slot.node_id) for slot in progress.slots]


# --- the judge: jobs -------------------------------------------------------------------------------------------------


def done(name: str, slot: int | None = 1, **keys: Any) -> TaskGlance:
    return a_task(name, "complete", slot=slot, wanted="complete", **keys)


@pytest.mark.parametrize(
    ("mode", "tasks", "expected"),
    [
        (a_job(), [], ("updating", 0, 1)),
        (a_job(), [done("a")], ("converged", 1, 1)),
        (a_job(at_once=2), [done("a")], ("updating", 1, 2)),
        (a_job(at_once=2), [done("a"), done("b", 2)], ("converged", 2, 2)),
        (a_job(3, 1), [done("a"), done("b", 2)], ("updating", 2, 3)),
        (a_job(3, 1), [done("a"), done("b", 2), done("c", 3)], ("converged", 3, 3)),
        (a_job(2), [done("a"), a_task("b", slot=2, wanted="complete")], ("updating", 1, 2)),
        (a_job(), [a_task("a", "failed", wanted="complete")], ("updating", 0, 1)),
        (a_job(), [a_task("a", "failed", wanted="shutdown"), done("b")], ("converged", 1, 1)),
        (a_job(), [a_task("a", "failed"), a_task("b", "starting", wanted="complete")], ("updating", 0, 1)),
        (a_job(0), [], ("converged", 0, 0)),
        (a_job(0, 0), [], ("converged", 0, 0)),
        # What is complete stays so when its node goes down or away; what runs there does not.
        (a_job(2), [done("a", node="n3"), done("b", 2, node="n9")], ("converged", 2, 2)),
        (a_job(1), [a_task("a", wanted="complete", node="n3")], ("updating", 0, 1)),
        (a_job(1), [a_task("a", wanted="complete", node="n3"), done("b")], ("converged", 1, 1)),
    ],
)
def test_a_replicated_job_has_arrived_when_as_many_tasks_are_complete_as_asked_for(
    mode: Any, tasks: list[TaskGlance], expected: tuple[str, int, int]
) -> None:
    assert expected == judged(a_service(mode), *tasks)
    assert expected == judged(a_service(mode), *reversed(tasks))


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([], ("updating", 0, 0)),
        ([done("a", None), done("b", None, node="n2")], ("converged", 2, 2)),
        ([done("a", None), a_task("b", slot=None, node="n2", wanted="complete")], ("updating", 1, 2)),
    ],
)
def test_a_global_job_has_arrived_when_it_is_complete_on_every_node(
    tasks: list[TaskGlance], expected: tuple[str, int, int]
) -> None:
    assert expected == judged(a_service(GLOBAL_JOB), *tasks)


@pytest.mark.parametrize(
    ("run", "tasks", "expected"),
    [
        (2, [done("old", run=1)], ("updating", 0, 1)),
        (2, [done("old", run=1), a_task("new", wanted="complete", run=2)], ("updating", 0, 1)),
        (2, [done("old", run=1), done("new", run=2)], ("converged", 1, 1)),
        (0, [done("a", run=0)], ("converged", 1, 1)),
        (0, [done("a")], ("converged", 1, 1)),
        (None, [done("a", run=0)], ("converged", 1, 1)),
    ],
)
def test_tasks_of_a_job_s_earlier_runs_do_not_count(
    run: int | None, tasks: list[TaskGlance], expected: tuple[str, int, int]
) -> None:
    assert expected == judged(a_service(a_job(), run=run), *tasks)


# --- the judge: what the manager says of an update -------------------------------------------------------------------

PREVIOUS: dict[str, Any] = {"PreviousSpec": {"Name": "web"}}


@pytest.mark.parametrize(
    ("status", "previous", "phase"),
    [
        (None, PREVIOUS, "converged"),
        ("updating", PREVIOUS, "converged"),
        ("completed", PREVIOUS, "converged"),
        ("pondering", PREVIOUS, "converged"),
        ("paused", PREVIOUS, "paused"),
        ("rollback_paused", {}, "paused"),
        ("rollback_paused", PREVIOUS, "paused"),
        # The manager forgets the previous spec when it goes back to it itself; a rollback by hand swaps the two.
        ("rollback_started", {}, "rolling back"),
        ("rollback_completed", {}, "rolled back"),
        ("rollback_started", PREVIOUS, "converged"),
        ("rollback_completed", PREVIOUS, "converged"),
    ],
)
def test_what_the_manager_says_of_an_update_counts(status: str | None, previous: dict[str, Any], phase: str) -> None:
    progress = judge(a_service(status=status, message="because", **previous), [a_task("a")], TWO)

    assert phase == progress.phase
    assert ("" if phase == "converged" else "because") == progress.message
    assert status == (progress.update_status and progress.update_status.state)


def test_a_rollback_by_hand_still_has_to_arrive() -> None:
    assert ("updating", 0, 1) == judged(a_service(status="rollback_completed", **PREVIOUS), a_task("a", "starting"))


# --- the judge: failures ---------------------------------------------------------------------------------------------


def failed(
    number: int, slot: int | None = 1, state: str = "failed", error: str = "exit 1", node: str = "n1"
) -> list[TaskGlance]:
    return [
        a_task(f"f{slot}-{node}-{one}", state, slot=slot, wanted="shutdown", error=error, node=node)
        for one in range(number)
    ]


@pytest.mark.parametrize(
    ("mode", "tasks", "phase"),
    [
        (None, failed(4), "updating"),
        (None, failed(5), "failing"),
        (None, failed(5, state="rejected", error="No such image"), "failing"),
        (None, failed(5, state="shutdown"), "updating"),
        (replicated(3), [*failed(4), *failed(4, 2), *failed(4, 3)], "updating"),
        (GLOBAL, failed(5, None), "failing"),
        (GLOBAL, [*failed(3, None), *failed(3, None, node="n2")], "updating"),
        (a_job(), failed(5), "failing"),
    ],
)
def test_a_slot_whose_tasks_fail_five_times_is_failing(mode: Any, tasks: list[TaskGlance], phase: str) -> None:
    service = a_service(mode)
    failures = Failures()
    failures.count(service, tasks)
    failures.count(service, tasks)

    assert phase == judge(service, tasks, TWO, failures).phase


def test_a_global_service_has_not_arrived_while_the_manager_still_updates() -> None:
    service = a_service(GLOBAL, status="updating")
    assert judged(service, a_task("a", slot=None)) == ("updating", 1, 1)
    assert judged(a_service(GLOBAL, status="completed"), a_task("a", slot=None)) == ("converged", 1, 1)


def test_a_node_whose_task_has_ended_is_missed_in_a_global_service() -> None:
    dead = a_task("b", "failed", slot=None, node="n2", wanted="shutdown")
    assert judged(a_service(GLOBAL), a_task("a", slot=None), dead) == ("updating", 1, 2)
    gone = a_task("c", "failed", slot=None, node="n3", wanted="shutdown")  # that node is down
    assert judged(a_service(GLOBAL), a_task("a", slot=None), gone) == ("converged", 1, 1)
    drained = [
        node.model_copy(update={"spec": NodeSpecGlance(availability="drain")}) if node.id == "n2" else node
        for node in TWO
    ]
    assert judge(a_service(GLOBAL), [a_task("a", slot=None), dead], drained).phase == "converged"


@pytest.mark.anyio
async def test_a_slot_that_used_up_its_attempts_is_a_failure() -> None:
    spec = {"TaskTemplate": {"RestartPolicy": {"Condition": "any", "MaxAttempts": 1}}}
    service = a_service(replicated(2), spec=spec)
    ended = [a_task("a", "failed", wanted="shutdown", error="boom"), a_task("b", slot=2)]
    replaced = [*ended, a_task("c", "ready", wanted="ready")]
    world = World(Moment(0, ended, service), Moment(0.3, replaced, service), Moment(5, ended, service))
    progress = await world.failure(TasksFailing)
    assert "restart policy" in progress.message
    assert 5.5 < world.passed < 7


@pytest.mark.anyio
async def test_a_rollback_says_what_went_wrong_with_the_spec_that_was_given_up() -> None:
    rolled_back = a_service(replicated(1), status="rollback_completed")
    old = a_task("old", "failed", error="long ago")
    old.created_at = datetime(2026, 1, 1, tzinfo=UTC)
    new = a_task("new", "failed", error="boom")
    new.created_at = datetime(2026, 1, 3, tzinfo=UTC)
    if rolled_back.update_status is not None:
        rolled_back.update_status.started_at = datetime(2026, 1, 2, tzinfo=UTC)
    progress = await World(Moment(0, UP, rolled_back, outdated=[old, new])).failure(RolledBack)
    assert progress.errors == ("boom",)


@pytest.mark.anyio
async def test_a_service_made_anew_under_its_name_is_another_one() -> None:
    other = a_service(replicated(1))
    other.id = "s2"
    world = World(Moment(0, STARTING), Moment(1, UP, other))
    assert (await world.failure(ServiceRemoved)).service_id == "s1"


NEVER = {"TaskTemplate": {"RestartPolicy": {"Condition": "none"}}}
ON_FAILURE = {"TaskTemplate": {"RestartPolicy": {"Condition": "on-failure"}}}


@pytest.mark.parametrize(
    ("mode", "spec", "tasks", "phase"),
    [
        (replicated(1), NEVER, [a_task("a", "failed", wanted="shutdown", error="boom")], "failing"),
        (replicated(1), NEVER, [a_task("a", "rejected", wanted="shutdown")], "failing"),
        (replicated(1), NEVER, [a_task("a", "complete", wanted="shutdown")], "failing"),
        (replicated(1), ON_FAILURE, [a_task("a", "complete", wanted="shutdown")], "failing"),
        (GLOBAL, NEVER, [a_task("a", "failed", slot=None, wanted="shutdown")], "failing"),
        (a_job(1), NEVER, [a_task("a", "failed", run=0, wanted="shutdown")], "failing"),
        # What the policy replaces, or the manager is still busy with, or nobody misses, is no failure.
        (replicated(1), ON_FAILURE, [a_task("a", "failed", wanted="shutdown")], "updating"),
        (replicated(1), {}, [a_task("a", "complete", wanted="shutdown")], "updating"),
        (replicated(1), NEVER, [a_task("a", "failed", wanted="shutdown"), a_task("b")], "converged"),
        (
            replicated(2),
            NEVER,
            [a_task("a", "failed", slot=3, wanted="shutdown"), a_task("b", "ready"), a_task("c", slot=2)],
            "updating",
        ),
        (replicated(1), NEVER, [a_task("a", "shutdown", wanted="shutdown")], "updating"),
        (a_job(2), NEVER, [a_task("a", "complete", run=0), a_task("b", slot=2, run=0)], "updating"),
    ],
)
def test_a_task_that_ended_and_that_nothing_replaces_is_a_failure(
    mode: Any, spec: dict[str, Any], tasks: list[TaskGlance], phase: str
) -> None:
    run = 0 if mode in (a_job(1), a_job(2)) else None
    progress = judge(a_service(mode, spec=spec, run=run), tasks, TWO)
    assert progress.phase == phase
    assert (phase == "failing") == ("restart policy" in progress.message)


@pytest.mark.parametrize("status", ["updating", "rollback_started"])
def test_nothing_is_missed_while_the_manager_still_makes_tasks(status: str) -> None:
    previous: dict[str, Any] = {"PreviousSpec": {"Name": "web"}}  # a rollback by hand
    ended = a_task("a", "failed", wanted="shutdown")
    assert judge(a_service(replicated(1), spec=NEVER, status=status, **previous), [ended], TWO).phase == "updating"
    service = a_service(GLOBAL, status=status, **previous)
    assert judge(service, [a_task("a", slot=None)], TWO).phase == "updating"


def test_a_node_that_takes_no_tasks_any_more_is_not_missed() -> None:
    drained = nodes(n1="ready", n2="ready")
    drained[1].spec = NodeSpecGlance(availability="drain")
    old = a_task("old", "failed", slot=None, node="n2", wanted="shutdown")
    for tasks in ([a_task("a", "starting", slot=None), old], [a_task("a", "starting", slot=None)]):
        assert judge(a_service(GLOBAL, spec=NEVER), tasks, drained).phase == "updating"
    left = a_task("left", "shutdown", slot=None, node="n2", wanted="shutdown")
    old.created_at, left.created_at = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    # A constraint excludes n2 now: its newest task was told to go.
    assert judge(a_service(GLOBAL), [a_task("a", slot=None), left, old], TWO).phase == "converged"


@pytest.mark.anyio
async def test_a_task_that_is_missed_for_a_moment_is_no_failure() -> None:
    service = a_service(replicated(1), spec=NEVER)
    ended = [a_task("a", "failed", wanted="shutdown")]
    world = World(Moment(0, ended, service), Moment(0.5, [*ended, a_task("b")], service))
    assert (await world.follow()).progress.phase == "converged"


@pytest.mark.anyio
async def test_a_wait_that_cannot_read_any_more_ends_in_its_own_time() -> None:
    world = World(Moment(0, STARTING), Moment(1, STARTING, EngineError(503, None, "busy", "GET", "/services/s1")))
    with pytest.raises(EngineError):
        await world.follow(timeout=5)
    world = World(Moment(0, STARTING), Moment(1, STARTING, EngineError(503, None, "busy", "GET", "/services/s1")))
    assert (await world.failure(RolloutTimeout, timeout=0.95)).phase == "updating"


def test_a_task_that_ended_while_the_manager_updates_may_still_be_replaced() -> None:
    service = a_service(replicated(1), spec=NEVER, status="updating")
    assert judge(service, [a_task("a", "failed", wanted="shutdown")], TWO).phase == "updating"


def test_failures_are_remembered_when_the_manager_has_cleaned_them_up() -> None:
    service = a_service()
    failures = Failures()
    for task in failed(5):
        failures.count(service, [task])
    progress = judge(service, [a_task("a", "starting")], TWO, failures)

    assert ("failing", ("exit 1",)) == (progress.phase, progress.errors)
    assert [5] == [slot.failures for slot in progress.slots]
    assert "5 times" in progress.message


# --- following, in virtual time --------------------------------------------------------------------------------------


@dataclass
class VirtualClock:
    """Time passes only when someone sleeps."""

    time: float = 1000.0
    slept: list[float] = field(default_factory=list[float])

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        assert len(self.slept) < 50_000, "waits for ever"


@dataclass
class Moment:
    """How the world is from a time on."""

    since: float
    tasks: Sequence[TaskGlance]
    service: Service | Exception = field(default_factory=a_service)
    outdated: Sequence[TaskGlance] = ()


class World:
    """A manager whose answers depend on the time."""

    def __init__(self, *moments: Moment) -> None:
        self.clock = VirtualClock()
        self._moments = moments
        self._began = self.clock.time

    def _now(self) -> Moment:
        passed = self.clock.time - self._began
        return [moment for moment in self._moments if moment.since <= passed + 1e-6][-1]

    async def find(self) -> Sequence[Service]:
        """All services that there are, and the failure of asking for one that is not."""
        service = self._now().service
        if isinstance(service, Exception):
            raise service
        return [service]

    async def services(self, ids: Collection[str]) -> Sequence[Service]:
        try:
            return [service for service in await self.find() if service.id in ids]
        except NotFound:
            return []

    async def tasks(self, services: Collection[str], *, up_to_date: bool) -> Sequence[TaskGlance]:
        if {service.id for service in await self.services(services)} != set(services):
            raise GONE
        now = self._now()
        return now.tasks if up_to_date else [*now.tasks, *now.outdated]

    async def nodes(self) -> Sequence[NodeGlance]:
        return TWO

    def watch(self, timeout: float | None = None, **limits: Any) -> Watch:
        def no_deadline(seconds: object) -> nullcontext[None]:
            return nullcontext()

        sources = Sources(self.find, self.services, self.tasks, self.nodes, self.clock, no_deadline)
        return Watch(sources, timeout=timeout, limits=Limits(**limits))

    async def follow(self, timeout: float | None = None) -> Rollout:
        return await self.watch(timeout).rollout()

    async def failure(self, kind: type[RolloutFailed], timeout: float | None = None) -> Progress:
        """Where the rollout was when it failed in this way, and in no other."""
        with pytest.raises(RolloutFailed) as caught:
            await self.follow(timeout)
        assert kind is type(caught.value)
        return caught.value.progress

    @property
    def passed(self) -> float:
        return self.clock.time - self._began


UP = [a_task("a")]
STARTING = [a_task("a", "starting")]
GONE = NotFound(404, "NotFound", "service s1 not found", "GET", "/services/s1")

pytestmark = pytest.mark.anyio


def close(seconds: float) -> Any:
    """That long, give or take two looks."""
    return pytest.approx(seconds, abs=0.5)


async def test_a_service_that_runs_is_watched_for_the_monitor_period() -> None:
    world = World(Moment(0, STARTING), Moment(3, UP))
    rollout = await world.follow()

    assert "converged" == rollout.progress.phase
    assert close(3 + 5) == rollout.seconds == world.passed


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        ({"Monitor": 2 * 10**9}, 2),
        ({"Monitor": 30 * 10**9}, 30),
        ({"Monitor": 0}, 5),
        ({}, 5),
        ({"Parallelism": 2}, 5),
    ],
)
async def test_the_monitor_period_is_the_one_of_the_update_config(config: dict[str, Any], seconds: float) -> None:
    world = World(Moment(0, UP, a_service(spec={"UpdateConfig": config})))

    assert close(seconds) == (await world.follow()).seconds


async def test_an_update_that_the_manager_calls_completed_needs_no_second_watch() -> None:
    world = World(Moment(0, UP, a_service(status="completed")))

    assert 0 == (await world.follow()).seconds


async def test_an_update_that_went_on_in_spite_of_failures_is_watched() -> None:
    crash = failed(1)
    world = World(
        Moment(0, STARTING, a_service(status="updating")),
        Moment(1, [*crash, *STARTING], a_service(status="updating")),
        Moment(2, [*crash, *UP], a_service(status="completed")),
    )

    assert close(2 + 5) == (await world.follow()).seconds


@pytest.mark.parametrize(
    ("mode", "tasks"), [(a_job(), [done("a")]), (GLOBAL_JOB, [done("a", None)]), (a_job(0), list[TaskGlance]())]
)
async def test_a_job_has_arrived_when_it_is_complete(mode: Any, tasks: list[TaskGlance]) -> None:
    world = World(Moment(0, tasks, a_service(mode)))

    assert 0 == (await world.follow()).seconds


async def test_a_service_scaled_to_nought_arrives() -> None:
    world = World(Moment(0, UP, a_service(replicated(0))), Moment(2, [], a_service(replicated(0))))

    assert close(2 + 5) == (await world.follow()).seconds


@pytest.mark.parametrize(
    "relapse",
    [
        STARTING,
        list[TaskGlance](),
        [a_task("a", "failed", wanted="shutdown"), a_task("b", "ready", wanted="ready")],
        [a_task("a", node="n3")],
    ],
)
async def test_a_relapse_starts_the_watch_anew(relapse: list[TaskGlance]) -> None:
    world = World(Moment(0, UP), Moment(4, relapse), Moment(6, [a_task("b")]))

    assert close(6 + 5) == (await world.follow()).seconds


async def test_a_task_that_was_replaced_between_two_looks_starts_the_watch_anew() -> None:
    crash_loop = [Moment(number / 10, [*failed(number), a_task(f"b{number}")]) for number in range(5)]
    progress = await World(*crash_loop, Moment(0.5, [*failed(5), a_task("b5")])).failure(TasksFailing)
    assert "failed 5 times" in progress.message
    world = World(*crash_loop)
    assert close(0.4 + 5) == (await world.follow()).seconds


async def test_a_wait_ends_when_its_time_is_over() -> None:
    world = World(Moment(0, [a_task("a", "pending", node=None, error="no suitable node (1 node not available)")]))
    progress = await world.failure(RolloutTimeout, timeout=10)

    assert ("updating", "no suitable node (1 node not available)") == (progress.phase, progress.message)
    assert close(10) == world.passed
    assert 10 <= world.passed


async def test_time_that_is_over_during_the_watch_is_over() -> None:
    world = World(Moment(0, UP))

    assert "verifying" == (await world.failure(RolloutTimeout, timeout=3)).phase


async def test_no_time_at_all_is_one_look() -> None:
    assert 0 == (await World(Moment(0, UP, a_service(status="completed"))).follow(timeout=0)).seconds
    world = World(Moment(0, STARTING))
    await world.failure(RolloutTimeout, timeout=0)

    assert [] == world.clock.slept


async def test_a_long_wait_without_a_limit_goes_on() -> None:
    world = World(Moment(0, STARTING), Moment(3600, UP))

    assert close(3600 + 5) == (await world.follow(None)).seconds


@pytest.mark.parametrize("status", ["paused", "rollback_paused"])
async def test_a_paused_update_ends_the_wait(status: str) -> None:
    paused = a_service(status=status, message="update paused due to failure")
    world = World(Moment(0, STARTING, a_service(status="updating")), Moment(2, STARTING, paused))

    assert "update paused due to failure" == (await world.failure(UpdatePaused)).message


async def test_a_rollback_by_the_manager_ends_the_wait_when_it_is_over() -> None:
    new, old = {"Labels": {"v": "2"}}, {"Labels": {"v": "1"}}
    previous: dict[str, Any] = {"PreviousSpec": {"Name": "web", **old}}
    world = World(
        Moment(0, STARTING, a_service(spec=new, status="updating", **previous)),
        Moment(2, UP, a_service(spec=old, status="rollback_started", message="going back", index=9)),
        Moment(4, UP, a_service(spec=old, status="rollback_completed", message="went back", index=11)),
    )
    progress = await world.failure(RolledBack)

    assert "went back" == progress.message
    assert close(4) == world.passed


async def test_a_rollback_by_hand_is_a_rollout_as_any_other() -> None:
    world = World(
        Moment(0, STARTING, a_service(status="rollback_started", message="manually requested rollback", **PREVIOUS)),
        Moment(2, UP, a_service(status="rollback_completed", **PREVIOUS)),
    )

    assert close(2 + 5) == (await world.follow()).seconds


@pytest.mark.parametrize(
    "other",
    [
        a_service(spec={"Labels": {"a": "b"}}),
        a_service(spec={"TaskTemplate": {"ForceUpdate": 1}}),
        a_service(replicated(2)),
        a_service(spec={"Labels": {"a": "b"}}, status="rollback_started", **PREVIOUS),
    ],
)
async def test_another_change_ends_the_wait(other: Service) -> None:
    world = World(Moment(0, STARTING), Moment(2, STARTING, other))

    assert "changed again" in (await world.failure(Superseded)).message
    assert close(2) == world.passed


async def test_what_the_manager_itself_writes_is_no_other_change() -> None:
    world = World(Moment(0, UP, a_service(index=7)), Moment(2, UP, a_service(index=9, Endpoint={})))

    assert close(5) == (await world.follow()).seconds


async def test_while_the_manager_still_watches_its_update_it_may_be_rolled_back() -> None:
    busy, done_with = a_service(status="updating"), a_service(status="completed")
    back = a_service(status="rollback_completed", message="went back")

    assert close(5.5) == (await World(Moment(0, UP, busy), Moment(5.5, UP, done_with)).follow()).seconds
    assert "went back" == (await World(Moment(0, UP, busy), Moment(6, UP, back)).failure(RolledBack)).message
    # With a delay between two batches it waits that long after the last one as well, which nobody else needs to.
    assert close(5 + 2) == (await World(Moment(0, UP, busy)).follow()).seconds


# --- the limits ------------------------------------------------------------------------------------------------------

STUCK = [a_task("a", "pending", node=None, error="no suitable node (1 node not available)")]


async def test_a_task_that_no_node_takes_ends_the_wait_after_a_while() -> None:
    world = World(Moment(0, STARTING), Moment(2, STUCK))
    progress = await world.failure(TasksFailing)

    assert close(2 + 60) == world.passed
    assert "for 60 s no node has taken a task: no suitable node (1 node not available)" == progress.message


@pytest.mark.parametrize(
    "tasks",
    [
        [a_task("b", "pending", node=None, error="no suitable node")],  # another task: the manager tries anew
        [a_task("a", "pending", node=None)],
        [a_task("a", "preparing")],
        UP,
    ],
)
async def test_a_task_that_a_node_takes_after_all_ends_nothing(tasks: list[TaskGlance]) -> None:
    world = World(Moment(0, STUCK), Moment(50, tasks), Moment(100, UP))

    assert "converged" == (await world.follow()).progress.phase


async def test_how_long_a_task_may_wait_for_a_node_is_for_the_caller_to_say() -> None:
    with pytest.raises(TasksFailing, match="for 3 s"):
        await World(Moment(0, STUCK)).watch(pending=3).rollout()
    patient = World(Moment(0, STUCK), Moment(3600, UP))
    assert close(3600 + 5) == (await patient.watch(pending=None).rollout()).seconds


async def test_a_global_service_that_gets_no_tasks_ends_the_wait_after_a_while() -> None:
    world = World(Moment(0, [], a_service(GLOBAL)))

    assert "for 60 s no node has taken a task: waiting for tasks" == (await world.failure(TasksFailing)).message


async def test_a_service_that_goes_back_to_what_no_node_takes_ends_the_wait_too() -> None:
    back = a_service(status="rollback_started", message="going back")
    world = World(Moment(0, STUCK, back))

    assert "no node has taken a task" in (await world.failure(TasksFailing)).message


async def test_how_often_tasks_may_fail_is_for_the_caller_to_say() -> None:
    world = World(Moment(0, STARTING), Moment(1, [*failed(2), *STARTING]), Moment(9, [*failed(7), *STARTING]))
    with pytest.raises(TasksFailing, match="failed 2 times"):
        await world.watch(failures=2).rollout()
    world = World(Moment(0, STARTING), Moment(1, [*failed(7), *STARTING]), Moment(9, [*failed(7), *UP]))
    assert close(9 + 5) == (await world.watch(failures=8).rollout()).seconds


# --- watching --------------------------------------------------------------------------------------------------------


async def seen(watch: Watch) -> list[str]:
    """The phases that a watch shows, up to its end."""
    phases: list[str] = []
    with suppress(RolloutFailed):
        phases.extend([f"{step.service_name} {step.phase} {step.arrived}" async for step in watch])
    return phases


async def test_a_watch_shows_what_changes_and_nothing_twice() -> None:
    world = World(Moment(0, STARTING), Moment(3, UP))
    steps: list[tuple[float, str, int]] = []
    async with world.watch() as watch:
        steps.extend([(world.passed, progress.phase, progress.arrived) async for progress in watch])

    assert [(0, "updating", 0), (close(3), "verifying", 1), (close(8), "converged", 1)] == steps
    with pytest.raises(StopAsyncIteration):
        await anext(watch)


async def test_a_watch_shows_a_failure_before_it_raises_it() -> None:
    paused = a_service(status="paused", message="enough")
    watch = World(Moment(0, STARTING), Moment(1, STARTING, paused)).watch()
    assert ["updating", "paused"] == [(await anext(watch)).phase for _ in range(2)]
    for _ in range(2):
        with pytest.raises(UpdatePaused, match="enough"):
            await anext(watch)


async def test_a_watch_can_be_left_and_taken_up_again() -> None:
    world = World(Moment(0, STARTING), Moment(3, UP))
    watch = world.watch()
    async for progress in watch:
        assert "updating" == progress.phase
        break
    assert "converged" == (await watch.rollout()).progress.phase


async def test_what_a_user_raises_comes_out_as_it_is() -> None:
    with pytest.raises(LookupError, match="mine"):
        async with World(Moment(0, UP)).watch() as watch:
            async for _ in watch:
                raise LookupError("mine")


# --- several services ------------------------------------------------------------------------------------------------


class Fleet(World):
    """A manager that has several services, each with a story of its own, and counts what it is asked."""

    def __init__(self, **stories: World) -> None:
        super().__init__()
        self._stories = stories
        self.asked: list[tuple[str, float]] = []
        for story in stories.values():
            story.clock = self.clock

    def _ask(self, what: str) -> None:
        self.asked.append((what, self.passed))

    async def find(self) -> Sequence[Service]:
        self._ask("find")
        return await self._present(self._stories)

    async def _present(self, names: Collection[str]) -> list[Service]:
        present: list[Service] = []
        for name in names:
            with suppress(NotFound):
                [service] = await self._stories[name].find()
                service = service.model_copy(deep=True)
                service.id = service.spec.name = name
                present.append(service)
        return present

    async def services(self, ids: Collection[str]) -> Sequence[Service]:
        self._ask("services")
        return await self._present(ids)

    async def tasks(self, services: Collection[str], *, up_to_date: bool) -> Sequence[TaskGlance]:
        self._ask("tasks")
        if len(await self._present(services)) != len(services):
            raise GONE
        return [
            task.model_copy(update={"service_id": name})
            for name in services
            for task in await self._stories[name].tasks(["s1"], up_to_date=up_to_date)
        ]

    async def nodes(self) -> Sequence[NodeGlance]:
        self._ask("nodes")
        return TWO


async def test_several_services_have_arrived_when_the_last_has() -> None:
    fleet = Fleet(
        quick=World(Moment(0, UP, a_service(status="completed"))),
        slow=World(Moment(0, STARTING), Moment(4, UP)),
        job=World(Moment(0, [], a_service(a_job())), Moment(2, [done("a")], a_service(a_job()))),
    )
    rollout = await fleet.watch().rollout()

    assert ["quick", "slow", "job"] == [progress.service_name for progress in rollout.services]
    assert {"converged"} == {progress.phase for progress in rollout.services}
    assert close(4 + 5) == rollout.seconds
    with pytest.raises(ValueError, match="3 services"):
        rollout.progress  # noqa: B018 -- reading it is what raises


async def test_a_watch_of_several_services_tells_of_each_what_is_new_there() -> None:
    fleet = Fleet(one=World(Moment(0, STARTING), Moment(1, UP)), other=World(Moment(0, UP)))

    assert [
        "one updating 0",
        "other verifying 1",
        "one verifying 1",
        "other converged 1",
        "one converged 1",
    ] == await seen(fleet.watch())


async def test_the_first_of_several_services_that_fails_ends_the_wait() -> None:
    fleet = Fleet(
        fine=World(Moment(0, UP)),
        bad=World(Moment(0, STARTING), Moment(2, STARTING, a_service(status="paused", message="enough"))),
        slow=World(Moment(0, STARTING)),
    )
    with pytest.raises(UpdatePaused, match="service bad: paused") as caught:
        await fleet.watch().rollout()

    others = {other.service_name: other.phase for other in caught.value.others}
    assert {"fine": "verifying", "slow": "updating"} == others


async def test_one_of_several_services_that_is_removed_is_named() -> None:
    fleet = Fleet(stays=World(Moment(0, UP)), goes=World(Moment(0, UP), Moment(2, [], GONE)))
    with pytest.raises(ServiceRemoved, match="service goes: failing"):
        await fleet.watch().rollout()
    assert close(2) == fleet.passed


async def test_what_has_arrived_is_not_looked_at_again() -> None:
    fleet = Fleet(
        quick=World(Moment(0, UP, a_service(status="completed")), Moment(1, [], GONE)),
        slow=World(Moment(0, STARTING), Moment(4, UP)),
    )
    assert close(4 + 5) == (await fleet.watch().rollout()).seconds


async def test_fifty_services_cost_as_many_requests_as_one_and_fewer_than_dockers_program_makes() -> None:
    one, fifty = (
        Fleet(**{f"s{number}": World(Moment(0, STARTING), Moment(10, UP)) for number in range(count)})
        for count in (1, 50)
    )
    for fleet in (one, fifty):
        assert close(10 + 5) == (await fleet.watch().rollout()).seconds

    assert len(one.asked) == len(fifty.asked)
    # Docker's own program asks 3 things 5 times a second.
    assert len(one.asked) < 15 * (3 * 5) * 0.7
    looks = [when for what, when in one.asked if what == "tasks" and when < 10]
    assert max(later - earlier for earlier, later in pairwise(looks)) < 0.2


async def test_a_service_that_is_removed_ends_the_wait() -> None:
    world = World(Moment(0, UP), Moment(2, [], GONE))
    progress = await world.failure(ServiceRemoved)

    assert ("failing", "the service was removed", 1) == (progress.phase, progress.message, progress.arrived)


async def test_a_service_that_never_was_is_not_found() -> None:
    with pytest.raises(NotFound):
        await World(Moment(0, [], GONE)).follow()


async def test_a_lost_engine_ends_the_wait_as_what_it_is() -> None:
    lost = EngineUnreachable("gone", "lost")
    with pytest.raises(EngineUnreachable) as caught:
        await World(Moment(0, UP), Moment(2, [], lost)).follow()

    assert lost is caught.value


async def test_a_slot_that_fails_again_and_again_ends_the_wait() -> None:
    crashes = failed(6, state="rejected", error="No such image: nope")
    moments = [Moment(5 * number, [*crashes[max(0, number - 2) : number], *STARTING]) for number in range(7)]
    world = World(*moments)
    progress = await world.failure(TasksFailing)

    assert close(25) == world.passed
    assert ("No such image: nope",) == progress.errors


async def test_tasks_that_failed_before_the_wait_began_do_not_count() -> None:
    history = failed(9, error="long ago")
    rollout = await World(Moment(0, [*history, *UP])).follow()

    assert ((), [0]) == (rollout.progress.errors, [slot.failures for slot in rollout.progress.slots])


async def test_few_failures_on_the_way_do_not_end_the_wait() -> None:
    world = World(Moment(0, STARTING), Moment(1, [*failed(4), *STARTING]), Moment(2, [*failed(4), *UP]))
    rollout = await world.follow()

    assert ("exit 1",) == rollout.progress.errors
    assert [4] == [slot.failures for slot in rollout.progress.slots]
