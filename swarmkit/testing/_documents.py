"""The routes of secrets and configs, which differ in little.

Owns: their sizes, and that nobody removes one that is in use. Must not know: who reads them.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Final

from ..models.config import ConfigSpec
from ..models.secret import SecretSpec
from ._call import Call, Response, answer, find, has_labels, nothing, nowhere
from ._store import Entity, Json, Refusal, Store, items, rpc

_NAME: Final = re.compile(r"[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?")
_ALLOWED: Final = "only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]"
_MESSAGE_LIMIT: Final = 4_194_304


class Documents:
    """The secrets, or the configs, of the swarm."""

    def __init__(self, store: Store, kind: str) -> None:
        self._store = store
        self._kind = kind
        self._is_secret = kind == "secret"
        self._model = SecretSpec if self._is_secret else ConfigSpec
        self._known: dict[str, Entity] = store.secrets if self._is_secret else store.configs

    def route(self, call: Call, parts: Sequence[str]) -> Response:
        """The answer to a request about them."""
        match call.method, *parts:
            case ("GET",):
                filters = call.filters("id", "name", "label", *(["names"] if self._is_secret else []))
                return answer(200, [self._show(one) for one in self._known.values() if _passes(one, filters)])
            case "POST", "create":
                return self._create(call)
            case "GET", name:
                return answer(200, self._show(self._find(name)))
            case "DELETE", name:
                return self._remove(self._find(name))
            case "POST", name, "update":
                return self._update(call, name)
            case _:
                raise nowhere()

    def _find(self, name: str) -> Entity:
        return find(self._known, name, self._kind, lambda one: one.name)

    def _show(self, one: Entity) -> Json:
        return {**one.head(), "Spec": {k: v for k, v in one.spec.items() if k != "Data" or not self._is_secret}}

    def _create(self, call: Call) -> Response:
        kind = self._kind
        spec = call.reader.read(call.request.body, self._model)
        if "Templating" in spec and call.version < (1, 37):
            raise Refusal(400, f"{kind} templating is not supported by API versions older than 1.37")
        name = str(spec.get("Name", ""))
        if not name:
            raise rpc("InvalidArgument", "name must be provided")
        if len(name) > 64 or not _NAME.fullmatch(name):
            raise rpc("InvalidArgument", f"invalid name, {_ALLOWED}")
        size = len(b64decode(spec.get("Data", "")))
        if size > _MESSAGE_LIMIT:
            raise rpc("ResourceExhausted", f"grpc: received message larger than max ({size} vs. {_MESSAGE_LIMIT})")
        limit = 512_000 if self._is_secret else 1_024_000
        if "Driver" not in spec and not 0 < size < limit:
            raise rpc("InvalidArgument", f"{kind} data must be larger than 0 and less than {limit} bytes")
        if any(other.name.lower() == name.lower() for other in self._known.values()):
            raise rpc("AlreadyExists", f"{kind} {name} already exists")
        one = Entity(id=self._store.new_id(), spec={"Name": name, **spec, "Labels": spec.get("Labels", {})})
        self._known[one.id] = one
        self._store.touch(one)
        self._store.emit(kind, "create", one.id, {"name": name})
        return answer(201, {"ID": one.id})

    def _update(self, call: Call, name: str) -> Response:
        version = call.version_of(self._kind)
        spec = call.reader.read(call.request.body, self._model)
        one = self._find(name)
        if spec.get("Name", "") != one.name or spec.get("Data", one.spec.get("Data")) != one.spec.get("Data"):
            raise rpc("InvalidArgument", "only updates to Labels are allowed")
        if version != one.index:
            raise rpc("Unknown", "update out of sequence")
        one.spec = {**one.spec, "Labels": spec.get("Labels", {})}
        self._store.touch(one)
        self._store.emit(self._kind, "update", one.id, {"name": one.name})
        return nothing()

    def _remove(self, one: Entity) -> Response:
        key = self._kind.capitalize()
        users = [
            service.name
            for service in self._store.services.values()
            if one.id in (ref[f"{key}ID"] for ref in items(service.template, "ContainerSpec", f"{key}s"))
        ]
        if users:
            many = "services" if len(users) > 1 else "service"
            message = f"{self._kind} '{one.name}' is in use by the following {many}: {', '.join(users)}"
            raise rpc("InvalidArgument", message)
        del self._known[one.id]
        self._store.index += 1
        self._store.emit(self._kind, "remove", one.id, {"name": one.name})
        return nothing(204)


def _passes(one: Entity, filters: Mapping[str, list[str]]) -> bool:
    """Whether one is in a list: here names and ids are alternatives too, and names are the same in any case."""
    name = one.name.lower()
    wanted = [name == text.lower() for text in filters.get("names", [])]
    wanted += [name.startswith(text.lower()) for text in filters.get("name", [])]
    wanted += [one.id.startswith(text) for text in filters.get("id", [])]
    return (any(wanted) or not wanted) and has_labels(one.labels, filters.get("label"))
