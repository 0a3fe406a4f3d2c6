"""Where a service is reached: its ports, and its virtual addresses."""

from typing import Annotated, Literal, Self

from ..versions import Since
from ._wire import Int, WireModel

Protocol = Literal["tcp", "udp", "sctp"]
PublishMode = Literal["ingress", "host"]


class PortConfig(WireModel):
    """A port of the tasks that is reachable from outside."""

    name: str | None = None
    """A name for it."""
    protocol: Annotated[Protocol | str | None, Since("1.37", value="sctp")] = None
    """Protocol; engines default to tcp."""
    target_port: Int | None = None
    """Port in the container."""
    published_port: Int | None = None
    """Port outside; 0 or none lets the manager choose one."""
    publish_mode: Annotated[PublishMode | str | None, Since("1.25", idle="ingress")] = None
    """On every node through the routing mesh (ingress, the default), or on the task's own node (host)."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The port written as `[PUBLISHED:]TARGET[/PROTOCOL]`, such as `8080:80/udp`.

        Raises:
            ValueError: the text is not of that form, or has a port outside 1 to 65535 or another protocol.
        """
        ports, slash, protocol = text.partition("/")
        published, colon, target = ports.rpartition(":")
        if slash and protocol not in ("tcp", "udp", "sctp"):
            raise ValueError(f"not a protocol (tcp, udp or sctp) in port {text[:80]!r}")
        port = cls(target_port=_port(target, text))
        if colon:
            port.published_port = _port(published, text)
        if slash:
            port.protocol = protocol
        return port


def _port(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5 and 1 <= int(digits) <= 65535):
        raise ValueError(f"not a port (expected a form like '8080:80/udp', ports from 1 to 65535): {text[:80]!r}")
    return int(digits)


class EndpointSpec(WireModel):
    """How the service is reached."""

    mode: Literal["vip", "dnsrr"] | str | None = None
    """One virtual address for all tasks (vip, the default), or the tasks' own addresses (dnsrr)."""
    ports: list[PortConfig] | None = None
    """Ports reachable from outside."""


class EndpointVirtualIP(WireModel):
    """The virtual address of a service on one network."""

    network_id: str | None = None
    """Id of the network."""
    addr: str | None = None
    """Address with prefix length, such as `10.0.0.5/24`."""


class Endpoint(WireModel):
    """How the manager made a service reachable."""

    spec: EndpointSpec | None = None
    """What was asked for."""
    ports: list[PortConfig] | None = None
    """Ports as published, chosen ones included."""
    virtual_ips: list[EndpointVirtualIP] | None = None
    """Virtual addresses."""
