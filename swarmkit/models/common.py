"""What the objects of a swarm have in common, and the small parts that several of them hold."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import Field

from ._wire import Int, Timestamp, WireModel

_MODE: Final = re.compile(r"0o?[0-7]+")


class ObjectVersion(WireModel):
    """The version index of an object: it grows with every change of the object, by the user or by the manager."""

    index: Int = 0
    """The index; an engine that leaves it out means 0."""


class SwarmObject(WireModel):
    """What the managers note of every object they keep."""

    id: str
    """Its id."""
    version: ObjectVersion
    """Version index: an update says which one it is based on."""
    created_at: Timestamp = None
    """When it was made."""
    updated_at: Timestamp = None
    """When it last changed."""


class NamedGenericResource(WireModel):
    """One particular unit of a generic resource."""

    kind: str | None = None
    """Name of the resource, such as `GPU`."""
    value: str | None = None
    """Name of the unit."""


class DiscreteGenericResource(WireModel):
    """A number of units of a generic resource."""

    kind: str | None = None
    """Name of the resource, such as `SSD`."""
    value: Int | None = None
    """How many."""


class GenericResource(WireModel):
    """A resource that a node declares itself: one named unit, or a number of units."""

    named_resource_spec: NamedGenericResource | None = None
    """One particular unit."""
    discrete_resource_spec: DiscreteGenericResource | None = None
    """A number of units."""

    @classmethod
    def named(cls, kind: str, value: str) -> Self:
        """One particular unit of a resource."""
        return cls(named_resource_spec=NamedGenericResource(kind=kind, value=value))

    @classmethod
    def discrete(cls, kind: str, value: int) -> Self:
        """A number of units of a resource."""
        return cls(discrete_resource_spec=DiscreteGenericResource(kind=kind, value=value))


class Platform(WireModel):
    """An operating system and architecture."""

    architecture: str | None = None
    """Architecture, such as `amd64`; empty for any."""
    os: str | None = None
    """Operating system, such as `linux`; empty for any."""


class Driver(WireModel):
    """A log driver and its options."""

    name: str | None = None
    """Name of the driver, such as `json-file`."""
    options: Annotated[dict[str, str] | None, Field(repr=False)] = None
    """Options of the driver; may hold credentials, so never shown."""


def read_reference(text: str, kind: str) -> tuple[str, Mapping[str, Any]]:
    """The name and the options of a reference to a secret or config that is written as Docker's program takes it.

    Raises:
        ValueError: it is not.
    """
    if not {"=", ","}.intersection(text):
        text = f"source={text}"
    options: dict[str, Any] = {}
    for part in text.split(","):
        key, _, value = part.partition("=")
        key = "source" if key == "src" else key
        if key not in ("source", "target", "uid", "gid", "mode") or not value or key in options:
            raise ValueError(f"not a {kind} (expected 'source=NAME,target=FILE,uid=UID,gid=GID,mode=0400'): {text!r}")
        options[key] = value
    if "mode" in options:
        if not _MODE.fullmatch(options["mode"]):
            raise ValueError(f"the mode of a {kind} is written in octal, such as 0400: {text!r}")
        options["mode"] = int(options["mode"].replace("o", ""), 8)
    if "source" not in options:
        raise ValueError(f"which {kind} is missing (source=NAME): {text!r}")
    return options.pop("source"), options
