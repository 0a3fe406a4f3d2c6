"""The swarm of an engine that stays its manager: settings, tokens and locks, as engines take and give them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from swarmkit import (
    AlreadyInSwarm,
    BadRequest,
    CAConfig,
    DispatcherConfig,
    EncryptionConfig,
    ExternalCA,
    Forbidden,
    OrchestrationConfig,
    OutOfSequence,
    RaftConfig,
    Swarm,
    SwarmClient,
    SwarmNotLocked,
    SwarmSpec,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def swarm(client: SwarmClient) -> AsyncIterator[Swarm]:
    """The swarm before the test; afterwards its settings are those again."""
    before = await client.swarm.inspect()
    yield before
    await client.swarm.edit(lambda _: before.spec)


async def test_a_patch_changes_what_it_sets_and_every_value_arrives(client: SwarmClient, swarm: Swarm) -> None:
    expected = swarm.spec.model_copy(deep=True)
    expected.labels = {"a": "b"}
    expected.orchestration = OrchestrationConfig(task_history_retention_limit=3)
    assert expected.raft is not None
    expected.raft.snapshot_interval = 500
    expected.raft.keep_old_snapshots = 2
    expected.dispatcher = DispatcherConfig(heartbeat_period=timedelta(seconds=6))
    assert expected.ca_config is not None
    expected.ca_config.node_cert_expiry = timedelta(days=30)
    expected.ca_config.external_cas = [ExternalCA(protocol="cfssl", url="https://ca.example", ca_cert="")]
    await client.swarm.update(
        labels={"a": "b"},
        orchestration=OrchestrationConfig(task_history_retention_limit=3),
        raft=RaftConfig(snapshot_interval=500, keep_old_snapshots=2),
        dispatcher=DispatcherConfig(heartbeat_period=timedelta(seconds=6)),
        ca_config=CAConfig(
            node_cert_expiry=timedelta(days=30), external_cas=[ExternalCA(protocol="cfssl", url="https://ca.example")]
        ),
    )
    now = await client.swarm.inspect()
    assert expected == now.spec
    assert swarm.join_tokens == now.join_tokens
    with pytest.raises(OutOfSequence) as caught:
        await client.swarm.update(labels=None, version=swarm.version)
    assert (swarm.version.index, now.version.index) == (caught.value.sent, caught.value.current)
    await client.swarm.update(labels=None, orchestration=None, raft=None, dispatcher=None, version=now.version)
    bare = (await client.swarm.inspect()).spec
    assert ({}, 0) == (bare.labels, bare.orchestration and bare.orchestration.task_history_retention_limit)
    assert bare.raft == RaftConfig(keep_old_snapshots=0, election_tick=0, heartbeat_tick=0)
    assert bare.dispatcher == DispatcherConfig()


async def test_tokens_are_replaced(client: SwarmClient, swarm: Swarm) -> None:
    old = swarm.join_tokens
    assert old is not None
    tokens = await client.swarm.rotate_tokens(manager=False)
    assert (old.manager, True) == (tokens.manager, old.worker != tokens.worker)
    both = await client.swarm.rotate_tokens()
    assert (True, True) == (tokens.manager != both.manager, tokens.worker != both.worker)
    assert both == (await client.swarm.inspect()).join_tokens


async def test_managers_lock_with_a_key(client: SwarmClient, swarm: Swarm) -> None:
    assert (await client.swarm.unlock_key()).unlock_key == ""
    await client.swarm.update(encryption_config=EncryptionConfig(auto_lock_managers=True))
    key = await client.swarm.unlock_key()
    new = await client.swarm.rotate_unlock_key()
    assert (True, new) == (key != new, await client.swarm.unlock_key())
    with pytest.raises(SwarmNotLocked):
        await client.swarm.unlock(new)


async def test_the_manager_says_what_makes_no_sense(client: SwarmClient, swarm: Swarm) -> None:
    for ca, said in (
        (CAConfig(node_cert_expiry=timedelta(minutes=1)), "minimum certificate expiry"),
        (CAConfig(external_cas=[ExternalCA(protocol="nope", url="https://ca.example")]), "invalid protocol"),
    ):
        with pytest.raises(BadRequest, match=said):
            await client.swarm.update(ca_config=ca)
    with pytest.raises(BadRequest, match="heartbeat time period cannot be"):
        await client.swarm.update(dispatcher=DispatcherConfig(heartbeat_period=-timedelta(seconds=1)))
    with pytest.raises(BadRequest, match="must be named"):
        await client.swarm.edit(_rename)
    with pytest.raises(BadRequest, match="signing CA cert must also be provided"):
        await client.swarm.rotate_ca(signing_ca_key="KEY")
    with pytest.raises(BadRequest, match="external CA"):
        await client.swarm.rotate_ca(signing_ca_cert=(swarm.tls_info and swarm.tls_info.trust_root) or "")
    assert swarm.spec == (await client.swarm.inspect()).spec


def _rename(spec: SwarmSpec) -> None:
    spec.name = "other"


async def test_a_member_does_not_come_or_go_by_itself(client: SwarmClient, swarm: Swarm) -> None:
    token = f"SWMTKN-1-{'a' * 50}-{'b' * 25}"
    with pytest.raises(AlreadyInSwarm):
        await client.swarm.init(advertise_addr="127.0.0.1")
    with pytest.raises(AlreadyInSwarm):
        await client.swarm.join(remote_addrs=["127.0.0.1:9"], join_token=token)
    with pytest.raises(Forbidden, match="last manager"):
        await client.swarm.leave()
