"""The swarm itself: who is in it, its settings, its keys. One method, one operation.

Owns: what a change to a swarm is made of. Must not know: HTTP, or what runs in the swarm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, cast

from . import patch, refusals
from ._conflicts import Conflicts, Write, strictly
from ._engine import Engine
from .errors import InvalidSpec, NoQuorum, Problem
from .models._wire import UNSET, Unset
from .models.common import ObjectVersion
from .models.filters import SwarmLeaveQuery, SwarmUpdateQuery
from .models.swarm import (
    Availability,
    CAConfig,
    DispatcherConfig,
    EncryptionConfig,
    JoinTokens,
    OrchestrationConfig,
    RaftConfig,
    Swarm,
    SwarmInitRequest,
    SwarmJoinRequest,
    SwarmSpec,
    SwarmUnlockKey,
)

_LISTEN: Final = "0.0.0.0:2377"
_LOCKS: Final = "EncryptionConfig.AutoLockManagers"


class TheSwarm:
    """The swarm itself, and this engine's part in it.

    What is about one engine (`init`, `join`, `leave`, `unlock`) is a HostError of a client with several hosts.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._conflicts = Conflicts(engine.clock)

    # --- who is in it ------------------------------------------------------------------------------------------------

    async def init(
        self,
        *,
        listen_addr: str = _LISTEN,
        advertise_addr: str | None = None,
        data_path_addr: str | None = None,
        data_path_port: int | None = None,
        default_addr_pool: Sequence[str] | None = None,
        subnet_size: int | None = None,
        force_new_cluster: bool = False,
        auto_lock_managers: bool | None = None,
        availability: Availability | str | None = None,
        spec: SwarmSpec | None = None,
    ) -> str:
        """Start a swarm with this engine as its only manager. Returns the id of its node.

        Without `advertise_addr`, the address or network interface at which other nodes reach it, an engine with
        several addresses refuses. What `spec` does not say gets the engine's default.

        With `force_new_cluster` a manager whose swarm has lost its quorum for good becomes the only one of that swarm:
        services, secrets and settings stay, the other managers are gone. It locks then only if it is told to here.

        POST /swarm/init, API 1.24; `auto_lock_managers` 1.25, `availability` 1.28, `data_path_addr` 1.30,
        `default_addr_pool` and `subnet_size` 1.39, `data_path_port` 1.40.

        Args:
            listen_addr: Address and port on which managers hear each other.
            advertise_addr: Address, or network interface, at which other nodes reach this one.
            data_path_addr: Address or interface for the traffic between containers; `advertise_addr` by default.
            data_path_port: Port of that traffic, 1024 to 49151; 4789 by default.
            default_addr_pool: Subnets from which overlay networks take theirs, such as `10.20.0.0/16`.
            subnet_size: Prefix length of those; 24 by default.
            force_new_cluster: Make this manager the only one of the swarm it is in.
            auto_lock_managers: A manager that was restarted needs the unlock key.
            availability: Whether this node takes tasks.
            spec: Settings of the swarm.

        Raises:
            AlreadyInSwarm: it is in one.
            BadRequest: it cannot make sense of an address, a port or a subnet.
            InvalidSpec: the engine would accept it and do something else.
            UnsupportedFeature: the API version in use lacks part of it.
            NotAManager: with `force_new_cluster`: it is in a swarm and does not manage it.
            OutcomeUnknown: it was sent and the answer lost.
        """
        given: dict[str, Any] = {
            "listen_addr": listen_addr,
            "advertise_addr": advertise_addr,
            "data_path_addr": data_path_addr,
            "data_path_port": data_path_port,
            "default_addr_pool": None if default_addr_pool is None else _listed(default_addr_pool, "default_addr_pool"),
            "subnet_size": subnet_size,
            "force_new_cluster": force_new_cluster or None,
            "availability": availability,
        }
        request = SwarmInitRequest(**{key: value for key, value in given.items() if value is not None})
        if spec is not None:
            request.spec = spec.model_copy(deep=True)
        if auto_lock_managers is not None:
            _lock(request, auto_lock_managers)
        if found := refusals.init_problems(request):
            raise InvalidSpec(found)
        unheard = refusals.unheard(request.spec) if request.spec else ()
        await self._engine.refuse((), [Problem(f"Spec.{path}", reason) for path, reason in unheard])
        return await self._engine.call("POST", "/swarm/init", body=request, into=str, local=True)

    async def join(
        self,
        *,
        remote_addrs: Sequence[str],
        join_token: str,
        listen_addr: str = _LISTEN,
        advertise_addr: str | None = None,
        data_path_addr: str | None = None,
        availability: Availability | str | None = None,
    ) -> None:
        """Make this engine a node of a swarm: a manager or a worker, as the token says.

        It returns when the engine is in. That takes seconds; engines give up waiting after 20 s but not trying, which
        is JoinPending. They use the first of several addresses alone: where no manager answers at one, which they say
        after 10 s, the next one is given to them here.

        A new manager catches up with the others before it can be asked about the swarm: until then it is NotAManager
        with the state `pending`, or `worker`. Engines pass over an `advertise_addr` that they do not know as one of
        theirs, and take the one they have towards the manager.

        POST /swarm/join, API 1.24; `availability` 1.28, `data_path_addr` 1.30.

        Args:
            remote_addrs: Addresses and ports of managers of the swarm.
            join_token: What lets it in: `(await manager.swarm.inspect()).join_tokens.worker`, or `.manager`.
            listen_addr: Address and port on which a manager hears the others.
            advertise_addr: Address, or network interface, at which other nodes reach this one.
            data_path_addr: Address or interface for the traffic between containers; `advertise_addr` by default.
            availability: Whether this node takes tasks.

        Raises:
            JoinPending: it is not in yet, and goes on trying.
            AlreadyInSwarm: it is in a swarm, or trying to join one.
            BadRequest: the token is none, was replaced by another, or is of another swarm.
            NoQuorum: no manager answers at these addresses, or the swarm has no leader.
            UnsupportedFeature: the API version in use lacks part of it.
            OutcomeUnknown: it was sent and the answer lost.
        """
        given: dict[str, Any] = {
            "listen_addr": listen_addr,
            "advertise_addr": advertise_addr,
            "data_path_addr": data_path_addr,
            "join_token": join_token,
            "availability": availability,
        }
        request = SwarmJoinRequest(**{key: value for key, value in given.items() if value is not None})
        addresses = _listed(remote_addrs, "remote_addrs")
        with self._engine.one_deadline():
            while True:
                request.remote_addrs, addresses = addresses, addresses[1:]
                try:
                    return await self._engine.call("POST", "/swarm/join", body=request, local=True)
                except NoQuorum:
                    if not addresses:
                        raise

    async def leave(self, *, force: bool = False) -> None:
        """Take this engine out of its swarm. Its tasks end; on the manager's list its node stays, as one that is down.

        A manager leaves only by `force`, and takes its part of the quorum along: demote it first, and the swarm loses
        nothing. With the last manager the swarm and all that is stored in it are gone.

        POST /swarm/leave, API 1.24.

        Raises:
            Forbidden: it is a manager, and `force` is not given.
            NotAManager: it is in no swarm.
            SwarmLocked: it is locked, and `force` is not given.
            OutcomeUnknown: it was sent and the answer lost.
        """
        await self._engine.call("POST", "/swarm/leave", query=SwarmLeaveQuery(force=force or None), local=True)

    # --- read --------------------------------------------------------------------------------------------------------

    async def inspect(self) -> Swarm:
        """The swarm: its settings, and the tokens that let nodes in.

        GET /swarm, API 1.24.

        Raises:
            NotAManager: the engine does not manage a swarm.
            SwarmLocked: it needs the unlock key first.
            NoQuorum: the swarm had no leader all the time.
        """
        return await self._engine.call("GET", "/swarm", into=Swarm)

    # --- change ------------------------------------------------------------------------------------------------------

    async def update(
        self,
        *,
        version: int | ObjectVersion | None = None,
        labels: Mapping[str, str] | Unset | None = UNSET,
        orchestration: OrchestrationConfig | Unset | None = UNSET,
        raft: RaftConfig | Unset | None = UNSET,
        dispatcher: DispatcherConfig | Unset | None = UNSET,
        ca_config: CAConfig | Unset | None = UNSET,
        encryption_config: EncryptionConfig | Unset | None = UNSET,
    ) -> None:
        """Change what is given of the swarm's settings and nothing else.

        What is set in what you pass changes, what is not set stays as it is; lists and mappings are replaced whole. A
        conflict with another change is read again and applied again; with `version` the change is based on that version
        index or fails.

        None clears, and what is cleared is 0 to engines, not their default: no ended tasks are kept where
        `orchestration` is cleared, and no snapshots made where `raft` is.

        POST /swarm/update, API 1.24.

        Raises:
            OutOfSequence: with `version`: the swarm has changed since; without: others were faster all the time.
            InvalidSpec: the engine would accept a changed value and do something else.
            UnsupportedFeature: the API version in use lacks part of the whole spec.
            BadRequest: the manager refuses a value, such as certificates good for less than an hour.
            NotAManager: the engine does not manage a swarm.
            OutcomeUnknown: its answer was lost, and reading the swarm did not tell whether it took effect.
        """
        given: dict[str, Any] = {
            "labels": dict(labels) if isinstance(labels, Mapping) else labels,
            "orchestration": orchestration,
            "raft": raft,
            "dispatcher": dispatcher,
            "ca_config": ca_config,
            "encryption_config": encryption_config,
        }
        changes = SwarmSpec(**{key: value for key, value in given.items() if value is not UNSET})
        changes = changes.model_copy(deep=True)
        if found := refusals.problems_of_part(changes):
            raise InvalidSpec(found)
        await self._change(lambda spec: patch.merge(spec, changes), version=version)

    async def edit(self, change: Callable[[SwarmSpec], SwarmSpec | None]) -> None:
        """Change the swarm's settings by a function: it gets a copy of the live spec, and alters it or returns another.

        On a conflict it is called again with what is live then, so it should do nothing else.

        POST /swarm/update, API 1.24.

        Raises:
            OutOfSequence: others were faster all the time.
            InvalidSpec: the engine would accept a changed value and do something else.
            UnsupportedFeature: the API version in use lacks part of the whole spec.
            BadRequest: the manager refuses a value.
            NotAManager: the engine does not manage a swarm.
            OutcomeUnknown: its answer was lost, and reading the swarm did not tell whether it took effect.
        """
        await self._change(change)

    async def rotate_tokens(self, *, worker: bool = True, manager: bool = True) -> JoinTokens:
        """Put new join tokens in the place of the present ones, and return them. Nodes that are in stay in.

        POST /swarm/update and GET /swarm, API 1.24.

        Raises:
            ValueError: neither token is to be changed.
            OutOfSequence: others were faster all the time.
            NotAManager: the engine does not manage a swarm.
            OutcomeUnknown: its answer was lost, and the tokens are the old ones so far.
        """
        roles = {"worker": worker, "manager": manager}
        if not any(roles.values()):
            raise ValueError("say which token is to be changed")
        with self._engine.one_deadline():
            await self._change(_nothing, tokens=[role for role, wanted in roles.items() if wanted])
            return (await self.inspect()).join_tokens or JoinTokens()

    async def rotate_ca(self, *, signing_ca_cert: str | None = None, signing_ca_key: str | None = None) -> Swarm:
        """Go over to another root certificate: one that the managers make, or this one (PEM) with its private key.

        Returns the swarm as it is after that. The managers then give every node a new certificate; until that is done
        `root_rotation_in_progress` is True, and `tls_info.trust_root` the old root. A node that is down holds it up.
        Both join tokens are others afterwards. A certificate without a key is for an external CA among the settings.

        POST /swarm/update and GET /swarm, API 1.30.

        Raises:
            BadRequest: the certificate and the key are no such pair, or no external CA has that certificate.
            OutOfSequence: others were faster all the time.
            NotAManager: the engine does not manage a swarm.
            OutcomeUnknown: its answer was lost, and reading the swarm did not tell whether it took effect.
        """

        def count(spec: SwarmSpec) -> None:
            config = spec.ca_config = spec.ca_config or CAConfig()
            config.force_rotate = (config.force_rotate or 0) + 1
            if signing_ca_cert is not None:
                config.signing_ca_cert = signing_ca_cert
            if signing_ca_key is not None:
                config.signing_ca_key = signing_ca_key

        with self._engine.one_deadline():
            await self._change(count)
            return await self.inspect()

    # --- the lock ----------------------------------------------------------------------------------------------------

    async def unlock_key(self) -> SwarmUnlockKey:
        """The key that a manager needs after a restart; an empty one where managers do not lock.

        Keep it outside the swarm: it cannot be asked for when it is needed.

        GET /swarm/unlockkey, API 1.25.

        Raises:
            NotAManager: the engine does not manage a swarm.
            SwarmLocked: it is locked.
        """
        return await self._engine.call("GET", "/swarm/unlockkey", into=SwarmUnlockKey)

    async def rotate_unlock_key(self) -> SwarmUnlockKey:
        """Put a new unlock key in the place of the present one, and return it.

        A manager that is down meanwhile is unlocked by the old key: keep that for a while.

        POST /swarm/update and GET /swarm/unlockkey, API 1.25.

        Raises:
            InvalidSpec: managers do not lock: engines would do nothing.
            OutOfSequence: others were faster all the time.
            NotAManager: the engine does not manage a swarm.
            OutcomeUnknown: its answer was lost: `unlock_key` tells which one it is.
        """

        def check(spec: SwarmSpec) -> None:
            if not (spec.encryption_config and spec.encryption_config.auto_lock_managers):
                raise InvalidSpec([Problem(_LOCKS, "is not set: there is no unlock key to change")])

        with self._engine.one_deadline():
            await self._change(check, unlock_key=True)
            return await self.unlock_key()

    async def unlock(self, key: str | SwarmUnlockKey) -> None:
        """Unlock this manager, which was restarted. It takes part in the swarm again some seconds later.

        POST /swarm/unlock, API 1.25.

        Raises:
            Forbidden: it is not the key.
            BadRequest: it is no key at all.
            SwarmNotLocked: the manager is not locked.
            NotAManager: the engine does not manage a swarm.
            OutcomeUnknown: it was sent and the answer lost. Doing it again does no harm.
        """
        given = key if isinstance(key, SwarmUnlockKey) else SwarmUnlockKey(unlock_key=key)
        await self._engine.call("POST", "/swarm/unlock", body=given, local=True)

    # --- what a change is made of ------------------------------------------------------------------------------------

    async def _change(
        self,
        change: Callable[[SwarmSpec], SwarmSpec | None],
        *,
        version: int | ObjectVersion | None = None,
        tokens: Sequence[str] = (),
        unlock_key: bool = False,
    ) -> None:
        """Read, change, refuse, post; again on a conflict, unless the change is based on a certain version."""

        async def prepare(live: Swarm) -> Write[Swarm, Literal[True]]:
            spec = patch.changed(live.spec, change)
            await self._engine.refuse(refusals.swarm_problems(spec, live.spec), refusals.unheard(spec, live.spec))
            query = SwarmUpdateQuery(
                version=live.version.index,
                rotate_worker_token="worker" in tokens or None,
                rotate_manager_token="manager" in tokens or None,
                rotate_manager_unlock_key=unlock_key or None,
            )

            async def send() -> Literal[True]:
                await self._engine.call("POST", "/swarm/update", query=query, body=spec)
                return True

            return Write(send, partial(_landed, before=live, goal=spec, tokens=tokens, unlock_key=unlock_key))

        with self._engine.one_deadline():
            if version is None:
                await self._conflicts.settle(self.inspect, prepare, timeout=self._engine.timeout)
            else:
                await strictly(self.inspect, prepare, version=version, path="/swarm/update")


def _nothing(spec: SwarmSpec) -> None:
    """The change of who wants another token."""


def _listed(texts: Sequence[str], name: str) -> list[str]:
    if isinstance(texts, str):  # a sequence of letters, to a type checker
        raise TypeError(f"{name} takes a list, not one string")
    return [*texts]


def _lock(request: SwarmInitRequest, locks: bool) -> None:
    """Say it in both places: engines start the first manager by one of them, and then go by the other."""
    spec = request.spec = request.spec or SwarmSpec()
    config = spec.encryption_config = spec.encryption_config or EncryptionConfig()
    if config.auto_lock_managers not in (None, locks):
        raise InvalidSpec([Problem("AutoLockManagers", f"is {locks}, and Spec.{_LOCKS} is not")])
    request.auto_lock_managers = config.auto_lock_managers = locks


def _landed(
    now: Swarm, *, before: Swarm, goal: SwarmSpec, tokens: Sequence[str], unlock_key: bool
) -> Literal[True] | None:
    """Whether a change whose answer was lost took effect, if the swarm as it is now shows that."""
    if unlock_key:
        return None  # the key is not part of the swarm
    old, new = before.join_tokens or JoinTokens(), now.join_tokens or JoinTokens()
    renewed = all(getattr(old, role) != getattr(new, role) for role in tokens)
    shows = bool(tokens) or _meaning(before.spec) != _meaning(goal)
    return True if shows and renewed and _meaning(now.spec) == _meaning(goal) else None


def _meaning(spec: SwarmSpec) -> object:
    """What a spec says that engines give back, where a value of nothing and none are the same to them."""
    said: dict[str, Any] = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    said.pop("Name", None)
    for key in ("SigningCACert", "SigningCAKey"):
        said.get("CAConfig", {}).pop(key, None)
    return _without_nothing(said)


def _without_nothing(value: object) -> object:
    if isinstance(value, list):
        return [_without_nothing(item) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    found = {key: _without_nothing(item) for key, item in cast("dict[str, object]", value).items()}
    return {key: item for key, item in found.items() if item}
