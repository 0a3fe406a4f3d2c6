"""The nodes of the swarm. One method, one operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from . import patch, refusals
from ._conflicts import Conflicts, Write, strictly
from ._engine import Engine, reference
from .models._wire import UNSET, Unset
from .models.common import ObjectVersion
from .models.filters import NodeFilters, NodeListQuery, NodeRemoveQuery, NodeUpdateQuery
from .models.node import Node, NodeSpec
from .models.system import SystemInfo

_SELF = "self"


class Nodes:
    """The nodes of the swarm, by id, the beginning of an id, or host name; `self` is that of the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._conflicts = Conflicts(engine.clock)

    async def inspect(self, node: str) -> Node:
        """The node with this id, id prefix or host name; for `self`, that of the engine itself.

        GET /nodes/{id}, API 1.24; for `self` also GET /info.

        Raises:
            NotFound: there is no such node.
            BadRequest: several ids begin so, or several nodes have that host name.
            InvalidReference: not an id or name.
        """
        return await self._engine.call("GET", f"/nodes/{await self._id(node)}", into=Node)

    async def update(
        self,
        node: str,
        *,
        version: int | ObjectVersion | None = None,
        labels: Mapping[str, str] | Unset | None = UNSET,
        role: Literal["worker", "manager"] | str | Unset = UNSET,
        availability: Literal["active", "pause", "drain"] | str | Unset = UNSET,
    ) -> None:
        """Change what is given and nothing else; where that is so already, nothing is sent.

        `labels` are all the labels that the node has then, None for none: `edit` adds and removes single ones. A
        conflict with another change is read again and applied again; with `version` the change is based on that
        version index or fails.

        POST /nodes/{id}/update, API 1.24.

        Raises:
            OutOfSequence: with `version`: the node has changed since; without: others were faster all the time.
            FailedPrecondition: it is the last manager, or the others would be too few, and cannot be demoted.
            BadRequest: no such role or availability.
            NotFound: there is no such node.
            OutcomeUnknown: its answer was lost, and reading the node did not tell whether it took effect.
        """
        given: dict[str, Any] = {
            "labels": dict(labels) if isinstance(labels, Mapping) else labels,
            "role": role,
            "availability": availability,
        }
        changes = NodeSpec(**{key: value for key, value in given.items() if value is not UNSET})
        await self._change(node, lambda spec: patch.merge(spec, changes), version=version)

    async def edit(self, node: str, change: Callable[[NodeSpec], NodeSpec | None]) -> None:
        """Change a node by a function: it gets a copy of the live spec, and alters it or returns another.

        `client.nodes.edit("worker-1", lambda spec: spec.add_label(zone="a"))` leaves the other labels alone. On a
        conflict the function is called again with what is live then, so it should do nothing else. Where it changes
        nothing, nothing is sent.

        POST /nodes/{id}/update, API 1.24.

        Raises:
            OutOfSequence: others were faster all the time.
            FailedPrecondition: it is the last manager, or the others would be too few, and cannot be demoted.
            InvalidSpec: a key that no engine has, or a value that was put in past validation.
            BadRequest: no such role or availability.
            NotFound: there is no such node.
            OutcomeUnknown: its answer was lost, and reading the node did not tell whether it took effect.
        """
        await self._change(node, change)

    async def drain(self, node: str) -> None:
        """Have a node give up its tasks, and take none: others take their place on other nodes.

        It returns when that is decided; `client.services.wait` says when the tasks run elsewhere.

        POST /nodes/{id}/update, API 1.24. Raises what `update` raises.
        """
        await self.update(node, availability="drain")

    async def pause(self, node: str) -> None:
        """Have a node keep its tasks, and take no more.

        POST /nodes/{id}/update, API 1.24. Raises what `update` raises.
        """
        await self.update(node, availability="pause")

    async def activate(self, node: str) -> None:
        """Have a node take tasks again.

        POST /nodes/{id}/update, API 1.24. Raises what `update` raises.
        """
        await self.update(node, availability="active")

    async def promote(self, node: str) -> None:
        """Make a node a manager. It joins the others some time later: then its `manager_status` is there.

        POST /nodes/{id}/update, API 1.24. Raises what `update` raises.
        """
        await self.update(node, role="manager")

    async def demote(self, node: str) -> None:
        """Make a manager a worker. It leaves the others some time later: then its `manager_status` is None.

        POST /nodes/{id}/update, API 1.24. Raises what `update` raises.
        """
        await self.update(node, role="worker")

    async def remove(self, node: str, *, force: bool = False) -> None:
        """Remove a node that has left the swarm, or is down; with `force` also a worker that is up.

        DELETE /nodes/{id}, API 1.24.

        Raises:
            FailedPrecondition: the node is not down, or it is a manager: demote it first.
            NotFound: there is no such node.
            InvalidReference: not an id or name.
            OutcomeUnknown: it was sent and the answer lost.
        """
        query = NodeRemoveQuery(force=True) if force else None
        await self._engine.call("DELETE", f"/nodes/{await self._id(node)}", query=query)

    async def _id(self, node: str) -> str:
        """What a path takes; asked for once for each operation, since another engine may answer the next request."""
        if node != _SELF:
            return reference(node, "node")
        info = await self._engine.call("GET", "/info", into=SystemInfo)
        return (info.swarm and info.swarm.node_id) or _SELF  # it is in no swarm: the engine says it better

    async def _change(
        self,
        node: str,
        change: Callable[[NodeSpec], NodeSpec | None],
        *,
        version: int | ObjectVersion | None = None,
    ) -> None:
        """Read, change, refuse, post; again on a conflict, unless the change is based on a certain version."""

        async def prepare(live: Node) -> Write[Node, bool]:
            spec = patch.changed(live.spec, change)
            await self._engine.refuse(refusals.problems_of_node(spec), refusals.unheard(spec, live.spec))
            if _is(live.spec, spec):
                return Write[Node, bool].of_nothing(True)
            query = NodeUpdateQuery(version=live.version.index)

            async def send() -> bool:
                await self._engine.call("POST", f"/nodes/{live.id}/update", query=query, body=spec)
                return True

            return Write(send, lambda now: _is(now.spec, spec) or None)

        with self._engine.one_deadline():
            found = await self._id(node)
            if version is None:
                await self._conflicts.settle(lambda: self.inspect(found), prepare, timeout=self._engine.timeout)
            else:
                await strictly(lambda: self.inspect(found), prepare, version=version, path=f"/nodes/{found}/update")

    # Last in the class: below it, `list` would mean this method in annotations.
    async def list(self, *, filters: NodeFilters | Mapping[str, Any] | None = None) -> list[Node]:
        """The nodes that match, in no order.

        GET /nodes, API 1.24.

        Raises:
            pydantic.ValidationError: there is no such filter.
            EngineError: no such role or membership.
        """
        query = NodeListQuery(filters=NodeFilters.of(filters))
        return await self._engine.call("GET", "/nodes", query=query, into=list[Node])


def _is(live: NodeSpec, spec: NodeSpec) -> bool:
    """Whether a node is what a spec says; engines take words in any case, and no labels for none."""
    return not patch.diff(_settled(live), _settled(spec))


def _settled(spec: NodeSpec) -> NodeSpec:
    settled = spec.model_copy(deep=True)
    settled.name, settled.labels = spec.name or None, spec.labels or None
    settled.role, settled.availability = (spec.role or "").lower(), (spec.availability or "").lower()
    return settled
