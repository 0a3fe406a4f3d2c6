"""What other clients got wrong, once each: every test names the client whose users met it.

What only a real engine can show of these is in `tests/integration`.
"""

from __future__ import annotations

import json
import struct
from collections import UserDict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import pytest
from pydantic import ValidationError

from swarmkit import (
    ContainerSpec,
    EndpointSpec,
    GenericResource,
    Healthcheck,
    Mount,
    Placement,
    PluginSpec,
    PortConfig,
    Privileges,
    RegistryAuth,
    Replicated,
    ReplicatedJob,
    RestartPolicy,
    RollbackConfig,
    SecretReferenceFile,
    ServiceMode,
    ServiceSpec,
    SwarmClient,
    TaskTemplate,
    TmpfsOptions,
    UnsupportedFeature,
    UpdateConfig,
    VolumeOptions,
    parse_bytes,
)

from .stub import SERVICE, Received, Say, StubEngine, answer

pytestmark = pytest.mark.anyio

CREATED = answer({"ID": "new", "Warnings": None}, status=201)
UPDATED = answer({"Warnings": ["mind the gap"]})


def manager(live: dict[str, Any]) -> Any:
    def script(request: Received) -> Say:
        if request.method == "GET":
            return answer(live)
        return CREATED if request.path.endswith("/create") else UPDATED

    return script


def with_spec(**spec: Any) -> dict[str, Any]:
    return {**SERVICE, "Spec": {**SERVICE["Spec"], **spec}}


async def sent_by_update(live: dict[str, Any], **changes: Any) -> tuple[Received, Received]:
    """The read and the change that an update makes of a live service."""
    with StubEngine(manager(live)) as engine:
        async with SwarmClient(engine.host, registry_auth=None) as client:
            await client.services.update("web", **changes)
    read, change = engine.received
    return read, change


async def sent_by_create(template: TaskTemplate, api: str = "1.51", **more: Any) -> Any:
    with StubEngine(lambda _: answer({"ID": "new"}, status=201, api=api), ping=lambda: answer(api=api)) as engine:
        async with SwarmClient(engine.host, registry_auth=None) as client:
            await client.services.create(template, name="web", **more)
    return engine.received[0].json


TEMPLATE = TaskTemplate(container_spec=ContainerSpec("nginx"))

# --- docker-py: the service API --------------------------------------------------------------------------------------


async def test_docker_py_checks_the_rollback_order_by_the_update_config() -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        await sent_by_create(TEMPLATE, api="1.28", rollback_config=RollbackConfig(order="start-first"))
    assert [("RollbackConfig.Order", "needs API 1.29")] == list(caught.value.problems)


async def test_docker_py_reports_another_field_than_the_one_that_is_too_new() -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        await sent_by_create(TaskTemplate(container_spec=ContainerSpec("nginx", read_only=True)), api="1.27")
    assert [("TaskTemplate.ContainerSpec.ReadOnly", "needs API 1.28")] == list(caught.value.problems)


async def test_docker_py_stops_checking_at_1_38_so_that_jobs_become_services() -> None:
    container = ContainerSpec("nginx", sysctls={"a": "b"}, capability_drop=["CAP_CHOWN"])
    template = TaskTemplate(container_spec=container, placement=Placement(max_replicas=1))
    with pytest.raises(UnsupportedFeature) as caught:
        await sent_by_create(template, api="1.39", mode=ReplicatedJob(total_completions=3))
    assert {
        "Mode.ReplicatedJob",
        "TaskTemplate.ContainerSpec.CapabilityDrop",
        "TaskTemplate.ContainerSpec.Sysctls",
        "TaskTemplate.Placement.MaxReplicas",
    } == {problem.path for problem in caught.value.problems}


async def test_docker_py_changes_the_callers_template() -> None:
    template = TaskTemplate(container_spec=ContainerSpec("nginx", env={"A": "1"}))
    before = template.wire()
    await sent_by_create(template, networks=["host"])
    await sent_by_update(SERVICE, task_template=template, networks=["host"])
    assert template.wire() == before


async def test_docker_py_and_aiodocker_send_networks_where_engines_drop_them() -> None:
    sent = await sent_by_create(TEMPLATE, networks=["host"])
    assert "Networks" not in sent
    assert sent["TaskTemplate"]["Networks"] == [{"Target": "host"}]


async def test_docker_py_resets_what_an_update_does_not_give() -> None:
    _, change = await sent_by_update(SERVICE, labels={"a": "b"})
    assert change.json == {**SERVICE["Spec"], "Labels": {"a": "b"}}


async def test_docker_py_bakes_the_engines_defaults_into_the_spec() -> None:
    read, change = await sent_by_update(SERVICE, labels={"a": "b"})
    assert "insertDefaults" not in read.target
    assert "UpdateConfig" not in change.json


async def test_docker_py_cannot_update_a_job() -> None:
    job = with_spec(Mode={"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 3}})
    _, change = await sent_by_update(job, task_template=TaskTemplate(force_update=1))
    assert not {"UpdateConfig", "RollbackConfig"} & set(change.json)


async def test_docker_py_cannot_take_anything_away() -> None:
    placement = {"Constraints": ["a==b"], "Preferences": [{"Spread": {"SpreadDescriptor": "x"}}], "MaxReplicas": 2}
    template = {**SERVICE["Spec"]["TaskTemplate"], "Placement": placement, "Networks": [{"Target": "n"}]}
    live = with_spec(TaskTemplate=template)
    _, change = await sent_by_update(live, task_template=TaskTemplate(placement=Placement(constraints=["c==d"])))
    assert change.json["TaskTemplate"]["Placement"] == {**placement, "Constraints": ["c==d"]}
    _, change = await sent_by_update(live, task_template=TaskTemplate(resources=None, placement=None), networks=[])
    assert not {"Resources", "Placement"} & set(change.json["TaskTemplate"])
    assert change.json["TaskTemplate"]["Networks"] == []


async def test_docker_py_asks_for_no_log_stream_by_default_and_loses_which_one_it_was() -> None:
    body = b"".join(struct.pack(">BxxxL", kind, 3) + b"x y" for kind in (1, 2))
    with StubEngine(lambda request: answer(body if request.path.endswith("/logs") else SERVICE)) as engine:
        async with SwarmClient(engine.host) as client, client.services.logs("web") as lines:
            assert ["stdout", "stderr"] == [line.stream async for line in lines]
        assert "stdout=true&stderr=true" in engine.received[-1].query


# --- docker-py: the types --------------------------------------------------------------------------------------------


def wire(model: Any) -> Any:
    return json.loads(model.wire())


def test_docker_py_sends_a_selinux_context_nobody_asked_for() -> None:
    assert wire(Privileges(no_new_privileges=True)) == {"NoNewPrivileges": True}


def test_docker_py_loses_a_jobs_concurrency() -> None:
    assert wire(ServiceMode.of(ReplicatedJob(max_concurrent=3))) == {"ReplicatedJob": {"MaxConcurrent": 3}}
    assert wire(ReplicatedJob(max_concurrent=0, total_completions=0)) == {"MaxConcurrent": 0, "TotalCompletions": 0}
    with pytest.raises(ValidationError):
        cast("Any", Replicated)(replicas=3, concurrency=2)


def test_docker_py_turns_max_attempts_into_never() -> None:
    assert wire(RestartPolicy(max_attempts=3)) == {"MaxAttempts": 3}


def test_docker_py_has_update_defaults_of_its_own() -> None:
    assert wire(UpdateConfig()) == wire(RollbackConfig()) == {}


def test_docker_py_takes_any_mount_option_for_read_only() -> None:
    nocopy = Mount.parse("data:/a:nocopy")
    assert (nocopy.read_only, nocopy.volume_options) == (None, VolumeOptions(no_copy=True))
    with pytest.raises(ValueError, match="'z'"):
        Mount.parse("data:/a:rw,z")
    assert Mount.parse(r"C:\data:D:\data:ro").target == r"D:\data"


def test_docker_py_drops_a_mode_of_zero() -> None:
    mount = Mount(type="tmpfs", target="/t", tmpfs_options=TmpfsOptions(mode=0))
    assert wire(mount)["TmpfsOptions"] == {"Mode": 0}


def test_docker_py_cannot_publish_tcp_and_udp_of_one_port_or_leave_one_open() -> None:
    spec = EndpointSpec(ports=[PortConfig.parse(text) for text in ("53:53/tcp", "53:53/udp", "80")])
    assert wire(spec)["Ports"] == [
        {"TargetPort": 53, "PublishedPort": 53, "Protocol": "tcp"},
        {"TargetPort": 53, "PublishedPort": 53, "Protocol": "udp"},
        {"TargetPort": 80},
    ]


def test_docker_py_sends_numbers_where_engines_want_strings_and_counts_bools() -> None:
    with pytest.raises(ValidationError):
        SecretReferenceFile(name="x", uid=cast("Any", 1000))
    with pytest.raises(ValidationError):
        GenericResource.discrete("SSD", True)


def test_docker_py_knows_few_units_and_takes_seconds_for_nanoseconds() -> None:
    assert (parse_bytes("2t"), parse_bytes("1Ki"), parse_bytes("512MiB")) == (2 << 40, 1024, 512 << 20)
    with pytest.raises(ValidationError, match="nanoseconds"):
        Healthcheck(interval=cast("Any", 5))
    assert wire(Healthcheck(interval=timedelta(seconds=5))) == {"Interval": 5_000_000_000}


# --- aiodocker -------------------------------------------------------------------------------------------------------


async def test_aiodocker_rewrites_the_callers_env_so_that_a_second_create_dies() -> None:
    for env in ({"A": "1"}, ["A=1"]):
        template = TaskTemplate(container_spec=ContainerSpec("nginx", env=env))
        first, second = await sent_by_create(template), await sent_by_create(template)
        assert first == second
        assert first["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=1"]
    assert env == ["A=1"]


async def test_aiodocker_needs_a_registry_beside_the_credentials_and_an_image() -> None:
    auth = RegistryAuth(username="u", password="p")
    spec = ServiceSpec(name="web", task_template=TaskTemplate(runtime="plugin", plugin_spec=PluginSpec(remote="x/y")))
    with StubEngine(lambda _: CREATED) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.create(TEMPLATE, name="web", registry_auth=auth)
            await client.services.create(spec, registry_auth=auth)
    assert ["x-registry-auth" in request.headers for request in engine.received] == [True, False]


async def test_aiodocker_sends_no_credentials_on_update_and_loses_the_warnings() -> None:
    with StubEngine(manager(SERVICE)) as engine:
        async with SwarmClient(engine.host) as client:
            auth = RegistryAuth(username="u", password="p")
            updated = await client.services.update("web", labels={}, registry_auth=auth)
    assert updated.warnings == ["mind the gap"]
    assert "x-registry-auth" in engine.received[-1].headers


@pytest.mark.parametrize("values", [["a"], ("a",), {"a"}, "a"])
@pytest.mark.parametrize("kind", [dict, UserDict])
async def test_aiodocker_changes_filters_and_takes_few_kinds_of_them(kind: Any, values: Any) -> None:
    filters = cast("Mapping[str, Any]", kind(name=values))
    with StubEngine(lambda _: answer([])) as engine:
        async with SwarmClient(engine.host) as client:
            await client.services.list(filters=filters)
            await client.tasks.list(filters={"_up-to-date": True, "id": 7})
    assert filters["name"] is values
    assert [
        "filters=%7B%22name%22%3A%5B%22a%22%5D%7D",
        "filters=%7B%22id%22%3A%5B%227%22%5D%2C%22_up-to-date%22%3A%5B%22true%22%5D%7D",
    ] == [request.query for request in engine.received]


async def test_aiodocker_sends_a_filter_that_does_not_exist() -> None:
    with StubEngine(lambda _: answer([])) as engine:
        async with SwarmClient(engine.host) as client:
            with pytest.raises(ValidationError, match="nmae"):
                await client.services.list(filters={"nmae": "a"})
            with pytest.raises(ValidationError):
                await client.services.list(filters={"name": None})
        assert engine.received == []
