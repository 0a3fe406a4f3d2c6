"""The configs of the swarm. One method, one operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from ._documents import Content, Documents, named_driver, read
from ._engine import Engine
from ._rotation import Rotated, rotate
from .models.common import Driver, ObjectVersion
from .models.config import Config, ConfigCreated, ConfigSpec
from .models.filters import ConfigFilters
from .services import Services


class Configs:
    """The configs of the swarm."""

    def __init__(self, engine: Engine, services: Services) -> None:
        self._documents = Documents(engine, "config", Config, ConfigCreated)
        self._services = services

    @overload
    async def create(
        self,
        name: str,
        data: Content,
        *,
        labels: Mapping[str, str] | None = None,
        templating: Driver | str | None = None,
    ) -> ConfigCreated: ...

    @overload
    async def create(self, name: ConfigSpec) -> ConfigCreated: ...

    async def create(
        self,
        name: str | ConfigSpec,
        data: Content | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        templating: Driver | str | None = None,
    ) -> ConfigCreated:
        """A new config, from its name and data, or from a whole ConfigSpec. Returns its id.

        `data` is bytes, text, which is kept in UTF-8, or the path of a file with it. Engines take up to
        1,023,999 bytes.
        With `templating="golang"` it is a template that is filled in for each task.

        POST /configs/create, API 1.30; `templating` 1.37.

        Raises:
            InvalidSpec: the engine would accept it, and no task could use it.
            BadRequest: the engine does not take the name, or that much data or none.
            NameConflict: there is a config of that name, in whatever case.
            UnsupportedFeature: the API version in use lacks part of it.
            OSError: the file cannot be read.
            OutcomeUnknown: it was sent and the answer lost.
        """
        given: dict[str, Any] = {
            "labels": None if labels is None else dict(labels),
            "templating": named_driver(templating),
        }
        given = {key: value for key, value in given.items() if value is not None}
        if isinstance(name, ConfigSpec):
            if given or data is not None:
                raise TypeError("a ConfigSpec says it all; not together with anything else")
            return await self._documents.create(name.model_copy(deep=True))
        if data is not None:
            given["data"] = await read(data)
        return await self._documents.create(ConfigSpec(name=name, **given))

    async def inspect(self, config: str) -> Config:
        """The config with this id, id prefix or name and its data as bytes.

        GET /configs/{id}, API 1.30.

        Raises:
            NotFound: there is no such config.
            BadRequest: several ids begin so.
            InvalidReference: not an id or name.
        """
        return await self._documents.inspect(config)

    async def update(
        self, config: str, *, labels: Mapping[str, str], version: int | ObjectVersion | None = None
    ) -> None:
        """Put these labels in the place of those it has; all else about a config stays as it was made.

        A conflict with another change is read again and applied again; with `version` the change is based on that
        version index or fails. `rotate` is for other data.

        POST /configs/{id}/update, API 1.30.

        Raises:
            OutOfSequence: with `version`: the config has changed since; without: others were faster all the time.
            NotFound: there is no such config.
            InvalidReference: not an id or name.
            OutcomeUnknown: its answer was lost, and reading the config did not tell whether it took effect.
        """
        await self._documents.update(config, labels, version)

    async def remove(self, config: str) -> None:
        """Remove a config, by id, id prefix or name.

        DELETE /configs/{id}, API 1.30.

        Raises:
            InUse: services use it; `by` names them.
            NotFound: there is no such config.
            InvalidReference: not an id or name.
            OutcomeUnknown: it was sent and the answer lost.
        """
        await self._documents.remove(config)

    async def rotate(
        self,
        name: str,
        data: Content,
        *,
        services: Sequence[str] | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Rotated:
        """Give the services that use a config this data in its place, and wait until their tasks run with it.

        That makes a new config, `name` with a digest of the data behind it, and lets every reference to `name`, or to
        what it was rotated to before, refer to that: files, owners and modes stay. What no service uses any more is
        removed. The same data once more changes nothing. `name` stands for the newest of them in specs from then on.
        The digest is the beginning of the data's SHA-256.

        Only the given `services` change, or all that use it but jobs, which would run again. The new config has the
        labels of the one before, or `labels`, and its templating. `timeout` is for the rollouts, in seconds; None is
        for no limit.

        Where a rollout fails, the caller cancels, or something else goes wrong, all is undone: the references go back,
        that is waited for (not when cancelled), and the new config is removed. Notes on the error say what was undone
        and what was not; what was not is also a warning in the log.

        GET /configs and /services, POST /configs/create and /services/{id}/update, DELETE /configs/{id}, API 1.30.

        Raises:
            RolloutFailed: the tasks of a service do not run with it, or another change came in between.
            InvalidSpec: one of `services` does not use it.
            BadRequest: the engine does not take the name, which may have 51 letters, or that much data or none.
            NotFound: there is no such service.
            OSError: the file cannot be read.
            OutcomeUnknown: an answer was lost, and reading did not tell whether the change took effect.
        """
        content = ConfigSpec(data=await read(data))
        return await rotate(self._documents, self._services, name, content, services, labels, timeout)

    # Last in the class: below it, `list` would mean this method in annotations.
    async def list(self, *, filters: ConfigFilters | Mapping[str, Any] | None = None) -> list[Config]:
        """The configs that match, in no order, with their data.

        GET /configs, API 1.30.

        Raises:
            pydantic.ValidationError: there is no such filter.
        """
        return await self._documents.list(ConfigFilters.of(filters))
