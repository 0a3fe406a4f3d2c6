"""The bodies beside services, on real engines: each key is typed, and what is asked for is what the engine keeps."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar, cast

import anyio
import pytest

from swarmkit import (
    IPAM,
    ApiVersion,
    Config,
    ConfigCreated,
    ConfigFrom,
    ConfigSpec,
    ContainerSpec,
    DistributionInspect,
    Driver,
    Event,
    InUse,
    IPAMConfig,
    NameConflict,
    Network,
    NetworkAttachmentConfig,
    NetworkCreated,
    NetworkCreateRequest,
    NetworksPruned,
    Node,
    NodeSpec,
    OutOfSequence,
    Ping,
    Secret,
    SecretCreated,
    SecretReference,
    SecretSpec,
    Swarm,
    SwarmUnlockKey,
    SystemInfo,
    SystemVersion,
    Task,
    TaskTemplate,
    UnsupportedFeature,
    WireModel,
    _hosts,
)
from swarmkit._engine import Engine as Funnel
from swarmkit.models import filters
from tests.fake import FakeHarness, connect
from tests.harness.engine import Engine
from tests.harness.registry import Registry

pytestmark = pytest.mark.anyio
T = TypeVar("T")
Json = dict[str, Any]


def funnel(engine: Engine, pinned: str | None = None) -> Funnel:
    """What the nouns of a client send through: most of these bodies have no noun of their own yet."""
    version = None if pinned is None else ApiVersion.parse(pinned)
    if isinstance(engine, FakeHarness):
        return Funnel(pinned=version, transport=engine.fake.transport)
    return Funnel(_hosts.resolve(engine.host, None, {}), pinned=version)


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[Funnel]:
    client = funnel(engine)
    yield client
    await client.aclose()


@pytest.fixture(autouse=True)
def clean(engine: Engine) -> Iterator[None]:
    yield
    for kind in ("services", "secrets", "configs", "networks"):
        for found in wire(engine, f"/{kind}"):
            if kind != "networks" or found["Name"] in ("back", "settings", "child", "four", "six"):
                remove(engine, f"/{kind}/{found.get('ID') or found['Id']}")


def remove(engine: Engine, path: str) -> None:
    """Remove an object, as soon as the tasks that use it are gone."""
    limit = time.monotonic() + 60
    while engine.request("DELETE", f"/v{engine.api_version}{path}")[0] != 404:
        assert time.monotonic() < limit, path
        time.sleep(0.1)


def wire(engine: Engine, path: str, *, version: str | None = None) -> Any:
    """What the engine itself says, past this package."""
    status, _, body = engine.request("GET", f"/v{version or engine.api_version}{path}")
    assert status == 200, body
    return json.loads(body)


async def get(client: Funnel, path: str, into: type[T], query: filters.Query | None = None) -> T:
    return await client.call("GET", path, query=query, into=into)


async def post(client: Funnel, path: str, body: WireModel, into: type[T]) -> T:
    return await client.call("POST", path, body=body, into=into)


def unknown(value: object, path: str = "") -> list[str]:
    """The path of every key that no field has."""
    if isinstance(value, WireModel):
        extra = [f"{path}{key}" for key in value.__pydantic_extra__ or ()]
        return extra + [key for name, part in value.__dict__.items() for key in unknown(part, f"{path}{name}.")]
    return [key for part in parts_of(value) for key in unknown(part, path)]


def parts_of(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(cast("Json", value).values())
    return cast("list[object]", value) if isinstance(value, list) else []


def without_times(value: Any) -> Any:
    """JSON without its timestamps: they are read to the microsecond, and written in another form."""
    times = ("CreatedAt", "UpdatedAt", "Created", "SystemTime", "Timestamp")
    if isinstance(value, dict):
        return {key: without_times(part) for key, part in cast("Json", value).items() if key not in times}
    return [without_times(part) for part in cast("list[object]", value)] if isinstance(value, list) else value


def assert_whole(model: WireModel, said: Any) -> None:
    """Nothing the engine said was lost or made up."""
    assert without_times(said) == without_times(json.loads(model.wire()))


# --- nodes, the swarm, the engine ------------------------------------------------------------------------------------


async def test_a_node_is_typed_to_the_leaf(client: Funnel, engine: Engine) -> None:
    (node,) = await get(
        client, "/nodes", list[Node], filters.NodeListQuery(filters=filters.NodeFilters(role=["manager"]))
    )

    assert [] == unknown(node)
    assert_whole(node, wire(engine, f"/nodes/{node.id}"))
    assert node.manager_status is not None
    assert node.description is not None
    assert node.description.resources is not None
    assert node.manager_status.leader
    assert node.manager_status.reachability == "reachable"
    assert (node.description.resources.nano_cpus or 0) >= 1_000_000_000
    assert node.hostname == wire(engine, "/info")["Name"]
    assert node.description.tls_info is not None
    assert (node.description.tls_info.trust_root or "").startswith("-----BEGIN CERTIFICATE-----")


async def test_a_node_is_sent_back_unchanged_and_relabelled(client: Funnel, engine: Engine) -> None:
    async def update(spec: NodeSpec, version: int) -> None:
        query = filters.NodeUpdateQuery(version=version)
        await client.call("POST", f"/nodes/{node.id}/update", query=query, body=spec)

    (node,) = await get(client, "/nodes", list[Node])
    before = wire(engine, f"/nodes/{node.id}")["Spec"]
    await update(node.spec, node.version.index)
    assert before == wire(engine, f"/nodes/{node.id}")["Spec"]
    with pytest.raises(OutOfSequence):
        await update(node.spec, node.version.index)
    node = await get(client, f"/nodes/{node.id}", Node)
    node.spec.labels = {"zone": "a"}
    await update(node.spec, node.version.index)
    assert {**before, "Labels": {"zone": "a"}} == wire(engine, f"/nodes/{node.id}")["Spec"]

    labelled = filters.NodeListQuery(filters=filters.NodeFilters(node_label=["zone=a"]))
    assert [node.id] == [one.id for one in await get(client, "/nodes", list[Node], labelled)]
    other = filters.NodeListQuery(filters=filters.NodeFilters(node_label=["zone=b"]))
    assert [] == await get(client, "/nodes", list[Node], other)
    node = await get(client, f"/nodes/{node.id}", Node)
    node.spec.labels = {}
    await update(node.spec, node.version.index)


async def test_the_swarm_is_typed_to_the_leaf_and_hides_its_tokens(client: Funnel, engine: Engine) -> None:
    swarm = await get(client, "/swarm", Swarm)

    assert [] == unknown(swarm)
    assert_whole(swarm, wire(engine, "/swarm"))
    assert swarm.join_tokens is not None
    assert swarm.join_tokens.worker
    assert swarm.join_tokens.manager
    assert swarm.join_tokens.worker.startswith("SWMTKN-1-")
    assert "SWMTKN" not in f"{swarm!r} {swarm} {swarm.join_tokens!r}"
    key = await get(client, "/swarm/unlockkey", SwarmUnlockKey)
    assert (key.unlock_key, []) == ("", unknown(key))


async def test_the_swarm_is_sent_back_unchanged_and_changed(client: Funnel, engine: Engine) -> None:
    async def update(swarm: Swarm, **rotate: bool) -> None:
        query = filters.SwarmUpdateQuery(version=swarm.version.index, **rotate)
        await client.call("POST", "/swarm/update", query=query, body=swarm.spec)

    swarm = await get(client, "/swarm", Swarm)
    before = wire(engine, "/swarm")
    await update(swarm)
    assert before["Spec"] == wire(engine, "/swarm")["Spec"]
    swarm = await get(client, "/swarm", Swarm)
    assert swarm.spec.orchestration is not None
    assert swarm.spec.encryption_config is not None
    swarm.spec.orchestration.task_history_retention_limit = 4
    swarm.spec.encryption_config.auto_lock_managers = True
    await update(swarm, rotate_worker_token=True)
    locked = await get(client, "/swarm", Swarm)
    assert locked.spec == swarm.spec
    assert locked.join_tokens is not None
    assert swarm.join_tokens is not None
    assert locked.join_tokens.worker != swarm.join_tokens.worker
    assert locked.join_tokens.manager == swarm.join_tokens.manager
    key = await get(client, "/swarm/unlockkey", SwarmUnlockKey)
    assert (key.unlock_key or "").startswith("SWMKEY-1-")
    assert "SWMKEY" not in repr(key)
    locked.spec = Swarm.from_wire(json.dumps(before)).spec
    await update(locked)
    assert before["Spec"] == wire(engine, "/swarm")["Spec"]


async def test_info_version_and_ping(client: Funnel, engine: Engine) -> None:
    info = await get(client, "/info", SystemInfo)
    said = wire(engine, "/info")
    assert without_times(said).keys() == without_times(json.loads(info.wire())).keys()
    assert info.swarm is not None
    assert info.swarm.cluster is not None
    assert [] == unknown(info.swarm) + unknown(info.plugins) + unknown(info.default_address_pools)
    assert (info.swarm.local_node_state, info.swarm.control_available, info.swarm.nodes) == ("active", True, 1)
    assert (info.ncpu, info.mem_total) == (said["NCPU"], said["MemTotal"])
    assert info.system_time is not None

    version = await get(client, "/version", SystemVersion)
    assert [] == unknown(version)
    assert_whole(version, wire(engine, "/version"))
    assert (version.api_version, version.version) == (engine.api_version, info.server_version)

    _, headers, _ = engine.request("GET", "/_ping")
    ping = Ping.of(headers)
    assert (ping.api_version, ping.os_type, ping.experimental) == (engine.api_version, "linux", False)
    assert (None if engine.api_version == "1.41" else True) == ping.is_manager
    assert f"Docker/{version.version} " in f"{ping.server} "


# --- secrets and configs ---------------------------------------------------------------------------------------------


async def test_a_secret_is_what_was_asked_for_and_its_data_never_comes_back(client: Funnel, engine: Engine) -> None:
    data = bytes(range(256))
    asked = SecretSpec(name="key", labels={"a": "b"}, data=data, templating=Driver(name="golang"))
    created = await post(client, "/secrets/create", asked, SecretCreated)
    assert [] == unknown(created)

    secret = await get(client, f"/secrets/{created.id}", Secret)
    assert [] == unknown(secret)
    assert_whole(secret, wire(engine, f"/secrets/{created.id}"))
    assert (secret.name, secret.spec.labels, secret.spec.data) == ("key", {"a": "b"}, None)
    assert secret.spec.templating is not None
    assert secret.spec.templating.name == "golang"
    with pytest.raises(NameConflict):
        await post(client, "/secrets/create", asked, SecretCreated)

    secret.spec.labels = {"a": "c"}
    query = filters.SecretUpdateQuery(version=secret.version.index)
    await client.call("POST", f"/secrets/{created.id}/update", query=query, body=secret.spec)
    for found in ({"names": ["key"]}, {"name": ["k"]}, {"label": ["a=c"]}, {"id": [created.id[:10]]}):
        by = filters.SecretListQuery(filters=filters.SecretFilters.of(found))
        assert [created.id] == [one.id for one in await get(client, "/secrets", list[Secret], by)], found
    nothing = filters.SecretListQuery(filters=filters.SecretFilters(names=["ke"]))
    assert [] == await get(client, "/secrets", list[Secret], nothing)


async def test_a_config_is_what_was_asked_for(client: Funnel, engine: Engine) -> None:
    asked = ConfigSpec(
        name="site", labels={"a": "b"}, data=b"\xff\x00 {{ .Service.Name }}", templating=Driver(name="golang")
    )
    created = await post(client, "/configs/create", asked, ConfigCreated)

    config = await get(client, f"/configs/{created.id}", Config)
    assert [] == unknown(config) + unknown(created)
    assert_whole(config, wire(engine, f"/configs/{created.id}"))
    assert (config.name, config.spec) == ("site", asked)
    for found in ({"name": ["si"]}, {"label": ["a=b"]}, {"id": [created.id]}):
        by = filters.ConfigListQuery(filters=filters.ConfigFilters.of(found))
        assert [created.id] == [one.id for one in await get(client, "/configs", list[Config], by)], found


@pytest.mark.parametrize("kind", ["secrets", "configs"])
async def test_templating_is_refused_by_us_and_by_engines_below_its_version(engine: Engine, kind: str) -> None:
    spec = (SecretSpec if kind == "secrets" else ConfigSpec)(name="t", data=b"x", templating=Driver(name="golang"))
    old = funnel(engine, "1.36")
    with pytest.raises(UnsupportedFeature, match=r"Templating: needs API 1\.37"):
        await post(old, f"/{kind}/create", spec, SecretCreated)
    status, _, body = engine.request("POST", f"/v1.36/{kind}/create", spec.wire(), {"Content-Type": "application/json"})
    assert (status, b"templating is not supported" in body) == (400, True)
    new = funnel(engine, "1.37")
    await post(new, f"/{kind}/create", spec, SecretCreated)
    (stored,) = wire(engine, f"/{kind}")
    assert {"Name": "golang"} == stored["Spec"]["Templating"]


# --- networks --------------------------------------------------------------------------------------------------------


async def test_an_overlay_network_is_what_was_asked_for(client: Funnel, engine: Engine) -> None:
    asked = NetworkCreateRequest(
        name="back",
        driver="overlay",
        scope="swarm",
        attachable=True,
        internal=True,
        enable_ipv6=False,
        labels={"a": "b"},
        options={"encrypted": ""},
        ipam=IPAM(
            driver="default",
            options={},
            config=[IPAMConfig(subnet="10.77.0.0/24", ip_range="10.77.0.0/25", gateway="10.77.0.1")],
        ),
    )
    created = await post(client, "/networks/create", asked, NetworkCreated)
    assert ("", []) == (created.warning, unknown(created))
    with pytest.raises(NameConflict):
        await post(client, "/networks/create", asked, NetworkCreated)

    while not (network := await get(client, f"/networks/{created.id}", Network)).driver:
        await anyio.sleep(0.05)  # the manager has not allocated it yet
    assert [] == unknown(network)
    assert_whole(network, wire(engine, f"/networks/{created.id}"))
    assert (network.name, network.driver, network.scope) == ("back", "overlay", "swarm")
    assert (network.attachable, network.internal, network.ingress, network.config_only) == (True, True, False, False)
    assert network.labels == {"a": "b"}
    assert network.options is not None
    assert "encrypted" in network.options
    assert network.ipam is not None
    assert network.ipam.config is not None
    (subnet,) = network.ipam.config
    assert (subnet.subnet, subnet.gateway) == ("10.77.0.0/24", "10.77.0.1")
    networks = await get(client, "/networks", list[Network])
    assert [] == unknown(networks)
    assert {"ingress", "host", "bridge", "back"} <= {one.name for one in networks}
    found = filters.NetworkListQuery(
        filters=filters.NetworkFilters(
            scope=["swarm"], type=["custom"], dangling=["true"], driver=["overlay"], label=["a=b"], name=["back"]
        )
    )
    assert [created.id] == [one.id for one in await get(client, "/networks", list[Network], found)]


async def test_a_network_with_settings_of_another(client: Funnel) -> None:
    config_only = NetworkCreateRequest(
        name="settings", driver="bridge", config_only=True, ipam=IPAM(config=[IPAMConfig(subnet="10.78.0.0/24")])
    )
    await post(client, "/networks/create", config_only, NetworkCreated)
    network = await get(client, "/networks/settings", Network)
    assert (network.config_only, []) == (True, unknown(network))
    child = NetworkCreateRequest(name="child", driver="bridge", config_from=ConfigFrom(network="settings"))
    created = await post(client, "/networks/create", child, NetworkCreated)
    network = await get(client, f"/networks/{created.id}", Network)
    assert network.config_from is not None
    assert network.config_from.network == "settings"
    pruned = await client.call("POST", "/networks/prune", into=NetworksPruned)
    assert pruned.networks_deleted is not None
    assert "child" in pruned.networks_deleted


async def test_a_network_without_ipv4_needs_an_engine_that_has_them(client: Funnel, engine: Engine) -> None:
    asked = NetworkCreateRequest(name="six", driver="overlay", enable_ipv4=False, enable_ipv6=True)
    usual = NetworkCreateRequest(name="four", driver="overlay", enable_ipv4=True)
    await post(client, "/networks/create", usual, NetworkCreated)
    if engine.api_version != "1.51":
        with pytest.raises(UnsupportedFeature, match=r"EnableIPv4: needs API 1\.48"):
            await post(client, "/networks/create", asked, NetworkCreated)
        return
    old = funnel(engine, "1.47")
    with pytest.raises(UnsupportedFeature, match=r"EnableIPv4: needs API 1\.48"):
        await post(old, "/networks/create", asked, NetworkCreated)
    bridge = NetworkCreateRequest(name="six", driver="bridge", enable_ipv4=False, enable_ipv6=True)
    headers = {"Content-Type": "application/json"}
    status, _, body = engine.request("POST", "/v1.47/networks/create", bridge.wire(), headers)
    assert (status, wire(engine, "/networks/six")["EnableIPv4"]) == (201, True), body
    engine.request("DELETE", "/v1.51/networks/six")
    new = funnel(engine, "1.48")
    await post(new, "/networks/create", bridge, NetworkCreated)
    assert wire(engine, "/networks/six")["EnableIPv4"] is False
    engine.request("DELETE", "/v1.51/networks/six")


async def test_a_service_on_a_network_seen_from_all_sides(client: Funnel, engine: Engine) -> None:
    created = await post(
        client, "/networks/create", NetworkCreateRequest(name="back", driver="overlay"), NetworkCreated
    )
    secret = await post(client, "/secrets/create", SecretSpec(name="key", data=b"x"), SecretCreated)
    since = await now(client)
    template = TaskTemplate(
        container_spec=ContainerSpec(
            "busybox:1.36", command="sleep 1000", secrets=[SecretReference.as_file(secret.id, "key")]
        ),
        networks=[NetworkAttachmentConfig(target="back", aliases=["db"])],
    )
    async with connect(engine, registry_auth=None) as swarm:
        service = await swarm.services.create(template, name="web")
        await swarm.services.wait("web", timeout=60)

    # Of this service: 20.10 keeps the tasks of jobs that are gone.
    of_it = filters.TaskListQuery(filters=filters.TaskFilters(service=["web"]))
    (task,) = await get(client, "/tasks", list[Task], of_it)
    assert [] == unknown(task)
    assert_whole(task, wire(engine, f"/tasks/{task.id}"))
    (attachment,) = task.networks_attachments or []
    assert attachment.network is not None
    assert attachment.network.spec is not None
    assert (attachment.network.id, attachment.network.spec.name) == (created.id, "back")
    (address,) = attachment.addresses or []
    assert address.endswith("/24")

    verbose = filters.NetworkInspectQuery(verbose=True, scope="swarm")
    network = await get(client, "/networks/back", Network, verbose)
    assert [] == unknown(network)
    assert network.services is not None
    (on_it,) = network.services["web"].tasks or []
    assert on_it.endpoint_ip == address.removesuffix("/24")
    with pytest.raises(InUse):
        await client.call("DELETE", f"/secrets/{secret.id}")
    with pytest.raises(InUse):
        await client.call("DELETE", "/networks/back")

    until = await now(client)
    query = filters.EventsQuery(
        since=since, until=until, filters=filters.EventFilters(type=["service"], service=["web"])
    )
    events = await events_of(client, query)
    assert [] == unknown(events)
    assert ("service", "create", service.id) in [(one.type, one.action, one.actor and one.actor.id) for one in events]
    assert all(one.scope == "swarm" and (one.time_nano or 0) // 10**9 == one.time for one in events)


async def now(client: Funnel) -> str:
    """The engine's time, as its events take it."""
    info = await get(client, "/info", SystemInfo)
    assert info.system_time is not None
    return f"{info.system_time.timestamp():.6f}"


async def events_of(client: Funnel, query: filters.EventsQuery) -> list[Event]:
    """The events of a stretch of time that is over."""
    received = b""
    stream = await client.stream("/events", query=query, since="1.24")
    while piece := await stream.read(30):
        received += piece
    await stream.aclose()
    return [Event.from_wire(line) for line in received.splitlines()]


# --- a registry ------------------------------------------------------------------------------------------------------


async def test_what_a_registry_says_about_an_image(client: Funnel, engine: Engine, registry: Registry) -> None:
    image = registry.push("busybox:1.36")
    path = f"/distribution/{image}/json"
    found = await client.call("GET", path, headers={"X-Registry-Auth": registry.auth_header}, into=DistributionInspect)

    assert [] == unknown(found)
    assert (found.descriptor.digest or "").startswith("sha256:")
    assert (found.descriptor.size or 0) > 0
    (platform,) = found.platforms or []
    assert platform.os == "linux"
