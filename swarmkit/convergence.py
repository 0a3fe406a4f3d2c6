"""Judges whether a service has arrived at its spec.

Owns: `judge`, which decides without I/O, and `follow`, which reads until the judgement is final.
Must not know: where services and tasks are read from, or how progress is shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from ._engine import Clock
from .errors import (
    NotFound,
    RolledBack,
    RolloutFailed,
    RolloutTimeout,
    ServiceRemoved,
    Superseded,
    SwarmkitError,
    TasksFailing,
    UpdatePaused,
)
from .models.node import Node
from .models.rollout import Phase, Progress, Rollout, SlotProgress
from .models.service import Service, ServiceMode, ServiceSpec
from .models.task import RestartPolicy, Task

MONITOR: Final = timedelta(seconds=5)
"""How long a task must keep running where the update config does not say."""
FAILURES: Final = 5
"""How many tasks of one slot may fail before the rollout counts as failed."""
_INTERVAL: Final = 0.2

_ORDER: Final = {
    state: number
    for number, state in enumerate(
        ("new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running",
         "complete", "shutdown", "failed", "rejected")
    )
}  # fmt: skip
_RUNNING: Final = _ORDER["running"]
_FAILED: Final = ("failed", "rejected")
_ENDED: Final = ("complete", *_FAILED)
_BUSY: Final = ("updating", "rollback_started")
_LOOKS_AT_A_STANDSTILL: Final = 5


class _Seat(NamedTuple):
    """What a task stands for: a slot, or a node in a global service."""

    slot: int | None
    node_id: str | None


def seat(task: Task, service: Service) -> _Seat:
    """The slot a task fills, or its node in a global service."""
    return _Seat(None, task.node_id) if _one_a_node(service) else _Seat(task.slot or 0, None)


def _one_a_node(service: Service) -> bool:
    mode = service.spec.mode
    return mode is not None and (mode.global_ is not None or mode.global_job is not None)


class Failures:
    """The tasks that failed since a wait began, also those the manager has cleaned up since."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self.counts: dict[_Seat, int] = {}
        self.errors: dict[str, None] = {}

    def pass_over(self, tasks: Iterable[Task]) -> None:
        """Never count those of these tasks that have failed: the wait had not begun then."""
        self._seen.update(task.id for task in tasks if task.state in _FAILED)

    def count(self, service: Service, tasks: Iterable[Task]) -> None:
        """Count those of these tasks that have failed and were not counted before."""
        for task in tasks:
            if task.state in _FAILED and task.id not in self._seen:
                self._seen.add(task.id)
                place = seat(task, service)
                self.counts[place] = self.counts.get(place, 0) + 1
                if task.error:
                    self.errors[task.error] = None


def judge(service: Service, tasks: Sequence[Task], nodes: Sequence[Node], failures: Failures | None = None) -> Progress:
    """Where the rollout of a service is.

    `tasks` are those made from the present spec; `failures` knows which failed so far. The phase is `converged` as soon
    as all is as it should be: whether it stays so is for the caller to see.
    """
    failures = failures or Failures()
    mode = service.spec.mode or ServiceMode()
    up = {node.id for node in nodes if node.status is None or node.status.state != "down"}
    staffed = {node.id for node in nodes if node.id in up and node.spec.availability != "drain"}
    current = list(_of_this_run(service, tasks)) if mode.is_job else list(tasks)
    seats = _best_tasks(service, current, up)
    goal = "complete" if mode.is_job else "running"
    arrived = sum(1 for task in seats.values() if task.state == goal)
    ended = {node for node, task in _newest_by_node(current).items() if task.state in _ENDED and node in staffed}
    wanted = _wanted(mode, len(ended | {where.node_id for where in seats}))
    phase, message = _phase(service, seats, arrived, wanted, failures.counts)
    if phase == "updating" and (left := _left_lying(service, current, seats, wanted, staffed)) is not None:
        phase, message = (
            "failing",
            f"a task ended ({left.error or left.state}) and its restart policy leaves it at that",
        )
    return Progress(
        service_id=service.id,
        service_name=service.name,
        phase=phase,
        wanted=wanted,
        arrived=arrived,
        slots=tuple(
            SlotProgress(
                slot=where.slot,
                node_id=task.node_id,
                task_id=task.id,
                state=task.state,
                desired_state=task.desired_state or "",
                error=task.error,
                failures=failures.counts.get(where, 0),
            )
            for where, task in sorted(seats.items(), key=lambda item: (item[0].slot or 0, item[0].node_id or ""))
        ),
        update_status=service.update_status,
        message=message,
        errors=tuple(dict.fromkeys([*failures.errors, *(task.error for task in seats.values() if task.error)])),
    )


def _of_this_run(service: Service, tasks: Iterable[Task]) -> Iterable[Task]:
    """The tasks of a job's present iteration; older ones stay listed."""
    status = service.job_status
    iteration = status.job_iteration.index if status is not None and status.job_iteration is not None else 0
    return (task for task in tasks if (task.job_iteration.index if task.job_iteration is not None else 0) == iteration)


def _best_tasks(service: Service, tasks: Iterable[Task], up: set[str]) -> dict[_Seat, Task]:
    """The task that stands for each seat: of those that should run, the one that has come least far."""
    job = service.spec.mode is not None and service.spec.mode.is_job
    best: dict[_Seat, Task] = {}
    for task in tasks:
        if task.state not in _ORDER:
            continue
        if task.node_id and task.node_id not in up and not (job and task.state == "complete"):
            continue  # what is complete stays so when its node goes
        # A job's tasks are done when they are complete; elsewhere a task that should stop stands for nothing.
        if not job and _ORDER.get(task.desired_state or "", _RUNNING + 1) > _RUNNING:
            continue
        place = seat(task, service)
        other = best.get(place)
        if other is None or _rank(task, job=job) < _rank(other, job=job):
            best[place] = task
    return best


def _rank(task: Task, *, job: bool) -> tuple[int, int, int]:
    # In a job a complete task outdoes one that failed before it, and a new attempt one that has failed.
    if job:
        return (0 if task.state == "complete" else 2 if task.state in _FAILED else 1, 0, -_ORDER[task.state])
    return (0, _ORDER.get(task.desired_state or "", 0), _ORDER[task.state])


def _wanted(mode: ServiceMode, nodes: int) -> int:
    if mode.global_ is not None or mode.global_job is not None:
        return nodes  # the manager makes a task for every node that can take one
    if mode.replicated_job is not None:
        job = mode.replicated_job
        concurrent = 1 if job.max_concurrent is None else job.max_concurrent
        return concurrent if job.total_completions is None else job.total_completions
    replicas = mode.replicated.replicas if mode.replicated is not None else None
    return 1 if replicas is None else replicas


def _phase(
    service: Service, seats: Mapping[_Seat, Task], arrived: int, wanted: int, failures: Mapping[_Seat, int]
) -> tuple[Phase, str]:
    status = service.update_status
    said = (status and status.message) or ""
    match status and status.state:
        case "paused" | "rollback_paused":
            return "paused", said
        case "rollback_started" if was_rolled_back(service):
            return "rolling back", said
        case "rollback_completed" if was_rolled_back(service):
            return "rolled back", said
        case _:
            pass
    worst = max(failures.values(), default=0)
    if worst >= FAILURES:
        return "failing", f"a slot's tasks failed {worst} times"
    if _one_a_node(service) and (not wanted or (status is not None and status.state in _BUSY)):
        return "updating", "waiting for tasks"  # before the manager has made them all, nobody knows how many
    if arrived == wanted and len(seats) == wanted:
        return "converged", ""
    waiting = next((task for task in seats.values() if task.error), None)
    return "updating", waiting.error if waiting is not None else ""


def _left_lying(
    service: Service, tasks: Iterable[Task], seats: Mapping[_Seat, Task], wanted: int, staffed: set[str]
) -> Task | None:
    """A task that ended before its time, that is missed, and that its restart policy may not replace."""
    template, status, mode = service.spec.task_template, service.update_status, service.spec.mode
    policy = (template and template.restart_policy) or RestartPolicy()
    one_a_node, job = _one_a_node(service), mode is not None and mode.is_job
    alive = {place for place, task in seats.items() if task.state not in _FAILED}
    if (status is not None and status.state in _BUSY) or (len(alive) >= wanted and not one_a_node):
        return None  # the manager is not done with making tasks, or none is missing
    final = {"none": _ENDED, "on-failure": ("complete",)}.get(policy.condition or "", ())
    for task in tasks:
        missed = task.state in _ENDED and not (job and task.state == "complete") and seat(task, service) not in alive
        if missed and (task.node_id in staffed or not one_a_node) and (task.state in final or policy.max_attempts):
            return task
    return None


def _newest_by_node(tasks: Iterable[Task]) -> dict[str, Task]:
    newest: dict[str, Task] = {}
    for task in sorted(tasks, key=lambda task: task.created_at or datetime.min.replace(tzinfo=UTC)):
        if task.node_id:
            newest[task.node_id] = task
    return newest


def was_rolled_back(service: Service) -> bool:
    """The manager itself went back to the previous spec. It forgets that spec then; a rollback by hand swaps them."""
    status = service.update_status
    return bool(status and (status.state or "").startswith("rollback")) and service.previous_spec is None


class ReadTasks(Protocol):
    """Reads the tasks of a service: those made from its present spec, or all that are known."""

    def __call__(self, service_id: str, *, up_to_date: bool) -> Awaitable[Sequence[Task]]: ...


async def follow(
    read_service: Callable[[], Awaitable[Service]],
    read_tasks: ReadTasks,
    read_nodes: Callable[[], Awaitable[Sequence[Node]]],
    clock: Clock,
    *,
    timeout: float | None,
) -> Rollout:
    """Read until the rollout has arrived and stayed for the monitor period, or has failed.

    Raises:
        RolloutFailed: it did not arrive; which kind says why.
        NotFound: there is no such service.
    """
    began = clock.now()
    failures = Failures()
    asked_for: ServiceSpec | None = None
    good_since: float | None = None
    standstill = 0
    last: Progress | None = None
    while True:
        try:
            service = await read_service()
            tasks = await read_tasks(service.id, up_to_date=True)
            nodes = await read_nodes()
        except NotFound:
            if last is None:
                raise
            raise _removed(last) from None
        except SwarmkitError as error:
            if last is None or timeout is None or clock.now() - began < timeout:
                raise
            raise RolloutTimeout(last) from error
        if last is None:
            failures.pass_over(tasks)
        elif service.id != last.service_id:
            raise _removed(last)  # and another one has its name
        failures.count(service, tasks)
        last = judge(service, tasks, nodes, failures)
        asked_for = asked_for or service.spec
        if service.spec != asked_for and not was_rolled_back(service):
            raise Superseded(replace(last, message="the service was changed again meanwhile"))
        if last.phase == "failing" and max(failures.counts.values(), default=0) < FAILURES:
            # A task is missed. For a moment that can be because the manager has not got round to replacing it.
            standstill += 1
            last = last if standstill >= _LOOKS_AT_A_STANDSTILL else replace(last, phase="updating")
        else:
            standstill = 0
        if (failed := _FAILURES_BY_PHASE.get(last.phase)) is not None:
            raise failed(last if last.errors else replace(last, errors=await _errors_of_update(service, read_tasks)))
        now = clock.now()
        if last.phase == "converged":
            good_since = now if good_since is None else good_since
            if now - good_since >= _still_to_verify(service, failures.counts):
                return Rollout(progress=last, seconds=now - began)
            last = replace(last, phase="verifying")
        else:
            good_since = None
        if timeout is not None and now - began >= timeout:
            raise RolloutTimeout(last)
        await clock.sleep(_INTERVAL)


_FAILURES_BY_PHASE: Final[dict[Phase, type[RolloutFailed]]] = {
    "paused": UpdatePaused,
    "rolled back": RolledBack,
    "failing": TasksFailing,
}


def _removed(last: Progress) -> ServiceRemoved:
    return ServiceRemoved(replace(last, phase="failing", message="the service was removed"))


async def _errors_of_update(service: Service, read_tasks: ReadTasks) -> tuple[str, ...]:
    """What went wrong with tasks since the update began, those of the spec that was given up included."""
    since = None if service.update_status is None else service.update_status.started_at
    try:
        tasks = await read_tasks(service.id, up_to_date=False)
    except SwarmkitError:
        return ()  # that it failed is known, and why is a courtesy
    recent = (task for task in tasks if since is None or (task.created_at is not None and task.created_at >= since))
    return tuple(dict.fromkeys(task.error for task in recent if task.state in _FAILED and task.error))


def _still_to_verify(service: Service, failures: Mapping[_Seat, int]) -> float:
    """Seconds that the tasks have to keep running, once they all do."""
    if (service.spec.mode or ServiceMode()).is_job:
        return 0
    if service.update_status is not None and service.update_status.state == "completed" and not failures:
        return 0  # the manager has watched them itself; with failures it may just have been told to go on
    config = service.spec.update_config
    return ((config and config.monitor) or MONITOR).total_seconds()
