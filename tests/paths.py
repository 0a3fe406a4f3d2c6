"""Which model stands for which body, and a walk over a model's fields, for what compares them with Docker's API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

import swarmkit
from swarmkit.models import filters
from swarmkit.models._wire import WireModel
from swarmkit.models.filters import Query
from swarmkit.versions import Since

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

REQUESTS: dict[str, type[WireModel]] = {
    "POST /services/create": swarmkit.ServiceSpec,
    "POST /nodes/{id}/update": swarmkit.NodeSpec,
    "POST /swarm/init": swarmkit.SwarmInitRequest,
    "POST /swarm/join": swarmkit.SwarmJoinRequest,
    "POST /swarm/update": swarmkit.SwarmSpec,
    "POST /swarm/unlock": swarmkit.SwarmUnlockKey,
    "POST /secrets/create": swarmkit.SecretSpec,
    "POST /configs/create": swarmkit.ConfigSpec,
    "POST /networks/create": swarmkit.NetworkCreateRequest,
    "POST /networks/{id}/connect": swarmkit.NetworkConnectRequest,
    "POST /networks/{id}/disconnect": swarmkit.NetworkDisconnectRequest,
}
RESPONSES: dict[str, type[WireModel]] = {
    "POST /services/create 201": swarmkit.ServiceCreated,
    "POST /services/{id}/update 200": swarmkit.ServiceUpdated,
    "GET /services/{id}": swarmkit.Service,
    "GET /tasks/{id}": swarmkit.Task,
    "GET /nodes/{id}": swarmkit.Node,
    "GET /swarm": swarmkit.Swarm,
    "GET /swarm/unlockkey": swarmkit.SwarmUnlockKey,
    "POST /secrets/create 201": swarmkit.SecretCreated,
    "GET /secrets/{id}": swarmkit.Secret,
    "POST /configs/create 201": swarmkit.ConfigCreated,
    "GET /configs/{id}": swarmkit.Config,
    "POST /networks/create 201": swarmkit.NetworkCreated,
    "GET /networks/{id}": swarmkit.Network,
    "POST /networks/prune 200": swarmkit.NetworksPruned,
    "GET /events": swarmkit.Event,
    "GET /info": swarmkit.SystemInfo,
    "GET /version": swarmkit.SystemVersion,
    "GET /distribution/{name}/json": swarmkit.DistributionInspect,
}
QUERIES: dict[str, type[Query]] = {
    "GET /services": filters.ServiceListQuery,
    "GET /services/{id}": filters.ServiceInspectQuery,
    "POST /services/{id}/update": filters.ServiceUpdateQuery,
    "GET /services/{id}/logs": filters.LogsQuery,
    "GET /tasks": filters.TaskListQuery,
    "GET /tasks/{id}/logs": filters.LogsQuery,
    "GET /nodes": filters.NodeListQuery,
    "DELETE /nodes/{id}": filters.NodeRemoveQuery,
    "POST /nodes/{id}/update": filters.NodeUpdateQuery,
    "POST /swarm/update": filters.SwarmUpdateQuery,
    "POST /swarm/leave": filters.SwarmLeaveQuery,
    "GET /secrets": filters.SecretListQuery,
    "POST /secrets/{id}/update": filters.SecretUpdateQuery,
    "GET /configs": filters.ConfigListQuery,
    "POST /configs/{id}/update": filters.ConfigUpdateQuery,
    "GET /networks": filters.NetworkListQuery,
    "GET /networks/{id}": filters.NetworkInspectQuery,
    "POST /networks/prune": filters.NetworkPruneQuery,
    "GET /events": filters.EventsQuery,
}

DATA = Path(__file__).parent / "data"


def data(name: str) -> Any:
    """What a file of facts about Docker's API says."""
    return json.loads((DATA / name).read_text())


def fields_below(model: type[WireModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every field below a model with its wire path, `[]` behind lists and `{}` behind mappings."""
    model.model_rebuild()  # before it is built, pydantic 2.11 knows no alias
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        yield path, field
        for suffix, child in models_in(field.annotation):
            yield from fields_below(child, f"{path}{suffix}.")


def marks_below(model: type[WireModel]) -> Iterator[tuple[str, Since]]:
    """Every mark below a model with the wire path of its field."""
    for path, field in fields_below(model):
        yield from ((path, mark) for mark in field.metadata if isinstance(mark, Since))


def models_in(annotation: Any, suffix: str = "") -> Iterator[tuple[str, type[WireModel]]]:
    """The models a value of this type may be or hold."""
    if isinstance(annotation, type) and issubclass(annotation, WireModel):
        yield suffix, annotation
    inner = suffix + {list: "[]", dict: "{}"}.get(cast("Any", get_origin(annotation)), "")
    for argument in get_args(annotation):
        yield from models_in(argument, inner)


def models_below(model: type[WireModel]) -> set[type[WireModel]]:
    """The model and every model below it."""
    found = {model}
    for _, field in fields_below(model):
        found.update(child for _, child in models_in(field.annotation))
    return found
