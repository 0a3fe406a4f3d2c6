"""Events: what happens on an engine and in its swarm."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from ._wire import Int, LowerCaseModel, WireModel

EventType = (
    Literal["builder", "config", "container", "daemon", "image", "network", "node", "plugin", "secret", "service",
            "volume"] | str
)  # fmt: skip


class EventActor(WireModel):
    """What an event is about."""

    id: str | None = None
    """Id of the object."""
    attributes: dict[str, str] | None = None
    """Its name, its labels, and what changed, as `updatestate.new`."""


class Event(LowerCaseModel):
    """Something that happened."""

    type: Annotated[EventType | None, Field(alias="Type")] = None
    """Kind of object."""
    action: Annotated[str | None, Field(alias="Action")] = None
    """What happened to it, such as `create`, `update` or `remove`."""
    actor: Annotated[EventActor | None, Field(alias="Actor")] = None
    """The object."""
    scope: Literal["local", "swarm"] | str | None = None
    """Whether all managers tell of it, or this engine alone."""
    time: Int | None = None
    """When, in seconds since 1970."""
    time_nano: Annotated[Int | None, Field(alias="timeNano")] = None
    """When, in nanoseconds since 1970."""
    status: str | None = None
    """`action` once more, on containers and images, up to API 1.51."""
    id: str | None = None
    """`actor.id` once more, on containers and images, up to API 1.51."""
    from_: Annotated[str | None, Field(alias="from")] = None
    """Image of the container, up to API 1.51."""

    @property
    def attributes(self) -> dict[str, str]:
        """Those of the object, such as its `name`; none where the engine sends none."""
        return {} if self.actor is None else self.actor.attributes or {}

    @property
    def at(self) -> datetime | None:
        """When, to the microsecond."""
        return None if self.time_nano is None else moment(self.time_nano)


def moment(nanoseconds: int) -> datetime:
    """The moment so long after the beginning of 1970, cut to the microsecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
