"""The networks that an engine knows: the swarm's, and its own. One method, one operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from . import refusals
from ._engine import Engine, reference
from .models.filters import NetworkFilters, NetworkInspectQuery, NetworkListQuery
from .models.network import IPAM, ConfigFrom, Network, NetworkCreated, NetworkCreateRequest


class Networks:
    """The networks that an engine knows: the swarm's, and its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create(
        self,
        name: str,
        *,
        driver: str | None = None,
        scope: Literal["local", "swarm"] | None = None,
        attachable: bool | None = None,
        internal: bool | None = None,
        ingress: bool | None = None,
        enable_ipv4: bool | None = None,
        enable_ipv6: bool | None = None,
        ipam: IPAM | None = None,
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        config_only: bool | None = None,
        config_from: ConfigFrom | str | None = None,
    ) -> NetworkCreated:
        """A new network: an overlay of the swarm, unless another driver is given.

        Returns its id and the engine's warning. Engines themselves would make a `bridge`, which no service can join.
        An overlay has its subnet some time after that.

        With `config_only` it is no network but settings, of this engine, for networks of other drivers that name it as
        `config_from`; it has no driver. With `attachable` containers that belong to no service may join, with
        `internal` there is no way to the outside, and `ingress` makes it that of the routing mesh, of which there is
        one. Names that engines before 25.0 would take twice are refused.

        POST /networks/create, API 1.24; `attachable` 1.25, `ingress` 1.29, `scope`, `config_only` and `config_from`
        1.30, `enable_ipv4` 1.48.

        Raises:
            InvalidSpec: the engine would accept it and do something else.
            UnsupportedFeature: the API version in use lacks part of it.
            NameConflict: there is a network of that name, or an ingress network.
            NotFound: there is no such driver, or no network that `config_from` names.
            Forbidden: the engine does not allow it, such as a second network of the driver `host`.
            BadRequest: no network can be called so, or have such subnets.
            NotAManager: an overlay needs a manager.
            OutcomeUnknown: it was sent and the answer lost.
        """
        given: dict[str, Any] = {
            "driver": driver or (None if config_only else "overlay"),
            "scope": scope,
            "attachable": attachable,
            "internal": internal,
            "ingress": ingress,
            "enable_ipv4": enable_ipv4,
            "enable_ipv6": enable_ipv6,
            "ipam": None if ipam is None else ipam.model_copy(deep=True),
            "options": None if options is None else dict(options),
            "labels": None if labels is None else dict(labels),
            "config_only": config_only,
            "config_from": ConfigFrom(network=config_from) if isinstance(config_from, str) else config_from,
        }
        given = {key: value for key, value in given.items() if value is not None}
        network = NetworkCreateRequest(name=name, check_duplicate=True, **given)
        with self._engine.one_deadline():
            await self._engine.refuse(refusals.problems_of_network(network), refusals.unheard(network))
            return await self._engine.call("POST", "/networks/create", body=network, into=NetworkCreated)

    async def inspect(
        self, network: str, *, verbose: bool = False, scope: Literal["local", "swarm"] | None = None
    ) -> Network:
        """The network with this id, id prefix or name; with `scope` only one of the swarm, or of this engine.

        With `verbose` it has the services and tasks on it, as far as the engine takes part in it: as long as it runs
        a task there. The subnet of an overlay is missing until the manager has given it one.

        GET /networks/{id}, API 1.24; `verbose` 1.28, `scope` 1.31.

        Raises:
            NotFound: there is no such network.
            BadRequest: several networks are called so, or several ids begin so.
            UnsupportedFeature: the API version in use lacks `verbose` or `scope`.
            InvalidReference: not an id or name.
        """
        query = NetworkInspectQuery(verbose=verbose or None, scope=scope)
        return await self._engine.call("GET", f"/networks/{reference(network, 'network')}", query=query, into=Network)

    async def remove(self, network: str) -> None:
        """Remove a network that nothing uses: no service, no task and no container.

        DELETE /networks/{id}, API 1.24.

        Raises:
            InUse: something uses it; `by` has the id of that service or task.
            Forbidden: it is one that every engine has, such as `bridge`.
            NotFound: there is no such network.
            BadRequest: several networks are called so, or several ids begin so.
            InvalidReference: not an id or name.
            OutcomeUnknown: it was sent and the answer lost.
        """
        await self._engine.call("DELETE", f"/networks/{reference(network, 'network')}")

    # Last in the class: below it, `list` would mean this method in annotations.
    async def list(self, *, filters: NetworkFilters | Mapping[str, Any] | None = None) -> list[Network]:
        """The networks that match, the swarm's and the engine's own, in no order, without what is on them.

        GET /networks, API 1.24.

        Raises:
            pydantic.ValidationError: there is no such filter.
            UnsupportedFeature: the API version in use lacks a filter.
            EngineError: no such type.
        """
        query = NetworkListQuery(filters=NetworkFilters.of(filters))
        return await self._engine.call("GET", "/networks", query=query, into=list[Network])
