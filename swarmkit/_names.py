"""Names in a service spec become the ids that engines want: of secrets, configs and networks.

An engine's own match of a name goes on to ids that begin so, and its lists are of names that begin so: here a name is
that name. Owns: where a spec refers to something, the lookups, all at the same time, and what a rotated name stands
for. Must not know: the nouns, or what the spec is for.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from ._engine import Engine, reference
from .errors import InvalidReference, InvalidSpec, NotFound, Problem, UnsupportedFeature
from .models._glance import DocumentGlance
from .models.config import ConfigReference
from .models.container import CredentialSpec
from .models.filters import ConfigFilters, ConfigListQuery, NetworkInspectQuery, SecretFilters, SecretListQuery
from .models.network import Network, NetworkAttachmentConfig
from .models.secret import SecretReference
from .models.service import ServiceSpec

Kind = Literal["secret", "config"]
_KINDS: Final[tuple[Kind, ...]] = ("secret", "config")
_ID: Final = re.compile("[0-9a-z]{25}|[0-9a-f]{64}")
_ALWAYS_THERE: Final = ("host", "bridge")


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a service refers to a secret or config."""

    kind: Kind
    wire: SecretReference | ConfigReference
    path: str
    credentials: CredentialSpec | None
    """What may name a config for the runtime by its id."""

    @property
    def id(self) -> str:
        """Id of what it refers to; empty where it is not known yet."""
        return getattr(self.wire, f"{self.kind}_id") or ""

    @property
    def name(self) -> str:
        """Name of what it refers to; empty where it is not known yet."""
        return getattr(self.wire, f"{self.kind}_name") or ""

    @property
    def place(self) -> str | None:
        """The file that tasks find it in, which no other one of the service is; None where it is for the runtime."""
        return None if self.wire.file is None else self.wire.file.name

    def to(self, object_id: str, name: str) -> None:
        """Let it refer to this object, and with it a credential spec that names the one before."""
        if self.credentials is not None and self.credentials.config in {self.id, self.name} - {""}:
            self.credentials.config = object_id
        setattr(self.wire, f"{self.kind}_id", object_id)
        setattr(self.wire, f"{self.kind}_name", name)


def references(spec: ServiceSpec, kind: Kind) -> list[Reference]:
    """The references of a service to secrets or to configs."""
    container = spec.task_template and spec.task_template.container_spec
    found: Iterable[Any] = (container and getattr(container, f"{kind}s")) or ()
    credentials = container and container.privileges and container.privileges.credential_spec
    path = f"TaskTemplate.ContainerSpec.{kind.capitalize()}s"
    return [
        Reference(kind, one, f"{path}[{index}]", (one.file is None and credentials) or None)
        for index, one in enumerate(found)
    ]


def networks(spec: ServiceSpec) -> list[NetworkAttachmentConfig]:
    """The attachments of a service's tasks to networks."""
    return (spec.task_template and spec.task_template.networks) or []


async def resolve(engine: Engine, spec: ServiceSpec, live: ServiceSpec | None = None, *, compare: bool = False) -> None:
    """Put ids in the place of names in a spec, and beside them what belongs to them; all in it is there then.

    What the live spec says already is not asked for again, since what is in use cannot go. A network that every swarm
    has gets its id only to `compare` with a live spec: engines find it without fail.

    Raises:
        InvalidSpec: the swarm has no such secret, config or network; names them all.
    """
    lookups: list[Callable[[], Awaitable[list[Problem]]]] = [
        partial(_find_documents, engine, kind, open_) for kind in _KINDS if (open_ := _incomplete(spec, live, kind))
    ]
    known = {attachment.target for attachment in networks(live)} if live is not None else set[str | None]()
    for index, attachment in enumerate(networks(spec)):
        target = attachment.target
        if target and target not in known and not _ID.fullmatch(target) and (compare or target not in _ALWAYS_THERE):
            lookups.append(partial(_find_network, engine, attachment, f"TaskTemplate.Networks[{index}].Target"))
    if lookups and (missing := [problem for some in await engine.together(lookups) for problem in some]):
        raise InvalidSpec(missing)


def _incomplete(spec: ServiceSpec, live: ServiceSpec | None, kind: Kind) -> list[Reference]:
    """The references that lack their name or id, which the live spec does not have either."""
    known = [] if live is None else references(live, kind)
    open_ = [one for one in references(spec, kind) if bool(one.id) != bool(one.name)]
    for one in [*open_]:
        if found := next((same for same in known if same.name == one.name or same.id == one.id), None):
            one.to(found.id, found.name)
            open_.remove(one)
    return open_


async def _find_documents(engine: Engine, kind: Kind, open_: Sequence[Reference]) -> list[Problem]:
    """Complete references to secrets or configs; says which cannot be."""
    rows = await lookup(engine, kind, {one.name for one in open_ if one.name}, {one.id for one in open_ if one.id})
    # Of a family the newest member stands for the name; an object that has the name itself goes before all of them.
    by_name = {row.rotation_of: row for row in sorted(rows, key=DocumentGlance.age)}
    by_name |= {row.spec.name: row for row in rows}
    by_id = {row.id: row for row in rows}
    problems: list[Problem] = []
    for one in open_:
        if found := by_name.get(one.name) if one.name else by_id.get(one.id):
            one.to(found.id, found.spec.name)
        else:
            where = f"{one.path}.{kind.capitalize()}{'Name' if one.name else 'ID'}"
            problems.append(Problem(where, f"there is no {kind} {(one.name or one.id)[:80]!r}"))
    return problems


async def refuse_removed(engine: Engine, spec: ServiceSpec, live: ServiceSpec) -> None:
    """See to it that all is there that a stored spec refers to: engines do not look before a rollback.

    Raises:
        InvalidSpec: secrets or configs were removed; names them all.
    """
    lookups: list[Callable[[], Awaitable[list[Problem]]]] = []
    for kind in _KINDS:
        used = {one.id for one in references(live, kind)}
        if open_ := [one for one in references(spec, kind) if one.id not in used]:
            lookups.append(partial(_find_removed, engine, kind, open_))
    if lookups and (removed := [problem for some in await engine.together(lookups) for problem in some]):
        raise InvalidSpec(removed)


async def _find_removed(engine: Engine, kind: Kind, stored: Sequence[Reference]) -> list[Problem]:
    there = {row.id for row in await lookup(engine, kind, (), {one.id for one in stored})}
    return [
        Problem(f"{one.path}.{kind.capitalize()}Name", f"{kind} {one.name!r} was removed: no task could start")
        for one in stored
        if one.id not in there
    ]


async def lookup(engine: Engine, kind: Kind, names: Collection[str], ids: Collection[str] = ()) -> list[DocumentGlance]:
    """The secrets or configs whose names or ids begin so, in any case: those that are meant, and more."""
    given: dict[str, Any] = {key: sorted(values) for key, values in (("name", names), ("id", ids)) if values}
    query: SecretListQuery | ConfigListQuery = (
        SecretListQuery(filters=SecretFilters(**given))
        if kind == "secret"
        else ConfigListQuery(filters=ConfigFilters(**given))
    )
    return await engine.call("GET", f"/{kind}s", query=query, into=list[DocumentGlance])


async def _find_network(engine: Engine, attachment: NetworkAttachmentConfig, path: str) -> list[Problem]:
    """Put the id of a network of the swarm in the place of its name; says where it cannot be."""
    target = attachment.target or ""
    with suppress(NotFound, InvalidReference):
        query = NetworkInspectQuery(scope="swarm")
        try:
            found = await engine.call("GET", f"/networks/{reference(target, 'network')}", query=query, into=Network)
        except UnsupportedFeature:
            return []  # below API 1.31 it cannot be asked for alone: the engine finds it as it does
        if found.name == target:
            attachment.target = found.id
            return []
    return [Problem(path, f"the swarm has no network {target[:80]!r}")]
