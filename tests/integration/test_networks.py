"""Networks, as engines make and show them, and what they say of those that cannot be made or removed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from swarmkit import (
    IPAM,
    BadRequest,
    ContainerSpec,
    EngineError,
    Forbidden,
    InUse,
    IPAMConfig,
    NameConflict,
    Network,
    NotFound,
    SwarmClient,
    TaskTemplate,
    UpdateConfig,
)
from tests.harness.engine import Engine

pytestmark = pytest.mark.anyio

GIVEN_ONE = 50
"""How often a network is looked at until it has its subnet."""


@pytest.fixture(autouse=True)
async def no_networks_are_left(client: SwarmClient) -> AsyncIterator[None]:
    before = {network.id for network in await client.networks.list()}
    yield
    # What takes its settings from another goes first.
    left = [network for network in await client.networks.list() if network.id not in before]
    for network in sorted(left, key=lambda network: bool(network.config_only)):
        await client.networks.remove(network.id)


async def whole(client: SwarmClient, network: str) -> Network:
    """The network, once the manager has given it what it needs."""
    for _ in range(GIVEN_ONE):
        if (found := await client.networks.inspect(network)).driver:
            return found
    raise AssertionError("it has no driver")


async def test_an_overlay_is_what_was_asked_for(client: SwarmClient) -> None:
    ipam = IPAM(config=[IPAMConfig(subnet="10.91.0.0/24", ip_range="10.91.0.128/25", gateway="10.91.0.9")])
    created = await client.networks.create(
        "back", attachable=True, internal=True, ipam=ipam, options={"encrypted": ""}, labels={"team": "shop"}
    )
    assert "" == created.warning
    found = await whole(client, created.id)
    assert ("back", "overlay", "swarm") == (found.name, found.driver, found.scope)
    assert (True, True, False) == (found.attachable, found.internal, found.ingress)
    assert {"team": "shop"} == found.labels
    assert "encrypted" in (found.options or {})
    assert found.ipam is not None
    assert ipam.config == found.ipam.config

    for reference in ("back", created.id[:8]):
        assert created.id == (await client.networks.inspect(reference, scope="swarm")).id
    filters: list[dict[str, Any]] = [
        {"name": "back"}, {"id": created.id[:6]}, {"label": "team=shop"}, {"driver": "overlay", "label": "team"},
        {"type": "custom", "name": "back"}, {"scope": "swarm", "name": "back"}, {"dangling": True, "name": "back"},
    ]  # fmt: skip
    for one in filters:
        assert [created.id] == [each.id for each in await client.networks.list(filters=one)], one
    for one in [
        {"name": "bac"},
        {"name": "ack"},
        {"scope": "local", "name": "back"},
        {"type": "builtin", "name": "back"},
    ]:
        assert [] == await client.networks.list(filters=one), one
    for one in [{"type": "odd"}, {"dangling": "odd"}]:
        with pytest.raises(EngineError, match="invalid"):
            await client.networks.list(filters=one)
    assert {"ingress", "bridge", "host", "none", "back"} <= {each.name for each in await client.networks.list()}
    for nothing in ("BACK", "nowhere"):
        with pytest.raises(NotFound):
            await client.networks.inspect(nothing)
    with pytest.raises(NotFound):
        await client.networks.inspect("ingress", scope="local")

    for name in ("back", "BACK", "host"):
        with pytest.raises(NameConflict):
            await client.networks.create(name)
    with pytest.raises(NameConflict, match="already present"):
        await client.networks.create("mesh", ingress=True)
    await client.networks.remove("back")
    with pytest.raises(NotFound):
        await client.networks.remove("back")


async def test_networks_of_one_engine_and_the_settings_they_take(client: SwarmClient) -> None:
    config = IPAMConfig(subnet="10.92.0.0/24", auxiliary_addresses={"router": "10.92.0.9"})
    base = await client.networks.create("base", config_only=True, ipam=IPAM(config=[config]), options={"a": "b"})
    local = await client.networks.create("local", driver="bridge", config_from="base")
    lan = await client.networks.create("lan", driver="macvlan", scope="swarm", config_from="base")
    settings, taken, shared = [await client.networks.inspect(one.id) for one in (base, local, lan)]
    assert (True, "null", "local") == (settings.config_only, settings.driver, settings.scope)
    assert (None, ["10.92.0.0/24"], {"a": "b"}) == (
        taken.config_only or None,
        [subnet.subnet for subnet in (taken.ipam and taken.ipam.config) or ()],
        taken.options,
    )
    assert taken.config_from is not None
    assert ("base", "bridge", "local") == (taken.config_from.network, taken.driver, taken.scope)
    assert ("macvlan", "swarm") == ((await whole(client, lan.id)).driver, shared.scope)

    with pytest.raises(NameConflict):  # without being asked, engines before 25.0 would make another one
        await client.networks.create("local", driver="bridge")
    refused: list[tuple[dict[str, Any], type[EngineError]]] = [
        ({"driver": "host"}, Forbidden),
        ({"driver": "bridge", "ingress": True}, Forbidden),
        ({"driver": "overlay", "scope": "local"}, Forbidden),
        ({"config_only": True, "internal": True}, Forbidden),
        ({"config_only": True, "config_from": "base"}, Forbidden),
        ({"driver": "bridge", "config_from": "base", "options": {"a": "b"}}, Forbidden),
        ({"driver": "bridge", "config_from": "nowhere"}, NotFound),
    ]
    for given, kind in refused:
        with pytest.raises(kind):
            await client.networks.create("other", **given)
    with pytest.raises(BadRequest, match="DNS name"):
        await client.networks.create("a b")
    with pytest.raises(EngineError):
        await client.networks.create("")
    with pytest.raises(EngineError, match="CIDR"):
        await client.networks.create("other", ipam=IPAM(config=[IPAMConfig(subnet="odd")]))
    with pytest.raises(Forbidden):
        await client.networks.remove("bridge")


async def test_a_network_with_ipv6_is_for_engines_that_have_a_subnet(client: SwarmClient, engine: Engine) -> None:
    config = [IPAMConfig(subnet="fd00:91::/64"), IPAMConfig(subnet="10.93.0.0/24")]
    six = await client.networks.create("six", driver="bridge", enable_ipv6=True, ipam=IPAM(config=config))
    found = await client.networks.inspect(six.id)
    assert found.enable_ipv6
    assert {"fd00:91::/64", "10.93.0.0/24"} <= {one.subnet for one in (found.ipam and found.ipam.config) or ()}
    if engine.api_version == "1.51":
        with pytest.raises(BadRequest, match="IPv4 cannot be disabled"):
            await client.networks.create("other", enable_ipv4=False)
        await client.networks.create("other", enable_ipv4=True)


@pytest.mark.usefixtures("clean")
async def test_what_is_on_a_network_is_seen_and_keeps_it(client: SwarmClient) -> None:
    spec = ContainerSpec("busybox:1.36", command=["sleep", "1000"], stop_grace_period=timedelta(0))
    back = await client.networks.create("back")
    quick = UpdateConfig(monitor=timedelta(milliseconds=100))
    template = TaskTemplate(container_spec=spec)
    web = await client.services.create(template, name="web", networks=["back"], update_config=quick)
    await client.services.wait("web", timeout=60)

    (task,) = await client.services.ps("web")
    seen = (await client.networks.inspect("back", verbose=True)).services or {}
    assert [f"web.1.{task.id}"] == [on_it.name for on_it in seen["web"].tasks or ()]
    assert not (await client.networks.inspect("back")).services
    with pytest.raises(InUse) as caught:
        await client.networks.remove("back")
    assert ("network", back.id, (web.id,)) == (caught.value.kind, caught.value.name, caught.value.by)
    await client.services.remove("web", wait=True)
    await client.networks.remove("back")
