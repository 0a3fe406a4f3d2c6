"""Watches rollouts until each has arrived or one has failed.

Owns: when to look, at what, and what ends the watch. Must not know: what a look means, or how progress is shown.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final, NamedTuple, Protocol, Self

from . import _glances
from ._clock import Clock
from ._engine import Engine
from .convergence import FAILED, OVER, Course, Limits
from .errors import NotFound, RolledBack, RolloutFailed, RolloutTimeout, SwarmkitError, UpdatePaused
from .models._glance import NodeGlance, TaskGlance
from .models._wire import UNSET, Unset
from .models.rollout import Progress, Rollout
from .models.service import Service

_INTERVAL: Final = 0.125
"""Seconds between two looks at the tasks. They are what moves; a look that finds them moved is one at all the rest."""
_INTERVAL_WHEN_GOOD: Final = 0.5
"""The same while all is as it should be, and only has to stay so."""
_SERVICES_EVERY: Final = 1.0
_NODES_EVERY: Final = 2.0
_REST: Final = 3
"""How many times as long as a look took to leave the engine alone after it."""


class ReadTasks(Protocol):
    """Reads the tasks of services: those made from the present specs, or all that are known."""

    def __call__(self, services: Collection[str], *, up_to_date: bool) -> Awaitable[Sequence[TaskGlance]]: ...


class Sources(NamedTuple):
    """Where a watch reads."""

    find: Callable[[], Awaitable[Sequence[Service]]]
    """The services to watch; NotFound where there is one too few."""
    services: Callable[[Collection[str]], Awaitable[Sequence[Service]]]
    """Those of these ids that there are."""
    tasks: ReadTasks
    nodes: Callable[[], Awaitable[Sequence[NodeGlance]]]
    clock: Clock
    one_deadline: Callable[[float | Unset], AbstractContextManager[None]]
    """What the calls in a block may take together, in seconds."""


class Watch:
    """The rollouts of services while they go on: `async for progress in client.services.watch("web")`.

    Each Progress is of one service, and comes when something has changed there. The iteration ends when all services
    have arrived, and with a RolloutFailed when one has failed, after the Progress that shows it.
    """

    def __init__(self, sources: Sources, *, timeout: float | None, limits: Limits) -> None:
        self.clock = sources.clock
        """The clock by which it looks and measures."""
        self._from = sources
        self._timeout = timeout
        self._limits = limits
        self._courses: dict[str, Course] = {}
        self._news: deque[Progress] = deque()
        self._failure: RolloutFailed | None = None
        self._services: dict[str, Service] = {}
        self._tasks: Sequence[TaskGlance] = ()
        self._nodes: Sequence[NodeGlance] = ()
        self._began = self._looked = self._took = self._services_read = self._nodes_read = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is held between two looks."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Progress:
        while not self._news:
            if self._failure is not None:
                raise self._failure
            if not self._courses:
                await self._begin()
            elif self._under_way():
                await self._look_again()
            else:
                raise StopAsyncIteration
        return self._news.popleft()

    async def rollout(self) -> Rollout:
        """Watch to the end; then where each service ended, and how long that took.

        Raises:
            RolloutFailed: one did not arrive; which kind says why.
            NotFound: there is no such service.
        """
        async for _ in self:
            pass
        ended = tuple(course.progress for course in self._courses.values())
        return Rollout(services=ended, seconds=self._looked - self._began)

    # --- one look after the other ------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        """The first look. What goes wrong with it is no failure of a rollout."""
        self._began = self._services_read = self._nodes_read = now = self.clock.now()
        with self._from.one_deadline(self._timeout or UNSET):  # no time at all is one look
            self._services = {service.id: service for service in await self._from.find()}
            self._tasks = await self._from.tasks(self._services, up_to_date=True)
            self._nodes = await self._from.nodes()
        self._time(now)
        tasks = self._tasks_by_service()
        for key, service in self._services.items():
            course = self._courses[key] = Course(service, tasks[key], self._nodes, now, self._limits)
            await self._report(course)
        self._end_in_time()

    async def _look_again(self) -> None:
        await self.clock.sleep(max(0.0, self._next_look() - self.clock.now()))
        now = self.clock.now()
        try:
            with self._from.one_deadline(UNSET if self._timeout is None else self._began + self._timeout - now):
                await self._read(now)
        except SwarmkitError as error:
            self._time(now)
            self._end_in_time(because_of=error)
            if self._failure is None:
                raise
            return
        self._time(now)
        tasks = self._tasks_by_service()
        for key, course in self._under_way().items():
            before = course.progress
            course.look(self._services.get(key), tasks[key], self._nodes, now)
            if course.progress != before:
                await self._report(course)
        self._end_in_time()

    def _next_look(self) -> float:
        """The moment of the next look."""
        ends = [course.verified_at for course in self._under_way().values()]
        to_come = [end for end in ends if end is not None and end > self._looked]
        interval = _INTERVAL_WHEN_GOOD if len(to_come) == len(ends) else _INTERVAL
        moments = [self._looked + max(interval, self._took * _REST), *to_come]
        return min(moments if self._timeout is None else [*moments, self._began + self._timeout])

    async def _read(self, now: float) -> None:
        """Read the tasks, and all the rest where those have moved, a verdict is due, or it was long ago."""
        under_way = self._under_way()
        due = any(course.verified_at is not None and course.verified_at <= now for course in under_way.values())
        try:
            tasks = await self._from.tasks(under_way, up_to_date=True)
        except NotFound:
            due = True  # one of the services is gone: what there is of them will tell which
        else:
            due = due or tasks != self._tasks
            self._tasks = tasks
        if due or now - self._services_read >= _SERVICES_EVERY:
            self._services = {service.id: service for service in await self._from.services(under_way)}
            self._services_read = now
        if due or now - self._nodes_read >= _NODES_EVERY:
            self._nodes = await self._from.nodes()
            self._nodes_read = now

    def _time(self, began: float) -> None:
        self._looked = self.clock.now()
        self._took = self._looked - began

    def _under_way(self) -> dict[str, Course]:
        return {service: course for service, course in self._courses.items() if not course.arrived}

    def _tasks_by_service(self) -> Mapping[str, list[TaskGlance]]:
        found: defaultdict[str, list[TaskGlance]] = defaultdict(list)
        for task in self._tasks:
            found[task.service_id].append(task)
        return found

    # --- what comes of it --------------------------------------------------------------------------------------------

    async def _report(self, course: Course) -> None:
        """Tell what is new, and whether that ends the watch."""
        if course.failure in (UpdatePaused, RolledBack) and not course.progress.errors:
            course.progress = replace(course.progress, errors=await self._errors_of_update(course.progress))
        self._news.append(course.progress)
        if course.failure is not None:
            self._fail(course.failure, course)

    def _end_in_time(self, *, because_of: SwarmkitError | None = None) -> None:
        if self._timeout is not None and self._looked - self._began >= self._timeout:
            for course in self._under_way().values():
                self._fail(RolloutTimeout, course, because_of=because_of)

    def _fail(self, kind: type[RolloutFailed], course: Course, *, because_of: SwarmkitError | None = None) -> None:
        """The first failure is the watch's; the others show in where their services stand."""
        if self._failure is None:
            others = [other.progress for other in self._courses.values() if other is not course]
            self._failure = kind(course.progress, others)
            self._failure.__cause__ = because_of

    async def _errors_of_update(self, progress: Progress) -> tuple[str, ...]:
        """What went wrong with tasks since the update began, those of the spec that was given up included."""
        since = None if progress.update_status is None else progress.update_status.started_at
        try:
            tasks = await self._from.tasks([progress.service_id], up_to_date=False)
        except SwarmkitError:
            return ()  # that it failed is known, and why is a courtesy
        recent = (task for task in tasks if since is None or (task.created_at is not None and task.created_at >= since))
        return tuple(dict.fromkeys(task.error for task in recent if task.state in FAILED and task.error))


async def until_gone(engine: Engine, service: Service, *, timeout: float | None) -> None:
    """Wait until no task of a removed service runs any more, or may yet.

    Raises:
        RolloutTimeout: one still does.
    """
    began = engine.clock.now()
    while left := [
        task for task in await _glances.tasks_of_removed(engine, service.id, service.name) if task.state not in OVER
    ]:
        if timeout is not None and engine.clock.now() - began >= timeout:
            nodes = ", ".join(sorted({task.node_id for task in left if task.node_id}))
            where = f" on {nodes}" if nodes else ""
            raise RolloutTimeout(
                Progress(
                    service_id=service.id,
                    service_name=service.name,
                    phase="updating",
                    wanted=0,
                    arrived=len(left),
                    message=f"the service is removed, its tasks{where} are not gone yet",
                )
            )
        await engine.clock.sleep(_INTERVAL)
