"""The nodes of the swarm. One method, one operation."""

from __future__ import annotations

from ._engine import Engine
from .models.node import Node


class Nodes:
    """The nodes of the swarm."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # Last in the class: below it, `list` would mean this method in annotations.
    async def list(self) -> list[Node]:
        """All nodes, in no order.

        GET /nodes, API 1.24.
        """
        return await self._engine.call("GET", "/nodes", into=list[Node])
