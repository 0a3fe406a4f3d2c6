"""What is read often, or by the hundred: little of all that an engine says about each object."""

from datetime import UTC, datetime
from typing import Final

from pydantic import ConfigDict

from ._wire import Int, Timestamp, WireModel
from .common import ObjectVersion

ROTATION_OF: Final = "docker-swarmkit.rotation.of"
"""The label of a secret or config that says which name it was rotated under."""


class _Glance(WireModel):
    """A part of an object; what is not read is not kept either, so this is never sent."""

    model_config = ConfigDict(extra="ignore")


class TaskStatusGlance(_Glance):
    """Where a task is."""

    state: str | None = None
    err: str | None = None


class TaskGlance(_Glance):
    """A task, as far as it tells about a rollout."""

    id: str
    created_at: Timestamp = None
    service_id: str = ""
    slot: Int | None = None
    node_id: str | None = None
    desired_state: str | None = None
    status: TaskStatusGlance | None = None
    job_iteration: ObjectVersion | None = None

    @property
    def state(self) -> str:
        """Where it is: `new` until an engine says more."""
        return (self.status and self.status.state) or "new"

    @property
    def error(self) -> str:
        """What went wrong; empty where nothing did."""
        return (self.status and self.status.err) or ""


class NodeStatusGlance(_Glance):
    """How a node is."""

    state: str | None = None


class NodeSpecGlance(_Glance):
    """What a node is there for."""

    availability: str | None = None


class NodeGlance(_Glance):
    """A node, as far as it tells about a rollout."""

    id: str
    spec: NodeSpecGlance
    status: NodeStatusGlance | None = None


class DocumentSpecGlance(_Glance):
    """What a secret or config is called."""

    name: str = ""
    labels: dict[str, str] | None = None


class DocumentGlance(_Glance):
    """A secret or config, as far as a service refers to it."""

    id: str
    created_at: Timestamp = None
    spec: DocumentSpecGlance

    @property
    def rotation_of(self) -> str:
        """The name that it was rotated under; empty where it was not."""
        return (self.spec.labels or {}).get(ROTATION_OF, "")

    def age(self) -> tuple[datetime, str]:
        """What sorts the oldest first."""
        return self.created_at or datetime.min.replace(tzinfo=UTC), self.id
