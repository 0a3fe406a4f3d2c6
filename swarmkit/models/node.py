"""Nodes of the swarm: what a user says about one, what it says about itself, and how it is."""

from typing import Literal

from ._edits import LabelEdits
from ._wire import Base64, Bool, Int, WireModel
from .common import GenericResource, Platform, SwarmObject


class NodeSpec(WireModel, LabelEdits):
    """What a user says about a node."""

    name: str | None = None
    """A name to show. Engines find nodes by their host names, and not by this."""
    labels: dict[str, str] | None = None
    """Labels, for placement."""
    role: Literal["worker", "manager"] | str | None = None
    """Role it should have."""
    availability: Literal["active", "pause", "drain"] | str | None = None
    """Whether it takes tasks: it does, keeps those it has, or gives them up."""


class NodeStatus(WireModel):
    """How a node is."""

    state: Literal["unknown", "down", "ready", "disconnected"] | str | None = None
    """Whether the managers hear from it."""
    message: str | None = None
    """What they say about it."""
    addr: str | None = None
    """Its address."""


class ManagerStatus(WireModel):
    """The part of a manager among the managers."""

    leader: Bool | None = None
    """It leads the others."""
    reachability: Literal["unknown", "unreachable", "reachable"] | str | None = None
    """Whether the others reach it."""
    addr: str | None = None
    """Address and port at which they do."""


class NodeResources(WireModel):
    """What a node has for its tasks."""

    nano_cpus: Int | None = None
    """Billionths of a CPU."""
    memory_bytes: Int | None = None
    """Bytes of memory."""
    generic_resources: list[GenericResource] | None = None
    """Resources that it declares itself."""


class PluginDescription(WireModel):
    """A plugin of an engine, its own drivers included."""

    type: str | None = None
    """Kind, such as `Network`, `Volume` or `Log`."""
    name: str | None = None
    """Name."""


class EngineDescription(WireModel):
    """The engine of a node."""

    engine_version: str | None = None
    """Its release."""
    labels: dict[str, str] | None = None
    """Labels from its own configuration; not the node's."""
    plugins: list[PluginDescription] | None = None
    """Its plugins."""


class TLSInfo(WireModel):
    """What the certificates of the swarm go back to."""

    trust_root: str | None = None
    """Certificate of the root CA, as PEM."""
    cert_issuer_subject: Base64 | None = None
    """Subject of the issuer, as DER."""
    cert_issuer_public_key: Base64 | None = None
    """Public key of the issuer, as DER."""


class Topology(WireModel):
    """Where a node is, in a storage plugin's own terms."""

    segments: dict[str, str] | None = None
    """Names and values."""


class NodeCSIInfo(WireModel):
    """A storage plugin (CSI) on a node."""

    plugin_name: str | None = None
    """Name of the plugin."""
    node_id: str | None = None
    """Id by which the plugin knows the node."""
    max_volumes_per_node: Int | None = None
    """Most volumes it can use at a time, 0 for no limit."""
    accessible_topology: Topology | None = None
    """Where it is."""


class NodeDescription(WireModel):
    """What a node says about itself."""

    hostname: str | None = None
    """Host name."""
    platform: Platform | None = None
    """Operating system and architecture."""
    resources: NodeResources | None = None
    """What it has for tasks."""
    engine: EngineDescription | None = None
    """Its engine."""
    tls_info: TLSInfo | None = None
    """Whom it trusts."""
    csi_info: list[NodeCSIInfo] | None = None
    """Its storage plugins."""


class Node(SwarmObject):
    """A node as the managers see it."""

    spec: NodeSpec
    """What the user says about it."""
    description: NodeDescription | None = None
    """What it says about itself."""
    status: NodeStatus | None = None
    """How it is."""
    manager_status: ManagerStatus | None = None
    """Its part among the managers; None for a worker."""

    @property
    def hostname(self) -> str:
        """Host name of the node; empty until it has said so."""
        return (self.description and self.description.hostname) or ""
