"""The routes of services: create, inspect, list, update, remove.

Owns: what a change does to a service at once, and the addresses and ports that the manager gives it.
Must not know: what becomes of its tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ._call import Call, Response, answer, find, matches, nothing, nowhere
from ._spec import read_spec, validate, with_defaults
from ._store import Json, Refusal, Service, State, Store, items, part, rpc
from ._tasks import check_streams, logs

_PORTS: Final = range(30000, 32768)


class Services:
    """The services of the swarm."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def route(self, call: Call, parts: Sequence[str]) -> Response:
        """The answer to a request about services."""
        match call.method, *parts:
            case ("GET",):
                return self._list(call)
            case "POST", "create":
                return self._create(call)
            case "GET", name:
                insert = call.boolean("insertDefaults", "invalid value for {1}: {0}: {2}")
                service = self.find(name)
                body = service.wire()
                return answer(200, {**body, "Spec": with_defaults(service.spec)} if insert else body)
            case "DELETE", name:
                return self.remove(self.find(name))
            case "POST", name, "update":
                return self._update(call, name)
            case "GET", name, "logs":
                check_streams(call)
                service = self.find(name)
                return logs(call, lambda: self._store.tasks_of(service.id), service.template["ContainerSpec"])
            case _:
                raise nowhere()

    def _create(self, call: Call) -> Response:
        spec = read_spec(call.reader, call.request.body, self._store)
        validate(spec, self._store, None)
        name = spec["Name"]
        if any(other.name.lower() == name.lower() for other in self._store.services.values()):
            raise rpc("AlreadyExists", f"name conflicts with an existing object: service {name} already exists")
        service = Service(id=self._store.new_id(), spec=spec, auth=call.request.headers.get("x-registry-auth") or None)
        if service.is_job:
            service.iteration, service.last_execution = 0, self._store.timeline.wall_ns()
        self._store.services[service.id] = service
        self._store.touch(service)
        self._store.emit("service", "create", service.id, {"name": name})
        self._store.timeline.at(0, lambda: self._allocate(service))
        return answer(201, {"ID": service.id, **self._warnings()})

    def _warnings(self) -> Json:
        return {} if self._store.version < (1, 42) else {"Warnings": None}

    def _update(self, call: Call, name: str) -> Response:
        version = call.version_of("service")
        before = call.query.get("registryAuthFrom", "")
        if before not in ("", "spec", "previous-spec") and self._store.version >= (1, 52):
            raise Refusal(400, f"invalid registryAuthFrom '{before}'")
        spec = read_spec(call.reader, call.request.body, self._store)
        service = self.find(name)
        auth = call.request.headers.get("x-registry-auth") or None
        if auth is None:
            if before not in ("", "spec", "previous-spec"):
                raise Refusal(500, "unsupported registryAuthFrom value")
            if before == "previous-spec" and service.previous_spec is None:
                raise Refusal(500, "service does not have a previous spec")
            auth = service.previous_auth if before == "previous-spec" else service.auth
        rollback = call.query.get("rollback", "")
        if rollback not in ("", "none", "previous"):
            raise Refusal(500, f"unrecognized rollback option {rollback}")
        validate(spec, self._store, service)
        if next(iter(spec["Mode"])) != service.mode:
            raise rpc("Unimplemented", "service mode change is not allowed")
        if spec["Name"] != service.name:
            raise rpc("Unimplemented", "renaming services is not supported")
        if rollback == "previous" and service.previous_spec is None:
            raise rpc("FailedPrecondition", f"service {service.id} does not have a previous spec")
        if version != service.index:
            raise rpc("Unknown", "update out of sequence")
        self._change(service, spec if rollback != "previous" else None, auth, version)
        return answer(200, {"Warnings": None})

    def _change(self, service: Service, spec: Json | None, auth: str | None, version: int) -> None:
        """Give a service another spec, or its previous one."""
        attributes = {"name": service.name}
        old, old_version, old_auth = service.spec, service.spec_version, service.auth
        old_state = service.update_state
        if service.iteration is not None:
            service.iteration, service.last_execution = service.iteration + 1, self._store.timeline.wall_ns()
        if spec is None:
            assert service.previous_spec is not None
            service.spec, service.spec_version = service.previous_spec, service.previous_version
            service.auth = service.previous_auth
            service.update_status = {
                "State": "rollback_started",
                "StartedAt": self._store.now_text(),
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
        self._store.touch(service)
        self._store.emit("service", "update", service.id, attributes)
        self._store.timeline.at(0, lambda: self._allocate(service))

    def _allocate(self, service: Service) -> None:
        """Give a service its virtual addresses and published ports, as the manager does right after a change."""
        if service.id not in self._store.services:
            return
        endpoint: Json = part(service.spec, "EndpointSpec")
        wanted: list[Json] = items(endpoint, "Ports")
        ports = self._published(service, wanted)
        joined = [net["Target"] for net in service.template.get("Networks") or items(service.spec, "Networks")]
        if endpoint.get("Mode") == "dnsrr":
            joined = []
        joined = [name for name in joined if self._store.networks[name].scope == "swarm"]
        if any(port["PublishMode"] == "ingress" for port in ports):
            joined = [*(net.id for net in self._store.networks.values() if net.spec.get("Ingress")), *joined]
        if ports == service.ports and joined == [*service.vips]:
            return
        service.ports = ports
        service.vips = {name: service.vips.get(name) or self._store.networks[name].address() for name in joined}
        self._store.touch(service)
        self._store.emit("service", "update", service.id, {"name": service.name})

    def _published(self, service: Service, wanted: list[Json]) -> list[Json]:
        used = {
            (port["Protocol"], port.get("PublishedPort"))
            for other in self._store.services.values()
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

    def remove(self, service: Service) -> Response:
        """Remove a service."""
        del self._store.services[service.id]
        self._store.touch(service)
        self._store.emit("service", "remove", service.id, {"name": service.name})
        return nothing()

    def _list(self, call: Call) -> Response:
        filters = call.filters("name", "id", "label", "mode", "runtime")
        modes = {"replicated": "Replicated", "global": "Global", "replicated-job": "ReplicatedJob",
                 "global-job": "GlobalJob"}  # fmt: skip
        wanted_modes = [modes.get(mode) for mode in filters.get("mode", [])]
        found = [
            service
            for service in self._store.services.values()
            if matches(service, filters)
            and (not wanted_modes or service.mode in wanted_modes)
            and service.template["Runtime"] in filters.get("runtime", ["container"])
        ]
        with_status = call.version >= (1, 41) and call.boolean("status")
        return answer(200, [self._with_status(service) if with_status else service.wire() for service in found])

    def _with_status(self, service: Service) -> Json:
        tasks = [task for task in self._store.tasks_of(service.id) if task.iteration == service.iteration]
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

    def remove_all(self) -> None:
        """Remove every service, as when the swarm is dissolved."""
        for service in [*self._store.services.values()]:
            self.remove(service)

    def find(self, name: str) -> Service:
        """The service with this id, name, or beginning of an id."""
        return find(self._store.services, name, "service", lambda service: service.name)


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
