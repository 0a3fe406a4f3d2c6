"""Nodes of the swarm."""

from typing import Literal

from ._wire import Timestamp, WireModel
from .task import ObjectVersion


class NodeSpec(WireModel):
    """What a user says about a node."""

    name: str | None = None
    """Name of the node, if it was given one."""
    labels: dict[str, str] | None = None
    """Labels, for placement."""
    role: Literal["worker", "manager"] | str | None = None
    """Role it should have."""
    availability: Literal["active", "pause", "drain"] | str | None = None
    """Whether it takes tasks."""


class NodeStatus(WireModel):
    """How a node is."""

    state: Literal["unknown", "down", "ready", "disconnected"] | str | None = None
    """Whether the managers hear from it."""
    message: str | None = None
    """What they say about it."""
    addr: str | None = None
    """Its address."""


class NodeDescription(WireModel):
    """What a node says about itself."""

    hostname: str | None = None
    """Host name."""


class Node(WireModel):
    """A node as the managers see it."""

    id: str
    """Id of the node."""
    version: ObjectVersion
    """Version index of the node."""
    created_at: Timestamp = None
    """When it joined."""
    updated_at: Timestamp = None
    """When it last changed."""
    spec: NodeSpec
    """What the user says about it."""
    description: NodeDescription | None = None
    """What it says about itself."""
    status: NodeStatus | None = None
    """How it is."""
