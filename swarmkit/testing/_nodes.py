"""The routes of nodes: list, inspect, update, remove.

Owns: what a node's spec may be. Must not know: what its tasks do about that.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..models.node import NodeSpec
from ._call import Call, Response, answer, find, has_labels, has_prefix, nothing, nowhere
from ._store import Json, Node, Refusal, Store, part, rpc
from ._system import RELEASES, description


class Nodes:
    """The nodes of the swarm."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def route(self, call: Call, parts: Sequence[str]) -> Response:
        """The answer to a request about nodes."""
        match call.method, *parts:
            case ("GET",):
                return self._list(call)
            case "GET", name:
                return answer(200, self.find(name).wire())
            case "POST", name, "update":
                return self._update(call, name)
            case "DELETE", name:
                return self._remove(call, self.find(name))
            case _:
                raise nowhere()

    def find(self, name: str) -> Node:
        """The node with this id, host name, or beginning of an id."""
        return find(self._store.nodes, name, "node", lambda node: node.hostname, folded=False)

    def _list(self, call: Call) -> Response:
        filters = call.filters("name", "id", "label", "node.label", "role", "membership")
        for role in filters.get("role", []):
            if role.lower() not in ("worker", "manager"):
                raise Refusal(500, f"Invalid role filter: '{role}'")
        for membership in filters.get("membership", []):
            if membership.lower() not in ("accepted", "pending"):
                raise Refusal(500, f"Invalid membership filter: '{membership}'")
        found = [
            node
            for node in self._store.nodes.values()
            if has_prefix(node.id, filters.get("id"))
            and has_prefix(node.hostname, filters.get("name"))
            and has_labels(node.labels, filters.get("node.label"))
            and has_labels(part(node.description["Engine"], "Labels"), filters.get("label"))
            and node.spec["Role"] in [role.lower() for role in filters.get("role", [node.spec["Role"]])]
            and node.membership in [text.lower() for text in filters.get("membership", [node.membership])]
        ]
        return answer(200, [node.wire() for node in found])

    def _update(self, call: Call, name: str) -> Response:
        version = call.version_of("node")
        spec = call.reader.read(call.request.body, NodeSpec)
        node = self.find(name)
        for key, known in (("Role", ("worker", "manager")), ("Availability", ("active", "pause", "drain"))):
            value = str(spec.get(key, "")).lower()
            if value not in known:
                raise Refusal(400, f'invalid {key}: "{spec.get(key, "")}"')
            spec[key] = value
        managers = [other for other in self._store.nodes.values() if other.spec["Role"] == "manager"]
        if version != node.index:
            raise rpc("Unknown", "update out of sequence")
        if managers == [node] and spec["Role"] == "worker":
            raise rpc("FailedPrecondition", "attempting to demote the last manager of the swarm")
        self.change(node, {**spec, "Labels": part(spec, "Labels")})
        return nothing()

    def change(self, node: Node, spec: Json) -> None:
        """Give a node another spec."""
        attributes = {"name": node.hostname}
        for key, name in (("Availability", "availability"), ("Role", "role")):
            if spec[key] != node.spec[key]:
                attributes |= {f"{name}.new": spec[key], f"{name}.old": node.spec[key]}
        node.spec, node.membership = spec, "pending"  # engines leave it out of what they tell the manager
        self._store.touch(node)
        self._store.emit("node", "update", node.id, attributes)

    def _remove(self, call: Call, node: Node) -> Response:
        if node.spec["Role"] == "manager":
            member = f"node {node.id} is a cluster manager and is a member of the raft cluster"
            raise rpc("FailedPrecondition", f"{member}. It must be demoted to worker before removal")
        if node.state != "down" and not call.flag("force"):
            raise rpc("FailedPrecondition", f"node {node.id} is not down and can't be removed")
        del self._store.nodes[node.id]
        node.reachable = True
        self._store.touch(node)
        self._store.emit("node", "remove", node.id, {"name": node.hostname})
        return nothing()

    def add(self, hostname: str, role: str, labels: dict[str, str], resources: Json) -> Node:
        """A further node of the swarm."""
        spec: Json = {"Labels": labels, "Role": role, "Availability": "active"}
        node = Node(
            id=self._store.new_id(),
            spec=spec,
            description=description(RELEASES[self._store.version], hostname, resources),
        )
        node.address = f"10.77.0.{len(self._store.nodes) + 1}" if self._store.nodes else "127.0.0.1"
        self._store.nodes[node.id] = node
        self._store.touch(node)
        if len(self._store.nodes) > 1:
            self._store.emit("node", "create", node.id, {"name": hostname})
        return node

    @property
    def leader(self) -> Node:
        """The node that this engine is."""
        return next(node for node in self._store.nodes.values() if node.leader)
