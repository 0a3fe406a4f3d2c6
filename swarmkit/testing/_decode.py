"""Request bodies as an engine of some release reads them: by its own types, and without what it does not know.

A key that is newer than the engine is unknown to it and dropped; a key newer than the version of the request is taken
out again. Which those are, the `Since` marks of the models say. Neither is an error: that is the point.
Owns: that, Go's messages about wrong JSON, and which values engines leave out or fill in.
Must not know: what a body is for.
"""

from __future__ import annotations

import json
import types
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

from ..features import applies
from ..models._wire import WireModel, wire_keys
from ..versions import ANYTHING, ApiVersion, Since
from ._store import Json, Refusal

_FIRST_STRIPPED: Final = ApiVersion(1, 40)
"""What is older than this, engines keep at every version of a request."""
_KEPT: Final = {"NonRecursive", "Subpath"}
"""Newer keys that engines keep at every version of a request all the same."""
_NEVER: Final = {
    "Consistency", "ImageOptions", "ClusterOptions", "CreateMountpoint", "ReadOnlyNonRecursive",
    "ReadOnlyForceRecursive",
}  # fmt: skip
"""Keys that engines read and never store, in services."""
_ZERO_COUNTS: Final[Mapping[str, frozenset[str]]] = {
    "RestartPolicy": frozenset({"Delay", "Window", "MaxAttempts"}),
    "Replicated": frozenset({"Replicas"}),
    "ReplicatedJob": frozenset({"MaxConcurrent", "TotalCompletions"}),
    "ContainerSpec": frozenset({"StopGracePeriod", "Init"}),
    "Resources": frozenset({"SwapBytes", "MemorySwappiness"}),
    "NetworkCreateRequest": frozenset({"EnableIPv4"}),
    "OrchestrationConfig": frozenset({"TaskHistoryRetentionLimit"}),
}
"""Where a zero is something else than nothing."""
_WRITTEN_OUT: Final[Mapping[str, Json]] = {
    "TaskTemplate": {"ForceUpdate": 0},
    "UpdateConfig": {"Parallelism": 0, "FailureAction": "pause", "MaxFailureRatio": 0, "Order": "stop-first"},
    "RollbackConfig": {"Parallelism": 0, "FailureAction": "pause", "MaxFailureRatio": 0, "Order": "stop-first"},
    "RestartPolicy": {"Condition": "any", "MaxAttempts": 0},
    "SecretReferenceFile": {"Name": "", "UID": "", "GID": "", "Mode": 0},
    "ConfigReferenceFile": {"Name": "", "UID": "", "GID": "", "Mode": 0},
    "SecretReference": {"SecretID": "", "SecretName": ""},
    "ConfigReference": {"ConfigID": "", "ConfigName": ""},
    "Ulimit": {"Name": "", "Hard": 0, "Soft": 0},
    "CredentialSpec": {"Config": "", "File": "", "Registry": ""},
    "SELinuxContext": {"Disable": False, "User": "", "Role": "", "Type": "", "Level": ""},
    "Privileges": {"CredentialSpec": None, "SELinuxContext": None},
    "SpreadOver": {"SpreadDescriptor": ""},
    "SeccompOpts": {"Mode": "default"},
    "AppArmorOpts": {"Mode": "default"},
    "Mount": {"Type": "bind"},
}
"""What engines show also where it was not said, as long as what it is part of was."""
_UNSIGNED: Final = {
    "Replicas": "uint64", "MaxConcurrent": "uint64", "TotalCompletions": "uint64", "Parallelism": "uint64",
    "MaxAttempts": "uint64", "ForceUpdate": "uint64", "MaxReplicas": "uint64", "TargetPort": "uint32",
    "PublishedPort": "uint32",
}  # fmt: skip
_GO_NAMES: Final = {
    "Replicated": "ReplicatedService", "Global": "GlobalService", "TaskTemplate": "TaskSpec", "Limits": "Limit",
    "Reservations": "Resources", "Resources": "ResourceRequirements", "Healthcheck": "HealthConfig",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reader:
    """How bodies are read: by which engine, in a request of which version."""

    engine: ApiVersion
    request: ApiVersion

    def json(self, body: bytes, model: type[WireModel]) -> object:
        """The JSON of a body that is to become this model."""
        if not body:
            if self.engine < (1, 42):
                raise Refusal(400, "got EOF while reading request body")
            return Json()
        try:
            value: object = json.loads(body)
        except ValueError as error:
            raise self.wrong(_as_go_says(error)) from None
        if not isinstance(value, dict | None):
            raise self.wrong(f"json: cannot unmarshal {_kind(value)} into Go value of type {self._root(model)}")
        return cast("Json | None", value) or Json()

    def wrong(self, said: str) -> Refusal:
        """The refusal of JSON that cannot be read."""
        return Refusal(400, said if self.engine < (1, 42) else f"invalid JSON: {said}")

    def plain(self, body: bytes) -> Json:
        """The object in a body that has no model, under the keys that were sent."""
        value = self.json(body, WireModel)
        assert isinstance(value, dict)
        return cast("Json", value)

    def read(self, body: bytes, model: type[WireModel]) -> Json:
        """What an engine keeps of a body."""
        return self._object(self.json(body, model), model, _Path(model.__name__))

    def _root(self, model: type[WireModel]) -> str:
        legacy = model.__name__ == "ServiceSpec" and self.engine >= (1, 54)
        return "swarm.serviceWithLegacy" if legacy else f"swarm.{model.__name__}"

    # --- values ------------------------------------------------------------------------------------------------------

    def _object(self, value: object, model: type[WireModel], path: _Path) -> Json:
        if not isinstance(value, dict):
            raise self._mismatch(value, path, _go_type(model, path.key))
        known, fields = wire_keys(model), _fields(model)  # in this order: the first builds the model
        kept: Json = {}
        for key, item in cast("dict[str, object]", value).items():
            field = fields.get(known.get(key.lower(), ""))
            if field is None or item is None or not self._knows(field):
                continue
            read = self._value(item, field.type, path.down(field.key, model))
            if field.key not in _NEVER and not self._strips(field, read):
                kept[field.key] = read
        counts = _ZERO_COUNTS.get(model.__name__, frozenset())
        objects = {field.key for field in fields.values() if _is_model(field.type)}
        kept = {key: item for key, item in kept.items() if item or key in objects or key in counts}
        filled = dict(_WRITTEN_OUT.get(model.__name__, {}))
        if model.__name__ == "Privileges" and self.engine >= (1, 44):
            filled["NoNewPrivileges"] = False
        return {**filled, **kept}

    def _value(self, value: object, kind: Any, path: _Path) -> Any:
        origin = get_origin(kind)
        if origin is list:
            if not isinstance(value, list):
                raise self._mismatch(value, path, f"[]{_go_type(get_args(kind)[0], path.key)}")
            items = (self._value(item, get_args(kind)[0], path) for item in cast("list[object]", value))
            return list(items)
        if origin is dict:
            if not isinstance(value, dict):
                raise self._mismatch(value, path, "map[string]string")
            pairs = cast("dict[str, object]", value).items()
            return {key: self._value(item, get_args(kind)[1], path) for key, item in pairs if item is not None}
        if _is_model(kind):
            return self._object(value, kind, path)
        return self._scalar(value, kind, path)

    def _scalar(self, value: object, kind: Any, path: _Path) -> Any:
        go_type = _go_type(kind, path.key)
        if kind in (int, timedelta):
            least = 0 if go_type.startswith("u") else -(1 << 63)
            most = {"uint64": 1 << 64, "uint32": 1 << 32}.get(go_type, 1 << 63)
            good = isinstance(value, int) and not isinstance(value, bool) and least <= value < most
        elif kind is float:
            good = isinstance(value, int | float) and not isinstance(value, bool)
        elif kind is bool:
            good = isinstance(value, bool)
        else:
            good = isinstance(value, str)
        if not good:
            raise self._mismatch(value, path, go_type)
        if kind is bytes:
            try:
                b64decode(cast("str", value), validate=True)
            except (Base64Error, ValueError):
                raise self._bad_base64(path) from None
        return value

    # --- what is dropped ---------------------------------------------------------------------------------------------

    def _knows(self, field: _Field) -> bool:
        return all(mark.value is not ANYTHING or mark.version <= self.engine for mark in field.marks)

    def _strips(self, field: _Field, value: object) -> bool:
        """Whether it is newer than the version of the request, and taken out for that."""
        return field.key not in _KEPT and any(
            mark.value is ANYTHING
            and self.request < mark.version
            and mark.version >= _FIRST_STRIPPED
            and (mark.presence or applies(mark, value))
            for mark in field.marks
        )

    # --- what is said ------------------------------------------------------------------------------------------------

    def _mismatch(self, value: object, path: _Path, go_type: str) -> Refusal:
        owner, keys = path.owner, path.keys
        if self.engine >= (1, 51):  # built with a Go that names the outermost type
            owner = path.root if self.engine < (1, 54) or path.root != "ServiceSpec" else "serviceWithLegacy"
        field = f"{_GO_NAMES.get(owner, owner)}.{'.'.join(keys)}"
        return self.wrong(f"json: cannot unmarshal {_kind(value)} into Go struct field {field} of type {go_type}")

    def _bad_base64(self, path: _Path) -> Refusal:
        said = "illegal base64 data at input byte 0"
        if self.engine >= (1, 51):
            field = f"{path.root}.{'.'.join(path.keys)}"
            said = f"json: cannot unmarshal string into Go struct field {field} of type []uint8: {said}"
        return self.wrong(said)


@dataclass(frozen=True, slots=True)
class _Path:
    root: str
    keys: tuple[str, ...] = ()
    owner: str = ""

    def down(self, key: str, model: type[WireModel]) -> _Path:
        return _Path(self.root, (*self.keys, key), model.__name__)

    @property
    def key(self) -> str:
        return self.keys[-1] if self.keys else ""


@dataclass(frozen=True, slots=True)
class _Field:
    key: str
    type: Any
    marks: tuple[Since, ...]


@cache
def _fields(model: type[WireModel]) -> dict[str, _Field]:
    return {
        name: _Field(
            info.alias or name,
            _bare(info.annotation),
            tuple(mark for mark in info.metadata if isinstance(mark, Since)),
        )
        for name, info in model.model_fields.items()
    }


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, WireModel)


def _bare(kind: Any) -> Any:
    """A field's type without None, Annotated, and the names of its known values."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _bare(get_args(kind)[0])
    if origin in (Union, types.UnionType):
        return _bare(next(one for one in get_args(kind) if one is not type(None)))
    if origin is Literal:
        return str
    if origin is list:
        return list[_bare(get_args(kind)[0])]  # type: ignore[misc]
    return kind


def _go_type(kind: Any, key: str) -> str:
    if kind is int:
        return _UNSIGNED.get(key, "int64")
    names: dict[Any, str] = {
        timedelta: "time.Duration", float: "float32", bool: "bool", bytes: "[]uint8", str: "string",
    }  # fmt: skip
    if kind in names:
        return names[kind]
    name = getattr(kind, "__name__", "")
    return f"swarm.{_GO_NAMES.get(name, name)}"


def _kind(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return f"number {value}"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _as_go_says(error: ValueError) -> str:
    """Go's words for JSON that is broken."""
    if isinstance(error, json.JSONDecodeError) and error.pos < len(error.doc.rstrip()):
        return f"invalid character {error.doc[error.pos]!r} looking for beginning of value"
    return "unexpected EOF"
