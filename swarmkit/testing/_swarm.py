"""The routes of the swarm itself, and what this engine is in it.

Owns: the swarm's spec, its tokens, and whether this engine manages it. Must not know: what is in the swarm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..models.swarm import SwarmSpec
from ._call import Call, Response, answer, nothing, nowhere
from ._store import Json, Refusal, Store, part, rpc
from ._system import TLS, Cluster, cluster

_NO_MANAGER: Final = "This node is not a swarm manager. "
_STATES: Final = {
    "inactive": f'{_NO_MANAGER}Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try'
    " again.",
    "worker": f"{_NO_MANAGER}Worker nodes can't be used to view or modify cluster state. Please run this command on a"
    " manager node or promote the current node to a manager.",
    "locked": "Swarm is encrypted and needs to be unlocked before it can be used. Please use"
    ' "docker swarm unlock" to unlock it.',
}
_ALREADY: Final = (
    'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
)
_LAST: Final = (
    "You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager"
    " erases all current state of the swarm. Use `--force` to ignore this message. "
)
_NO_LEADER: Final = (
    "The swarm does not have a leader. It's possible that too few managers are online."
    " Make sure more than half of the managers are online."
)


class Swarm:
    """The swarm, and this engine's part in it."""

    def __init__(self, store: Store, node_id: Callable[[], str], dissolve: Callable[[], None]) -> None:
        self._store = store
        self._node_id = node_id
        self._dissolve = dissolve
        self.cluster: Cluster = cluster(store)
        self.state = "manager"
        """What this engine is: manager, worker, inactive or locked."""
        self.has_leader = True
        store.touch(self.cluster)

    @property
    def is_manager(self) -> bool:
        """This engine manages the swarm."""
        return self.state == "manager"

    def check(self) -> None:
        """Refuse what only a manager can do."""
        if not self.is_manager:
            raise Refusal(503, _STATES[self.state])
        if not self.has_leader:
            raise rpc("Unknown", _NO_LEADER)

    def show(self) -> Json:
        """The swarm, without its tokens."""
        body = {**self.cluster.head(), "Spec": self.cluster.spec, "TLSInfo": TLS, "RootRotationInProgress": False}
        return {**body, "DefaultAddrPool": ["10.0.0.0/8"], "SubnetSize": 24, "DataPathPort": 4789}

    def route(self, call: Call, parts: Sequence[str]) -> Response:
        """The answer to a request about the swarm."""
        match call.method, *parts:
            case "POST", ("init" | "join") as verb:
                if self.state != "inactive":
                    raise Refusal(503, _ALREADY)
                self.state = "manager"
                return answer(200, self._node_id()) if verb == "init" else nothing()
            case "POST", "leave":
                return self._leave(call)
            case "POST", "unlock":
                return self._unlock(call)
            case _:
                self.check()
        match call.method, *parts:
            case ("GET",):
                return answer(200, {**self.show(), "JoinTokens": self.cluster.tokens})
            case "POST", "update":
                return self._update(call)
            case "GET", "unlockkey":
                locks = part(self.cluster.spec, "EncryptionConfig").get("AutoLockManagers")
                return answer(200, {"UnlockKey": self.cluster.unlock_key if locks else ""})
            case _:
                raise nowhere()

    def _update(self, call: Call) -> Response:
        version = call.version_of("swarm")
        spec = call.reader.read(call.request.body, SwarmSpec)
        if version != self.cluster.index:
            raise rpc("Unknown", "update out of sequence")
        old = self.cluster.spec
        parts = {key: {**part(old, key), **spec[key]} for key in spec if key not in ("Name", "Labels")}
        parts["EncryptionConfig"] = {"AutoLockManagers": False, **part(spec, "EncryptionConfig")}
        self.cluster.spec = {**old, "Labels": part(spec, "Labels"), **parts}
        for role in ("Worker", "Manager"):
            if call.flag(f"rotate{role}Token"):
                self.cluster.rotate(role, self._store)
        self._store.touch(self.cluster)
        return nothing()

    def _leave(self, call: Call) -> Response:
        if self.state == "inactive":
            raise Refusal(503, "This node is not part of a swarm")
        if self.is_manager and not call.flag("force"):
            raise Refusal(503, _LAST)
        self._dissolve()
        self.state = "inactive"
        return nothing()

    def _unlock(self, call: Call) -> Response:
        if self.state != "locked":
            raise Refusal(409, "swarm is not locked")
        if call.reader.plain(call.request.body).get("UnlockKey") != self.cluster.unlock_key:
            raise Refusal(400, "swarm could not be unlocked: invalid key provided")
        self.state = "manager"
        return nothing()
