"""What is read from a real engine and sent back is what was there, also what this package does not know of.

Services of every kind are read, sent back unchanged and compared: the spec that is stored, and the tasks that run.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

import swarmkit
from swarmkit import (
    ApiVersion,
    Node,
    ProtocolError,
    Service,
    ServiceSpec,
    SwarmClient,
    Task,
    TaskTemplate,
    UnsupportedFeature,
)
from swarmkit.models._wire import WireModel
from swarmkit.versions import ANYTHING
from tests.fake import connect
from tests.harness.engine import Engine
from tests.integration.test_services import wire
from tests.paths import fields_below, marks_below
from tests.stub import SERVICE, StubEngine, answer

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One backend: what goes round does not depend on it, and there is much of it."""
    return "asyncio"


Json = dict[str, Any]

NOWHERE = {"Constraints": ["node.labels.moon==full"]}
ODD = 1_000_000_001
"""Nanoseconds that are no whole number of microseconds."""
RUNNING, PENDING, COMPLETE = "running", "pending", "complete"
JOBS = ("job", "job-everywhere")
LAST = ("last", "last-everywhere")


@dataclass(frozen=True)
class Kind:
    """A service to send back, and where its tasks come to rest."""

    spec: Json
    tasks: int
    state: str


def kind(tasks: int, state: str, container: Json | None = None, template: Json | None = None, **spec: Any) -> Kind:
    """A service whose tasks get no further than pending if that is where they are to come to rest."""
    whole: Json = {
        "TaskTemplate": {
            "ContainerSpec": {"Image": "busybox:1.36", **(container or {})},
            **({"Placement": NOWHERE} if state == PENDING else {}),
            **(template or {}),
        },
        **spec,
    }
    return Kind(whole, tasks, state)


def kinds(engine: Engine, ids: dict[str, str]) -> dict[str, Kind]:
    """Services of every kind that the engine has, which between them use every field of a spec."""

    def since(version: str, **keys: Any) -> Json:
        return keys if ApiVersion.parse(engine.api_version) >= ApiVersion.parse(version) else {}

    file = {"UID": "1", "GID": "2", "Mode": 0o440}
    secret = {"SecretID": ids["secret"], "SecretName": "travels"}
    config = {"ConfigID": ids["config"], "ConfigName": "travels"}
    found = {
        "plain": kind(2, RUNNING, Mode={"Replicated": {"Replicas": 2}}),
        "container": kind(
            1,
            RUNNING,
            {
                "Labels": {"on": "container", "": ""},
                "Command": ["sleep"],
                "Args": ["86400"],
                "Hostname": "{{.Node.Hostname}}",
                "Env": ["A=1", "B=x=y", "C", "A=2"],
                "Dir": "/tmp",
                "User": "0:0",
                "Groups": ["10"],
                "TTY": True,
                "OpenStdin": True,
                "ReadOnly": True,
                "StopSignal": "SIGKILL",
                "StopGracePeriod": ODD,
                "Healthcheck": {
                    "Test": ["CMD", "true"],
                    "Interval": ODD,
                    "Timeout": 2 * ODD,
                    "Retries": 3,
                    "StartPeriod": ODD + 1,
                    **since("1.44", StartInterval=100_000_007),
                },
                "Hosts": ["10.0.0.9 db"],
                "DNSConfig": {"Nameservers": ["10.0.0.1"], "Search": ["a.b"], "Options": ["ndots:2"]},
                "Init": True,
                "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
                "CapabilityAdd": ["CAP_NET_ADMIN"],
                "CapabilityDrop": ["CAP_CHOWN"],
                "Ulimits": [{"Name": "nofile", "Soft": 1000, "Hard": 2000}],
                "Privileges": since("1.44", NoNewPrivileges=True, Seccomp={"Mode": "unconfined"}),
                **since("1.46", OomScoreAdj=100),
            },
            Labels={"on": "service", "": ""},
        ),
        "mounts": kind(
            1,
            RUNNING,
            {
                "Mounts": [
                    {
                        "Type": "bind",
                        "Source": "/tmp",
                        "Target": "/bind",
                        "ReadOnly": True,
                        "BindOptions": {"Propagation": "rslave", "NonRecursive": True},
                    },
                    {
                        "Type": "volume",
                        "Source": "travels",
                        "Target": "/volume",
                        "VolumeOptions": {
                            "NoCopy": True,
                            "Labels": {"a": "b"},
                            "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs"}},
                        },
                    },
                    {"Type": "volume", "Target": "/anonymous"},
                    {
                        "Type": "tmpfs",
                        "Target": "/tmpfs",
                        "TmpfsOptions": {
                            "SizeBytes": 1 << 20,
                            "Mode": 0o1777,
                            **since("1.46", Options=[["noexec"]]),
                        },
                    },
                ]
            },
        ),
        "mounts-of-elsewhere": kind(
            1,
            PENDING,
            {
                "Mounts": [
                    {"Type": "tmpfs", "Target": "/t", **since("1.46", TmpfsOptions={"Options": [["uid", "1000"]]})},
                    {"Type": "npipe", "Source": r"\\.\pipe\a", "Target": r"\\.\pipe\b"},
                    *([{"Type": "cluster", "Source": "vol", "Target": "/c"}] if since("1.42", known=True) else []),
                    {
                        "Type": "volume",
                        "Source": "deep",
                        "Target": "/deep",
                        **since("1.45", VolumeOptions={"Subpath": "a/b"}),
                    },
                ]
            },
        ),
        "resources": kind(
            1,
            PENDING,
            template={
                "Resources": {
                    "Limits": {"NanoCPUs": 1_500_000_000, "MemoryBytes": 1 << 40, "Pids": 50},
                    "Reservations": {
                        "NanoCPUs": 1_000_001,
                        "MemoryBytes": 4 << 20,
                        "GenericResources": [
                            {"NamedResourceSpec": {"Kind": "GPU", "Value": "u1"}},
                            {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 2}},
                        ],
                    },
                },
                "RestartPolicy": {"Condition": "on-failure", "Delay": ODD, "MaxAttempts": 2, "Window": 5 * ODD},
                "ForceUpdate": 7,
            },
        ),
        "everywhere": kind(
            1,
            RUNNING,
            template={
                "Placement": {
                    "Constraints": ["node.role==manager", "node.platform.os==linux"],
                    "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
                    "Platforms": [{"OS": "linux"}, {"Architecture": "x86_64", "OS": "linux"}],
                },
                "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
                "Runtime": "container",
            },
            Mode={"Global": {}},
        ),
        "networked": kind(
            1,
            RUNNING,
            template={
                "Networks": [{"Target": ids["network"], "Aliases": ["a", "b"], "DriverOpts": {"c": "d"}}],
                "Placement": {"MaxReplicas": 3},
            },
            EndpointSpec={
                "Mode": "vip",
                "Ports": [
                    {"Name": "dns", "Protocol": "udp", "TargetPort": 53, "PublishedPort": 15353},
                    {"Protocol": "sctp", "TargetPort": 54, "PublishedPort": 15354, "PublishMode": "ingress"},
                    {"TargetPort": 80},
                    {"TargetPort": 81, "PublishMode": "host", "PublishedPort": 18081},
                ],
            },
        ),
        "without-an-address": kind(
            1,
            RUNNING,
            template={"Networks": [{"Target": ids["network"]}]},
            EndpointSpec={"Mode": "dnsrr", "Ports": [{"TargetPort": 80, "PublishMode": "host"}]},
        ),
        "entrusted": kind(
            1,
            RUNNING,
            {
                "Secrets": [{**secret, "File": {"Name": "key", **file}}, {**secret, "File": {"Name": "/k", **file}}],
                "Configs": [{**config, "File": {"Name": "/c", **file}}],
            },
        ),
        "rolling": kind(
            1,
            RUNNING,
            UpdateConfig={
                "Parallelism": 2,
                "Delay": ODD,
                "FailureAction": "rollback",
                "Monitor": 2 * ODD,
                "MaxFailureRatio": 0.1,
                "Order": "start-first",
            },
            RollbackConfig={
                "Parallelism": 3,
                "Delay": ODD,
                "FailureAction": "continue",
                "Monitor": 999,
                "MaxFailureRatio": 0.12345679,
                "Order": "start-first",
            },
        ),
        "of-windows": kind(
            1,
            PENDING,
            {
                "Isolation": "hyperv",
                "Configs": [{**config, "Runtime": {}}],
                "Privileges": {"CredentialSpec": {"Config": ids["config"]}},
            },
        ),
        "of-windows-by-file": kind(1, PENDING, {"Privileges": {"CredentialSpec": {"File": "spec.json"}}}),
        "of-windows-by-registry": kind(1, PENDING, {"Privileges": {"CredentialSpec": {"Registry": "key"}}}),
        "confined": kind(
            1,
            PENDING,
            {
                "Privileges": {
                    "SELinuxContext": {"Disable": True, "User": "u", "Role": "r", "Type": "t", "Level": "l"},
                    **since("1.44", Seccomp={"Mode": "custom", "Profile": "+/+/"}, AppArmor={"Mode": "disabled"}),
                },
                "Healthcheck": {"Test": ["NONE"]},
                "Init": False,
            },
        ),
        "job": kind(
            3,
            COMPLETE,
            {"Command": ["true"]},
            {"RestartPolicy": {"Condition": "none"}},
            Mode={"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 3}},
        ),
        "job-everywhere": kind(
            1, COMPLETE, {"Command": ["true"]}, {"RestartPolicy": {"Condition": "none"}}, Mode={"GlobalJob": {}}
        ),
        "last": kind(1, RUNNING),
        "last-everywhere": kind(1, RUNNING, Mode={"Global": {}}),
        "empty": kind(
            0,
            "",
            {"Env": [], "Mounts": [], "Labels": {}, "StopGracePeriod": 0, "Healthcheck": {}, "Init": None},
            {"Resources": {}, "RestartPolicy": {}, "Placement": {}, "Networks": []},
            Labels={},
            Mode={"Replicated": {"Replicas": 0}},
            UpdateConfig={},
            RollbackConfig={},
            EndpointSpec={},
        ),
    }
    for name, one in found.items():
        one.spec["Name"] = name
    return found


NOT_STORED = {
    "TaskTemplate.PluginSpec": "engines that are not experimental run no plugins",
    "TaskTemplate.NetworkAttachmentSpec": "engines alone make tasks of that kind",
    "Networks": "refused: networks belong into the task template",
    "TaskTemplate.ContainerSpec.Mounts[].BindOptions.CreateMountpoint": "refused: engines drop it",
    "TaskTemplate.ContainerSpec.Mounts[].BindOptions.ReadOnlyNonRecursive": "refused: engines drop it",
    "TaskTemplate.ContainerSpec.Mounts[].BindOptions.ReadOnlyForceRecursive": "refused: engines drop it",
    "TaskTemplate.ContainerSpec.Mounts[].Consistency": "refused: engines drop it",
    "TaskTemplate.ContainerSpec.Mounts[].ImageOptions": "refused: engines drop it",
    "TaskTemplate.ContainerSpec.Mounts[].ClusterOptions": "an empty object, which engines drop",
}
"""Fields that no service here holds, with all that is below them."""


# --- what is there ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ids(engine: Engine) -> Iterator[dict[str, str]]:
    """The ids of what specs refer to."""
    yield {
        "secret": engine.docker("secret", "create", "travels", "-", input=b"x").strip(),
        "config": engine.docker("config", "create", "travels", "-", input=b"x").strip(),
        "network": engine.docker("network", "create", "--driver", "overlay", "travels").strip(),
    }
    for kind in ("secret", "config", "network", "volume"):
        anyio.run(until, partial(is_gone, engine, kind))


def is_gone(engine: Engine, kind: str) -> bool:
    """Whether it could be removed; containers that still end hold on to networks and volumes."""
    engine.docker(kind, "rm", "travels", check=False)
    return "travels" not in engine.docker(kind, "ls", "--format", "{{.Name}}").split()


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[SwarmClient]:
    async with connect(engine, registry_auth=None) as client:
        yield client


@pytest.fixture(scope="module")
def settled(engine: Engine, ids: dict[str, str]) -> Iterator[dict[str, str]]:
    """The ids of services of every kind, by name, to which nothing happens any more of itself."""
    wanted = kinds(engine, ids)
    made: dict[str, str] = {}

    async def make() -> None:
        async with connect(engine, registry_auth=None) as client:
            for name, one in wanted.items():
                made[name] = (await client.services.create(ServiceSpec.from_wire(json.dumps(one.spec)))).id
        for name, one in wanted.items():
            await until(partial(at_rest, engine, made[name], one))

    try:
        anyio.run(make)
        yield made
    finally:
        for service_id in made.values():
            engine.request("DELETE", f"/v{engine.api_version}/services/{service_id}")


def at_rest(engine: Engine, service_id: str, one: Kind) -> bool:
    tasks = tasks_of(engine, service_id).values()
    states = [state for _, state, _ in tasks]
    assert not {"failed", "rejected"} & set(states), tasks
    tried = all(message for _, state, message in tasks if state == PENDING)
    return states == [one.state] * one.tasks and tried


def tasks_of(engine: Engine, service_id: str) -> dict[str, tuple[int, str, str]]:
    """Of every task of a service by its id: its version, its state, and why it waits if it does."""
    return {
        task["ID"]: (task["Version"]["Index"], task["Status"]["State"], task["Status"].get("Err", ""))
        for task in wire(engine, "/tasks")
        if task.get("ServiceID") == service_id
    }


async def until(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not holds():
            await anyio.sleep(0.1)


def spec_of(engine: Engine, service_id: str) -> Json:
    return cast("Json", wire(engine, f"/services/{service_id}")["Spec"])


async def all_else_is_done(engine: Engine, client: SwarmClient, settled: dict[str, str]) -> None:
    """Return when the manager has replaced tasks because of changes that were made later than all others.

    It takes changes in their order, one queue for each kind of service.
    """
    for name in LAST:
        before = set(tasks_of(engine, settled[name]))
        count = (await client.services.inspect(name)).spec.task_template or TaskTemplate()
        await client.services.update(name, task_template=TaskTemplate(force_update=(count.force_update or 0) + 1))
        await until(partial(has_others, engine, settled[name], before))


def has_others(engine: Engine, service_id: str, before: set[str]) -> bool:
    return bool(set(tasks_of(engine, service_id)) - before)


# --- there and back --------------------------------------------------------------------------------------------------


async def test_a_spec_that_is_sent_back_unchanged_changes_nothing_and_restarts_nothing(
    engine: Engine, client: SwarmClient, settled: dict[str, str]
) -> None:
    same = {name: service_id for name, service_id in settled.items() if name not in {*LAST, *JOBS}}
    before = {name: wire(engine, f"/services/{service_id}") for name, service_id in same.items()}
    tasks = {name: tasks_of(engine, service_id) for name, service_id in same.items()}
    assert 10 < len(same)
    await send_back(client, list(same.values()))
    await all_else_is_done(engine, client, settled)
    for name, service_id in same.items():
        after = wire(engine, f"/services/{service_id}")
        assert after["Version"]["Index"] > before[name]["Version"]["Index"], name
        assert after["Spec"] == before[name]["Spec"], name
        assert after["PreviousSpec"] == before[name]["Spec"], name
        assert "UpdateStatus" not in after, name
        assert tasks_of(engine, service_id) == tasks[name], name


@pytest.mark.parametrize("name", JOBS)
async def test_a_job_s_spec_that_is_sent_back_is_the_same_and_the_job_runs_again(
    engine: Engine, client: SwarmClient, settled: dict[str, str], name: str
) -> None:
    def runs(service: Json) -> int:
        return cast("int", service["JobStatus"]["JobIteration"].get("Index", 0))

    before = wire(engine, f"/services/{settled[name]}")
    sent = await send_back(client, [settled[name]])
    after = wire(engine, f"/services/{settled[name]}")
    assert after["Spec"] == before["Spec"]
    assert runs(after) == runs(before) + sent  # an engine takes any update of a job for a request to run it


async def send_back(client: SwarmClient, service_ids: list[str]) -> int:
    """Read each service and send its spec back unchanged, in all ways there are; how many these are."""
    for service_id in service_ids:
        service = await client.services.inspect(service_id)
        updates = [
            await client.services.replace(service_id, service.spec, version=service.version),
            await client.services.edit(service_id, lambda spec: None),
            await client.services.update(service_id),
        ]
        assert [[]] * 3 == [update.warnings for update in updates]
    return 3


async def test_what_is_stored_is_what_was_asked_for_in_every_field(
    engine: Engine, ids: dict[str, str], settled: dict[str, str]
) -> None:
    stored = {path for service_id in settled.values() for path in paths(spec_of(engine, service_id))}
    newest = ApiVersion.parse(engine.api_version)
    too_new = [path for path, mark in marks_below(ServiceSpec) if mark.version > newest and mark.value is ANYTHING]
    assert set() == {
        path
        for path, _ in fields_below(ServiceSpec)
        if path not in stored and not is_below(path, *too_new, *NOT_STORED)
    }
    assert set() == {path for path in stored if path in NOT_STORED}
    for name, one in kinds(engine, ids).items():
        assert [] == lost(one.spec, spec_of(engine, settled[name])), name


def is_below(path: str, *others: str) -> bool:
    """Whether it is one of the other paths, or leads further."""
    return any(path == other or path.startswith((f"{other}.", f"{other}[")) for other in others)


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """The path of every key that says something."""
    if isinstance(value, dict):
        for key, inner in cast("Json", value).items():
            if inner or isinstance(inner, dict):
                yield prefix + key
            yield from paths(inner, f"{prefix}{key}.")
    if isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from paths(inner, f"{prefix.removesuffix('.')}[].")


def lost(asked: Any, stored: Any, path: str = "") -> list[str]:
    """Where what is stored says something else; engines leave out what is zero or empty, and write out defaults."""
    if isinstance(asked, dict) and isinstance(stored, dict):
        pairs = [(f"{path}.{key}", value, cast("Json", stored).get(key)) for key, value in cast("Json", asked).items()]
    elif isinstance(asked, list) and isinstance(stored, list):
        items = cast("list[object]", asked)
        pairs = [
            (f"{path}[{n}]", *pair) for n, pair in enumerate(zip(items, cast("list[object]", stored), strict=True))
        ]
    else:
        return [path] if asked != stored and (asked or stored) else []
    return [place for where, one, other in pairs for place in lost(one, other, where)]


TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


def to_the_microsecond(value: Any) -> Any:
    """The same with its timestamps as far as a datetime can say them."""
    if isinstance(value, dict):
        return {key: to_the_microsecond(inner) for key, inner in cast("Json", value).items()}
    if isinstance(value, list):
        return [to_the_microsecond(inner) for inner in cast("list[object]", value)]
    if isinstance(value, str) and TIMESTAMP.fullmatch(value):
        whole = datetime.fromisoformat(value)
        return None if whole.year == 1 else whole.isoformat()
    return value


async def test_whatever_an_engine_says_of_services_tasks_and_nodes_can_be_written_again(
    engine: Engine, settled: dict[str, str]
) -> None:
    said: list[tuple[type[WireModel], Json]] = [
        (model, one)
        for model, path in ((Service, "/services?status=true"), (Task, "/tasks"), (Node, "/nodes"))
        for one in wire(engine, path)
    ]
    assert {Service, Task, Node} == {model for model, _ in said}
    assert len(settled) <= sum(model is Service for model, _ in said)
    for model, one in said:
        written = json.loads(model.from_wire(json.dumps(one)).wire())
        assert to_the_microsecond(written) == to_the_microsecond(one)
        assert written.get("Spec") == one.get("Spec")  # to the nanosecond


async def test_keys_that_no_version_has_yet_survive_everywhere_in_a_spec(
    engine: Engine, settled: dict[str, str]
) -> None:
    def with_more(value: Any) -> Any:
        if isinstance(value, dict):
            grown = {key: with_more(inner) for key, inner in cast("Json", value).items()}
            return {**grown, "FromTheFuture": "kept"}
        return [with_more(inner) for inner in cast("list[object]", value)] if isinstance(value, list) else value

    for service_id in settled.values():
        spec = with_more(spec_of(engine, service_id))
        read = ServiceSpec.from_wire(json.dumps(spec))
        assert json.loads(read.wire()) == spec
        assert json.loads(read.model_copy(deep=True).wire()) == spec


# --- an engine that is newer than the client -------------------------------------------------------------------------

OLD = ApiVersion(1, 40)
"""Older than every engine here."""


def newer_than_old(engine: Engine) -> Json:
    """A spec with what came after API 1.40, as far as the engine has it."""

    def since(version: str, **keys: Any) -> Json:
        return keys if ApiVersion.parse(engine.api_version) >= ApiVersion.parse(version) else {}

    container = {
        "CapabilityDrop": ["CAP_CHOWN"],
        "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
        **since("1.46", OomScoreAdj=100),
        "Mounts": [
            {
                "Type": "tmpfs",
                "Target": "/t",
                "TmpfsOptions": {"SizeBytes": 4096, **since("1.46", Options=[["noexec"]])},
            },
        ],
        "Healthcheck": {"Test": ["CMD", "true"], **since("1.44", StartInterval=ODD)},
        "Privileges": since("1.44", Seccomp={"Mode": "custom", "Profile": "e30="}, NoNewPrivileges=True),
    }
    template = {"Resources": {"Limits": {"Pids": 50}}}
    return {**kind(1, PENDING, container, template).spec, "Name": "newer", "Labels": {"at": "first"}}


NEWER = {
    "TaskTemplate.ContainerSpec.CapabilityDrop": "1.41",
    "TaskTemplate.ContainerSpec.Ulimits": "1.41",
    "TaskTemplate.Resources.Limits.Pids": "1.41",
    "TaskTemplate.ContainerSpec.Healthcheck.StartInterval": "1.44",
    "TaskTemplate.ContainerSpec.Privileges.Seccomp": "1.44",
    "TaskTemplate.ContainerSpec.Privileges.NoNewPrivileges": "1.44",
    "TaskTemplate.ContainerSpec.OomScoreAdj": "1.46",
    "TaskTemplate.ContainerSpec.Mounts[0].TmpfsOptions.Options": "1.46",
}


def had_by(engine: Engine) -> set[str]:
    newest = ApiVersion.parse(engine.api_version)
    return {path for path, version in NEWER.items() if ApiVersion.parse(version) <= newest}


@pytest.fixture
async def newer(engine: Engine, client: SwarmClient) -> AsyncIterator[Json]:
    """What the engine stores of a service with all that came after API 1.40."""
    asked = newer_than_old(engine)
    created = await client.services.create(ServiceSpec.from_wire(json.dumps(asked)))
    stored = spec_of(engine, created.id)
    assert [] == lost(asked, stored)
    assert had_by(engine) <= {path.replace("[]", "[0]") for path in paths(stored)}
    yield stored
    engine.request("DELETE", f"/v{engine.api_version}/services/{created.id}")


@pytest.fixture(scope="session")
def old_package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """This package as it would have been made when API 1.40 was the newest: without all fields that came later."""
    folder = tmp_path_factory.mktemp("old")
    target = folder / "swarmkit_of_old"
    shutil.copytree(Path(swarmkit.__file__).parent, target, ignore=shutil.ignore_patterns("__pycache__"))
    for module in (target / "models").glob("*.py"):
        module.write_text(without_newer_fields(module.read_text()))
    versions = target / "versions.py"
    aged = re.sub(r"^NEWEST: Final = .*$", f"NEWEST: Final = ApiVersion{tuple(OLD)}", versions.read_text(), flags=re.M)
    versions.write_text(aged)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(target.name)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == target.name]:
            del sys.modules[name]


def without_newer_fields(source: str) -> str:
    """A module of models in which every field that came after API 1.40 is no field; it reads as None."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and any(map(_is_newer, ast.walk(node.annotation))):
            node.annotation = ast.parse('__import__("typing").ClassVar', mode="eval").body
    return ast.unparse(tree)


def _is_newer(node: ast.AST) -> bool:
    """A mark of a whole field with a version after 1.40."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Since"):
        return False
    version = node.args[0]
    assert isinstance(version, ast.Constant)
    whole = all(keyword.arg != "value" for keyword in node.keywords)
    return whole and ApiVersion.parse(str(version.value)) > OLD


async def test_a_package_older_than_the_engine_keeps_what_it_does_not_know(
    engine: Engine, newer: Json, old_package: Any
) -> None:
    def relabel(spec: Any) -> None:
        extra = spec.task_template.container_spec.__pydantic_extra__
        assert "Ulimits" in extra
        spec.labels = {"at": "second"}

    async with connect(engine, old_package.SwarmClient, registry_auth=None) as old:
        assert "1.40" == str(await old.api_version())
        await old.services.edit("newer", relabel)
        assert spec_of(engine, "newer") == {**newer, "Labels": {"at": "second"}}
        await old.services.update("newer", labels={"at": "third"})
        assert spec_of(engine, "newer") == {**newer, "Labels": {"at": "third"}}
        live = await old.services.inspect("newer")
        await old.services.replace("newer", live.spec, version=live.version)
        assert spec_of(engine, "newer") == {**newer, "Labels": {"at": "third"}}
        await old.services.rollback("newer")
        assert spec_of(engine, "newer") == {**newer, "Labels": {"at": "third"}}


async def test_a_pinned_package_older_than_the_engine_names_what_it_would_lose(
    engine: Engine, newer: Json, old_package: Any
) -> None:
    async with connect(engine, old_package.SwarmClient, registry_auth=None, api_version=str(OLD)) as old:
        with pytest.raises(old_package.UnsupportedFeature) as caught:
            await old.services.update("newer", labels={"at": "second"})
    assert had_by(engine) == {problem.path for problem in caught.value.problems}
    assert {"is newer than API 1.40, the newest known here"} == {problem.reason for problem in caught.value.problems}
    assert spec_of(engine, "newer") == newer


async def test_a_pinned_package_older_than_the_engine_names_it_with_its_first_request(
    engine: Engine, newer: Json, old_package: Any
) -> None:
    async with connect(engine, old_package.SwarmClient, registry_auth=None) as old:
        live = await old.services.inspect("newer")
    async with connect(engine, old_package.SwarmClient, registry_auth=None, api_version=str(OLD)) as pinned:
        with pytest.raises(old_package.UnsupportedFeature) as caught:
            await pinned.services.replace("newer", live.spec, version=live.version)
    assert had_by(engine) == {problem.path for problem in caught.value.problems}
    assert spec_of(engine, "newer") == newer


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch, newer: Json) -> None:
    """This package, from now on of the opinion that there is nothing after API 1.40."""
    for module in ("versions", "features", "_engine"):
        monkeypatch.setattr(f"swarmkit.{module}.NEWEST", OLD)


@pytest.mark.usefixtures("aged")
async def test_a_client_that_agreed_on_less_than_a_service_holds_keeps_it(engine: Engine, newer: Json) -> None:
    async with connect(engine, registry_auth=None) as old:
        assert OLD == await old.api_version()
        await old.services.update("newer", labels={"at": "second"})
    assert spec_of(engine, "newer") == {**newer, "Labels": {"at": "second"}}


@pytest.mark.usefixtures("aged")
async def test_a_client_pinned_to_less_than_a_service_holds_names_it(engine: Engine, newer: Json) -> None:
    async with connect(engine, registry_auth=None, api_version=OLD) as old:
        with pytest.raises(UnsupportedFeature) as caught:
            await old.services.update("newer", labels={"at": "second"})
    assert {(path, f"needs API {NEWER[path]}") for path in had_by(engine)} == set(caught.value.problems)
    assert spec_of(engine, "newer") == newer


# --- one odd service among many --------------------------------------------------------------------------------------


async def test_one_malformed_service_among_a_thousand_can_be_found_by_the_error() -> None:
    services = [json.loads(json.dumps({**SERVICE, "ID": f"service{number}"})) for number in range(1000)]
    services[617]["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] = 31415926
    with StubEngine(lambda _: answer(services)) as stub:
        async with SwarmClient(stub.host) as client:
            with pytest.raises(ProtocolError) as caught:
                await client.services.list()
    message = str(caught.value)
    assert message.startswith("GET /services: ")
    assert "617.Spec.TaskTemplate.ContainerSpec.Image of service617 web:" in message
    assert "31415926" not in message
