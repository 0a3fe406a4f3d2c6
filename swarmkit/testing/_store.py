"""What a manager of a swarm remembers: its objects, one index that counts every change, and the events of them.

Owns: ids, versions, times, and how an object looks on the wire. Must not know: why anything changes.
"""

from __future__ import annotations

import hashlib
import random
import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from ipaddress import ip_network
from typing import Any, Final, cast

from ..versions import ApiVersion
from ._clock import Timeline, Watched

Json = dict[str, Any]

_DIGITS: Final = string.digits + string.ascii_lowercase
_KEPT_EVENTS: Final = 256


class Refusal(Exception):
    """The engine says no, in these words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def part(json: Json, *keys: str) -> Json:
    """The object that lies below these keys; empty where there is none."""
    for key in keys:
        json = cast("Json | None", json.get(key)) or {}
    return json


def items(json: Json, *keys: str) -> list[Any]:
    """The list that lies below these keys; empty where there is none."""
    return cast("list[Any] | None", part(json, *keys[:-1]).get(keys[-1])) or []


_STATUSES: Final = {
    "InvalidArgument": 400, "FailedPrecondition": 400, "AlreadyExists": 409, "NotFound": 404, "Unimplemented": 501,
    "Unknown": 500, "ResourceExhausted": 500,
}  # fmt: skip


def rpc(code: str, message: str) -> Refusal:
    """What the manager's own API refuses, as the engine passes it on."""
    return Refusal(_STATUSES[code], f"rpc error: code = {code} desc = {message}")


class State(IntEnum):
    """The states of a task, in their order."""

    NEW = 0
    PENDING = 64
    ASSIGNED = 192
    ACCEPTED = 256
    PREPARING = 320
    READY = 384
    STARTING = 448
    RUNNING = 512
    COMPLETE = 576
    SHUTDOWN = 640
    FAILED = 704
    REJECTED = 768
    REMOVE = 800
    ORPHANED = 832

    @property
    def wire(self) -> str:
        """As the engine writes it."""
        return self.name.lower()


@dataclass(eq=False)
class Entity(Watched):
    """An object with a version."""

    id: str
    spec: Json
    index: int = 0
    created: int = 0
    updated: int = 0

    def head(self) -> Json:
        """How every object's JSON begins."""
        return {
            "ID": self.id,
            "Version": {"Index": self.index},
            "CreatedAt": timestamp(self.created),
            "UpdatedAt": timestamp(self.updated),
        }

    @property
    def name(self) -> str:
        """The name in its spec."""
        return str(self.spec.get("Name", ""))

    @property
    def labels(self) -> dict[str, str]:
        """The labels in its spec."""
        return part(self.spec, "Labels")


@dataclass(eq=False)
class Service(Entity):
    """A service."""

    spec_version: int = 0
    previous_spec: Json | None = None
    previous_version: int = 0
    auth: str | None = None
    previous_auth: str | None = None
    ports: list[Json] = field(default_factory=list[Json])
    vips: dict[str, str] = field(default_factory=dict[str, str])
    update_status: Json | None = None
    iteration: int | None = None
    last_execution: int = 0

    @property
    def template(self) -> Json:
        """The task template."""
        template: Json = self.spec["TaskTemplate"]
        return template

    @property
    def mode(self) -> str:
        """Which of the four modes it has."""
        return str(next(iter(self.spec["Mode"])))

    @property
    def is_job(self) -> bool:
        """Its tasks run to completion."""
        return self.mode in ("ReplicatedJob", "GlobalJob")

    @property
    def is_global(self) -> bool:
        """It has a task on each node."""
        return self.mode in ("Global", "GlobalJob")

    @property
    def update_state(self) -> str:
        """Where its update is; empty where there is none."""
        return str((self.update_status or {}).get("State", ""))

    def wire(self) -> Json:
        """The service as an engine shows it."""
        endpoint: Json = {"Spec": self.spec.get("EndpointSpec", {}) if self.ports or self.vips else {}}
        if self.ports:
            endpoint["Ports"] = self.ports
        if self.vips:
            endpoint["VirtualIPs"] = [{"NetworkID": net, "Addr": address} for net, address in self.vips.items()]
        body = {**self.head(), "Spec": self.spec}
        if self.previous_spec is not None:
            body["PreviousSpec"] = self.previous_spec
        body["Endpoint"] = endpoint
        if self.update_status is not None:
            body["UpdateStatus"] = self.update_status
        if self.iteration is not None:
            body["JobStatus"] = {
                "JobIteration": _version(self.iteration),
                "LastExecution": timestamp(self.last_execution),
            }
        return body


@dataclass(slots=True)
class LogEntry:
    """Bytes that a task wrote at once: a line, or a part of one that is too long."""

    when: int
    stream: int
    data: bytes
    details: str


@dataclass(eq=False)
class Task(Entity):
    """A task; its spec is the task template it was made from."""

    service_id: str = ""
    service: Service | None = None
    """The service at the time it was made; it may be gone."""
    spec_version: int = 0
    endpoint: Json | None = None
    slot: int = 0
    node_id: str = ""
    iteration: int | None = None
    state: State = State.NEW
    desired: State = State.RUNNING
    message: str = "created"
    err: str = ""
    since: int = 0
    container_id: str = ""
    pid: int = 0
    exit_code: int = 0
    addresses: dict[str, str] = field(default_factory=dict[str, str])
    logs: list[LogEntry] = field(default_factory=list[LogEntry])
    killed: int | None = None
    """The exit code with which it is to end, where someone killed it."""

    @property
    def has_ended(self) -> bool:
        """It does not run any more."""
        return self.state > State.RUNNING

    @property
    def goal(self) -> State:
        """What its desired state is while it should run."""
        return State.RUNNING if self.iteration is None else State.COMPLETE

    @property
    def is_wanted(self) -> bool:
        """It should run, or run later."""
        return self.desired <= self.goal

    @property
    def container(self) -> Json:
        """Its container spec."""
        return part(self.spec, "ContainerSpec")

    def wire(self, networks: dict[str, Network]) -> Json:
        """The task as an engine shows it."""
        status: Json = {"Timestamp": timestamp(self.since), "State": self.state.wire, "Message": self.message}
        if self.err:
            status["Err"] = self.err
        if self.container_id or self.state is State.REJECTED:
            status["ContainerStatus"] = {
                "ContainerID": self.container_id,
                "PID": 0 if self.has_ended else self.pid,
                "ExitCode": self.exit_code,
            }
        status["PortStatus"] = {}
        template = {key: value for key, value in self.spec.items() if key != "Runtime"}
        body = {**self.head(), "Labels": {}, "Spec": template, "ServiceID": self.service_id}
        if self.slot:
            body["Slot"] = self.slot
        if self.node_id:
            body["NodeID"] = self.node_id
        body |= {"Status": status, "DesiredState": self.desired.wire}
        if self.addresses:
            body["NetworksAttachments"] = [
                {"Network": networks[net].attachment(), "Addresses": [address] if address else None}
                for net, address in self.addresses.items()
                if net in networks
            ]
        if self.iteration is not None:
            body["JobIteration"] = _version(self.iteration)
        return {**body, "Volumes": None}


@dataclass(eq=False)
class Node(Entity):
    """A node of the swarm."""

    description: Json = field(default_factory=Json)
    state: str = "ready"
    message: str = ""
    address: str = "127.0.0.1"
    leader: bool = False
    reachable: bool = True
    """Whether it is alive; the managers find out later."""
    images: set[str] = field(default_factory=set[str])
    membership: str = "accepted"

    @property
    def is_invalid(self) -> bool:
        """Tasks cannot stay on it."""
        return self.state == "down" or self.spec["Availability"] == "drain"

    @property
    def hostname(self) -> str:
        """Its host name."""
        return str(self.description["Hostname"])

    def wire(self) -> Json:
        """The node as an engine shows it."""
        status: Json = {"State": self.state, "Addr": self.address}
        if self.message:
            status["Message"] = self.message
        body = {**self.head(), "Spec": self.spec, "Description": self.description, "Status": status}
        if self.spec["Role"] == "manager":
            reachability = "reachable" if self.state == "ready" else "unreachable"
            leader = {"Leader": True} if self.leader else {}
            body["ManagerStatus"] = {**leader, "Reachability": reachability, "Addr": f"{self.address}:2377"}
        return body


@dataclass(eq=False)
class Network(Entity):
    """A network: of the swarm (overlay), or one that every node has of itself."""

    scope: str = "swarm"
    driver: str = "overlay"
    ipam: list[Json] | None = None
    options: Json = field(default_factory=Json)
    next_address: int = 2

    def address(self) -> str:
        """The next address that is free; empty where the manager gives none."""
        if not self.ipam:
            return ""
        subnet = ip_network(self.ipam[0]["Subnet"], strict=False)
        address = subnet.network_address + self.next_address
        self.next_address += 1
        return f"{address}/{subnet.prefixlen}"

    def wire(self, *, ipv4: bool) -> Json:
        """The network as an engine shows it."""
        spec = self.spec
        local = self.scope == "local"
        return {
            "Name": self.name,
            "Id": self.id,
            "Created": timestamp(self.created),
            "Scope": self.scope,
            "Driver": self.driver,
            **({"EnableIPv4": spec.get("EnableIPv4", True)} if ipv4 else {}),
            "EnableIPv6": bool(spec.get("EnableIPv6")),
            "IPAM": {"Driver": "default", "Options": part(spec, "IPAM").get("Options"), "Config": self.ipam},
            "Internal": bool(spec.get("Internal")),
            "Attachable": bool(spec.get("Attachable")),
            "Ingress": bool(spec.get("Ingress")),
            "ConfigFrom": {"Network": "", **part(spec, "ConfigFrom")},
            "ConfigOnly": bool(spec.get("ConfigOnly")),
            "Containers": {} if local else None,
            "Options": self.options,
            "Labels": self.labels or ({} if local else None),
        }

    def attachment(self) -> Json:
        """The network as a task shows it."""
        ingress = {"Ingress": True} if self.spec.get("Ingress") else {}
        return {
            **self.head(),
            "Spec": {
                "Name": self.name,
                "Labels": self.labels,
                "DriverConfiguration": {"Name": self.driver} if not ingress else {},
                **ingress,
                "IPAMOptions": {"Driver": {}},
                "Scope": self.scope,
            },
            "DriverState": {"Name": self.driver, "Options": self.options},
            "IPAMOptions": {"Driver": {"Name": "default"}, "Configs": self.ipam or []},
        }


class Store:
    """All objects of the swarm."""

    def __init__(self, timeline: Timeline, version: ApiVersion, seed: int) -> None:
        self.timeline = timeline
        self.version = version
        """The engine's newest API version: what it can do."""
        self.random = random.Random(seed)
        self.index = 0
        self.services: dict[str, Service] = {}
        self.tasks: dict[str, Task] = {}
        self.nodes: dict[str, Node] = {}
        self.secrets: dict[str, Entity] = {}
        self.configs: dict[str, Entity] = {}
        self.networks: dict[str, Network] = {}
        self.events: list[Json] = []
        self.event_count = 0
        self.listeners: list[Callable[[], None]] = []
        """Called when there is an event or a log line."""
        self.observers: list[Callable[[Entity], None]] = []
        """Told about every object that was made or changed, and tasks that are gone."""
        self._of_service: dict[str, dict[str, Task]] = {}

    def now_text(self) -> str:
        """The present moment as engines write it."""
        return timestamp(self.timeline.wall_ns())

    def clock_ns(self) -> int:
        """What the engine's clock shows: no two events are of one microsecond, even where virtual time stands still."""
        return max(self.timeline.wall_ns(), self.events[-1]["timeNano"] + 1000 if self.events else 0)

    def new_id(self) -> str:
        """An id such as managers give."""
        return "".join(self.random.choices(_DIGITS, k=25))

    def new_task(self, service: Service, slot: int, node_id: str = "") -> Task:
        """A task of a service, made from its present spec; not in the store yet."""
        template = service.template
        task = Task(
            id=self.new_id(),
            spec=template,
            service_id=service.id,
            service=service,
            spec_version=service.spec_version,
            endpoint=service.spec.get("EndpointSpec"),
            slot=slot,
            node_id=node_id,
            iteration=service.iteration,
            since=self.timeline.wall_ns(),
        )
        published = any(port.get("PublishMode") == "ingress" for port in items(task.endpoint or {}, "Ports"))
        joined = [network["Target"] for network in items(template, "Networks")]
        if published:
            joined += [network.id for network in self.networks.values() if network.spec.get("Ingress")]
        task.addresses = {name: self.networks[name].address() for name in joined if name in self.networks}
        return task

    def container_id(self) -> str:
        """An id such as engines give to containers."""
        return hashlib.sha256(self.random.randbytes(16)).hexdigest()

    def touch(self, entity: Entity) -> None:
        """Note that an object is new or has changed."""
        self.index += 1
        entity.index = self.index
        entity.updated = self.timeline.wall_ns()
        entity.created = entity.created or entity.updated
        if isinstance(entity, Task):
            self.tasks[entity.id] = entity
            self._of_service.setdefault(entity.service_id, {})[entity.id] = entity
        entity.changed()
        for observer in self.observers:
            observer(entity)

    def move(self, task: Task, state: State, message: str, err: str = "") -> None:
        """Note the state that a task is in."""
        task.state, task.message, task.err = state, message, err
        task.since = self.timeline.wall_ns()
        self.touch(task)

    def desire(self, task: Task, state: State) -> None:
        """Note the state that a task should be in; it never goes back."""
        if task.desired < state:
            task.desired = state
            self.touch(task)

    def forget(self, task: Task) -> None:
        """Remove a task."""
        if self.tasks.pop(task.id, None) is not None:
            self.index += 1
            self._of_service[task.service_id].pop(task.id)
            task.desired = State.REMOVE
            task.changed()
            for observer in self.observers:
                observer(task)

    def tasks_of(self, service_id: str) -> list[Task]:
        """The tasks of a service, oldest first."""
        return list(self._of_service.get(service_id, {}).values())

    def tasks_on(self, node_id: str) -> Iterable[Task]:
        """The tasks that are on a node."""
        return [task for task in self.tasks.values() if task.node_id == node_id]

    def emit(self, kind: str, action: str, actor: str, attributes: dict[str, str], scope: str = "swarm") -> None:
        """Tell everyone who listens to events."""
        when = self.clock_ns()
        event = {"Type": kind, "Action": action, "Actor": {"ID": actor, "Attributes": attributes}, "scope": scope}
        self.events.append({**event, "time": when // 1_000_000_000, "timeNano": when})
        self.event_count += 1
        del self.events[:-_KEPT_EVENTS]
        self.tell()

    def tell(self) -> None:
        """Say that there is something for those who follow events or logs."""
        for listener in [*self.listeners]:
            listener()


def _version(index: int) -> Json:
    return {"Index": index} if index else {}


def timestamp(ns: int) -> str:
    """A moment as engines write it."""
    seconds, rest = divmod(ns, 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
