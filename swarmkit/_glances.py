"""Slim reads of tasks and nodes, made again and again while a rollout or a log stream is under way.

Owns: which of them are asked for. Must not know: what they tell.
"""

from __future__ import annotations

from collections.abc import Iterable

from ._engine import Engine
from .models._glance import NodeGlance, TaskGlance
from .models.filters import TaskFilters, TaskListQuery


async def tasks(engine: Engine, services: Iterable[str], *, up_to_date: bool = False) -> list[TaskGlance]:
    """The tasks of these services: those made from the present specs, or all that are known.

    Raises:
        NotFound: one of the services does not exist.
    """
    return await _tasks(engine, TaskFilters(service=[*services], up_to_date=["true"] if up_to_date else None))


async def tasks_of_removed(engine: Engine, service_id: str, name: str) -> list[TaskGlance]:
    """The tasks of a service that is removed. Engines filter by present services only, and names come again."""
    found = await _tasks(engine, TaskFilters(name=[f"{name}."])) if name else []
    return [task for task in found if task.service_id == service_id]


async def task(engine: Engine, task_id: str) -> TaskGlance:
    """The task with this id.

    Raises:
        NotFound: it does not exist any more.
    """
    return await engine.call("GET", f"/tasks/{task_id}", into=TaskGlance)


async def nodes(engine: Engine) -> list[NodeGlance]:
    """All nodes of the swarm."""
    return await engine.call("GET", "/nodes", into=list[NodeGlance])


async def _tasks(engine: Engine, filters: TaskFilters) -> list[TaskGlance]:
    return await engine.call("GET", "/tasks", query=TaskListQuery(filters=filters), into=list[TaskGlance])
