"""The embedded engine's one door: a request goes in, the answer of a manager comes out.

Pure: no I/O, no event loop, no clock but the agenda's. Owns: routes, versions of requests, headers, filters.
Must not know: what a manager does about its objects between requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qs, unquote

from ..models.node import NodeSpec
from ..versions import ApiVersion
from ._agent import Agents, task_name
from ._clock import Timeline
from ._decode import Reader
from ._orchestrate import Orchestrator
from ._schedule import Scheduler
from ._spec import read_spec, validate, with_defaults
from ._store import Entity, Json, Network, Node, Refusal, Service, State, Store, Task, items, part, rpc
from ._streams import EventStream, LogOptions, LogStream, Stream
from ._system import RELEASES, TLS, cluster, description, info, oldest_version, version_body
from ._update import is_dirty

_NO_MANAGER: Final = "This node is not a swarm manager. "
_STATES: Final = {
    "inactive": f'{_NO_MANAGER}Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try'
    " again.",
    "worker": f"{_NO_MANAGER}Worker nodes can't be used to view or modify cluster state. Please run this command on a"
    " manager node or promote the current node to a manager.",
    "locked": "Swarm is encrypted and needs to be unlocked before it can be used. Please use"
    ' "docker swarm unlock" to unlock it.',
}
_NO_LEADER: Final = (
    "The swarm does not have a leader. It's possible that too few managers are online."
    " Make sure more than half of the managers are online."
)
_SWARM_ROUTES: Final = ("services", "tasks", "nodes", "secrets", "configs", "swarm")
_STORED: Final = re.compile(r"(/v[\d.]+)?/(services|tasks|nodes)(/[^/]+)?")
"""Paths whose answers say what the store holds, and nothing of time or streams."""
_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")
_PORTS: Final = range(30000, 32768)
_SECRET_LIMIT: Final = 512_000
_CONFIG_LIMIT: Final = 1_024_000
_MESSAGE_LIMIT: Final = 4_194_304
_FILTERS: Final[Mapping[str, frozenset[str]]] = {
    "services": frozenset({"name", "id", "label", "mode", "runtime"}),
    "tasks": frozenset({"name", "id", "label", "service", "node", "desired-state", "runtime", "_up-to-date"}),
    "nodes": frozenset({"name", "id", "label", "node.label", "role", "membership"}),
    "secrets": frozenset({"name", "names", "id", "label"}),
    "configs": frozenset({"name", "id", "label"}),
    "networks": frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"}),
}

E = TypeVar("E", bound=Entity)


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it came: the path with its version, the query string as sent, header names in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""


@dataclass(slots=True)
class Response:
    """One answer; its body is whole, or comes piece by piece."""

    status: int
    headers: dict[str, str]
    body: bytes | Stream


class Core:
    """A manager of a swarm, and its nodes."""

    def __init__(self, *, api_version: ApiVersion, start: datetime, seed: int) -> None:
        self.api_version = api_version
        self.release = RELEASES[api_version]
        self.timeline = Timeline(start)
        self.store = Store(self.timeline, api_version, seed)
        self.swarm_state = "manager"
        """What this engine is: manager, worker, inactive or locked."""
        self.has_leader = True
        self.cluster = cluster(self.store)
        self._answers: dict[tuple[str, str, str, bool], Response] = {}
        self._answers_at = 0
        self._reader = Reader(api_version, api_version)
        self._query: dict[str, str] = {}
        self._scheduler = Scheduler(self.store)
        self._orchestrator = Orchestrator(self.store)
        self.agents = Agents(self.store)
        self._make_swarm()

    # --- the door ----------------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Response:
        """The answer to a request. What follows from it comes with time."""
        self.timeline.run_until(self.timeline.now)
        # Clients that wait ask the same again and again while nothing changes.
        if self._answers_at != self.store.index:
            self._answers.clear()
            self._answers_at = self.store.index
        asked = (request.path, request.query, self.swarm_state, self.has_leader)
        if request.method == "GET" and (known := self._answers.get(asked)) is not None:
            return Response(known.status, dict(known.headers), known.body)
        try:
            answer = self._route(request)
        except Refusal as refusal:
            answer = _json(refusal.status, {"message": refusal.message})
        answer.headers = {**self._headers(), **answer.headers}
        if request.method == "HEAD":
            answer.body = b""
        elif request.method == "GET" and answer.status == 200 and _STORED.fullmatch(request.path):
            self._answers[asked] = answer
        self.timeline.run_until(self.timeline.now)
        return answer

    def _headers(self) -> dict[str, str]:
        return {
            "Api-Version": str(self.api_version),
            "Docker-Experimental": "false",
            "Ostype": "linux",
            "Server": f"Docker/{self.release} (linux)",
        }

    def _route(self, request: Request) -> Response:
        parts = [unquote(part) for part in request.path.split("/")[1:]]
        version = self.api_version
        if parts and re.fullmatch(r"v\d+\.\d+(?:\.\d+)?", parts[0]):
            version = self._requested(parts.pop(0)[1:])
        self._query = {key: values[0] for key, values in parse_qs(request.query, keep_blank_values=True).items()}
        self._reader = Reader(self.api_version, version)
        if request.method == "POST":
            self._check_content_type(request)
        if parts[0] in _SWARM_ROUTES and not (parts[0] == "swarm" and parts[1:] in (["init"], ["join"], ["leave"])):
            self._check_manager(parts)
        match request.method, *parts:
            case (("GET" | "HEAD"), "_ping"):
                return self._ping()
            case "GET", "version":
                return _json(200, version_body(self.api_version, self.store))
            case "GET", "info":
                return _json(200, info(self))
            case "GET", "events":
                return self._events()
            case "GET", "distribution", *name, "json":
                return self._distribution("/".join(name))
            case _, "services", *rest:
                return self._services(request, rest)
            case "GET", "tasks":
                return self._list_tasks()
            case "GET", "tasks", name:
                return _json(200, self._find_task(name).wire(self.store.networks))
            case "GET", "tasks", name, "logs":
                task = self._find_task(name)
                return self._logs(lambda: [task], task.container)
            case _, "nodes", *rest:
                return self._nodes(request, rest)
            case _, ("secrets" | "configs") as kind, *rest:
                return self._documents(request, kind, rest)
            case _, "networks", *rest:
                return self._networks(request, rest)
            case _, "swarm", *rest:
                return self._swarm(request, rest)
            case _:
                raise Refusal(404, "page not found")

    def _requested(self, text: str) -> ApiVersion:
        version = ApiVersion(*map(int, text.split(".")[:2]))
        least = oldest_version(self.api_version)
        if version < least:
            upgrade = "please upgrade your client to a newer version"
            raise Refusal(400, f"client version {text} is too old. Minimum supported API version is {least}, {upgrade}")
        if version > self.api_version:
            most = self.api_version
            raise Refusal(400, f"client version {text} is too new. Maximum supported API version is {most}")
        return version

    def _check_content_type(self, request: Request) -> None:
        kind = request.headers.get("content-type", "")
        if kind.partition(";")[0].strip().lower() == "application/json" or (not kind and not request.body):
            return
        if self.api_version < (1, 42):
            raise Refusal(400, f"Content-Type specified ({kind}) must be 'application/json'")
        if not kind:
            raise Refusal(400, "malformed Content-Type header (): mime: no media type")
        raise Refusal(400, f"unsupported Content-Type header ({kind}): must be 'application/json'")

    def _check_manager(self, parts: Sequence[str]) -> None:
        if self.swarm_state != "manager" and parts != ["swarm", "unlock"]:
            raise Refusal(503, _STATES[self.swarm_state])
        if not self.has_leader:
            raise rpc("Unknown", _NO_LEADER)

    def _flag(self, name: str) -> bool:
        """A flag as engines read most of them: everything but these is a yes."""
        return self._query.get(name, "").strip().lower() not in ("", "0", "no", "false", "none")

    def _version_of(self, kind: str) -> int:
        text = self._query.get("version", "")
        if re.fullmatch(r"\d+", text) and int(text) < 1 << 64:
            return int(text)
        why = "value out of range" if re.fullmatch(r"\d+", text) else "invalid syntax"
        raise Refusal(400, f"invalid {kind} version '{text}': strconv.ParseUint: parsing {json.dumps(text)}: {why}")

    def _filters(self, kind: str) -> dict[str, list[str]]:
        """The filters of a list, and a refusal of those that it does not have."""
        text = self._query.get("filters", "")
        found = _parse_filters(text)
        if found is None:
            raise Refusal(400, "invalid filter")
        if kind and (unknown := [key for key in found if key not in _FILTERS[kind]]):
            word = "Invalid" if self.api_version < (1, 42) else "invalid"
            raise Refusal(400, f"{word} filter '{unknown[0]}'")
        return found

    # --- services ----------------------------------------------------------------------------------------------------

    def _services(self, request: Request, parts: Sequence[str]) -> Response:
        match request.method, *parts:
            case ("GET",):
                return self._list_services()
            case "POST", "create":
                return self._create_service(request)
            case "GET", name:
                insert = self._query.get("insertDefaults", "")
                if insert not in ("", *_TRUE, *_FALSE):
                    parsing = f"strconv.ParseBool: parsing {json.dumps(insert)}: invalid syntax"
                    raise Refusal(400, f"invalid value for insertDefaults: {insert}: {parsing}")
                service = self._find_service(name)
                body = service.wire()
                return _json(200, {**body, "Spec": with_defaults(service.spec)} if insert in _TRUE else body)
            case "DELETE", name:
                return self._remove_service(self._find_service(name))
            case "POST", name, "update":
                return self._update_service(request, name)
            case "GET", name, "logs":
                self._check_streams()
                service = self._find_service(name)
                return self._logs(lambda: self.store.tasks_of(service.id), service.template["ContainerSpec"])
            case _:
                raise Refusal(404, "page not found")

    def _create_service(self, request: Request) -> Response:
        spec = read_spec(self._reader, request.body, self.store)
        validate(spec, self.store, None)
        name = spec["Name"]
        if any(other.name.lower() == name.lower() for other in self.store.services.values()):
            raise rpc("AlreadyExists", f"name conflicts with an existing object: service {name} already exists")
        service = Service(id=self.store.new_id(), spec=spec, auth=request.headers.get("x-registry-auth") or None)
        if service.is_job:
            service.iteration, service.last_execution = 0, self.timeline.wall_ns()
        self.store.services[service.id] = service
        self.store.touch(service)
        self.store.emit("service", "create", service.id, {"name": name})
        self.timeline.at(0, lambda: self._allocate(service))
        return _json(201, {"ID": service.id, **self._warnings()})

    def _warnings(self) -> Json:
        return {} if self.api_version < (1, 42) else {"Warnings": None}

    def _update_service(self, request: Request, name: str) -> Response:
        version = self._version_of("service")
        before = self._query.get("registryAuthFrom", "")
        if before not in ("", "spec", "previous-spec") and self.api_version >= (1, 52):
            raise Refusal(400, f"invalid registryAuthFrom '{before}'")
        spec = read_spec(self._reader, request.body, self.store)
        service = self._find_service(name)
        auth = request.headers.get("x-registry-auth") or None
        if auth is None:
            if before not in ("", "spec", "previous-spec"):
                raise Refusal(500, "unsupported registryAuthFrom value")
            if before == "previous-spec" and service.previous_spec is None:
                raise Refusal(500, "service does not have a previous spec")
            auth = service.previous_auth if before == "previous-spec" else service.auth
        rollback = self._query.get("rollback", "")
        if rollback not in ("", "none", "previous"):
            raise Refusal(500, f"unrecognized rollback option {rollback}")
        validate(spec, self.store, service)
        if next(iter(spec["Mode"])) != service.mode:
            raise rpc("Unimplemented", "service mode change is not allowed")
        if spec["Name"] != service.name:
            raise rpc("Unimplemented", "renaming services is not supported")
        if rollback == "previous" and service.previous_spec is None:
            raise rpc("FailedPrecondition", f"service {service.id} does not have a previous spec")
        if version != service.index:
            raise rpc("Unknown", "update out of sequence")
        self._change(service, spec if rollback != "previous" else None, auth, version)
        return _json(200, {"Warnings": None})

    def _change(self, service: Service, spec: Json | None, auth: str | None, version: int) -> None:
        """Give a service another spec, or its previous one."""
        attributes = {"name": service.name}
        old, old_version, old_auth = service.spec, service.spec_version, service.auth
        old_state = service.update_state
        if service.iteration is not None:
            service.iteration, service.last_execution = service.iteration + 1, self.timeline.wall_ns()
        if spec is None:
            assert service.previous_spec is not None
            service.spec, service.spec_version = service.previous_spec, service.previous_version
            service.auth = service.previous_auth
            service.update_status = {
                "State": "rollback_started",
                "StartedAt": self.store.now_text(),
                "Message": "manually requested rollback",
            }
            attributes["updatestate.new"] = "rollback_started"
        else:
            service.spec, service.spec_version, service.auth = spec, version, auth
            service.update_status = None
        if old_state and old_state != service.update_state:
            attributes["updatestate.old"] = old_state
            attributes.setdefault("updatestate.new", "")
        service.previous_spec, service.previous_version, service.previous_auth = old, old_version, old_auth
        attributes |= _differences(old, service.spec)
        self.store.touch(service)
        self.store.emit("service", "update", service.id, attributes)
        self.timeline.at(0, lambda: self._allocate(service))

    def _allocate(self, service: Service) -> None:
        """Give a service its virtual addresses and published ports, as the manager does right after a change."""
        if service.id not in self.store.services:
            return
        endpoint: Json = part(service.spec, "EndpointSpec")
        wanted: list[Json] = items(endpoint, "Ports")
        ports = self._published(service, wanted)
        joined = [net["Target"] for net in service.template.get("Networks") or items(service.spec, "Networks")]
        if endpoint.get("Mode") == "dnsrr":
            joined = []
        joined = [name for name in joined if self.store.networks[name].scope == "swarm"]
        if any(port["PublishMode"] == "ingress" for port in ports):
            joined = [*(net.id for net in self.store.networks.values() if net.spec.get("Ingress")), *joined]
        if ports == service.ports and joined == [*service.vips]:
            return
        service.ports = ports
        service.vips = {name: service.vips.get(name) or self.store.networks[name].address() for name in joined}
        self.store.touch(service)
        self.store.emit("service", "update", service.id, {"name": service.name})

    def _published(self, service: Service, wanted: list[Json]) -> list[Json]:
        used = {
            (port["Protocol"], port.get("PublishedPort"))
            for other in self.store.services.values()
            if other is not service
            for port in [*other.ports, *items(other.spec, "EndpointSpec", "Ports")]
            if port["PublishMode"] == "ingress"
        }
        given = list[Json]()
        for port in wanted:
            if not port.get("PublishedPort") and port["PublishMode"] == "ingress":
                same = (
                    old["PublishedPort"]
                    for old in service.ports
                    if {**old, "PublishedPort": 0} == {**port, "PublishedPort": 0}
                )
                free = (number for number in _PORTS if (port["Protocol"], number) not in used)
                number = next(same, 0) or next(free)
                used.add((port["Protocol"], number))
                given.append(_ordered_port({**port, "PublishedPort": number}))
            else:
                given.append(port)
        return given

    def _remove_service(self, service: Service) -> Response:
        del self.store.services[service.id]
        self.store.touch(service)
        self.store.emit("service", "remove", service.id, {"name": service.name})
        return Response(200, {}, b"")

    def _list_services(self) -> Response:
        filters = self._filters("services")
        modes = {"replicated": "Replicated", "global": "Global", "replicated-job": "ReplicatedJob",
                 "global-job": "GlobalJob"}  # fmt: skip
        wanted_modes = [modes.get(mode) for mode in filters.get("mode", [])]
        found = [
            service
            for service in self.store.services.values()
            if _matches(service, filters)
            and (not wanted_modes or service.mode in wanted_modes)
            and service.template["Runtime"] in filters.get("runtime", ["container"])
        ]
        with_status = self._reader.request >= (1, 41) and self._boolean("status")
        return _json(200, [self._with_status(service) if with_status else service.wire() for service in found])

    def _boolean(self, name: str) -> bool:
        text = self._query.get(name, "")
        if text not in ("", *_TRUE, *_FALSE):
            parsing = f"strconv.ParseBool: parsing {json.dumps(text)}: invalid syntax"
            raise Refusal(400, f"invalid value '{text}' for {name}: {parsing}")
        return text in _TRUE

    def _with_status(self, service: Service) -> Json:
        tasks = [task for task in self.store.tasks_of(service.id) if task.iteration == service.iteration]
        mode: Json = service.spec["Mode"][service.mode]
        if service.is_global:
            desired = sum(task.desired is task.goal and task.state is not State.COMPLETE for task in tasks)
        else:
            desired = mode["MaxConcurrent"] if service.is_job else mode["Replicas"]
        status = {
            "RunningTasks": sum(task.state is State.RUNNING for task in tasks),
            "DesiredTasks": desired,
            "CompletedTasks": sum(task.state is State.COMPLETE for task in tasks) if service.is_job else 0,
        }
        return {**service.wire(), "ServiceStatus": status}

    def _find_service(self, name: str) -> Service:
        return _find(self.store.services, name, "service", lambda service: service.name)

    # --- tasks and logs ----------------------------------------------------------------------------------------------

    def _list_tasks(self) -> Response:
        filters = self._filters("tasks")
        wanted = set[State]()
        for state in filters.get("desired-state", []):
            if state.upper() not in State.__members__:
                raise Refusal(500, f"Invalid desired-state filter: '{state}'")
            wanted.add(State[state.upper()])
        services = {self._find_service(name).id for name in filters.get("service", [])}
        nodes = {self._find_node(name).id for name in filters.get("node", [])}
        up_to_date = [text.lower() in ("true", "1") for text in filters.get("_up-to-date", [])]
        tasks = (
            [task for service_id in services for task in self.store.tasks_of(service_id)]
            if services
            else self.store.tasks.values()
        )
        found = [
            task
            for task in tasks
            if (not nodes or task.node_id in nodes)
            and (not wanted or task.desired in wanted)
            and (not (names := filters.get("name")) or any(task_name(task).startswith(name) for name in names))
            and _has_prefix(task.id, filters.get("id"))
            and _has_labels(task.service.labels if task.service is not None else {}, filters.get("label"))
            and (not up_to_date or self._is_up_to_date(task) in up_to_date)
        ]
        return _json(200, [task.wire(self.store.networks) for task in found])

    def _is_up_to_date(self, task: Task) -> bool:
        service = self.store.services.get(task.service_id)
        return service is not None and not is_dirty(self.store, service, task)

    def _find_task(self, name: str) -> Task:
        return _find(self.store.tasks, name, "task", task_name)

    def _check_streams(self) -> None:
        if not (self._flag("stdout") or self._flag("stderr")):
            if self.api_version >= (1, 54):
                raise Refusal(400, "must specify at least one of 'stdout' or 'stderr'")
            raise Refusal(500, "Bad parameters: you must choose at least one stream")

    def _logs(self, tasks: Callable[[], Iterable[Task]], container: Json) -> Response:
        self._check_streams()
        since = self._query.get("since", "")
        seconds, _, fraction = since.partition(".")
        if since and not re.fullmatch(r"\d+(\.\d+)?", since):
            parsing = f"strconv.ParseInt: parsing {json.dumps(seconds)}: invalid syntax"
            if self.api_version >= (1, 54):
                raise Refusal(400, f'invalid value for "since": {parsing}')
            raise Refusal(500, f"could not parse since timestamp: {parsing}")
        tail = self._query.get("tail", "")
        if tail not in ("", "all") and not re.fullmatch(r"\d+", tail):
            negative = re.fullmatch(r"-\d+", tail)
            says = (
                "negative tail values not supported" if negative else 'tail value must be a positive integer or "all"'
            )
            raise Refusal(500, says)
        terminal = bool(container.get("TTY"))
        options = LogOptions(
            follow=self._flag("follow"),
            streams=frozenset(number for number, name in ((1, "stdout"), (2, "stderr")) if self._flag(name)),
            since=int(seconds or 0) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0),
            tail=None if tail in ("", "all") else int(tail),
            timestamps=self._flag("timestamps"),
            details=self._flag("details"),
        )
        kind = "multiplexed" if not terminal and self._reader.request >= (1, 42) else "raw"
        headers = {"Content-Type": f"application/vnd.docker.{kind}-stream"} if self.api_version >= (1, 42) else {}
        return Response(200, headers, LogStream(tasks, options, terminal=terminal))

    # --- nodes -------------------------------------------------------------------------------------------------------

    def _nodes(self, request: Request, parts: Sequence[str]) -> Response:
        match request.method, *parts:
            case ("GET",):
                return self._list_nodes()
            case "GET", name:
                return _json(200, self._find_node(name).wire())
            case "POST", name, "update":
                return self._update_node(request, name)
            case "DELETE", name:
                return self._remove_node(self._find_node(name))
            case _:
                raise Refusal(404, "page not found")

    def _find_node(self, name: str) -> Node:
        if name == "self":
            name = self._leader.id
        return _find(self.store.nodes, name, "node", lambda node: node.name or node.hostname)

    def _list_nodes(self) -> Response:
        filters = self._filters("nodes")
        for role in filters.get("role", []):
            if role.lower() not in ("worker", "manager"):
                raise Refusal(500, f"Invalid role filter: '{role}'")
        for membership in filters.get("membership", []):
            if membership.lower() not in ("accepted", "pending"):
                raise Refusal(500, f"Invalid membership filter: '{membership}'")
        found = [
            node
            for node in self.store.nodes.values()
            if _has_prefix(node.id, filters.get("id"))
            and (not (names := filters.get("name")) or any((node.name or node.hostname).startswith(n) for n in names))
            and _has_labels(node.labels, filters.get("node.label"))
            and _has_labels(part(node.description["Engine"], "Labels"), filters.get("label"))
            and node.spec["Role"] in [role.lower() for role in filters.get("role", [node.spec["Role"]])]
            and "accepted" in [text.lower() for text in filters.get("membership", ["accepted"])]
        ]
        return _json(200, [node.wire() for node in found])

    def _update_node(self, request: Request, name: str) -> Response:
        version = self._version_of("node")
        spec = self._reader.read(request.body, NodeSpec)
        node = self._find_node(name)
        for key, known in (("Role", ("worker", "manager")), ("Availability", ("active", "pause", "drain"))):
            value = str(spec.get(key, "")).lower()
            if value not in known:
                raise Refusal(400, f'invalid {key}: "{spec.get(key, "")}"')
            spec[key] = value
        managers = [other for other in self.store.nodes.values() if other.spec["Role"] == "manager"]
        if version != node.index:
            raise rpc("Unknown", "update out of sequence")
        if managers == [node] and spec["Role"] == "worker":
            raise rpc("FailedPrecondition", "attempting to demote the last manager of the swarm")
        self.change_node(node, {**spec, "Labels": part(spec, "Labels")})
        return Response(200, {}, b"")

    def change_node(self, node: Node, spec: Json) -> None:
        """Give a node another spec."""
        attributes = {"name": node.hostname}
        for key, name in (("Availability", "availability"), ("Role", "role")):
            if spec[key] != node.spec[key]:
                attributes |= {f"{name}.new": spec[key], f"{name}.old": node.spec[key]}
        node.spec = spec
        self.store.touch(node)
        self.store.emit("node", "update", node.id, attributes)

    def _remove_node(self, node: Node) -> Response:
        if node.spec["Role"] == "manager":
            member = f"node {node.id} is a cluster manager and is a member of the raft cluster"
            raise rpc("FailedPrecondition", f"{member}. It must be demoted to worker before removal")
        if node.state != "down" and not self._flag("force"):
            raise rpc("FailedPrecondition", f"node {node.id} is not down and can't be removed")
        del self.store.nodes[node.id]
        node.reachable = True
        self.store.touch(node)
        self.store.emit("node", "remove", node.id, {"name": node.hostname})
        return Response(200, {}, b"")

    def add_node(self, hostname: str, role: str, labels: dict[str, str], resources: Json) -> Node:
        """A further node of the swarm."""
        spec: Json = {"Labels": labels, "Role": role, "Availability": "active"}
        node = Node(id=self.store.new_id(), spec=spec, description=description(self.release, hostname, resources))
        node.address = f"10.77.0.{len(self.store.nodes) + 1}" if self.store.nodes else "127.0.0.1"
        self.store.nodes[node.id] = node
        self.store.touch(node)
        if len(self.store.nodes) > 1:
            self.store.emit("node", "create", node.id, {"name": hostname})
        return node

    @property
    def _leader(self) -> Node:
        return next(node for node in self.store.nodes.values() if node.leader)

    # --- secrets and configs -----------------------------------------------------------------------------------------

    def _documents(self, request: Request, kind: str, parts: Sequence[str]) -> Response:
        singular = kind[:-1]
        known = self.store.secrets if kind == "secrets" else self.store.configs
        match request.method, *parts:
            case ("GET",):
                filters = self._filters(kind)
                names = filters.pop("names", None)
                found = [one for one in known.values() if _matches(one, filters) and (not names or one.name in names)]
                return _json(200, [self._document(one, kind) for one in found])
            case "POST", "create":
                return self._create_document(request, singular, known)
            case "GET", name:
                return _json(200, self._document(_find(known, name, singular, lambda one: one.name), kind))
            case "DELETE", name:
                return self._remove_document(_find(known, name, singular, lambda one: one.name), singular, known)
            case "POST", name, "update":
                version = self._version_of(singular)
                spec = self._document_spec(request)
                one = _find(known, name, singular, lambda one: one.name)
                data = spec.get("Data")
                if spec.get("Name", "") != one.name or (data is not None and data != one.spec.get("Data")):
                    raise rpc("InvalidArgument", "only updates to Labels are allowed")
                if version != one.index:
                    raise rpc("Unknown", "update out of sequence")
                one.spec = {**one.spec, "Labels": part(spec, "Labels")}
                self.store.touch(one)
                self.store.emit(singular, "update", one.id, {"name": one.name})
                return Response(200, {}, b"")
            case _:
                raise Refusal(404, "page not found")

    def _document_spec(self, request: Request) -> Json:
        return self._reader.plain(request.body)

    def _document(self, one: Entity, kind: str) -> Json:
        spec = {key: value for key, value in one.spec.items() if kind == "configs" or key != "Data"}
        return {**one.head(), "Spec": spec}

    def _create_document(self, request: Request, kind: str, known: dict[str, Entity]) -> Response:
        spec = self._document_spec(request)
        name = str(spec.get("Name", ""))
        if not name:
            raise rpc("InvalidArgument", "name must be provided")
        if len(name) > 64 or not re.fullmatch(r"[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?", name):
            allowed = "only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]"
            raise rpc("InvalidArgument", f"invalid name, {allowed}")
        data = self._reader.base64(spec, "Data", f"{kind.capitalize()}Spec")
        if len(data) > _MESSAGE_LIMIT:
            raise rpc("ResourceExhausted", f"grpc: received message larger than max ({len(data)} vs. {_MESSAGE_LIMIT})")
        limit = _SECRET_LIMIT if kind == "secret" else _CONFIG_LIMIT
        # Engines take a secret of one byte less than the limit at most, a config of the limit.
        if not data or len(data) > limit or (kind == "secret" and len(data) == limit):
            raise rpc("InvalidArgument", f"{kind} data must be larger than 0 and less than {limit} bytes")
        if any(other.name.lower() == name.lower() for other in known.values()):
            raise rpc("AlreadyExists", f"{kind} {name} already exists")
        kept = {"Name": name, "Labels": part(spec, "Labels"), "Data": spec["Data"]}
        one = Entity(id=self.store.new_id(), spec=kept)
        known[one.id] = one
        self.store.touch(one)
        self.store.emit(kind, "create", one.id, {"name": name})
        return _json(201, {"ID": one.id})

    def _remove_document(self, one: Entity, kind: str, known: dict[str, Entity]) -> Response:
        key = kind.capitalize()
        users = [
            service.name
            for service in self.store.services.values()
            if one.id in (ref[f"{key}ID"] for ref in items(service.template, "ContainerSpec", f"{key}s"))
        ]
        if users:
            many = "services" if len(users) > 1 else "service"
            message = f"{kind} '{one.name}' is in use by the following {many}: {', '.join(users)}"
            raise rpc("InvalidArgument", message)
        del known[one.id]
        self.store.index += 1
        self.store.emit(kind, "remove", one.id, {"name": one.name})
        return Response(204, {}, b"")

    # --- networks ----------------------------------------------------------------------------------------------------

    def _networks(self, request: Request, parts: Sequence[str]) -> Response:
        match request.method, *parts:
            case ("GET",):
                filters = self._filters("networks")
                found = [network for network in self.store.networks.values() if self._shows(network, filters)]
                return _json(200, [self._network(network) for network in found])
            case "POST", "create":
                return self._create_network(request)
            case "GET", name:
                return _json(200, self._network(self._find_network(name)))
            case "DELETE", name:
                return self._remove_network(self._find_network(name))
            case _:
                raise Refusal(404, "page not found")

    def _network(self, network: Network) -> Json:
        return network.wire(ipv4=self.api_version >= (1, 48))

    def _shows(self, network: Network, filters: Mapping[str, list[str]]) -> bool:
        kind = "builtin" if network.name in ("bridge", "host", "none") else "custom"
        return (
            _matches(network, filters, infix=True)
            and network.driver in filters.get("driver", [network.driver])
            and network.scope in filters.get("scope", [network.scope])
            and kind in filters.get("type", [kind])
        )

    def _find_network(self, name: str) -> Network:
        return _find(self.store.networks, name, "network", lambda network: network.name)

    def _create_network(self, request: Request) -> Response:
        spec = self._reader.plain(request.body)
        name, driver = str(spec.get("Name", "")), str(spec.get("Driver") or "bridge")
        if driver not in ("overlay", "bridge", "macvlan", "ipvlan"):
            raise Refusal(404, f'plugin "{driver}" not found')
        if any(network.name == name for network in self.store.networks.values()):
            raise Refusal(409, f"network with name {name} already exists")
        scope = "swarm" if driver == "overlay" or spec.get("Scope") == "swarm" else "local"
        if scope == "swarm" and self.swarm_state != "manager":
            raise Refusal(403, f"{_NO_MANAGER}Connect this node to a swarm as a manager.")
        network = self._add_network(name, driver, scope, spec)
        return _json(201, {"Id": network.id, "Warning": ""})

    def _add_network(self, name: str, driver: str, scope: str, spec: Json) -> Network:
        in_swarm = scope == "swarm"
        identity = self.store.new_id() if in_swarm else self.store.container_id()
        network = Network(id=identity, spec={**spec, "Name": name}, scope=scope, driver=driver)
        given: list[Json] = items(spec, "IPAM", "Config")
        if in_swarm:
            number = sum(other.scope == "swarm" for other in self.store.networks.values())
            network.ipam = given or [{"Subnet": f"10.0.{number}.0/24", "Gateway": f"10.0.{number}.1"}]
            network.options = {"com.docker.network.driver.overlay.vxlanid_list": str(4096 + number)}
        elif driver == "bridge":
            number = 17 + sum(other.driver == "bridge" for other in self.store.networks.values())
            network.ipam = given or [{"Subnet": f"172.{number}.0.0/16", "Gateway": f"172.{number}.0.1"}]
        self.store.networks[network.id] = network
        self.store.touch(network)
        self.store.emit("network", "create", network.id, {"name": name, "type": driver}, scope)
        return network

    def _remove_network(self, network: Network) -> Response:
        if network.name in ("bridge", "host", "none"):
            raise Refusal(403, f"{network.name} is a pre-defined network and cannot be removed")
        for service in self.store.services.values():
            joined = [*items(service.template, "Networks"), *items(service.spec, "Networks")]
            if network.id in (one["Target"] for one in joined):
                raise rpc("FailedPrecondition", f"network {network.id} is in use by service {service.id}")
        if any(network.id in task.addresses and not task.has_ended for task in self.store.tasks.values()):
            user = next(task for task in self.store.tasks.values() if network.id in task.addresses)
            raise rpc("FailedPrecondition", f"network {network.id} is in use by task {user.id}")
        del self.store.networks[network.id]
        self.store.index += 1
        self.store.emit("network", "remove", network.id, {"name": network.name, "type": network.driver}, network.scope)
        return Response(204, {}, b"")

    # --- the swarm and the engine ------------------------------------------------------------------------------------

    def _make_swarm(self) -> None:
        for name, driver in (("none", "null"), ("host", "host"), ("bridge", "bridge")):
            self._add_network(name, driver, "local", {})
        self._add_network("ingress", "overlay", "swarm", {"Ingress": True})
        leader = self.add_node(f"engine-{self.release.replace('.', '-')}", "manager", {}, {})
        leader.leader = True
        self.store.touch(self.cluster)
        self.store.events.clear()

    def _swarm(self, request: Request, parts: Sequence[str]) -> Response:
        match request.method, *parts:
            case ("GET",):
                return _json(200, {**self.cluster_info(), "JoinTokens": self.cluster.tokens})
            case "POST", ("init" | "join") as verb:
                if self.swarm_state != "inactive":
                    raise Refusal(
                        503,
                        'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join'
                        " another one.",
                    )
                self.swarm_state = "manager"
                return _json(200, self._leader.id) if verb == "init" else Response(200, {}, b"")
            case "POST", "leave":
                return self._leave()
            case "POST", "update":
                version = self._version_of("swarm")
                spec = self._reader.plain(request.body)
                if version != self.cluster.index:
                    raise rpc("Unknown", "update out of sequence")
                self.cluster.spec = {**self.cluster.spec, **spec}
                for role in ("Worker", "Manager"):
                    if self._flag(f"rotate{role}Token"):
                        self.cluster.rotate(role, self.store)
                self.store.touch(self.cluster)
                return Response(200, {}, b"")
            case "GET", "unlockkey":
                locked = part(self.cluster.spec, "EncryptionConfig").get("AutoLockManagers")
                return _json(200, {"UnlockKey": self.cluster.unlock_key if locked else ""})
            case "POST", "unlock":
                if self.swarm_state != "locked":
                    raise Refusal(409, "swarm is not locked")
                if self._reader.plain(request.body).get("UnlockKey") != self.cluster.unlock_key:
                    raise Refusal(400, "swarm could not be unlocked: invalid key provided")
                self.swarm_state = "manager"
                return Response(200, {}, b"")
            case _:
                raise Refusal(404, "page not found")

    def _leave(self) -> Response:
        if self.swarm_state == "inactive":
            raise Refusal(503, "This node is not part of a swarm")
        if self.swarm_state == "manager" and not self._flag("force"):
            raise Refusal(
                503,
                "You are attempting to leave the swarm on a node that is participating as a manager. Removing the last"
                " manager erases all current state of the swarm. Use `--force` to ignore this message. ",
            )
        for service in [*self.store.services.values()]:
            self._remove_service(service)
        self.swarm_state = "inactive"
        return Response(200, {}, b"")

    def cluster_info(self) -> Json:
        """The swarm as an engine shows it."""
        body = {**self.cluster.head(), "Spec": self.cluster.spec, "TLSInfo": TLS, "RootRotationInProgress": False}
        return {**body, "DefaultAddrPool": ["10.0.0.0/8"], "SubnetSize": 24, "DataPathPort": 4789}

    @property
    def leader(self) -> Node:
        """The node that this engine is."""
        return self._leader

    def _ping(self) -> Response:
        headers = {
            "Content-Type": "text/plain; charset=utf-8",
            "Cache-Control": "no-cache, no-store, must-revalidate",
            "Pragma": "no-cache",
        }
        if self.api_version >= (1, 42):
            active = self.swarm_state in ("manager", "worker")
            headers["Swarm"] = f"active/{self.swarm_state}" if active else self.swarm_state
            headers["Builder-Version"] = "2"
        return Response(200, headers, b"OK")

    def _events(self) -> Response:
        since, until = (self._moment(name) for name in ("since", "until"))
        filters = self._filters("")
        return Response(200, {"Content-Type": "application/json"}, EventStream(self.store, filters, since, until))

    def _moment(self, name: str) -> int | None:
        text = self._query.get(name, "")
        seconds, _, fraction = text.partition(".")
        if text and not re.fullmatch(r"\d+(\.\d+)?", text):
            said = f"strconv.ParseInt: parsing {json.dumps(seconds)}: invalid syntax"
            if self.api_version >= (1, 54):
                raise Refusal(400, f"invalid value for '{name}': {said}")
            raise Refusal(500, said)
        return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9] or 0) if text else None

    def _distribution(self, name: str) -> Response:
        if not self.agents.registry_is_up or name in self.agents.missing:
            raise Refusal(404, f"manifest unknown: manifest for {name} is unknown to registry")
        return _json(200, self.agents.distribution(name))


def _json(status: int, body: object) -> Response:
    content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    return Response(status, {"Content-Type": "application/json"}, content)


def _differences(old: Json, new: Json) -> dict[str, str]:
    """What an event says about a change of a service."""
    found: dict[str, str] = {}
    images = [str(spec["TaskTemplate"]["ContainerSpec"].get("Image", "")) for spec in (old, new)]
    if images[0] != images[1]:
        found |= {"image.old": images[0], "image.new": images[1]}
    replicas = [part(spec["Mode"], "Replicated").get("Replicas") for spec in (old, new)]
    if replicas[0] != replicas[1]:
        found |= {"replicas.old": str(replicas[0]), "replicas.new": str(replicas[1])}
    return found


def _ordered_port(port: Json) -> Json:
    keys = ("Name", "Protocol", "TargetPort", "PublishedPort", "PublishMode")
    return {key: port[key] for key in keys if key in port}


def _find(known: Mapping[str, E], name: str, kind: str, name_of: Callable[[E], str]) -> E:
    """The object with this id, name, or beginning of an id."""
    if name in known:
        return known[name]
    found = [one for one in known.values() if name_of(one).lower() == name.lower()]
    found = found or [one for one in known.values() if one.id.startswith(name)]
    if not found:
        raise Refusal(404, f"{kind} {name} not found")
    if len(found) > 1:
        raise Refusal(400, f"{kind} {name} is ambiguous ({len(found)} matches found)")
    return found[0]


def _parse_filters(text: str) -> dict[str, list[str]] | None:
    """Filters in either of their two forms; None for anything else."""
    try:
        found: object = json.loads(text) if text else {}
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    filters: dict[str, list[str]] = {}
    for key, values in cast("dict[str, object]", found).items():
        if isinstance(values, dict):
            named = cast("dict[str, Any]", values)
            if not all(isinstance(value, bool) for value in named.values()):
                return None
            filters[key] = [*named]
        elif isinstance(values, list) and all(isinstance(value, str) for value in cast("list[object]", values)):
            filters[key] = cast("list[str]", values)
        else:
            return None
    return {key: values for key, values in filters.items() if values}


def _has_prefix(text: str, prefixes: list[str] | None) -> bool:
    return not prefixes or any(text.startswith(prefix) for prefix in prefixes)


def _has_labels(labels: Mapping[str, str], wanted: list[str] | None) -> bool:
    pairs = {name: value for name, _, value in (text.partition("=") for text in wanted or [])}
    return all(name in labels and (not value or labels[name] == value) for name, value in pairs.items())


def _matches(entity: Entity, filters: Mapping[str, list[str]], *, infix: bool = False) -> bool:
    """Whether an object passes the filters that most lists have."""
    names = filters.get("name")
    named = not names or any(name in entity.name if infix else entity.name.startswith(name) for name in names)
    return named and _has_prefix(entity.id, filters.get("id")) and _has_labels(entity.labels, filters.get("label"))
