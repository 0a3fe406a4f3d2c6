"""Query parameters and filters, one model per endpoint: a typo is refused, a parameter knows its API version.

Engines ignore parameters they do not know, so a misspelt or too new one would silently select everything.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from ..versions import Since
from ._wire import Bool, Int, WireModel


class Query(WireModel):
    """The query string of a request."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class Filters(WireModel):
    """Conditions on what a list holds: values of one key are alternatives, keys must all match."""

    model_config = ConfigDict(alias_generator=None, extra="forbid")

    @classmethod
    def of(cls, conditions: "Self | Mapping[str, Any] | None") -> Self | None:
        """The filters that a mapping describes; a value may be one string, number or bool, or several.

        Raises:
            pydantic.ValidationError: the endpoint has no such filter, or a value is of another kind.
        """
        if conditions is None or isinstance(conditions, cls):
            return conditions
        return cls.model_validate({key: _texts(value) for key, value in dict(conditions).items()})

    def wire(self) -> bytes:
        """The JSON that goes into the query: engines would take a null for no condition at all."""
        return self._json(exclude_none=True)


def _texts(value: Any) -> list[Any]:
    """The values of one filter as text; what is none is left for pydantic to refuse."""
    if isinstance(value, list | tuple | set | frozenset):
        return [text for one in cast("Iterable[Any]", value) for text in _texts(one)]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(value) if isinstance(value, int) else value]


Values = list[str] | None


class ServiceFilters(Filters):
    """Filters of `services.list`."""

    id: Values = None
    """Id, or the beginning of one."""
    name: Values = None
    """Name, or the beginning of one."""
    label: Values = None
    """`key` or `key=value` of a service label."""
    mode: Annotated[Values, Since("1.29"), Since("1.41", value="replicated-job"), Since("1.41", value="global-job")] = (
        None
    )
    """`replicated`, `global`, `replicated-job` or `global-job`."""
    runtime: Annotated[Values, Since("1.30")] = None
    """`container` (what engines show by default) or `plugin`."""


class TaskFilters(Filters):
    """Filters of `tasks.list`."""

    id: Values = None
    """Id, or the beginning of one."""
    name: Values = None
    """Name, or the beginning of one."""
    label: Values = None
    """`key` or `key=value` of a label of the service."""
    service: Values = None
    """Id or name of a service; an unknown one is NotFound."""
    node: Values = None
    """Id or name of a node; an unknown one is NotFound."""
    desired_state: Annotated[Values, Field(alias="desired-state")] = None
    """`running`, `shutdown` or `accepted`."""
    runtime: Annotated[Values, Since("1.31")] = None
    """`container` or `plugin`."""
    up_to_date: Annotated[Values, Since("1.29"), Field(alias="_up-to-date")] = None
    """`true` for tasks made from the service's present spec; an internal filter of Docker's own tools."""


class NodeFilters(Filters):
    """Filters of `nodes.list`."""

    id: Values = None
    """Id, or the beginning of one."""
    name: Values = None
    """Host name, or the beginning of one."""
    label: Values = None
    """`key` or `key=value` of a label of the node's engine."""
    node_label: Annotated[Values, Since("1.40"), Field(alias="node.label")] = None
    """`key` or `key=value` of a label of the node."""
    role: Values = None
    """`manager` or `worker`."""
    membership: Values = None
    """`accepted` or `pending`; to engines, each node that was ever updated is pending."""


class SecretFilters(Filters):
    """Filters of `secrets.list`. Here names and ids are alternatives too."""

    id: Values = None
    """Id, or the beginning of one."""
    name: Values = None
    """Name, or the beginning of one, in any case."""
    names: Values = None
    """Name, whole, in any case."""
    label: Values = None
    """`key` or `key=value` of a label."""


class ConfigFilters(Filters):
    """Filters of `configs.list`. Here names and ids are alternatives too."""

    id: Values = None
    """Id, or the beginning of one."""
    name: Values = None
    """Name, or the beginning of one, in any case."""
    label: Values = None
    """`key` or `key=value` of a label."""


class NetworkFilters(Filters):
    """Filters of `networks.list`."""

    id: Values = None
    """Id, or a part of one; of a network of the swarm engines before 29.0 want the beginning."""
    name: Values = None
    """Name, or a part of one; of a network of the swarm engines before 29.0 want all of it."""
    label: Values = None
    """`key` or `key=value` of a label."""
    driver: Values = None
    """Driver, such as `overlay`."""
    type: Values = None
    """`custom` or `builtin`."""
    scope: Annotated[Values, Since("1.29")] = None
    """`swarm`, `global` or `local`."""
    dangling: Annotated[Values, Since("1.40")] = None
    """`true` for networks that nothing uses."""


class NetworkPruneFilters(Filters):
    """Which unused networks are removed."""

    until: Annotated[Values, Since("1.28")] = None
    """Made before that: a timestamp, or an age such as `24h`."""
    label: Annotated[Values, Since("1.29")] = None
    """`key` or `key=value` of a label."""
    not_label: Annotated[Values, Since("1.29"), Field(alias="label!")] = None
    """`key` or `key=value` of a label that spares a network."""


class EventFilters(Filters):
    """Filters of events. Engines do not look at a filter they do not know, and send everything."""

    type: Values = None
    """Kind of object, such as `service`."""
    event: Values = None
    """What happened, such as `update`."""
    scope: Annotated[Values, Since("1.30")] = None
    """`swarm` or `local`."""
    label: Values = None
    """`key` or `key=value` of a label of the object."""
    service: Annotated[Values, Since("1.30")] = None
    """Id or name of a service."""
    node: Annotated[Values, Since("1.30")] = None
    """Id or name of a node."""
    secret: Annotated[Values, Since("1.30")] = None
    """Id or name of a secret."""
    config: Annotated[Values, Since("1.31")] = None
    """Id or name of a config."""
    network: Values = None
    """Id or name of a network."""
    container: Values = None
    """Id or name of a container."""
    image: Values = None
    """Image, by reference."""
    volume: Values = None
    """Name of a volume."""
    plugin: Values = None
    """Name of a plugin."""
    daemon: Values = None
    """Id or name of the engine."""


class ServiceListQuery(Query):
    """Query of GET /services."""

    filters: ServiceFilters | None = None
    status: Annotated[Bool | None, Since("1.41")] = None


class ServiceInspectQuery(Query):
    """Query of GET /services/{id}."""

    insert_defaults: Annotated[Bool | None, Since("1.29")] = None


class ServiceUpdateQuery(Query):
    """Query of POST /services/{id}/update."""

    version: Int
    registry_auth_from: Annotated[Literal["spec", "previous-spec"] | None, Since("1.25", idle="spec")] = None
    rollback: Annotated[Literal["previous"] | None, Since("1.28")] = None


class TaskListQuery(Query):
    """Query of GET /tasks."""

    filters: TaskFilters | None = None


class LogsQuery(Query):
    """Query of GET /services/{id}/logs and GET /tasks/{id}/logs."""

    stdout: Bool
    stderr: Bool
    follow: Bool = False
    tail: str = "all"
    since: str | None = None
    timestamps: Bool = False
    details: Annotated[Bool, Since("1.30")] = True


class NodeListQuery(Query):
    """Query of GET /nodes."""

    filters: NodeFilters | None = None


class NodeUpdateQuery(Query):
    """Query of POST /nodes/{id}/update."""

    version: Int


class NodeRemoveQuery(Query):
    """Query of DELETE /nodes/{id}."""

    force: Bool | None = None


class SwarmUpdateQuery(Query):
    """Query of POST /swarm/update."""

    version: Int
    rotate_worker_token: Bool | None = None
    rotate_manager_token: Bool | None = None
    rotate_manager_unlock_key: Annotated[Bool | None, Since("1.25")] = None


class SwarmLeaveQuery(Query):
    """Query of POST /swarm/leave."""

    force: Bool | None = None


class SecretListQuery(Query):
    """Query of GET /secrets."""

    filters: SecretFilters | None = None


class SecretUpdateQuery(Query):
    """Query of POST /secrets/{id}/update."""

    version: Int


class ConfigListQuery(Query):
    """Query of GET /configs."""

    filters: ConfigFilters | None = None


class ConfigUpdateQuery(Query):
    """Query of POST /configs/{id}/update."""

    version: Int


class NetworkListQuery(Query):
    """Query of GET /networks."""

    filters: NetworkFilters | None = None


class NetworkInspectQuery(Query):
    """Query of GET /networks/{id}."""

    verbose: Annotated[Bool | None, Since("1.28")] = None
    scope: Annotated[str | None, Since("1.31")] = None


class NetworkPruneQuery(Query):
    """Query of POST /networks/prune."""

    filters: NetworkPruneFilters | None = None


class EventsQuery(Query):
    """Query of GET /events."""

    since: str | None = None
    until: str | None = None
    filters: EventFilters | None = None
