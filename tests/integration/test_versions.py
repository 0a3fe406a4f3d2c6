"""What each API version has: every gate of a service spec and of a query, on real engines that are at it and below it.

Says of each mark in the models what a real engine shows of it. No task runs here: what counts is what is stored.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple, cast

import anyio
import pytest

from swarmkit import ApiVersion, InvalidSpec, ServiceSpec, SwarmClient, UnsupportedFeature
from swarmkit.models._wire import WireModel
from swarmkit.models.filters import (
    LogsQuery,
    Query,
    ServiceInspectQuery,
    ServiceListQuery,
    ServiceUpdateQuery,
    TaskListQuery,
)
from swarmkit.versions import ANYTHING, OLDEST, Since
from tests.fake import connect
from tests.harness.engine import Engine
from tests.integration.test_services import wire
from tests.paths import data, fields_below
from tests.stub import StubEngine, answer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One backend: what engines keep does not depend on it, and there is much of it."""
    return "asyncio"


Json = dict[str, Any]

# Named by its digest: below API 1.30 an engine asks the registry for one, and there is no registry.
IMAGE = "busybox@sha256:" + "a1" * 32
NOWHERE = "node.labels.moon==full"
SECRET, CONFIG, NETWORK = "<secret>", "<config>", "<network>"
"""Stand for the ids of a secret, a config and a network called `versioned`."""

# What an engine makes of a field in a request whose version lacks it, or that is itself too old for it. Any other
# string is part of what it says when it refuses the request.
KEPT = "kept"
GONE = "gone"


@dataclass(frozen=True)
class Example:
    """A value that shows a field, in a spec that an engine takes."""

    value: Any = None
    beside: Json = field(default_factory=dict[str, Any])
    """What must be in the spec as well, by path."""
    below: str = KEPT
    """What an engine that has the field makes of it in a request of an older version."""
    too_old: str = GONE
    """What an engine that does not have the field makes of it."""
    instead: tuple[str, Any] | None = None
    """What an engine stores in place of what is gone: a path and the value there."""


CONTAINER = "TaskTemplate.ContainerSpec."
MOUNT = CONTAINER + "Mounts[]."
BIND = {MOUNT + "Type": "bind", MOUNT + "Source": "/tmp", MOUNT + "Target": "/m"}
VOLUME = {MOUNT + "Type": "volume", MOUNT + "Source": "vol", MOUNT + "Target": "/m"}
TMPFS = {MOUNT + "Type": "tmpfs", MOUNT + "Target": "/m"}
IN_A_FILE = {"Name": "f", "UID": "0", "GID": "0", "Mode": 0o444}
CONFIG_REFERENCE = {CONTAINER + "Configs[].ConfigID": CONFIG, CONTAINER + "Configs[].ConfigName": "versioned"}
ONE_REPLICA = ("Mode", {"Replicated": {"Replicas": 1}})

EXAMPLES: dict[str, Example] = {
    CONTAINER + "Hostname": Example("{{.Node.Hostname}}"),
    CONTAINER + "Groups": Example(["10"]),
    CONTAINER + "TTY": Example(True),
    CONTAINER + "OpenStdin": Example(True),
    CONTAINER + "Hosts": Example(["10.0.0.9 db"]),
    CONTAINER + "DNSConfig": Example({"Nameservers": ["10.0.0.1"], "Search": ["a.b"], "Options": ["ndots:2"]}),
    CONTAINER + "Healthcheck": Example(
        {"Test": ["CMD", "true"], "Interval": 1_000_001, "Timeout": 10**6, "Retries": 2}
    ),
    CONTAINER + "Healthcheck.StartPeriod": Example(1_000_001, {CONTAINER + "Healthcheck.Test": ["CMD", "true"]}),
    CONTAINER + "Healthcheck.StartInterval": Example(
        1_000_001, {CONTAINER + "Healthcheck.Test": ["CMD", "true"]}, below=GONE
    ),
    CONTAINER + "Secrets": Example([{"SecretID": SECRET, "SecretName": "versioned", "File": IN_A_FILE}]),
    CONTAINER + "Configs": Example([{"ConfigID": CONFIG, "ConfigName": "versioned", "File": IN_A_FILE}]),
    CONTAINER + "Configs[].Runtime": Example({}, CONFIG_REFERENCE, below="either File or Runtime should be set"),
    MOUNT + "TmpfsOptions": Example({"SizeBytes": 4096, "Mode": 0o700}, TMPFS),
    MOUNT + "TmpfsOptions.Options": Example([["noexec"], ["uid", "10"]], TMPFS, below=GONE),
    MOUNT + "BindOptions.NonRecursive": Example(True, BIND),
    MOUNT + "VolumeOptions.Subpath": Example("a/b", VOLUME),
    MOUNT + "Type=npipe": Example(beside={MOUNT + "Source": r"\\.\pipe\a", MOUNT + "Target": r"\\.\pipe\b"}),
    MOUNT + "Type=cluster": Example(
        beside={MOUNT + "Source": "vol", MOUNT + "Target": "/m"}, too_old='invalid MountType: "cluster"'
    ),
    CONTAINER + "StopSignal": Example("SIGINT"),
    CONTAINER + "ReadOnly": Example(True),
    CONTAINER + "Privileges.CredentialSpec": Example({"File": "spec.json"}),
    CONTAINER + "Privileges.CredentialSpec.Config": Example(
        CONFIG,
        {**CONFIG_REFERENCE, CONTAINER + "Configs[].Runtime": {}},
        below='must either provide "file", "registry", or "config" for credential spec',
    ),
    CONTAINER + "Privileges.SELinuxContext": Example({"Disable": True, "User": "u", "Type": "t"}),
    CONTAINER + "Privileges.Seccomp": Example({"Mode": "custom", "Profile": "e30="}, below=GONE),
    CONTAINER + "Privileges.AppArmor": Example({"Mode": "disabled"}, below=GONE),
    CONTAINER + "Privileges.NoNewPrivileges": Example(True, below=GONE),
    CONTAINER + "Isolation": Example("hyperv"),
    CONTAINER + "Init": Example(False),
    CONTAINER + "Sysctls": Example({"net.core.somaxconn": "1024"}, below=GONE),
    CONTAINER + "CapabilityAdd": Example(["CAP_NET_ADMIN"], below=GONE),
    CONTAINER + "CapabilityDrop": Example(["CAP_CHOWN"], below=GONE),
    CONTAINER + "Ulimits": Example([{"Name": "nofile", "Soft": 10, "Hard": 20}], below=GONE),
    CONTAINER + "OomScoreAdj": Example(-500, below=GONE),
    "TaskTemplate.Networks": Example([{"Target": NETWORK, "Aliases": ["a"]}]),
    "TaskTemplate.Networks[].DriverOpts": Example({"a": "b"}, {"TaskTemplate.Networks[].Target": NETWORK}),
    "TaskTemplate.ForceUpdate": Example(7),
    "TaskTemplate.Placement.Preferences": Example([{"Spread": {"SpreadDescriptor": "node.labels.zone"}}]),
    "TaskTemplate.Placement.Platforms": Example([{"Architecture": "amd64", "OS": "linux"}]),
    "TaskTemplate.Placement.MaxReplicas": Example(3, below=GONE),
    "TaskTemplate.Resources.Reservations.GenericResources": Example(
        [{"NamedResourceSpec": {"Kind": "GPU", "Value": "u1"}}, {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 2}}]
    ),
    "TaskTemplate.Resources.Limits.Pids": Example(50, below=GONE),
    "UpdateConfig.Monitor": Example(1_000_000_001),
    "UpdateConfig.MaxFailureRatio": Example(0.25),
    "UpdateConfig.Order": Example("start-first"),
    "UpdateConfig.FailureAction=rollback": Example(),
    "RollbackConfig": Example({"Parallelism": 3, "FailureAction": "continue", "Monitor": 5}),
    "RollbackConfig.Order": Example("start-first"),
    "EndpointSpec.Ports[].PublishMode": Example("host", {"EndpointSpec.Ports[].TargetPort": 80}),
    "EndpointSpec.Ports[].Protocol=sctp": Example(beside={"EndpointSpec.Ports[].TargetPort": 80}),
    "Mode.ReplicatedJob": Example({"MaxConcurrent": 2, "TotalCompletions": 3}, below=GONE, instead=ONE_REPLICA),
    "Mode.GlobalJob": Example({}, below=GONE, instead=ONE_REPLICA),
}
"""Of every gate of a service spec, a value that engines show."""

PLUGIN_ONLY = "engines that are not experimental run no plugins"
PLUGIN_REFUSED = 'runtime type "plugin" only supported in experimental'
MEMORY_LIMIT = {"TaskTemplate.Resources.Limits.MemoryBytes": 64 << 20}
PLUGIN: Json = {
    "TaskTemplate.Runtime": "plugin",
    "TaskTemplate.PluginSpec.name": "p",
    "TaskTemplate.PluginSpec.remote": "r",
    "Mode.Global": {},
}

NOT_SEEN: dict[str, tuple[str, Example]] = {
    "TaskTemplate.Resources.SwapBytes": ("API 1.52 is newer than these engines", Example(1 << 20, MEMORY_LIMIT)),
    "TaskTemplate.Resources.MemorySwappiness": ("API 1.52 is newer than these engines", Example(50)),
    "TaskTemplate.Runtime": (PLUGIN_ONLY, Example("plugin", PLUGIN, too_old=PLUGIN_REFUSED)),
    "TaskTemplate.PluginSpec": (PLUGIN_ONLY, Example({"disabled": True}, PLUGIN, too_old=PLUGIN_REFUSED)),
    "TaskTemplate.PluginSpec.env": (PLUGIN_ONLY, Example(["A=1"], PLUGIN, too_old=PLUGIN_REFUSED)),
    "Networks[].DriverOpts": (
        "networks at the top are refused at every version",
        Example({"a": "b"}, {"Networks[].Target": NETWORK}, too_old=KEPT),
    ),
}
"""The gates at which no engine here can show a value, and what becomes of one that is sent past this package."""

UNGATED: dict[str, Example] = {
    MOUNT + "Type=bind": Example(beside={**BIND, MOUNT + "ReadOnly": True}),
    MOUNT + "Type=volume": Example(beside=VOLUME),
    MOUNT + "Type=tmpfs": Example(beside=TMPFS),
    "TaskTemplate.Placement.Constraints": Example([NOWHERE, "node.platform.os==linux", "node.platform.arch==x86_64"]),
}
"""What the facts count as a value and every version that this package speaks has, or the engine alone judges."""

NEVER: dict[str, Example] = {
    MOUNT + "BindOptions.CreateMountpoint": Example(True, BIND, below=GONE),
    MOUNT + "BindOptions.ReadOnlyNonRecursive": Example(True, BIND, below=GONE),
    MOUNT + "BindOptions.ReadOnlyForceRecursive": Example(True, BIND, below=GONE),
    MOUNT + "Consistency": Example("cached", VOLUME, below=GONE),
    MOUNT + "ImageOptions": Example({"Subpath": "a"}, VOLUME, below=GONE),
    MOUNT + "Type=image": Example(
        beside={MOUNT + "Source": "busybox:1.36", MOUNT + "Target": "/m"}, below='invalid MountType: "image"'
    ),
    "TaskTemplate.Resources.Limits.GenericResources": Example(
        [{"DiscreteResourceSpec": {"Kind": "SSD", "Value": 2}}], below=GONE
    ),
    "Networks": Example([{"Target": NETWORK}], below=KEPT),  # kept where no task looks for them
}
"""What no engine gives to the tasks of a service, at any version."""


# --- specs from paths -------------------------------------------------------------------------------------------------


def a_spec(key: str, example: Example, ids: dict[str, str], name: str) -> Json:
    """A complete spec with the value of an example where its key says."""
    path, _, value = key.partition("=")
    places = {**example.beside, path: value or example.value}
    if not any(place.startswith("Mode.") for place in places):
        places["Mode.Replicated.Replicas"] = 0
    places.setdefault("TaskTemplate.Placement.Constraints", [NOWHERE])
    if "TaskTemplate.PluginSpec.name" not in places:
        places[CONTAINER + "Image"] = IMAGE
    spec: Json = {"Name": name}
    for place, wanted in places.items():
        put(spec, place, wanted)
    text = json.dumps(spec)
    for stand_in, identity in ids.items():
        text = text.replace(stand_in, identity)
    return cast("Json", json.loads(text))


def typed(spec: Json) -> ServiceSpec:
    return ServiceSpec.from_wire(json.dumps(spec))


def put(spec: Json, path: str, value: Any) -> None:
    """Set the value at a path; `[]` stands for the first item of a list."""
    *parts, last = path.split(".")
    for part in parts:
        empty: Any = [{}] if part.endswith("[]") else {}
        below = spec.setdefault(part.removesuffix("[]"), empty)
        spec = below[0] if part.endswith("[]") else below
    spec[last] = {**spec[last], **value} if isinstance(value, dict) and last in spec else value


def at(spec: Json, key: str) -> Any:
    """The value at the path of a key; None where there is none."""
    value: Any = spec
    for part in key.partition("=")[0].split("."):
        value = None if value is None else value.get(part.removesuffix("[]"))
        if part.endswith("[]"):
            value = value[0] if value else None
    return value


def holds(stored: object, asked: object) -> bool:
    """Whether what is stored says all that was asked for; engines write out more."""
    if isinstance(asked, dict) and isinstance(stored, dict):
        found, keys = cast("dict[str, object]", stored), cast("dict[str, object]", asked)
        return all(key in found and holds(found[key], value) for key, value in keys.items())
    if isinstance(asked, list) and isinstance(stored, list):
        items, wanted = cast("list[object]", stored), cast("list[object]", asked)
        return len(items) == len(wanted) and all(map(holds, items, wanted))
    return stored == asked


def indexed(key: str) -> str:
    return key.replace("[]", "[0]")


# --- marks -----------------------------------------------------------------------------------------------------------


def marks(model: type[WireModel]) -> dict[str, Since]:
    """Every mark below a model, by its path and the value it is about."""
    return {
        path if mark.value is ANYTHING else f"{path}={mark.value}": mark
        for path, known in fields_below(model)
        for mark in known.metadata
        if isinstance(mark, Since)
    }


MARKS = marks(ServiceSpec)
FACTS: dict[str, str | None] = {
    row["path"] if row["value"] is None else f"{row['path']}={row['value']}": row["min"]
    for row in data("gates.json")
    if row["body"] == "POST /services/create"
}
"""The oldest version that has a field or value of a service spec, as it was measured; None for what never works."""


def gate_of(key: str) -> ApiVersion:
    """The version a field needs: as measured, where it was."""
    return ApiVersion.parse(FACTS.get(key) or str(MARKS[key].version))


def before(version: ApiVersion) -> ApiVersion:
    return ApiVersion(version.major, version.minor - 1)


def maximum(engine: Engine) -> ApiVersion:
    return ApiVersion.parse(engine.api_version)


def pinned(engine: Engine, version: ApiVersion | None) -> SwarmClient:
    """A client that speaks this version; without one, what it agrees on with the engine."""
    return connect(engine, registry_auth=None, api_version=None if version is None else str(version))


def test_every_gate_of_a_service_spec_has_an_example_or_a_reason() -> None:
    assert set(MARKS) == {*EXAMPLES, *NOT_SEEN}
    assert not set(EXAMPLES) & set(NOT_SEEN)


def test_every_fact_about_a_service_spec_has_an_example_or_a_reason() -> None:
    shown = {*EXAMPLES, *NOT_SEEN, *UNGATED, *NEVER}
    assert set() == {key for key in FACTS if not {key, key.partition("=")[0]} & shown}


# --- what is there ---------------------------------------------------------------------------------------------------


def post(engine: Engine, version: ApiVersion, path: str, body: Json) -> tuple[int, Json]:
    """What the engine itself says to a request, past this package."""
    status, _, said = engine.request("POST", f"/v{version}{path}", body)
    return status, cast("Json", json.loads(said))


@pytest.fixture(scope="module")
def ids(engine: Engine) -> Iterator[dict[str, str]]:
    """The ids of what specs refer to."""
    newest = maximum(engine)
    named = {"Name": "versioned", "Data": "eA=="}
    network = {"Name": "versioned", "Driver": "overlay"}
    made: dict[str, str] = {}
    for stand_in, kind, body in (
        (SECRET, "secrets", named),
        (CONFIG, "configs", named),
        (NETWORK, "networks", network),
    ):
        status, said = post(engine, newest, f"/{kind}/create", body)
        assert status == 201, said
        made[stand_in] = said.get("ID") or said["Id"]
    yield made
    for kind in ("secret", "config", "network"):
        engine.docker(kind, "rm", "versioned")


def stored(engine: Engine, name: str) -> Json | None:
    """The spec of a service as the engine holds it; None where there is no such service."""
    found = wire(engine, f"/services?filters={{%22name%22:[%22{name}%22]}}")
    return cast("Json", found[0]["Spec"]) if found else None


# --- the gates of a spec ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("key", EXAMPLES)
async def test_a_field_below_its_gate_is_refused_and_at_it_is_kept(
    engine: Engine, ids: dict[str, str], key: str
) -> None:
    gate, newest = gate_of(key), maximum(engine)
    below = min(before(gate), newest)
    spec = typed(a_spec(key, EXAMPLES[key], ids, "below"))
    lacking = [other for other in (key, *EXAMPLES[key].beside) if other in MARKS and gate_of(other) > below]
    refusal = {(indexed(other), f"needs API {gate_of(other)}") for other in lacking}
    for clients_version in (below, None) if newest < gate else (below,):
        async with pinned(engine, clients_version) as client:
            with pytest.raises(UnsupportedFeature) as caught:
                await client.services.create(spec)
        assert refusal == set(caught.value.problems)
    assert stored(engine, "below") is None

    for version in {gate, newest} if gate <= newest else ():
        asked = a_spec(key, EXAMPLES[key], ids, f"at-{version.minor}")
        async with pinned(engine, version) as client:
            await client.services.create(typed(asked))
        found = stored(engine, asked["Name"]) or {}
        assert holds(at(found, key), at(asked, key)), (version, at(found, key))


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("key", [*EXAMPLES, *NOT_SEEN])
def test_what_an_engine_makes_of_a_field_that_the_version_lacks(engine: Engine, ids: dict[str, str], key: str) -> None:
    gate, newest = gate_of(key), maximum(engine)
    example = EXAMPLES[key] if key in EXAMPLES else NOT_SEEN[key][1]
    becomes = example.below if gate <= newest and key in EXAMPLES else example.too_old
    asked = a_spec(key, example, ids, "raw")
    status, said = post(engine, min(before(gate), newest), "/services/create", asked)
    judge(engine, key, example, asked, (status, said), becomes)


def judge(engine: Engine, key: str, example: Example, asked: Json, answered: tuple[int, Json], becomes: str) -> None:
    """Compare what an engine answered to a raw request and then stored with what was foretold."""
    status, said = answered
    if becomes not in (KEPT, GONE):
        assert (status >= 400, stored(engine, asked["Name"])) == (True, None), said
        assert becomes in said["message"]
        return
    assert status == 201, said
    found = stored(engine, asked["Name"]) or {}
    assert holds(at(found, key), at(asked, key)) == (becomes == KEPT), at(found, key)
    if becomes == GONE:
        assert not at(found, key)
        if example.instead is not None:
            path, value = example.instead
            assert at(found, path) == value


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("key", NOT_SEEN)
async def test_what_no_engine_here_can_show_is_never_stored_unasked(
    engine: Engine, ids: dict[str, str], key: str
) -> None:
    gate = gate_of(key)
    spec = typed(a_spec(key, NOT_SEEN[key][1], ids, "unseen"))
    below = min(before(gate), maximum(engine))
    async with pinned(engine, below) as client:
        with pytest.raises((UnsupportedFeature, InvalidSpec)) as caught:
            await client.services.create(spec)
    assert isinstance(caught.value, UnsupportedFeature | InvalidSpec)
    paths = {problem.path for problem in caught.value.problems}
    assert indexed(key) in paths or {"Networks"} == paths
    assert stored(engine, "unseen") is None


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("key", UNGATED)
async def test_what_has_no_gate_is_kept_from_the_oldest_version_on(
    engine: Engine, ids: dict[str, str], key: str
) -> None:
    for version in (OLDEST, maximum(engine)):
        asked = a_spec(key, UNGATED[key], ids, f"free-{version.minor}")
        async with pinned(engine, version) as client:
            await client.services.create(typed(asked))
        assert holds(at(stored(engine, asked["Name"]) or {}, key), at(asked, key))


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("key", NEVER)
async def test_what_never_works_for_services_is_refused_at_every_version(
    engine: Engine, ids: dict[str, str], key: str
) -> None:
    spec = typed(a_spec(key, NEVER[key], ids, "never"))
    for version in (OLDEST, maximum(engine)):
        async with pinned(engine, version) as client:
            with pytest.raises(InvalidSpec) as caught:
                await client.services.create(spec)
        assert [indexed(key.partition("=")[0])] == [problem.path for problem in caught.value.problems]
    assert stored(engine, "never") is None


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("key", NEVER)
def test_what_an_engine_makes_of_what_never_works(engine: Engine, ids: dict[str, str], key: str) -> None:
    for version in (OLDEST, maximum(engine)):
        asked = a_spec(key, NEVER[key], ids, f"never-{version.minor}")
        judge(engine, key, NEVER[key], asked, post(engine, version, "/services/create", asked), NEVER[key].below)
        assert not at(stored(engine, asked["Name"]) or {}, "TaskTemplate.Networks")


# --- gates that an engine's release has beside the API version --------------------------------------------------------

RELEASES = {
    CONTAINER + "Healthcheck.StartInterval": ("25.0.0", "25.0.1"),
    MOUNT + "VolumeOptions.Subpath": ("26.0.2", "26.1.0"),
}
"""The last release that speaks the API version and drops the field, and the first one that keeps it."""


def test_every_gate_of_a_release_is_known_here() -> None:
    assert set(RELEASES) == {key for key, mark in MARKS.items() if mark.release is not None}


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("key", RELEASES)
async def test_an_engine_of_the_version_and_the_release_keeps_the_field(
    engine: Engine, ids: dict[str, str], key: str
) -> None:
    asked = a_spec(key, EXAMPLES[key], ids, "released")
    async with pinned(engine, None) as client:
        await client.api_version()  # has heard the release
        if maximum(engine) < gate_of(key):
            with pytest.raises(UnsupportedFeature, match=f"needs API {gate_of(key)}"):
                await client.services.create(typed(asked))
        else:
            await client.services.create(typed(asked))
    found = stored(engine, "released") or {}
    assert holds(at(found, key), at(asked, key)) == (maximum(engine) >= gate_of(key))


@pytest.mark.parametrize("key", RELEASES)
async def test_an_engine_of_the_version_alone_is_never_asked(key: str) -> None:
    asked = typed(a_spec(key, EXAMPLES[key], {}, "unreleased"))
    too_old, first = RELEASES[key]
    api = str(gate_of(key))

    def ping(release: str) -> bytes:
        return answer(b"OK", api=api, headers={"Server": f"Docker/{release} (linux)"})

    with StubEngine(lambda _: answer({"ID": "made"}, status=201, api=api), lambda: ping(too_old)) as stub:
        async with SwarmClient(stub.host, registry_auth=None) as client:
            with pytest.raises(UnsupportedFeature) as caught:
                await client.services.create(asked)
    assert [(indexed(key), f"needs engine {first}")] == list(caught.value.problems)
    assert [] == stub.received
    with StubEngine(lambda _: answer({"ID": "made"}, status=201, api=api), lambda: ping(first)) as stub:
        async with SwarmClient(stub.host, registry_auth=None) as client:
            assert "made" == (await client.services.create(asked)).id


# --- the gates of queries --------------------------------------------------------------------------------------------


class Asked(NamedTuple):
    """A question that needs an API version, and what an engine answers that honours it."""

    since: str
    ask: Callable[[SwarmClient], Awaitable[Any]]
    honoured: Any


def _names(**filters: Any) -> Callable[[SwarmClient], Awaitable[set[str]]]:
    async def ask(client: SwarmClient) -> set[str]:
        return {service.name for service in await client.services.list(filters=filters)}

    return ask


def _tasks(**filters: Any) -> Callable[[SwarmClient], Awaitable[int]]:
    async def ask(client: SwarmClient) -> int:
        return len(await client.tasks.list(filters={"service": "steady", **filters}))

    return ask


async def _desired(client: SwarmClient) -> dict[str, int | None]:
    services = await client.services.list(status=True)
    return {
        service.name: None if service.service_status is None else service.service_status.desired_tasks
        for service in services
    }


async def _grace(client: SwarmClient) -> list[timedelta | None]:
    full = await client.services.inspect("steady", insert_defaults=True)
    plain = await client.services.inspect("steady")
    return [full.spec.container.stop_grace_period, plain.spec.container.stop_grace_period]


async def _rolled_back(client: SwarmClient) -> dict[str, str] | None:
    await client.services.update("steady", labels={"at": "first"})
    await client.services.update("steady", labels={"at": "second"})
    await client.services.rollback("steady")
    return (await client.services.inspect("steady")).spec.labels


QUERIES: dict[tuple[type[Query], str], Asked] = {
    (ServiceListQuery, "status"): Asked("1.41", _desired, {"steady": 2, "everywhere": 0, "batch": 2, "sweep": 0}),
    (ServiceListQuery, "filters.mode"): Asked("1.29", _names(mode=["global"]), {"everywhere"}),
    (ServiceListQuery, "filters.mode=replicated-job"): Asked("1.41", _names(mode=["replicated-job"]), {"batch"}),
    (ServiceListQuery, "filters.mode=global-job"): Asked("1.41", _names(mode=["global-job"]), {"sweep"}),
    (ServiceListQuery, "filters.runtime"): Asked("1.30", _names(runtime=["plugin"]), set[str]()),
    (ServiceInspectQuery, "insertDefaults"): Asked("1.29", _grace, [timedelta(seconds=10), None]),
    (ServiceUpdateQuery, "rollback"): Asked("1.28", _rolled_back, {"at": "first"}),
    (TaskListQuery, "filters.runtime"): Asked("1.31", _tasks(runtime=["plugin"]), 0),
    (TaskListQuery, "filters._up-to-date"): Asked("1.29", _tasks(**{"_up-to-date": True}), 1),
}
"""Of every gate of a query, a question that engines answer otherwise without it."""

NOT_ASKED: dict[tuple[type[Query], str], str] = {
    (
        ServiceUpdateQuery,
        "registryAuthFrom",
    ): "engines that can be had read it in every version; only those of API 1.24 itself did not",
    (LogsQuery, "details"): "log streams need 1.30 as a whole",
}


@pytest.fixture
async def services(engine: Engine, clean: None) -> None:
    """One of the two tasks of a service is not of its present spec: the other could not start anywhere."""
    newest = maximum(engine)
    modes: Json = {
        "steady": {"Replicated": {"Replicas": 2}},
        "everywhere": {"Global": {}},
        "batch": {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 3}},
        "sweep": {"GlobalJob": {}},
    }
    for name, mode in modes.items():
        spec: Json = {
            "Name": name,
            "TaskTemplate": {"ContainerSpec": {"Image": IMAGE}, "Placement": {"Constraints": [NOWHERE]}},
            "Mode": mode,
        }
        status, said = post(engine, newest, "/services/create", spec)
        assert status == 201, said
        if name == "steady":
            spec["UpdateConfig"] = {"Parallelism": 1}
            spec["TaskTemplate"]["ContainerSpec"]["Dir"] = "/tmp"
            await _until(lambda: len(_dirs(engine)) == 2)
            await _update(engine, said["ID"], spec)
            await _until(lambda: {"", "/tmp"} == set(_dirs(engine)))


def _dirs(engine: Engine) -> list[str]:
    tasks = wire(engine, "/tasks?filters={%22service%22:[%22steady%22]}")
    return [task["Spec"]["ContainerSpec"].get("Dir", "") for task in tasks]


async def _update(engine: Engine, service_id: str, spec: Json) -> None:
    """An update past this package. The manager changes a new service by itself: then once more."""
    with anyio.fail_after(30):
        while True:
            index = wire(engine, f"/services/{service_id}")["Version"]["Index"]
            status, said = post(engine, maximum(engine), f"/services/{service_id}/update?version={index}", spec)
            if status == 200:
                return
            assert "out of sequence" in said["message"]
            await anyio.sleep(0.01)


async def _until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not holds():
            await anyio.sleep(0.01)


def test_every_gate_of_a_query_has_a_question_or_a_reason() -> None:
    models = (LogsQuery, ServiceInspectQuery, ServiceListQuery, ServiceUpdateQuery, TaskListQuery)
    assert {(model, key) for model in models for key in marks(model)} == {*QUERIES, *NOT_ASKED}


@pytest.mark.usefixtures("services")
@pytest.mark.parametrize(("model", "key"), QUERIES, ids=[f"{model.__name__}.{key}" for model, key in QUERIES])
async def test_a_question_below_its_gate_is_refused_and_at_it_is_honoured(
    engine: Engine, model: type[Query], key: str
) -> None:
    question = QUERIES[model, key]
    gate = ApiVersion.parse(question.since)
    async with pinned(engine, before(gate)) as client:
        assert {"steady", "everywhere", "batch", "sweep"} == await _names()(client)
        assert 2 <= await _tasks()(client)
        with pytest.raises(UnsupportedFeature) as caught:
            await question.ask(client)
    assert [(key, f"needs API {gate}")] == list(caught.value.problems)
    for version in {gate, maximum(engine)}:
        async with pinned(engine, version) as client:
            assert question.honoured == await question.ask(client), version


@pytest.mark.usefixtures("services")
async def test_an_engine_takes_no_notice_of_the_status_that_an_older_version_does_not_have(engine: Engine) -> None:
    for version, said in (("1.40", False), ("1.41", True)):
        status, _, body = engine.request("GET", f"/v{version}/services?status=true")
        assert (status, {said}) == (200, {"ServiceStatus" in service for service in json.loads(body)})
