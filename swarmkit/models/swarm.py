"""The swarm itself: its settings, its tokens, and what it takes to start or join one."""

from typing import Annotated, Literal

from pydantic import Field

from ..versions import Since
from ._wire import Bool, Duration, Int, WireModel
from .common import Driver, SwarmObject
from .node import TLSInfo

Availability = Literal["active", "pause", "drain"]


class OrchestrationConfig(WireModel):
    """How tasks are looked after."""

    task_history_retention_limit: Int | None = None
    """How many ended tasks of a slot are kept to look at; engines default to 5."""


class RaftConfig(WireModel):
    """How managers keep their common log."""

    snapshot_interval: Int | None = None
    """Log entries from one snapshot to the next."""
    keep_old_snapshots: Int | None = None
    """Snapshots kept beside the newest."""
    log_entries_for_slow_followers: Int | None = None
    """Log entries kept after a snapshot for managers that are behind."""
    election_tick: Int | None = None
    """Ticks without word from the leader before an election; above `heartbeat_tick`. A tick is about a second."""
    heartbeat_tick: Int | None = None
    """Ticks from one word of the leader to the next."""


class DispatcherConfig(WireModel):
    """How managers and nodes keep in touch."""

    heartbeat_period: Duration | None = None
    """Time from one word of a node to the next; engines default to 5 s."""


class ExternalCA(WireModel):
    """A certificate authority outside the swarm."""

    protocol: Literal["cfssl"] | str | None = None
    """How it is spoken to."""
    url: str | None = None
    """Where it takes requests."""
    options: Annotated[dict[str, str] | None, Field(repr=False)] = None
    """Options of the protocol; may hold credentials, so never shown."""
    ca_cert: Annotated[str | None, Since("1.30")] = None
    """Root certificate it uses, as PEM."""


class CAConfig(WireModel):
    """How the swarm's certificates are made."""

    node_cert_expiry: Duration | None = None
    """How long a node's certificate is good; engines default to 90 days."""
    external_cas: list[ExternalCA] | None = None
    """Certificate authorities outside the swarm."""
    signing_ca_cert: Annotated[str | None, Since("1.30")] = None
    """Root certificate to go over to, as PEM."""
    signing_ca_key: Annotated[str | None, Since("1.30"), Field(repr=False)] = None
    """Private key of that certificate, as PEM; never shown, and never given back by engines."""
    force_rotate: Annotated[Int | None, Since("1.30")] = None
    """A counter: another number makes the managers make a new root certificate."""


class EncryptionConfig(WireModel):
    """How managers protect what they store."""

    auto_lock_managers: Annotated[Bool | None, Since("1.25")] = None
    """A manager that was restarted needs the unlock key."""


class TaskDefaults(WireModel):
    """What tasks get where their spec does not say."""

    log_driver: Driver | None = None
    """Log driver."""


class SwarmSpec(WireModel):
    """What a user says about a swarm."""

    name: str | None = None
    """Name; `default` always."""
    labels: dict[str, str] | None = None
    """Labels."""
    orchestration: OrchestrationConfig | None = None
    """How tasks are looked after."""
    raft: RaftConfig | None = None
    """How managers keep their common log."""
    dispatcher: DispatcherConfig | None = None
    """How managers and nodes keep in touch."""
    ca_config: CAConfig | None = None
    """How certificates are made."""
    task_defaults: TaskDefaults | None = None
    """What tasks would get where their spec does not say; engines take it and drop it."""
    encryption_config: EncryptionConfig | None = None
    """How managers protect what they store."""


class JoinTokens(WireModel):
    """What lets a node into the swarm. Never shown."""

    worker: Annotated[str | None, Field(repr=False)] = None
    """Joins as a worker."""
    manager: Annotated[str | None, Field(repr=False)] = None
    """Joins as a manager."""


class ClusterInfo(SwarmObject):
    """A swarm, as every manager tells it in its /info."""

    spec: SwarmSpec
    """What the user says about it."""
    tls_info: TLSInfo | None = None
    """What its certificates go back to."""
    root_rotation_in_progress: Bool | None = None
    """Its nodes are going over to another root certificate."""
    default_addr_pool: list[str] | None = None
    """Subnets from which overlay networks take theirs, such as `10.0.0.0/8`."""
    subnet_size: Int | None = None
    """Prefix length of those: 24 means 256 addresses a network."""
    data_path_port: Int | None = None
    """Port of the traffic between containers of overlay networks."""


class Swarm(ClusterInfo):
    """A swarm with the tokens that let nodes in."""

    join_tokens: JoinTokens | None = None
    """The tokens."""


class SwarmInitRequest(WireModel):
    """What it takes to start a swarm."""

    listen_addr: str | None = None
    """Address and port on which managers hear each other, such as `0.0.0.0:2377`."""
    advertise_addr: str | None = None
    """Address, or network interface, at which other nodes reach this one."""
    data_path_addr: Annotated[str | None, Since("1.30")] = None
    """Address or interface for the traffic between containers; `advertise_addr` by default."""
    data_path_port: Annotated[Int | None, Since("1.40")] = None
    """Port of that traffic, 1024 to 49151; 0 for the default, 4789."""
    default_addr_pool: Annotated[list[str] | None, Since("1.39")] = None
    """Subnets from which overlay networks take theirs."""
    subnet_size: Annotated[Int | None, Since("1.39")] = None
    """Prefix length of those; 0 for the default, 24."""
    force_new_cluster: Bool | None = None
    """Make this manager the only one of a swarm that has lost its quorum."""
    spec: SwarmSpec | None = None
    """Settings of the swarm."""
    auto_lock_managers: Annotated[Bool | None, Since("1.25")] = None
    """A manager that was restarted needs the unlock key."""
    availability: Annotated[Availability | str | None, Since("1.28", idle="active")] = None
    """Whether this node takes tasks."""


class SwarmJoinRequest(WireModel):
    """What it takes to join a swarm."""

    listen_addr: str | None = None
    """Address and port on which a manager hears the others, such as `0.0.0.0:2377`."""
    advertise_addr: str | None = None
    """Address, or network interface, at which other nodes reach this one."""
    data_path_addr: Annotated[str | None, Since("1.30")] = None
    """Address or interface for the traffic between containers; `advertise_addr` by default."""
    remote_addrs: list[str] | None = None
    """Addresses and ports of managers of the swarm."""
    join_token: Annotated[str | None, Field(repr=False)] = None
    """What lets it in, and says as what; never shown."""
    availability: Annotated[Availability | str | None, Since("1.28", idle="active")] = None
    """Whether this node takes tasks."""


class SwarmUnlockKey(WireModel):
    """The key that unlocks a manager that was restarted. Never shown."""

    unlock_key: Annotated[str | None, Field(repr=False)] = None
    """The key; empty where managers are not locked."""
