"""The routes of tasks, and of logs.

Owns: what of tasks is shown. Must not know: why there are tasks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from ._agent import task_name
from ._call import Call, Response, answer, find, has_labels, has_prefix, nowhere
from ._store import Entity, Json, Refusal, State, Store, Task
from ._streams import LogOptions, LogStream
from ._update import is_dirty

_FILTERS: Final = ("name", "id", "label", "service", "node", "desired-state", "runtime", "_up-to-date")


class Finder(Protocol):
    """Finds objects of one kind."""

    def find(self, name: str) -> Entity: ...


class Tasks:
    """The tasks of the swarm."""

    def __init__(self, store: Store, services: Finder, nodes: Finder) -> None:
        self._store = store
        self._services = services
        self._nodes = nodes

    def route(self, call: Call, parts: Sequence[str]) -> Response:
        """The answer to a request about tasks."""
        match call.method, *parts:
            case ("GET",):
                return self._list(call)
            case "GET", name:
                return answer(200, self.find(name).wire(self._store.networks))
            case "GET", name, "logs":
                task = self.find(name)
                return logs(call, lambda: [task], task.container)
            case _:
                raise nowhere()

    def _list(self, call: Call) -> Response:
        filters = call.filters(*_FILTERS)
        wanted = set[State]()
        for state in filters.get("desired-state", []):
            if state.upper() not in State.__members__:
                raise Refusal(500, f"Invalid desired-state filter: '{state}'")
            wanted.add(State[state.upper()])
        services = {self._services.find(name).id for name in filters.get("service", [])}
        nodes = {self._nodes.find(name).id for name in filters.get("node", [])}
        up_to_date = [text.lower() in ("true", "1") for text in filters.get("_up-to-date", [])]
        tasks = (
            [task for service_id in services for task in self._store.tasks_of(service_id)]
            if services
            else self._store.tasks.values()
        )
        found = [
            task
            for task in tasks
            if "container" in filters.get("runtime", ["container"])
            and (not nodes or task.node_id in nodes)
            and (not wanted or task.desired in wanted)
            and (not (names := filters.get("name")) or any(task_name(task).startswith(name) for name in names))
            and has_prefix(task.id, filters.get("id"))
            and has_labels(task.service.labels if task.service is not None else {}, filters.get("label"))
            and (not up_to_date or self._is_up_to_date(task) in up_to_date)
        ]
        return answer(200, [task.wire(self._store.networks) for task in found])

    def _is_up_to_date(self, task: Task) -> bool:
        service = self._store.services.get(task.service_id)
        return service is not None and not is_dirty(self._store, service, task)

    def find(self, name: str) -> Task:
        """The task with this id, name, or beginning of an id."""
        return find(self._store.tasks, name, "task", task_name)


def check_streams(call: Call) -> None:
    """Refuse to show logs of no stream at all."""
    if not (call.flag("stdout") or call.flag("stderr")):
        if call.engine >= (1, 54):
            raise Refusal(400, "must specify at least one of 'stdout' or 'stderr'")
        raise Refusal(500, "Bad parameters: you must choose at least one stream")


def logs(call: Call, tasks: Callable[[], Iterable[Task]], container: Json) -> Response:
    """What tasks have written, and write where it is followed."""
    check_streams(call)
    since = call.moment("since", Refusal(500, "could not parse since timestamp: "), 'invalid value for "since"')
    tail = call.query.get("tail", "")
    if tail not in ("", "all") and not re.fullmatch(r"\d+", tail):
        negative = re.fullmatch(r"-\d+", tail)
        says = "negative tail values not supported" if negative else 'tail value must be a positive integer or "all"'
        raise Refusal(500, says)
    terminal = bool(container.get("TTY"))
    options = LogOptions(
        follow=call.flag("follow"),
        streams=frozenset(number for number, name in ((1, "stdout"), (2, "stderr")) if call.flag(name)),
        since=since or 0,
        tail=None if tail in ("", "all") else int(tail),
        timestamps=call.flag("timestamps"),
        details=call.flag("details"),
    )
    kind = "multiplexed" if not terminal and call.version >= (1, 42) else "raw"
    headers = {"Content-Type": f"application/vnd.docker.{kind}-stream"} if call.engine >= (1, 42) else {}
    return Response(200, headers, LogStream(tasks, options, terminal=terminal))
