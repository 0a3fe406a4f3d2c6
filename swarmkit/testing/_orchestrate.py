"""Which tasks there are: the manager's loops for services, global services and jobs, and restarts.

Owns: when a task is made, replaced, shut down and forgotten. Must not know: which node takes it, or how requests look.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from ._clock import Process, Steps, Until
from ._schedule import constraints_of, matches
from ._store import Entity, Json, Node, Service, State, Store, Task, part
from ._update import Updater

_DELAY: Final = 5_000_000_000
_REAP: Final = 0.25
_HISTORY: Final = 5
_STOP_LIMIT: Final = 60.0
"""Seconds after which a task no longer waits for the one before it to stop."""
_ALLOCATE: Final = 0.001

Slot = list[Task]


class Restarts:
    """Decides about replacements, and starts them after their delay."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._delays: dict[str, Process] = {}
        self._history: dict[tuple[str, int, str], tuple[int, list[int]]] = {}

    def is_delayed(self, task: Task) -> bool:
        """It waits to be started."""
        process = self._delays.get(task.id)
        return process is not None and not process.over

    def restart(self, service: Service, task: Task) -> None:
        """Shut a task down and put another one in its place, if its policy says so."""
        self._store.desire(task, State.SHUTDOWN)
        if not self.should_restart(service, task):
            return
        node = self._store.nodes.get(task.node_id)
        replacement = self._store.new_task(service, task.slot, task.node_id if service.is_global else "")
        replacement.desired = State.READY
        self._store.touch(replacement)
        key = _place(replacement, is_global=service.is_global)
        if _policy(replacement).get("MaxAttempts"):
            version, when = self._history.get(key, (service.spec_version, []))
            when = [*when, replacement.created] if version == service.spec_version else [replacement.created]
            self._history[key] = service.spec_version, when
        drained = node is not None and node.spec["Availability"] == "drain"
        delay = 0 if drained else _policy(task).get("Delay", _DELAY)
        gone = node is None or node.state == "down" or task.has_ended
        self.start_later(replacement, delay / 1e9, None if gone else task)

    def should_restart(self, service: Service, task: Task) -> bool:
        """Whether the restart policy of a task wants another one in its place."""
        policy = _policy(task)
        condition = policy.get("Condition", "any")
        complete = task.state is State.COMPLETE
        if condition == "none" or (complete and (condition == "on-failure" or service.is_job)):
            return False
        most: int = policy.get("MaxAttempts", 0)
        version, restarts = self._history.get(_place(task, is_global=service.mode == "Global"), (-1, []))
        if not most or version != task.spec_version:
            return True
        if window := policy.get("Window", 0):
            restarts = [when for when in restarts if task.since - window < when < task.since]
        return len(restarts) < most

    def start_later(self, task: Task, delay: float, after: Task | None) -> Process:
        """Start a task after a delay, and after another one has stopped."""
        if (old := self._delays.get(task.id)) is not None:
            old.stop()
        process = self._delays[task.id] = self._store.timeline.start(self._start(task, delay, after))
        return process

    def _start(self, task: Task, delay: float, after: Task | None) -> Steps:
        if delay:
            yield delay
        if after is not None and not after.has_ended and (node := self._store.nodes.get(after.node_id)) is not None:
            stopped: Callable[[], bool] = lambda: (  # noqa: E731
                after.has_ended or node.state == "down" or node.id not in self._store.nodes
            )
            yield Until(stopped, (after, node), _STOP_LIMIT)
        self._delays.pop(task.id, None)
        self._store.desire(task, task.goal)
        task.changed()

    def forget(self, task: Task) -> None:
        """The task is gone."""
        if (process := self._delays.pop(task.id, None)) is not None:
            process.stop()

    def updatable(self, service: Service, slot: Slot) -> Slot:
        """The tasks of a slot that an update has to do with: none where the slot is to be filled anew."""
        alive = [task for task in slot if task.desired <= State.RUNNING]
        if alive or service.update_state == "rollback_started":
            return alive
        newest = max(slot, key=lambda task: task.since)
        return [] if self.should_restart(service, newest) else [newest]


class Orchestrator:
    """Keeps the tasks as the services want them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._restarts = Restarts(store)
        self._updates: dict[str, Updater] = {}
        self._dirty: dict[str, None] = {}
        self._ended: deque[Task] = deque()
        self._due = False
        self._reaping = False
        store.observers.append(self._notice)

    def _notice(self, entity: Entity) -> None:
        match entity:
            case Service():
                self._dirty[entity.id] = None
            case Task():
                self._notice_task(entity)
            case Node():
                self._notice_node(entity)
            case _:
                return
        if not self._due and (self._dirty or self._ended):
            self._due = True
            self._store.timeline.at(0, self._tick)

    def _notice_task(self, task: Task) -> None:
        if task.id not in self._store.tasks:
            self._restarts.forget(task)
            return
        if task.state is State.NEW and task.index:
            self._store.timeline.at(_ALLOCATE, lambda: self._allocate(task))
        if task.has_ended and (update := self._updates.get(task.service_id)) is not None:
            update.task_ended(task)
        if task.iteration is not None:
            if task.has_ended and task.is_wanted:
                self._dirty[task.service_id] = None
        elif task.desired <= State.RUNNING:
            node = self._store.nodes.get(task.node_id)
            if task.has_ended or (task.node_id and (node is None or node.is_invalid)):
                self._ended.append(task)
        if not self._reaping:
            self._reaping = True
            self._store.timeline.at(_REAP, self._reap)

    def _notice_node(self, node: Node) -> None:
        gone = node.id not in self._store.nodes
        for task in self._store.tasks_on(node.id):
            if not task.is_wanted or task.has_ended or task.iteration is not None:
                continue  # of jobs, the manager looks at nodes only when a task has ended or the job is changed
            if gone or node.is_invalid:
                self._ended.append(task)
            elif not matches(node, constraints_of(task.spec)) and not (task.service and task.service.is_global):
                err = "assigned node no longer meets constraints"
                self._store.move(task, State.REJECTED, "task rejected by constraint enforcer", err)
        self._dirty.update({service.id: None for service in self._store.services.values() if service.mode == "Global"})

    def _allocate(self, task: Task) -> None:
        if task.state is State.NEW and task.id in self._store.tasks:
            self._store.move(task, State.PENDING, "pending task scheduling")

    def _tick(self) -> None:
        self._due = False
        dirty, self._dirty = self._dirty, {}
        ended, self._ended = self._ended, deque()
        for service_id in dirty:
            service = self._store.services.get(service_id)
            if service is None:
                self._clean_up(service_id)
            elif service.mode == "Replicated":
                self._reconcile(service)
            elif service.mode == "Global":
                self._reconcile_global(service)
            elif service.mode == "ReplicatedJob":
                self._reconcile_job(service)
            else:
                self._reconcile_global_job(service)
        for task in ended:
            service = self._store.services.get(task.service_id)
            if service is not None and task.is_wanted and task.id in self._store.tasks:
                self._replace(service, task)

    def _clean_up(self, service_id: str) -> None:
        """The service was removed."""
        if (update := self._updates.pop(service_id, None)) is not None:
            update.cancel()
        for task in self._store.tasks_of(service_id):
            # Engines 20.10 leave the tasks of removed jobs lying for good.
            if task.iteration is None or self._store.version >= (1, 42):
                self._store.desire(task, State.REMOVE)

    def _replace(self, service: Service, task: Task) -> None:
        node = self._store.nodes.get(task.node_id)
        if service.is_global and (
            node is None
            or node.is_invalid
            or node.spec["Availability"] == "pause"
            or not matches(node, constraints_of(service.template))
        ):
            self._store.desire(task, State.SHUTDOWN)
        elif not self._restarts.is_delayed(task):  # one that waits and has ended already is replaced once it is due
            self._restarts.restart(service, task)

    def _update(self, service: Service, slots: Iterable[Slot]) -> None:
        old = self._updates.get(service.id)
        if old is not None and not old.over:
            if old.spec == service.spec:
                return
            old.cancel()
        self._updates[service.id] = Updater(self._store, self._restarts, service, list(slots))
        self._updates[service.id].start()

    # --- the four modes ----------------------------------------------------------------------------------------------

    def _reconcile(self, service: Service) -> None:
        by_slot: dict[int, Slot] = {}
        for task in self._store.tasks_of(service.id):
            by_slot.setdefault(task.slot, []).append(task)
        slots = {
            number: alive for number, slot in by_slot.items() if (alive := self._restarts.updatable(service, slot))
        }
        dead = {number: slot for number, slot in by_slot.items() if number not in slots}
        wanted = service.spec["Mode"]["Replicated"]["Replicas"]
        if wanted >= len(slots):
            self._update(service, [slots[number] for number in sorted(slots)])
            missing = [number for number in range(1, wanted + len(slots) + 1) if number not in slots]
            for number in missing[: wanted - len(slots)]:
                dead.pop(number, None)
                self._store.touch(self._store.new_task(service, number))
        else:
            kept = _by_worth(list(slots.values()))
            self._update(service, kept[:wanted])
            for slot in kept[wanted:]:
                for task in slot:
                    self._store.desire(task, State.REMOVE)
        for slot in dead.values():
            for task in slot:
                self._store.forget(task)

    def _reconcile_global(self, service: Service) -> None:
        by_node: dict[str, Slot] = {}
        for task in self._store.tasks_of(service.id):
            by_node.setdefault(task.node_id, []).append(task)
        slots = list[Slot]()
        for node in self._store.nodes.values():
            tasks = self._restarts.updatable(service, by_node[node.id]) if node.id in by_node else []
            if node.is_invalid:
                continue
            by_node.pop(node.id, None)
            if not matches(node, constraints_of(service.template)):
                for task in tasks:
                    self._store.desire(task, State.SHUTDOWN)
            elif node.spec["Availability"] != "pause":
                if tasks:
                    slots.append(tasks)
                else:
                    self._store.touch(self._store.new_task(service, 0, node.id))
        for tasks in by_node.values():
            for task in tasks:
                self._store.desire(task, State.SHUTDOWN)
        if slots:
            self._update(service, slots)

    def _of_this_run(self, service: Service) -> list[Task]:
        """The tasks of a job's present iteration; older ones are told to go."""
        current = list[Task]()
        for task in self._store.tasks_of(service.id):
            if task.iteration == service.iteration:
                current.append(task)
            elif task.state <= State.RUNNING or service.is_global:
                self._store.desire(task, State.REMOVE)
        return current

    def _reconcile_job(self, service: Service) -> None:
        job = service.spec["Mode"]["ReplicatedJob"]
        current = self._of_this_run(service)
        complete = [task for task in current if task.state is State.COMPLETE]
        running = [task for task in current if task.state is not State.COMPLETE and task.is_wanted]
        taken = {task.slot for task in complete + running}
        free = (number for number in range(job["TotalCompletions"]) if number not in taken)
        left = min(job["MaxConcurrent"] - len(running), job["TotalCompletions"] - len(complete) - len(running))
        for _ in range(left):
            task = self._store.new_task(service, next(free))
            task.desired = State.COMPLETE
            self._store.touch(task)
        self._restart_ended(service, running)

    def _reconcile_global_job(self, service: Service) -> None:
        current = self._of_this_run(service)
        busy = {task.node_id for task in current if task.is_wanted}
        for node in self._store.nodes.values():
            ready = node.state == "ready" and node.spec["Availability"] == "active"
            if ready and node.id not in busy and matches(node, constraints_of(service.template)):
                task = self._store.new_task(service, 0, node.id)
                task.desired = State.COMPLETE
                self._store.touch(task)
        self._restart_ended(service, [task for task in current if task.is_wanted])

    def _restart_ended(self, service: Service, tasks: Iterable[Task]) -> None:
        for task in tasks:
            node = self._store.nodes.get(task.node_id)
            if task.state > State.COMPLETE:
                if not self._restarts.is_delayed(task):
                    self._restarts.restart(service, task)
            elif service.is_global and (node is None or node.is_invalid) and task.state <= State.RUNNING:
                self._store.desire(task, State.SHUTDOWN)

    # --- what is forgotten -------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        self._reaping = False
        places: dict[tuple[str, int, str], Slot] = {}
        for task in [*self._store.tasks.values()]:
            never_ran = task.state < State.ASSIGNED
            if task.desired is State.REMOVE and (never_ran or task.state >= State.COMPLETE):
                self._store.forget(task)
            elif task.service is not None and task.service_id in self._store.services and not task.service.is_job:
                places.setdefault(_place(task, is_global=task.service.is_global), []).append(task)
        for place, tasks in places.items():
            service = self._store.services[place[0]]
            attempts = part(service.template, "RestartPolicy").get("MaxAttempts", 0)
            too_many = len(tasks) - (attempts + 1 if attempts else _HISTORY)
            for task in sorted(tasks, key=lambda task: task.since):
                over = task.has_ended or (task.state < State.ASSIGNED and task.desired > State.RUNNING)
                if too_many > 0 and over:
                    too_many -= 1
                    self._store.forget(task)


def _policy(task: Task) -> Json:
    policy: Json = part(task.spec, "RestartPolicy")
    return policy


def _place(task: Task, *, is_global: bool) -> tuple[str, int, str]:
    return task.service_id, task.slot, task.node_id if is_global else ""


def _by_worth(slots: list[Slot]) -> list[Slot]:
    """The slots in the order in which they are kept: running ones first, evenly over the nodes."""
    slots = sorted(slots, key=lambda slot: (all(task.state is not State.RUNNING for task in slot), slot[0].slot))
    on_node: dict[str, int] = {}
    ranked = list[tuple[float, Slot]]()
    for slot in slots:
        rank = float("inf")
        if len(slot) == 1 and (node_id := slot[0].node_id):
            rank = on_node[node_id] = on_node.get(node_id, 0) + 1
        ranked.append((rank, slot))
    return [slot for _, slot in sorted(ranked, key=lambda pair: pair[0])]
