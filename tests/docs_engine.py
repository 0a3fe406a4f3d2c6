"""Owns the engine that the documentation's examples talk to: a few services in memory, answered as an engine answers.

It keeps what it is told and starts every task at once. Whatever it does not know fails the test that asks for it.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, Final

import httpx

API_VERSION: Final = "1.51"
_HEADERS: Final = {"Api-Version": API_VERSION, "Server": "Docker/28.5.2 (linux)"}
_CREATED: Final = "2026-01-02T03:04:05.000000006Z"
_NODE: Final = "n" * 25


class DocsEngine:
    """One manager with one node and a service called `web`."""

    def __init__(self) -> None:
        self.services: dict[str, dict[str, Any]] = {}
        self.lose_answers = 0
        """How many of the next changes are made without an answer."""
        self._index = 10
        self._create(
            {
                "Name": "web",
                "TaskTemplate": {
                    "ContainerSpec": {"Image": "nginx:1.27", "Env": ["A=1"]},
                    "Placement": {"Constraints": ["node.role==worker"]},
                },
                "Mode": {"Replicated": {"Replicas": 2}},
            }
        )

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """The answer to one request."""
        status, body = self._answer(request)
        if self.lose_answers and request.method != "GET" and status < 300:
            self.lose_answers -= 1
            raise httpx.ReadError("the connection was closed before the answer")
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "application/vnd.docker.multiplexed-stream" if isinstance(body, bytes) else "application/json"
        return httpx.Response(status, headers={**_HEADERS, "Content-Type": kind}, content=content)

    def _answer(self, request: httpx.Request) -> tuple[int, Any]:
        path = request.url.path.removeprefix("/")
        if path == "_ping":
            return 200, "OK"
        version, *parts = path.split("/")
        filters: dict[str, list[str]] = json.loads(request.url.params.get("filters", "{}"))
        match request.method, *parts:
            case "POST", "services", "create":
                return self._create(json.loads(request.content))
            case "GET", "services":
                return 200, self._list(filters, with_status=request.url.params.get("status") == "true")
            case "GET", "tasks":
                return self._tasks(filters)
            case "GET", "tasks", task:
                found = [one for service in self.services.values() for one in _tasks_of(service) if one["ID"] == task]
                return (200, found[0]) if found else (404, {"message": f"task {task} not found"})
            case "GET", "nodes":
                return 200, [{"ID": _NODE, "Version": {"Index": 9}, "Spec": {}, "Status": {"State": "ready"}}]
            case _, "services", reference, *rest:
                service = self._find(reference)
                if service is None:
                    return 404, {"message": f"service {reference} not found"}
                return self._on_service(request, service, rest)
            case _:
                raise AssertionError(f"the documentation's engine has no {request.method} /{path} ({version})")

    def _on_service(self, request: httpx.Request, service: dict[str, Any], rest: list[str]) -> tuple[int, Any]:
        match request.method, *rest:
            case ("GET",):
                return 200, service
            case ("DELETE",):
                del self.services[service["ID"]]
                return 200, b""
            case "GET", "logs":
                return 200, b"".join(_log_frame(task) for task in _tasks_of(service))
            case "POST", "update":
                return self._update(service, json.loads(request.content), request.url.params)
            case _:
                raise AssertionError(f"the documentation's engine has no {request.method} {request.url.path}")

    def _create(self, spec: dict[str, Any]) -> tuple[int, Any]:
        if self._find(spec["Name"]) is not None:
            taken = f"name conflicts with an existing object: service {spec['Name']} already exists"
            return 409, {"message": f"rpc error: code = AlreadyExists desc = {taken}"}
        self._index += 1
        service_id = f"s{self._index:024d}"
        self.services[service_id] = {
            "ID": service_id,
            "Version": {"Index": self._index},
            "CreatedAt": _CREATED,
            "UpdatedAt": _CREATED,
            "Spec": spec,
        }
        return 201, {"ID": service_id, "Warnings": None}

    def _update(self, service: dict[str, Any], spec: dict[str, Any], query: httpx.QueryParams) -> tuple[int, Any]:
        if int(query["version"]) != service["Version"]["Index"]:
            return 500, {"message": "rpc error: code = Unknown desc = update out of sequence"}
        state = "completed"
        if query.get("rollback") == "previous":
            if "PreviousSpec" not in service:
                return 400, {"message": "rpc error: code = FailedPrecondition desc = there is no previous spec"}
            spec, state = service["PreviousSpec"], "rollback_completed"
        self._index += 1
        service["PreviousSpec"] = deepcopy(service["Spec"])
        service["Spec"] = spec
        service["Version"] = {"Index": self._index}
        service["UpdateStatus"] = {"State": state, "StartedAt": _CREATED, "CompletedAt": _CREATED, "Message": ""}
        return 200, {"Warnings": None}

    def _list(self, filters: dict[str, list[str]], *, with_status: bool) -> list[dict[str, Any]]:
        unknown = filters.keys() - {"name", "label"}
        assert not unknown, f"the documentation's engine does not filter services by {unknown}"
        found = [
            service
            for service in self.services.values()
            if service["Spec"]["Name"].startswith(tuple(filters.get("name", [""])))
            and all(_has_label(service, label) for label in filters.get("label", []))
        ]
        if not with_status:
            return found
        return [{**service, "ServiceStatus": _status(service)} for service in found]

    def _tasks(self, filters: dict[str, list[str]]) -> tuple[int, Any]:
        unknown = filters.keys() - {"service", "desired-state", "_up-to-date"}
        assert not unknown, f"the documentation's engine does not filter tasks by {unknown}"
        services: list[dict[str, Any]] = []
        for reference in filters.get("service", list(self.services)):
            service = self._find(reference)
            if service is None:
                return 404, {"message": f"service {reference} not found"}
            services.append(service)
        return 200, [task for service in services for task in _tasks_of(service)]

    def _find(self, reference: str) -> dict[str, Any] | None:
        by_name = (one for one in self.services.values() if one["Spec"]["Name"] == reference)
        return self.services.get(reference) or next(by_name, None)


def _tasks_of(service: dict[str, Any]) -> list[dict[str, Any]]:
    replicas = service["Spec"].get("Mode", {}).get("Replicated", {}).get("Replicas", 1)
    return [
        {
            "ID": f"t{slot:03d}{service['ID'][4:]}",
            "Version": {"Index": service["Version"]["Index"]},
            "CreatedAt": _CREATED,
            "UpdatedAt": _CREATED,
            "Spec": service["Spec"]["TaskTemplate"],
            "ServiceID": service["ID"],
            "Slot": slot,
            "NodeID": _NODE,
            "Status": {"Timestamp": _CREATED, "State": "running", "Message": "started"},
            "DesiredState": "running",
        }
        for slot in range(1, replicas + 1)
    ]


def _status(service: dict[str, Any]) -> dict[str, int]:
    tasks = len(_tasks_of(service))
    return {"RunningTasks": tasks, "DesiredTasks": tasks, "CompletedTasks": 0}


def _has_label(service: dict[str, Any], label: str) -> bool:
    key, equals, value = label.partition("=")
    labels: dict[str, str] = service["Spec"].get("Labels") or {}
    return key in labels and (not equals or labels[key] == value)


def _log_frame(task: dict[str, Any]) -> bytes:
    own = {"node.id": _NODE, "service.id": task["ServiceID"], "task.id": task["ID"]}
    line = ",".join(f"com.docker.swarm.{key}={value}" for key, value in own.items()).encode() + b" ready\n"
    return bytes([1, 0, 0, 0]) + len(line).to_bytes(4, "big") + line
