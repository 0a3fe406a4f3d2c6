"""What secrets and configs have in common: something to read, under a name, that never changes but for its labels.

Owns: their requests, and what is read of a file. Must not know: services, or what is in one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Generic, Literal, TypeVar

import anyio

from ._conflicts import Conflicts, Write, strictly
from ._engine import Engine, reference
from .errors import InvalidSpec, Problem
from .models.common import Driver, ObjectVersion
from .models.config import Config, ConfigCreated, ConfigSpec
from .models.filters import (
    ConfigFilters,
    ConfigListQuery,
    ConfigUpdateQuery,
    SecretFilters,
    SecretListQuery,
    SecretUpdateQuery,
)
from .models.secret import Secret, SecretCreated, SecretSpec
from .versions import ApiVersion

D = TypeVar("D", bound=Secret | Config)
C = TypeVar("C", bound=SecretCreated | ConfigCreated)
Content = bytes | str | Path
"""Bytes, text that goes as UTF-8, or the file that holds it."""
_TEMPLATES: Final = "golang"


class Documents(Generic[D, C]):
    """The secrets, or the configs, of the swarm."""

    def __init__(self, engine: Engine, kind: Literal["secret", "config"], document: type[D], created: type[C]) -> None:
        self.kind: Literal["secret", "config"] = kind
        self.engine = engine
        self.conflicts = Conflicts(engine.clock)
        self._document: type[D] = document
        self._created: type[C] = created
        self._rows = _list_of(document)
        self._since = ApiVersion.parse("1.25" if kind == "secret" else "1.30")

    async def create(self, spec: SecretSpec | ConfigSpec) -> C:
        """A new one; refuses what engines would take and no task could use."""
        if found := _problems(spec):
            raise InvalidSpec(found)
        return await self.engine.call("POST", f"/{self.kind}s/create", body=spec, since=self._since, into=self._created)

    async def inspect(self, name: str) -> D:
        """The one with this id, id prefix or name."""
        return await self.engine.call("GET", self._path(name), since=self._since, into=self._document)

    async def update(self, name: str, labels: Mapping[str, str], version: int | ObjectVersion | None) -> None:
        """Give it these labels and no others."""
        wanted = dict(labels)

        async def find() -> D:
            return await self.inspect(name)

        async def prepare(live: D) -> Write[D, bool]:
            return self._write(live, wanted)

        with self.engine.one_deadline():
            if version is None:
                await self.conflicts.settle(find, prepare, timeout=self.engine.timeout)
            else:
                await strictly(find, prepare, version=version, path=f"{self._path(name)}/update")

    def _write(self, live: D, labels: dict[str, str]) -> Write[D, bool]:
        base = live.version.index
        query = SecretUpdateQuery(version=base) if self.kind == "secret" else ConfigUpdateQuery(version=base)
        spec = live.spec.model_copy(deep=True)
        spec.labels = labels

        async def send() -> bool:
            await self.engine.call("POST", f"/{self.kind}s/{live.id}/update", query=query, body=spec, since=self._since)
            return True

        return Write(send, lambda now: (now.spec.labels or {}) == labels or None)

    async def remove(self, name: str) -> None:
        """Remove it."""
        await self.engine.call("DELETE", self._path(name), since=self._since)

    def _path(self, name: str) -> str:
        return f"/{self.kind}s/{reference(name, self.kind)}"

    async def beginning(self, name: str) -> Sequence[D]:
        """Those whose names begin so, in any case."""
        return await self.list(SecretFilters(name=[name]) if self.kind == "secret" else ConfigFilters(name=[name]))

    # Last in the class: below it, `list` would mean this method in annotations.
    async def list(self, filters: SecretFilters | ConfigFilters | None) -> list[D]:
        """Those that match, in no order."""
        query = (
            SecretListQuery(filters=filters) if isinstance(filters, SecretFilters) else ConfigListQuery(filters=filters)
        )
        return await self.engine.call("GET", f"/{self.kind}s", query=query, since=self._since, into=self._rows)


def _list_of(kind: type[D]) -> type[list[D]]:
    return list[kind]  # type: ignore[valid-type]


async def read(content: Content) -> bytes | str:
    """The bytes or the text, wherever they are. A file is read beside the event loop."""
    return await anyio.Path(content).read_bytes() if isinstance(content, Path) else content


def named_driver(driver: Driver | str | None) -> Driver | None:
    """A driver, also where only its name is given."""
    return Driver(name=driver) if isinstance(driver, str) else driver


def _problems(spec: SecretSpec | ConfigSpec) -> list[Problem]:
    """What engines accept, and then no task could start with."""
    if spec.templating is not None and spec.templating.name != _TEMPLATES:
        return [Problem("Templating.Name", f"must be {_TEMPLATES}: no task could start")]
    return []
