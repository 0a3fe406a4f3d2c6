"""The tasks of the swarm. One method, one operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ._engine import Engine, reference
from .logs import LogStream, Since, logs_query
from .models.filters import TaskFilters, TaskListQuery
from .models.task import Task


class Tasks:
    """The tasks of the swarm."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def inspect(self, task: str) -> Task:
        """The task with this id or id prefix.

        GET /tasks/{id}, API 1.24.

        Raises:
            NotFound: there is no such task.
            InvalidReference: not an id.
        """
        return await self._engine.call("GET", f"/tasks/{reference(task, 'task')}", into=Task)

    def logs(
        self,
        task: str,
        *,
        follow: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        since: Since | None = None,
        tail: int | Literal["all"] = "all",
        timestamps: bool = False,
        until_finished: bool = False,
        resume: bool = False,
    ) -> LogStream:
        """The log lines of one task, also of one that has ended: `async with client.tasks.logs(task.id) as lines`.

        The parameters are those of `client.services.logs`. With `until_finished` a stream that follows ends once the
        task is over and all that it wrote was handed out.

        GET /tasks/{id}/logs, API 1.30.

        Raises:
            ValueError: neither stream is asked for, `tail` is negative, `since` has no time zone, or there is
                `until_finished` without `follow`.
            InvalidReference: not an id.
        """
        query = logs_query(follow=follow, stdout=stdout, stderr=stderr, since=since, tail=tail, timestamps=timestamps)
        path = reference(task, "task")
        return LogStream(self._engine, "tasks", path, query, until_finished=until_finished, resume=resume)

    # Last in the class: below it, `list` would mean this method in annotations.
    async def list(self, *, filters: TaskFilters | Mapping[str, Any] | None = None) -> list[Task]:
        """The tasks that match, of all services and in all states, in no order.

        GET /tasks, API 1.24. On engines before 23.0, tasks of a removed job stay listed.

        Raises:
            NotFound: a filter names a service or node that does not exist.
            pydantic.ValidationError: there is no such filter.
        """
        query = TaskListQuery(filters=TaskFilters.of(filters))
        return await self._engine.call("GET", "/tasks", query=query, into=list[Task])
