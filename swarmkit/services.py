"""The services of the swarm. One method, one operation.

Owns: what a change to a service is made of. Must not know: HTTP, or how an image's credentials are found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, overload

from . import _glances, canonical, patch, refusals
from ._conflicts import Conflicts, R, Write, index_of, strictly, write_strictly
from ._engine import Engine, reference
from ._names import refuse_removed, resolve
from ._pinning import ImageChange, PinDigest, checked
from .auth import ChangeAuthOption, Lookup, RegistryAuth, RegistryAuthOption
from .convergence import Limits
from .errors import InvalidSpec, NameConflict, NotFound, Problem
from .logs import LogStream, Since, logs_query
from .models._wire import UNSET, Unset
from .models.common import ObjectVersion
from .models.endpoint import EndpointSpec
from .models.filters import (
    ServiceFilters,
    ServiceInspectQuery,
    ServiceListQuery,
    ServiceUpdateQuery,
)
from .models.network import NetworkAttachmentConfig
from .models.rollout import Rollout
from .models.service import (
    Mode,
    Replicated,
    RollbackConfig,
    Service,
    ServiceCreated,
    ServiceMode,
    ServiceSpec,
    ServiceUpdated,
    UpdateConfig,
)
from .models.task import Task, TaskTemplate
from .patch import Applied, Diff
from .rollouts import Sources, Watch, until_gone
from .tasks import Tasks

Networks = Sequence[str | NetworkAttachmentConfig]
"""Networks by name or id, or with what the attachment needs."""
_TRIES: Final = 3


class Services:
    """The services of the swarm."""

    def __init__(
        self,
        engine: Engine,
        tasks: Tasks,
        registry_auth: RegistryAuthOption,
        pin_digest: PinDigest = "never",
    ) -> None:
        self._engine = engine
        self._tasks = tasks
        self._registry_auth: RegistryAuthOption = registry_auth
        self._pin_digest: PinDigest = checked(pin_digest)
        self._conflicts = Conflicts(engine.clock)

    # --- create ------------------------------------------------------------------------------------------------------

    @overload
    async def create(
        self,
        task_template: TaskTemplate,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        mode: Mode | None = None,
        update_config: UpdateConfig | None = None,
        rollback_config: RollbackConfig | None = None,
        networks: Networks | None = None,
        endpoint_spec: EndpointSpec | None = None,
        registry_auth: RegistryAuthOption | Unset = UNSET,
        pin_digest: PinDigest | Unset = UNSET,
    ) -> ServiceCreated: ...

    @overload
    async def create(
        self,
        task_template: ServiceSpec,
        *,
        registry_auth: RegistryAuthOption | Unset = UNSET,
        pin_digest: PinDigest | Unset = UNSET,
    ) -> ServiceCreated: ...

    async def create(
        self,
        task_template: TaskTemplate | ServiceSpec,
        *,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        mode: Mode | None = None,
        update_config: UpdateConfig | None = None,
        rollback_config: RollbackConfig | None = None,
        networks: Networks | None = None,
        endpoint_spec: EndpointSpec | None = None,
        registry_auth: RegistryAuthOption | Unset = UNSET,
        pin_digest: PinDigest | Unset = UNSET,
    ) -> ServiceCreated:
        """A new service, from a task template and what goes around it, or from a whole ServiceSpec.

        Returns its id and the engine's warnings; its tasks come later (`wait`). Without a name the engine makes one up.
        `networks` are the task template's. Secrets, configs and networks may be given by name: their ids are looked up,
        all at the same time. So may they in every other method that takes a spec.

        Registry credentials for the image are looked up as the client was told to, or as `registry_auth` says, and
        stored in the swarm with the service; None sends none. Where they cannot be had that is a warning, since the
        image may be public, and with `registry_auth="config"` an error.

        `pin_digest` asks the registry for the image's digest, so that every node runs the same one, and for the
        platforms it runs on, to which placement is limited then unless it has platforms already. "try" keeps the tag
        and gives a warning where there is no answer, "require" raises the engine's error. A client has a default for
        it, "never" unless said.

        POST /services/create, API 1.24; pinning GET /distribution/{name}/json, API 1.30; for names GET /secrets,
        API 1.25, GET /configs, API 1.30, and GET /networks/{id}, API 1.31.

        Raises:
            InvalidSpec: the engine would accept it and do something else, or the swarm has no secret, config or network
                of a name in it.
            UnsupportedFeature: the API version in use lacks part of it.
            NameConflict: there is a service of that name.
            PortInUse: another service publishes one of the ports.
            CredentialsError: Docker's config file cannot be read, or the credentials asked for cannot be had.
            EngineError: the image is to be pinned, and its registry does not give a digest.
            OutcomeUnknown: it was sent and the answer lost.
        """
        given: dict[str, Any] = {
            "name": name,
            "labels": None if labels is None else dict(labels),
            "mode": None if mode is None else ServiceMode.of(mode),
            "update_config": update_config,
            "rollback_config": rollback_config,
            "endpoint_spec": endpoint_spec,
        }
        given = {key: value for key, value in given.items() if value is not None}
        if isinstance(task_template, ServiceSpec):
            if given or networks is not None:
                beside = [*given, *(["networks"] if networks is not None else [])]
                raise TypeError(f"a ServiceSpec says it all; not together with {', '.join(beside)}")
            spec = task_template.model_copy(deep=True)
        else:
            spec = ServiceSpec(task_template=task_template, **given).model_copy(deep=True)
            if networks is not None:
                _join(spec, networks)
        await self._refuse(spec)
        with self._engine.one_deadline():
            await resolve(self._engine, spec)
            credentials = await self._image_change(registry_auth, pin_digest).prepare(spec, None)
            created = await self._engine.call(
                "POST", "/services/create", body=spec, headers=credentials.headers, into=ServiceCreated
            )
        created.warnings += credentials.warnings
        return created

    # --- read --------------------------------------------------------------------------------------------------------

    async def inspect(self, service: str, *, insert_defaults: bool = False) -> Service:
        """The service with this id, id prefix or name.

        With `insert_defaults` its spec is filled up with the engine's defaults; such a spec is for reading and cannot
        be sent back.

        GET /services/{id}, API 1.24; `insert_defaults` 1.29.

        Raises:
            NotFound: there is no such service.
            BadRequest: several ids begin so.
            InvalidReference: not an id or name.
        """
        query = ServiceInspectQuery(insert_defaults=True) if insert_defaults else None
        found = await self._engine.call("GET", f"/services/{_id(service)}", query=query, into=Service)
        if insert_defaults:
            found.spec.mark_with_defaults()
        return found

    async def ps(self, service: str) -> list[Task]:
        """The tasks of a service, in all states, ordered by slot and newest first.

        GET /tasks with a service filter, API 1.24.

        Raises:
            NotFound: there is no such service.
            InvalidReference: not an id or name.
        """
        tasks = await self._tasks.list(filters={"service": _id(service)})
        tasks.sort(key=lambda task: task.created_at or datetime.min.replace(tzinfo=UTC), reverse=True)
        return sorted(tasks, key=lambda task: (task.slot or 0, task.node_id or "" if not task.slot else ""))

    def logs(
        self,
        service: str,
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
        """The log lines of all tasks of a service: `async with client.services.logs("web") as lines`.

        `follow` goes on as lines are written, and engines never end it; `since` is a moment (datetime), an age
        (timedelta) or Unix seconds; `tail` counts lines of each task, over both streams. Works with log drivers that
        can be read back (json-file, local, journald).

        With `until_finished` a stream that follows ends once all tasks are over for a second, none is to come, and
        all that they wrote was handed out: when a job is done, or the service was removed or scaled to 0, or its
        restart policy replaces none any more. A task on a node that is down is not over as long as the manager takes
        it to be running.

        With `resume` a stream that was cut is opened again, for as long as a call may take, from the last line of the
        task that was silent longest; what was handed out before is left out. Both ask for timestamps.

        GET /services/{id}/logs, API 1.30; GET /tasks, API 1.24.

        Raises:
            ValueError: neither stream is asked for, `tail` is negative, `since` has no time zone, or there is
                `until_finished` without `follow`.
            InvalidReference: not an id or name.
        """
        query = logs_query(follow=follow, stdout=stdout, stderr=stderr, since=since, tail=tail, timestamps=timestamps)
        return LogStream(self._engine, "services", _id(service), query, until_finished=until_finished, resume=resume)

    # --- change ------------------------------------------------------------------------------------------------------

    async def update(
        self,
        service: str,
        *,
        version: int | ObjectVersion | None = None,
        task_template: TaskTemplate | Unset | None = UNSET,
        labels: Mapping[str, str] | Unset | None = UNSET,
        mode: Mode | Unset | None = UNSET,
        update_config: UpdateConfig | Unset | None = UNSET,
        rollback_config: RollbackConfig | Unset | None = UNSET,
        networks: Networks | Unset | None = UNSET,
        endpoint_spec: EndpointSpec | Unset | None = UNSET,
        registry_auth: ChangeAuthOption | Unset = UNSET,
        pin_digest: PinDigest | Unset = UNSET,
    ) -> ServiceUpdated:
        """Change what is given and nothing else.

        What is set in what you pass changes, what is not set stays as it is, None clears: so
        `task_template=TaskTemplate(container_spec=ContainerSpec(image="nginx:1.28"))` changes the image alone. Lists
        and mappings are replaced whole, a mode replaces the mode. A conflict with another change is read again and
        applied again; with `version` the change is based on that version index or fails.

        Stored registry credentials are kept, unless the image changes or `registry_auth` is given: then they are
        looked up as on create, and where an image of another registry has none, the stored ones are dropped. None
        always keeps them, and "previous-spec" takes those that are stored with the previous spec.

        A new image is pinned to its digest as the client was told to; with `pin_digest` one that stays is as well. An
        image that is changed without that, while tasks are limited to the platforms of the one before, is a warning.

        Any change of a job runs it again, also one of its labels alone.

        POST /services/{id}/update, API 1.24; keeping credentials 1.25.

        Raises:
            OutOfSequence: with `version`: the service has changed since; without: others were faster all the time.
            InvalidSpec: the engine would accept a changed value and do something else, or the swarm has no secret,
                config or network of a name in it.
            UnsupportedFeature: the API version in use lacks part of the whole spec, which it would then destroy.
            Unimplemented: the mode is of another kind: engines cannot change that.
            NotFound: there is no such service.
            CredentialsError: Docker's config file cannot be read, or the credentials asked for cannot be had.
            EngineError: the image is to be pinned, and its registry does not give a digest.
            OutcomeUnknown: its answer was lost, and reading the service did not tell whether it took effect.
        """
        given: dict[str, Any] = {
            "task_template": task_template,
            "labels": dict(labels) if isinstance(labels, Mapping) else labels,
            "mode": mode if mode is None or isinstance(mode, Unset) else ServiceMode.of(mode),
            "update_config": update_config,
            "rollback_config": rollback_config,
            "endpoint_spec": endpoint_spec,
        }
        changes = ServiceSpec(**{key: value for key, value in given.items() if value is not UNSET})
        changes = changes.model_copy(deep=True)
        joined = None if isinstance(networks, Unset) else _attachments(networks or ())
        if found := refusals.problems_of_part(changes):
            raise InvalidSpec(found)

        def apply(spec: ServiceSpec) -> ServiceSpec:
            merged = patch.merge(spec, changes)
            if joined is not None:
                _join(merged, joined)
            return merged

        return await self._change(service, apply, self._image_change(registry_auth, pin_digest), version=version)

    async def edit(
        self,
        service: str,
        change: Callable[[ServiceSpec], ServiceSpec | None],
        *,
        registry_auth: ChangeAuthOption | Unset = UNSET,
        pin_digest: PinDigest | Unset = UNSET,
    ) -> ServiceUpdated:
        """Change a service by a function: it gets a copy of the live spec, and alters it or returns another.

        On a conflict it is called again with what is live then, so it should do nothing else. Credentials are kept and
        images pinned as in `update`.

        Any change of a job runs it again, also one of its labels alone.

        POST /services/{id}/update, API 1.24; keeping credentials 1.25.

        Raises:
            OutOfSequence: others were faster all the time.
            InvalidSpec: the engine would accept a changed value and do something else, or the swarm has no secret,
                config or network of a name in it.
            UnsupportedFeature: the API version in use lacks part of the whole spec, which it would then destroy.
            NotFound: there is no such service.
            CredentialsError: Docker's config file cannot be read, or the credentials asked for cannot be had.
            EngineError: the image is to be pinned, and its registry does not give a digest.
            OutcomeUnknown: its answer was lost, and reading the service did not tell whether it took effect.
        """
        return await self._change(service, change, self._image_change(registry_auth, pin_digest))

    async def replace(
        self,
        service: str,
        spec: ServiceSpec,
        *,
        version: int | ObjectVersion,
        registry_auth: ChangeAuthOption | Unset = UNSET,
        pin_digest: PinDigest | Unset = UNSET,
    ) -> ServiceUpdated:
        """Put this whole spec in the place of the live one: what it does not say goes back to the engine's default.

        `version` is the version index the spec is based on. Credentials are kept and images pinned as in `update`: for
        that the live image is read.

        Any change of a job runs it again, also one of its labels alone.

        POST /services/{id}/update, API 1.24; keeping credentials 1.25.

        Raises:
            OutOfSequence: the service has changed since that version.
            InvalidSpec: the engine would accept it and do something else, or the swarm has no secret, config or network
                of a name in it.
            UnsupportedFeature: the API version in use lacks part of it.
            Unimplemented: it has another name, or a mode of another kind: engines cannot change those.
            NotFound: there is no such service.
            CredentialsError: Docker's config file cannot be read, or the credentials asked for cannot be had.
            EngineError: the image is to be pinned, and its registry does not give a digest.
            OutcomeUnknown: its answer was lost, and reading the service did not tell whether it took effect.
        """
        service_id, spec = _id(service), spec.model_copy(deep=True)
        await self._refuse(spec, replaced=service)
        base = index_of(version)
        with self._engine.one_deadline():
            live = (await self.inspect(service)).spec if spec.image else spec
            await resolve(self._engine, spec, live)
            credentials = await self._image_change(registry_auth, pin_digest).prepare(spec, live)
            write = self._write(service_id, spec, base, credentials, live)
            return await write_strictly(lambda: self.inspect(service), write, base=base)

    async def scale(self, service: str, replicas: int) -> ServiceUpdated:
        """Set the number of replicas; of a replicated job, of total completions.

        POST /services/{id}/update, API 1.24; keeping credentials 1.25.

        Raises:
            InvalidSpec: the number is negative, or the service is global: the nodes decide there.
            NotFound: there is no such service.
            OutOfSequence: others were faster all the time.
            OutcomeUnknown: its answer was lost, and reading the service did not tell whether it took effect.
        """
        if not _is_whole(replicas):
            raise InvalidSpec([Problem("Mode.Replicated.Replicas", "must be a whole number from 0")])

        def apply(spec: ServiceSpec) -> None:
            mode = spec.mode or ServiceMode(replicated=Replicated())
            if mode.replicated is not None:
                mode.replicated.replicas = replicas
            elif mode.replicated_job is not None:
                mode.replicated_job.total_completions = replicas
            else:
                raise InvalidSpec([Problem("Mode", "a global service cannot be scaled: the nodes decide")])
            spec.mode = mode

        return await self._change(service, apply, ImageChange(self._engine))

    async def refresh_registry_auth(
        self, service: str, *, registry_auth: RegistryAuth | Literal["config"] | Unset = UNSET
    ) -> ServiceUpdated:
        """Put fresh registry credentials in the place of the stored ones; no task restarts.

        They are looked up as the client was told to, or as `registry_auth` says. The update that takes them there
        changes nothing else, but it is one: the previous spec is the present one afterwards, and a rollback brings
        back the credentials before.

        POST /services/{id}/update, API 1.24.

        Raises:
            CredentialsError: there are no credentials to send, or they cannot be had.
            InvalidSpec: the service is a job, which any change runs again.
            NotFound: there is no such service.
            OutOfSequence: others were faster all the time.
            OutcomeUnknown: its answer was lost. Doing it again does no harm.
        """

        def apply(spec: ServiceSpec) -> None:
            if spec.mode is not None and (spec.mode.replicated_job is not None or spec.mode.global_job is not None):
                raise InvalidSpec([Problem("Mode", "a job would run again: credentials are stored by an update")])

        return await self._change(service, apply, self._image_change(registry_auth, needs_auth=True))

    async def rollback(self, service: str) -> ServiceUpdated:
        """Go back to the previous spec. A second rollback comes back.

        POST /services/{id}/update with rollback=previous, API 1.28.

        Raises:
            BadRequest: there is no previous spec.
            InvalidSpec: the previous spec has a secret or config that was removed since: no task could start.
            NotFound: there is no such service.
            OutOfSequence: others were faster all the time.
            OutcomeUnknown: its answer was lost, and reading the service did not tell whether it took effect.
        """

        async def prepare(live: Service) -> Write[Service, ServiceUpdated]:
            if live.previous_spec is not None:
                await refuse_removed(self._engine, live.previous_spec, live.spec)
            query = ServiceUpdateQuery(version=live.version.index, rollback="previous")
            path = f"/services/{live.id}/update"
            # Engines want the present spec as the body, and look at nothing in it but its being valid.

            async def send() -> ServiceUpdated:
                return await self._engine.call("POST", path, query=query, body=live.spec, into=ServiceUpdated)

            return Write(send, partial(_landed, goal=live.previous_spec))

        return await self._until_it_lands(service, prepare)

    async def force_update(self, service: str, *, registry_auth: ChangeAuthOption | Unset = UNSET) -> ServiceUpdated:
        """Replace all tasks by new ones of the same spec, as the update config says.

        POST /services/{id}/update, API 1.25.

        Raises:
            NotFound: there is no such service.
            OutOfSequence: others were faster all the time.
            OutcomeUnknown: its answer was lost, and reading the service did not tell whether it took effect.
        """

        def count(spec: ServiceSpec) -> None:
            template = spec.task_template = spec.task_template or TaskTemplate()
            template.force_update = (template.force_update or 0) + 1

        return await self._change(service, count, self._image_change(registry_auth))

    async def apply(
        self,
        spec: ServiceSpec,
        *,
        registry_auth: RegistryAuthOption | Unset = UNSET,
        pin_digest: PinDigest | Unset = UNSET,
    ) -> Applied:
        """Make the service of this name what the spec says: create it, update it, or leave it alone if it is that.

        Returns which, and what was different. What the spec does not say goes back to the engine's default, as in
        `replace`. A default that is said or left out, an order that does not count, and a digest that the live image's
        tag was pinned to are no difference; the digest, and the counter of `force_update`, are kept. With `pin_digest`
        the registry is asked, and a tag that has moved is one. Safe to run again and several times at once. Credentials
        are kept as in `update`.

        GET /services, POST /services/create or /services/{id}/update, API 1.25.

        Raises:
            InvalidSpec: it has no name, the engine would accept it and do something else, or the swarm has no secret,
                config or network of a name in it.
            UnsupportedFeature: the API version in use lacks part of it.
            Unimplemented: the mode is of another kind: engines cannot change that.
            OutOfSequence: others were faster all the time.
            CredentialsError: Docker's config file cannot be read, or the credentials asked for cannot be had.
            EngineError: the image is to be pinned, and its registry does not give a digest.
            OutcomeUnknown: its answer was lost, and reading the service did not tell whether it took effect.
        """
        if not spec.name:
            raise InvalidSpec([Problem("Name", "must be given: it says which service is meant")])
        wanted, name, tries = spec.model_copy(deep=True), spec.name, _TRIES
        image = self._image_change(registry_auth, pin_digest)
        pins = pin_digest in ("try", "require")
        with self._engine.one_deadline():
            while True:
                try:
                    if present := await self.list(name=name):
                        return await self._apply_to(present[0].id, wanted, image, pins=pins)
                    created = await self.create(wanted, registry_auth=registry_auth, pin_digest=pin_digest)
                    return Applied(id=created.id, outcome="created", warnings=tuple(created.warnings))
                except (NotFound, NameConflict):
                    # Another one may have removed or created it in between.
                    tries -= 1
                    if not tries:
                        raise

    async def preview(self, service: str, change: Callable[[ServiceSpec], ServiceSpec | None]) -> Diff:
        """What `edit` with this function would change, and whether that replaces tasks. Nothing is changed.

        GET /services/{id}, API 1.24.

        Raises:
            InvalidSpec: the engine would accept a changed value and do something else, or the swarm has no secret,
                config or network of a name in it.
            UnsupportedFeature: the API version in use lacks part of the whole spec, which it would then destroy.
            NotFound: there is no such service.
        """
        live = await self.inspect(service)
        spec = patch.changed(live.spec, change)
        await self._refuse(spec, live.spec)
        await resolve(self._engine, spec, live.spec)
        await self._engine.check("POST", f"/services/{live.id}/update", spec)
        changes = patch.diff(live.spec, spec)
        is_job = live.spec.mode is not None and live.spec.mode.is_job
        return Diff(changes=changes, replaces_tasks=canonical.replaces_tasks(changes, is_job=is_job))

    async def remove(self, service: str, *, wait: bool = False, timeout: float | None = 60.0) -> None:
        """Remove a service. Its tasks are shut down after that; with `wait` it returns when none runs any more.

        That takes up to the stop grace period of its containers, and for ever on a node that is down; `timeout` is in
        seconds, None for no limit.

        DELETE /services/{id}, API 1.24; with `wait` also GET /services/{id} and /tasks.

        Raises:
            NotFound: there is no such service.
            RolloutTimeout: with `wait`: the service is removed, and tasks of it still run.
            InvalidReference: not an id or name.
            OutcomeUnknown: it was sent and the answer lost.
        """
        if not wait:
            await self._engine.call("DELETE", f"/services/{_id(service)}")
            return
        found = await self.inspect(service)
        await self._engine.call("DELETE", f"/services/{found.id}")
        await until_gone(self._engine, found, timeout=timeout)

    def watch(
        self, *services: str, timeout: float | None = None, failures: int = 5, pending: float | None = 60.0
    ) -> Watch:
        """The rollouts of services while they go on: `async for progress in client.services.watch("web")`.

        Yields where a service is whenever that has changed, at first all of them; a last time when it has arrived at
        its spec and stayed there for the monitor period, or when it has failed. Then the iteration ends, or raises.
        The arguments and errors are those of `wait`.

        GET /services, /tasks and /nodes, API 1.30.
        """
        return self._watch(services, timeout, failures, pending)

    async def wait(
        self, *services: str, timeout: float | None = None, failures: int = 5, pending: float | None = 60.0
    ) -> Rollout:
        """Wait until services have arrived at their specs and stayed there for the monitor period.

        Returns how they stand and how long that took. Tasks of a job have arrived when they are complete. The first
        service that fails ends the wait: when the manager pauses its update or rolls it back, when `failures` tasks of
        one slot have failed, when a task ended and is not replaced, when no node has taken a task for `pending`
        seconds (None for no limit), or when `timeout` seconds are over. A service that was rolled back is that until
        its next change.

        GET /services, /tasks and /nodes, API 1.30.

        Raises:
            UpdatePaused: the manager paused the update because tasks fail.
            RolledBack: the manager went back to the previous spec because tasks fail.
            TasksFailing: tasks of one slot failed too often, one ended that the restart policy does not replace, or no
                node takes one.
            RolloutTimeout: it has not arrived in time.
            Superseded: the service was changed again meanwhile.
            ServiceRemoved: the service was removed meanwhile.
            NotFound: there is no such service.
            ValueError: no service is named.
        """
        return await self._watch(services, timeout, failures, pending).rollout()

    # --- what a wait is made of --------------------------------------------------------------------------------------

    def _watch(self, services: Sequence[str], timeout: float | None, failures: int, pending: float | None) -> Watch:
        if not services:
            raise ValueError("name a service to wait for")
        asked_for = [_id(service) for service in services]

        def by_id(ids: Collection[str]) -> Awaitable[Sequence[Service]]:
            return self.list(filters={"id": [*ids], "runtime": ["container", "plugin"]})

        sources = Sources(
            find=lambda: self._find(asked_for),
            services=by_id,
            tasks=partial(_glances.tasks, self._engine),
            nodes=partial(_glances.nodes, self._engine),
            clock=self._engine.clock,
            one_deadline=self._engine.one_deadline,
        )
        return Watch(sources, timeout=timeout, limits=Limits(failures=failures, pending=pending))

    async def _find(self, services: Sequence[str]) -> Sequence[Service]:
        """The services with these ids or names, each once, in as few requests as that takes."""
        found: dict[str, Service] = {}
        if len(services) > 1:
            found = {service.id: service for service in await self.list(filters={"id": [*services]})}
            if names := [service for service in services if service not in found]:
                found |= {service.name: service for service in await self.list(filters={"name": names})}
        # What is left begins an id, or does not exist: the engine says it.
        each = [found.get(service) or await self.inspect(service) for service in services]
        return [*{service.id: service for service in each}.values()]

    # --- what a change is made of ------------------------------------------------------------------------------------

    async def _change(
        self,
        service: str,
        change: Callable[[ServiceSpec], ServiceSpec | None],
        image: ImageChange,
        *,
        version: int | ObjectVersion | None = None,
    ) -> ServiceUpdated:
        """Read, change, refuse, post; again on a conflict, unless the change is based on a certain version."""

        async def prepare(live: Service) -> Write[Service, ServiceUpdated]:
            spec = patch.changed(live.spec, change)
            await self._refuse(spec, live.spec)
            await resolve(self._engine, spec, live.spec)
            credentials = await image.prepare(spec, live.spec)
            return self._write(live.id, spec, live.version.index, credentials, live.spec)

        if version is None:
            return await self._until_it_lands(service, prepare)
        path = f"/services/{_id(service)}/update"
        with self._engine.one_deadline():
            return await strictly(lambda: self.inspect(service), prepare, version=version, path=path)

    async def _apply_to(self, service_id: str, wanted: ServiceSpec, image: ImageChange, *, pins: bool) -> Applied:
        """Make an existing service what the spec says, unless it is that."""

        async def prepare(live: Service) -> Write[Service, Applied]:
            spec = wanted.model_copy(deep=True)
            await resolve(self._engine, spec, live.spec, compare=True)
            if not pins:
                canonical.keep_what_is_settled(spec, live.spec)
            credentials = await image.prepare(spec, live.spec)
            canonical.keep_what_is_settled(spec, live.spec)  # also where a pin was tried in vain
            changes = canonical.changes(live.spec, spec)
            if not changes:
                return Write[Service, Applied].of_nothing(
                    Applied(id=live.id, outcome="unchanged", warnings=tuple(credentials.warnings))
                )
            await self._refuse(spec, live.spec)
            return self._write(live.id, spec, live.version.index, credentials, live.spec).giving(
                lambda updated: Applied(
                    id=live.id, outcome="updated", changes=changes, warnings=tuple(updated.warnings)
                )
            )

        return await self._until_it_lands(service_id, prepare)

    async def _refuse(self, spec: ServiceSpec, live: ServiceSpec | None = None, *, replaced: str | None = None) -> None:
        """Raise InvalidSpec for what the engine would accept and do otherwise."""
        found = refusals.problems(spec, live)
        # An unknown key is a newer one or a mistake. An engine that has it in the live spec knows it.
        if (unheard := refusals.unheard(spec, live)) and await self._engine.knows_no_more():
            found += unheard if replaced is None else refusals.unheard(spec, (await self.inspect(replaced)).spec)
        if found:
            raise InvalidSpec(found)

    async def _until_it_lands(self, service: str, prepare: Callable[[Service], Awaitable[Write[Service, R]]]) -> R:
        with self._engine.one_deadline():
            return await self._conflicts.settle(lambda: self.inspect(service), prepare, timeout=self._engine.timeout)

    def _write(
        self, service_id: str, spec: ServiceSpec, base: int, credentials: Lookup, live: ServiceSpec
    ) -> Write[Service, ServiceUpdated]:
        """The change of a service to a spec, based on a version index."""
        # Credentials cannot be read back: where they are all that changes, nothing shows whether they arrived.
        stored = None if credentials.headers else credentials.stored
        goal = spec if stored == "spec" or canonical.changes(live, spec) else None

        async def send() -> ServiceUpdated:
            updated = await self._engine.call(
                "POST",
                f"/services/{service_id}/update",
                query=ServiceUpdateQuery(version=base, registry_auth_from=stored),
                body=spec,
                headers=credentials.headers,
                into=ServiceUpdated,
            )
            updated.warnings += credentials.warnings
            return updated

        return Write(send, partial(_landed, goal=goal, warnings=credentials.warnings))

    def _image_change(
        self,
        registry_auth: ChangeAuthOption | Unset,
        pin_digest: PinDigest | Unset = UNSET,
        *,
        needs_auth: bool = False,
    ) -> ImageChange:
        """What a call and this client want of images."""
        return ImageChange(
            self._engine,
            registry_auth=registry_auth,
            default_auth=self._registry_auth,
            pin_digest=pin_digest,
            default_pin=self._pin_digest,
            needs_auth=needs_auth,
        )

    # Last in the class: below it, `list` would mean this method in annotations.
    async def list(
        self,
        *,
        filters: ServiceFilters | Mapping[str, Any] | None = None,
        status: bool = False,
        name: str | None = None,
    ) -> list[Service]:
        """The services that match, in no order.

        `name` is exact, where the engine's own name filter takes the beginning of a name. With `status` each has the
        numbers of its tasks. Plugin services are shown only with the filter `runtime`.

        GET /services, API 1.24; `status` 1.41.

        Raises:
            pydantic.ValidationError: there is no such filter.
            ValueError: a name and a filter for it are given.
        """
        conditions = ServiceFilters.of(filters) or ServiceFilters()
        if name is not None:
            if conditions.name is not None:
                raise ValueError("give the name or a filter for it, not both")
            conditions = conditions.model_copy()
            conditions.name = [name]
        query = ServiceListQuery(filters=conditions if conditions.model_fields_set else None, status=status or None)
        services = await self._engine.call("GET", "/services", query=query, into=list[Service])
        return [service for service in services if name is None or service.name == name]


def _id(service: str) -> str:
    return reference(service, "service")


def _landed(now: Service, goal: ServiceSpec | None, warnings: Sequence[str] = ()) -> ServiceUpdated | None:
    """What a change gives whose answer was lost, if the service now is what it was to become."""
    return None if goal is None or canonical.changes(goal, now.spec) else ServiceUpdated(warnings=[*warnings])


def _is_whole(number: object) -> bool:
    """A whole number from 0, and no bool: callers need not be type-checked."""
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _attachments(networks: Networks) -> list[NetworkAttachmentConfig]:
    if isinstance(networks, str):  # a sequence of letters, to a type checker
        raise TypeError("networks takes a list of networks, not one string")
    return [
        NetworkAttachmentConfig(target=network) if isinstance(network, str) else network.model_copy(deep=True)
        for network in networks
    ]


def _join(spec: ServiceSpec, networks: Networks) -> None:
    """Make these the networks of the spec's tasks, and the only ones."""
    template = spec.task_template = spec.task_template or TaskTemplate()
    template.networks = _attachments(networks)
    patch.clear(spec, "networks")
