"""Judges whether a service has arrived at its spec.

Owns: what a look at a service, its tasks and the nodes means, and what one look after the other does. Pure.
Must not know: where they are read from, or when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from .errors import RolledBack, RolloutFailed, ServiceRemoved, Superseded, TasksFailing, UpdatePaused
from .models._glance import NodeGlance, TaskGlance
from .models.rollout import Phase, Progress, SlotProgress
from .models.service import Service, ServiceMode
from .models.task import RestartPolicy

MONITOR: Final = timedelta(seconds=5)
"""How long a task must keep running where the update config does not say."""
_LOST: Final = "its node is down"
_STANDSTILL: Final = 1.0
"""Seconds that a task may be missed before its restart policy is taken to leave it at that."""
_GRACE: Final = 2.0
"""Seconds for which the manager's own watch over an update may outlast the monitor period."""

STATES: Final = (
    "new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running",
    "complete", "shutdown", "failed", "rejected",
)  # fmt: skip
"""The states of a task, in the order in which it goes through them."""
_ORDER: Final = {state: number for number, state in enumerate(STATES)}
_RUNNING: Final = _ORDER["running"]
FAILED: Final = ("failed", "rejected")
_ENDED: Final = ("complete", *FAILED)
OVER: Final = (*_ENDED, "shutdown", "remove", "orphaned")
_BUSY: Final = ("updating", "rollback_started")
_FAILURES_BY_PHASE: Final[dict[Phase, type[RolloutFailed]]] = {
    "paused": UpdatePaused,
    "rolled back": RolledBack,
    "failing": TasksFailing,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a rollout that does not arrive has failed."""

    failures: int = 5
    """Tasks of one slot that fail."""
    pending: float | None = 60.0
    """Seconds that a task waits for a node that can take it; None for no limit."""


class _Seat(NamedTuple):
    """What a task stands for: a slot, or a node in a global service."""

    slot: int | None
    node_id: str | None


def seat(task: TaskGlance, service: Service) -> _Seat:
    """The slot a task fills, or its node in a global service."""
    return _Seat(None, task.node_id) if _one_a_node(service) else _Seat(task.slot or 0, None)


def _one_a_node(service: Service) -> bool:
    mode = service.spec.mode
    return mode is not None and (mode.global_ is not None or mode.global_job is not None)


class Failures:
    """The tasks that failed since a wait began, also those the manager has cleaned up since."""

    def __init__(self, limit: int = 5) -> None:
        self.limit = limit
        self._seen: set[str] = set()
        self.counts: dict[_Seat, int] = {}
        self.errors: dict[str, None] = {}

    @property
    def worst(self) -> int:
        """How many tasks failed of the slot that fails most."""
        return max(self.counts.values(), default=0)

    def pass_over(self, tasks: Iterable[TaskGlance]) -> None:
        """Never count those of these tasks that have failed: the wait had not begun then."""
        self._seen.update(task.id for task in tasks if task.state in FAILED)

    def count(self, service: Service, tasks: Iterable[TaskGlance]) -> None:
        """Count those of these tasks that have failed and were not counted before."""
        for task in tasks:
            if task.state in FAILED and task.id not in self._seen:
                self._seen.add(task.id)
                place = seat(task, service)
                self.counts[place] = self.counts.get(place, 0) + 1
                if task.error:
                    self.errors[task.error] = None


def judge(
    service: Service, tasks: Sequence[TaskGlance], nodes: Sequence[NodeGlance], failures: Failures | None = None
) -> Progress:
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
    phase, message = _phase(service, seats, arrived, wanted, failures)
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
                error=task.error or (_LOST if _is_lost(task, up) else ""),
                failures=failures.counts.get(where, 0),
            )
            for where, task in sorted(seats.items(), key=lambda item: (item[0].slot or 0, item[0].node_id or ""))
        ),
        update_status=service.update_status,
        message=message,
        errors=tuple(dict.fromkeys([*failures.errors, *(task.error for task in seats.values() if task.error)])),
    )


def _of_this_run(service: Service, tasks: Iterable[TaskGlance]) -> Iterable[TaskGlance]:
    """The tasks of a job's present iteration; older ones stay listed."""
    status = service.job_status
    iteration = status.job_iteration.index if status is not None and status.job_iteration is not None else 0
    return (task for task in tasks if (task.job_iteration.index if task.job_iteration is not None else 0) == iteration)


def _best_tasks(service: Service, tasks: Iterable[TaskGlance], up: set[str]) -> dict[_Seat, TaskGlance]:
    """The task that stands for each seat: of those that should run, the one that has come least far."""
    mode = service.spec.mode or ServiceMode()
    job = mode.is_job
    best: dict[_Seat, TaskGlance] = {}
    for task in tasks:
        if task.state not in _ORDER:
            continue
        # A manager replaces what is lost with its node, but for a replicated job: there the slot stays taken.
        if _is_lost(task, up) and mode.replicated_job is None:
            continue
        # A job's tasks are done when they are complete; elsewhere a task that should stop stands for nothing.
        if not job and _ORDER.get(task.desired_state or "", _RUNNING + 1) > _RUNNING:
            continue
        place = seat(task, service)
        other = best.get(place)
        if other is None or _rank(task, up, job=job) < _rank(other, up, job=job):
            best[place] = task
    return best


def _is_lost(task: TaskGlance, up: set[str]) -> bool:
    """Its node is down or gone, and it was not done."""
    return bool(task.node_id) and task.node_id not in up and task.state != "complete"


def _rank(task: TaskGlance, up: set[str], *, job: bool) -> tuple[int, int, int]:
    # In a job a complete task outdoes one that failed before it, and a new attempt one that has failed or is lost.
    if job:
        done = 0 if task.state == "complete" else 2 if task.state in FAILED or _is_lost(task, up) else 1
        return (done, 0, -_ORDER[task.state])
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
    service: Service, seats: Mapping[_Seat, TaskGlance], arrived: int, wanted: int, failures: Failures
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
    if failures.worst >= failures.limit:
        return "failing", f"a slot's tasks failed {failures.worst} times"
    if _one_a_node(service) and (not wanted or (status is not None and status.state in _BUSY)):
        return "updating", "waiting for tasks"  # before the manager has made them all, nobody knows how many
    if arrived == wanted and len(seats) == wanted:
        return "converged", ""
    waiting = next((task for task in seats.values() if task.error), None)
    return "updating", waiting.error if waiting is not None else ""


def _left_lying(
    service: Service, tasks: Iterable[TaskGlance], seats: Mapping[_Seat, TaskGlance], wanted: int, staffed: set[str]
) -> TaskGlance | None:
    """A task that ended before its time, that is missed, and that its restart policy may not replace."""
    template, status, mode = service.spec.task_template, service.update_status, service.spec.mode
    policy = (template and template.restart_policy) or RestartPolicy()
    one_a_node, job = _one_a_node(service), mode is not None and mode.is_job
    alive = {place for place, task in seats.items() if task.state not in FAILED}
    if (status is not None and status.state in _BUSY) or (len(alive) >= wanted and not one_a_node):
        return None  # the manager is not done with making tasks, or none is missing
    final = {"none": _ENDED, "on-failure": ("complete",)}.get(policy.condition or "", ())
    for task in tasks:
        missed = task.state in _ENDED and not (job and task.state == "complete") and seat(task, service) not in alive
        if missed and (task.node_id in staffed or not one_a_node) and (task.state in final or policy.max_attempts):
            return task
    return None


def _newest_by_node(tasks: Iterable[TaskGlance]) -> dict[str, TaskGlance]:
    newest: dict[str, TaskGlance] = {}
    for task in sorted(tasks, key=lambda task: task.created_at or datetime.min.replace(tzinfo=UTC)):
        if task.node_id:
            newest[task.node_id] = task
    return newest


def was_rolled_back(service: Service) -> bool:
    """The manager itself went back to the previous spec. It forgets that spec then; a rollback by hand swaps them."""
    status = service.update_status
    return bool(status and (status.state or "").startswith("rollback")) and service.previous_spec is None


class Course:
    """One rollout over time: what the looks at it amount to. Moments are in seconds, of any clock."""

    progress: Progress
    """Where it was at the last look."""

    def __init__(
        self, service: Service, tasks: Sequence[TaskGlance], nodes: Sequence[NodeGlance], now: float, limits: Limits
    ) -> None:
        self.failure: type[RolloutFailed] | None = None
        """How it has failed, if it has."""
        self.arrived = False
        """It is as it should be, and has stayed so for the monitor period."""
        self.verified_at: float | None = None
        """When the monitor period is over, if all stays as it is."""
        self._asked_for = service.spec
        self._pending = limits.pending
        self._failures = Failures(limits.failures)
        self._failures.pass_over(tasks)
        self._good: list[str] = []
        self._missed_since: float | None = None
        self._stuck_since: dict[str, float] = {}
        self.look(service, tasks, nodes, now)

    def look(
        self, service: Service | None, tasks: Sequence[TaskGlance], nodes: Sequence[NodeGlance], now: float
    ) -> None:
        """Take in how all is at a moment; None for a service that is not there any more."""
        if service is None:
            self.failure = ServiceRemoved
            self.progress = replace(self.progress, phase="failing", message="the service was removed")
            return
        self._failures.count(service, tasks)
        progress = judge(service, tasks, nodes, self._failures)
        if service.spec != self._asked_for and not was_rolled_back(service):
            self.failure = Superseded
            self.progress = replace(progress, phase="failing", message="the service was changed again meanwhile")
            return
        self.progress = self._verified(service, self._borne(progress, now), now)
        self.failure = _FAILURES_BY_PHASE.get(self.progress.phase)

    def _borne(self, progress: Progress, now: float) -> Progress:
        """Failing or not, now that it is known for how long it has been so."""
        stuck: dict[str, str] = {}
        for slot in progress.slots:
            if slot.error and slot.state == "pending":
                stuck[slot.task_id] = f"no node has taken a task: {slot.error}"
            elif slot.error == _LOST:
                stuck[slot.task_id] = f"a task is lost, and those of jobs are not replaced: {slot.error}"
        if not progress.wanted and progress.phase == "updating" and not progress.slots:
            stuck[""] = f"no node has taken a task: {progress.message}"  # of a global service
        self._stuck_since = {task: self._stuck_since.get(task, now) for task in stuck}
        if progress.phase == "failing" and self._failures.worst < self._failures.limit:
            # A task is missed. For a moment that can be because the manager has not got round to replacing it.
            self._missed_since = now if self._missed_since is None else self._missed_since
            return progress if now - self._missed_since >= _STANDSTILL else replace(progress, phase="updating")
        self._missed_since = None
        if self._pending is None or progress.phase not in ("updating", "rolling back"):
            return progress
        for task, since in self._stuck_since.items():
            if now - since >= self._pending:
                return replace(progress, phase="failing", message=f"for {self._pending:g} s {stuck[task]}")
        return progress

    def _verified(self, service: Service, progress: Progress, now: float) -> Progress:
        """Converged or not, now that it is known for how long all has been as it should be."""
        if progress.phase != "converged":
            self.verified_at = None
            return progress
        verified_at = now + _still_to_verify(service, self._failures)
        # Another task in a slot: the one that was good has gone between two looks.
        good = [slot.task_id for slot in progress.slots]
        relapsed, self._good = good != self._good, good
        if self.verified_at is None or relapsed or verified_at < self.verified_at:
            self.verified_at = verified_at
        # Where the manager still watches its update it may yet roll it back.
        busy = service.update_status is not None and service.update_status.state in _BUSY
        self.arrived = now >= self.verified_at + (_GRACE if busy else 0)
        return progress if self.arrived else replace(progress, phase="verifying")


def _still_to_verify(service: Service, failures: Failures) -> float:
    """Seconds that the tasks have to keep running, once they all do."""
    if (service.spec.mode or ServiceMode()).is_job:
        return 0
    if service.update_status is not None and service.update_status.state == "completed" and not failures.counts:
        return 0  # the manager has watched them itself; with failures it may just have been told to go on
    config = service.spec.update_config
    return ((config and config.monitor) or MONITOR).total_seconds()
