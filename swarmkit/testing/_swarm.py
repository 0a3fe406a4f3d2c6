"""The routes of the swarm itself, and what this engine is in it.

Owns: the swarm's spec, its tokens, and whether this engine manages it. Must not know: what is in the swarm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Final

from ..models.swarm import SwarmInitRequest, SwarmJoinRequest, SwarmSpec
from ._call import Call, Response, answer, nothing, nowhere
from ._store import Json, Refusal, Store, items, part, rpc
from ._system import Cluster, cluster

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
_LOCKED: Final = "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message."
_TOKEN: Final = re.compile(r"SWMTKN-\d-[0-9a-z]{50}-[0-9a-z]{25}")
_KEY: Final = re.compile(r"SWMKEY-1-[0-9A-Za-z+/]+")
_FLAG: Final = "invalid value for {1}: {0}"
_HOUR: Final = 3_600_000_000_000
_NOTHING: Final[Json] = {
    "Name": "default",
    "Labels": {},
    "Orchestration": {"TaskHistoryRetentionLimit": 0},
    "Raft": {"KeepOldSnapshots": 0, "ElectionTick": 0, "HeartbeatTick": 0},
    "Dispatcher": {},
    "CAConfig": {},
    "TaskDefaults": {},
    "EncryptionConfig": {"AutoLockManagers": False},
}
"""A spec that says nothing, as an update takes it: nothing goes back to a default."""
_ROTATION_SECONDS: Final = 2.0
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
        swarm = self.cluster
        body = {**swarm.head(), "Spec": swarm.spec, "TLSInfo": swarm.tls, "RootRotationInProgress": swarm.rotating}
        return {**body, **swarm.pool, "DataPathPort": swarm.data_path_port}

    def route(self, call: Call, parts: Sequence[str]) -> Response:
        """The answer to a request about the swarm."""
        match call.method, *parts:
            case "POST", "init":
                return self._init(call)
            case "POST", "join":
                return self._join(call)
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

    def _init(self, call: Call) -> Response:
        request = call.reader.read(call.request.body, SwarmInitRequest)
        anew = bool(request.get("ForceNewCluster"))
        if self.state != "inactive" and not (anew and self.is_manager):
            raise Refusal(503, _STATES[self.state] if anew else _ALREADY)
        _check_addresses(request)
        spec = part(request, "Spec")
        _check_name(spec)
        if pool := items(request, "DefaultAddrPool"):
            _check_pool(pool, request.get("SubnetSize") or 24)
        port = request.get("DataPathPort") or 4789
        if not 1024 <= port <= 49151:
            raise Refusal(500, f"Datapath port number is not in valid range (1024-49151) : {port}")
        if not anew:
            self.cluster = cluster(self._store)
            self.cluster.data_path_port = port
            if pool:
                self.cluster.pool = {"DefaultAddrPool": pool, "SubnetSize": request.get("SubnetSize") or 24}
        self._put(spec, self.cluster.spec)
        self.state, self.has_leader = "manager", True
        self._store.touch(self.cluster)
        return answer(200, self._node_id())

    def _join(self, call: Call) -> Response:
        request = call.reader.read(call.request.body, SwarmJoinRequest)
        if self.state != "inactive":
            raise Refusal(503, _ALREADY)
        _check_addresses(request)
        if not items(request, "RemoteAddrs"):
            raise Refusal(400, "at least 1 RemoteAddr is required to join")
        token = request.get("JoinToken") or ""
        if _TOKEN.fullmatch(token) is None:
            raise Refusal(500, "invalid join token")
        # There is no other engine: what a token of an unknown swarm lets it be is a manager.
        self.state = "worker" if token == self.cluster.tokens["Worker"] else "manager"
        return nothing()

    def _update(self, call: Call) -> Response:
        rotate = [role for role in ("Worker", "Manager") if call.boolean(f"rotate{role}Token", _FLAG)]
        rotates_key = call.boolean("rotateManagerUnlockKey", _FLAG)
        version = call.version_of("swarm")
        spec = call.reader.read(call.request.body, SwarmSpec)
        _check_name(spec)
        if version != self.cluster.index:
            raise rpc("Unknown", "update out of sequence")
        locked = part(self.cluster.spec, "EncryptionConfig").get("AutoLockManagers")
        self._put(spec, _NOTHING)
        for role in rotate:
            self.cluster.rotate(role, self._store)
        if rotates_key or not locked:
            self.cluster.rotate_key(self._store)
        self._store.touch(self.cluster)
        return nothing()

    def _put(self, spec: Json, before: Json) -> None:
        """Take over what a spec says; what it does not say is as before."""
        ca = part(spec, "CAConfig")
        _check_values(spec)
        kept = {key: {**part(before, key), **_said(part(spec, key))} for key in ("Orchestration", "Raft", "Dispatcher")}
        said = {key: value for key, value in _said(ca).items() if key not in ("SigningCACert", "SigningCAKey")}
        config = {**part(before, "CAConfig"), **said}
        config["ForceRotate"] = ca.get("ForceRotate") or 0
        if externals := items(config, "ExternalCAs"):
            config["ExternalCAs"] = [{"CACert": "", **external} for external in externals]
        if not config["ForceRotate"]:
            del config["ForceRotate"]
        locks = bool(part(spec, "EncryptionConfig").get("AutoLockManagers"))
        labels = part(spec, "Labels") or part(before, "Labels")
        last = {"CAConfig": config, "TaskDefaults": {}, "EncryptionConfig": {"AutoLockManagers": locks}}
        self.cluster.spec = {"Name": "default", "Labels": labels, **kept, **last}
        if config.get("ForceRotate", 0) != self.cluster.forced or ca.get("SigningCACert"):
            self.cluster.forced = config.get("ForceRotate", 0)
            self._rotate_root(ca.get("SigningCACert") or "")

    def _rotate_root(self, cert: str) -> None:
        """Go over to another root certificate, which takes a while."""
        swarm = self.cluster
        swarm.rotating = True
        name = f"embedded {self._store.new_id()}"

        def arrive() -> None:
            swarm.rotating = False
            made = f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"
            swarm.tls = {**swarm.tls, "TrustRoot": cert or made}
            for role in ("Worker", "Manager"):
                swarm.rotate(role, self._store)
            self._store.touch(swarm)

        self._store.timeline.at(_ROTATION_SECONDS, arrive)

    def _leave(self, call: Call) -> Response:
        if self.state == "inactive":
            raise Refusal(503, "This node is not part of a swarm")
        if not call.flag("force"):
            if self.state == "locked":
                raise Refusal(503, _LOCKED)
            if self.is_manager:
                raise Refusal(503, _LAST)
        self._dissolve()
        self.state = "inactive"
        return nothing()

    def _unlock(self, call: Call) -> Response:
        if self.is_manager:
            raise Refusal(409, "swarm is not locked")
        if self.state != "locked":
            raise Refusal(503, _STATES[self.state])
        key = call.reader.plain(call.request.body).get("UnlockKey") or ""
        if _KEY.fullmatch(key) is None:
            raise Refusal(400, "invalid key string")
        if key != self.cluster.unlock_key:
            raise Refusal(401, "swarm could not be unlocked: invalid key provided")
        self.state = "manager"
        return nothing()


def _said(json: Json) -> Json:
    """What counts of a part of a spec: to engines 0 is nothing said, but for two numbers where that is a value."""
    zero_counts = ("TaskHistoryRetentionLimit", "KeepOldSnapshots")
    return {key: value for key, value in json.items() if value or (key in zero_counts and value is not None)}


def _check_name(spec: Json) -> None:
    if spec.get("Name") not in (None, "", "default"):
        raise Refusal(400, 'swarm spec must be named "default"')


def _check_addresses(request: Json) -> None:
    if not request.get("ListenAddr"):
        raise Refusal(400, 'invalid ListenAddr "": invalid empty address')
    availability = request.get("Availability") or "active"
    if availability not in ("active", "pause", "drain"):
        raise Refusal(500, f'invalid Availability: "{availability}"')


def _check_pool(pool: Sequence[str], size: int) -> None:
    for subnet in pool:
        try:
            network = ip_network(subnet)
        except ValueError:
            raise Refusal(500, f"invalid base pool {subnet}: invalid CIDR address: {subnet}") from None
        if network.prefixlen > size:
            raise Refusal(500, f'invalid CIDR: "{subnet}". Subnet size is too small for pool: {size}')


def _check_values(spec: Json) -> None:
    ca = part(spec, "CAConfig")
    for external in items(ca, "ExternalCAs"):
        if (protocol := external.get("Protocol") or "").lower() != "cfssl":
            raise Refusal(400, f'invalid protocol: "{protocol}"')
    if (part(spec, "Dispatcher").get("HeartbeatPeriod") or 0) < 0:
        raise rpc("InvalidArgument", "heartbeat time period cannot be a negative duration")
    if 0 < (ca.get("NodeCertExpiry") or _HOUR) < _HOUR:
        raise rpc("InvalidArgument", "minimum certificate expiry time is: 1h0m0s")
    if ca.get("SigningCAKey") and "BEGIN CERTIFICATE" not in (ca.get("SigningCACert") or ""):
        raise rpc("InvalidArgument", "if a signing CA key is provided, the signing CA cert must also be provided")
    if ca.get("SigningCACert") and not ca.get("SigningCAKey"):
        said = "there must be at least one valid, reachable external CA corresponding to the desired CA certificate"
        raise rpc("InvalidArgument", said)
