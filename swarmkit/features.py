"""What a request needs of the API version it is sent under, read off the `Since` marks of its models.

Pure. Walks any wire model; knows no one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, cast, get_args, get_origin

from .errors import Problem, UnsupportedFeature
from .models._wire import WireModel
from .versions import ANYTHING, NEWEST, ApiVersion, Release, Since


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The engine that gets a request, as far as it is known, and the API version to speak with it."""

    version: ApiVersion
    """The API version in use."""
    maximum: ApiVersion | None = None
    """The engine's newest one; None while a pinned client has not heard from it."""
    release: Release | None = None
    """The engine's release, where it said."""
    pinned: bool = False
    """The version is the user's choice."""


class _Need(NamedTuple):
    path: str
    mark: Since


def check(models: tuple[WireModel | None, ...], endpoint: Endpoint) -> ApiVersion:
    """The API version under which these outgoing models lose nothing at that engine.

    It is the endpoint's, except where a model holds what this package is too old to know: an engine strips what the
    version of a request lacks, so such a request goes out at the engine's own maximum.

    Raises:
        UnsupportedFeature: with every violation of all the models.
    """
    outgoing = [model for model in models if model is not None]
    beyond = endpoint.maximum is not None and endpoint.maximum > NEWEST
    unknown = [path for model in outgoing for path, *_ in extras(model)] if beyond else []
    version = endpoint.version
    if beyond and not endpoint.pinned and endpoint.maximum is not None:
        newer = any(need.mark.version > version for model in outgoing for need in _needs(model, ""))
        if unknown or newer:
            version = endpoint.maximum
        unknown = []
    problems = [
        Problem(need.path, f"needs {missing}")
        for model in outgoing
        for need in _needs(model, "")
        if (missing := _missing(need.mark, version, endpoint.release))
    ]
    problems += [Problem(path, f"is newer than API {NEWEST}, the newest known here") for path in unknown]
    if problems:
        raise UnsupportedFeature(problems, version)
    return version


def depend_on_engine(models: tuple[WireModel | None, ...]) -> bool:
    """Whether to judge these models more has to be known of the engine than the API version it is spoken to in."""
    outgoing = [model for model in models if model is not None]
    return any(
        any(extras(model)) or any(need.mark.release is not None for need in _needs(model, "")) for model in outgoing
    )


def too_old(what: str, since: ApiVersion, endpoint: Endpoint) -> UnsupportedFeature:
    """The error for an operation that the version in use does not have at all."""
    return UnsupportedFeature([Problem(what, f"needs API {since}")], endpoint.version)


def _missing(mark: Since, version: ApiVersion, release: Release | None) -> str:
    if version < mark.version:
        return f"API {mark.version}"
    if mark.release is not None and release is not None and release < mark.release:
        return "engine " + ".".join(map(str, mark.release))
    return ""


def _needs(model: WireModel, prefix: str) -> Iterator[_Need]:
    """Every mark below the model that applies to the values it holds, with its path in Docker's keys."""
    fields = model.__dict__
    for name, key, marks in _fields(type(model)):
        value = fields[name]
        if value is None or name not in model.model_fields_set:
            continue
        path = prefix + key
        for mark in marks:
            if applies(mark, value):
                yield _Need(path if mark.value is ANYTHING else f"{path}={mark.value}", mark)
        for where, child in _children(value):
            yield from _needs(child, f"{path}{where}.")


class Extra(NamedTuple):
    """A key that no field of its model has."""

    path: str
    model: type[WireModel]
    key: str
    value: object


def extras(model: WireModel, prefix: str = "") -> Iterator[Extra]:
    """Every key below the model that no field has."""
    for key, value in (model.__pydantic_extra__ or {}).items():
        yield Extra(prefix + key, type(model), key, value)
    for path, part in parts(model, prefix):
        yield from extras(part, f"{path}.")


def parts(model: WireModel, prefix: str = "") -> Iterator[tuple[str, WireModel]]:
    """The models that a model holds, each with its path in Docker's keys."""
    for name, key, _ in holders(type(model)):
        for where, child in _children(model.__dict__[name]):
            yield f"{prefix}{key}{where}", child


def _children(value: object) -> Iterator[tuple[str, WireModel]]:
    return ((where, one) for where, one in members(value) if isinstance(one, WireModel))


def members(value: object) -> Iterator[tuple[str, object]]:
    """Each item of a list, or the value itself, with what stands for it in a path."""
    if isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield f"[{index}]", item
    elif value is not None:
        yield "", value


class Holder(NamedTuple):
    """A field that holds one model or a list of them."""

    name: str
    key: str
    models: tuple[type[WireModel], ...]


@cache
def holders(model: type[WireModel]) -> tuple[Holder, ...]:
    """The fields of a model that hold models."""
    return tuple(
        Holder(name, field.alias or name, models)
        for name, field in model.__pydantic_fields__.items()
        if (models := tuple(_models_in(field.annotation)))
    )


def _models_in(annotation: object) -> Iterator[type[WireModel]]:
    if isinstance(annotation, type) and issubclass(annotation, WireModel):
        yield annotation
    elif get_origin(annotation) is not dict:
        for argument in get_args(annotation):
            yield from _models_in(argument)


@cache
def _fields(model: type[WireModel]) -> tuple[tuple[str, str, tuple[Since, ...]], ...]:
    return tuple(
        (name, field.alias or name, tuple(mark for mark in field.metadata if isinstance(mark, Since)))
        for name, field in model.__pydantic_fields__.items()
    )


def applies(mark: Since, value: object) -> bool:
    """Whether this value of a marked field asks the engine for something."""
    if mark.value is not ANYTHING:
        asked = cast("list[object]", value) if isinstance(value, list) else [value]
        return any(_folded(one) == _folded(mark.value) for one in asked)
    return value != mark.idle and (mark.presence or _does_something(value))


def _folded(value: object) -> object:
    """A word as engines read most of theirs: without regard to case."""
    return value.lower() if isinstance(value, str) else value


def _does_something(value: object) -> bool:
    if isinstance(value, WireModel):
        return any(map(_does_something, value.__dict__.values())) or any(
            map(_does_something, (value.__pydantic_extra__ or {}).values())
        )
    return bool(value)
