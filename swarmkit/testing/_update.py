"""One rolling update or rollback of a service, as the manager carries it out.

Owns: batches, delays, monitoring, what a failure does, and what `UpdateStatus` says.
Must not know: when an update begins, or who asked for it.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from ._clock import Process, Steps, Until, Watched
from ._schedule import constraints_of, matches
from ._store import Json, Service, State, Store, Task

_MONITOR: Final = 5_000_000_000
_DEFAULT: Final[Json] = {"Parallelism": 1}

Slot = list[Task]


class Starter(Protocol):
    """Starts a task after a delay, and after another one has stopped."""

    def start_later(self, task: Task, delay: float, after: Task | None) -> Process: ...


class Updater(Watched):
    """Replaces the tasks of a service that were made from another spec."""

    def __init__(self, store: Store, starter: Starter, service: Service, slots: list[Slot]) -> None:
        self._store = store
        self._starter = starter
        self._service = service
        self.spec = service.spec
        self._status = service.update_status
        """What it said when this began."""
        self._slots = slots
        self._running_since: dict[str, float | None] = {}
        self._failures: deque[Task] = deque()
        self._counted: set[str] = set()
        self._busy = 0
        self._total = 0
        self._processes: list[Process] = []

    def start(self) -> None:
        """Begin."""
        self._processes.append(self._store.timeline.start(self._run()))

    def cancel(self) -> None:
        """Leave everything as it is now."""
        for process in self._processes:
            process.stop()

    @property
    def over(self) -> bool:
        """It has ended."""
        return all(process.over for process in self._processes)

    def task_ended(self, task: Task) -> None:
        """A task of the service does not run any more."""
        self._failures.append(task)
        self.changed()

    def _run(self) -> Steps:
        state = (self._status or {}).get("State", "")
        dirty = [slot for slot in self._slots if len(slot) > 1 or self._is_dirty(slot[0])]
        self._total = len(dirty)
        if state in ("paused", "rollback_paused"):
            return
        if not dirty:
            if state in ("updating", "rollback_started"):
                self._complete()
            return
        if self._status is None:
            started = {"State": "updating", "StartedAt": self._store.now_text(), "Message": "update in progress"}
            self._say(started)
        config: Json = self.spec.get("RollbackConfig" if state == "rollback_started" else "UpdateConfig") or _DEFAULT
        monitor = config.get("Monitor", _MONITOR) / 1e9
        delay = config.get("Delay", 0) / 1e9
        parallelism = config.get("Parallelism", 0) or len(dirty)
        self._failures.clear()
        for slot in dirty:
            while True:
                yield Until(lambda: bool(self._failures) or self._busy < parallelism, (self,))
                if not self._failures:
                    break
                if self._acts_on(self._failures.popleft(), config, monitor):
                    return
            self._busy += 1
            self._processes.append(self._store.timeline.start(self._replace(slot, config, delay)))
        yield Until(lambda: not self._busy, (self,))
        timeline = self._store.timeline
        ends = timeline.now + (delay + 1 if delay >= monitor else monitor)
        while (yield Until(lambda: bool(self._failures), (self,), ends - timeline.now)):
            if self._acts_on(self._failures.popleft(), config, monitor):
                return
        self._complete()

    def _acts_on(self, task: Task, config: Json, monitor: float) -> bool:
        """Whether this failure is one too many: then the update has been paused or rolled back."""
        action = config.get("FailureAction", "pause")
        since = self._running_since.get(task.id, -1.0)
        recent = since is None or (since >= 0 and self._store.timeline.now - since <= monitor)
        if action == "continue" or not recent or task.id in self._counted:
            return False
        self._counted.add(task.id)
        if len(self._counted) / self._total <= config.get("MaxFailureRatio", 0):
            return False
        rolling_back = (self._status or {}).get("State") == "rollback_started"
        ending = f"due to failure or early termination of task {task.id}"
        if rolling_back:
            self._change("rollback_paused", f"{'update' if action == 'pause' else 'rollback'} paused {ending}")
        elif action == "pause":
            self._change("paused", f"update paused {ending}")
        elif (previous := self._service.previous_spec) is not None:
            service = self._service
            service.spec, service.spec_version = previous, service.previous_version
            service.auth, service.previous_auth = service.previous_auth, None
            service.previous_spec = None
            self._change("rollback_started", f"update rolled back {ending}")
        return True

    def _replace(self, slot: Slot, config: Json, delay: float) -> Steps:
        clean = [task for task in slot if not self._is_dirty(task) and task.desired <= State.RUNNING]
        existing = next((task for task in clean if task.desired is State.RUNNING), clean[0] if clean else None)
        if existing is not None:
            old = self._stop([task for task in slot if task is not existing])
            if existing.desired is not State.RUNNING:
                starting = self._starter.start_later(existing, 0, old)
                yield Until(lambda: starting.over, (existing,))
        else:
            yield from self._renew(slot, start_first=config.get("Order") == "start-first")
        if delay:
            yield delay
        self._busy -= 1
        self.changed()

    def _renew(self, slot: Slot, *, start_first: bool) -> Steps:
        if self._service.id not in self._store.services:
            return
        node_id = slot[0].node_id if self._service.is_global else ""
        task = self._store.new_task(self._service, slot[0].slot, node_id)
        task.desired = State.READY
        self._running_since[task.id] = None
        self._store.touch(task)
        starting = self._starter.start_later(task, 0, None if start_first else self._stop(slot))
        yield Until(lambda: starting.over, (task,))
        yield Until(lambda: task.state >= State.RUNNING or task.id not in self._store.tasks, (task,))
        self._running_since[task.id] = self._store.timeline.now
        if start_first and task.state is State.RUNNING:
            self._stop(slot)

    def _stop(self, tasks: list[Task]) -> Task | None:
        """Shut tasks down; gives one that was still to run."""
        stopped: Task | None = None
        for task in tasks:
            if task.desired <= State.RUNNING:
                self._store.desire(task, State.SHUTDOWN)
                stopped = task
        return stopped

    def _is_dirty(self, task: Task) -> bool:
        """It was made from a spec that says something else."""
        return is_dirty(self._store, self._service, task)

    # --- what the status says ----------------------------------------------------------------------------------------

    def _complete(self) -> None:
        if self._service.update_status is None:
            return
        if self._service.update_state == "rollback_started":
            self._change("rollback_completed", "rollback completed", CompletedAt=self._store.now_text())
        else:
            self._change("completed", "update completed", CompletedAt=self._store.now_text())

    def _change(self, state: str, message: str, **more: str) -> None:
        if (status := self._service.update_status) is not None:
            started = {"StartedAt": status["StartedAt"]} if "StartedAt" in status else {}
            self._say({"State": state, **started, **more, "Message": message})

    def _say(self, status: Json) -> None:
        service = self._service
        if service.id not in self._store.services:
            return
        attributes = {"name": service.name, "updatestate.new": str(status["State"])}
        if service.update_state:
            attributes["updatestate.old"] = service.update_state
        service.update_status = status
        self._store.touch(service)
        self._store.emit("service", "update", service.id, attributes)


def is_dirty(store: Store, service: Service, task: Task) -> bool:
    """Whether a task was made from a spec that says something else than the service's does now."""
    if task.spec_version == service.spec_version:
        return False
    template = service.template
    elsewhere = {**template, "Placement": task.spec.get("Placement")}
    if elsewhere == {**task.spec, "Placement": task.spec.get("Placement")} and template != task.spec:
        node = store.nodes.get(task.node_id)
        if node is not None and matches(node, constraints_of(template)):
            return False
    return template != task.spec or task.endpoint != service.spec.get("EndpointSpec")
