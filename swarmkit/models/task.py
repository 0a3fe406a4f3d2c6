"""The task template (what to run and where), its parts, and the tasks that the manager makes of it."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field

from ..versions import Since
from ._wire import Bool, Duration, Int, Timestamp, WireModel
from .container import ContainerSpec
from .network import NetworkAttachmentConfig

TaskState = (
    Literal["new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running",
            "complete", "shutdown", "failed", "rejected", "remove", "orphaned"] | str
)  # fmt: skip
"""States of a task, in the order in which it goes through them."""


class ObjectVersion(WireModel):
    """The version index of an object: it grows with every change of the object, by the user or by the manager."""

    index: Int = 0
    """The index; an engine that leaves it out means 0."""


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


class Limits(WireModel):
    """What a task may use at most."""

    nano_cpus: Int | None = None
    """Billionths of a CPU (see `cpus`), 0 for no limit, else at least 1,000,000."""
    memory_bytes: Int | None = None
    """Bytes (see `parse_bytes`), 0 for no limit, else at least 4 MiB."""
    pids: Annotated[Int | None, Since("1.41")] = None
    """Number of processes, 0 for no limit."""


class Reservations(WireModel):
    """What a node must have free for a task to run there."""

    nano_cpus: Int | None = None
    """Billionths of a CPU (see `cpus`)."""
    memory_bytes: Int | None = None
    """Bytes (see `parse_bytes`)."""
    generic_resources: Annotated[list[GenericResource] | None, Since("1.32")] = None
    """Resources that nodes declare themselves."""


class Resources(WireModel):
    """Limits and reservations of a task."""

    limits: Limits | None = None
    """What it may use at most."""
    reservations: Reservations | None = None
    """What a node must have free."""
    swap_bytes: Annotated[Int | None, Since("1.52", presence=True)] = None
    """Bytes of swap on top of memory, -1 for no limit; needs a memory limit."""
    memory_swappiness: Annotated[Int | None, Since("1.52", presence=True)] = None
    """How readily the kernel swaps it out, 0 to 100, -1 for the kernel's default."""


class RestartPolicy(WireModel):
    """What happens when a task ends."""

    condition: Literal["none", "on-failure", "any"] | str | None = None
    """When a new task takes its place; engines default to any."""
    delay: Duration | None = None
    """Time before the new task; engines default to 5 s."""
    max_attempts: Int | None = None
    """How often within `window`; 0, the default, for no limit."""
    window: Duration | None = None
    """Time over which attempts are counted; 0, the default, for all time."""


class SpreadOver(WireModel):
    """Spread tasks evenly over the values of a label."""

    spread_descriptor: str | None = None
    """The label, such as `node.labels.zone`."""


class PlacementPreference(WireModel):
    """A wish about where tasks run."""

    spread: SpreadOver | None = None
    """Spread over a label."""


class Platform(WireModel):
    """An operating system and architecture."""

    architecture: str | None = None
    """Architecture, such as `amd64`; empty for any."""
    os: str | None = None
    """Operating system, such as `linux`; empty for any."""


class Placement(WireModel):
    """The nodes on which tasks may run."""

    constraints: list[str] | None = None
    """Conditions on nodes, such as `node.role==worker`; all must hold."""
    preferences: Annotated[list[PlacementPreference] | None, Since("1.28")] = None
    """Wishes, the first one first."""
    max_replicas: Annotated[Int | None, Since("1.40")] = None
    """Most tasks of the service on one node, 0 for no limit."""
    platforms: Annotated[list[Platform] | None, Since("1.30")] = None
    """Platforms the image runs on; any where empty."""


class Driver(WireModel):
    """A log driver and its options."""

    name: str | None = None
    """Name of the driver, such as `json-file`."""
    options: Annotated[dict[str, str] | None, Field(repr=False)] = None
    """Options of the driver; may hold credentials, so never shown."""


class PluginPrivilege(WireModel):
    """A privilege that a plugin is granted."""

    name: Annotated[str | None, Field(alias="name")] = None
    """What is granted."""
    description: Annotated[str | None, Field(alias="description")] = None
    """What it is for."""
    value: Annotated[list[str] | None, Field(alias="value")] = None
    """To which things."""


class PluginSpec(WireModel):
    """A plugin that a task installs, on experimental engines. Its wire keys are lower case."""

    if not TYPE_CHECKING:  # type checkers would take it for a field
        __pydantic_extra__: dict[str, Any]

    name: Annotated[str | None, Field(alias="name")] = None
    """Name for the plugin."""
    remote: Annotated[str | None, Field(alias="remote")] = None
    """Where it is pulled from."""
    privileges: Annotated[list[PluginPrivilege] | None, Field(alias="privileges")] = None
    """Privileges it is granted."""
    disabled: Annotated[Bool | None, Field(alias="disabled")] = None
    """Install it without enabling it."""
    env: Annotated[list[str] | None, Since("1.41"), Field(alias="env", repr=False)] = None
    """Environment as `NAME=value`; may hold secrets, so never shown."""


class NetworkAttachmentSpec(WireModel):
    """The container that is attached to a network by a task of its own."""

    container_id: str | None = None
    """Id of the container."""


class TaskTemplate(WireModel):
    """What every task of a service runs, and where."""

    container_spec: ContainerSpec | None = None
    """The container."""
    plugin_spec: Annotated[PluginSpec | None, Since("1.31")] = None
    """The plugin, in place of a container."""
    network_attachment_spec: NetworkAttachmentSpec | None = None
    """Set by the engine on tasks that attach a container to a network."""
    resources: Resources | None = None
    """Limits and reservations."""
    restart_policy: RestartPolicy | None = None
    """What happens when a task ends."""
    placement: Placement | None = None
    """The nodes it may run on."""
    force_update: Annotated[Int | None, Since("1.25")] = None
    """A counter: another number makes the manager replace all tasks."""
    runtime: Annotated[Literal["container", "plugin"] | str | None, Since("1.30", idle="container")] = None
    """What kind of thing a task runs; engines default to container."""
    networks: Annotated[list[NetworkAttachmentConfig] | None, Since("1.25")] = None
    """Networks it joins."""
    log_driver: Driver | None = None
    """Log driver in place of the engine's default."""


class ContainerStatus(WireModel):
    """The container of a task."""

    container_id: str | None = None
    """Id of the container."""
    pid: Int | None = None
    """Process id of its first process on the node."""
    exit_code: Int | None = None
    """Exit status of that process, once it has ended."""


class TaskStatus(WireModel):
    """Where a task is."""

    timestamp: Timestamp = None
    """When it entered the state."""
    state: TaskState | None = None
    """The state."""
    message: str | None = None
    """What the engine says about it."""
    err: str | None = None
    """What went wrong."""
    container_status: ContainerStatus | None = None
    """The container, once there is one."""


class Task(WireModel):
    """One task of a service, as the manager sees it."""

    id: str
    """Id of the task."""
    version: ObjectVersion
    """Version index of the task."""
    spec: TaskTemplate
    """The task template it was made from."""
    created_at: Timestamp = None
    """When it was made."""
    updated_at: Timestamp = None
    """When it last changed."""
    name: str | None = None
    """Name; engines leave it empty and make one up where they show it."""
    labels: dict[str, str] | None = None
    """Labels of the service at the time."""
    service_id: str | None = None
    """Id of its service."""
    slot: Int | None = None
    """Its slot in a replicated service; absent in a global one."""
    node_id: str | None = None
    """Id of its node, once it is assigned."""
    status: TaskStatus | None = None
    """Where it is."""
    desired_state: TaskState | None = None
    """Where the manager wants it."""
    job_iteration: ObjectVersion | None = None
    """The iteration of its job; absent in services."""

    @property
    def state(self) -> str:
        """Where it is: `new` until an engine says more."""
        return (self.status and self.status.state) or "new"

    @property
    def error(self) -> str:
        """What went wrong; empty where nothing did."""
        return (self.status and self.status.err) or ""

    @property
    def message(self) -> str:
        """What the engine says about its state; may be empty."""
        return (self.status and self.status.message) or ""
