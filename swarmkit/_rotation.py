"""Other data in the place of a secret's or config's: a new object, the references swapped, the old objects removed.

Owns: what the new object is called, who refers to the family, and the undoing of all where a step fails.
Must not know: how a service is changed or waited for, or HTTP.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import anyio
import anyio.to_thread

from ._documents import C, D, Documents
from ._names import Kind, references
from .errors import InUse, InvalidSpec, NameConflict, NotFound, OutcomeUnknown, Problem, SwarmkitError
from .models._glance import ROTATION_OF
from .models.config import Config, ConfigSpec
from .models.secret import Secret, SecretSpec
from .models.service import Service, ServiceSpec
from .services import Services

_log = logging.getLogger("swarmkit")

_SALT: Final = "docker-swarmkit.rotation.salt"
_DIGITS: Final = 12
_UNDO_SECONDS: Final = 30.0
"""How long a caller who cancels may be kept, while what was done is undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What a rotation came to."""

    id: str
    """Id of the secret or config that is used now."""
    name: str
    """Its name."""
    created: bool
    """It is new; otherwise it was there, with this very data."""
    services: tuple[str, ...]
    """Names of the services that were changed to use it."""
    removed: tuple[str, ...]
    """Names of what was there before, and is removed."""
    kept: Mapping[str, str]
    """Names of what was there before and still is, each with the reason."""


class _NothingToDo(Exception):
    """A service does not refer to what was to be swapped: leave it alone."""


@dataclass
class _Swapped:
    """What was done to one service."""

    service: Service
    before: dict[tuple[str, str | None], tuple[str, str]] = field(default_factory=dict[Any, Any])
    """What each reference, by its kind and place, referred to."""


class _Rotation:
    """One rotation on its way, with what is needed to undo it."""

    def __init__(self, documents: Documents[Any, Any], services: Services, name: str, timeout: float | None) -> None:
        self._documents = documents
        self._services = services
        self._kind: Kind = documents.kind
        self._logical = name
        self._timeout = timeout
        self._is_member = re.compile(re.escape(name) + rf"(\.[0-9a-f]{{{_DIGITS}}})?").fullmatch
        self.created = False
        self.swapped: list[_Swapped] = []
        self._back: list[str] = []
        self.id = self.name = ""

    async def family(self) -> list[Secret | Config]:
        """The object of the logical name and all that it was rotated to, the newest first."""
        found: Sequence[Secret | Config] = await self._documents.beginning(self._logical)
        members = [one for one in found if one.name == self._logical or _label(one, ROTATION_OF) == self._logical]
        return sorted(members, key=lambda one: one.created_at or datetime.min.replace(tzinfo=UTC), reverse=True)

    async def spec(
        self, content: SecretSpec | ConfigSpec, family: Sequence[Secret | Config], labels: Mapping[str, str] | None
    ) -> SecretSpec | ConfigSpec:
        """The new object: named after its data, and for the rest like the newest of the family."""
        spec, before = content.model_copy(deep=True), family[0].spec if family else None
        given = labels if labels is not None else (before and before.labels) or {}
        spec.labels = {key: value for key, value in given.items() if key not in (ROTATION_OF, _SALT)}
        spec.labels[ROTATION_OF] = self._logical
        if before is not None and before.templating is not None:
            spec.templating = before.templating.model_copy(deep=True)
        data = spec.data or b""
        if self._kind == "secret":
            salt = next((salt for one in family if (salt := _label(one, _SALT))), "") or secrets.token_hex(16)
            spec.labels[_SALT] = salt
            digest = await anyio.to_thread.run_sync(_slow_digest, data, salt)
        else:
            digest = hashlib.sha256(data).hexdigest()
        self.name = spec.name = f"{self._logical}.{digest[:_DIGITS]}"
        return spec

    async def users(self, asked_for: Sequence[str] | None) -> list[Service]:
        """The services that are to use the new object.

        Raises:
            InvalidSpec: one that was asked for does not use the old one.
            NotFound: there is no such service.
        """
        if asked_for is None:
            all_ = await self._services.list()
            return [one for one in all_ if self._uses(one.spec) and not (one.spec.mode and one.spec.mode.is_job)]
        found = [await self._services.inspect(service) for service in asked_for]
        if strangers := [service for service in found if not self._uses(service.spec)]:
            reason = f"does not use the {self._kind} {self._logical!r}"
            raise InvalidSpec([Problem("", f"service {service.name} {reason}") for service in strangers])
        return found

    def _uses(self, spec: ServiceSpec) -> bool:
        return any(self._is_member(one.name) for one in references(spec, self._kind))

    async def create(self, spec: SecretSpec | ConfigSpec, family: Sequence[Secret | Config]) -> None:
        """Make the new object, unless it is there."""
        if self._found(family):
            return
        try:
            self.created = True  # it may be, from here on
            self.id = (await self._documents.create(spec)).id
        except (NameConflict, OutcomeUnknown) as error:
            self.created = isinstance(error, OutcomeUnknown)  # or another rotation to the same data was faster
            if not self._found(await self.family()):
                raise
        except SwarmkitError:
            self.created = False
            raise

    def _found(self, family: Sequence[Secret | Config]) -> bool:
        self.id = next((one.id for one in family if one.name == self.name), "")
        return bool(self.id)

    async def swap(self, service: Service) -> None:
        """Let a service refer to the new object, wherever it refers to one of the family."""
        done = _Swapped(service)

        def change(spec: ServiceSpec) -> None:
            old = [one for one in references(spec, self._kind) if self._is_member(one.name) and one.id != self.id]
            if not old:
                raise _NothingToDo
            done.before = {(one.kind, one.place): (one.id, one.name) for one in old}
            for one in old:
                one.to(self.id, self.name)

        self.swapped.append(done)  # it may be, from here on
        try:
            await self._services.edit(service.id, change)
        except _NothingToDo:
            self.swapped.remove(done)

    async def wait(self) -> None:
        """Wait until the changed services have arrived."""
        if self.swapped:
            await self._services.wait(*(done.service.id for done in self.swapped), timeout=self._timeout)

    async def sweep(self, old: Sequence[Secret | Config]) -> tuple[list[str], dict[str, str]]:
        """Remove what nothing uses any more; gives the names of what is gone, and why the others are not."""
        removed: list[str] = []
        kept: dict[str, str] = {}
        for one in old:
            try:
                await self._documents.remove(one.id)
                removed.append(one.name)
            except NotFound:
                pass  # another rotation was faster
            except InUse as error:
                kept[one.name] = f"in use by {', '.join(error.by)}"
            except SwarmkitError as error:  # the rotation itself is done
                kept[one.name] = str(error)
        return removed, kept

    # --- the way back ------------------------------------------------------------------------------------------------

    async def undo(self, error: BaseException) -> None:
        """Undo what was done, and note on the error what that came to."""
        for done in reversed(self.swapped):
            name = done.service.name
            try:
                if await self._swap_back(done):
                    self._back.append(done.service.id)
                    old = sorted({name for _, name in done.before.values()})
                    error.add_note(f"undone: service {name} is to use {', '.join(old)} again")
            except SwarmkitError as failure:
                self._left(error, f"service {name} may still use {self.name}: {failure}")
        if self.created:
            try:
                await self._documents.remove(self.name)
                error.add_note(f"undone: {self._kind} {self.name} is removed")
            except NotFound:
                pass
            except SwarmkitError as failure:
                self._left(error, f"{self._kind} {self.name} may still be there: {failure}")

    async def wait_for_undone(self, error: BaseException) -> None:
        """Wait until the services have arrived where they were before."""
        try:
            if self._back:
                await self._services.wait(*self._back, timeout=self._timeout)
        except SwarmkitError as failure:
            self._left(error, f"not all services have arrived where they were before: {failure}")

    async def _swap_back(self, done: _Swapped) -> bool:
        """Let a service refer to what it did before, where it refers to the new object; gives whether it did."""

        def change(spec: ServiceSpec) -> None:
            now = [one for one in references(spec, self._kind) if one.name == self.name]
            changed = [one for one in now if (one.kind, one.place) in done.before]
            if not changed:
                raise _NothingToDo
            for one in changed:
                one.to(*done.before[one.kind, one.place])

        try:
            await self._services.edit(done.service.id, change)
        except (_NothingToDo, NotFound):
            return False  # the engine rolled it back, somebody else changed it, or it is removed
        return True

    def _left(self, error: BaseException, what: str) -> None:
        error.add_note(f"not undone: {what}")
        _log.warning("rotation of %s %s: not undone: %s", self._kind, self._logical, what)


async def rotate(
    documents: Documents[D, C],
    services: Services,
    name: str,
    content: SecretSpec | ConfigSpec,
    asked_for: Sequence[str] | None,
    labels: Mapping[str, str] | None,
    timeout: float | None,
) -> Rotated:
    """Give services other data under a name; all of it, or none."""
    if isinstance(asked_for, str):  # a sequence of letters, to a type checker
        raise TypeError("services takes a list of services, not one string")
    rotation = _Rotation(documents, services, name, timeout)
    async with documents.conflicts.lock(f"rotation of {name}"):  # two at once would undo each other's
        family = await rotation.family()
        spec = await rotation.spec(content, family, labels)
        users = await rotation.users(asked_for)
        try:
            await rotation.create(spec, family)
            for service in users:
                await rotation.swap(service)
            await rotation.wait()
        except (Exception, anyio.get_cancelled_exc_class()) as error:
            with anyio.CancelScope(shield=True), documents.engine.one_deadline(_UNDO_SECONDS):
                await rotation.undo(error)
            if isinstance(error, Exception):
                await rotation.wait_for_undone(error)
            raise
        removed, kept = await rotation.sweep([one for one in family if one.id != rotation.id])
    changed = tuple(done.service.name for done in rotation.swapped)
    return Rotated(
        id=rotation.id,
        name=rotation.name,
        created=rotation.created,
        services=changed,
        removed=tuple(removed),
        kept=kept,
    )


def _label(one: Secret | Config, key: str) -> str:
    return (one.spec.labels or {}).get(key, "")


def _slow_digest(data: bytes, salt: str) -> str:
    """A digest that takes long enough to make guessing the data of no use, where the salt is known."""
    return hashlib.scrypt(data, salt=bytes.fromhex(salt), n=1 << 14, r=8, p=1, maxmem=1 << 25, dklen=_DIGITS // 2).hex()
