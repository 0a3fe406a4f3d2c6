"""The swarm itself: what is sent, what is refused before that, and what is said of lost answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import httpx
import pytest

from swarmkit import (
    AlreadyInSwarm,
    BadRequest,
    CAConfig,
    Driver,
    EncryptionConfig,
    Forbidden,
    InvalidSpec,
    JoinPending,
    NoQuorum,
    NotAManager,
    OrchestrationConfig,
    OutcomeUnknown,
    OutOfSequence,
    RaftConfig,
    Swarm,
    SwarmClient,
    SwarmLocked,
    SwarmNotLocked,
    SwarmSpec,
    TaskDefaults,
    UnsupportedFeature,
)
from swarmkit.testing import FakeEngine, Request

pytestmark = pytest.mark.anyio

TOKEN = f"SWMTKN-1-{'a' * 50}-{'b' * 25}"

UNLOCKED = SwarmSpec(encryption_config=EncryptionConfig(auto_lock_managers=False))


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def client(engine: FakeEngine) -> SwarmClient:
    return engine.client()


class Answers(httpx.AsyncBaseTransport):
    """An engine that gives these answers one after the other, and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self._answers = [*answers]
        self.asked: list[tuple[str, str, Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = {"Api-Version": "1.51"}
        if request.url.path == "/_ping":
            return httpx.Response(200, headers=headers)
        body = await request.aread()
        self.asked.append((request.method, request.url.path.partition("/v1.51")[2], json.loads(body) if body else None))
        status, answer = self._answers.pop(0)
        return httpx.Response(status, headers=headers, json=answer)


async def test_init_sends_what_was_given_and_nothing_else() -> None:
    answers = Answers((200, "node"), (200, "node"))
    client = SwarmClient(transport=answers)
    assert await client.swarm.init() == "node"
    await client.swarm.init(
        advertise_addr="eth0",
        data_path_addr="eth1",
        data_path_port=5000,
        default_addr_pool=["10.20.0.0/16"],
        subnet_size=26,
        auto_lock_managers=True,
        availability="drain",
        spec=SwarmSpec(labels={"a": "b"}),
    )
    assert [
        ("POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377"}),
        (
            "POST",
            "/swarm/init",
            {
                "ListenAddr": "0.0.0.0:2377",
                "AdvertiseAddr": "eth0",
                "DataPathAddr": "eth1",
                "DataPathPort": 5000,
                "DefaultAddrPool": ["10.20.0.0/16"],
                "SubnetSize": 26,
                "AutoLockManagers": True,
                "Availability": "drain",
                "Spec": {"Labels": {"a": "b"}, "EncryptionConfig": {"AutoLockManagers": True}},
            },
        ),
    ] == answers.asked


@pytest.mark.parametrize(
    ("options", "paths"),
    [
        ({"subnet_size": 26}, ["SubnetSize"]),
        ({"force_new_cluster": True, "default_addr_pool": ["10.0.0.0/8"]}, ["DefaultAddrPool"]),
        ({"force_new_cluster": True, "data_path_port": 5000}, ["DataPathPort"]),
        (
            {
                "auto_lock_managers": True,
                "spec": SwarmSpec(encryption_config=EncryptionConfig(auto_lock_managers=False)),
            },
            ["AutoLockManagers"],
        ),
        (
            {"spec": SwarmSpec(task_defaults=TaskDefaults(log_driver=Driver(name="local")))},
            ["Spec.TaskDefaults.LogDriver"],
        ),
        (
            {"spec": SwarmSpec(raft=RaftConfig(election_tick=20, heartbeat_tick=2))},
            ["Spec.Raft.ElectionTick", "Spec.Raft.HeartbeatTick"],
        ),
        ({"spec": SwarmSpec.from_wire('{"NewKey": 1, "LABELS": {}}')}, ["Spec.LABELS"]),
        ({"spec": SwarmSpec.from_wire('{"NewKey": 1}')}, ["Spec.NewKey"]),
    ],
    ids=lambda value: "-".join(value),
)
async def test_what_an_engine_would_drop_at_init_is_refused(options: dict[str, Any], paths: list[str]) -> None:
    client = FakeEngine(swarm="inactive").client()
    with pytest.raises(InvalidSpec) as caught:
        await client.swarm.init(**options)
    assert paths == [problem.path for problem in caught.value.problems]
    with pytest.raises(NotAManager):
        await client.swarm.inspect()


async def test_one_string_is_no_list_of_addresses(client: SwarmClient) -> None:
    with pytest.raises(TypeError, match="remote_addrs takes a list"):
        await client.swarm.join(remote_addrs="10.0.0.1:2377", join_token=TOKEN)
    with pytest.raises(TypeError, match="default_addr_pool takes a list"):
        await client.swarm.init(default_addr_pool="10.0.0.0/8")


async def test_each_feature_is_gated() -> None:
    old = FakeEngine("1.41").client(api_version="1.24")
    with pytest.raises(UnsupportedFeature) as caught:
        await old.swarm.join(remote_addrs=["10.0.0.1:2377"], join_token=TOKEN, availability="pause")
    assert ["Availability"] == [problem.path for problem in caught.value.problems]


# --- join ------------------------------------------------------------------------------------------------------------


async def test_join_goes_from_address_to_address_until_a_manager_answers() -> None:
    unreachable = (503, {"message": 'rpc error: code = Unavailable desc = connection error: desc = "refused"'})
    answers = Answers(unreachable, (200, None))
    await SwarmClient(transport=answers).swarm.join(remote_addrs=["a:2377", "b:2377", "c:2377"], join_token=TOKEN)
    sent = [cast("list[str]", body["RemoteAddrs"])[0] for _, _, body in answers.asked]
    assert ["a:2377", "b:2377"] == sent
    assert {"ListenAddr": "0.0.0.0:2377", "RemoteAddrs": ["b:2377", "c:2377"], "JoinToken": TOKEN} == answers.asked[1][
        2
    ]
    with pytest.raises(NoQuorum, match="refused"):
        await SwarmClient(transport=Answers(unreachable)).swarm.join(remote_addrs=["a:2377"], join_token=TOKEN)


async def test_a_join_that_takes_too_long_for_the_engine_is_pending() -> None:
    message = "Timeout was reached before node joined. The attempt to join the swarm will continue in the background."
    answers = Answers((503, {"message": message}))
    with pytest.raises(JoinPending, match="continue in the background") as caught:
        await SwarmClient(transport=answers).swarm.join(remote_addrs=["a:2377", "b:2377"], join_token=TOKEN)
    assert len(answers.asked) == 1
    assert TOKEN not in f"{caught.value!r}{caught.value}{vars(caught.value)}"


async def test_joining_on_the_embedded_engine() -> None:
    engine = FakeEngine(swarm="inactive")
    client = engine.client()
    for addresses, token, said in (
        (["10.0.0.1:2377"], "x", "invalid join token"),
        (list[str](), TOKEN, "at least 1 RemoteAddr"),
    ):
        with pytest.raises(BadRequest, match=said):
            await client.swarm.join(remote_addrs=addresses, join_token=token)
    with pytest.raises(BadRequest, match="invalid Availability"):
        await client.swarm.join(remote_addrs=["10.0.0.1"], join_token=TOKEN, availability="nope")
    await client.swarm.join(remote_addrs=["10.0.0.1:2377"], join_token=TOKEN)
    with pytest.raises(AlreadyInSwarm):
        await client.swarm.join(remote_addrs=["10.0.0.1:2377"], join_token=TOKEN)


# --- change ----------------------------------------------------------------------------------------------------------


async def test_an_update_changes_what_is_given_and_nothing_else(client: SwarmClient) -> None:
    before = await client.swarm.inspect()
    await client.swarm.update(labels={"a": "b"}, raft=RaftConfig(snapshot_interval=500))
    after = await client.swarm.inspect()
    expected = before.spec.model_copy(deep=True)
    expected.labels = {"a": "b"}
    assert expected.raft is not None
    expected.raft.snapshot_interval = 500
    assert expected == after.spec
    await client.swarm.update(orchestration=None)
    cleared = (await client.swarm.inspect()).spec.orchestration
    assert cleared == OrchestrationConfig(task_history_retention_limit=0)


async def test_an_edit_may_return_another_spec(client: SwarmClient) -> None:
    def change(spec: SwarmSpec) -> SwarmSpec:
        other = spec.model_copy(deep=True)
        other.labels = {"by": "edit"}
        return other

    await client.swarm.edit(change)
    assert {"by": "edit"} == (await client.swarm.inspect()).spec.labels

    async def later(spec: SwarmSpec) -> None: ...

    with pytest.raises(TypeError, match="it is not awaited"):
        await client.swarm.edit(cast("Any", later))


async def test_a_conflict_is_read_again_and_applied_again(engine: FakeEngine, client: SwarmClient) -> None:
    other = engine.client()
    pending = ["first", "second"]
    handle = engine.handle

    async def meddle() -> None:
        await other.swarm.update(labels={"by": pending.pop()})

    seen: list[dict[str, str] | None] = []
    await meddle()

    def change(spec: SwarmSpec) -> None:
        seen.append(spec.labels)
        if pending:
            swarm = json.loads(cast("bytes", handle(_get()).body))
            body = json.dumps({**swarm["Spec"], "Labels": {"by": pending.pop()}}).encode()
            query = f"version={swarm['Version']['Index']}"
            handle(_request("POST", "/swarm/update", query, body))
        spec.labels = {**(spec.labels or {}), "mine": "1"}

    await client.swarm.edit(change)
    assert [{"by": "second"}, {"by": "first"}] == seen
    assert {"by": "first", "mine": "1"} == (await client.swarm.inspect()).spec.labels


def _request(method: str, path: str, query: str = "", body: bytes = b"") -> Request:
    return Request(method, path, query, {"content-type": "application/json"} if body else {}, body)


def _get() -> Request:
    return _request("GET", "/swarm")


async def test_a_change_that_is_based_on_a_version_is_strict(client: SwarmClient) -> None:
    live = await client.swarm.inspect()
    await client.swarm.update(labels={"a": "1"}, version=live.version)
    with pytest.raises(OutOfSequence) as caught:
        await client.swarm.update(labels={"a": "2"}, version=live.version)
    now = await client.swarm.inspect()
    assert (live.version.index, now.version.index) == (caught.value.sent, caught.value.current)
    assert now.spec.labels == {"a": "1"}


async def test_what_an_engine_would_drop_is_refused_where_a_change_touches_it(client: SwarmClient) -> None:
    with pytest.raises(InvalidSpec, match=r"Raft\.ElectionTick"):
        await client.swarm.update(raft=RaftConfig(election_tick=20))
    with pytest.raises(InvalidSpec, match=r"NewKey"):
        await client.swarm.edit(lambda spec: SwarmSpec.from_wire(spec.wire()[:-1] + b',"NewKey":1}'))
    with pytest.raises(BadRequest, match="minimum certificate expiry"):
        await client.swarm.edit(_short_certificates)


def _short_certificates(spec: SwarmSpec) -> None:
    spec.ca_config = CAConfig(node_cert_expiry=timedelta(minutes=1))


# --- lost answers ----------------------------------------------------------------------------------------------------

CHANGES: dict[str, Callable[[SwarmClient], Awaitable[Any]]] = {
    "update": lambda client: client.swarm.update(labels={"a": "b"}),
    "rotate_tokens": lambda client: client.swarm.rotate_tokens(),
    "rotate_ca": lambda client: client.swarm.rotate_ca(signing_ca_cert="BEGIN CERTIFICATE", signing_ca_key="KEY"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_lost_answer_is_settled_by_reading(engine: FakeEngine, client: SwarmClient, change: str) -> None:
    await client.swarm.update(labels={})  # so that nothing else was changed since the swarm was
    before = await client.swarm.inspect()
    engine.lose_answer()
    await CHANGES[change](client)
    after = await client.swarm.inspect()
    assert before.version.index + 1 == after.version.index


@pytest.mark.parametrize("change", ["nothing", "key", "unlock key"])
async def test_a_lost_answer_that_nothing_shows_has_an_unknown_outcome(
    engine: FakeEngine, client: SwarmClient, change: str
) -> None:
    await client.swarm.update(encryption_config=EncryptionConfig(auto_lock_managers=True))
    engine.lose_answer()
    hidden = CAConfig(signing_ca_cert="BEGIN CERTIFICATE", signing_ca_key="SECRET")
    with pytest.raises(OutcomeUnknown, match=r"POST /swarm/update was sent") as caught:
        if change == "unlock key":
            await client.swarm.rotate_unlock_key()
        elif change == "key":
            await client.swarm.update(ca_config=hidden)
        else:
            await client.swarm.update(labels={})
    assert "SECRET" not in f"{caught.value!r}"


# --- tokens, certificates, locks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("worker", "manager"), [(True, True), (True, False), (False, True)])
async def test_tokens_are_replaced_as_asked(client: SwarmClient, worker: bool, manager: bool) -> None:
    before = await client.swarm.inspect()
    tokens = await client.swarm.rotate_tokens(worker=worker, manager=manager)
    after = await client.swarm.inspect()
    assert (before.join_tokens, after.join_tokens) != (None, None)
    old = before.join_tokens
    assert old is not None
    assert (worker, manager) == (old.worker != tokens.worker, old.manager != tokens.manager)
    assert after.join_tokens == tokens
    assert before.spec == after.spec
    with pytest.raises(ValueError, match="which token"):
        await client.swarm.rotate_tokens(worker=False, manager=False)


async def test_a_new_root_certificate_takes_its_time(engine: FakeEngine, client: SwarmClient) -> None:
    def root(swarm: Swarm) -> str | None:
        assert swarm.tls_info is not None
        return swarm.tls_info.trust_root

    before = await client.swarm.inspect()
    begun = await client.swarm.rotate_ca()
    assert begun.root_rotation_in_progress is True
    assert root(before) == root(begun)
    engine.advance(5)
    done = await client.swarm.inspect()
    assert done.root_rotation_in_progress is False
    assert root(before) != root(done)
    assert before.join_tokens != done.join_tokens
    with pytest.raises(BadRequest, match="external CA"):
        await client.swarm.rotate_ca(signing_ca_cert="BEGIN CERTIFICATE")
    with pytest.raises(BadRequest, match="cert must also be provided"):
        await client.swarm.rotate_ca(signing_ca_key="KEY")


async def test_locks(engine: FakeEngine, client: SwarmClient) -> None:
    assert (await client.swarm.unlock_key()).unlock_key == ""
    with pytest.raises(InvalidSpec, match="there is no unlock key"):
        await client.swarm.rotate_unlock_key()
    await client.swarm.update(encryption_config=EncryptionConfig(auto_lock_managers=True))
    key = await client.swarm.unlock_key()
    new = await client.swarm.rotate_unlock_key()
    assert new == await client.swarm.unlock_key() != key
    with pytest.raises(SwarmNotLocked):
        await client.swarm.unlock(new)
    locked = FakeEngine(swarm="locked")
    manager = locked.client()
    for call in (manager.swarm.inspect, manager.swarm.unlock_key, manager.swarm.leave):
        with pytest.raises(SwarmLocked):
            await call()
    with pytest.raises(Forbidden, match="invalid key"):
        await manager.swarm.unlock(new)
    with pytest.raises(BadRequest, match="invalid key string"):
        await manager.swarm.unlock("nonsense")
    await manager.swarm.unlock(locked.unlock_key)
    await manager.swarm.inspect()


async def test_a_manager_leaves_by_force_alone(client: SwarmClient) -> None:
    old = await client.swarm.inspect()
    with pytest.raises(Forbidden, match="last manager"):
        await client.swarm.leave()
    await client.swarm.leave(force=True)
    with pytest.raises(NotAManager, match="not part of a swarm") as caught:
        await client.swarm.leave(force=True)
    assert caught.value.state == "inactive"
    await client.swarm.init(auto_lock_managers=True, data_path_port=5000, default_addr_pool=["10.9.0.0/16"])
    with pytest.raises(AlreadyInSwarm):
        await client.swarm.init()
    new = await client.swarm.inspect()
    assert old.id != new.id
    assert (5000, ["10.9.0.0/16"], 24) == (new.data_path_port, new.default_addr_pool, new.subnet_size)
    assert new.spec.encryption_config == EncryptionConfig(auto_lock_managers=True)
    await client.swarm.init(force_new_cluster=True)
    assert new.id == (await client.swarm.inspect()).id


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"listen_addr": ""}, "invalid ListenAddr"),
        ({"availability": "nope"}, "invalid Availability"),
        ({"data_path_port": 80}, "not in valid range"),
        ({"default_addr_pool": ["bad"]}, "invalid base pool"),
        ({"default_addr_pool": ["10.0.0.0/16"], "subnet_size": 8}, "too small for pool"),
        ({"spec": SwarmSpec(name="other")}, "must be named"),
    ],
)
async def test_the_engine_says_what_makes_no_sense(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        await FakeEngine(swarm="inactive").client().swarm.init(**options)
