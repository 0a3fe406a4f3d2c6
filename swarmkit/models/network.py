"""Networks: as services ask for them, as engines make and show them, and as tasks are attached to them."""

from typing import Annotated, Literal

from pydantic import Field

from ..versions import Since
from ._wire import Bool, Int, Timestamp, WireModel
from .common import Driver, SwarmObject

Scope = Literal["local", "swarm", "global"]


class NetworkAttachmentConfig(WireModel):
    """A network that every task of a service joins."""

    target: str | None = None
    """Name or id of the network. Engines store the id."""
    aliases: list[str] | None = None
    """Further names under which the tasks are found on this network."""
    driver_opts: Annotated[dict[str, str] | None, Since("1.30"), Field(repr=False)] = None
    """Options for the network's driver, for this attachment."""


# --- as engines make and show them -----------------------------------------------------------------------------------


class IPAMConfig(WireModel):
    """A subnet of a network."""

    subnet: str | None = None
    """The subnet, such as `10.0.9.0/24`."""
    ip_range: str | None = None
    """The part of it that addresses are taken from."""
    gateway: str | None = None
    """Address of the gateway."""
    auxiliary_addresses: dict[str, str] | None = None
    """Addresses that are never given out, by name."""


class IPAM(WireModel):
    """How the addresses of a network are given out."""

    driver: str | None = None
    """Address driver; engines default to `default`."""
    options: Annotated[dict[str, str] | None, Field(repr=False)] = None
    """Options of that driver; may hold credentials, so never shown."""
    config: list[IPAMConfig] | None = None
    """Subnets."""


class ConfigFrom(WireModel):
    """The config-only network from which a network takes its settings."""

    network: str | None = None
    """Its name."""


class NetworkCreateRequest(WireModel):
    """What a user says about a network."""

    name: str | None = None
    """Name."""
    driver: str | None = None
    """Driver, such as `overlay`; engines default to `bridge`, which is local to one node."""
    scope: Annotated[Scope | str | None, Since("1.30")] = None
    """Where it is known; drivers have their own."""
    enable_ipv4: Annotated[Bool | None, Since("1.48", presence=True, idle=True)] = None
    """Give out IPv4 addresses; engines default to yes."""
    enable_ipv6: Bool | None = None
    """Give out IPv6 addresses."""
    ipam: IPAM | None = None
    """How addresses are given out."""
    internal: Bool | None = None
    """Without a way to the outside."""
    attachable: Annotated[Bool | None, Since("1.25")] = None
    """Containers that belong to no service may join."""
    ingress: Annotated[Bool | None, Since("1.29")] = None
    """It carries the routing mesh; a swarm has at most one such network."""
    config_only: Annotated[Bool | None, Since("1.30")] = None
    """It is no network but settings for others."""
    config_from: Annotated[ConfigFrom | None, Since("1.30")] = None
    """The network from which the settings are taken."""
    options: Annotated[dict[str, str] | None, Field(repr=False)] = None
    """Options of the driver."""
    labels: dict[str, str] | None = None
    """Labels."""
    check_duplicate: Bool | None = None
    """Refuse a name that is taken. Engines from 25.0 on always do."""


class NetworkCreated(WireModel):
    """The network that was created."""

    id: Annotated[str, Field(alias="Id")]
    """Its id."""
    warning: str = ""
    """What the engine remarks; mostly nothing."""


class NetworkContainer(WireModel):
    """A container on a network."""

    name: str | None = None
    """Name of the container."""
    endpoint_id: str | None = None
    """Id of its endpoint."""
    mac_address: str | None = None
    """Hardware address."""
    ipv4_address: str | None = None
    """IPv4 address with prefix length."""
    ipv6_address: str | None = None
    """IPv6 address with prefix length."""


class NetworkPeer(WireModel):
    """An engine that takes part in an overlay network."""

    name: str | None = None
    """Its name in the network."""
    ip: str | None = None
    """Its address."""


class NetworkTask(WireModel):
    """A task on an overlay network."""

    name: str | None = None
    """Name of the task."""
    endpoint_id: str | None = None
    """Id of its endpoint."""
    endpoint_ip: str | None = None
    """Its address."""
    info: dict[str, str] | None = None
    """What else the network knows, as the host's address."""


class NetworkService(WireModel):
    """A service on an overlay network."""

    vip: str | None = None
    """Its virtual address."""
    ports: list[str] | None = None
    """Ports it publishes there."""
    local_lb_index: Annotated[Int | None, Field(alias="LocalLBIndex")] = None
    """Number of its load balancer on this node."""
    tasks: list[NetworkTask] | None = None
    """Its tasks."""


class SubnetStatus(WireModel):
    """How full a subnet is."""

    ips_in_use: Annotated[Int | None, Field(alias="IPsInUse")] = None
    """Addresses given out or reserved."""
    dynamic_ips_available: Annotated[Int | None, Field(alias="DynamicIPsAvailable")] = None
    """Addresses left to give out."""


class IPAMStatus(WireModel):
    """How full the subnets of a network are."""

    subnets: dict[str, SubnetStatus] | None = None
    """The subnets, by their address."""


class NetworkStatus(WireModel):
    """How a network is."""

    ipam: IPAMStatus | None = None
    """How full its subnets are."""


class Network(WireModel):
    """A network as an engine shows it."""

    id: Annotated[str, Field(alias="Id")]
    """Its id."""
    name: str | None = None
    """Its name."""
    created: Timestamp = None
    """When it was made."""
    scope: Scope | str | None = None
    """Where it is known: on this engine, or in the swarm."""
    driver: str | None = None
    """Its driver."""
    enable_ipv4: Bool | None = None
    """It gives out IPv4 addresses."""
    enable_ipv6: Bool | None = None
    """It gives out IPv6 addresses."""
    ipam: IPAM | None = None
    """How addresses are given out."""
    internal: Bool | None = None
    """Without a way to the outside."""
    attachable: Bool | None = None
    """Containers that belong to no service may join."""
    ingress: Bool | None = None
    """It carries the routing mesh."""
    config_from: ConfigFrom | None = None
    """The network from which the settings are taken."""
    config_only: Bool | None = None
    """It is no network but settings for others."""
    containers: dict[str, NetworkContainer] | None = None
    """Containers of this engine on it, by id; lists leave them out."""
    options: Annotated[dict[str, str] | None, Field(repr=False)] = None
    """Options of the driver."""
    labels: dict[str, str] | None = None
    """Labels."""
    peers: list[NetworkPeer] | None = None
    """Engines that take part in it."""
    services: dict[str, NetworkService] | None = None
    """Services on it, by name, where asked for with `verbose`."""
    status: NetworkStatus | None = None
    """How it is; API 1.52."""


class EndpointIPAMConfig(WireModel):
    """Addresses that a container asks for."""

    ipv4_address: str | None = None
    """IPv4 address."""
    ipv6_address: str | None = None
    """IPv6 address."""
    link_local_ips: list[str] | None = None
    """Link-local addresses."""


class EndpointSettings(WireModel):
    """How a container is on a network."""

    ipam_config: EndpointIPAMConfig | None = None
    """Addresses it asks for."""
    links: list[str] | None = None
    """Containers it knows by other names."""
    aliases: list[str] | None = None
    """Further names it is found under."""
    driver_opts: Annotated[dict[str, str] | None, Since("1.30"), Field(repr=False)] = None
    """Options for the network's driver."""
    gw_priority: Annotated[Int | None, Since("1.48")] = None
    """Of several networks the one with the highest number has the default gateway."""
    mac_address: Annotated[str | None, Since("1.54")] = None
    """Hardware address."""


class NetworkConnectRequest(WireModel):
    """The container that joins a network."""

    container: str | None = None
    """Its id or name."""
    endpoint_config: EndpointSettings | None = None
    """How it joins."""


class NetworkDisconnectRequest(WireModel):
    """The container that leaves a network."""

    container: str | None = None
    """Its id or name."""
    force: Bool | None = None
    """Also where the container is gone."""


class NetworksPruned(WireModel):
    """The networks that were removed because nothing used them."""

    networks_deleted: list[str] | None = None
    """Their names."""


# --- as tasks are attached to them -----------------------------------------------------------------------------------


class SwarmIPAMConfig(WireModel):
    """A subnet, as the managers keep it."""

    subnet: str | None = None
    """The subnet."""
    range: str | None = None
    """The part of it that addresses are taken from."""
    gateway: str | None = None
    """Address of the gateway."""


class SwarmIPAMOptions(WireModel):
    """How the addresses of a network are given out, as the managers keep it."""

    driver: Driver | None = None
    """Address driver."""
    configs: list[SwarmIPAMConfig] | None = None
    """Subnets."""


class SwarmNetworkSpec(WireModel):
    """What a user said about a network, as the managers keep it."""

    name: str | None = None
    """Its name."""
    labels: dict[str, str] | None = None
    """Labels."""
    driver_configuration: Driver | None = None
    """Its driver."""
    ipv6_enabled: Bool | None = None
    """It gives out IPv6 addresses."""
    internal: Bool | None = None
    """Without a way to the outside."""
    attachable: Bool | None = None
    """Containers that belong to no service may join."""
    ingress: Bool | None = None
    """It carries the routing mesh."""
    ipam_options: SwarmIPAMOptions | None = None
    """How addresses are given out."""
    config_from: ConfigFrom | None = None
    """The network from which the settings are taken."""
    scope: Scope | str | None = None
    """Where it is known."""


class SwarmNetwork(SwarmObject):
    """A network, as the managers keep it."""

    spec: SwarmNetworkSpec | None = None
    """What the user said about it."""
    driver_state: Driver | None = None
    """What the driver made of that."""
    ipam_options: SwarmIPAMOptions | None = None
    """The subnets it got."""


class NetworkAttachment(WireModel):
    """A network that a task is on."""

    network: SwarmNetwork | None = None
    """The network."""
    addresses: list[str] | None = None
    """The task's addresses there, with prefix length."""
