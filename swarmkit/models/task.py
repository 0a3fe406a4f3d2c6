"""The task template (what to run and where), its parts, and the tasks that the manager makes of it."""

from typing import Annotated, Literal

from pydantic import Field

from ..versions import Since
from ._wire import Bool, Duration, Int, LowerCaseModel, Timestamp, WireModel
from .common import Driver, GenericResource, ObjectVersion, Platform, SwarmObject
from .container import ContainerSpec
from .endpoint import PortConfig
from .network import NetworkAttachment, NetworkAttachmentConfig

TaskState = (
    Literal["new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running",
            "complete", "shutdown", "failed", "rejected", "remove", "orphaned"] | str
)  # fmt: skip
"""States of a task, in the order in which it goes through them."""


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


class PluginPrivilege(LowerCaseModel):
    """A privilege that a plugin is granted."""

    name: str | None = None
    """What is granted."""
    description: str | None = None
    """What it is for."""
    value: list[str] | None = None
    """To which things."""


class PluginSpec(LowerCaseModel):
    """A plugin that a task installs, on experimental engines."""

    name: str | None = None
    """Name for the plugin."""
    remote: str | None = None
    """Where it is pulled from."""
    privileges: list[PluginPrivilege] | None = None
    """Privileges it is granted."""
    disabled: Bool | None = None
    """Install it without enabling it."""
    env: Annotated[list[str] | None, Since("1.41"), Field(repr=False)] = None
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


class PortStatus(WireModel):
    """The ports that a task publishes on its own node."""

    ports: list[PortConfig] | None = None
    """The ports, those chosen by the engine included."""


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
    port_status: PortStatus | None = None
    """Ports published on the node (publish mode host)."""


class VolumeAttachment(WireModel):
    """A cluster volume that a task uses."""

    id: str | None = None
    """Id of the volume."""
    source: str | None = None
    """The source that the mount names."""
    target: str | None = None
    """Where the task finds it."""


class Task(SwarmObject):
    """One task of a service, as the manager sees it."""

    spec: TaskTemplate
    """The task template it was made from."""
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
    networks_attachments: list[NetworkAttachment] | None = None
    """Networks it is on, with its addresses there."""
    generic_resources: list[GenericResource] | None = None
    """The units of generic resources it was given."""
    volumes: list[VolumeAttachment] | None = None
    """Cluster volumes it uses."""

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
