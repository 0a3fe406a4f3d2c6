"""Which node takes a task, and what the manager says when none does.

Owns: placement constraints and preferences, reservations, and the moment at which tasks are assigned.
Must not know: why there are tasks, or what becomes of them on a node.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from ._store import Entity, Json, Node, State, Store, Task, items, part, rpc

_PAUSE: Final = 0.05
"""The manager gathers tasks for this long before it assigns them."""
_KEY: Final = re.compile(r"[a-z_][a-z0-9\-_.]+", re.IGNORECASE | re.ASCII)
_VALUE: Final = re.compile(r"[a-z0-9:\-_\s\.\*\(\)\?\+\[\]\\\^\$\|\/]+", re.IGNORECASE | re.ASCII)
_COUNTED: Final = ("NanoCPUs", "MemoryBytes")
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


class Constraint(NamedTuple):
    """A condition on nodes."""

    key: str
    equal: bool
    value: str


def parse(texts: Iterable[str]) -> list[Constraint]:
    """The constraints written as `KEY==VALUE` or `KEY!=VALUE`."""
    found: list[Constraint] = []
    for text in texts:
        operator = "==" if "==" in text else "!="
        key, separator, value = text.partition(operator)
        key, value = key.strip(), value.strip()
        if not separator:
            raise rpc("Unknown", "constraint expected one operator from ==, !=")
        if not _KEY.fullmatch(key):
            raise rpc("Unknown", f"key '{key}' is invalid")
        if not _VALUE.fullmatch(value):
            raise rpc("Unknown", f"value '{value}' is invalid")
        found.append(Constraint(key, operator == "==", value))
    return found


def matches(node: Node, texts: Iterable[str]) -> bool:
    """Whether a node satisfies all constraints."""
    return all(_holds(constraint, node) for constraint in parse(texts))


def constraints_of(template: Json) -> list[str]:
    """The constraints of a task template."""
    constraints: list[str] = items(template, "Placement", "Constraints")
    return constraints


def _holds(constraint: Constraint, node: Node) -> bool:
    key = constraint.key.lower()
    if key == "node.ip":
        try:
            inside = ipaddress.ip_address(node.address) in ipaddress.ip_network(constraint.value, strict=False)
        except ValueError:
            return False
        return inside == constraint.equal
    value = _attribute(node, constraint.key)
    return value is not None and (value.lower() == constraint.value.lower()) == constraint.equal


def _attribute(node: Node, key: str) -> str | None:
    """What a node has under a key of constraints or preferences; None for a key that there is not."""
    platform = node.description["Platform"]
    match key.lower():
        case "node.id":
            return node.id
        case "node.hostname":
            return node.hostname
        case "node.role":
            return str(node.spec["Role"])
        case "node.platform.os":
            return str(platform["OS"])
        case "node.platform.arch":
            return str(platform["Architecture"])
        case lower if lower.startswith("node.labels."):
            return node.labels.get(key[len("node.labels.") :], "")
        case lower if lower.startswith("engine.labels."):
            return str(part(node.description["Engine"], "Labels").get(key[len("engine.labels.") :], ""))
        case _:
            return None


Filter = Callable[[Task, Node], bool]


class Scheduler:
    """Assigns the tasks that are pending."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._due = False
        # In the order in which the manager asks, with what it says of nodes that do not pass.
        self._filters: list[tuple[Filter, str, str]] = [
            (_is_ready, "1 node not available for new tasks", "{} nodes not available for new tasks"),
            (self._has_resources, "insufficient resources on 1 node", "insufficient resources on {} nodes"),
            (
                lambda task, node: matches(node, constraints_of(task.spec)),
                "scheduling constraints not satisfied on 1 node",
                "scheduling constraints not satisfied on {} nodes",
            ),
            (_has_platform, "unsupported platform on 1 node", "unsupported platform on {} nodes"),
            (
                self._has_ports,
                "host-mode port already in use on 1 node",
                "host-mode port already in use on {} nodes",
            ),
            (self._has_room, "max replicas per node limit exceed", "max replicas per node limit exceed"),
        ]
        store.observers.append(self._notice)

    def _notice(self, entity: Entity) -> None:
        fresh = isinstance(entity, Task) and (entity.state is State.PENDING and not entity.err)
        frees = isinstance(entity, Task) and (entity.has_ended or entity.desired is State.REMOVE)
        if (fresh or frees or isinstance(entity, Node)) and not self._due:
            self._due = True
            self._store.timeline.at(_PAUSE, self._run)

    def _run(self) -> None:
        self._due = False
        for task in [*self._store.tasks.values()]:
            if task.state is State.PENDING and task.is_wanted:
                self._place(task)

    def _place(self, task: Task) -> None:
        assigned = self._store.nodes.get(task.node_id)
        candidates = [*self._store.nodes.values()] if not task.node_id else [assigned] if assigned else []
        failures: Counter[int] = Counter()
        fit = list[Node]()
        for node in candidates:
            failed = next((n for n, (check, *_) in enumerate(self._filters) if not check(task, node)), None)
            if failed is None:
                fit.append(node)
            else:
                failures[failed] += 1
        if fit:
            task.node_id = self._preferred(task, fit).id
            self._store.move(task, State.ASSIGNED, "scheduler assigned task to node")
            return
        said = "; ".join(
            self._filters[n][1] if count == 1 else self._filters[n][2].format(count)
            for n, count in failures.most_common()
        )
        err = f"no suitable node ({said})" if said else "no suitable node"
        if task.err != err:
            task.err = err
            self._store.touch(task)

    def _preferred(self, task: Task, nodes: list[Node]) -> Node:
        mine: Counter[str] = Counter()
        all_of_them: Counter[str] = Counter()
        for other in self._store.tasks.values():
            if other.is_wanted and not other.has_ended and other.node_id:
                all_of_them[other.node_id] += 1
                mine[other.node_id] += other.service_id == task.service_id
        for preference in items(task.spec, "Placement", "Preferences"):
            key = preference["Spread"].get("SpreadDescriptor", "")
            groups: dict[str, list[Node]] = {}
            for node in nodes:
                groups.setdefault(_attribute(node, key) or "", []).append(node)
            nodes = min(groups.values(), key=lambda group: sum(mine[node.id] for node in group))
        return min(nodes, key=lambda node: (mine[node.id], all_of_them[node.id]))

    def _on(self, node: Node, task: Task) -> list[Task]:
        """Other tasks that are on a node, or will be."""
        return [
            other
            for other in self._store.tasks_on(node.id)
            if other is not task and other.is_wanted and not other.has_ended and other.state >= State.ASSIGNED
        ]

    def _has_resources(self, task: Task, node: Node) -> bool:
        wanted = _reservations(task)
        if not wanted:
            return True
        has = node.description["Resources"]
        left: Counter[str] = Counter({kind: has[kind] for kind in _COUNTED})
        left.update(_generic(items(has, "GenericResources")))
        for other in self._on(node, task):
            left.subtract(_reservations(other))
        return all(left[kind] >= count for kind, count in wanted.items())

    def _has_ports(self, task: Task, node: Node) -> bool:
        wanted = _host_ports(task)
        return not wanted or all(wanted.isdisjoint(_host_ports(other)) for other in self._on(node, task))

    def _has_room(self, task: Task, node: Node) -> bool:
        most = part(task.spec, "Placement").get("MaxReplicas", 0)
        return not most or sum(other.service_id == task.service_id for other in self._on(node, task)) < most


def _is_ready(task: Task, node: Node) -> bool:
    return node.state == "ready" and node.spec["Availability"] == "active"


def _has_platform(task: Task, node: Node) -> bool:
    platforms = items(task.spec, "Placement", "Platforms")
    has = node.description["Platform"]
    architecture = _ARCHITECTURES.get(has["Architecture"], has["Architecture"])
    return not platforms or any(
        platform.get("OS", has["OS"]) == has["OS"]
        and _ARCHITECTURES.get(wanted := platform.get("Architecture", architecture), wanted) == architecture
        for platform in platforms
    )


def _reservations(task: Task) -> Counter[str]:
    reserved = part(task.spec, "Resources", "Reservations")
    wanted: Counter[str] = Counter({kind: reserved[kind] for kind in _COUNTED if kind in reserved})
    wanted.update(_generic(items(reserved, "GenericResources")))
    return wanted


def _generic(resources: list[Json]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for resource in resources:
        if (discrete := resource.get("DiscreteResourceSpec")) is not None:
            counts[f"generic {discrete.get('Kind', '')}"] += discrete.get("Value", 0)
        elif (named := resource.get("NamedResourceSpec")) is not None:
            counts[f"generic {named.get('Kind', '')}"] += 1
    return counts


def _host_ports(task: Task) -> set[tuple[str, int]]:
    return {
        (port["Protocol"], port["PublishedPort"])
        for port in items(task.endpoint or {}, "Ports")
        if port["PublishMode"] == "host" and port.get("PublishedPort")
    }
