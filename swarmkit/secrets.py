"""The secrets of the swarm. One method, one operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from ._documents import Content, Documents, named_driver, read
from ._engine import Engine
from ._rotation import Rotated, rotate
from .models.common import Driver, ObjectVersion
from .models.filters import SecretFilters
from .models.secret import Secret, SecretCreated, SecretSpec
from .services import Services


class Secrets:
    """The secrets of the swarm."""

    def __init__(self, engine: Engine, services: Services) -> None:
        self._documents = Documents(engine, "secret", Secret, SecretCreated)
        self._services = services

    @overload
    async def create(
        self,
        name: str,
        data: Content | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        driver: Driver | str | None = None,
        templating: Driver | str | None = None,
    ) -> SecretCreated: ...

    @overload
    async def create(self, name: SecretSpec) -> SecretCreated: ...

    async def create(
        self,
        name: str | SecretSpec,
        data: Content | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        driver: Driver | str | None = None,
        templating: Driver | str | None = None,
    ) -> SecretCreated:
        """A new secret, from its name and data, or from a whole SecretSpec. Returns its id.

        `data` is bytes, text, which is kept in UTF-8, or the path of a file with it. Engines take up to 511,999
        bytes, or none where a `driver`, the name of a plugin or more, has it.
        With `templating="golang"` it is a template that is filled in for each task.

        POST /secrets/create, API 1.25; `driver` 1.31, `templating` 1.37.

        Raises:
            InvalidSpec: the engine would accept it, and no task could use it.
            BadRequest: the engine does not take the name, or that much data or none.
            NameConflict: there is a secret of that name, in whatever case.
            UnsupportedFeature: the API version in use lacks part of it.
            OSError: the file cannot be read.
            OutcomeUnknown: it was sent and the answer lost.
        """
        given: dict[str, Any] = {
            "labels": None if labels is None else dict(labels),
            "driver": named_driver(driver),
            "templating": named_driver(templating),
        }
        given = {key: value for key, value in given.items() if value is not None}
        if isinstance(name, SecretSpec):
            if given or data is not None:
                raise TypeError("a SecretSpec says it all; not together with anything else")
            return await self._documents.create(name.model_copy(deep=True))
        if data is not None:
            given["data"] = await read(data)
        return await self._documents.create(SecretSpec(name=name, **given))

    async def inspect(self, secret: str) -> Secret:
        """The secret with this id, id prefix or name, without its data.

        GET /secrets/{id}, API 1.25.

        Raises:
            NotFound: there is no such secret.
            BadRequest: several ids begin so.
            InvalidReference: not an id or name.
        """
        return await self._documents.inspect(secret)

    async def update(
        self, secret: str, *, labels: Mapping[str, str], version: int | ObjectVersion | None = None
    ) -> None:
        """Put these labels in the place of those it has; all else about a secret stays as it was made.

        A conflict with another change is read again and applied again; with `version` the change is based on that
        version index or fails. `rotate` is for other data.

        POST /secrets/{id}/update, API 1.25.

        Raises:
            OutOfSequence: with `version`: the secret has changed since; without: others were faster all the time.
            NotFound: there is no such secret.
            InvalidReference: not an id or name.
            OutcomeUnknown: its answer was lost, and reading the secret did not tell whether it took effect.
        """
        await self._documents.update(secret, labels, version)

    async def remove(self, secret: str) -> None:
        """Remove a secret, by id, id prefix or name.

        DELETE /secrets/{id}, API 1.25.

        Raises:
            InUse: services use it; `by` names them.
            NotFound: there is no such secret.
            InvalidReference: not an id or name.
            OutcomeUnknown: it was sent and the answer lost.
        """
        await self._documents.remove(secret)

    async def rotate(
        self,
        name: str,
        data: Content,
        *,
        services: Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Rotated:
        """Give the services that use a secret this data in its place, and wait until their tasks run with it.

        That makes a new secret, `name` with a digest of the data behind it, and lets every reference to `name`, or to
        what it was rotated to before, refer to that: files, owners and modes stay. What no service uses any more is
        removed. The same data once more changes nothing. `name` stands for the newest of them in specs from then on.
        Where names are shown, they tell nothing: the digest is of a slow kind, and salted by a label.

        Only the given `services` change, or all that use it but jobs, which would run again. The new secret has the
        labels of the one before, or `labels`, and its templating. `timeout` is for the rollouts, in seconds; None is
        for no limit.

        Where a rollout fails, the caller cancels, or something else goes wrong, all is undone: the references go back,
        that is waited for (not when cancelled), and the new secret is removed. Notes on the error say what was undone
        and what was not; what was not is also a warning in the log.

        GET /secrets and /services, POST /secrets/create and /services/{id}/update, DELETE /secrets/{id}, API 1.30.

        Raises:
            RolloutFailed: the tasks of a service do not run with it, or another change came in between.
            InvalidSpec: one of `services` does not use it.
            BadRequest: the engine does not take the name, which may have 51 letters, or that much data or none.
            NotFound: there is no such service.
            OSError: the file cannot be read.
            OutcomeUnknown: an answer was lost, and reading did not tell whether the change took effect.
        """
        content = SecretSpec(data=await read(data))
        return await rotate(self._documents, self._services, name, content, services, labels, timeout)

    # Last in the class: below it, `list` would mean this method in annotations.
    async def list(self, *, filters: SecretFilters | Mapping[str, Any] | None = None) -> list[Secret]:
        """The secrets that match, in no order, without their data.

        GET /secrets, API 1.25.

        Raises:
            pydantic.ValidationError: there is no such filter.
        """
        return await self._documents.list(SecretFilters.of(filters))
