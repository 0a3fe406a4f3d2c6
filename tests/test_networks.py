"""What networks are asked for with, and what is refused because engines would take it and do something else."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import ValidationError

from swarmkit import (
    IPAM,
    BadRequest,
    ConfigFrom,
    ContainerSpec,
    EndpointSpec,
    Forbidden,
    InUse,
    InvalidReference,
    InvalidSpec,
    IPAMConfig,
    NameConflict,
    NetworkCreated,
    NetworkCreateRequest,
    NotAManager,
    NotFound,
    OutcomeUnknown,
    PortConfig,
    SwarmClient,
    TaskTemplate,
    UnsupportedFeature,
    refusals,
)
from swarmkit.testing import FakeEngine

from .stub import StubEngine, answer, hang_up, refusal

pytestmark = pytest.mark.anyio

CREATED = answer({"Id": "n1", "Warning": ""}, status=201)


def subnets(*texts: str, **more: Any) -> IPAM:
    return IPAM(config=[IPAMConfig(subnet=text, **more) for text in texts])


# --- what is sent ----------------------------------------------------------------------------------------------------


async def test_everything_that_is_said_goes_out() -> None:
    ipam = subnets("10.9.0.0/24", ip_range="10.9.0.128/25", gateway="10.9.0.1")
    with StubEngine(lambda _: CREATED) as engine:
        async with SwarmClient(engine.host, api_version="1.51") as client:
            created = await client.networks.create(
                "lan",
                driver="macvlan",
                scope="swarm",
                attachable=True,
                internal=False,
                ingress=False,
                enable_ipv4=True,
                enable_ipv6=False,
                ipam=ipam,
                options={"parent": "eth0"},
                labels={"team": "shop"},
            )

    (sent,) = engine.received
    assert NetworkCreated(id="n1", warning="") == created
    assert ("POST", "/v1.51/networks/create") == (sent.method, sent.path)
    assert sent.json == {
        "Name": "lan",
        "CheckDuplicate": True,
        "Driver": "macvlan",
        "Scope": "swarm",
        "Attachable": True,
        "Internal": False,
        "Ingress": False,
        "EnableIPv4": True,
        "EnableIPv6": False,
        "IPAM": {"Config": [{"Subnet": "10.9.0.0/24", "IPRange": "10.9.0.128/25", "Gateway": "10.9.0.1"}]},
        "Options": {"parent": "eth0"},
        "Labels": {"team": "shop"},
    }


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"Driver": "overlay"}),
        ({"driver": "bridge"}, {"Driver": "bridge"}),
        ({"config_only": True}, {"ConfigOnly": True}),
        ({"driver": "bridge", "config_from": "base"}, {"Driver": "bridge", "ConfigFrom": {"Network": "base"}}),
        (
            {"driver": "bridge", "config_from": ConfigFrom(network="base")},
            {"Driver": "bridge", "ConfigFrom": {"Network": "base"}},
        ),
    ],
)
async def test_without_a_driver_it_is_an_overlay_unless_it_is_settings(given: dict[str, Any], sent: Any) -> None:
    with StubEngine(lambda _: CREATED) as engine:
        async with SwarmClient(engine.host) as client:
            await client.networks.create("back", **given)

    assert {"Name": "back", "CheckDuplicate": True, **sent} == engine.received[-1].json


async def test_what_is_asked_of_an_inspection_and_a_list_goes_out() -> None:
    with StubEngine(lambda request: answer([] if request.path.endswith("s") else {"Id": "n1"})) as engine:
        async with SwarmClient(engine.host, api_version="1.51") as client:
            await client.networks.inspect("back")
            await client.networks.inspect("back", verbose=True, scope="swarm")
            await client.networks.list()
            await client.networks.list(filters={"dangling": True, "driver": "overlay"})
            with pytest.raises(ValidationError):
                await client.networks.list(filters={"drivers": "overlay"})

    assert [unquote(one.target) for one in engine.received] == [
        "/v1.51/networks/back",
        "/v1.51/networks/back?verbose=true&scope=swarm",
        "/v1.51/networks",
        '/v1.51/networks?filters={"driver":["overlay"],"dangling":["true"]}',
    ]


async def test_each_part_needs_the_version_that_has_it() -> None:
    with StubEngine(lambda _: CREATED) as engine:
        async with SwarmClient(engine.host, api_version="1.24") as client:
            with pytest.raises(UnsupportedFeature) as caught:
                await client.networks.create(
                    "back",
                    scope="swarm",
                    attachable=True,
                    ingress=True,
                    enable_ipv4=False,
                    config_from="x",
                    driver="bridge",
                )
            with pytest.raises(UnsupportedFeature, match=r"verbose: needs API 1\.28"):
                await client.networks.inspect("back", verbose=True)
            with pytest.raises(UnsupportedFeature, match=r"scope: needs API 1\.31"):
                await client.networks.inspect("back", scope="swarm")

    assert {"Scope", "Attachable", "Ingress", "EnableIPv4", "ConfigFrom"} == {one.path for one in caught.value.problems}
    assert [] == engine.received


async def test_a_create_whose_answer_is_lost_is_not_sent_again() -> None:
    with StubEngine(lambda _: hang_up) as engine:
        async with SwarmClient(engine.host) as client:
            for call in (client.networks.create("back"), client.networks.remove("back")):
                with pytest.raises(OutcomeUnknown):
                    await call

    assert ["POST", "DELETE"] == [one.method for one in engine.received if one.path != "/_ping"]


async def test_a_worker_makes_no_overlay() -> None:
    said = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" ...'
    with StubEngine(lambda _: refusal(403, said)) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(NotAManager):
                await client.networks.create("back")


# --- what is refused -------------------------------------------------------------------------------------------------

BRIDGE: dict[str, Any] = {"driver": "bridge"}
OVERLAY: dict[str, Any] = {"driver": "overlay"}
REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({**OVERLAY, "scope": "bogus"}, ["Scope"]),
    ({**BRIDGE, "scope": "global"}, ["Scope"]),
    ({**BRIDGE, "scope": "SWARM"}, ["Scope"]),
    ({**BRIDGE, "config_only": True}, ["Driver"]),
    ({**BRIDGE, "config_from": ConfigFrom()}, ["ConfigFrom.Network"]),
    ({**BRIDGE, "config_from": ConfigFrom(network="")}, ["ConfigFrom.Network"]),
    ({**OVERLAY, "config_from": ConfigFrom(network="base")}, ["ConfigFrom"]),
    ({**OVERLAY, "ipam": subnets("10.9.0.0/24", "10.8.0.0/24", "10.9.0.0/24")}, ["IPAM.Config[2].Subnet"]),
    ({**BRIDGE, "ipam": subnets("fd00::/64")}, ["EnableIPv6"]),
    ({**BRIDGE, "ipam": subnets("fd00::/64"), "enable_ipv6": False}, ["EnableIPv6"]),
    ({**OVERLAY, "enable_ipv6": True}, ["EnableIPv6"]),
    ({**OVERLAY, "enable_ipv6": True, "ipam": subnets("10.9.0.0/24")}, ["EnableIPv6"]),
    (
        {**OVERLAY, "ipam": subnets("10.9.0.0/24", auxiliary_addresses={"router": "10.9.0.5"})},
        ["IPAM.Config[0].AuxiliaryAddresses"],
    ),
    (
        {"driver": "ipvlan", "scope": "swarm", "ipam": subnets("10.9.0.0/24", auxiliary_addresses={"r": "10.9.0.5"})},
        ["IPAM.Config[0].AuxiliaryAddresses"],
    ),
    ({**OVERLAY, "ipam": IPAM.model_validate_json(b'{"konfig": []}')}, ["IPAM.konfig"]),
    ({**OVERLAY, "ipam": IPAM.model_validate({"Range": "10.9.0.0/24"})}, ["IPAM.Range"]),
    ({**OVERLAY, "ipam": IPAM(config=[IPAMConfig(Mtu=9000)])}, ["IPAM.Config[0].Mtu"]),  # type: ignore[call-arg] # pyright: ignore
    ({**OVERLAY, "ipam": IPAM().model_copy(update={"options": {"a": 1}})}, ["IPAM.Options"]),
    ({**OVERLAY, "scope": "x", "enable_ipv6": True, "config_only": True}, ["Scope", "Driver", "EnableIPv6"]),
]  # fmt: skip
TAKEN: list[dict[str, Any]] = [
    OVERLAY,
    {**OVERLAY, "scope": "swarm", "ipam": subnets("10.9.0.0/24", "10.8.0.0/24")},
    {**OVERLAY, "enable_ipv6": True, "ipam": subnets("fd00::/64", "10.9.0.0/24")},
    {**OVERLAY, "config_only": False, "ipam": subnets("10.9.0.0/24", auxiliary_addresses={})},
    {**BRIDGE, "scope": "local", "enable_ipv6": True},
    {**BRIDGE, "ipam": subnets("10.9.0.0/24", auxiliary_addresses={"router": "10.9.0.5"})},
    {**BRIDGE, "config_from": ConfigFrom(network="base"), "scope": "swarm"},
    {"config_only": True, "ipam": subnets("10.9.0.0/24", auxiliary_addresses={"router": "10.9.0.5"})},
    {"scope": ""},
]


@pytest.mark.parametrize(("given", "paths"), REFUSED, ids=[f"{i} {paths[0]}" for i, (_, paths) in enumerate(REFUSED)])
async def test_what_engines_would_take_for_something_else_is_refused(given: dict[str, Any], paths: list[str]) -> None:
    network = NetworkCreateRequest(name="back", **given)
    found = [*refusals.problems_of_network(network), *refusals.unheard(network)]

    assert paths == [problem.path for problem in found]
    engine = FakeEngine()
    async with engine.client() as client:
        with pytest.raises(InvalidSpec) as caught:
            await client.networks.create("back", **given)
        assert found == [*caught.value.problems]
        assert 4 == len(await client.networks.list())


@pytest.mark.parametrize("given", TAKEN)
def test_what_engines_do_is_not_refused(given: dict[str, Any]) -> None:
    assert [] == refusals.problems_of_network(NetworkCreateRequest(name="back", **given))


@pytest.mark.parametrize(("newest", "goes_out"), [("1.51", False), ("1.99", True)])
async def test_a_newer_engine_may_know_a_key(newest: str, goes_out: bool) -> None:
    ipam = IPAM.model_validate({"Range": "10.9.0.0/24"})
    with StubEngine(lambda _: answer({"Id": "n1"}, status=201, api=newest), ping=lambda: answer(api=newest)) as engine:
        async with SwarmClient(engine.host) as client:
            if goes_out:
                await client.networks.create("back", ipam=ipam)
            else:
                with pytest.raises(InvalidSpec, match=r"IPAM\.Range"):
                    await client.networks.create("back", ipam=ipam)

    assert [f"/v{newest}/networks/create"] * goes_out == [one.path for one in engine.received]


async def test_nothing_is_asked_of_an_engine_about_what_is_wrong_anyway() -> None:
    async with SwarmClient("unix:///nowhere.sock") as client:
        with pytest.raises(InvalidSpec, match="Scope"):
            await client.networks.create("back", scope="bogus")  # type: ignore[arg-type] # pyright: ignore


@pytest.mark.parametrize("bad", ["", "..", "a/b", "a b"])
async def test_no_other_path_can_be_addressed(bad: str) -> None:
    async with FakeEngine().client() as client:
        for call in (client.networks.inspect, client.networks.remove):
            with pytest.raises(InvalidReference):
                await call(bad)


async def test_the_callers_subnets_stay_the_callers() -> None:
    ipam, options = subnets("10.9.0.0/24"), {"encrypted": ""}
    async with FakeEngine().client() as client:
        created = await client.networks.create("back", ipam=ipam, options=options, labels={})
        found = await client.networks.inspect(created.id)

    assert found.ipam is not None
    assert [("10.9.0.0/24", "10.9.0.1")] == [(one.subnet, one.gateway) for one in found.ipam.config or ()]
    assert (subnets("10.9.0.0/24"), {"encrypted": ""}) == (ipam, options)


# --- what engines refuse, where the embedded one says it quickest ----------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"name": "BACK"}, NameConflict, "name conflicts"),
        ({"name": "back"}, NameConflict, "already exists"),
        ({"name": "host"}, NameConflict, "already exists"),
        ({"name": "mesh", "ingress": True}, NameConflict, "already present"),
        ({"name": "a b"}, BadRequest, "DNS name"),
        ({"name": ""}, BadRequest, "invalid name"),
        ({"name": "six", "enable_ipv4": False}, BadRequest, "IPv4 cannot be disabled"),
        ({"name": "odd", "ipam": subnets("10.9.0.1/24")}, BadRequest, "it should be"),
        ({"name": "odd", "ipam": subnets("bogus")}, BadRequest, "CIDR"),
        ({"name": "x", "driver": "bogus"}, NotFound, "plugin"),
        ({"name": "x", "driver": "bridge", "config_from": "none"}, NotFound, "does not exist"),
        ({"name": "x", "driver": "macvlan", "scope": "swarm", "config_from": "none"}, NotFound, "does not exist"),
        ({"name": "x", "driver": "host"}, Forbidden, "only one instance"),
        ({"name": "x", "scope": "local"}, Forbidden, "downgrade"),
        ({"name": "x", "driver": "bridge", "ingress": True}, Forbidden, "global scope"),
        ({"name": "x", "config_only": True, "internal": True}, Forbidden, "configuration network"),
        ({"name": "x", "config_only": True, "config_from": "back"}, Forbidden, "configuration network"),
        ({"name": "x", "driver": "bridge", "config_from": "base", "options": {"a": "b"}}, Forbidden, "driver options"),
        (
            {"name": "x", "driver": "bridge", "config_from": "base", "ipam": subnets("10.9.0.0/24")},
            Forbidden,
            "user specified",
        ),
    ],
)
async def test_what_engines_refuse_is_told_apart(given: dict[str, Any], kind: type[Exception], words: str) -> None:
    async with FakeEngine().client() as client:
        await client.networks.create("back")
        await client.networks.create("base", config_only=True)
        with pytest.raises(kind, match=words):
            await client.networks.create(**given)


async def test_the_network_of_the_routing_mesh_can_be_made_anew() -> None:
    async with FakeEngine().client() as client:
        await client.networks.remove("ingress")
        with pytest.raises(BadRequest, match="attachable"):
            await client.networks.create("mesh", ingress=True, attachable=True)
        mesh = await client.networks.create("mesh", ingress=True, labels={"a": "b"})

        assert (True, "swarm") == ((found := await client.networks.inspect(mesh.id)).ingress, found.scope)


async def test_what_is_used_says_by_what() -> None:
    async with (engine := FakeEngine()).client() as client:
        back = await client.networks.create("back")
        web = await client.services.create(
            TaskTemplate(container_spec=ContainerSpec("nginx")),
            name="web",
            networks=["back"],
            endpoint_spec=EndpointSpec(ports=[PortConfig(target_port=80)]),
        )
        engine.advance(5)
        for name, told in (("back", back.id), ("ingress", "ingress")):
            with pytest.raises(InUse) as caught:
                await client.networks.remove(name)
            assert ("network", told, (web.id,)) == (caught.value.kind, caught.value.name, caught.value.by)
        await client.services.remove("web", wait=True)
        await client.networks.remove("back")
        with pytest.raises(NotFound):
            await client.networks.inspect("back")
