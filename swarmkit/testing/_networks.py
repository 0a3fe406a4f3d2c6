"""The routes of networks: create, list, inspect, remove, prune.

Owns: subnets, and that nobody removes a network that is in use. Must not know: what goes over one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_interface
from typing import Final

from ..models.network import NetworkCreateRequest
from ._agent import task_name
from ._call import Call, Response, answer, find, has_labels, has_prefix, nothing, nowhere
from ._spec import validate_name
from ._store import Json, Network, Refusal, State, Store, items, part, rpc

_PREDEFINED: Final = ("bridge", "host", "none")
_KINDS: Final = ("builtin", "custom")
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
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
                _check(filters)
                found = [network for network in self._store.networks.values() if self._passes(network, filters)]
                return answer(200, [self._show(network) for network in found])
            case "POST", "create":
                return self._create(call, is_manager=is_manager)
            case "POST", "prune":
                return self._prune()
            case "GET", name:
                network = self._find(name, call.query.get("scope", ""))
                services = {"Services": self._services_on(network)} if call.flag("verbose") else {}
                return answer(200, {**self._show(network), **services})
            case "DELETE", name:
                return self._remove(self._find(name))
            case _:
                raise nowhere()

    def _find(self, name: str, scope: str = "") -> Network:
        # The manager has a host and a bridge of its own, for the services on them.
        both = ("bridge", "host") if scope == "swarm" else ()
        known = {net.id: net for net in self._store.networks.values() if scope in ("", net.scope) or net.name in both}
        return find(known, name, "network", lambda network: network.name, folded=False)

    def _show(self, network: Network) -> Json:
        return network.wire(ipv4=self._store.version >= (1, 48))

    def _passes(self, network: Network, filters: Mapping[str, list[str]]) -> bool:
        kind = "builtin" if network.name in _PREDEFINED else "custom"
        names, ids = filters.get("name"), filters.get("id")
        # The manager wants the whole name, and the beginning of an id.
        in_swarm = network.scope == "swarm"
        return (
            (not names or any(network.name == name if in_swarm else name in network.name for name in names))
            and (has_prefix(network.id, ids) if in_swarm else not ids or any(one in network.id for one in ids))
            and has_labels(network.labels, filters.get("label"))
            and network.driver in filters.get("driver", [network.driver])
            and network.scope in filters.get("scope", [network.scope])
            and kind in filters.get("type", [kind])
            and (not (dangling := filters.get("dangling")) or _FLAGS[dangling[0]] == self._dangles(network))
        )

    def _dangles(self, network: Network) -> bool:
        return network.name not in _PREDEFINED and self._user_of(network) is None

    def _create(self, call: Call, *, is_manager: bool) -> Response:
        spec = call.reader.read(call.request.body, NetworkCreateRequest)
        name = str(spec.get("Name", ""))
        driver = "null" if spec.get("ConfigOnly") else str(spec.get("Driver") or "bridge")
        in_swarm = driver == "overlay" or spec.get("Scope") == "swarm"
        old = self._store.version < (1, 42)
        if not name:
            said = "invalid name: name is empty" if self._store.version >= (1, 48) else "invalid name: "
            raise Refusal(500 if old else 400, said)
        if any(network.name == name for network in self._store.networks.values()):
            raise Refusal(409, f"network with name {name} already exists")
        self._validate(spec, driver, in_swarm=in_swarm)
        for config in items(spec, "IPAM", "Config"):
            _validate_subnet(str(config.get("Subnet", "")), old=old)
        if in_swarm:
            if not is_manager:
                raise Refusal(403, "This node is not a swarm manager. Connect this node to a swarm as a manager.")
            self._ask_the_manager(spec, name)
        network = self._add(spec, driver, "swarm" if in_swarm else "local")
        return answer(201, {"Id": network.id, "Warning": ""})

    def _validate(self, spec: Json, driver: str, *, in_swarm: bool) -> None:
        """What the engine itself refuses."""
        settings = part(spec, "ConfigFrom").get("Network")
        if spec.get("ConfigOnly"):
            if any(spec.get(key) for key in ("Ingress", "Internal", "Attachable", "Scope")):
                fields = "Network operator fields like [ ingress | internal | attachable | scope ] are not supported."
                raise Refusal(403, f"configuration network can only contain network specific fields. {fields}")
            if settings:
                raise Refusal(403, "a configuration network cannot depend on another configuration network")
        elif driver in ("host", "null"):
            raise Refusal(403, f'only one instance of "{driver}" network is allowed')
        elif driver not in ("overlay", "bridge", "macvlan", "ipvlan"):
            raise Refusal(404, f'plugin "{driver}" not found')
        if driver == "overlay" and spec.get("Scope") == "local":
            raise Refusal(403, "cannot downgrade network scope for overlay networks")
        if spec.get("Ingress") and driver != "overlay":
            raise Refusal(403, "Ingress network can only be global scope network")
        if spec.get("EnableIPv4") is False and self._store.version >= (1, 48) and in_swarm:
            raise Refusal(400, "IPv4 cannot be disabled in a Swarm scoped network")
        if settings:
            for key, what in (("Options", "network driver options"), ("IPAM", "user specified configurations")):
                if spec.get(key):
                    raise Refusal(403, f"{what} are not supported if the network depends on a configuration network")
            known = any(net.name == settings and net.spec.get("ConfigOnly") for net in self._store.networks.values())
            if not known and (not in_swarm or self._store.version >= (1, 48)):
                raise Refusal(404, f'configuration network "{settings}" does not exist')

    def _ask_the_manager(self, spec: Json, name: str) -> None:
        """What the manager refuses."""
        validate_name(name)
        of_swarm = [network for network in self._store.networks.values() if network.scope == "swarm"]
        if spec.get("Ingress"):
            if spec.get("Attachable"):
                raise rpc("InvalidArgument", "ingress network cannot be attachable")
            if there := next((network for network in of_swarm if network.spec.get("Ingress")), None):
                raise rpc("AlreadyExists", f"ingress network ({there.id}) is already present")
        if any(network.name.lower() == name.lower() for network in of_swarm):
            raise rpc("Unknown", "name conflicts with an existing object")

    def _add(self, spec: Json, driver: str, scope: str) -> Network:
        in_swarm = scope == "swarm"
        identity = self._store.new_id() if in_swarm else self._store.container_id()
        network = Network(id=identity, spec=spec, scope=scope, driver=driver, options=spec.get("Options", {}))
        given = items(spec, "IPAM", "Config")
        settings = part(spec, "ConfigFrom").get("Network")
        if in_swarm and driver == "overlay":
            number = sum(other.scope == "swarm" for other in self._store.networks.values())
            network.ipam = [_of_the_manager(one) for one in given or [{"Subnet": f"10.0.{number}.0/24"}]]
            network.options = {"com.docker.network.driver.overlay.vxlanid_list": str(4096 + number), **network.options}
        elif in_swarm:
            network.ipam = []  # each engine gives it a subnet of its own
        elif settings:
            source = next(other for other in self._store.networks.values() if other.name == settings)
            network.ipam, network.options = source.ipam, source.options
        elif driver == "null":
            network.ipam = given
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
            if network.id in task.addresses and max(task.desired, task.state) <= State.RUNNING:
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
        if network.spec.get("Ingress"):
            for service in self._store.services.values():
                if network.id in service.vips:
                    said = f"ingress network cannot be removed because service {service.id} depends on it"
                    raise rpc("FailedPrecondition", said)
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


def _check(filters: Mapping[str, list[str]]) -> None:
    """Refuse values that no filter has."""
    for kind in filters.get("type", []):
        if kind not in _KINDS:
            raise Refusal(500, f"invalid filter: 'type'='{kind}'")
    if filters.get("dangling", ["true"])[0] not in _FLAGS:
        wanted = 'must be "true" (or "1"), or "false" (or "0")'
        raise Refusal(400, f"invalid value for filter 'dangling', {wanted}")


def _validate_subnet(text: str, *, old: bool) -> None:
    try:
        subnet = ip_interface(text if "/" in text else "")  # no address alone
    except ValueError:
        if old:
            raise Refusal(500, f"Invalid subnet {text} : invalid CIDR address: {text}") from None
        raise Refusal(400, f"invalid network config:\ninvalid subnet {text}: invalid CIDR block notation") from None
    if not old and subnet.ip != subnet.network.network_address:
        raise Refusal(400, f"invalid network config:\ninvalid subnet {text}: it should be {subnet.network}")


def _of_the_manager(config: Json) -> Json:
    """A subnet as the manager keeps it."""
    kept = {key: config[key] for key in ("Subnet", "IPRange", "Gateway") if config.get(key)}
    return {**kept, "Gateway": kept.get("Gateway") or str(ip_interface(kept["Subnet"]).network.network_address + 1)}
