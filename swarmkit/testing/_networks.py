"""The routes of networks: create, list, inspect, remove, prune.

Owns: subnets, and that nobody removes a network that is in use. Must not know: what goes over one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ..models.network import NetworkCreateRequest
from ._agent import task_name
from ._call import Call, Response, answer, find, has_labels, has_prefix, nothing, nowhere
from ._store import Json, Network, Refusal, Store, items, rpc

_PREDEFINED: Final = ("bridge", "host", "none")
_FILTERS: Final = ("dangling", "driver", "id", "label", "name", "scope", "type")


class Networks:
    """The networks that this engine knows: its own, and the swarm's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        for name, driver in (("none", "null"), ("host", "host"), ("bridge", "bridge")):
            self._add({"Name": name}, driver, "local")
        self._add({"Name": "ingress", "Ingress": True}, "overlay", "swarm")

    def route(self, call: Call, parts: Sequence[str], *, is_manager: bool) -> Response:
        """The answer to a request about networks."""
        match call.method, *parts:
            case ("GET",):
                filters = call.filters(*_FILTERS)
                found = [network for network in self._store.networks.values() if self._passes(network, filters)]
                return answer(200, [self._show(network) for network in found])
            case "POST", "create":
                return self._create(call, is_manager=is_manager)
            case "POST", "prune":
                return self._prune()
            case "GET", name:
                network = self._find(name)
                services = {"Services": self._services_on(network)} if call.flag("verbose") else {}
                return answer(200, {**self._show(network), **services})
            case "DELETE", name:
                return self._remove(self._find(name))
            case _:
                raise nowhere()

    def _find(self, name: str) -> Network:
        return find(self._store.networks, name, "network", lambda network: network.name)

    def _show(self, network: Network) -> Json:
        return network.wire(ipv4=self._store.version >= (1, 48))

    def _passes(self, network: Network, filters: Mapping[str, list[str]]) -> bool:
        kind = "builtin" if network.name in _PREDEFINED else "custom"
        names = filters.get("name")
        return (
            (not names or any(name in network.name for name in names))
            and has_prefix(network.id, filters.get("id"))
            and has_labels(network.labels, filters.get("label"))
            and network.driver in filters.get("driver", [network.driver])
            and network.scope in filters.get("scope", [network.scope])
            and kind in filters.get("type", [kind])
            and (not (dangling := filters.get("dangling")) or (dangling[0] in ("true", "1")) == self._dangles(network))
        )

    def _dangles(self, network: Network) -> bool:
        return network.name not in _PREDEFINED and self._user_of(network) is None

    def _create(self, call: Call, *, is_manager: bool) -> Response:
        spec = call.reader.read(call.request.body, NetworkCreateRequest)
        name, driver = str(spec.get("Name", "")), str(spec.get("Driver") or "bridge")
        if driver not in ("overlay", "bridge", "macvlan", "ipvlan"):
            raise Refusal(404, f'plugin "{driver}" not found')
        if any(network.name == name for network in self._store.networks.values()):
            raise Refusal(409, f"network with name {name} already exists")
        scope = "swarm" if driver == "overlay" or spec.get("Scope") == "swarm" else "local"
        if scope == "swarm" and not is_manager:
            raise Refusal(403, "This node is not a swarm manager. Connect this node to a swarm as a manager.")
        network = self._add(spec, driver, scope)
        return answer(201, {"Id": network.id, "Warning": ""})

    def _add(self, spec: Json, driver: str, scope: str) -> Network:
        in_swarm = scope == "swarm"
        identity = self._store.new_id() if in_swarm else self._store.container_id()
        network = Network(id=identity, spec=spec, scope=scope, driver=driver, options=spec.get("Options", {}))
        given = items(spec, "IPAM", "Config")
        if in_swarm:
            number = sum(other.scope == "swarm" for other in self._store.networks.values())
            network.ipam = given or [{"Subnet": f"10.0.{number}.0/24", "Gateway": f"10.0.{number}.1"}]
            network.options = {"com.docker.network.driver.overlay.vxlanid_list": str(4096 + number), **network.options}
        elif driver == "bridge":
            number = 17 + sum(other.driver == "bridge" for other in self._store.networks.values())
            network.ipam = given or [{"Subnet": f"172.{number}.0.0/16", "Gateway": f"172.{number}.0.1"}]
        self._store.networks[network.id] = network
        self._store.touch(network)
        self._tell("create", network)
        if in_swarm:
            self._store.timeline.at(0, lambda: self._allocate(network))
        return network

    def _allocate(self, network: Network) -> None:
        """The manager gives a network of the swarm its subnet right after it was made."""
        if network.id in self._store.networks:
            self._store.touch(network)
            self._tell("update", network)

    def _tell(self, action: str, network: Network) -> None:
        kind = {"type": network.driver} if network.scope == "local" else {}
        self._store.emit("network", action, network.id, {"name": network.name, **kind}, network.scope)

    def _user_of(self, network: Network) -> str | None:
        """Who keeps a network from being removed."""
        for service in self._store.services.values():
            joined = [*items(service.template, "Networks"), *items(service.spec, "Networks")]
            if network.id in (one["Target"] for one in joined):
                return f"service {service.id}"
        for task in self._store.tasks.values():
            if network.id in task.addresses and not task.has_ended:
                return f"task {task.id}"
        return None

    def _services_on(self, network: Network) -> Json:
        found: Json = {}
        for task in self._store.tasks.values():
            address = task.addresses.get(network.id, "").partition("/")[0]
            if address and task.service is not None and not task.has_ended:
                vip = task.service.vips.get(network.id, "").partition("/")[0]
                entry = found.setdefault(task.service.name, {"VIP": vip, "Ports": [], "LocalLBIndex": 256, "Tasks": []})
                told = {"Name": task_name(task), "EndpointID": task.container_id, "EndpointIP": address}
                entry["Tasks"].append({**told, "Info": {"Host IP": "127.0.0.1"}})
        return found

    def _remove(self, network: Network) -> Response:
        if network.name in _PREDEFINED:
            raise Refusal(403, f"{network.name} is a pre-defined network and cannot be removed")
        if (user := self._user_of(network)) is not None:
            raise rpc("FailedPrecondition", f"network {network.id} is in use by {user}")
        self._drop(network)
        return nothing(204)

    def _drop(self, network: Network) -> None:
        del self._store.networks[network.id]
        self._store.index += 1
        self._tell("remove", network)

    def _prune(self) -> Response:
        unused = [network for network in self._store.networks.values() if self._dangles(network)]
        unused = [network for network in unused if not network.spec.get("Ingress")]
        for network in unused:
            self._drop(network)
        return answer(200, {"NetworksDeleted": [network.name for network in unused] or None})
